import { describe, expect, it } from 'vitest';
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

  it('says nothing of values that are all equal, and the slope is the median one', () => {
    expect(mannKendall([3, 3, 3, 3])).toEqual({ s: 0, pUp: 1, pDown: 1 });
    expect(theilSen([1, 2, 3, 100, 5])).toBeCloseTo(1, 12);
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
  });
});
