// Weighted rendezvous hashing: shares, stickiness, and how little moves. Keys are fixed, so that a result never depends on chance.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Arm, Split, Target } from '../src/policy/policy.ts';
import { attempts } from '../src/server/route.ts';
import type { Reachable } from '../src/server/runtime.ts';
import { armOf, inShare } from '../src/server/split.ts';

const target = (pool: string): Target => ({ cluster: 'c', pool, model: 'm', version: '1' });
const arms = (weights: Record<string, number>): Arm[] =>
  Object.entries(weights).map(([id, weight]) => ({ id, weight, target: target(id) }));
const split = (weights: Record<string, number>, key: string, id = 's'): Split => ({ id, key, arms: arms(weights) });
const KEYS = Array.from({ length: 20_000 }, (_, index) => `tenant-${index % 40}/session-${index}`);
const assign = (weights: Record<string, number>, id?: string): Array<string | undefined> =>
  KEYS.map((key) => armOf(split(weights, key, id))?.id);

/** Whether `hits` of `n` is within 4.5 standard deviations of a share: beyond it once in 150,000 (normal approximation). */
function near(hits: number, n: number, share: number): boolean {
  return Math.abs(hits - n * share) <= 4.5 * Math.sqrt(n * share * (1 - share));
}

describe('arms of a split', () => {
  it.each([
    { a: 1, b: 1 },
    { a: 95, b: 5 },
    { a: 999, b: 1 },
    { a: 0.7, b: 0.2, c: 0.1 },
    { a: 3, b: 0, c: 1, d: 1 },
  ])('get the share of their weight: %o', (weights: Record<string, number>) => {
    const assigned = assign(weights);
    const sum = Object.values(weights).reduce((a, b) => a + b);
    for (const [id, weight] of Object.entries(weights)) {
      const hits = assigned.filter((arm) => arm === id).length;
      expect([id, hits, near(hits, KEYS.length, weight / sum)]).toEqual([id, hits, true]);
    }
  });

  it('is the same for a key whatever the order of arms and the scale of weights', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 6 }),
        fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 6, maxLength: 6 }),
        fc.integer({ min: 0, max: 8 }),
        (key, ids, weights, power) => {
          const list = ids.map((id, index): Arm => ({ id, weight: weights[index] as number, target: target(id) }));
          const one = armOf({ id: 's', key, arms: list });
          const scaled = list.map((arm) => ({ ...arm, weight: arm.weight * 2 ** power }));
          expect(armOf({ id: 's', key, arms: scaled.toReversed() })?.id).toBe(one?.id);
          expect(one === undefined).toBe(weights.slice(0, ids.length).every((weight) => weight === 0));
          expect(one?.weight).not.toBe(0);
        },
      ),
    );
  });

  it('is none of weight 0 or below', () => {
    for (const key of KEYS.slice(0, 50)) {
      expect(armOf(split({ a: -1, b: 1, c: 0 }, key))?.id).toBe('b');
      expect(armOf(split({ a: -1, b: 0 }, key))).toBeUndefined();
    }
  });

  it('moves keys only towards arms whose weight grew against the arm they leave, for any change of weights', () => {
    const weight = fc.integer({ min: 0, max: 100 });
    const three = fc.record({ a: weight, b: weight, c: weight });
    fc.assert(
      fc.property(three, three, fc.uniqueArray(fc.string(), { minLength: 20, maxLength: 60 }), (before, after, keys) => {
        for (const key of keys) {
          const from = armOf(split(before, key))?.id as keyof typeof before | undefined;
          const to = armOf(split(after, key))?.id as keyof typeof before | undefined;
          if (from === undefined || to === undefined || from === to) continue;
          expect(after[to] * before[from]).toBeGreaterThan(before[to] * after[from]);
        }
      }),
    );
  });

  it.each([
    [{ stable: 95, canary: 5 }, { stable: 90, canary: 10 }, 0.05],
    [{ stable: 90, canary: 10 }, { stable: 0, canary: 100 }, 0.9],
    [{ a: 1, b: 1, c: 1 }, { a: 1, b: 1, c: 1, d: 1 }, 0.25],
    [{ a: 1, b: 1, c: 2 }, { a: 1, b: 1 }, 0.5],
  ])(
    'from %o to %o moves the share that has to move and no more',
    (before: Record<string, number>, after: Record<string, number>, share) => {
      const [was, is] = [assign(before), assign(after)];
      const moved = was.filter((arm, index) => arm !== is[index]).length;
      expect([moved, near(moved, KEYS.length, share)]).toEqual([moved, true]);
    },
  );

  it('of two splits do not depend on each other', () => {
    const [one, two] = [assign({ a: 1, b: 1 }, 'one'), assign({ a: 1, b: 1 }, 'two')];
    const same = one.filter((arm, index) => arm === two[index]).length;
    expect([same, near(same, KEYS.length, 0.5)]).toEqual([same, true]);
  });

  // Computed with Python: hashlib.sha256(b"s\0" + arm + b"\0" + key + b"\0"), u = (first 13 hex digits + 0.5) / 2^52, least -ln(u)/weight.
  it('is what another implementation of the hash gives', () => {
    expect(Array.from({ length: 24 }, (_, index) => armOf(split({ a: 1, b: 2 }, `user-${index}`))?.id).join('')).toBe(
      'babaabbaabbbabaababbbaba',
    );
  });
});

it('a share of requests is a share of ids, and all or none at its ends', () => {
  const hits = KEYS.filter((key) => inShare('shadow', key, 0.1)).length;
  expect([hits, near(hits, KEYS.length, 0.1)]).toEqual([hits, true]);
  expect(KEYS.slice(0, 100).filter((key) => inShare('shadow', key, 0))).toEqual([]);
  expect(KEYS.slice(0, 100).every((key) => inShare('shadow', key, 1))).toBe(true);
});

describe('targets to try', () => {
  const reachable = new Map(['a', 'b', 'c'].map((id) => [id, {} as Reachable]));
  const pools = (decision: Parameters<typeof attempts>[1], arm?: Arm): string[] =>
    [...attempts({ reachable }, decision, arm)].map((attempt) => `${attempt.target.pool}${attempt.primary ? '' : '?'}`);
  const fallbacks = [target('b'), target('gone'), target('c')];

  it.each([
    ['the target, then reachable fallbacks', undefined, 'a', ['a', 'b?', 'c?']],
    ['an arm before the target', 'b', 'a', ['b', 'a?', 'c?']],
    ['an arm that is the target', 'a', 'a', ['a', 'b?', 'c?']],
    ['an unreachable arm first, to be told so', 'gone', 'a', ['gone', 'a?', 'b?', 'c?']],
  ])('%s', (_name, arm, first, expected) => {
    const chosen = arm === undefined ? undefined : { id: 'x', weight: 1, target: target(arm) };
    expect(pools({ allow: true, target: target(first), fallbacks }, chosen)).toEqual(expected);
  });

  it('are none without a target, and an arm alone has fallbacks', () => {
    expect(pools({ allow: true, fallbacks })).toEqual([]);
    expect(pools({ allow: true, fallbacks }, { id: 'x', weight: 1, target: target('b') })).toEqual(['b', 'c?']);
    expect(pools({ allow: true, target: target('a'), fallbacks: [target('a'), target('b'), target('b')] })).toEqual(['a', 'b?']);
  });
});
