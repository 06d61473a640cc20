import { describe, expect, test } from 'vitest';
import { normalCdf, normalQuantile } from '../../src/stats/distributions.ts';
import { conditionalRateTest, fisherExact, mcNemarExact } from '../../src/stats/fisher.ts';
import { holm } from '../../src/stats/multiplicity.ts';
import { signFlipTest } from '../../src/stats/permutation.ts';
import { minimumDetectableEffect, samplesNeeded } from '../../src/stats/power.ts';
import { clopperPearson, differenceInterval, pairedDifferenceInterval, rateRatioInterval } from '../../src/stats/proportions.ts';
import { createRng, xoshiro128 } from '../../src/stats/rng.ts';

describe('Fisher, McNemar, rates', () => {
  test("Fisher's tea tasting: 0.2428571 one-sided, 0.4857143 two-sided", () => {
    expect(fisherExact(3, 1, 1, 3, 'greater')).toBeCloseTo(0.242857142857, 11);
    expect(fisherExact(3, 1, 1, 3)).toBeCloseTo(0.485714285714, 11);
  });
  test('convictions of twins (R example): 0.0004652 one-sided', () =>
    expect(fisherExact(2, 15, 10, 3, 'less')).toBeCloseTo(0.0004651809, 9));
  test('one-sided tails share the observed table', () => {
    const both = fisherExact(12, 88, 5, 95, 'greater') + fisherExact(12, 88, 5, 95, 'less');
    expect(both).toBeGreaterThan(1);
  });
  test('McNemar 8 against 2: 0.0546875', () => expect(mcNemarExact(8, 2)).toBeCloseTo(0.0546875, 12));
  test('no discordant pairs: p = 1', () => expect(mcNemarExact(0, 0)).toBe(1));
  test('rates: 11 events in 800 against 23 in 3000 is the doubled binomial tail', () => {
    expect(conditionalRateTest(11, 800, 23.0, 3000, 'two-sided')).toBeCloseTo(2 * tail(11, 34, 800 / 3800), 10);
  });
});

function tail(k: number, n: number, p: number): number {
  let total = 0;
  for (let i = k; i <= n; i++) {
    let mass = 1;
    for (let j = 0; j < i; j++) mass *= (n - j) / (i - j);
    total += mass * p ** i * (1 - p) ** (n - i);
  }
  return total;
}

describe('proportions', () => {
  test('Clopper-Pearson, 0 of 60: the upper bound is 1 - 0.05^(1/60)', () =>
    expect(clopperPearson(0, 60, 0.05).high).toBeCloseTo(1 - 0.05 ** (1 / 60), 12));
  test('Clopper-Pearson 7 of 20 at 95 % is .1539092 .. .5921885 (R binom.test)', () => {
    const { low, high } = clopperPearson(7, 20, 0.025);
    expect(low).toBeCloseTo(0.1539092, 6);
    expect(high).toBeCloseTo(0.5921885, 6);
  });
  test("Newcombe's 56/70 - 48/80 at 95 % is .0524 .. .3339", () => {
    const { low, high } = differenceInterval(56, 70, 48, 80, 0.025);
    expect(low).toBeCloseTo(0.0524, 4);
    expect(high).toBeCloseTo(0.3339, 4);
  });
  test('rate ratio interval inverts the conditional test', () => {
    const { low } = rateRatioInterval(20, 1, 8, 1, 0.05);
    expect(conditionalRateTest(20, low, 8, 1)).toBeCloseTo(0.05, 9);
  });
  test('paired difference is antisymmetric', () => {
    const one = pairedDifferenceInterval(9, 3, 100, 0.05);
    const two = pairedDifferenceInterval(3, 9, 100, 0.05);
    expect(one.low).toBeCloseTo(-two.high, 12);
  });
});

describe('multiplicity', () => {
  const p = [0.01, 0.04, 0.03, 0.005];
  test('Holm (R p.adjust)', () => expect(holm(p)).toEqual([0.03, 0.06, 0.06, 0.02]));
  test('Holm never says more than certainty', () => expect(holm([0.9, 0.02, 0.7, 0.7])).toEqual([1, 0.08, 1, 1]));
});

describe('permutation, random numbers, power', () => {
  test('sign-flip is exact for few pairs: all positive of 5 has p = 1/32', () =>
    expect(signFlipTest([1, 2, 3, 4, 5], createRng(1)).p).toBe(1 / 32));
  test('flipping whole blocks: 6 points in blocks of 2 has p = 1/8', () =>
    expect(signFlipTest([1, 1, 1, 1, 1, 1], createRng(1), { blockLength: 2 }).p).toBe(1 / 8));
  test('Monte Carlo agrees with the seed and differs without', () => {
    const d = Array.from({ length: 30 }, (_, i) => Math.sin(i) + 0.2);
    expect(signFlipTest(d, createRng('a')).p).toBe(signFlipTest(d, createRng('a')).p);
    expect(signFlipTest(d, createRng('a')).p).not.toBe(signFlipTest(d, createRng('b')).p);
  });
  test('xoshiro128** gives the reference sequence for state 1, 2, 3, 4', () => {
    const rng = xoshiro128([1, 2, 3, 4]);
    expect([rng.uint32(), rng.uint32(), rng.uint32(), rng.uint32()]).toEqual([11520, 0, 5927040, 70819200]);
  });
  test('normal draws have mean 0 and variance 1', () => {
    const rng = createRng(7);
    let s = 0;
    let q = 0;
    for (let i = 0; i < 100000; i++) {
      const z = rng.normal();
      s += z;
      q += z * z;
    }
    expect(Math.abs(s / 100000)).toBeLessThan(0.02);
    expect(Math.abs(q / 100000 - 1)).toBeLessThan(0.02);
  });
  test('the minimum detectable effect is found with the stated power', () => {
    const mde = minimumDetectableEffect(0.05, 0.05, 0.8);
    expect(mde).toBeCloseTo(2.486475 * 0.05, 6);
    expect(normalCdf(mde / 0.05 + normalQuantile(0.05))).toBeCloseTo(0.8, 12);
  });
  test('samples needed: half the gap needs four times the samples', () => {
    const one = samplesNeeded(100, 0.05, 0.1, 0.05)!;
    expect(samplesNeeded(100, 0.05, 0.05, 0.05)! / one).toBeCloseTo(4, 1);
    expect(samplesNeeded(100, 0.05, 0, 0.05)).toBeUndefined();
  });
});
