// Everything the runtime emits passes our own telemetry gate: a real model, a policy that uses all there is to decide, an upstream server.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { startRuntimeProcess } from '../../scripts/lib/runtime-process.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { readLines } from '../../test/support/collector.ts';
import { fleetGate, undeclared } from './support/gate.ts';
import { microModel, temporary } from './support/models.ts';
import { telemetryOf } from './support/otlp.ts';
import { startStub, streaming } from './support/stub.ts';

const dir = temporary();
afterAll(dir.remove);
const TOKEN = 'only-of-the-tests';

const POLICY = `package routing

default decision := {"allow": false, "rule": "none", "reasons": ["NO_SCENARIO"]}

target(id) := {"cluster": pool.cluster, "pool": id, "model": pool.model, "version": pool.version} if {
	some pool in input.fleet.pools
	pool.id == id
}

answer(id) := {"allow": true, "target": target(id), "trace": true, "rule": input.request.task, "priority": "high", "reasons": ["BY_TASK"]}

decision := answer("us-east-cpu") if input.request.task == "local"

decision := object.union(answer("us-east-cpu"), {"shadow": {"target": target("us-east-next"), "share": 1}}) if input.request.task == "shadow"

decision := object.union(answer("us-east-gpu"), {"fallbacks": [target("us-east-cpu")]}) if input.request.task == "fallback"

decision := object.union(answer("us-east-next"), {"quota": {"tokens_per_minute": 10}}) if input.request.task == "metered"

decision := object.union(answer("us-east-next"), {"split": {"id": "try-next", "key": input.request.user, "arms": [
	{"id": "stable", "weight": 1, "target": target("us-east-cpu")},
	{"id": "next", "weight": 1, "target": target("us-east-next")},
]}}) if input.request.task == "split"

# What only fails.
decision := {"allow": true, "target": "no target"} if input.request.task == "broken"
`;

async function configure(upstream: string, emitted: string): Promise<string> {
  mkdirSync(dir.file('policy'));
  writeFileSync(dir.file('policy/policy.rego'), POLICY);
  const { path: opa } = await resolveTool('opa');
  const bundle = dir.file('bundle.tar.gz');
  execFileSync(opa, [
    'build',
    '-t',
    'wasm',
    '-e',
    'routing/decision',
    '--revision',
    'r1',
    '-b',
    '-o',
    bundle,
    dir.file('policy'),
  ]);
  const price = (asOf: string): object => ({ currency: 'EUR', asOf, perMtokInput: 2, perMtokOutput: 6 });
  const priced = (id: string, accelerator: string, asOf: string): object => ({
    ...{ id, cluster: 'us-east', accelerator, memory: '80GiB' },
    price: price(asOf),
  });
  writeFileSync(
    dir.file('pools.yaml'),
    stringify({
      pools: [priced('us-east-cpu', 'cpu', '2020-01-01'), priced('us-east-next', 'gpu', new Date().toISOString().slice(0, 10))],
    }),
  );
  const flag = (id: string, expires: string): object => ({ id, owner: 'routing', default: false, value: true, expires });
  writeFileSync(dir.file('flags.yaml'), stringify({ flags: [flag('old_ranking', '2020-01-01'), flag('fresh', '2999-01-01')] }));
  const pool = (id: string, engine: unknown): object => ({
    ...{ id, engine, cluster: 'us-east', region: 'us-east-1', jurisdiction: 'US', accelerator: 'cpu' },
    ...{ model: 'mixtral-micro', version: '1.0.0' },
  });
  const file = dir.file('runtime.yaml');
  writeFileSync(
    file,
    stringify({
      cluster: 'us-east',
      model: { path: microModel(), id: 'mixtral-micro', version: '1.0.0', threads: 1 },
      policy: { bundle },
      identity: { tokens: [{ sha256: createHash('sha256').update(TOKEN).digest('hex'), tenant: 'acme' }] },
      tenants: { acme: { requestsPerSecond: 1000, concurrency: 50 } },
      pools: [
        { ...pool('us-east-cpu', 'local'), load: 'on-demand' },
        pool('us-east-next', { url: upstream, retries: 0 }),
        pool('us-east-gpu', { url: 'http://127.0.0.1:9', retries: 1, circuit: { failures: 1, openMs: 60_000 } }),
      ],
      catalog: { pools: 'pools.yaml', flags: 'flags.yaml' },
      telemetry: { otlp: { file: emitted, metricsIntervalMs: 60_000 }, decisionLog: { mask: ['/input/request/user'] } },
      trace: { mode: 'always' },
    }),
  );
  return file;
}

it('what governed requests leave behind has no finding, on /metrics and over OTLP', async () => {
  await using stub = await startStub(streaming());
  const emitted = dir.file('emitted.jsonl');
  const config = await configure(stub.url, emitted);
  let text: string;
  {
    await using runtime = await startRuntimeProcess(['--config', config]);
    const ask = async (task: string, body: object = {}, headers: Record<string, string> = {}): Promise<number> => {
      const response = await fetch(`${runtime.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}`, 'x-mixgate-task': task, ...headers },
        body: JSON.stringify({ prompt: 'The Congress', max_tokens: 4, ...body }),
      });
      await response.text();
      return response.status;
    };
    expect(await ask('local', {}, { 'x-mixgate-data-class': 'internal', 'x-mixgate-segment': 'en' })).toBe(200);
    for (const user of ['a', 'b', 'c', 'd', 'e', 'f']) expect(await ask('split', { user })).toBe(200);
    for (const task of ['shadow', 'fallback', 'fallback']) expect(await ask(task)).toBe(200);
    const metered = [
      await ask('metered', { max_tokens: 8 }),
      await ask('metered', { max_tokens: 8 }),
      await ask('metered', { max_tokens: 8 }),
    ];
    expect(metered).toContain(429);
    expect([await ask('none'), await ask('broken')]).toEqual([403, 500]);
    text = await (await fetch(`${runtime.url}/metrics`)).text();
  }
  expect(await fleetGate(dir.file('fleet'), 'us-east')(emitted)).toEqual({ code: 0, findings: [] });
  expect(await undeclared(text)).toEqual([]);
  const { points, records, spans } = telemetryOf(readLines(emitted));
  const seen = new Set(points.map((point) => /,(?<name>[a-z_.0-9]+) (?:gauge|sum|histogram) /.exec(point)?.groups?.['name']));
  for (const name of [
    'gen_ai.server.request.duration',
    'gen_ai.server.time_to_first_token',
    'gen_ai.server.time_per_output_token',
    'mixgate.policy.evaluation.duration',
    'mixgate.queue.duration',
    'mixgate.fallbacks',
    'mixgate.engine.cold_start.duration',
    'mixgate.engine.saturation',
    'mixgate.moe.expert.tokens',
    'mixgate.cost',
    'mixgate.price.stale',
    'mixgate.flag.expired',
    'mixgate.split.requests',
    'mixgate.shadow.requests',
    'mixgate.quota.refusals',
    'mixgate.upstream.circuit.state',
  ])
    expect(seen).toContain(name);
  expect(spans.length).toBeGreaterThan(30);
  // A measurement leads to a span that was sent.
  const linked = readLines(emitted).flatMap((line) =>
    [
      ...JSON.stringify(line).matchAll(
        /"asDouble":[\d.e-]+,"spanId":"(?<span>[0-9a-f]{16})","traceId":"(?<trace>[0-9a-f]{32})"/g,
      ),
    ].map((match) => `${match.groups!['trace']},${match.groups!['span']}`),
  );
  expect(linked.length).toBeGreaterThan(0);
  expect(linked.filter((ids) => !spans.some((span) => ids.split(',').every((id) => span.includes(id))))).toEqual([]);
  expect(records.filter((record) => record.includes('mixgate.routing.decision')).length).toBeGreaterThan(10);
});
