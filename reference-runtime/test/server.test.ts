import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { LlamaEngine } from '../src/engine/llama-engine.ts';
import { wholeLines } from './support/lines.ts';
import { microModel, randomModel, temporary } from './support/models.ts';
import { metric, startServer, type TestServer } from './support/server.ts';
import { until } from './support/until.ts';

const dir = temporary();
afterAll(dir.remove);

interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string };
}
interface CompletionBody {
  id: string;
  object: string;
  model: string;
  choices: Array<{
    text: string;
    finish_reason: string;
    logprobs: {
      tokens: string[];
      token_logprobs: Array<number | null>;
      top_logprobs: Array<Record<string, number> | null>;
      text_offset: number[];
    } | null;
  }>;
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
  mixgate?: {
    decision_id: string;
    policy_revision: string;
    rule: string;
    target: object;
    fallback: string | null;
    timings: { policy_ms: number; queue_ms: number; ttft_ms: number; e2e_ms: number; itl_ms: number[]; overhead_ms: number };
    tokens: { prompt: number; completion: number };
    moe?: {
      tokens_traced: number;
      prefix_tokens_reused: number;
      layers: Array<{ layer: number; usage: number[]; gate_entropy_nats: number; top2_margin: number }>;
    };
  };
}

async function json<T>(response: Response, status = 200): Promise<T> {
  const text = await response.text();
  expect(response.status, text).toBe(status);
  return JSON.parse(text) as T;
}

/** The data of every event of a stream body. */
function events(body: string): string[] {
  return body
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => event.replace(/^data: /, ''));
}

describe('completions over HTTP', () => {
  let server: TestServer;
  const decisions = dir.file('decisions.ndjson');
  const spans = dir.file('spans.ndjson');
  beforeAll(async () => {
    server = await startServer(microModel(), (config) => {
      config.telemetry.decisionLog = { file: decisions, mask: ['/input/request/workload_identity'] };
      config.telemetry.traces = { file: spans, queue: 100, flushMs: 10 };
    });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('plain OpenAI without the opt-in header', async () => {
    const body = await json<CompletionBody>(
      await server.post('/v1/completions', { prompt: 'The Congress', max_tokens: 5, temperature: 0 }),
    );
    expect(Object.keys(body).sort()).toEqual(['choices', 'created', 'id', 'model', 'object', 'usage']);
    expect(body).toMatchObject({ object: 'text_completion', model: 'mixtral-micro', usage: { completion_tokens: 5 } });
  });

  it('scores a prompt by echo with OpenAI legacy logprobs', async () => {
    const prompt = 'Der Befehl öffnet die Datei.';
    const body = await json<CompletionBody>(
      await server.post('/v1/completions', { prompt, max_tokens: 2, temperature: 0, seed: 1, logprobs: 3, echo: true }),
    );
    const choice = body.choices[0];
    const logprobs = choice?.logprobs;
    expect(choice?.text.startsWith(prompt)).toBe(true);
    expect(logprobs?.token_logprobs[0]).toBeNull();
    expect(logprobs?.token_logprobs.slice(1).every((value) => value !== null && value <= 0)).toBe(true);
    expect(logprobs?.tokens).toHaveLength(body.usage.total_tokens);
    for (const key of ['token_logprobs', 'top_logprobs', 'text_offset'] as const)
      expect(logprobs?.[key]).toHaveLength(body.usage.total_tokens);
    expect(logprobs?.top_logprobs.slice(1).every((entry) => Object.keys(entry ?? {}).length === 3)).toBe(true);
    // Offsets point at the tokens: what lies between two is the token's text.
    for (let index = 1; index < (logprobs?.tokens.length ?? 0); index++) {
      const token = logprobs?.tokens[index] ?? '';
      if (token.includes('\uFFFD')) continue;
      const at = logprobs?.text_offset[index] ?? 0;
      expect(choice?.text.slice(at, at + token.length)).toBe(token);
    }
  });

  it('adds the mixgate object with timings and routing on request', async () => {
    const headers = { 'x-mixgate-include': 'timings,moe' };
    const response = await server.post('/v1/completions', { prompt: 'def main', max_tokens: 6, temperature: 0 }, headers);
    const { mixgate, usage } = await json<CompletionBody>(response);
    expect(mixgate).toMatchObject({
      rule: 'least-saturated',
      fallback: null,
      target: { cluster: 'dev', pool: 'dev-cpu', model: 'mixtral-micro', version: '1.0.0' },
    });
    expect(mixgate?.decision_id).toBe(response.headers.get('x-mixgate-decision-id'));
    expect(mixgate?.policy_revision).toBe(server.runtime.policy.active.bundle.revision);
    expect(mixgate?.tokens).toEqual({ prompt: usage.prompt_tokens, completion: 6 });
    expect(mixgate?.timings.itl_ms).toHaveLength(5);
    expect(mixgate?.timings.e2e_ms).toBeGreaterThanOrEqual(mixgate?.timings.ttft_ms as number);
    expect(Number(response.headers.get('x-mixgate-overhead-ms'))).toBeGreaterThan(0);
    expect(mixgate?.moe?.layers.map((layer) => layer.layer)).toEqual([0, 1, 2, 3]);
    expect(mixgate?.moe?.tokens_traced).toBe(usage.total_tokens - 1);
    expect(mixgate?.moe?.prefix_tokens_reused).toBe(0);
    const trace = await json<{ tokens: Array<{ layers: Array<{ experts: number[]; weights: number[] }> }> }>(
      await server.get(`/v1/moe/traces/${mixgate?.decision_id}`),
    );
    // The last token is there, too, and was not routed: nothing was computed after it.
    expect(trace.tokens.filter(({ layers }) => layers.length > 0)).toHaveLength(usage.total_tokens - 1);
    expect(trace.tokens).toHaveLength(usage.total_tokens);
    for (const token of trace.tokens)
      for (const layer of token.layers) expect(layer.weights.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
  });

  it('streams the same text as it sends whole, ended by [DONE], with usage and mixgate in the last chunk', async () => {
    const body = { prompt: 'Le fichier', max_tokens: 12, temperature: 0 };
    const whole = await json<CompletionBody>(await server.post('/v1/completions', body));
    const response = await server.post(
      '/v1/completions',
      { ...body, stream: true, stream_options: { include_usage: true } },
      { 'x-mixgate-include': 'timings' },
    );
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const data = events(await response.text());
    expect(data.at(-1)).toBe('[DONE]');
    const chunks = data.slice(0, -1).map((line) => JSON.parse(line) as CompletionBody);
    expect(chunks.map((chunk) => chunk.choices[0]?.text ?? '').join('')).toBe(whole.choices[0]?.text);
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { completion_tokens: 12 },
      mixgate: { tokens: { completion: 12 } },
    });
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('length');
  });

  it('works with the official client, streaming and not', async () => {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'unused', maxRetries: 0 });
    const chat = await client.chat.completions.create({
      model: 'mixtral-micro',
      messages: [{ role: 'user', content: 'Hello' }],
      max_tokens: 6,
      temperature: 0,
      logprobs: true,
      top_logprobs: 2,
    });
    expect(chat.choices[0]?.logprobs?.content).toHaveLength(6);
    expect(chat.choices[0]?.logprobs?.content?.[0]?.top_logprobs).toHaveLength(2);
    const stream = await client.chat.completions.create({
      model: 'mixtral-micro',
      messages: [{ role: 'user', content: 'Hello' }],
      max_tokens: 6,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage?.completion_tokens ?? usage;
    }
    expect(text).toBe(chat.choices[0]?.message.content);
    expect(usage).toBe(6);
    const models = await client.models.list();
    expect(models.data.map((model) => model.id)).toEqual(['mixtral-micro']);
    await expect(
      client.chat.completions.create({ model: 'gpt-4', messages: [{ role: 'user', content: 'x' }] }),
    ).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
  });

  const refused: Array<[string, string, unknown, number, Partial<ErrorBody['error']>]> = [
    ['no prompt', '/v1/completions', {}, 400, { param: 'prompt', code: 'missing_parameter' }],
    ['a prompt of another type', '/v1/completions', { prompt: 7 }, 400, { param: 'prompt' }],
    ['several prompts', '/v1/completions', { prompt: ['a', 'b'] }, 400, { param: 'prompt', code: 'unsupported_value' }],
    ['n above 1', '/v1/completions', { prompt: 'a', n: 3 }, 400, { param: 'n', code: 'unsupported_value' }],
    ['a negative max_tokens', '/v1/completions', { prompt: 'a', max_tokens: -1 }, 400, { param: 'max_tokens' }],
    ['a temperature of 3', '/v1/completions', { prompt: 'a', temperature: 3 }, 400, { param: 'temperature' }],
    ['logprobs of 50', '/v1/completions', { prompt: 'a', logprobs: 50 }, 400, { param: 'logprobs' }],
    [
      'tools',
      '/v1/chat/completions',
      { messages: [{ role: 'user', content: 'a' }], tools: [{ type: 'function', function: { name: 'f' } }] },
      400,
      { param: 'tools', code: 'unsupported_parameter' },
    ],
    ['no messages', '/v1/chat/completions', { messages: [] }, 400, { param: 'messages' }],
    [
      'a last message that is not the user’s',
      '/v1/chat/completions',
      {
        messages: [
          { role: 'user', content: 'a' },
          { role: 'assistant', content: 'b' },
        ],
      },
      400,
      { param: 'messages' },
    ],
    [
      'an image',
      '/v1/chat/completions',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
      400,
      {},
    ],
    [
      'a prompt longer than the context',
      '/v1/completions',
      { prompt: 'word '.repeat(2000) },
      400,
      { code: 'context_length_exceeded' },
    ],
    ['a body that is no JSON', '/v1/completions', '{"prompt": ', 400, { code: 'invalid_body' }],
    ['a body too large', '/v1/completions', JSON.stringify({ prompt: 'x'.repeat(1_100_000) }), 413, { code: 'invalid_body' }],
    ['an unknown endpoint', '/v1/embeddings', {}, 404, { code: 'not_found' }],
  ];
  it.each(refused)('refuses %s in OpenAI’s shape', async (_name, path, body, status, error) => {
    const answer = await json<ErrorBody>(await server.post(path, body), status);
    expect(answer.error).toMatchObject(error);
    expect(answer.error.message).not.toBe('');
    expect(JSON.stringify(answer)).not.toMatch(/\bat .*\.ts:\d+/);
  });

  it('denies by policy with the rule and the reasons', async () => {
    const answer = await json<ErrorBody>(
      await server.post(
        '/v1/completions',
        { prompt: 'a' },
        { 'x-mixgate-data-class': 'restricted', 'x-mixgate-origin-region': 'mars' },
      ),
      403,
    );
    expect(answer.error).toMatchObject({
      code: 'policy_denied',
      message: 'denied by the routing policy, rule default-deny: NO_POOL',
    });
  });

  it('frees everything when a client goes away', async () => {
    const before = metric(await (await server.get('/metrics')).text(), 'mixgate_cancelled_total') ?? 0;
    for (let round = 0; round < 6; round++) {
      const controller = new AbortController();
      const response = await server.post(
        '/v1/completions',
        { prompt: 'The', max_tokens: 400, temperature: 1, stream: true },
        {},
        controller.signal,
      );
      await response.body?.getReader().read();
      controller.abort();
    }
    await until(() => server.runtime.admission.running === 0 && server.runtime.inFlight === 0);
    await until(async () => metric(await (await server.get('/metrics')).text(), 'mixgate_cancelled_total') === before + 6);
    expect(server.runtime.local.stats().active).toBe(0);
  });

  it('keeps its metrics in a form that a parser accepts, with the recommended buckets', async () => {
    const text = await (await server.get('/metrics')).text();
    const sample =
      /^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*",?)*\})? (NaN|[+-]?Inf|[+-]?[0-9.]+([eE][+-]?[0-9]+)?)$/;
    const typed = new Set([...text.matchAll(/^# TYPE (\S+) (?:counter|gauge|histogram)$/gm)].map((match) => match[1]));
    for (const line of text.split('\n')) {
      if (line === '' || line.startsWith('#')) continue;
      expect(line).toMatch(sample);
      const name = /^[^{ ]+/.exec(line)?.[0] ?? '';
      expect(typed.has(name) || typed.has(name.replace(/_(bucket|sum|count)$/, '')), name).toBe(true);
    }
    const bounds = [...text.matchAll(/gen_ai_server_time_to_first_token_seconds_bucket\{le="([^"]+)"/g)].map((match) => match[1]);
    expect(bounds.slice(0, 17)).toEqual([
      '0.001',
      '0.005',
      '0.01',
      '0.02',
      '0.04',
      '0.06',
      '0.08',
      '0.1',
      '0.25',
      '0.5',
      '0.75',
      '1',
      '2.5',
      '5',
      '7.5',
      '10',
      '+Inf',
    ]);
    expect(metric(text, 'moe_trace_available')).toBe(server.runtime.info.trace.available ? 1 : 0);
    expect(metric(text, 'mixgate_moe_trace_unattributed_total')).toBe(0);
    expect(
      metric(
        text,
        'mixgate_moe_expert_tokens_total',
        'gen_ai_response_model="mixtral-micro"',
        'mixgate_moe_layer="3"',
        'mixgate_moe_expert="7"',
      ),
    ).toBeDefined();
    expect(metric(text, 'gen_ai_server_request_duration_seconds_count', 'error_type="policy_denied"')).toBe(1);
    expect(metric(text, 'gen_ai_server_request_duration_seconds_count', 'gen_ai_request_model="_OTHER"')).toBe(1);
  });

  it('labels its own metrics with the attributes that the registry gives them', async () => {
    const groups = ['mixgate', 'governance'].flatMap((name) => {
      const file = new URL(`../../examples/fleet/telemetry/registry/${name}.yaml`, import.meta.url);
      return (
        parse(readFileSync(file, 'utf8')) as { groups: Array<{ metric_name?: string; attributes?: Array<{ ref?: string }> }> }
      ).groups;
    });
    const prometheus = (name: string): string => name.replaceAll('.', '_');
    const registered = new Map(
      groups.flatMap((group) =>
        group.metric_name === undefined
          ? []
          : [
              [
                prometheus(group.metric_name),
                (group.attributes ?? []).map((attribute) => prometheus(attribute.ref ?? '')),
              ] as const,
            ],
      ),
    );
    const text = await (await server.get('/metrics')).text();
    let labelled = 0;
    for (const [, name = '', labels = ''] of text.matchAll(/^(mixgate_\w+)\{(.*)\} \S+$/gm)) {
      const base = name.replace(/_(bucket|sum|count|total)$/, '').replace(/_(seconds|bytes|ratio)$/, '');
      const known = registered.get(base);
      expect(known, name).toBeDefined();
      for (const [, label] of labels.matchAll(/(\w+)="/g)) if (label !== 'le') expect(known, name).toContain(label);
      labelled++;
    }
    expect(labelled).toBeGreaterThan(30);
  });

  it('logs decisions in OPA’s format with masked fields', async () => {
    await server.post('/v1/completions', { prompt: 'a', max_tokens: 1 }, { 'x-mixgate-task': 'log-test' });
    const find = (): Record<string, unknown> | undefined =>
      wholeLines<Record<string, unknown>>(decisions).find((line) => JSON.stringify(line).includes('log-test'));
    await until(() => find() !== undefined);
    const entry = find();
    expect(entry).toMatchObject({
      path: 'routing/decision',
      bundles: { routing: { revision: server.runtime.policy.active.bundle.revision } },
      erased: ['/input/request/workload_identity'],
      result: { allow: true, rule: 'least-saturated' },
      input: { request: { tenant: 'dev', task: 'log-test', model: 'mixtral-micro' } },
    });
    expect(JSON.stringify(entry)).not.toContain('"workload_identity":');
    expect(entry?.['metrics']).toEqual({ timer_rego_query_eval_ns: expect.any(Number) });
  });

  it('records no span of a trace that the caller does not, and names none after a model that nobody serves', async () => {
    const [silent, unknown] = [randomBytes(16).toString('hex'), randomBytes(16).toString('hex')];
    const body = { prompt: 'span', max_tokens: 1 };
    await server.post('/v1/completions', body, { traceparent: `00-${silent}-00f067aa0ba902b7-00` });
    await server.post(
      '/v1/completions',
      { ...body, model: 'one of\nmany' },
      { traceparent: `00-${unknown}-00f067aa0ba902b7-01` },
    );
    const names = (traceId: string): string[] =>
      wholeLines<{
        resourceSpans: Array<{ scopeSpans: Array<{ spans: Array<{ traceId: string; name: string; kind: number }> }> }>;
      }>(spans)
        .flatMap((line) => line.resourceSpans[0]?.scopeSpans[0]?.spans ?? [])
        .filter((span) => span.traceId === traceId && span.kind === 2)
        .map(({ name }) => name);
    // Spans go out in the order of their requests.
    await until(() => names(unknown).length > 0);
    expect([names(silent), names(unknown)]).toEqual([[], ['text_completion']]);
  });

  it('exports a span per request with a child per stage, in OTLP/JSON, continuing the caller’s trace', async () => {
    const traceId = randomBytes(16).toString('hex');
    await server.post(
      '/v1/completions',
      { prompt: 'span', max_tokens: 3, temperature: 0 },
      { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, tracestate: 'congo=t61rcWkgMzE' },
    );
    interface Exported {
      traceState: string;
      flags: number;
      traceId: string;
      spanId: string;
      parentSpanId: string;
      name: string;
      kind: number;
      startTimeUnixNano: string;
      endTimeUnixNano: string;
      attributes: Array<{ key: string; value: Record<string, unknown> }>;
      events?: Array<{ name: string; attributes: Array<{ key: string; value: Record<string, unknown> }> }>;
    }
    const exported = (): Exported[] =>
      wholeLines<{ resourceSpans: Array<{ scopeSpans: Array<{ spans: Exported[] }> }> }>(spans)
        .flatMap((line) => line.resourceSpans[0]?.scopeSpans[0]?.spans ?? [])
        .filter((span) => span.traceId === traceId);
    await until(() => exported().length > 0);
    const [root, ...children] = exported();
    expect(root).toMatchObject({ name: 'text_completion', kind: 2, parentSpanId: '00f067aa0ba902b7' });
    // Sampled, with a parent in another process (trace.proto, SpanFlags); its children's is in this one.
    expect([root, children[0]].map((span) => [span?.traceState, span?.flags])).toEqual([
      ['congo=t61rcWkgMzE', 0x301],
      ['congo=t61rcWkgMzE', 0x101],
    ]);
    expect(children.map((span) => span.name)).toEqual(
      ['identity', 'quota', 'policy', 'admission', 'engine'].map((name) => `mixgate.stage.${name}`),
    );
    for (const span of children) {
      expect(span.parentSpanId).toBe(root?.spanId);
      expect(BigInt(span.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(span.startTimeUnixNano));
      expect(BigInt(span.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(root?.startTimeUnixNano ?? 0));
    }
    const attributes = Object.fromEntries((root?.attributes ?? []).map(({ key, value }) => [key, value]));
    expect(attributes).toMatchObject({
      'gen_ai.operation.name': { stringValue: 'text_completion' },
      'gen_ai.provider.name': { stringValue: 'mistral_ai' },
      'gen_ai.usage.output_tokens': { intValue: '3' },
      'gen_ai.response.finish_reasons': { arrayValue: { values: [{ stringValue: 'length' }] } },
      'gen_ai.request.temperature': { doubleValue: 0 },
      'mixgate.policy.rule': { stringValue: 'least-saturated' },
    });
    expect(attributes['mixgate.moe.skew.max']?.['doubleValue']).toBeGreaterThanOrEqual(1);
    const layers = (root?.events ?? []).filter(({ name }) => name === 'mixgate.moe.layer');
    expect(layers.map(({ attributes: own }) => own.find(({ key }) => key === 'mixgate.moe.layer')?.value)).toEqual(
      [0, 1, 2, 3].map((layer) => ({ intValue: String(layer) })),
    );
  });

  it('answers /healthz, /readyz, /v1/policy, /v1/status and /v1/moe/stats', async () => {
    expect(await json(await server.get('/healthz'))).toEqual({ status: 'ok' });
    expect(await json(await server.get('/readyz'))).toMatchObject({ status: 'ready', engine: { layers: 4, experts: 8 } });
    const { revision } = server.runtime.policy.active.bundle;
    expect(await json(await server.get('/v1/policy'))).toMatchObject({
      revision,
      entrypoint: 'routing/decision',
      digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    });
    expect(await json(await server.get('/v1/status'))).toMatchObject({ bundles: { routing: { active_revision: revision } } });
    const stats = await json<{ models: Array<{ layers: Array<{ share: number[]; balancedness: number }> }> }>(
      await server.get('/v1/moe/stats'),
    );
    expect(stats.models[0]?.layers).toHaveLength(4);
    expect(stats.models[0]?.layers[0]?.share.reduce((a, b) => a + b)).toBeCloseTo(1, 9);
  });
});

describe('identity', () => {
  let server: TestServer;
  let jwks: Server;
  const token = 'a-static-token-of-a-test';
  let sign: (claims: Record<string, unknown>, options?: { key?: 'other'; issuer?: string; expires?: string }) => Promise<string>;

  beforeAll(async () => {
    const [pair, other] = [await generateKeyPair('ES256', { extractable: true }), await generateKeyPair('ES256')];
    const file = dir.file('jwks.json');
    writeFileSync(file, JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'ES256' }] }));
    sign = (claims, options = {}) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
        .setIssuer(options.issuer ?? 'https://issuer.example')
        .setAudience('mixgate')
        .setExpirationTime(options.expires ?? '5m')
        .sign(options.key === 'other' ? other.privateKey : pair.privateKey);
    jwks = createServer((_request, response) => response.end(readFileSync(file)));
    await new Promise<void>((resolve) => jwks.listen(0, '127.0.0.1', resolve));
    server = await startServer(randomModel(dir.file('identity.gguf')), (config) => {
      config.identity = {
        jwt: {
          jwks: `http://127.0.0.1:${(jwks.address() as AddressInfo).port}/`,
          issuer: 'https://issuer.example',
          audience: 'mixgate',
          jwksMaxAgeSeconds: 600,
          tenantClaim: 'tenant',
          algorithms: ['ES256'],
        },
        tokens: [{ sha256: createHash('sha256').update(token).digest('hex'), tenant: 'dev' }],
      };
      config.tenants = { dev: { concurrency: 1 }, slow: { requestsPerSecond: 0.001, burst: 2 } };
    });
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    jwks.close();
  });

  const ask = (authorization?: string): Promise<Response> =>
    server.post('/v1/completions', { prompt: 'a', max_tokens: 1 }, authorization === undefined ? {} : { authorization });

  it('takes a token signed by a key of the JWKS', async () => {
    await json(await ask(`Bearer ${await sign({ tenant: 'dev', sub: 'spiffe://x/y' })}`));
  });
  it('takes a configured static token', async () => {
    await json(await ask(`Bearer ${token}`));
  });
  it.each<[string, () => Promise<string | undefined>, RegExp]>([
    ['no header', async () => undefined, /Authorization header/],
    ['another scheme', async () => 'Basic dXNlcjpwdw==', /Authorization header/],
    ['an unknown static token', async () => 'Bearer nope', /not valid/],
    ['a key that is not in the set', async () => `Bearer ${await sign({ tenant: 'dev' }, { key: 'other' })}`, /signature/],
    ['another issuer', async () => `Bearer ${await sign({ tenant: 'dev' }, { issuer: 'https://evil.example' })}`, /"iss"/],
    ['an expired token', async () => `Bearer ${await sign({ tenant: 'dev' }, { expires: '-10m' })}`, /"exp"/],
    ['no tenant claim', async () => `Bearer ${await sign({})}`, /no claim tenant/],
    [
      'an unsigned token',
      async () =>
        `Bearer ${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"tenant":"dev"}').toString('base64url')}.`,
      /not valid/,
    ],
  ])('refuses %s', async (_name, authorization, message) => {
    const response = await ask(await authorization());
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
    const { error } = await json<ErrorBody>(response, 401);
    expect(error.message).toMatch(message);
  });
  it('hides models, policy and traces from the unidentified', async () => {
    for (const path of ['/v1/models', '/v1/policy', '/v1/status', '/v1/moe/stats', '/v1/moe/traces/x'])
      expect((await server.get(path)).status, path).toBe(401);
  });
  it('keeps no large body of somebody whom it does not know', async () => {
    const { port } = new URL(server.url);
    for (const size of ['content-length: 1000000', 'transfer-encoding: chunked']) {
      const socket = connect(Number(port), '127.0.0.1');
      socket.write(`POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${size}\r\n\r\n`);
      // Answered although nothing of the body was sent.
      const [answer] = (await once(socket.setEncoding('utf8'), 'data')) as [string];
      expect(answer).toMatch(/^HTTP\/1\.1 401 [\s\S]*connection: close[\s\S]*bearer token is needed/i);
      socket.destroy();
    }
    const long = `${JSON.stringify({ prompt: 'a', max_tokens: 1 })}${' '.repeat(20_000)}`;
    await json(await server.post('/v1/completions', long, { authorization: `Bearer ${token}` }));
  });
  it('refuses a tenant without a quota', async () => {
    const { error } = await json<ErrorBody>(await ask(`Bearer ${await sign({ tenant: 'stranger' })}`), 403);
    expect(error.code).toBe('unknown_tenant');
  });
  it('refuses what is over the rate, with Retry-After', async () => {
    const authorization = `Bearer ${await sign({ tenant: 'slow' })}`;
    expect([(await ask(authorization)).status, (await ask(authorization)).status]).toEqual([403, 403]);
    const response = await ask(authorization);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await json<ErrorBody>(response, 429)).error.code).toBe('rate_exceeded');
  });
  it('refuses what is over the concurrency', async () => {
    const authorization = `Bearer ${token}`;
    const first = await server.post('/v1/completions', { prompt: 'a', max_tokens: 400, stream: true }, { authorization });
    const second = await ask(authorization);
    expect((await json<ErrorBody>(second, 429)).error.code).toBe('concurrency_exceeded');
    await first.body?.cancel();
    await until(() => server.runtime.inFlight === 0);
    await json(await ask(authorization));
  });
});

describe('faults', () => {
  it('answers 503 when the engine dies under a request, is not ready meanwhile, and recovers', async () => {
    await using server = await startServer(randomModel(dir.file('faults.gguf')));
    const running = server.post('/v1/completions', { prompt: 'a', max_tokens: 450 });
    await until(() => server.runtime.local.stats().active === 1);
    process.kill((server.runtime.local as LlamaEngine).pid as number, 'SIGKILL');
    const { error } = await json<ErrorBody>(await running, 503);
    expect(error).toMatchObject({
      type: 'service_unavailable',
      code: 'engine_died',
      message: expect.stringContaining('signal SIGKILL'),
    });
    const refused = await server.post('/v1/completions', { prompt: 'a' });
    if (refused.status !== 200) expect((await json<ErrorBody>(refused, 503)).error.code).toBe('engine_unavailable');
    await until(async () => (await server.get('/readyz')).status === 200);
    await json(await server.post('/v1/completions', { prompt: 'a', max_tokens: 2 }));
    expect(metric(await (await server.get('/metrics')).text(), 'mixgate_engine_restarts_total')).toBe(1);
  });

  it('falls back to another pool with a reason code, over a real upstream', async () => {
    await using upstream = await startServer(randomModel(dir.file('upstream.gguf')));
    await using server = await startServer(randomModel(dir.file('front.gguf')), (config) => {
      const [local] = config.pools;
      if (local === undefined) throw new Error('no pool');
      config.pools = [
        { ...local, id: 'a-unreachable', engine: { url: 'http://127.0.0.1:9' } },
        { ...local, id: 'b-upstream', engine: { url: upstream.url } },
        { ...local, id: 'c-nowhere' },
      ];
      delete config.pools[2]?.engine;
    });
    const direct = await json<CompletionBody>(
      await upstream.post('/v1/completions', { prompt: 'abc', max_tokens: 8, temperature: 0, seed: 1, logprobs: 2, echo: true }),
    );
    const headers = { 'x-mixgate-include': 'timings' };
    for (const more of [{}, { echo: true, logprobs: 2 }]) {
      const body = await json<CompletionBody>(
        await server.post('/v1/completions', { prompt: 'abc', max_tokens: 8, temperature: 0, seed: 1, ...more }, headers),
      );
      expect(body.mixgate).toMatchObject({ fallback: 'UPSTREAM_ERROR', target: { pool: 'b-upstream' } });
      expect(`${'echo' in more ? '' : 'abc'}${body.choices[0]?.text}`).toBe(direct.choices[0]?.text);
      if ('echo' in more) expect(body.choices[0]?.logprobs?.token_logprobs).toEqual(direct.choices[0]?.logprobs?.token_logprobs);
    }
    expect(
      metric(await (await server.get('/metrics')).text(), 'mixgate_fallbacks_total', 'mixgate_reason="UPSTREAM_ERROR"'),
    ).toBe(2);
  });

  it('queues by arrival, refuses what the queue cannot hold, and answers everything', async () => {
    await using server = await startServer(randomModel(dir.file('queue.gguf')), (config) => {
      config.model.sequences = 1;
      config.limits.queue = 2;
    });
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => server.post('/v1/completions', { prompt: 'a', max_tokens: 100 })),
    );
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 200, 200, 503, 503, 503]);
    expect(server.runtime.admission.running).toBe(0);
  });

  it('ends a request at its deadline', async () => {
    await using server = await startServer(randomModel(dir.file('deadline.gguf')), (config) => {
      config.limits.deadlineMs = 50;
      config.model.context = 4096;
      config.limits.maxTokens = 4000;
    });
    // Without the end of text (token 2), which random weights give by chance now and then.
    const body = { prompt: 'a', max_tokens: 4000, logit_bias: { 2: -100 } };
    const { error } = await json<ErrorBody>(await server.post('/v1/completions', body), 504);
    expect(error.code).toBe('deadline_exceeded');
    await until(() => server.runtime.local.stats().active === 0);
  });

  it('counts what it cannot export or log and serves on', async () => {
    await using server = await startServer(randomModel(dir.file('drops.gguf')), (config) => {
      config.telemetry.traces = { endpoint: 'http://127.0.0.1:9', queue: 10, flushMs: 10 };
      config.telemetry.otlp = { ...config.telemetry.otlp, retryForMs: 0 };
      config.telemetry.decisionLog = { file: dir.file('no/such/folder/log.ndjson'), mask: [] };
    });
    await json(await server.post('/v1/completions', { prompt: 'a', max_tokens: 1 }));
    await until(async () => {
      const text = await (await server.get('/metrics')).text();
      return (
        metric(text, 'mixgate_spans_dropped_total', 'export_failed') === 1 &&
        metric(text, 'mixgate_decision_log_dropped_total') === 1
      );
    });
    await json(await server.post('/v1/completions', { prompt: 'a', max_tokens: 1 }));
    await until(async () => metric(await (await server.get('/metrics')).text(), 'mixgate_decision_log_dropped_total') === 2);
    expect(server.logs.filter((line) => line.startsWith('decisions are not written'))).toEqual([
      expect.stringMatching(/ENOENT.*decision_log_dropped/),
    ]);
  });
});

describe('response_format', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer(microModel());
  });
  afterAll(() => server[Symbol.asyncDispose]());
  const schema = {
    type: 'object',
    additionalProperties: false,
    required: ['kind', 'size', 'tags'],
    properties: {
      kind: { enum: ['cat', 'dog'] },
      // Not a free number: a grammar allows 1e999, which JavaScript reads as infinity.
      size: { enum: [1, 2, 30] },
      tags: { type: 'array', items: { type: 'boolean' }, minItems: 1, maxItems: 2 },
      note: { anyOf: [{ type: 'null' }, { type: 'string', maxLength: 8 }] },
    },
  };
  const validate = new Ajv2020().compile(schema);

  it.each([
    ['llama.cpp’s sampler', {}],
    ['own sampling, as log probabilities need it', { logprobs: true, top_logprobs: 1 }],
  ])('a schema holds with %s, by the official client', async (_name, more) => {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'unused', maxRetries: 0 });
    for (const [temperature, seed] of [
      [0, 1],
      [1.5, 2],
      [1.5, 3],
    ]) {
      const chat = await client.chat.completions.create({
        model: 'mixtral-micro',
        messages: [{ role: 'user', content: 'An animal as JSON' }],
        max_tokens: 300,
        temperature: temperature as number,
        seed: seed as number,
        response_format: { type: 'json_schema', json_schema: { name: 'animal', schema, strict: true } },
        ...more,
      });
      // A number may go on for ever: only an answer that says it is complete must be.
      if (chat.choices[0]?.finish_reason === 'length') continue;
      const value: unknown = JSON.parse(chat.choices[0]?.message.content ?? '');
      expect(validate(value), JSON.stringify([value, validate.errors])).toBe(true);
    }
  });

  it('json_object begins an object and nothing else', async () => {
    const body = await json<CompletionBody>(
      await server.post('/v1/completions', {
        prompt: 'data: ',
        max_tokens: 24,
        temperature: 1,
        seed: 5,
        response_format: { type: 'json_object' },
      }),
    );
    expect(body.choices[0]?.text).toMatch(/^\{/);
  });

  it.each([
    ['a pattern', { type: 'string', pattern: '^a' }, /pattern/],
    ['oneOf', { oneOf: [{ type: 'string' }] }, /no type/],
    ['a $ref outside', { $ref: 'https://example.org/x' }, /#\/\$defs\//],
    [
      'an array of anything',
      { type: 'object', properties: { a: { type: 'array' } } },
      /\/properties\/a is an array without items/,
    ],
    ['a huge repetition', { type: 'string', maxLength: 1e6 }, /maxLength/],
  ])('refuses %s by name', async (_name, refusedSchema, message) => {
    const { error } = await json<ErrorBody>(
      await server.post('/v1/completions', {
        prompt: 'a',
        response_format: { type: 'json_schema', json_schema: { name: 'x', schema: refusedSchema } },
      }),
      400,
    );
    expect(error).toMatchObject({ param: 'response_format' });
    expect(error.message).toMatch(message);
  });
});

describe('a client that never reads', () => {
  it('pauses its generation, then loses its connection, and costs nobody else a sequence', async () => {
    await using server = await startServer(randomModel(dir.file('stall.gguf'), { context: 16_384 }), (config) => {
      config.model.context = 16_384;
      config.model.sequences = 2;
      config.limits.maxTokens = 16_000;
      config.limits.stallMs = 500;
    });
    // Alternatives make the stream larger than what the kernel buffers for a socket.
    const body = JSON.stringify({ prompt: 'a', max_tokens: 16_000, logprobs: 20, stream: true, temperature: 0 });
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    // Node reads a socket only once somebody listens to its data: nobody does.
    socket.pause();
    socket.write(
      `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => server.runtime.inFlight === 1);
    await json(await server.post('/v1/completions', { prompt: 'b', max_tokens: 4 }));
    await until(async () => metric(await (await server.get('/metrics')).text(), 'mixgate_slow_readers_total') === 1);
    await until(() => server.runtime.inFlight === 0 && server.runtime.admission.running === 0);
    expect(server.runtime.local.stats().active).toBe(0);
    socket.destroy();
  });

  it('loses its connection with answers that are not streamed, too', async () => {
    await using server = await startServer(randomModel(dir.file('unread.gguf')), (config) => {
      config.limits.deadlineMs = 1000;
      config.limits.stallMs = 500;
    });
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1').on('error', () => {});
    socket.pause();
    // More than the kernel buffers.
    socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(300));
    const connections = (): Promise<number> =>
      new Promise((resolve) => server.http.getConnections((_error, count) => resolve(count)));
    await until(async () => (await connections()) === 1);
    await until(async () => (await connections()) === 0);
    socket.destroy();
  });
});
