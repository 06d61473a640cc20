// Sums, variances and exact tests against arithmetic without rounding.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalQuantile } from '../../src/stats/distributions.ts';
import { conditionalRateTest, fisherExact, mcNemarExact } from '../../src/stats/fisher.ts';
import { MAD_TO_SD, mean, medianAbsoluteDeviation, quantileSorted, sum, variance } from '../../src/stats/summary.ts';

describe('sums', () => {
  // A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen", ZAMM 54, 1974: what plain and Kahan sums lose.
  it('keep what a large term would swallow', () => {
    expect(sum([1, 1e100, 1, -1e100])).toBe(2);
    expect(sum([1e100, 1, -1e100, 1])).toBe(2);
    expect(sum([])).toBe(0);
  });
  it('do not depend on the order, and are right to the last bit or the next', () =>
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -(2 ** 40), max: 2 ** 40 }), { maxLength: 40 }),
        fc.array(fc.nat(60), { maxLength: 40 }),
        (whole, shifts) => {
          // Fractions of 2^-60, which BigInt adds exactly.
          const values = whole.map((value, index) => value / 2 ** (shifts[index] ?? 0));
          const exact = whole.reduce((total, value, index) => total + (BigInt(value) << BigInt(60 - (shifts[index] ?? 0))), 0n);
          const truth = Number(exact) / 2 ** 60;
          for (const order of [values, values.toReversed(), values.toSorted((a, b) => a - b)])
            expect(Math.abs(sum(order) - truth)).toBeLessThanOrEqual(Math.abs(truth) * 2 ** -52 + 2 ** -60);
        },
      ),
    ));
  // T. Chan, G. Golub, R. LeVeque, "Algorithms for computing the sample variance", The American Statistician 37, 1983: a large common part.
  it('of squares survive a large common part', () => {
    const values = [4, 7, 13, 16].map((value) => 1e9 + value);
    expect([mean(values), variance(values)]).toEqual([1e9 + 10, 30]);
    expect(variance([2, 4])).toBe(2);
  });
  it('of too few values are not numbers', () => {
    for (const value of [mean([]), variance([3]), quantileSorted([], 0.5), medianAbsoluteDeviation([], 0)])
      expect(value).toBeNaN();
  });
  it('of deviations are scaled to a normal standard deviation', () =>
    expect(MAD_TO_SD).toBeCloseTo(1 / normalQuantile(0.75), 12));
});

function choose(n: number, k: number): bigint {
  let result = 1n;
  for (let i = 1; i <= k; i++) result = (result * BigInt(n - k + i)) / BigInt(i);
  return result;
}

describe('exact tests of small tables', () => {
  it('are sums over the tables with the same margins', () => {
    const cell = fc.nat(9);
    fc.assert(
      fc.property(cell, cell, cell, cell, (a, b, c, d) => {
        const [row, column, total] = [a + b, a + c, a + b + c + d];
        const tables = Array.from({ length: Math.min(row, column) + 1 }, (_, k) => ({
          k,
          ways: column - k <= total - row ? choose(row, k) * choose(total - row, column - k) : 0n,
        }));
        const all = tables.reduce((n, { ways }) => n + ways, 0n);
        const share = (of: (table: (typeof tables)[number]) => boolean): number =>
          Number(tables.filter(of).reduce((n, { ways }) => n + ways, 0n)) / Number(all);
        const own = tables[a]!.ways;
        expect(fisherExact(a, b, c, d, 'greater')).toBeCloseTo(
          share(({ k }) => k >= a),
          10,
        );
        expect(fisherExact(a, b, c, d, 'less')).toBeCloseTo(
          share(({ k }) => k <= a),
          10,
        );
        expect(fisherExact(a, b, c, d)).toBeCloseTo(
          share(({ ways }) => ways > 0n && ways <= own),
          10,
        );
      }),
    );
  });
  it('of counts are binomial on both sides, never above certainty, and say nothing without events', () => {
    // 1 of 4 with equal exposures: P(X <= 1) = 5/16, P(X >= 1) = 15/16.
    expect(conditionalRateTest(1, 2, 3, 2, 'less')).toBeCloseTo(5 / 16, 12);
    expect(conditionalRateTest(1, 2, 3, 2, 'greater')).toBeCloseTo(15 / 16, 12);
    expect(conditionalRateTest(1, 2, 3, 2, 'two-sided')).toBeCloseTo(10 / 16, 12);
    expect(conditionalRateTest(2, 2, 2, 2, 'two-sided')).toBe(1);
    // Three times the exposure: P(X >= 1 of 1) = 3/4.
    expect(conditionalRateTest(1, 3, 0, 1)).toBeCloseTo(3 / 4, 12);
    for (const alternative of ['greater', 'less', 'two-sided'] as const) {
      expect(conditionalRateTest(0, 1, 0, 5, alternative)).toBe(1);
      expect(mcNemarExact(0, 0, alternative)).toBe(1);
    }
  });
});
