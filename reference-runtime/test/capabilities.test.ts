// Requests that only some pools can serve: what they require, where they go, and that nothing of them is lost on the way there and back. By the
// official client, against this runtime in front of an OpenAI-compatible server.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveTool } from '../../src/tools/resolve.ts';
import type { PoolConfig } from '../src/config/types.ts';
import { wholeLines } from './support/lines.ts';
import { microModel, temporary } from './support/models.ts';
import { metric, startServer, type TestServer } from './support/server.ts';
import type { Stub } from './support/stub.ts';
import { CALLING, CALLS, startToolServer, USAGE } from './support/tool-server.ts';

const dir = temporary();
const decisions = dir.file('decisions.ndjson');
const spans = dir.file('spans.ndjson');
let stub: Stub;
let server: TestServer;
let client: OpenAI;

/** The local pool first, as the policy is told, then an upstream that is fuller. */
function pools(config: { pools: PoolConfig[] }, more: Partial<PoolConfig> = {}): void {
  const [local] = config.pools as [PoolConfig];
  config.pools = [local, { ...local, id: 'z-upstream', saturation: 9, engine: { url: stub.url, retries: 0 }, ...more }];
}

beforeAll(async () => {
  stub = await startToolServer();
  server = await startServer(microModel(), (config) => {
    pools(config);
    config.telemetry.decisionLog = { file: decisions, mask: [] };
    config.telemetry.traces.file = spans;
  });
  client = new OpenAI({
    baseURL: `${server.url}/v1`,
    apiKey: 'unused',
    maxRetries: 0,
    defaultHeaders: { 'x-mixgate-include': 'timings' },
  });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await stub?.[Symbol.asyncDispose]();
  dir.remove();
});

const WEATHER = {
  type: 'function' as const,
  function: {
    name: 'weather',
    description: 'The weather of a city, SECRET-DESCRIPTION',
    parameters: { type: 'object', properties: { city: { type: 'string', pattern: '^[A-Z]' } }, required: ['city'] },
  },
};
const ASK = { role: 'user' as const, content: 'How is the weather? SECRET-QUESTION' };
const MODEL = { model: 'mixtral-micro', max_tokens: 50 };
const lastBody = (): Record<string, unknown> => stub.calls.at(-1)?.body ?? {};
type Mixgate = { mixgate: { target: { pool: string }; fallback: string | null; passed_over?: object[]; decision_id: string } };

describe('tools through an upstream pool', () => {
  it('comes back whole where it is not streamed, with the reason of the fallback', async () => {
    const wanted = { ...MODEL, messages: [ASK], tools: [WEATHER], tool_choice: 'auto' as const, parallel_tool_calls: true };
    const answer = await client.chat.completions.create(wanted);
    const [choice] = answer.choices;
    expect(choice?.finish_reason).toBe('tool_calls');
    expect(choice?.message).toEqual({
      role: 'assistant',
      content: 'Let me look.',
      refusal: null,
      reasoning_content: 'Two cities, two calls.',
      tool_calls: CALLS,
    });
    expect(answer.usage).toEqual({ ...USAGE, total_tokens: 43 });
    expect((answer as unknown as Mixgate).mixgate).toMatchObject({
      target: { pool: 'z-upstream' },
      fallback: 'POOL_INCAPABLE',
      passed_over: [{ pool: 'dev-cpu', missing: ['tools'] }],
    });
    const { tools, tool_choice, parallel_tool_calls, messages } = lastBody();
    expect({ tools, tool_choice, parallel_tool_calls, messages }).toEqual({
      tools: [WEATHER],
      tool_choice: 'auto',
      parallel_tool_calls: true,
      messages: [ASK],
    });
  });

  it('streams every piece in its place', async () => {
    const stream = await client.chat.completions.create({
      ...MODEL,
      messages: [ASK],
      tools: [WEATHER],
      stream: true,
      stream_options: { include_usage: true },
    });
    const deltas: object[] = [];
    let reason: string | null | undefined;
    let usage: unknown;
    for await (const part of stream) {
      const [choice] = part.choices;
      usage = part.usage ?? usage;
      if (choice === undefined) continue;
      if (Object.keys(choice.delta).length > 0) deltas.push(choice.delta);
      reason = choice.finish_reason ?? reason;
    }
    const [, first, ...rest] = CALLING;
    // The first piece has the role, as OpenAI's has.
    expect(deltas).toEqual([{ role: 'assistant', content: null, ...first }, ...rest]);
    expect(reason).toBe('tool_calls');
    expect(usage).toEqual({ ...USAGE, total_tokens: 43 });
  });

  it("the client's own accumulator has the same message", async () => {
    const stream = client.chat.completions.stream({ ...MODEL, messages: [ASK], tools: [WEATHER] });
    const { choices } = await stream.finalChatCompletion();
    expect(choices[0]?.finish_reason).toBe('tool_calls');
    expect(choices[0]?.message.content).toBe('Let me look.');
    expect(
      choices[0]?.message.tool_calls?.map(({ id, type, ...call }) => ({
        id,
        type,
        function: { ...('function' in call ? call.function : {}) },
      })),
    ).toMatchObject(CALLS);
  });

  it.each([false, true])('runTools goes the whole round (stream: %s)', async (stream) => {
    const asked: string[] = [];
    const tool = {
      type: 'function' as const,
      function: {
        ...WEATHER.function,
        parse: (text: string): { city: string } => JSON.parse(text) as { city: string },
        function: ({ city }: { city: string }): string => {
          asked.push(city);
          return `SECRET-RESULT of ${city}`;
        },
      },
    };
    const runner = stream
      ? client.chat.completions.runTools({ ...MODEL, messages: [ASK], tools: [tool], stream: true })
      : client.chat.completions.runTools({ ...MODEL, messages: [ASK], tools: [tool] });
    expect(await runner.finalContent()).toBe('call_a: SECRET-RESULT of Zürich, call_b: SECRET-RESULT of Bern');
    expect(asked).toEqual(['Zürich', 'Bern']);
    expect(lastBody()['messages']).toMatchObject([
      ASK,
      { role: 'assistant', content: 'Let me look.', tool_calls: CALLS },
      { role: 'tool', tool_call_id: 'call_a', content: 'SECRET-RESULT of Zürich' },
      { role: 'tool', tool_call_id: 'call_b', content: 'SECRET-RESULT of Bern' },
    ]);
  });

  it('is told to the policy, and leaves its reason and none of its content in log, spans and metrics', async () => {
    const answer = (await client.chat.completions.create({ ...MODEL, messages: [ASK], tools: [WEATHER] })) as unknown as Mixgate;
    const id = answer.mixgate.decision_id;
    interface Line {
      decision_id: string;
      input: { request: object; fleet: { pools: object[] } };
      custom: object;
    }
    const find = (): Line | undefined => wholeLines<Line>(decisions).find((line) => line.decision_id === id);
    await expect.poll(find, { timeout: 5000 }).toBeDefined();
    const line = find();
    expect(line?.input.request).toMatchObject({ requires: ['tools'] });
    expect(line?.input.fleet.pools).toMatchObject([{ id: 'dev-cpu', cannot_serve: ['tools'] }, { id: 'z-upstream' }]);
    expect(line?.input.fleet.pools[1]).not.toHaveProperty('cannot_serve');
    expect(line?.custom).toMatchObject({
      target: { pool: 'z-upstream' },
      fallback: 'POOL_INCAPABLE',
      passed_over: [{ pool: 'dev-cpu', missing: ['tools'], reason: 'POOL_INCAPABLE' }],
    });
    const exposed = await (await server.get('/metrics')).text();
    expect(metric(exposed, 'mixgate_fallbacks_total', '"POOL_INCAPABLE"')).toBeGreaterThan(0);
    await expect.poll(() => readFileSync(spans, 'utf8'), { timeout: 5000 }).toContain(id);
    const traced = readFileSync(spans, 'utf8');
    for (const name of ['mixgate.request.requires', 'mixgate.pools.passed_over', 'POOL_INCAPABLE'])
      expect(traced).toContain(name);
    const all = [readFileSync(decisions, 'utf8'), traced, exposed, server.logs.join('\n')].join('\n');
    expect(all).not.toMatch(/SECRET|Zürich|pattern/);
  });

  it('passes on what OpenAI keeps books by, sampling that is asked for, and nothing that is not', async () => {
    const books = { user: 'u-1', metadata: { a: 'b' }, store: false, safety_identifier: 's-1', service_tier: 'flex' as const };
    const sampling = { frequency_penalty: 0.5, presence_penalty: -0.5, logit_bias: { 5: -100 }, top_k: 40, min_p: 0.05 };
    await client.chat.completions.create({
      ...MODEL,
      ...books,
      ...sampling,
      messages: [ASK],
      tools: [WEATHER],
      reasoning_effort: 'low',
    });
    expect(lastBody()).toMatchObject({ ...books, ...sampling, reasoning_effort: 'low' });
    await client.chat.completions.create({ ...MODEL, messages: [ASK], tools: [WEATHER] });
    expect(Object.keys(lastBody()).sort()).toEqual(
      ['max_tokens', 'messages', 'model', 'stream', 'stream_options', 'temperature', 'tools', 'top_p'].sort(),
    );
  });

  it('passes on a schema that only another server enforces, as the client wrote it', async () => {
    const wanted = { name: 'city', strict: false, description: 'A city', schema: { type: 'string', pattern: '^[A-Z]' } };
    const answer = await client.chat.completions.create({
      ...MODEL,
      messages: [ASK],
      response_format: { type: 'json_schema', json_schema: wanted },
    });
    expect((answer as unknown as Mixgate).mixgate).toMatchObject({
      passed_over: [{ pool: 'dev-cpu', missing: ['json_schema_full'] }],
    });
    expect(lastBody()['response_format']).toEqual({ type: 'json_schema', json_schema: wanted });
  });

  it('serves what both pools serve where the policy says', async () => {
    const calls = stub.calls.length;
    const answer = await client.chat.completions.create({
      ...MODEL,
      messages: [{ role: 'user', content: 'Hi' }],
      frequency_penalty: 1,
      logit_bias: { 5: 1 },
    });
    expect((answer as unknown as Mixgate).mixgate).toMatchObject({ target: { pool: 'dev-cpu' }, fallback: null });
    expect(stub.calls).toHaveLength(calls);
  });
});

const IMAGE = {
  type: 'image_url' as const,
  image_url: { url: `data:image/png;base64,${'A'.repeat(40_000)}`, detail: 'low' as const },
};
const PICTURE = { role: 'user' as const, content: [{ type: 'text' as const, text: 'What is this?' }, IMAGE] };

describe('what no pool serves', () => {
  it('is refused with the parameter, each pool and what to do', async () => {
    const before = stub.calls.length;
    const failure = client.chat.completions.create({ ...MODEL, messages: [PICTURE], tools: [WEATHER] });
    await expect(failure).rejects.toMatchObject({
      status: 400,
      type: 'invalid_request_error',
      code: 'unsupported_parameter',
      param: 'messages.0.content.1.type',
      message: expect.stringMatching(
        /dev-cpu does not serve tools, image_input; z-upstream does not serve image_input\. Send it without, or let the policy .*capabilities/,
      ),
    });
    expect(stub.calls).toHaveLength(before);
    const exposed = await (await server.get('/metrics')).text();
    expect(metric(exposed, 'mixgate_rejections_total', '"model"', '"unsupported_parameter"')).toBe(1);
    const refused = (): unknown => wholeLines<{ custom?: { passed_over?: object[]; target?: object } }>(decisions).at(-1)?.custom;
    await expect.poll(refused, { timeout: 5000 }).toEqual({
      passed_over: [
        { pool: 'dev-cpu', missing: ['tools', 'image_input'], reason: 'POOL_INCAPABLE' },
        { pool: 'z-upstream', missing: ['image_input'], reason: 'POOL_INCAPABLE' },
      ],
    });
  });

  it('is served where the configuration says so, an image counted as one and not as its text', async () => {
    await using other = await startServer(microModel(), (config) => {
      pools(config, { capabilities: { image_input: true, tools: false } });
      config.tenants = { dev: { tokensPerMinute: 1200 } };
    });
    const ask = (body: object): Promise<Response> => other.post('/v1/chat/completions', { ...MODEL, ...body });
    // 41,000 characters would be 10,000 tokens: above the limit, which lets in only the first.
    const answers = [await ask({ messages: [PICTURE] }), await ask({ messages: [PICTURE], max_tokens: 20 })];
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(lastBody()['messages']).toEqual([PICTURE]);
    const long = { messages: [{ role: 'user', content: 'x'.repeat(5000) }] };
    const statusOf = async (body: object): Promise<number> => (await ask(body)).status;
    // What nobody serves is refused before its tokens are reserved: they would be too many.
    expect([await statusOf(long), await statusOf({ ...long, tools: [WEATHER] })]).toEqual([429, 400]);
  });
});

const POLICY = `package routing

able := [target(pool) | some pool in input.fleet.pools; not pool.cannot_serve]

target(pool) := {"cluster": pool.cluster, "pool": pool.id, "model": pool.model, "version": pool.version}

by_id(id) := [target(pool) | some pool in input.fleet.pools; pool.id == id][0]

answer := {"allow": true, "target": able[0], "rule": concat(",", input.request.requires)}

decision := object.union(answer, {"shadow": {"target": by_id("z-upstream"), "share": 1}}) if input.request.task == "copied"

else := object.union(answer, {"split": {"id": "s", "key": "k", "arms": [{"id": "a", "weight": 1, "target": by_id("dev-cpu")}]}}) if input.request.task == "split"

else := answer
`;

describe('a policy that looks at cannot_serve', () => {
  let front: TestServer;
  const log = dir.file('routed.ndjson');
  beforeAll(async () => {
    const folder = dir.file('policy');
    mkdirSync(folder);
    writeFileSync(`${folder}/policy.rego`, POLICY);
    const { path: opa } = await resolveTool('opa');
    const bundle = dir.file('bundle.tar.gz');
    execFileSync(opa, ['build', '-t', 'wasm', '-e', 'routing/decision', '-b', '-o', bundle, folder]);
    front = await startServer(microModel(), (config) => {
      pools(config);
      const [, upstream] = config.pools as [PoolConfig, PoolConfig];
      config.pools.push({ ...upstream, id: 'zz-vision', capabilities: { image_input: true } });
      config.policy.sources = [{ name: 'test', bundle }];
      config.telemetry.decisionLog = { file: log, mask: [] };
    });
  });
  afterAll(() => front[Symbol.asyncDispose]());

  type Custom = { target: { pool: string }; fallback: string | null; shadow?: { outcome: string }; passed_over?: object[] };
  const routed = async (body: object, task = 'plain'): Promise<Custom> => {
    const headers = { 'x-mixgate-task': task };
    const response = await front.post(
      '/v1/chat/completions',
      { ...MODEL, messages: [{ role: 'user', content: 'Hi' }], ...body },
      headers,
    );
    expect(response.status, await response.clone().text()).toBe(200);
    const id = response.headers.get('x-mixgate-decision-id');
    const find = (): Custom | undefined =>
      wholeLines<{ decision_id: string; custom: Custom }>(log).find((line) => line.decision_id === id)?.custom;
    await expect.poll(find, { timeout: 5000 }).toBeDefined();
    return find() as Custom;
  };

  it.each<[string, object, string]>([
    ['nothing in particular', {}, 'dev-cpu'],
    ['penalties', { presence_penalty: 1 }, 'dev-cpu'],
    ['tools', { tools: [WEATHER] }, 'z-upstream'],
    ['an image', { messages: [PICTURE] }, 'zz-vision'],
    ['an image and tools', { messages: [PICTURE], tools: [WEATHER] }, 'zz-vision'],
  ])('%s goes where it is served, and is no fallback', async (_name, body, pool) => {
    const custom = await routed(body);
    expect(custom).toMatchObject({ target: { pool }, fallback: null });
    expect(custom).not.toHaveProperty('passed_over');
  });

  it('a copy is not sent to a pool that cannot serve it', async () => {
    expect(await routed({ messages: [PICTURE] }, 'copied')).toMatchObject({
      shadow: { pool: 'z-upstream', outcome: 'POOL_INCAPABLE' },
    });
    const exposed = await (await front.get('/metrics')).text();
    expect(metric(exposed, 'mixgate_shadow_dropped_total', '"POOL_INCAPABLE"')).toBe(1);
  });

  it('an arm that cannot serve is stood in for by the target', async () => {
    expect(await routed({ tools: [WEATHER] }, 'split')).toMatchObject({
      split: { arm: 'a' },
      target: { pool: 'z-upstream' },
      fallback: 'POOL_INCAPABLE',
      passed_over: [{ pool: 'dev-cpu', missing: ['tools'], reason: 'POOL_INCAPABLE' }],
    });
  });
});
