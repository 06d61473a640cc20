/**
 * Benchmarks of the policy gate on the fleet's routing policy, each beside OPA's own evaluator in the same run:
 * one decision, a proof over at least a million points, a diff of 10,000 decisions. `node bench/policy/run.ts`.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseYaml } from '../../src/config/document.ts';
import { silentProgress } from '../../src/core/context.ts';
import type { Json, JsonObject } from '../../src/core/json.ts';
import { benchmark } from '../../src/policy/bench.ts';
import { comparisonsOf } from '../../src/policy/boundaries.ts';
import { readCorpus } from '../../src/policy/corpus.ts';
import { decisionDiff } from '../../src/policy/diff.ts';
import { readDomain } from '../../src/policy/domain.ts';
import { invariantPackages } from '../../src/policy/invariants.ts';
import { openWorkbench } from '../../src/policy/operations.ts';
import { prove } from '../../src/policy/prove.ts';
import { domainInputs } from '../../src/policy/replay.ts';
import { prepareSide, type Side } from '../../src/policy/side.ts';
import { loadPolicySource, type PolicySource } from '../../src/rego/source.ts';
import { exec } from '../../src/tools/exec.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { folderTree } from '../../src/workspace/tree.ts';

const FLEET = join(import.meta.dirname, '../../examples/fleet');
const ENTRYPOINT = 'routing/decision';
const opa = await resolveTool('opa');
await using bench = openWorkbench(opa, {
  seed: 1,
  now: '2026-01-01T00:00:00Z',
  progress: silentProgress,
  signal: new AbortController().signal,
});

const source = await loadPolicySource(folderTree(FLEET), { roots: ['policies/routing'], invariants: 'policies/invariants' });
const side = await sideOf(source);
const corpus = readCorpus(readFileSync(join(FLEET, 'policies/corpus.ndjson')), 'corpus.ndjson', ENTRYPOINT);
await oneDecision();
await proof();
await diff();

/** One line a bar, so that a reader needs no arithmetic. */
function bar(what: string, met: boolean): void {
  console.log(`  bar: ${what}: ${met ? 'met' : 'NOT MET'}`);
}

async function sideOf(policy: PolicySource): Promise<Side> {
  const prepared = await prepareSide(bench.opa, bench.pool, policy, [ENTRYPOINT]);
  if (prepared.side === undefined) throw new Error(prepared.findings.map((f) => f.message).join('\n'));
  return prepared.side;
}

/** Median of one decision: WASM in this process against `opa bench` on the same input. */
async function oneDecision(): Promise<void> {
  const input = corpus.inputs[0]!.input;
  const wasm = await benchmark(side, ENTRYPOINT, [input], 50_000);
  const dir = mkdtempSync(join(tmpdir(), 'mixgate-bench-'));
  try {
    writeFileSync(join(dir, 'input.json'), input);
    const args = [
      'bench',
      '--format',
      'json',
      '--bundle',
      join(FLEET, 'policies/routing'),
      '--input',
      join(dir, 'input.json'),
      `data.${ENTRYPOINT.replace('/', '.')}`,
    ];
    const { stdout } = await exec(opa.path, args, { timeoutMs: 120_000 });
    const result = JSON.parse(stdout) as { N: number; T: number; Extra?: Record<string, number> };
    const median = result.Extra?.['histogram_timer_rego_query_eval_ns_median'] ?? result.T / result.N;
    console.log(
      `one decision: WASM p50 ${(wasm.p50 * 1000).toFixed(1)} us, p99 ${(wasm.p99 * 1000).toFixed(1)} us; opa bench median ${(median / 1000).toFixed(1)} us; ${(median / 1000 / (wasm.p50 * 1000)).toFixed(1)} times as fast`,
    );
    bar('one decision at least 5 times as fast as opa bench', median / 1e6 >= 5 * wasm.p50);
    bar('p99 under 0.1 ms', wasm.p99 < 0.1);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Decision and invariants on more than a million points, against `opa eval` of the decision alone on 2,000 of them. */
async function proof(): Promise<void> {
  const document = parseYaml(readFileSync(join(FLEET, 'policies/domain.yaml'), 'utf8'), 'domain.yaml');
  const value = document.value as JsonObject;
  const wider = {
    ...value,
    vary: { ...(value['vary'] as JsonObject), 'fleet.pools[2].saturation': [0, 0.85], 'fleet.pools[2].queue': [0, 64] },
  } as unknown as Json;
  const domain = readDomain(
    { ...document, value: wider },
    {
      comparisons: comparisonsOf(side.asts, source.data),
      texts: [...source.modules.values(), JSON.stringify(source.data)],
      data: [source.data],
    },
  );
  const packages = invariantPackages(await bench.opa.parse(source.invariants), 'policies/invariants');
  const start = performance.now();
  const result = await prove(side, {
    entrypoint: ENTRYPOINT,
    domain,
    invariants: source.invariants,
    packages,
    maxPoints: 10_000_000,
    seed: 1,
    progress: silentProgress,
  });
  const seconds = (performance.now() - start) / 1000;
  const some = domainInputs(domain, 2000).map((i) => i.input);
  const before = performance.now();
  await bench.opa.evaluateAll(source.modules, source.data, ENTRYPOINT, some);
  const peer = ((performance.now() - before) / 1000 / some.length) * result.evaluated;
  console.log(
    `proof: ${result.evaluated} of ${result.size} points, ${packages.length} invariant packages, ${seconds.toFixed(1)} s with compilation (${Math.round(result.evaluated / result.seconds)} points/s on ${bench.pool.workers} workers); opa eval of the decision alone would take ${peer.toFixed(0)} s; ${(peer / seconds).toFixed(1)} times as fast`,
  );
  bar('1,000,000 points in under 10 s', seconds / (result.evaluated / 1e6) < 10);
  bar('proof at least 5 times as fast as opa eval', peer >= 5 * seconds);
}

/** 10,000 decisions of two versions, attribution of the examples included, against `opa eval` of both on the same inputs. */
async function diff(): Promise<void> {
  const inputs = Array.from({ length: 10_000 }, (_, i) => corpus.inputs[i % corpus.inputs.length]!);
  const changed = new Map(source.modules);
  const bad = readFileSync(join(FLEET, '../fleet-changes/bad/policies/routing/residency.rego'), 'utf8');
  changed.set('policies/routing/residency.rego', bad);
  const head = await sideOf({ ...source, modules: changed });
  const start = performance.now();
  const result = await decisionDiff(side, head, ENTRYPOINT, inputs);
  const seconds = (performance.now() - start) / 1000;
  const before = performance.now();
  for (const modules of [source.modules, changed])
    await bench.opa.evaluateAll(
      modules,
      source.data,
      ENTRYPOINT,
      inputs.map((i) => i.input),
    );
  const peer = (performance.now() - before) / 1000;
  console.log(
    `diff: ${result.changed} of ${result.replayed} decisions differ, ${result.seconds.toFixed(2)} s, ${seconds.toFixed(2)} s with attribution; opa eval ${peer.toFixed(1)} s; ${(peer / seconds).toFixed(1)} times as fast`,
  );
  bar('10,000-decision diff under 2 s', seconds < 2);
  bar('diff at least 5 times as fast as opa eval', peer >= 5 * seconds);
}
