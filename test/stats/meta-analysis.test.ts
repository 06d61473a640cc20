import { expect, test } from 'vitest';
import { chiSquareSf } from '../../src/stats/distributions.ts';
import { poolEffects, stratifiedTest } from '../../src/stats/meta-analysis.ts';

test('effects 0 and 1 with standard error 0.5 each: Q = 2, I-squared = 50 %', () => {
  const pooled = poolEffects([
    { effect: 0, standardError: 0.5 },
    { effect: 1, standardError: 0.5 },
  ]);
  expect(pooled).toMatchObject({ effect: 0.5, q: 2, df: 1, iSquared: 0.5, weights: [0.5, 0.5] });
  expect(pooled.standardError).toBeCloseTo(0.5 / Math.SQRT2, 12);
  expect(pooled.pValue).toBeCloseTo(0.1573, 4);
  // Q(tau²) = 0.5 / (0.25 + tau²) = 1.
  expect(pooled.tauSquared).toBeCloseTo(0.25, 8);
});

/** Cases of tuberculosis and people without it, vaccinated and not, in 13 trials (Colditz and others 1994; `dat.bcg` of R's metafor). */
const BCG = [
  [4, 119, 11, 128],
  [6, 300, 29, 274],
  [3, 228, 11, 209],
  [62, 13536, 248, 12619],
  [33, 5036, 47, 5761],
  [180, 1361, 372, 1079],
  [8, 2537, 10, 619],
  [505, 87886, 499, 87892],
  [29, 7470, 45, 7232],
  [17, 1699, 65, 1600],
  [186, 50448, 141, 27197],
  [5, 2493, 3, 2338],
  [27, 16886, 29, 17825],
] as const;

test('the BCG trials: heterogeneity and both means as metafor prints them (Viechtbauer 2010, rma with method="PM" and "FE")', () => {
  const trials = BCG.map(([a, b, c, d]) => ({
    effect: Math.log(a / (a + b) / (c / (c + d))),
    standardError: Math.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)),
  }));
  const pooled = poolEffects(trials);
  expect(pooled.q).toBeCloseTo(152.233, 3);
  expect(pooled.df).toBe(12);
  expect(100 * pooled.iSquared).toBeCloseTo(92.12, 2);
  expect(pooled.tauSquared).toBeCloseTo(0.3181, 4);
  expect(pooled.random.effect).toBeCloseTo(-0.715, 4);
  expect(pooled.random.standardError).toBeCloseTo(0.1809, 4);
  expect(pooled.effect).toBeCloseTo(-0.4303, 4);
  expect(pooled.standardError).toBeCloseTo(0.0405, 4);
});

test('one stratum that moved far counts as variance, also beside strata that are known a million times better', () => {
  const pooled = poolEffects([
    ...[1e-5, -2e-5, 3e-5, 0].map((effect) => ({ effect, standardError: 1e-5 })),
    { effect: 0.745, standardError: 0.05 },
  ]);
  // The variance of 0, 0, 0, 0, 0.745 is 0.111.
  expect(pooled.tauSquared).toBeGreaterThan(0.1);
  expect(pooled.tauSquared).toBeLessThan(0.12);
  expect(pooled.random.effect).toBeCloseTo(0.148, 2);
  expect(pooled.random.effect + 1.645 * pooled.random.standardError).toBeGreaterThan(0.3);
});

test('strata that agree better than chance have no variance between them, and one alone has nothing to differ from', () => {
  const alike = poolEffects([
    { effect: 1, standardError: 0.5 },
    { effect: 1.1, standardError: 0.25 },
  ]);
  expect(alike).toMatchObject({ iSquared: 0, tauSquared: 0, df: 1 });
  // Weights 4 and 16.
  expect(alike.effect).toBeCloseTo(1.08, 12);
  expect(alike.random).toEqual({ effect: alike.effect, standardError: alike.standardError });
  expect(poolEffects([{ effect: 2, standardError: 0.5 }])).toMatchObject({
    effect: 2,
    standardError: 0.5,
    weights: [1],
    q: 0,
    df: 0,
    pValue: 1,
    iSquared: 0,
    tauSquared: 0,
  });
});

test('the upper tail of chi-square: printed critical values (Abramowitz and Stegun, table 26.8)', () => {
  for (const [x, df, p] of [
    [3.84146, 1, 0.05],
    [5.99146, 2, 0.05],
    [7.81473, 3, 0.05],
    [11.0705, 5, 0.05],
    [6.6349, 1, 0.01],
    [23.2093, 10, 0.01],
    [18.4926, 30, 0.95],
    [149.449, 100, 0.001],
  ] as const)
    expect(chiSquareSf(x, df)).toBeCloseTo(p, 5);
  expect(chiSquareSf(0, 3)).toBe(1);
  expect(chiSquareSf(1e4, 3)).toBe(0);
});

test('strata that say nothing leave the test of the one that does; two of the same weight join as Stouffer joins them', () => {
  const nothing = { pLarger: 1, pSmaller: 1, standardError: 1 };
  expect(stratifiedTest([nothing, nothing]).pLarger).toBeCloseTo(0.5, 12);
  const p = (pLarger: number) => ({ pLarger, pSmaller: 1 - pLarger, standardError: 2 });
  // z = (1.6449 + 1.6449) / sqrt(2) = 2.3262
  expect(stratifiedTest([p(0.05), p(0.05)]).pLarger).toBeCloseTo(0.010005, 6);
  expect(stratifiedTest([p(0.05), { ...p(0.05), standardError: 1e9 }]).pLarger).toBeCloseTo(0.05, 9);
  // Weights 1/3 and 1: z = (1.644854 / 3 + 1.281552) / sqrt(1/9 + 1) = 1.735935
  const unequal = stratifiedTest([
    { ...p(0.05), standardError: 3 },
    { ...p(0.1), standardError: 1 },
  ]);
  expect(unequal.pLarger).toBeCloseTo(0.041288, 6);
  expect(unequal.pSmaller).toBeCloseTo(1 - unequal.pLarger, 12);
  expect(stratifiedTest([p(1e-9)]).pLarger).toBeCloseTo(1e-9, 12);
  expect(stratifiedTest([p(0), p(1)]).pLarger).toBeCloseTo(0.5, 5);
});
