import type { Location } from '../core/finding.ts';
import { commandLine, type Flags, type ModelServer, modelServer, parseArgv, podContainers } from '../kubernetes/argv.ts';
import { type KubeObject, objectName } from '../kubernetes/object.ts';
import { textAt, textsAt } from '../kubernetes/path.ts';

/** A workload that runs a model. */
export interface ModelReference {
  readonly cluster: string;
  readonly workload: string;
  readonly model: string;
  /** Undefined when nothing names one. */
  readonly version: string | undefined;
  readonly server: ModelServer | 'runtime';
  readonly flags: Flags;
  /** Pools whose selector picks its pods, by the id that catalog/pools.yaml uses. */
  readonly pools: readonly string[];
  readonly location: Location;
  /** The line of a flag, or of args. */
  readonly flagLocation: (flag: string) => Location;
}

const WORKLOADS = new Set(['Deployment', 'StatefulSet', 'DaemonSet']);
const LABELS = ['spec', 'template', 'metadata', 'labels'];

/**
 * Workloads that run models: by the labels `mixgate.dev/model` and `mixgate.dev/model-version` of their pods, else by what a model
 * server's flags say.
 */
export function modelReferences(cluster: string, objects: readonly KubeObject[]): readonly ModelReference[] {
  const pools = objects.filter((object) => object.kind === 'InferencePool');
  return objects.flatMap((object) => {
    if (!WORKLOADS.has(object.kind)) return [];
    const labels = textsAt(object.value, LABELS);
    const containers = podContainers(object.value);
    const index = containers.findIndex((each) => modelServer(each) !== undefined);
    const container = containers[Math.max(index, 0)];
    const flags = container === undefined ? {} : parseArgv(commandLine(container));
    const served = textOf(flags['served-model-name'])?.split(/[\s,]/)[0] ?? textOf(flags['model']);
    const model = labels['mixgate.dev/model'] ?? (index === -1 ? undefined : served);
    if (model === undefined) return [];
    const labelled = labels['mixgate.dev/model-version'] !== undefined;
    const args = ['spec', 'template', 'spec', 'containers', Math.max(index, 0), 'args'];
    return [
      {
        cluster,
        workload: objectName(object),
        model,
        version: labels['mixgate.dev/model-version'],
        server: (container === undefined ? undefined : modelServer(container)) ?? ('runtime' as const),
        flags,
        pools: pools
          .filter((pool) => selects(pool, labels))
          .map((pool) => textAt(pool.value, ['metadata', 'labels', 'mixgate.dev/pool']) ?? pool.name),
        location: object.locate(labelled ? [...LABELS, 'mixgate.dev/model-version'] : [...LABELS]),
        flagLocation: (flag) => {
          const words = container === undefined ? [] : commandLine(container);
          const at = words.findIndex((word) => word.replace(/^--?/, '').replaceAll('_', '-').split('=')[0] === flag);
          return object.locate(at === -1 ? args : [...args, at]);
        },
      },
    ];
  });
}

function selects(pool: KubeObject, labels: { readonly [key: string]: string }): boolean {
  const wanted = {
    ...textsAt(pool.value, ['spec', 'selector', 'matchLabels']),
    ...(pool.apiVersion.includes('x-k8s.io') ? textsAt(pool.value, ['spec', 'selector']) : {}),
  };
  return Object.keys(wanted).length > 0 && Object.entries(wanted).every(([key, value]) => labels[key] === value);
}

export function textOf(flag: string | true | undefined): string | undefined {
  return typeof flag === 'string' ? flag : undefined;
}

/** A whole number from a flag; undefined when it is absent or something else. */
export function numberOf(flag: string | true | undefined): number | undefined {
  const text = textOf(flag);
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
