// The shift between two samples, its interval and the test that the interval inverts.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalSf } from '../../src/stats/distributions.ts';
import { hodgesLehmannShift, kthDifference, medianDifference } from '../../src/stats/hodges-lehmann.ts';
import { mannWhitney, sortedRankSumP } from '../../src/stats/mann-whitney.ts';
import { countPairs, mergeSorted, midranks, sortedDeviations } from '../../src/stats/ranks.ts';
import { medianAndDeviation, selectMedian } from '../../src/stats/select.ts';
import { medianAbsoluteDeviation } from '../../src/stats/summary.ts';

const ascending = (values: number[]): Float64Array => new Float64Array(values).sort();

describe('the interval of a shift', () => {
  /** All 100 differences y - x are different: -90, -89 ... 9, so that the k-th is k - 91. */
  const x = Float64Array.from({ length: 10 }, (_, i) => 10 * i);
  const y = Float64Array.from({ length: 10 }, (_, i) => i);
  // k = ceil(50 - quantile x spread - 0.5), spread^2 = 100 / 12 x (21 - ties / 380) x inflation (Hollander, Wolfe, Chicken 4.2-4.3).
  it.each([
    ['normal', {}, 28],
    ['of dependent points', { inflation: 4 }, 6],
    ['of tied points', { tieTerm: 3800 }, 34],
    ['of few degrees of freedom', { df: 5 }, 23],
    ['that needs the last difference', { inflation: 5.0745 }, 1],
  ])('%s', (_title, options, k) => {
    expect(hodgesLehmannShift(x, y, { tail: 0.05, ...options })).toEqual({
      estimate: -40.5,
      low: k - 91,
      high: 100 - k + 1 - 91,
    });
  });
  it('has no end where not even all differences are enough', () =>
    expect(hodgesLehmannShift(x, y, { tail: 0.05, inflation: 9 })).toEqual({
      estimate: -40.5,
      low: Number.NEGATIVE_INFINITY,
      high: Number.POSITIVE_INFINITY,
    }));
  it('takes an estimate that is known', () => expect(hodgesLehmannShift(x, y, { tail: 0.05, estimate: 7 }).estimate).toBe(7));

  const sample = fc.uniqueArray(fc.integer({ min: -1e6, max: 1e6 }), { minLength: 4, maxLength: 30 }).map(ascending);
  it('is above 0 when the test says that y is larger, and only then', () =>
    fc.assert(
      fc.property(sample, sample, fc.constantFrom(0.01, 0.05, 0.2), (one, other, tail) => {
        const { u, tieTerm } = countPairs(other, one);
        fc.pre(tieTerm === 0 && u !== 0);
        const { low, high } = hodgesLehmannShift(one, other, { tail });
        expect(low > 0).toBe(sortedRankSumP(other, one) < tail);
        expect(high < 0).toBe(sortedRankSumP(one, other) < tail);
      }),
    ));
});

describe('the rank-sum test', () => {
  it('says nothing where all values are equal', () => {
    const same = Float64Array.of(3, 3, 3);
    for (const alternative of ['greater', 'less', 'two-sided'] as const)
      expect(mannWhitney(same, same, { method: 'asymptotic', alternative })).toEqual({
        u: 4.5,
        z: 0,
        p: 1,
        method: 'asymptotic',
      });
    expect(sortedRankSumP(same, same)).toBe(1);
  });
  const counts = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 2, maxLength: 30 });
  it('has one p, however it is asked for, ties and all', () =>
    fc.assert(
      fc.property(counts, counts, (x, y) => {
        const [a, b] = [ascending(x), ascending(y)];
        const options = { method: 'asymptotic' } as const;
        expect(sortedRankSumP(a, b)).toBeCloseTo(mannWhitney(x, y, { ...options, alternative: 'greater' }).p, 12);
        expect(mannWhitney(x, y, { ...options, alternative: 'less' }).p).toBeCloseTo(
          mannWhitney(y, x, { ...options, alternative: 'greater' }).p,
          12,
        );
        const { u, z } = mannWhitney(x, y, options);
        const pairs = x.flatMap((left) => y.map((right): number => (left > right ? 1 : left === right ? 0.5 : 0)));
        expect(u).toBe(pairs.reduce((sum, one) => sum + one, 0));
        const flat = new Set([...x, ...y]).size === 1;
        for (const [alternative, p] of [
          ['greater', normalSf(z)],
          ['less', normalSf(-z)],
          ['two-sided', Math.min(1, 2 * normalSf(Math.abs(z)))],
        ] as const)
          expect(mannWhitney(x, y, { ...options, alternative, continuity: false }).p).toBeCloseTo(flat ? 1 : p, 12);
        if (flat) expect(z).toBe(0);
      }),
    ));
});

it('the median of an even number is between the two in the middle, in any order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1e6, max: 1e6 }), { minLength: 66, maxLength: 300, size: 'max' }), (list) => {
      const even = list.length % 2 === 0 ? list : list.slice(1);
      const order = ascending(even);
      const half = even.length / 2;
      expect(selectMedian(new Float64Array(even))).toBe((order[half - 1]! + order[half]!) / 2);
      expect(medianAndDeviation(new Float64Array(even)).deviation).toBe(
        medianAbsoluteDeviation(order, (order[half - 1]! + order[half]!) / 2),
      );
    }),
  );
});

it('the k-th difference is right where most are equal, and where none are', () => {
  const many = fc.oneof(
    fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 40, maxLength: 80 }),
    fc.array(fc.integer({ min: -1e9, max: 1e9 }), { minLength: 40, maxLength: 80 }),
  );
  fc.assert(
    fc.property(many, many, fc.double({ min: 0, max: 1, noNaN: true }), (x, y, at) => {
      const [a, b] = [ascending(x), ascending(y)];
      const all = Float64Array.from(x.flatMap((left) => y.map((right) => right - left))).sort();
      const k = 1 + Math.floor(at * (all.length - 1));
      expect(kthDifference(a, b, k)).toBe(all[k - 1]);
      const middle = all.length / 2;
      expect(medianDifference(a, b)).toBe(all.length % 2 === 1 ? all[Math.floor(middle)] : (all[middle - 1]! + all[middle]!) / 2);
    }),
    { numRuns: 60 },
  );
});

describe('ranks', () => {
  // Few and many values, even and skewed, with and without ties: the search of ranks changes its method at 64 values.
  const length = { minLength: 1, maxLength: 200, size: 'max' } as const;
  const values = fc.oneof(
    fc.array(fc.integer({ min: -5, max: 5 }), length),
    fc.array(fc.integer({ min: -1e6, max: 1e6 }), length),
    fc.array(
      fc.double({ min: -300, max: 300, noNaN: true }).map((exponent) => Math.exp(exponent)),
      length,
    ),
    fc.array(fc.constantFrom(-Number.MAX_VALUE, -1, 0, 1, Number.MAX_VALUE), length),
    fc.array(fc.constantFrom(1, 1 + Number.EPSILON, 1 + 2 * Number.EPSILON), length),
  );
  it('are one more than what is below, and the middle of what is equal', () =>
    fc.assert(
      fc.property(values, (list) => {
        const { ranks, tieTerm, largestTie } = midranks(list);
        const groups = Map.groupBy(list, (value) => value + 0);
        for (const [index, value] of list.entries()) {
          const below = list.filter((other) => other < value).length;
          expect(ranks[index]).toBe(below + (groups.get(value + 0)!.length + 1) / 2);
        }
        const sizes = [...groups.values()].map((group) => group.length);
        expect(tieTerm).toBe(sizes.reduce((sum, t) => sum + t ** 3 - t, 0));
        expect(largestTie).toBe(Math.max(...sizes));
        expect(midranks(list, ascending(list)).ranks).toEqual(ranks);
      }),
      { numRuns: 60 },
    ));
  it('of two samples merged are those of all, and deviations are sorted', () =>
    fc.assert(
      fc.property(values, values, (x, y) => {
        const [a, b] = [ascending(x), ascending(y)];
        expect(mergeSorted(a, b)).toEqual(ascending([...x, ...y]));
        const { tieTerm } = countPairs(a, b);
        expect(tieTerm).toBe(midranks([...x, ...y]).tieTerm);
        for (const centre of [0, a[Math.floor(a.length / 2)]!]) {
          if (!Number.isFinite(a.at(-1)! - centre) || !Number.isFinite(centre - a[0]!)) continue;
          expect(sortedDeviations(a, centre)).toEqual(ascending(x.map((value) => Math.abs(value - centre))));
        }
      }),
      { numRuns: 60 },
    ));
});
