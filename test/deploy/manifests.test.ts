import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../../reference-runtime/src/config/load.ts';
import type { RuntimeConfig } from '../../reference-runtime/src/config/types.ts';
import { type MemoryOptions, planMemory as planRuntime } from '../../reference-runtime/src/gguf/memory.ts';
import type { ModelShape } from '../../reference-runtime/src/gguf/model-shape.ts';
import { GOVERNANCE_INSTRUMENTS } from '../../reference-runtime/src/telemetry/governance-instruments.ts';
import { INSTRUMENTS } from '../../reference-runtime/src/telemetry/instruments.ts';
import { bytes } from '../../scripts/lib/image-run.ts';
import { MIXTRAL, sizingPage, plan as sizingPlan, WEIGHTS } from '../../scripts/sizing.ts';
import { planMemory } from '../../src/catalog/memory-plan.ts';
import { parseYaml } from '../../src/config/document.ts';
import type { KubeObject } from '../../src/kubernetes/object.ts';
import { renderFolder } from '../../src/kubernetes/render.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { folderTree } from '../../src/workspace/tree.ts';
import { HAS_SHARED_DATA, SHARED_DATA } from '../kubernetes/support.ts';
import { ROOT } from '../support/cli.ts';

const DEPLOY = join(ROOT, 'reference-runtime/deploy');
const OVERLAYS = ['cpu', 'cuda', 'vllm'] as const;
/** Where the API's types of each kind are; kinds of CRDs are checked against their CRD below. */
const API: { readonly [kind: string]: string } = {
  'v1/ServiceAccount': 'v1',
  'v1/PersistentVolumeClaim': 'v1',
  'batch/v1/Job': 'batch/v1',
  'v1/ConfigMap': 'v1',
  'v1/Service': 'v1',
  'apps/v1/Deployment': 'apps/v1',
  'autoscaling/v2/HorizontalPodAutoscaler': 'autoscaling/v2',
  'policy/v1/PodDisruptionBudget': 'policy/v1',
  'networking.k8s.io/v1/NetworkPolicy': 'networking.k8s.io/v1',
};
const CRD_KINDS = ['ServiceMonitor', 'PodMonitor', 'InferencePool', 'HTTPRoute'];

/** The bundler of the tests would resolve a computed name against its folder. */
const load = (name: string): Promise<unknown> => import(/* @vite-ignore */ import.meta.resolve(name));

type Value = { readonly [key: string]: unknown };
interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: Value;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly [probe: string]: unknown;
}
interface PodSpec {
  readonly securityContext: Value;
  readonly automountServiceAccountToken: boolean;
  readonly containers: readonly Container[];
  readonly volumes: readonly { readonly name: string; readonly [source: string]: unknown }[];
}

const rendered = new Map<string, readonly KubeObject[]>();
const dirs: string[] = [];
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});
beforeAll(async () => {
  const context = { tool: (name: string) => resolveTool(name), signal: new AbortController().signal };
  for (const overlay of OVERLAYS)
    rendered.set(overlay, await renderFolder(folderTree(join(DEPLOY, 'kubernetes')), `overlays/${overlay}`, context));
  rendered.set('models', await renderFolder(folderTree(join(DEPLOY, 'kubernetes')), 'models', context));
});

const values = (overlay: string): readonly Value[] => rendered.get(overlay)!.map((object) => object.value as Value);
const ofKind = (overlay: string, kind: string): readonly Value[] => values(overlay).filter((value) => value['kind'] === kind);
const key = (value: Value): string => `${String(value['apiVersion'])}/${String(value['kind'])}`;
const spec = (value: Value): Value => value['spec'] as Value;
const podOf = (deployment: Value): { labels: { readonly [name: string]: string }; spec: PodSpec } => {
  const template = spec(deployment)['template'] as { metadata: { labels: { [name: string]: string } }; spec: PodSpec };
  return { labels: template.metadata.labels, spec: template.spec };
};
const matches = (selector: { readonly [name: string]: string }, labels: { readonly [name: string]: string }): boolean =>
  Object.entries(selector).every(([name, value]) => labels[name] === value);

/** The runtime's configuration in an overlay, read by the runtime, with files of this machine for those of the image and its volumes. */
function configOf(overlay: string): RuntimeConfig {
  const [map] = ofKind(overlay, 'ConfigMap');
  const files = mkdtempSync(join(tmpdir(), 'mixgate-deploy-'));
  dirs.push(files);
  for (const name of ['jwks.json', 'model.gguf']) writeFileSync(join(files, name), '{}');
  const text = (map!['data'] as { 'runtime.yaml': string })['runtime.yaml']
    .replaceAll('/app/', `${ROOT}/`)
    .replace('/etc/mixgate-jwks/', `${files}/`)
    .replace(/\/models\/mixtral-8x7b\S+/, `${files}/model.gguf`);
  return parseConfig(text, `${overlay}/runtime.yaml`, files);
}

interface LivingPod {
  readonly terminationGracePeriodSeconds: number;
  readonly volumes: readonly { readonly name: string; readonly emptyDir?: { readonly sizeLimit: string } }[];
  readonly containers: readonly (Container & {
    readonly lifecycle: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
    readonly resources: { readonly requests: Value };
    readonly startupProbe: Probe;
    readonly readinessProbe: Probe;
    readonly livenessProbe: Probe;
  })[];
}
interface Spread {
  readonly topologyKey: string;
  readonly labelSelector: { readonly matchLabels: { readonly [name: string]: string } };
  readonly matchLabelKeys: readonly string[];
}
interface Probe {
  readonly httpGet: { readonly path: string };
}

describe.each(OVERLAYS)('overlay %s', (overlay) => {
  it('has only kinds that are checked, each once by name', () => {
    const unknown = values(overlay).filter(
      (value) => API[key(value)] === undefined && !CRD_KINDS.includes(String(value['kind'])),
    );
    expect(unknown.map(key)).toEqual([]);
    const names = values(overlay).map((value) => `${key(value)} ${(value['metadata'] as { name: string }).name}`);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThanOrEqual(8);
  });

  it("passes the API's own schemas", async () => expect(await schemaProblems(values(overlay))).toEqual([]));

  it('has no field that the API does not know: the compiler checks the objects against its types', () => {
    expect(compile(values(overlay).filter((value) => API[key(value)] !== undefined))).toBe('');
  });

  it('runs every container unprivileged on a read-only root, and writes to emptyDirs only', () => {
    for (const deployment of ofKind(overlay, 'Deployment')) {
      const { spec: pod } = podOf(deployment);
      expect(pod.automountServiceAccountToken).toBe(false);
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      expect(Number(pod.securityContext['runAsUser'])).toBeGreaterThan(0);
      for (const container of pod.containers) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        for (const mount of container.volumeMounts.filter((each) => each.readOnly !== true))
          expect(pod.volumes.find((volume) => volume.name === mount.name)).toHaveProperty('emptyDir');
        for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'].filter((name) => name in container)) {
          const { httpGet } = container[probe] as { httpGet: { port: string } };
          expect(container.ports.map((port) => port.name)).toContain(httpGet.port);
        }
      }
    }
  });

  it('has a service, budget, autoscaler, network policy and monitor that mean the runtime and nothing else', () => {
    const deployments = ofKind(overlay, 'Deployment').map((deployment) => ({
      name: (deployment['metadata'] as { name: string }).name,
      ...podOf(deployment),
    }));
    const selected = (selector: unknown): string[] =>
      deployments.filter(({ labels }) => matches(selector as { [name: string]: string }, labels)).map(({ name }) => name);
    const [service] = ofKind(overlay, 'Service');
    expect(selected(spec(service!)['selector'])).toEqual(['mixgate-runtime']);
    for (const [kind, path] of [
      ['PodDisruptionBudget', 'selector'],
      ['NetworkPolicy', 'podSelector'],
    ] as const) {
      const { matchLabels } = spec(ofKind(overlay, kind)[0]!)[path] as { matchLabels: unknown };
      expect(selected(matchLabels), kind).toEqual(['mixgate-runtime']);
    }
    const [autoscaler] = ofKind(overlay, 'HorizontalPodAutoscaler');
    expect(spec(autoscaler!)['scaleTargetRef']).toEqual({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'mixgate-runtime' });
    const [monitor] = ofKind(overlay, 'ServiceMonitor');
    const { matchLabels } = spec(monitor!)['selector'] as { matchLabels: { [name: string]: string } };
    expect(matches(matchLabels, (service!['metadata'] as { labels: { [name: string]: string } }).labels)).toBe(true);
    const [endpoint] = spec(monitor!)['endpoints'] as { port: string; path: string }[];
    expect((spec(service!)['ports'] as { name: string }[]).map(({ name }) => name)).toContain(endpoint!.port);
  });

  it('configures the runtime with what the runtime itself accepts', () => {
    const config = configOf(overlay);
    const { spec: pod } = podOf(
      ofKind(overlay, 'Deployment').find((d) => (d['metadata'] as Value)['name'] === 'mixgate-runtime')!,
    );
    expect(pod.containers[0]!.ports[0]!.containerPort).toBe(config.listen.port);
    expect(config.listen.host).toBe('0.0.0.0');
    const written = [config.telemetry.decisionLog?.file, config.telemetry.traces.file].filter((file) => file !== undefined);
    const writable = pod.containers[0]!.volumeMounts.filter((mount) => mount.readOnly !== true).map((mount) => mount.mountPath);
    for (const file of written) expect(writable.some((path) => file.startsWith(`${path}/`))).toBe(true);
  });
});

describe.each(OVERLAYS)('how a pod of overlay %s lives and ends', (overlay) => {
  const runtime = (): { readonly pod: LivingPod; readonly config: RuntimeConfig; readonly strategy: Value } => {
    const deployment = ofKind(overlay, 'Deployment').find((d) => (d['metadata'] as Value)['name'] === 'mixgate-runtime')!;
    const template = spec(deployment)['template'] as { spec: LivingPod };
    return { pod: template.spec, config: configOf(overlay), strategy: spec(deployment) };
  };

  it('has time for the pause, the drain, and what comes after it', () => {
    const { pod, config } = runtime();
    const pause = pod.containers[0]!.lifecycle.preStop.sleep.seconds;
    // 2 s for last words, 5 s for collectors, 3 s for the engine (commands/serve.ts, server/start-runtime.ts, engine/llama-engine.ts).
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(pause + config.limits.drainMs / 1000 + 10);
  });

  it('is asked at endpoints that the runtime has', () => {
    const app = readFileSync(join(ROOT, 'reference-runtime/src/server/app.ts'), 'utf8');
    const { startupProbe, readinessProbe, livenessProbe } = runtime().pod.containers[0]!;
    for (const { httpGet } of [startupProbe, readinessProbe, livenessProbe]) expect(app).toContain(`app.get('${httpGet.path}'`);
  });

  it('does not fill its volume with decisions: two files of maxMiB leave room', () => {
    const { pod, config } = runtime();
    const volume = pod.volumes.find(({ name }) => name === 'logs')!;
    expect(2 * config.telemetry.decisionLog!.maxMiB! * 2 ** 20).toBeLessThan(bytes(volume.emptyDir!.sizeLimit));
  });

  it('is scaled by the autoscaler alone, on what the runtime exposes or the kubelet measures', () => {
    expect(runtime().strategy).not.toHaveProperty('replicas');
    const exposed = [...Object.values(INSTRUMENTS), ...Object.values(GOVERNANCE_INSTRUMENTS)].map(({ prometheus }) => prometheus);
    const { metrics } = spec(ofKind(overlay, 'HorizontalPodAutoscaler')[0]!) as {
      metrics: (
        | { type: 'Pods'; pods: { metric: { name: string } } }
        | { type: 'Resource'; resource: { name: string; target: { averageUtilization: number } } }
      )[];
    };
    expect(metrics.length).toBe(1);
    for (const metric of metrics) {
      if (metric.type === 'Pods') expect(exposed).toContain(metric.pods.metric.name);
      else {
        // One event loop is one core: a share of a larger request is never reached, and nothing would ever be scaled.
        const { requests } = runtime().pod.containers[0]!.resources;
        expect(metric.resource.name).toBe('cpu');
        expect((metric.resource.target.averageUtilization / 100) * Number(requests['cpu'])).toBeLessThanOrEqual(0.8);
      }
    }
  });
});

it.each(OVERLAYS)(
  'every deployment of overlay %s is spread over zones and nodes, counting its own pods of one version',
  (overlay) => {
    for (const deployment of ofKind(overlay, 'Deployment')) {
      const { labels, spec: pod } = podOf(deployment);
      const constraints = (pod as unknown as { topologySpreadConstraints: Spread[] }).topologySpreadConstraints;
      expect(constraints.map(({ topologyKey }) => topologyKey)).toEqual([
        'topology.kubernetes.io/zone',
        'kubernetes.io/hostname',
      ]);
      for (const { labelSelector, matchLabelKeys } of constraints) {
        expect(matches(labelSelector.matchLabels, labels)).toBe(true);
        expect(matchLabelKeys).toEqual(['pod-template-hash']);
      }
    }
  },
);

describe('the vllm overlay', () => {
  it('leads from the runtime through route and pool to the port that vLLM listens on', () => {
    const [pool] = ofKind('vllm', 'InferencePool');
    const [route] = ofKind('vllm', 'HTTPRoute');
    const vllm = ofKind('vllm', 'Deployment').find((d) => (d['metadata'] as Value)['name'] === 'vllm-mixtral')!;
    const { labels, spec: pod } = podOf(vllm);
    const poolSpec = spec(pool!) as {
      selector: { matchLabels: { [name: string]: string } };
      targetPorts: { number: number }[];
      endpointPickerRef: { failureMode: string };
    };
    expect(matches(poolSpec.selector.matchLabels, labels)).toBe(true);
    expect(poolSpec.targetPorts.map(({ number }) => number)).toEqual([pod.containers[0]!.ports[0]!.containerPort]);
    expect(poolSpec.endpointPickerRef.failureMode).toBe('FailClose');
    const [rule] = spec(route!)['rules'] as { backendRefs: Value[] }[];
    expect(rule!.backendRefs).toEqual([
      { group: 'inference.networking.k8s.io', kind: 'InferencePool', name: (pool!['metadata'] as Value)['name'] },
    ]);
    const { data } = ofKind('vllm', 'ConfigMap')[0] as unknown as { data: { 'runtime.yaml': string } };
    const served = pod.containers[0]!.args.find((arg) => arg.startsWith('--served-model-name='))!.split('=')[1];
    expect(data['runtime.yaml']).toContain(`model: ${served}`);
  });

  it('has Prometheus ask vLLM at a port that its pods have', () => {
    const vllm = ofKind('vllm', 'Deployment').find((d) => (d['metadata'] as Value)['name'] === 'vllm-mixtral')!;
    const { labels, spec: pod } = podOf(vllm);
    const { selector, podMetricsEndpoints } = spec(ofKind('vllm', 'PodMonitor')[0]!) as {
      selector: { matchLabels: { [name: string]: string } };
      podMetricsEndpoints: { port: string }[];
    };
    expect(matches(selector.matchLabels, labels)).toBe(true);
    expect(pod.containers[0]!.ports.map((port) => port.name)).toContain(podMetricsEndpoints[0]!.port);
  });

  it('asks of vLLM what fits its card, in weights that are in fp8 when they are loaded', () => {
    const vllm = ofKind('vllm', 'Deployment').find((d) => (d['metadata'] as Value)['name'] === 'vllm-mixtral')!;
    const [container] = podOf(vllm).spec.containers;
    const flag = (name: string): string => container!.args.find((arg) => arg.startsWith(`--${name}=`))!.split('=')[1]!;
    // Quantised by vLLM the weights would have to fit in bf16 first.
    expect(container!.args.filter((arg) => arg.startsWith('--quantization'))).toEqual([]);
    expect(flag('model')).toMatch(/-FP8$/);
    expect(flag('revision')).toMatch(/^[0-9a-f]{40}$/);
    const { limits } = container!['resources'] as { limits: { 'nvidia.com/gpu': string } };
    expect(flag('tensor-parallel-size')).toBe(limits['nvidia.com/gpu']);
    const plan = planMemory(
      {
        architecture: MIXTRAL,
        weightBytes: 46_702_792_704,
        context: Number(flag('max-model-len')),
        sequences: Number(flag('max-num-seqs')),
        batchTokens: 8192,
        kvCacheType: 'f16',
      },
      { memoryBytes: 80 * 2 ** 30, accelerators: 1, overheadBytes: 2 ** 30, utilisation: Number(flag('gpu-memory-utilization')) },
    );
    expect(plan.fits).toBe(true);
  });

  it('lets nobody reach vLLM but the gateway, the endpoint picker of the pool and Prometheus', () => {
    const policy = ofKind('vllm', 'NetworkPolicy').find((p) => (p['metadata'] as Value)['name'] === 'vllm-mixtral')!;
    const vllm = ofKind('vllm', 'Deployment').find((d) => (d['metadata'] as Value)['name'] === 'vllm-mixtral')!;
    const { podSelector, policyTypes, ingress, egress } = spec(policy) as {
      podSelector: { matchLabels: { [name: string]: string } };
      policyTypes: string[];
      ingress: { from: Value[]; ports: { port: string }[] }[];
      egress: Value[];
    };
    expect(matches(podSelector.matchLabels, podOf(vllm).labels)).toBe(true);
    expect(policyTypes).toEqual(['Ingress', 'Egress']);
    expect(egress).toEqual([]);
    const picker = (spec(ofKind('vllm', 'InferencePool')[0]!)['endpointPickerRef'] as { name: string }).name;
    const gateway = (spec(ofKind('vllm', 'HTTPRoute')[0]!)['parentRefs'] as { name: string }[])[0]!.name;
    expect(ingress.flatMap(({ from }) => from)).toEqual([
      { podSelector: { matchLabels: { 'gateway.networking.k8s.io/gateway-name': gateway } } },
      { podSelector: { matchLabels: { inferencepool: picker } } },
      { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } },
    ]);
  });
});

describe.skipIf(!HAS_SHARED_DATA)('the real CRDs (skipped where the shared data is absent)', () => {
  it.each([
    ['HTTPRoute', 'httproutes.yaml'],
    ['InferencePool', 'inferencepools.yaml'],
  ])('accept the %s', (kind, file) => {
    const crd = parseYaml(readFileSync(join(SHARED_DATA, 'k8s/crd', file), 'utf8'), file).value as {
      spec: { versions: { name: string; schema: { openAPIV3Schema: Value } }[] };
    };
    for (const value of ofKind('vllm', kind)) {
      const version = crd.spec.versions.find(({ name }) => name === String(value['apiVersion']).split('/')[1])!;
      const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
      const valid = ajv.compile(closed(version.schema.openAPIV3Schema, true) as Value);
      valid(value);
      expect(valid.errors ?? []).toEqual([]);
      expect(valid({ ...value, spec: { ...spec(value), surprise: 1 } })).toBe(false);
    }
  });
});

it('the overlay of their own that docs/sizing.md shows renders, with what it changes', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'mixgate-own-'));
  dirs.push(dir);
  const page = readFileSync(join(ROOT, 'docs/sizing.md'), 'utf8');
  const block = /```yaml\n(?<yaml># kustomization\.yaml\n[\s\S]*?)```/.exec(page)!.groups!['yaml']!;
  mkdirSync(join(dir, 'own'));
  cpSync(join(DEPLOY, 'kubernetes'), join(dir, 'mixgate/reference-runtime/deploy/kubernetes'), { recursive: true });
  writeFileSync(join(dir, 'own/kustomization.yaml'), block);
  writeFileSync(join(dir, 'own/runtime.yaml'), 'cluster: mine\n');
  const context = { tool: (name: string) => resolveTool(name), signal: new AbortController().signal };
  rendered.set('own', await renderFolder(folderTree(dir), 'own', context));
  expect(await schemaProblems(values('own'))).toEqual([]);
  expect(compile(values('own').filter((value) => API[key(value)] !== undefined))).toBe('');
  const [container] = podOf(ofKind('own', 'Deployment')[0]!).spec.containers;
  expect(container!['image']).toBe(`ghcr.io/your-org/mixgate-runtime@sha256:${'0'.repeat(64)}`);
  expect(container!['env']).toMatchObject([{ name: 'BUNDLE_TOKEN' }]);
  expect(ofKind('own', 'ConfigMap').map((map) => map['data'])).toEqual([{ 'runtime.yaml': 'cluster: mine\n' }]);
  const egress = spec(ofKind('own', 'NetworkPolicy')[0]!)['egress'] as { to: Value[] }[];
  expect(egress.at(-1)!.to).toEqual([{ ipBlock: { cidr: '192.0.2.10/32' } }]);
  expect((ofKind('own', 'ServiceMonitor')[0]!['metadata'] as { labels: Value }).labels).toMatchObject({
    'app.kubernetes.io/name': 'mixgate-runtime',
    release: 'kube-prometheus-stack',
  });
});

it('the alerts are a PrometheusRule by the command that docs/sizing.md shows', () => {
  const page = readFileSync(join(ROOT, 'docs/sizing.md'), 'utf8');
  const command = /^ {4}(?<line>\{ printf .*PrometheusRule[\s\S]*?) \| kubectl apply -f -$/m.exec(page)!.groups!['line']!;
  const made = spawnSync('bash', ['-c', command], { cwd: ROOT, encoding: 'utf8' });
  const rule = parseYaml(made.stdout, 'rule.yaml').value as unknown as Value;
  const plain = parseYaml(readFileSync(join(DEPLOY, 'prometheus/rules.yaml'), 'utf8'), 'rules.yaml').value as unknown as Value;
  expect([made.stderr, rule['kind'], spec(rule)]).toEqual(['', 'PrometheusRule', plain]);
});

describe('the Job that fills the claim with a model', () => {
  it("passes the API's own schemas and has no field that the API does not know", async () => {
    expect(values('models').map(key)).toEqual(['v1/ConfigMap', 'v1/ConfigMap', 'v1/PersistentVolumeClaim', 'batch/v1/Job']);
    expect(await schemaProblems(values('models'))).toEqual([]);
    expect(compile(values('models'))).toBe('');
  });

  it('runs unprivileged, writes to the claim and a temporary folder, and puts the file where the cuda overlay reads it', () => {
    const { spec: pod } = podOf(ofKind('models', 'Job')[0]!);
    const [container] = pod.containers;
    expect(container!.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    const [claim] = ofKind('models', 'PersistentVolumeClaim');
    const { name } = claim!['metadata'] as { name: string };
    expect(pod.volumes.find((volume) => volume.name === 'models')!['persistentVolumeClaim']).toEqual({ claimName: name });
    const cuda = podOf(ofKind('cuda', 'Deployment')[0]!).spec;
    expect(cuda.volumes.find((volume) => volume.name === 'models')!['persistentVolumeClaim']).toMatchObject({ claimName: name });
    const settings = ofKind('models', 'ConfigMap').find((map) => 'MODEL_FILE' in (map['data'] as Value))!['data'] as Value;
    const config = (ofKind('cuda', 'ConfigMap')[0]!['data'] as { 'runtime.yaml': string })['runtime.yaml'];
    expect(config).toContain(`path: ${String(settings['MODEL_FILE'])}\n`);
  });
});

/** Mixtral 8x7B as the runtime reads it from a file of so many bytes; embedding and output of 32,000 x 4,096 at about 6.6 bits. */
function mixtralOf(fileBytes: number): ModelShape {
  const { layers, heads, kvHeads, headDim, hiddenSize, vocabularySize, contextLength, experts, activeExperts } = MIXTRAL;
  const outputBytes = (vocabularySize * hiddenSize * 6.5625) / 8;
  return {
    architecture: 'llama',
    name: 'Mixtral 8x7B',
    layers,
    experts,
    expertsUsed: activeExperts,
    width: hiddenSize,
    heads,
    kvHeads,
    headSize: headDim,
    vocabulary: vocabularySize,
    trainedContext: contextLength,
    parameters: 46_702_792_704,
    fileBytes,
    layerBytes: Array.from({ length: layers }, () => (fileBytes - 2 * outputBytes) / layers),
    outputBytes,
    tiedOutput: false,
    routedLayers: Array.from({ length: layers }, (_, layer) => layer),
    gating: { known: false, reason: 'not asked here' },
  };
}

describe("the runtime's own memory plan", () => {
  const GIB = 2 ** 30;
  const vram = (bytes: number, options: MemoryOptions): number =>
    planRuntime(mixtralOf(bytes), options, { ram: 16 * GIB, vram: { available: 80 * GIB, unified: false } }, 33).vram!.total;

  it.each(WEIGHTS.filter(([, server]) => server !== 'vLLM'))(
    'needs no more for %s than docs/sizing.md says, and not much less',
    (_name, _server, bytes) => {
      const said = sizingPlan(bytes, 80, 1).total;
      const needed = vram(bytes, { context: 8192, sequences: 8, batch: 512 });
      // The page adds 1 GiB of driver and libraries, which the runtime sees as memory that is not free.
      expect(needed).toBeLessThanOrEqual(said);
      expect(said - needed).toBeLessThan(1.5 * GIB);
    },
  );

  it('has room for the cuda overlay on its card and in its container', () => {
    const { model } = configOf('cuda');
    const file = WEIGHTS.find(([name]) => name === 'Q4_K_M')![2];
    const limits = podOf(ofKind('cuda', 'Deployment')[0]!).spec.containers[0]!['resources'] as { limits: { memory: string } };
    const plan = planRuntime(mixtralOf(file), model, { ram: 0, vram: { available: 0, unified: false } }, MIXTRAL.layers + 1);
    expect(plan.vram!.total).toBeLessThan(0.95 * 80 * GIB);
    expect(plan.ram.total).toBeLessThan(bytes(limits.limits.memory) / 4);
  });
});

it('docs/sizing.md has the table that the memory plan gives', () => {
  const text = readFileSync(join(ROOT, 'docs/sizing.md'), 'utf8');
  expect(sizingPage(text)).toBe(text);
});

/** What the API's own schemas say of the objects. */
async function schemaProblems(objects: readonly Value[]): Promise<string[]> {
  const problems: string[] = [];
  for (const value of objects) {
    const group = API[key(value)];
    if (group === undefined) continue;
    const models = (await load(`kubernetes-models/${group}`)) as {
      readonly [kind: string]: new (data: Value) => { validate(): void };
    };
    try {
      new models[String(value['kind'])]!(value).validate();
    } catch (error) {
      problems.push(`${key(value)}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return problems;
}

/** A CRD's schema with unknown fields refused, as the API server prunes or refuses them; metadata is the API's own. */
function closed(node: unknown, root = false): unknown {
  if (Array.isArray(node)) return node.map((item) => closed(item));
  if (typeof node !== 'object' || node === null) return node;
  const copy: { [name: string]: unknown } = Object.fromEntries(
    Object.entries(node)
      .filter(([name]) => !name.startsWith('x-kubernetes'))
      .map(([name, value]) => [name, closed(value)]),
  );
  if (typeof copy['properties'] === 'object' && copy['additionalProperties'] === undefined) copy['additionalProperties'] = false;
  if (root) (copy['properties'] as { [name: string]: unknown })['metadata'] = { type: 'object' };
  return copy;
}

/** What the compiler says of the objects as values of the API's types: '' when nothing. Excess fields are errors to it. */
function compile(objects: readonly Value[]): string {
  const dir = mkdtempSync(join(tmpdir(), 'mixgate-deploy-types-'));
  dirs.push(dir);
  mkdirSync(join(dir, 'src'));
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  const lines = objects.map((value, index) => {
    const kind = String(value['kind']);
    return `import type { I${kind} as T${index} } from 'kubernetes-models/${API[key(value)]}';\nexport const o${index}: T${index} = ${JSON.stringify(value, null, 1)};`;
  });
  writeFileSync(join(dir, 'src/objects.ts'), `${lines.join('\n')}\n`);
  const options = { module: 'NodeNext', strict: true, noEmit: true, skipLibCheck: true, types: [] };
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['src'] }));
  writeFileSync(join(dir, 'package.json'), '{"type": "module"}');
  const run = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', dir], { encoding: 'utf8' });
  return `${run.stdout}${run.stderr}${run.error?.message ?? ''}`;
}
