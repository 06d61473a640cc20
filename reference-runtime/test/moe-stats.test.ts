import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareRouting, type Gate, type Routed, weightMoved } from '../src/engine/routing-diff.ts';
import { jensenShannon, usageBalance } from '../src/engine/trace-math.ts';
import type { RequestTrace } from '../src/engine/types.ts';
import { type MoeStats, moeStats } from '../src/server/moe-statistics.ts';
import { MoeStore } from '../src/server/moe-store.ts';
import { Metrics } from '../src/telemetry/metrics.ts';
import { microModel } from './support/models.ts';
import { metric, startServer, type TestServer } from './support/server.ts';

/** The statistics again, from other forms of the same definitions: entropy from counts, Jain's index as he wrote it, peak over mean. */
function again(usage: number[]): { usage_entropy_ratio: number; skew: number; balancedness: number } {
  const total = usage.reduce((a, b) => a + b, 0);
  const weighted = usage.reduce((sum, count) => sum + (count === 0 ? 0 : count * Math.log2(count)), 0);
  return {
    usage_entropy_ratio: (Math.log2(total) - weighted / total) / Math.log2(usage.length),
    skew: Math.max(...usage) / (total / usage.length),
    balancedness: total ** 2 / (usage.length * usage.reduce((sum, count) => sum + count * count, 0)),
  };
}

const divergence = (p: number[], q: number[]): number =>
  p.reduce((sum, value, index) => (value === 0 ? sum : sum + value * Math.log2(value / q[index]!)), 0);

const usages = fc.array(fc.nat({ max: 10_000 }), { minLength: 2, maxLength: 64 }).filter((counts) => counts.some((n) => n > 0));

describe('the statistics of a layer', () => {
  it('agree with other forms of their definitions', () => {
    fc.assert(
      fc.property(usages, (usage) => {
        const { normalizedEntropy, skew, jain } = usageBalance(usage);
        const other = again(usage);
        expect(normalizedEntropy).toBeCloseTo(other.usage_entropy_ratio, 9);
        expect(skew).toBeCloseTo(other.skew, 9);
        expect(jain).toBeCloseTo(other.balancedness, 9);
      }),
    );
  });

  // Jain, Chiu, Hawe 1984, section 2: n users of whom k share evenly and the rest get nothing have index k/n.
  it.each([
    [8, 8],
    [8, 2],
    [5, 1],
  ])('of %i experts of whom %i share the work', (experts, busy) => {
    const usage = Array.from({ length: experts }, (_, expert) => (expert < busy ? 6 : 0));
    const { jain, skew, normalizedEntropy } = usageBalance(usage);
    expect(jain).toBeCloseTo(busy / experts, 12);
    expect(skew).toBeCloseTo(experts / busy, 12);
    expect(normalizedEntropy).toBeCloseTo(Math.log(busy) / Math.log(experts), 12);
  });

  it('Jensen-Shannon is the mean divergence from the middle, 0 for the same, 1 for nothing in common', () => {
    const distribution = fc
      .array(fc.nat({ max: 100 }), { minLength: 4, maxLength: 4 })
      .filter((counts) => counts.some((n) => n > 0));
    fc.assert(
      fc.property(distribution, distribution, (a, b) => {
        const p = usageBalance(a).share;
        const q = usageBalance(b).share;
        const middle = p.map((value, index) => (value + q[index]!) / 2);
        expect(jensenShannon(p, q)).toBeCloseTo((divergence(p, middle) + divergence(q, middle)) / 2, 9);
      }),
    );
    expect(jensenShannon([0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5])).toBeCloseTo(1, 12);
    expect(jensenShannon([0.2, 0.8], [0.2, 0.8])).toBe(0);
  });
});

const gate = (layer: number, experts: number[], weights: number[]): Gate => ({
  layer,
  experts,
  weights,
  probabilities: [0, 1, 2, 3].map((expert) => (experts.includes(expert) ? weights[experts.indexOf(expert)]! : 0)),
});

describe('the comparison of two routings', () => {
  const token = (position: number, ...layers: Gate[]): Routed => ({ position, layers });

  it('finds the first difference by position, then layer; another order of the same experts is none', () => {
    const before = [
      token(1, gate(1, [3, 1], [0.6, 0.4]), gate(0, [0, 1], [0.9, 0.1])),
      token(0, gate(0, [2, 3], [0.7, 0.3]), gate(1, [0, 1], [0.5, 0.5])),
    ];
    const after = [
      token(0, gate(0, [3, 2], [0.6, 0.4]), gate(1, [0, 1], [0.5, 0.5])),
      token(1, gate(0, [0, 2], [0.8, 0.2]), gate(1, [0, 2], [0.6, 0.4])),
    ];
    const { changes, layers } = compareRouting(before, after);
    expect(changes.map(({ position, layer }) => [position, layer])).toEqual([
      [1, 0],
      [1, 1],
    ]);
    expect(layers[0]).toMatchObject({ tokens: 2, slots: 4, moved: 1, lost: [0, 1, 0, 0], won: [0, 0, 1, 0], used: [1, 1, 1, 1] });
    // Token 0 moves three tenths from expert 2 to 3; token 1 a tenth of expert 0 and all of expert 1 to 2.
    expect(layers[0]?.weight_lost.map((weight) => Number(weight.toFixed(12)))).toEqual([0.05, 0.05, 0.15, 0]);
    expect(layers[0]?.weight_moved).toBeCloseTo(0.25, 12);
    expect(layers[1]).toMatchObject({ moved: 2, lost: [0, 1, 0, 1], won: [1, 0, 1, 0] });
  });

  it('the weight that moves is 0 for the same mixture, 1 for other experts, and leaves out what one side lacks', () => {
    expect(weightMoved(gate(0, [0, 1], [0.8, 0.2]), gate(0, [1, 0], [0.2, 0.8]))).toBeCloseTo(0, 12);
    expect(weightMoved(gate(0, [0, 1], [0.8, 0.2]), gate(0, [2, 3], [0.5, 0.5]))).toBe(1);
    expect(compareRouting([token(0, gate(0, [0], [1]))], [token(0, gate(1, [0], [1]))])).toEqual({ layers: [], changes: [] });
  });
});

function trace(usage: number[], rows = 0): RequestTrace {
  const slots = usage.reduce((a, b) => a + b, 0);
  const column = new Int32Array(rows);
  return {
    tokensTraced: slots / 2,
    prefixTokensReused: 0,
    dropped: 0,
    layers: [{ layer: 0, rows: slots / 2, usage, gateEntropyNats: 1, top2Margin: 0.5 }],
    ...(rows === 0
      ? {}
      : {
          rows: {
            experts: 4,
            expertsUsed: 2,
            position: column,
            token: column,
            layer: column,
            chosen: new Uint16Array(2 * rows),
            probabilities: new Float32Array(4 * rows),
          },
        }),
  };
}

describe('the store', () => {
  const request = { id: 'd', tenant: 'a', model: 'm', version: '1', segment: 'de' };

  it('keeps versions apart, and shows a tenant its own segments only', () => {
    const store = new MoeStore(0, 60, 0);
    store.add(request, trace([2, 0, 1, 1]), 1);
    store.add({ ...request, version: '2' }, trace([0, 4, 0, 0]), 1);
    store.add({ ...request, tenant: 'b', segment: undefined }, trace([0, 0, 1, 1]), 1);
    const { models, since } = moeStats(store.snapshot('a'));
    expect(since).toBe('1970-01-01T00:00:00.000Z');
    expect(
      models.map(({ version, requests_traced, segments }) => [version, requests_traced, segments.map(({ segment }) => segment)]),
    ).toEqual([
      ['1', 2, ['de']],
      ['2', 1, ['de']],
    ]);
    expect(models[0]?.layers[0]?.usage).toEqual([2, 0, 2, 2]);
    expect(models[0]?.segments[0]?.layers[0]?.usage).toEqual([2, 0, 1, 1]);
    expect(moeStats(store.snapshot('b')).models[0]?.segments.map(({ segment }) => segment)).toEqual(['(none)']);
    // 2:0:1:1 against 2:0:2:2 of all requests.
    const [p, q] = [
      [0.5, 0, 0.25, 0.25],
      [1 / 3, 0, 1 / 3, 1 / 3],
    ] as const;
    const middle = p.map((value, index) => (value + q[index]!) / 2);
    expect(models[0]?.segments[0]?.layers[0]?.divergence_bits).toBeCloseTo(
      (divergence([...p], middle) + divergence([...q], middle)) / 2,
      12,
    );
    expect(models[1]?.segments[0]?.layers[0]?.divergence_bits).toBe(0);
  });

  it('is bounded in segments: one tenant cannot take the place of others, and what is left out is counted', () => {
    const store = new MoeStore(0, 60, 0);
    for (let index = 0; index < 100; index++) store.add({ ...request, segment: `s${index}` }, trace([1, 1, 0, 0]), 1);
    store.add({ ...request, tenant: 'b' }, trace([1, 1, 0, 0]), 1);
    const own = moeStats(store.snapshot('a'));
    expect(own.models[0]?.segments).toHaveLength(32);
    expect(own.segments_overflow).toBe(68);
    expect(own.models[0]?.requests_traced).toBe(101);
    expect(moeStats(store.snapshot('b'))).toMatchObject({
      segments_overflow: 0,
      models: [{ segments: [{ segment: 'de', requests_traced: 1 }] }],
    });
    for (let index = 0; index < 1000; index++) store.add({ ...request, tenant: `t${index}` }, trace([1, 1, 0, 0]), 1);
    expect(moeStats(store.snapshot('t5')).models[0]?.segments).toHaveLength(1);
    expect(moeStats(store.snapshot('t300'))).toMatchObject({ segments_overflow: 1, models: [{ segments: [] }] });
  });

  it('keeps the latest traces within a number, a time and 64 MiB', () => {
    const store = new MoeStore(3, 60, 0);
    for (let index = 0; index < 5; index++) store.add({ ...request, id: `d${index}` }, trace([1, 1, 0, 0], 10), 1000 * index);
    expect(['d1', 'd2', 'd4'].map((id) => store.get(id, 'a', 5000) !== undefined)).toEqual([false, true, true]);
    expect(store.get('d4', 'b', 5000)).toBeUndefined();
    expect(store.list('a', 5000).map(({ decision_id }) => decision_id)).toEqual(['d4', 'd3', 'd2']);
    expect(store.list('b', 5000)).toEqual([]);
    expect(store.list('a', 63_000).map(({ decision_id }) => decision_id)).toEqual(['d4']);
    expect(store.get('d4', 'a', 64_000)).toBeUndefined();
    // 700,000 rows of four experts are 22.4 MB: two of them fit, the third pushes the first out.
    const wide = new MoeStore(100, 60, 0);
    for (let index = 0; index < 4; index++) wide.add({ ...request, id: `w${index}` }, trace([1, 1, 0, 0], 700_000), 0);
    expect(['w0', 'w1', 'w2', 'w3'].map((id) => wide.get(id, 'a', 1) !== undefined)).toEqual([false, false, true, true]);
  });
});

describe('the metrics', () => {
  it.each([
    [32, 8, 256],
    [48, 128, 0],
  ])('of %i layers with %i experts are %i series: what would be too many is left out whole', async (layers, experts, series) => {
    const metrics = new Metrics({ version: '0', cluster: 'c', model: 'm', modelVersion: '1' });
    const {
      layers: [layer],
    } = trace(new Array<number>(experts).fill(1));
    metrics.routing('m', { ...trace([1]), layers: Array.from({ length: layers }, (_, index) => ({ ...layer!, layer: index })) });
    const text = await metrics.registry.metrics();
    expect([...text.matchAll(/^mixgate_moe_expert_tokens_total\{/gm)]).toHaveLength(series);
  });
});

describe('/v1/moe/stats', () => {
  let server: TestServer;
  // The policy of the tests knows the tenant dev; another one may ask, and is told what is its own.
  const tokens = { dev: 'token-of-tenant-dev', other: 'token-of-another-tenant' };
  const bearer = (tenant: keyof typeof tokens): Record<string, string> => ({ authorization: `Bearer ${tokens[tenant]}` });

  beforeAll(async () => {
    server = await startServer(microModel(), (config) => {
      config.identity = {
        tokens: Object.entries(tokens).map(([tenant, token]) => ({
          tenant,
          sha256: createHash('sha256').update(token).digest('hex'),
        })),
      };
      config.tenants = { dev: {}, other: {} };
    });
  });
  afterAll(async () => server?.[Symbol.asyncDispose]());

  it('is what the traces of its requests add up to, by model, version and segment', async () => {
    interface Body {
      segment: string;
      tokens: Array<{ layers: Array<{ layer: number; experts: number[]; probabilities: number[] }> }>;
    }
    const traces: Body[] = [];
    for (const [segment, prompt] of [
      ['de', 'Klicken Sie auf'],
      ['en', 'The Congress shall have'],
      ['de', 'Die Datei wird'],
    ] as const) {
      const headers = { ...bearer('dev'), 'x-mixgate-segment': segment };
      const response = await server.post('/v1/completions', { prompt, max_tokens: 8, temperature: 0 }, headers);
      await response.text();
      const id = response.headers.get('x-mixgate-decision-id');
      traces.push((await (await server.get(`/v1/moe/traces/${id}`, bearer('dev'))).json()) as Body);
    }
    const stats = (await (await server.get('/v1/moe/stats', bearer('dev'))).json()) as MoeStats;
    expect(stats.models.map(({ model, version }) => [model, version])).toEqual([['mixtral-micro', '1.0.0']]);
    const [model] = stats.models;
    const text = await (await server.get('/metrics')).text();
    for (const [segment, layers] of [
      [undefined, model!.layers],
      ...model!.segments.map((each) => [each.segment, each.layers] as const),
    ] as const) {
      const gates = traces
        .filter((each) => segment === undefined || each.segment === segment)
        .flatMap((each) => each.tokens.flatMap((token) => token.layers));
      for (const { layer, usage, gate_entropy_nats, top2_margin, rows, share, ...rest } of layers) {
        const own = gates.filter((each) => each.layer === layer);
        expect(rows).toBe(own.length);
        expect(usage).toEqual(share.map((_, expert) => own.filter((each) => each.experts.includes(expert)).length));
        const expected = again(usage);
        expect(rest.usage_entropy_ratio).toBeCloseTo(expected.usage_entropy_ratio, 9);
        expect(rest.skew).toBeCloseTo(expected.skew, 9);
        expect(rest.balancedness).toBeCloseTo(expected.balancedness, 9);
        const mean = (value: (probabilities: number[]) => number): number =>
          own.reduce((sum, each) => sum + value(each.probabilities), 0) / own.length;
        // The traces are in 32 bits.
        expect(gate_entropy_nats).toBeCloseTo(
          mean((p) => -p.reduce((sum, x) => sum + (x === 0 ? 0 : x * Math.log(x)), 0)),
          5,
        );
        expect(top2_margin).toBeCloseTo(
          mean((p) => {
            const [first = 0, second = 0] = [...p].sort((a, b) => b - a);
            return first - second;
          }),
          5,
        );
        if (segment === undefined)
          for (const [expert, count] of usage.entries())
            expect(metric(text, 'mixgate_moe_expert_tokens_total', `layer="${layer}"`, `expert="${expert}"`) ?? 0).toBe(count);
      }
    }
    expect(model!.segments.map(({ segment, requests_traced }) => [segment, requests_traced])).toEqual([
      ['de', 2],
      ['en', 1],
    ]);
  });

  it('shows the other tenant the totals, not the segments; a trace is its own tenant’s, as a page too', async () => {
    const stats = (await (await server.get('/v1/moe/stats', bearer('other'))).json()) as MoeStats;
    expect(stats.models[0]).toMatchObject({ requests_traced: 3, segments: [] });
    const response = await server.post('/v1/completions', { prompt: 'a', max_tokens: 2 }, bearer('dev'));
    await response.text();
    const path = `/v1/moe/traces/${response.headers.get('x-mixgate-decision-id')}`;
    for (const format of ['', '?format=html']) {
      expect((await server.get(`${path}${format}`, bearer('dev'))).status).toBe(200);
      expect((await server.get(`${path}${format}`, bearer('other'))).status).toBe(404);
      expect((await server.get(`${path}${format}`)).status).toBe(401);
      expect((await server.get(`/v1/moe/stats${format}`)).status).toBe(401);
      expect((await server.get(`/v1/moe/traces${format}`)).status).toBe(401);
    }
  });
});
