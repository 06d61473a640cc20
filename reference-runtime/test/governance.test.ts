// Windows, quotas, prices, flags, pool state and the place of shadow traffic: the pure parts of governed routing.

import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { readFlags, readPrices } from '../src/config/catalog.ts';
import { devConfig } from '../src/config/dev.ts';
import type { PoolConfig, PriceConfig } from '../src/config/types.ts';
import type { Decision, Target } from '../src/policy/policy.ts';
import { newContext, type RequestContext, tokensUsed } from '../src/server/context.ts';
import { costHeader, costOf, perMtok, priceState } from '../src/server/cost.ts';
import type { HttpError } from '../src/server/errors.ts';
import { Flags } from '../src/server/flags.ts';
import { nearestRank, PoolState } from '../src/server/pool-state.ts';
import { decidedQuota, Quotas } from '../src/server/quota.ts';
import type { Reachable } from '../src/server/runtime.ts';
import { shadowRefusal } from '../src/server/shadow.ts';
import { SlidingWindow } from '../src/server/sliding-window.ts';
import { TenantLabels } from '../src/server/tenant-labels.ts';
import { temporary } from './support/models.ts';

const dir = temporary();
afterAll(dir.remove);

function refusal(action: () => unknown): { code: string; retryAfter: number | undefined } | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    const { code, retryAfter } = error as HttpError;
    return { code, retryAfter };
  }
}

describe('a sliding window', () => {
  const steps = fc.array(fc.record({ wait: fc.integer({ min: 0, max: 30_000 }), amount: fc.integer({ min: 1, max: 60 }) }), {
    minLength: 1,
    maxLength: 200,
  });

  it('never lets more than the limit into any 60 seconds, wherever they begin', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 100 }), fc.integer({ min: 0, max: 1e6 }), (list, limit, start) => {
        const window = new SlidingWindow(60_000, 60);
        const admitted: Array<{ at: number; amount: number }> = [];
        let now = start;
        for (const { wait, amount } of list) {
          now += wait;
          if (window.waitMs(now, amount, limit) > 0) continue;
          window.add(now, amount);
          admitted.push({ at: now, amount });
        }
        for (const { at } of admitted) {
          const inside = admitted.filter((one) => one.at >= at && one.at < at + 60_000);
          expect(inside.reduce((sum, { amount }) => sum + amount, 0)).toBeLessThanOrEqual(limit);
        }
      }),
    );
  });

  it('says how long to wait, and that is enough, not a millisecond too long, and the whole window for what never fits', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 100 }), (list, limit) => {
        const window = new SlidingWindow(60_000, 60);
        let now = 0;
        for (const { wait, amount } of list) {
          now += wait;
          const ms = window.waitMs(now, amount, limit);
          expect(ms).toBeLessThanOrEqual(61_000);
          if (amount > limit) expect(ms).toBe(61_000);
          else {
            if (ms > 0) expect(window.waitMs(now + ms - 1, amount, limit)).toBe(1);
            now += ms;
            expect(window.waitMs(now, amount, limit)).toBe(0);
          }
          window.add(now, amount);
        }
      }),
    );
  });

  it('takes corrections where the amount went, and none once that is past', () => {
    const window = new SlidingWindow(60_000, 60);
    const slot = window.add(0, 100);
    window.correct(1000, slot, -70);
    expect(window.used(59_999)).toBe(30);
    window.correct(59_999, slot, -1000);
    expect(window.used(59_999)).toBe(0);
    const late = window.add(60_000, 5);
    expect(window.used(200_000)).toBe(0);
    window.correct(200_000, late, 50);
    expect(window.used(200_000)).toBe(0);
    // The first slot that no longer counts has the place of the newest.
    const gone = window.add(300_000, 5);
    window.correct(360_999, gone, 2);
    expect(window.used(360_999)).toBe(7);
    window.correct(361_000, gone, 50);
    expect(window.used(361_000)).toBe(0);
  });
});

describe('token quotas', () => {
  const limit = decidedQuota({ tokens_per_minute: 100, max_concurrency: 2, tokens_per_request: 8192 });

  it('reserve what a request may use and give back what it did not', () => {
    const quotas = new Quotas({ default: {} });
    const first = quotas.enter('t', 0);
    first.reserve(limit, 80, 0);
    const second = quotas.enter('t', 10);
    expect(refusal(() => second.reserve(limit, 30, 10))).toEqual({ code: 'tokens_exceeded', retryAfter: 61 });
    second.settle(0, 10);
    first.settle(25, 20);
    first.settle(80, 20);
    const third = quotas.enter('t', 30);
    expect(refusal(() => third.reserve(limit, 75, 30))).toBeUndefined();
    expect(quotas.use(30)).toEqual([
      { tenant: 't', kind: 'tokens', ratio: 1 },
      { tenant: 't', kind: 'concurrency', ratio: 0.5 },
    ]);
  });

  it('let an estimate that is larger than the window start in an empty one, and charge it', () => {
    const quotas = new Quotas({ default: {} });
    quotas.enter('t', 0).reserve(limit, 500, 0);
    expect(refusal(() => quotas.enter('t', 1000).reserve(limit, 1, 1000))?.code).toBe('tokens_exceeded');
    expect(refusal(() => quotas.enter('u', 1000).reserve(decidedQuota({ tokens_per_minute: 0 }), 1, 1000))?.code).toBe(
      'tokens_exceeded',
    );
  });

  it('forget tenants that are idle once there are many, and none that used something in the last minute', () => {
    const quotas = new Quotas({ default: { tokensPerMinute: 100, requestsPerSecond: 1 } });
    const use = (tenant: string, nowMs: number, tokens: number): void => {
      const lease = quotas.enter(tenant, nowMs);
      lease.reserve({}, tokens, nowMs);
      lease.settle(tokens, nowMs);
    };
    for (let tenant = 0; tenant < 10_000; tenant++) use(`t${tenant}`, 0, 1);
    use('busy', 60_000, 100);
    const running = quotas.enter('running', 60_000);
    use('last', 200_000, 1);
    expect(quotas.tenants).toBe(2);
    use('busy', 200_000, 100);
    expect(() => use('busy', 230_000, 1)).toThrow(/tokens a minute/);
    running.settle(0, 230_000);
  });

  it('count requests at the same time by the smaller of both limits', () => {
    const quotas = new Quotas({ default: { concurrency: 5 } });
    const leases = [1, 2].map((at) => {
      const lease = quotas.enter('t', at);
      lease.reserve(limit, 1, at);
      return lease;
    });
    const refused = quotas.enter('t', 3);
    expect(refusal(() => refused.reserve(limit, 1, 3))).toEqual({ code: 'concurrency_exceeded', retryAfter: 1 });
    refused.settle(0, 3);
    leases[0]?.settle(1, 4);
    expect(refusal(() => quotas.enter('t', 5).reserve(limit, 1, 5))).toBeUndefined();
  });

  it('take requests per minute and the configuration’s tokens too', () => {
    const quotas = new Quotas({ default: { tokensPerMinute: 10 } });
    quotas.enter('t', 0).reserve(limit, 10, 0);
    expect(refusal(() => quotas.enter('t', 1).reserve(limit, 1, 1))?.code).toBe('tokens_exceeded');
    const few = decidedQuota({ requests_per_minute: 1 });
    quotas.enter('u', 0).reserve(few, 1, 0);
    expect(refusal(() => quotas.enter('u', 30_000).reserve(few, 1, 30_000))).toEqual({
      code: 'requests_exceeded',
      retryAfter: 31,
    });
  });

  it.each([
    // A bucket that holds one request gets it back in 1 / rate seconds.
    [{ requestsPerSecond: 0.1, burst: 1 }, 3000, 7],
    [{ requestsPerSecond: 0.3, burst: 1 }, 0, 4],
    [{ requestsPerSecond: 50, burst: 1 }, 0, 1],
  ])('say after how many whole seconds a rate of %o lets in again', (quota, at, retryAfter) => {
    const quotas = new Quotas({ default: quota });
    quotas.enter('t', 0);
    expect(refusal(() => quotas.enter('t', at))).toEqual({ code: 'rate_exceeded', retryAfter });
    expect(refusal(() => quotas.enter('t', at + 1000 * retryAfter))).toBeUndefined();
  });

  it('let a rate burst for a second where nothing else is said, at least by one, and a tenant of any name has the default', () => {
    for (const [requestsPerSecond, burst] of [
      [2.5, 3],
      [0.1, 1],
    ] as const) {
      const quotas = new Quotas({ default: { requestsPerSecond } });
      for (let index = 0; index < burst; index++) quotas.enter('constructor', 0);
      expect(refusal(() => quotas.enter('constructor', 0))?.code).toBe('rate_exceeded');
      expect(quotas.limits('constructor', 0).requests?.limit).toBe(burst);
    }
  });

  it('are shown as shares of the limits that there are, and as whole numbers of what is left', () => {
    const quotas = new Quotas({ default: {} });
    quotas.enter('t', 0).reserve(decidedQuota({ requests_per_minute: 4, tokens_per_minute: 2.5, max_concurrency: 0.5e9 }), 1, 0);
    expect(quotas.use(0)).toEqual([
      { tenant: 't', kind: 'tokens', ratio: 0.4 },
      { tenant: 't', kind: 'requests', ratio: 0.25 },
      { tenant: 't', kind: 'concurrency', ratio: 2e-9 },
    ]);
    expect(quotas.limits('t', 0)).toMatchObject({ requests: { remaining: 3 }, tokens: { limit: 2.5, remaining: 1 } });
    expect(refusal(() => quotas.enter('t', 0).reserve(decidedQuota({ requests_per_minute: 0 }), 1, 0))?.code).toBe(
      'requests_exceeded',
    );
    expect(quotas.use(0)).toEqual([]);
  });

  it.each([[undefined], ['gold'], [null], [{ tokens_per_minute: '5', max_concurrency: -1 }]])('limit nothing by %o', (quota) =>
    expect(decidedQuota(quota)).toEqual({}),
  );
});

describe('tokens of a request that ended', () => {
  const context = (change: Partial<RequestContext>): RequestContext => ({
    ...newContext(0, 0, { includeTimings: false, includeMoe: false, includeExperts: false }, undefined, ''),
    promptEstimate: 7,
    engineStartedAt: 1,
    ...change,
  });
  it.each([
    ['before the engine', { engineStartedAt: undefined as unknown as number }, [0, 0]],
    ['whole, as the engine counted', { finishReason: 'stop', promptTokens: 5, completionTokens: 3, tokenTimes: [1] }, [5, 3]],
    ['whole, from a server that counts no prompt', { finishReason: 'stop', completionTokens: 3 }, [7, 3]],
    ['cancelled while streaming', { aborted: true, promptTokens: 5, tokenTimes: [1, 2] }, [5, 2]],
    ['cancelled while the prompt was read', { aborted: true }, [7, 0]],
    ['broken off after two tokens', { tokenTimes: [1, 2] }, [7, 2]],
    ['by an engine that never began', {}, [0, 0]],
  ] as Array<[string, Partial<RequestContext>, [number, number]]>)('%s', (_name, change, [prompt, completion]) =>
    expect(tokensUsed(context(change))).toEqual({ prompt, completion }),
  );
});

describe('prices', () => {
  const day = 86_400_000;
  const file = (text: string): string => {
    const path = dir.file('pools.yaml');
    writeFileSync(path, text);
    return path;
  };
  const GOOD = `pools:
  - { id: a, cluster: c, accelerator: gpu, memory: 80GiB, price: { currency: EUR, asOf: "2026-01-10", maxAgeDays: 30, perMtokInput: 0.5, perMtokOutput: 1.5 } }
  - { id: b, cluster: c, accelerator: cpu, memory: 2GiB }
`;
  const price = (): PriceConfig => (readPrices(file(GOOD)) as Record<string, PriceConfig>)['a'] as PriceConfig;

  it('are read from the catalogue’s pools; a pool may have none', () => {
    expect(readPrices(file(GOOD))).toEqual({ a: expect.objectContaining({ currency: 'EUR', asOf: '2026-01-10' }) });
  });

  it.each([
    ['2026-01-09T23:59:59Z', 'stale'],
    ['2026-01-10T00:00:00Z', 'current'],
    ['2026-02-09T23:59:59Z', 'current'],
    ['2026-02-10T00:00:00Z', 'stale'],
  ])('at %s are %s', (now, state) => expect(priceState(price(), Date.parse(now))).toBe(state));

  it('give a cost by kind of token, and say when they are stale', () => {
    const cost = costOf(price(), { prompt: 1000, completion: 200 }, price().untilMs + day);
    expect(cost).toEqual({ amount: 0.0008, currency: 'EUR', price: 'stale', asOf: '2026-01-10' });
    expect(costHeader(cost)).toBe('0.000800000 EUR; price=stale; as-of=2026-01-10');
    // What a cache had has a price of its own, where there is one, and is never more than the prompt.
    expect(costOf(price(), { prompt: 1000, cached: 600, completion: 200 }, price().fromMs).amount).toBe(0.0008);
    const cheaper = { ...price(), perMtokCachedInput: 0.05 };
    expect(costOf(cheaper, { prompt: 1000, cached: 600, completion: 200 }, price().fromMs).amount).toBeCloseTo(0.00053, 12);
    expect(costOf(cheaper, { prompt: 1000, cached: 6000, completion: 0 }, price().fromMs).amount).toBeCloseTo(0.00005, 12);
    expect(perMtok(price(), { prompt: 1000, completion: 1000 })).toBe(1);
    expect(perMtok(price(), { prompt: 0, completion: 0 })).toBe(0.5);
  });

  it.each([
    ['a day that is none', GOOD.replace('2026-01-10', '2026-02-30'), /price of a: 2026-02-30 is no day/],
    ['a negative price', GOOD.replace('0.5', '-1'), /perMtokInput must be >= 0/],
    ['no YAML', 'pools: [', /pools.yaml:\d+:\d+/],
  ])('refuse %s', (_name, text, expected) => expect(String(readPrices(file(text)))).toMatch(expected));
});

describe('flags', () => {
  const file = (text: string): string => {
    const path = dir.file('flags.yaml');
    writeFileSync(path, text);
    return path;
  };
  const GOOD = `flags:
  - { id: new_ranking, owner: routing, default: false, value: true, expires: "2026-06-01" }
  - { id: batch_pool, owner: routing, default: none, expires: "2027-01-01" }
`;

  it('are their value until they expire and their default from then on', () => {
    const { flags } = readFlags(file(GOOD), { batch_pool: 'cpu' });
    const state = new Flags({ flags: {}, catalog: { prices: {}, flags } });
    expect(state.at(Date.parse('2026-05-31T23:59:59Z'))).toEqual({
      values: { new_ranking: true, batch_pool: 'cpu' },
      expired: [],
    });
    expect(state.at(Date.parse('2026-06-01T00:00:00Z'))).toEqual({
      values: { new_ranking: false, batch_pool: 'cpu' },
      expired: ['new_ranking'],
    });
    // Nothing expires in between: the state is the one made before.
    expect(state.at(Date.parse('2026-12-31T23:59:59Z'))).toBe(state.at(Date.parse('2026-06-01T00:00:00Z')));
    expect(state.at(Date.parse('2028-01-01T00:00:00Z'))).toEqual({
      values: { new_ranking: false, batch_pool: 'none' },
      expired: ['new_ranking', 'batch_pool'],
    });
  });

  it('of the configuration stand without a catalogue', () => {
    expect(new Flags({ flags: { a: 1 }, catalog: { prices: {} } }).at(0)).toEqual({ values: { a: 1 }, expired: [] });
  });

  it.each([
    ['a flag that nobody catalogued', GOOD, { other: true }, /flags.other is not in .*flags.yaml/],
    ['a value of another type', GOOD, { new_ranking: 'yes' }, /its value yes is no boolean/],
    ['a flag listed twice', `${GOOD}  - { id: batch_pool, default: a, expires: "2027-01-01" }\n`, {}, /listed twice/],
    ['a day that is none', GOOD.replace('2027-01-01', '2027-13-01'), {}, /2027-13-01 is no day/],
  ])('refuse %s', (_name, text, values, expected) =>
    expect(readFlags(file(text), values as Record<string, boolean>).problems.join('\n')).toMatch(expected),
  );
});

describe('the state of a pool', () => {
  it('has a 95th percentile of recent first tokens, and none from few', () => {
    const pool = new PoolState();
    for (let index = 1; index <= 19; index++) pool.firstToken(index, 0);
    expect(pool.p95(0)).toBeUndefined();
    for (let index = 20; index <= 100; index++) pool.firstToken(index, 1000);
    expect(pool.p95(1000)).toBe(95);
    expect(pool.p95(200_000)).toBeUndefined();
  });

  it('is bounded and counts each request once', () => {
    const pool = new PoolState();
    for (let index = 0; index < 2000; index++) pool.firstToken(index < 1488 ? 9999 : 1, 0);
    expect(pool.p95(0)).toBe(1);
    const leave = pool.enter();
    pool.enter();
    leave();
    expect(pool.running).toBe(1);
    leave();
    expect(pool.running).toBe(1);
  });

  it('forgets after a minute, and is looked at again after a quarter of a second', () => {
    const pool = new PoolState();
    for (let index = 0; index < 20; index++) pool.firstToken(1000, 0);
    expect([pool.p95(60_000), pool.p95(60_001)]).toEqual([1000, 1000]);
    for (let index = 1; index <= 19; index++) pool.firstToken(index, 60_001);
    expect([pool.p95(60_249), pool.p95(60_250)]).toEqual([1000, undefined]);
    pool.firstToken(20, 60_251);
    expect([pool.p95(60_499), pool.p95(60_500)]).toEqual([undefined, 19]);
  });

  it('takes the nearest rank', () => {
    expect([0, 0.2, 0.21, 0.5, 1].map((q) => nearestRank([50, 10, 40, 20, 30], q))).toEqual([10, 10, 20, 30, 50]);
  });
});

it('tenants have labels of a bounded number, and none for being refused', () => {
  const labels = new TenantLabels(['a']);
  expect([labels.of('a', false), labels.of('stranger', false), labels.of(undefined, false)]).toEqual([
    'a',
    '_default',
    '_unidentified',
  ]);
  const given = new Set(Array.from({ length: 500 }, (_, index) => labels.of(`t-${index}`, true)));
  expect(given.size).toBe(101);
  expect(labels.of('t-3', false)).toBe('t-3');
});

describe('shadow traffic', () => {
  const PLACES = [
    ['EU', 'eu'],
    ['EU', 'eu'],
    ['EU', 'partner'],
    ['US', 'us'],
    ['US', 'partner'],
    ['IN', 'ap'],
  ] as const;
  const base = devConfig().pools[0] as PoolConfig;
  const pools = PLACES.map(([jurisdiction, trust_zone], index) => ({ ...base, id: `p${index}`, jurisdiction, trust_zone }));
  const config = { ...devConfig(), pools };
  const reachable = new Map(pools.map(({ id }) => [id, { admission: undefined } as Reachable]));
  const target = (index: number): Target => ({ cluster: 'c', pool: `p${index}`, model: 'm', version: '1' });
  const index = fc.integer({ min: 0, max: PLACES.length - 1 });

  it('never leaves the jurisdictions and trust zones that the decision answers in, for any decision', () => {
    fc.assert(
      fc.property(
        index,
        fc.array(index, { maxLength: 3 }),
        fc.array(index, { maxLength: 3 }),
        index,
        (to, fallbacks, arms, copy) => {
          const decision: Decision = {
            allow: true,
            target: target(to),
            fallbacks: fallbacks.map(target),
            split: { id: 's', key: 'k', arms: arms.map((arm, at) => ({ id: String(at), weight: 1, target: target(arm) })) },
            shadow: { target: target(copy), share: 1 },
          };
          const places = [to, ...fallbacks, ...arms].map((one) => String(PLACES[one]));
          const sent = shadowRefusal({ config, reachable }, decision, `p${to}`) === undefined;
          expect(sent).toBe(places.includes(String(PLACES[copy])) && copy !== to);
        },
      ),
    );
  });

  it.each([
    ['restricted data of the EU outside it', 3, 0, 'JURISDICTION'],
    ['another trust zone of the same jurisdiction', 2, 0, 'JURISDICTION'],
    ['the pool that answers', 0, 0, 'SAME_POOL'],
  ])('refuses %s', (_name, copy, to, reason) => {
    const decision = { allow: true, target: target(to), shadow: { target: target(copy), share: 1 } };
    expect(shadowRefusal({ config, reachable }, decision, `p${to}`)).toBe(reason);
  });

  it('refuses the local engine, and a pool that is unknown or unreachable', () => {
    const local = new Map([...reachable, ['p1', { admission: {} } as Reachable]]);
    const decision = { allow: true, target: target(0), shadow: { target: target(1), share: 1 } };
    expect(shadowRefusal({ config, reachable: local }, decision, 'p0')).toBe('LOCAL_POOL');
    expect(shadowRefusal({ config, reachable: new Map() }, decision, 'p0')).toBe('POOL_UNREACHABLE');
    const mars = { ...decision, shadow: { target: { ...target(0), pool: 'mars' }, share: 1 } };
    expect(shadowRefusal({ config, reachable }, mars, 'p0')).toBe('POOL_UNREACHABLE');
  });
});
