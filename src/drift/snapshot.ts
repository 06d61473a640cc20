import type { Location } from '../core/finding.ts';
import type { FileTree } from '../core/gate-context.ts';
import { isObject, type Json } from '../core/json.ts';
import { type OtherDocument, readManifestFiles } from '../kubernetes/load.ts';
import { type KubeObject, kubeObject } from '../kubernetes/object.ts';
import { isList, textAt, valueAt } from '../kubernetes/path.ts';
import { type BundleStatus, bundleStatuses, isOpaStatus } from './opa-status.ts';

/** What a cluster looked like at one time. */
export interface Snapshot {
  readonly file: string;
  readonly capturedAt: string | undefined;
  readonly capturedAtLocation: Location;
  /** The cluster it says it is from. */
  readonly cluster: string | undefined;
  /** The commit that was applied there, where the snapshot says so. */
  readonly appliedCommit: string | undefined;
  readonly objects: readonly KubeObject[];
  readonly policies: readonly BundleStatus[];
}

const CAPTURED_AT = 'mixgate.dev/captured-at';
const CLUSTER = 'mixgate.dev/cluster';

/**
 * Reads a snapshot: what `kubectl get ... -o yaml` printed (a List, a stream of documents or a folder of them), or an Argo CD
 * `managed-resources` answer. The capture time is in a `ClusterSnapshot` document in front, which may also carry the
 * policy engines' status, or in the annotation `mixgate.dev/captured-at` of the List. Undefined when nothing is there.
 */
export async function readSnapshot(tree: FileTree, file: string): Promise<Snapshot | undefined> {
  const manifests = await readManifestFiles(tree, file);
  if (manifests === undefined) return undefined;
  const objects = [...manifests.objects];
  const policies: BundleStatus[] = [];
  let capturedAt = manifests.listAnnotations[CAPTURED_AT];
  let cluster = manifests.listAnnotations[CLUSTER];
  let appliedCommit: string | undefined;
  let location: Location = { file, line: 1 };
  for (const document of manifests.others) {
    const { value, source, path } = document;
    if (textAt(value, ['kind']) === 'ClusterSnapshot') {
      capturedAt = textAt(value, ['capturedAt']) ?? capturedAt;
      cluster = textAt(value, ['cluster']) ?? cluster;
      appliedCommit = commitIn(textAt(value, ['appliedRevision'])) ?? appliedCommit;
      location = source.locate([...path, 'capturedAt']);
      const engines = valueAt(value, ['policyEngines']);
      for (const [index, engine] of (isList(engines) ? engines : []).entries()) {
        const at = [...path, 'policyEngines', index];
        const status = valueAt(engine, ['status']);
        const instance = textAt(engine, ['instance']) ?? `engine ${index + 1}`;
        policies.push(
          ...(status === undefined
            ? bundleStatuses(engine, source, at, instance)
            : bundleStatuses(status, source, [...at, 'status'], instance)),
        );
      }
    } else if (isOpaStatus(value)) {
      policies.push(...bundleStatuses(value, source, path, source.file));
    } else {
      objects.push(...argoObjects(document));
    }
  }
  for (const object of objects) {
    if (object.kind === 'Kustomization' && object.apiVersion.startsWith('kustomize.toolkit.fluxcd.io/'))
      appliedCommit ??= commitIn(textAt(object.value, ['status', 'lastAppliedRevision']));
    if (object.kind === 'Application' && object.apiVersion.startsWith('argoproj.io/'))
      appliedCommit ??= commitIn(textAt(object.value, ['status', 'sync', 'revision']));
  }
  return { file, capturedAt, capturedAtLocation: location, cluster, appliedCommit, objects, policies };
}

/** `main@sha1:<40 hex>` of Flux, or a plain commit id. */
function commitIn(revision: string | undefined): string | undefined {
  return /(?:^|[:/])(?<commit>[0-9a-f]{40})$/.exec(revision ?? '')?.groups?.['commit'];
}

/** `GET /api/v1/applications/{name}/managed-resources` of Argo CD: live states are JSON in strings. */
function argoObjects({ value, source, path }: OtherDocument): readonly KubeObject[] {
  const items = valueAt(value, ['items']);
  if (!isList(items)) return [];
  return items.flatMap((item, index) => {
    const text = textAt(item, ['liveState']);
    if (text === undefined || text === 'null') return [];
    let live: Json;
    try {
      live = JSON.parse(text) as Json;
    } catch {
      return [];
    }
    return isObject(live) && textAt(live, ['kind']) !== undefined
      ? [kubeObject(live, () => source.locate([...path, 'items', index, 'liveState']))]
      : [];
  });
}
