import { describe, expect, it } from 'vitest';
import { normalSf } from '../../src/stats/distributions.ts';
import { cochranArmitage, mannKendall, theilSen } from '../../src/stats/monotone-trend.ts';

describe('Mann-Kendall', () => {
  it.each([
    // Upper tail of Kendall's S: Hollander and Wolfe, "Nonparametric Statistical Methods", table A.30.
    [[1, 2, 3, 4], 6, 0.042],
    [[1, 2, 3, 5, 4], 8, 0.042],
    [[1, 2, 3, 4, 5], 10, 0.0083],
  ])('%j has S = %i and p = %f', (values, s, p) => {
    const result = mannKendall(values);
    expect(result.s).toBe(s);
    expect(result.pUp).toBeCloseTo(p, 3);
    expect(mannKendall([...values].reverse()).pDown).toBeCloseTo(result.pUp, 12);
  });

  it('agrees with all orders of six values, counted', () => {
    const orders = (values: number[]): number[][] =>
      values.length === 0
        ? [[]]
        : values.flatMap((value) => orders(values.filter((v) => v !== value)).map((rest) => [value, ...rest]));
    const all = orders([1, 2, 3, 4, 5, 6]).map((order) => mannKendall(order));
    for (const { s, pUp } of all.slice(0, 200)) expect(pUp).toBeCloseTo(all.filter((one) => one.s >= s).length / 720, 12);
  });

  // Kendall 1975: the variance of S with t values in each group of equals is [n(n-1)(2n+5) - sum t(t-1)(2t+5)] / 18.
  it('is normal with ties and for many values, one step of S less for continuity', () => {
    const ties = mannKendall([1, 1, 2, 2, 3]);
    const sd = Math.sqrt((5 * 4 * 15 - 2 * (2 * 1 * 9)) / 18);
    expect(ties.s).toBe(8);
    expect(ties.pUp).toBeCloseTo(normalSf(7 / sd), 12);
    expect(ties.pDown).toBeCloseTo(normalSf(-9 / sd), 12);
    const slow = (n: number) => Array.from({ length: n }, (_, i) => (i % 2 === 0 ? i : i - n));
    const [exact, many] = [mannKendall(slow(60)), mannKendall(slow(61))];
    const wide = Math.sqrt((61 * 60 * 127) / 18);
    expect(many.pUp).toBeCloseTo(normalSf((many.s - 1) / wide), 12);
    expect(many.pDown).toBeCloseTo(normalSf((-many.s - 1) / wide), 12);
    // The exact p of one value less is not far from the normal one, and not it.
    const normal = normalSf((exact.s - 1) / Math.sqrt((60 * 59 * 125) / 18));
    expect(Math.abs(exact.pUp - normal)).toBeLessThan(0.003);
    expect(exact.pUp).not.toBe(normal);
  });

  it('of no order at all is certain', () => expect(mannKendall([7])).toEqual({ s: 0, pUp: 1, pDown: 1 }));

  it('says nothing of values that are all equal, and the slope is the median one', () => {
    expect(mannKendall([3, 3, 3, 3])).toEqual({ s: 0, pUp: 1, pDown: 1 });
    expect(theilSen([1, 2, 3, 100, 5])).toBeCloseTo(1, 12);
    expect([theilSen([]), theilSen([3]), theilSen([0, 4]), theilSen([0, 1, 6])]).toEqual([0, 0, 4, 3]);
  });
});

describe('Cochran-Armitage', () => {
  // Alcohol and malformation: Agresti, "Categorical Data Analysis", table on 17,114 ... 38 births; z^2 by the scores.
  const births = [
    [48, 17_066],
    [38, 14_464],
    [5, 788],
    [1, 126],
    [1, 37],
  ].map(([events, others]) => ({ events: events!, trials: events! + others! }));
  it.each([
    [[0, 0.5, 1.5, 4, 7], 6.57],
    [[1, 2, 3, 4, 5], 1.83],
  ])('with scores %j z^2 is %f', (scores, expected) => {
    expect(cochranArmitage(births, scores)!.z ** 2).toBeCloseTo(expected, 2);
  });

  it('gives the slope of shares on a line, and nothing where none varies', () => {
    const line = [10, 20, 30].map((events) => ({ events, trials: 100 }));
    expect(cochranArmitage(line)!.slope).toBeCloseTo(0.1, 12);
    expect(cochranArmitage(line.map(() => ({ events: 0, trials: 9 })))).toBeUndefined();
    expect(cochranArmitage(line, [2, 2, 2])).toBeUndefined();
    expect(cochranArmitage(line.toReversed())!.z).toBeCloseTo(-cochranArmitage(line)!.z, 12);
  });
});
