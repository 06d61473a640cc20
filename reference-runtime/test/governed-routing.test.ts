// Governed routing as a client and an operator see it: the runtime as a process, upstream servers on real HTTP, a policy built by opa.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RuntimeProcess, startRuntimeProcess } from '../../scripts/lib/runtime-process.ts';
import { sha256 } from '../../src/core/json.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { armOf } from '../src/server/split.ts';
import { wholeLines } from './support/lines.ts';
import { microModel, temporary } from './support/models.ts';
import { metric } from './support/server.ts';
import { type Stub, silent, startStub, streaming } from './support/stub.ts';
import { until } from './support/until.ts';

const dir = temporary();

/** What a request gets is data: its task names a scenario. */
const POLICY = `package routing

default decision := {"allow": false, "rule": "none", "reasons": ["NO_SCENARIO"]}

scenario := data.scenarios[input.request.task]

target(id) := {"cluster": pool.cluster, "pool": id, "model": pool.model, "version": pool.version} if {
	some pool in input.fleet.pools
	pool.id == id
}

ranked := [entry[3] | some entry in sort([[slow(pool), pool.saturation, pool.cost_per_mtok, pool.id] |
	some pool in input.fleet.pools
	pool.id in scenario.rank
])]

default slow(_) := 0

slow(pool) := 1 if pool.p95_ms > 50

chosen := ranked[0] if scenario.rank

else := scenario.pool

split := {"split": {"id": input.request.task, "key": input.request.user, "arms": [arm |
	some id, weight in scenario.weights
	arm := {"id": id, "weight": weight, "target": target(id)}
]}} if scenario.weights

else := {}

shadow := {"shadow": {"target": target(scenario.shadow), "share": 1}} if scenario.shadow

else := {}

decision := object.union(object.union(answer, split), shadow) if scenario

answer := {
	"allow": true,
	"target": target(chosen),
	"fallbacks": [target(id) | some id in scenario.fallbacks],
	"rule": input.request.task,
	"quota": object.get(scenario, "quota", null),
}
`;

const scenarios = (canary: number): object => ({
  plain: { pool: 'stable', fallbacks: [] },
  unpriced: { pool: 'canary', fallbacks: [] },
  cached: { pool: 'cached', fallbacks: [] },
  split: { pool: 'stable', fallbacks: ['stable'], weights: { stable: 100 - canary, canary } },
  broken: { pool: 'down', fallbacks: ['nowhere', 'stable'] },
  shadowed: { pool: 'stable', fallbacks: [], shadow: 'hanging' },
  abroad: { pool: 'stable', fallbacks: [], shadow: 'overseas' },
  busy: { rank: ['small', 'stable'], fallbacks: [] },
  slow: { rank: ['late', 'steady'], fallbacks: [] },
  metered: { pool: 'dripping', fallbacks: [], quota: { tokens_per_minute: 40 } },
  single: { pool: 'dripping', fallbacks: [], quota: { max_concurrency: 1 } },
});

let opa: string;
let runtime: RuntimeProcess;
const stubs = {} as Record<
  'stable' | 'cached' | 'canary' | 'hanging' | 'overseas' | 'small' | 'late' | 'steady' | 'dripping',
  Stub
>;
const log = dir.file('decisions.ndjson');

function buildPolicy(canary: number): void {
  const source = dir.file('policy');
  mkdirSync(source, { recursive: true });
  writeFileSync(`${source}/policy.rego`, POLICY);
  writeFileSync(`${source}/data.json`, JSON.stringify({ scenarios: scenarios(canary) }));
  const target = [
    '-t',
    'wasm',
    '-e',
    'routing/decision',
    '--revision',
    `canary-${canary}`,
    '-b',
    '-o',
    dir.file('bundle.tar.gz'),
  ];
  execFileSync(opa, ['build', ...target, source]);
}

beforeAll(async () => {
  opa = (await resolveTool('opa')).path;
  const whole = streaming();
  const answers = {
    stable: streaming(),
    cached: streaming({ cached: 3 }),
    canary: streaming({ text: 'c' }),
    hanging: silent,
    overseas: streaming(),
    // The second call stays open after a token.
    small: async (response: ServerResponse, call: number) => {
      if (call === 1) await whole(response, call);
      else response.writeHead(200).write('data: {"choices": [{"text": "x", "finish_reason": null}]}\n\n');
    },
    late: async (response: ServerResponse, call: number) => {
      await pause(100);
      await whole(response, call);
    },
    steady: streaming(),
    dripping: streaming({ tokens: 400, gapMs: 20, prompt: 2 }),
  };
  for (const name of Object.keys(answers) as Array<keyof typeof stubs>) stubs[name] = await startStub(answers[name]);
  buildPolicy(20);
  const pool = (id: string, jurisdiction: string, engine: unknown, more: object = {}): object => ({
    ...{ id, cluster: 'c', region: 'r', jurisdiction, accelerator: 'gpu', model: 'mixtral-micro', version: '1.0.0' },
    ...(engine === undefined ? {} : { engine }),
    ...more,
  });
  const upstream = (name: keyof typeof stubs, more: object = {}): object => ({ url: stubs[name].url, retries: 0, ...more });
  writeFileSync(
    dir.file('pools.yaml'),
    `pools:
  - { id: stable, cluster: c, accelerator: gpu, memory: 80GiB, price: { currency: EUR, asOf: "${new Date().toISOString().slice(0, 10)}", perMtokInput: 2, perMtokOutput: 6 } }
  - { id: cached, cluster: c, accelerator: gpu, memory: 80GiB, price: { currency: EUR, asOf: "${new Date().toISOString().slice(0, 10)}", perMtokInput: 2, perMtokCachedInput: 0.5, perMtokOutput: 6 } }
  - { id: dripping, cluster: c, accelerator: gpu, memory: 80GiB, price: { currency: EUR, asOf: "2020-01-01", perMtokInput: 2, perMtokOutput: 6 } }
`,
  );
  writeFileSync(
    dir.file('flags.yaml'),
    `flags:
  - { id: old_ranking, owner: routing, default: false, value: true, expires: "2020-01-01" }
  - { id: fresh, owner: routing, default: 1, value: 2, expires: "2999-01-01" }
`,
  );
  writeFileSync(
    dir.file('runtime.yaml'),
    JSON.stringify({
      cluster: 'c',
      model: { path: microModel(), id: 'mixtral-micro', version: '1.0.0', threads: 1 },
      policy: { bundle: dir.file('bundle.tar.gz') },
      identity: { tokens: ['one', 'two', 'three', 'four'].map((tenant) => ({ sha256: sha256(`token-${tenant}`), tenant })) },
      tenants: { default: {} },
      pools: [
        pool('local', 'EU', 'local'),
        pool('stable', 'EU', upstream('stable')),
        pool('cached', 'EU', upstream('cached')),
        pool('canary', 'EU', upstream('canary')),
        pool('hanging', 'EU', upstream('hanging')),
        pool('overseas', 'US', upstream('overseas')),
        pool('small', 'EU', upstream('small', { concurrency: 1 })),
        pool('late', 'EU', upstream('late')),
        pool('steady', 'EU', upstream('steady'), { saturation: 0.5, p95_ms: 10 }),
        pool('dripping', 'EU', upstream('dripping')),
        pool('down', 'EU', { url: 'http://127.0.0.1:9', retries: 0 }),
        pool('nowhere', 'EU', undefined),
      ],
      catalog: { pools: 'pools.yaml', flags: 'flags.yaml' },
      shadow: { concurrency: 2, deadlineMs: 6000 },
      telemetry: { decisionLog: { file: log, mask: ['/input/request/user', '/result/split/key', '/custom/tokens'] } },
    }),
  );
  runtime = await startRuntimeProcess(['--config', dir.file('runtime.yaml')]);
});
afterAll(async () => {
  await runtime?.[Symbol.asyncDispose]();
  for (const stub of Object.values(stubs)) await stub[Symbol.asyncDispose]();
  dir.remove();
});

interface Answer {
  usage: { total_tokens: number };
  mixgate: {
    target: { pool: string };
    fallback: string | null;
    split?: { id: string; arm: string };
    cost: { amount: number; currency: string; price: string; asOf: string } | null;
    decision_id: string;
  };
}

function post(task: string, body: object = {}, tenant = 'one', signal?: AbortSignal): Promise<Response> {
  return fetch(`${runtime.url}/v1/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer token-${tenant}`,
      'x-mixgate-task': task,
      'x-mixgate-include': 'timings',
    },
    body: JSON.stringify({ model: 'mixtral-micro', prompt: 'hello', max_tokens: 8, ...body }),
    ...(signal === undefined ? {} : { signal }),
  });
}

async function ask(task: string, body: object = {}): Promise<Answer> {
  const response = await post(task, body);
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return JSON.parse(text) as Answer;
}

const metrics = async (): Promise<string> => await (await fetch(`${runtime.url}/metrics`)).text();

interface Line {
  decision_id: string;
  trace_id: string;
  input: { request: Record<string, unknown>; fleet: { pools: Array<Record<string, unknown>> }; flags: object };
  result: { split?: object };
  erased?: string[];
  custom?: Record<string, unknown>;
}

/** The decision log's line of a decision, once it is written. */
async function logged(id: string): Promise<Line> {
  const find = (): Line | undefined => wholeLines<Line>(log).find((line) => line.decision_id === id);
  await until(() => find() !== undefined);
  return find() as Line;
}

const users = Array.from({ length: 60 }, (_, index) => `user-${index}`);
const armsOf = async (list: string[]): Promise<Record<string, string>> => {
  const arms: Record<string, string> = {};
  for (const user of list) {
    const { mixgate } = await ask('split', { user });
    expect(mixgate.target.pool).toBe(mixgate.split?.arm);
    arms[user] = mixgate.split?.arm as string;
  }
  return arms;
};

describe('weighted splits', () => {
  const expected = (user: string, canary: number): string | undefined =>
    armOf({
      id: 'split',
      key: user,
      arms: [
        ['stable', 100 - canary],
        ['canary', canary],
      ].map(([id, weight]) => ({ id: String(id), weight: Number(weight), target: {} as never })),
    })?.id;

  it('keep a user on an arm, move only what a changed weight moves, and change with the policy alone', async () => {
    const first = await armsOf(users);
    expect(new Set(Object.values(first))).toEqual(new Set(['stable', 'canary']));
    expect(first).toEqual(Object.fromEntries(users.map((user) => [user, expected(user, 20)])));
    expect(await armsOf(users.slice(0, 10))).toEqual(Object.fromEntries(Object.entries(first).slice(0, 10)));
    buildPolicy(50);
    runtime.signal('SIGHUP');
    await until(async () => (await metrics()).includes('mixgate_policy_revision="canary-50"'));
    const second = await armsOf(users);
    expect(second).toEqual(Object.fromEntries(users.map((user) => [user, expected(user, 50)])));
    for (const user of users) if (first[user] === 'canary') expect(second[user]).toBe('canary');
    const text = await metrics();
    const arm = (id: string): number => metric(text, 'mixgate_split_requests_total', `mixgate_split_arm="${id}"`) ?? 0;
    expect(arm('stable') + arm('canary')).toBe(130);
  });

  it('are in the decision log with the key masked', async () => {
    const { mixgate } = await ask('split', { user: 'user-7' });
    const line = await logged(mixgate.decision_id);
    expect(line.custom).toMatchObject({ split: mixgate.split, target: { pool: mixgate.target.pool }, fallback: null });
    expect(line.erased).toEqual(['/input/request/user', '/result/split/key', '/custom/tokens']);
    expect(JSON.stringify(line)).not.toContain('user-7');
    expect(line.trace_id).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('fallbacks', () => {
  it('answer with a reason code and are counted once, where they answer', async () => {
    const { mixgate } = await ask('broken');
    expect(mixgate).toMatchObject({ target: { pool: 'stable' }, fallback: 'UPSTREAM_ERROR' });
    expect(metric(await metrics(), 'mixgate_fallbacks_total', 'mixgate_reason="UPSTREAM_ERROR"')).toBe(1);
    expect((await logged(mixgate.decision_id)).custom).toMatchObject({ fallback: 'UPSTREAM_ERROR', target: { pool: 'stable' } });
  });
});

describe('shadow traffic', () => {
  it('is sent beside the answer, bounded, cut when it is slow, and on nobody’s bill', async () => {
    const tokens = async (): Promise<number | undefined> => metric(await metrics(), 'mixgate_tokens_total', '"one"', '"input"');
    const before = (await tokens()) ?? 0;
    const answers = [];
    for (let index = 0; index < 5; index++) answers.push(await ask('shadowed'));
    // Five answers, while the copies hang: two were sent, the others dropped.
    expect(stubs.hanging.calls).toHaveLength(2);
    expect(stubs.hanging.calls[0]?.headers).toMatchObject({ 'x-mixgate-shadow': 'true', 'x-mixgate-tenant': 'one' });
    expect(stubs.hanging.calls[0]?.body).toMatchObject({ prompt: 'hello', max_tokens: 8 });
    expect(metric(await metrics(), 'mixgate_shadow_dropped_total', 'CAPACITY')).toBe(3);
    const outcomes = await Promise.all(
      answers.map(async ({ mixgate }) => (await logged(mixgate.decision_id)).custom?.['shadow']),
    );
    expect(outcomes).toEqual(
      ['SENT', 'SENT', 'CAPACITY', 'CAPACITY', 'CAPACITY'].map((outcome) => ({ pool: 'hanging', outcome })),
    );
    await until(async () => metric(await metrics(), 'mixgate_shadow_requests_total', '"timed_out"', '"hanging"') === 2);
    expect(stubs.hanging.calls.every((call) => call.cut)).toBe(true);
    // Each answer has 5 prompt tokens, as the server that answered says.
    expect((await tokens()) ?? 0).toBe(before + 25);
    expect(JSON.stringify(answers)).not.toContain('hanging');
  });

  it('never leaves the jurisdiction, even when the policy says so', async () => {
    const { mixgate } = await ask('abroad');
    expect((await logged(mixgate.decision_id)).custom?.['shadow']).toEqual({ pool: 'overseas', outcome: 'JURISDICTION' });
    expect(metric(await metrics(), 'mixgate_shadow_dropped_total', 'JURISDICTION')).toBe(1);
    expect(stubs.overseas.calls).toEqual([]);
  });
});

describe('what the policy is told of pools', () => {
  it('is how busy they are: a full pool is passed over', async () => {
    const free = await ask('busy');
    // Ranked by saturation, cost, id: `small` is free and has no price.
    expect(free.mixgate.target.pool).toBe('small');
    const stop = new AbortController();
    const held = await post('busy', { stream: true }, 'two', stop.signal);
    const full = await ask('busy');
    expect(full.mixgate.target.pool).toBe('stable');
    const pools = (await logged(full.mixgate.decision_id)).input.fleet.pools;
    expect(pools.find(({ id }) => id === 'small')).toMatchObject({ saturation: 1, queue: 0 });
    expect(metric(await metrics(), 'mixgate_pool_saturation_ratio', '"small"')).toBe(1);
    stop.abort();
    await held.text().catch(() => undefined);
    await until(async () => metric(await metrics(), 'mixgate_pool_saturation_ratio', '"small"') === 0);
  });

  it('is how long first tokens take: a pool that got slow is passed over', async () => {
    const chosen: string[] = [];
    for (let index = 0; index < 22; index++) chosen.push((await ask('slow')).mixgate.target.pool);
    expect(chosen.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 'late'));
    await pause(300);
    const { mixgate } = await ask('slow');
    expect(mixgate.target.pool).toBe('steady');
    const pools = (await logged(mixgate.decision_id)).input.fleet.pools;
    expect(pools.find(({ id }) => id === 'late')?.['p95_ms']).toBeGreaterThanOrEqual(100);
    expect(metric(await metrics(), 'mixgate_pool_first_token_p95_seconds', '"late"')).toBeGreaterThanOrEqual(0.1);
  });

  it('is what such a request costs, and flags with the expired ones at their default', async () => {
    const { mixgate } = await ask('plain', { max_tokens: 6, prompt: 'eight ch' });
    const { input, custom } = await logged(mixgate.decision_id);
    // 2 prompt tokens at 2 and 6 at 6 a million.
    expect(input.fleet.pools.find(({ id }) => id === 'stable')?.['cost_per_mtok']).toBe(5);
    expect(input.flags).toEqual({ old_ranking: false, fresh: 2 });
    expect(custom?.['expired_flags']).toEqual(['old_ranking']);
    const text = await metrics();
    expect(metric(text, 'mixgate_flag_expired', '"old_ranking"')).toBe(1);
    expect(metric(text, 'mixgate_flag_expired', '"fresh"')).toBe(0);
  });
});

describe('cost', () => {
  it('is in header, body, log and metrics', async () => {
    const response = await post('plain', {}, 'three');
    const { mixgate } = (await response.json()) as Answer;
    // 5 prompt tokens and 3 of an answer.
    expect(mixgate.cost).toEqual({
      amount: 0.000028,
      currency: 'EUR',
      price: 'current',
      asOf: new Date().toISOString().slice(0, 10),
    });
    expect(response.headers.get('x-mixgate-cost')).toMatch(/^0\.000028000 EUR; price=current; as-of=\d{4}-\d\d-\d\d$/);
    expect((await logged(mixgate.decision_id)).custom?.['cost']).toEqual(mixgate.cost);
    const labels = ['mixgate_tenant="three"', 'gen_ai_response_model="mixtral-micro"', 'price_state="current"'];
    expect(metric(await metrics(), 'mixgate_cost_total', ...labels)).toBeCloseTo(0.000028, 12);
  });

  it('of a prompt that the server had in its cache is what that costs, and the client sees how much it was', async () => {
    const answer = (await (await post('cached', {}, 'two')).json()) as Answer;
    expect(answer.usage).toMatchObject({ prompt_tokens: 5, prompt_tokens_details: { cached_tokens: 3 } });
    // 2 prompt tokens at 2, 3 at 0.5 and 3 of an answer at 6 per million.
    expect(answer.mixgate.cost?.amount).toBeCloseTo(0.0000235, 12);
    expect((await logged(answer.mixgate.decision_id)).custom).toMatchObject({ cost: answer.mixgate.cost });
    expect(metric(await metrics(), 'mixgate_cost_total', 'mixgate_tenant="two"')).toBeCloseTo(0.0000235, 12);
  });

  it('without a price is none, and counted', async () => {
    const { mixgate } = await ask('unpriced');
    expect(mixgate.cost).toBeNull();
    expect(metric(await metrics(), 'mixgate_cost_unpriced_total', '"canary"')).toBeGreaterThanOrEqual(1);
  });
});

describe('quotas from the decision', () => {
  const client = (tenant: string): OpenAI =>
    new OpenAI({
      baseURL: `${runtime.url}/v1`,
      apiKey: `token-${tenant}`,
      maxRetries: 0,
      defaultHeaders: { 'x-mixgate-task': 'metered' },
    });
  const parameters = { model: 'mixtral-micro', prompt: 'hello', max_tokens: 30 };

  it('charge a cancelled stream for what came, at a stale price that says so, and refuse beyond the window', async () => {
    const openai = client('four');
    const stream = await openai.completions.create({ ...parameters, stream: true });
    let read = 0;
    for await (const chunk of stream) if (chunk.choices.length > 0 && ++read === 5) break;
    stream.controller.abort();
    await until(async () => (metric(await metrics(), 'mixgate_quota_use_ratio', '"four"', '"concurrency"') ?? 0) === 0);
    await until(async () => (metric(await metrics(), 'mixgate_cost_total', '"four"', 'price_state="stale"') ?? 0) > 0);
    const text = await metrics();
    expect(metric(text, 'mixgate_price_stale', '"dripping"')).toBe(1);
    expect(metric(text, 'mixgate_price_stale', '"stable"')).toBe(0);
    // At least what was read and the estimate of the prompt; less than the 32 reserved.
    const used = (metric(text, 'mixgate_quota_use_ratio', '"four"', '"tokens"') as number) * 40;
    expect(used).toBeGreaterThanOrEqual(7);
    expect(used).toBe((metric(text, 'mixgate_tokens_total', '"four"', '"output"') as number) + 2);
    // A second stream holds its reservation: a third has no room.
    const second = await openai.completions
      .create({ ...parameters, max_tokens: 38, stream: true })
      .catch((error: unknown) => error);
    expect(second).toBeInstanceOf(OpenAI.RateLimitError);
    const { status, code, type, headers } = second as InstanceType<typeof OpenAI.RateLimitError>;
    expect([status, code, type]).toEqual([429, 'tokens_exceeded', 'rate_limit_error']);
    const wait = Number((headers as Headers).get('retry-after'));
    expect(wait).toBeGreaterThanOrEqual(1);
    expect(wait).toBeLessThanOrEqual(61);
    expect(metric(await metrics(), 'mixgate_quota_refusals_total', '"four"', '"tokens"')).toBe(1);
  });

  it('bound requests at the same time', async () => {
    const stop = new AbortController();
    const held = await post('single', { stream: true, max_tokens: 300 }, 'three', stop.signal);
    const refused = await post('single', {}, 'three');
    expect([refused.status, ((await refused.json()) as { error: { code: string } }).error.code]).toEqual([
      429,
      'concurrency_exceeded',
    ]);
    expect(refused.headers.get('retry-after')).toBe('1');
    stop.abort();
    await held.text().catch(() => undefined);
    await until(async () => (await post('plain', {}, 'three')).status === 200);
  });
});
