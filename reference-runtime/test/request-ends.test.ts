// However a request ends, what it held is free again: its place in the tenant's quota, in the pool, in the queue, and the tokens reserved.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { resolveTool } from '../../src/tools/resolve.ts';
import { SHIPPED_MODEL } from '../src/config/dev.ts';
import type { PoolConfig } from '../src/config/types.ts';
import { mulberry32 } from '../src/gguf/random.ts';
import { temporary } from './support/models.ts';
import { metric, startServer, type TestServer } from './support/server.ts';
import { chunk, type Stub, type StubAnswer, silent, startStub, streaming } from './support/stub.ts';

const dir = temporary();
let server: TestServer;
const stubs: Stub[] = [];

/** A request's task names the pool; what is not a pool is refused, conflicts or has no decision. */
const POLICY = `package routing

target(id) := {"cluster": pool.cluster, "pool": id, "model": pool.model, "version": pool.version} if {
	some pool in input.fleet.pools
	pool.id == id
}

decision := {"allow": true, "target": target(input.request.task), "fallbacks": [target("whole") | input.request.priority == "high"],
	"shadow": {"target": target("hanging"), "share": 1}, "quota": {"max_concurrency": 64, "tokens_per_minute": 1000000}} if target(input.request.task)

decision := {"allow": false} if input.request.task == "denied"

decision := {"allow": false} if input.request.task == "conflict"

decision := {"allow": false, "rule": "other"} if input.request.task == "conflict"

decision := {"allow": true, "target": {"pool": "x"}} if input.request.task == "malformed"
`;

const half: StubAnswer = (response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(chunk({ choices: [{ text: 'x', finish_reason: null }] }));
  setTimeout(() => response.destroy(), 5);
};
const answers: Record<string, StubAnswer> = {
  whole: streaming(),
  dripping: streaming({ tokens: 40, gapMs: 5 }),
  half,
  failing: (response) => void response.writeHead(500).end('{}'),
  refusing: (response) => void response.writeHead(400).end('{"error": {"message": "no"}}'),
  closing: (response) => void response.destroy(),
  babbling: (response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: {no\n\n'),
  hanging: silent,
};

beforeAll(async () => {
  const source = dir.file('policy');
  mkdirSync(source);
  writeFileSync(`${source}/policy.rego`, POLICY);
  const archive = dir.file('bundle.tar.gz');
  execFileSync((await resolveTool('opa')).path, ['build', '-t', 'wasm', '-e', 'routing/decision', '-b', '-o', archive, source]);
  const pool = (id: string, engine: PoolConfig['engine']): PoolConfig => ({
    ...{ id, cluster: 'c', region: 'r', jurisdiction: 'EU', accelerator: 'cpu', model: 'mixtral-micro', version: '1.0.0' },
    ...{ saturation: 0, queue: 0, p95_ms: 0, cost_per_mtok: 0, warm: true },
    ...(engine === undefined ? {} : { engine }),
  });
  const pools = [pool('local', 'local'), pool('nowhere', undefined)];
  for (const [id, answer] of Object.entries(answers)) {
    const stub = await startStub(answer);
    stubs.push(stub);
    pools.push(pool(id, { url: stub.url, retries: 1, firstByteMs: 1000, circuit: { failures: 1000 } }));
  }
  server = await startServer(SHIPPED_MODEL, (config) => {
    config.policy = { sources: [{ name: 'file', bundle: archive }], entrypoint: 'routing/decision', pollSeconds: 0 };
    config.pools = pools;
    config.tenants = { default: { concurrency: 16 } };
    config.limits.deadlineMs = 350;
    config.limits.queue = 4;
    config.shadow = { concurrency: 3, deadlineMs: 300 };
  });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  for (const stub of stubs) await stub[Symbol.asyncDispose]();
  dir.remove();
});

it('a place in quota, pool and queue is free again, and tokens are those that were used', async () => {
  const random = mulberry32(11);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const tasks = [...Object.keys(answers), 'local', 'local', 'nowhere', 'denied', 'conflict', 'malformed', 'undefined'];
  const bodies: Array<(task: string) => unknown> = [
    (stream) => ({ model: 'mixtral-micro', prompt: 'The', max_tokens: 12, stream: stream.length % 2 === 0 }),
    () => ({ model: 'mixtral-micro', prompt: 'The', max_tokens: 12, stream: true }),
    () => ({ model: 'mixtral-micro', prompt: 'The Congress', max_tokens: 300 }),
  ];
  const broken: unknown[] = [
    '{',
    { model: 'unknown', prompt: 'x' },
    { model: 'mixtral-micro', prompt: 'x', n: 9 },
    { prompt: 5 },
  ];
  const statuses = new Map<number | string, number>();
  const one = async (): Promise<void> => {
    const task = pick(tasks);
    const body = random() < 0.1 ? pick(broken) : pick(bodies)(task);
    const controller = new AbortController();
    const leaves = random() < 0.35 ? setTimeout(() => controller.abort(), random() * 120) : undefined;
    const headers = { 'x-mixgate-task': task, 'x-mixgate-priority': pick(['high', 'low']) };
    let ended: number | string = 'left';
    try {
      const response = await server.post('/v1/completions', body, headers, controller.signal);
      await response.text();
      ended = response.status;
    } catch {
      // Left, or the stream was cut.
    }
    clearTimeout(leaves);
    statuses.set(ended, (statuses.get(ended) ?? 0) + 1);
  };
  for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 40 }, one));
  // Every way to end was among them.
  for (const ended of [200, 400, 403, 404, 429, 500, 503, 504, 'left'])
    expect([ended, (statuses.get(ended) ?? 0) > 0]).toEqual([ended, true]);

  const { runtime } = server;
  await expect
    .poll(() => [runtime.inFlight, runtime.shadows.running, runtime.admission.running, runtime.admission.waiting], {
      timeout: 20_000,
    })
    .toEqual([0, 0, 0, 0]);
  const use = Object.fromEntries(runtime.quotas.use(performance.now()).map(({ kind, ratio }) => [kind, ratio]));
  expect(use['concurrency']).toBe(0);
  expect([...runtime.pools].filter(([, state]) => state.running !== 0)).toEqual([]);
  expect(runtime.cuts.size).toBe(0);
  // What metrics say was used is what the quota holds: nothing stays reserved.
  const text = await (await server.get('/metrics')).text();
  const counted = ['input', 'output'].map((kind) => metric(text, 'mixgate_tokens_total', `gen_ai_token_type="${kind}"`) ?? 0);
  expect(Math.min(...counted)).toBeGreaterThan(100);
  expect(use['tokens']! * 1_000_000).toBeCloseTo(counted[0]! + counted[1]!, 6);
});
