import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { type Config, loadConfig } from '../../../src/config/load.ts';
import { silentProgress } from '../../../src/core/context.ts';
import type { GateResult } from '../../../src/core/gate.ts';
import type { GateContext } from '../../../src/core/gate-context.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import { runDriftGate } from '../../../src/drift/gate.ts';
import { resolveTool } from '../../../src/tools/resolve.ts';
import { folderTree, type Tree } from '../../../src/workspace/tree.ts';
import { ROOT } from '../../support/cli.ts';
import { asLive, type SnapshotOptions, snapshotText } from './api-server.ts';

export type Files = { readonly [path: string]: string };
const CLUSTERS = ['us-east', 'eu-west', 'ap-south'] as const;
export const CAPTURED = '2026-01-15T06:00:00Z';
const NOW = '2026-01-15T08:00:00Z';
export const FLEET = join(ROOT, 'examples/fleet');

/** Files in a temporary folder, removed when the caller disposes of it. */
export function tempTree(files: Files): Tree & Disposable & { readonly dir: string } {
  const dir = mkdtempSync(join(tmpdir(), 'mixgate-drift-'));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), content);
  }
  return { ...folderTree(dir), dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) };
}

/** What Git declares for a small cluster: a route, its two pools, a model server, a policy. Plain manifests, no kustomization. */
export function manifests(cluster: string): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: chat
  namespace: llm
spec:
  parentRefs: [{name: gw}]
  rules:
    - backendRefs:
        - {group: inference.networking.k8s.io, kind: InferencePool, name: ${cluster}-a, weight: 90}
        - {group: inference.networking.k8s.io, kind: InferencePool, name: ${cluster}-b, weight: 10}
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: ${cluster}-a, namespace: llm}
spec:
  selector: {matchLabels: {app: vllm}}
  targetPorts: [{number: 8000}]
  endpointPickerRef: {name: epp, port: {number: 9002}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: vllm, namespace: llm}
spec:
  replicas: 2
  selector: {matchLabels: {app: vllm}}
  template:
    metadata: {labels: {app: vllm}}
    spec:
      containers:
        - name: vllm
          image: vllm/vllm-openai:v0.11.0
          args: [--model=m/x, --revision=abc, --quantization=fp8]
          env: [{name: API_TOKEN, value: hunter2}]
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: routing-policy
  namespace: llm
  labels: {mixgate.dev/policy-bundle: routing}
data:
  revision: r1
  routing.rego: |
    package routing
    default allow := false
`;
}

export type Edit = (objects: { [kind: string]: Mutable }) => void;
// biome-ignore lint/suspicious/noExplicitAny: test data is edited freely
export type Mutable = any;

/** The snapshot of a cluster that runs what Git declares, then edited. */
export function snapshot(
  cluster: string,
  options: SnapshotOptions & { readonly edit?: Edit; readonly add?: readonly JsonObject[]; readonly git?: string } = {},
): string {
  const objects = parseAllDocuments(options.git ?? manifests(cluster)).map((document) => asLive(document.toJS() as JsonObject));
  const byKind = Object.fromEntries(objects.map((object) => [String(object['kind']), object]));
  options.edit?.(byKind);
  return snapshotText([...objects.filter((object) => byKind[String(object['kind'])] !== undefined), ...(options.add ?? [])], {
    cluster,
    capturedAt: CAPTURED,
    revision: 'r1',
    ...options,
  });
}

export const CONFIG = `version: 1
clusters:
${CLUSTERS.map((name) => `  - {name: ${name}, overlay: git/${name}, snapshot: live/${name}.yaml, region: ${name}-1, jurisdiction: ${name.slice(0, 2).toUpperCase()}, trustZone: ${name.slice(0, 2)}}`).join('\n')}
`;

/** A fleet without drift, with files of the caller on top. */
export function fleetFiles(over: Files = {}): Files {
  return {
    'mixgate.yaml': CONFIG,
    ...Object.fromEntries(
      CLUSTERS.flatMap((name) => [
        [`git/${name}/all.yaml`, manifests(name)],
        [`live/${name}.yaml`, snapshot(name)],
      ]),
    ),
    ...over,
  };
}

export function gateContext(head: Tree, base?: Tree, now = NOW): GateContext {
  return {
    base,
    head,
    changed: undefined,
    now,
    seed: 1,
    progress: silentProgress,
    signal: new AbortController().signal,
    tool: (name) => resolveTool(name),
  };
}

export async function runOn(head: Tree, base?: Tree, now = NOW): Promise<GateResult> {
  const { config }: { config: Config } = await loadConfig(head);
  return runDriftGate(gateContext(head, base, now), config.drift ?? {}, config);
}

export async function driftOf(files: Files, options: { readonly base?: Files; readonly now?: string } = {}): Promise<GateResult> {
  using head = tempTree(files);
  using base = options.base === undefined ? undefined : tempTree(options.base);
  return await runOn(head, base, options.now);
}

/** `rule cluster level`, sorted: what a result found. */
export function found(result: GateResult): readonly string[] {
  return result.findings.map((finding) => `${finding.ruleId} ${finding.subject} ${finding.level}`).sort();
}
