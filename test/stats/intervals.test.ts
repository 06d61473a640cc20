// Intervals at their ends, and against published values.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { conditionalRateTest } from '../../src/stats/fisher.ts';
import { signFlipTest } from '../../src/stats/permutation.ts';
import { detectableDifference, minimumDetectableEffect, samplesNeeded } from '../../src/stats/power.ts';
import {
  clopperPearson,
  differenceInterval,
  pairedDifferenceInterval,
  rateRatioInterval,
  wilson,
} from '../../src/stats/proportions.ts';
import { createRng } from '../../src/stats/rng.ts';

describe('one proportion', () => {
  // R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17, 1998, table I, methods 3 and 5.
  it.each([
    [81, 263, [0.2553, 0.3662], [0.2527, 0.3676]],
    [15, 148, [0.0624, 0.1605], [0.0578, 0.1617]],
    [0, 20, [0, 0.1611], [0, 0.1684]],
    [1, 29, [0.0061, 0.1718], [0.0009, 0.1776]],
  ])('%i of %i', (k, n, score, exact) => {
    for (const [{ low, high }, expected] of [
      [wilson(k, n, 0.025), score],
      [clopperPearson(k, n, 0.025), exact],
    ] as const) {
      expect(low).toBeCloseTo(expected[0]!, 4);
      expect(high).toBeCloseTo(expected[1]!, 4);
    }
  });

  it('mirrors when events and their absence change places, and reaches 0 and 1 at its ends', () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(60), (n, at) => {
        const k = at % (n + 1);
        for (const interval of [wilson, clopperPearson]) {
          const [one, other] = [interval(k, n, 0.05), interval(n - k, n, 0.05)];
          expect(one.low).toBeCloseTo(1 - other.high, 9);
          expect(one.low <= k / n && k / n <= one.high).toBe(true);
          expect([one.low === 0, one.high === 1]).toEqual([k === 0, k === n]);
        }
      }),
    ));
});

describe('a ratio of rates', () => {
  it('inverts the conditional test on both sides, whatever the exposures', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        (k2, k1, n2, n1) => {
          const { low, high } = rateRatioInterval(k2, n2, k1, n1, 0.05);
          // Rates that differ by the bound, times exposures, are equal: then the tail is the level.
          expect(conditionalRateTest(k2, low * n2, k1, n1, 'greater')).toBeCloseTo(0.05, 6);
          expect(conditionalRateTest(k2, high * n2, k1, n1, 'less')).toBeCloseTo(0.05, 6);
        },
      ),
    ));
  it('knows nothing without events, and is open above without events in the baseline', () => {
    expect(rateRatioInterval(0, 3, 0, 5, 0.05)).toEqual({ low: 0, high: Number.POSITIVE_INFINITY });
    const { low, high } = rateRatioInterval(4, 1, 0, 1, 0.05);
    // 4 of 4 on one side: the share is at least 0.05^(1/4).
    expect(low).toBeCloseTo(0.05 ** (1 / 4) / (1 - 0.05 ** (1 / 4)), 9);
    expect(high).toBe(Number.POSITIVE_INFINITY);
    expect(rateRatioInterval(0, 1, 4, 1, 0.05).low).toBe(0);
  });
});

describe('a difference of proportions', () => {
  it('is as much wider on each side as the trials depend on each other, and stays within -1 and 1', () => {
    const plain = differenceInterval(56, 70, 48, 80, 0.025);
    const wide = differenceInterval(56, 70, 48, 80, 0.025, 4);
    const centre = 56 / 70 - 48 / 80;
    expect(centre - wide.low).toBeCloseTo(2 * (centre - plain.low), 12);
    expect(wide.high - centre).toBeCloseTo(2 * (plain.high - centre), 12);
    expect(differenceInterval(3, 3, 0, 3, 0.025, 9)).toMatchObject({ high: 1 });
    expect(differenceInterval(0, 3, 3, 3, 0.025, 9)).toMatchObject({ low: -1 });
  });

  // A. Agresti, Categorical Data Analysis, 2nd ed., section 10.1.1: approval that 150 of 1600 lost and 86 gained; 0.04 +- 1.96 x 0.0095.
  it('of pairs is that of Agresti’s ratings, and of no discordant pair z / (n + 2) around 0', () => {
    const { low, high } = pairedDifferenceInterval(150, 86, 1600, 0.025);
    expect(low).toBeCloseTo(0.021, 3);
    expect(high).toBeCloseTo(0.059, 3);
    const none = pairedDifferenceInterval(0, 0, 98, 0.05);
    expect(none.high).toBeCloseTo(1.6448536 / 100, 8);
    expect(none.low).toBeCloseTo(-1.6448536 / 100, 8);
    expect(pairedDifferenceInterval(1, 0, 1, 1e-9).high).toBe(1);
    expect(pairedDifferenceInterval(0, 1, 1, 1e-9).low).toBe(-1);
  });
});

describe('sign flips', () => {
  // By hand: of the 8 sums of +-3 +-2 +-1 these are at or above 3 - 2 + 1 = 2: 6, 4, 2.
  it('count the sums at or above the observed one', () =>
    expect(signFlipTest([3, -2, 1], createRng(1))).toEqual({ statistic: 2, p: 3 / 8, draws: 8, method: 'exact' }));
  it('take a last block that is shorter', () => expect(signFlipTest([1, 1, 1], createRng(1), { blockLength: 2 }).p).toBe(1 / 4));
  it('tell sums apart that are nearly the same', () => expect(signFlipTest([10, 0.01], createRng(1)).p).toBe(1 / 4));
  it('are all as extreme where nothing differs', () =>
    expect(signFlipTest(new Array<number>(20).fill(0), createRng(1)).p).toBe(1));
  it('by chance come near the exact share', () => {
    // 15 differences of 1 and 1 of -1 in a symmetric binomial: P(at least 15 of 16 positive) = 17 / 2^16.
    const differences = [...new Array<number>(15).fill(1), -1];
    const { p, method, draws } = signFlipTest(differences, createRng(1), { draws: 99_999 });
    expect([method, draws]).toEqual(['monte-carlo', 99_999]);
    // Four standard errors of a share of 2.6e-4 in 100,000 draws.
    expect(Math.abs(p - 17 / 2 ** 16)).toBeLessThan(4 * Math.sqrt(17 / 2 ** 16 / 1e5));
    expect(signFlipTest(new Array<number>(40).fill(1), createRng(1), { draws: 99 }).p).toBe(1 / 100);
  });
});

it.each([
  // (z_0.95 + z_0.8) = 2.486475 standard errors; points grow with its square.
  [0.1, 155],
  [0.05, 619],
  [10, 101],
])('to decide a gap of %d needs %i points', (gap, points) => expect(samplesNeeded(100, 0.05, gap, 0.05)).toBe(points));
it('no number of points decides what has no error, or an error without end', () => {
  expect(samplesNeeded(100, Number.POSITIVE_INFINITY, 0.1, 0.05)).toBeUndefined();
  expect(samplesNeeded(100, 1e300, 1e-300, 0.05)).toBeUndefined();
  expect(samplesNeeded(100, 0.05, Number.NaN, 0.05)).toBeUndefined();
});

describe('the smallest difference that an exact test finds', () => {
  const errors = (room: [number, number], { none = 0.1, own = 0.1, step = 0 } = {}) => ({
    room,
    at: () => ({ none, own, step }),
  });
  it('is that of a z test where the errors stay the same, and half a step more of a discrete one', () => {
    for (const sign of [1, -1] as const) {
      expect(detectableDifference(errors([2, 2]), sign, 0.05)).toBeCloseTo(minimumDetectableEffect(0.1, 0.05), 9);
      expect(detectableDifference(errors([2, 2], { step: 0.02 }), sign, 0.05)).toBeCloseTo(
        minimumDetectableEffect(0.1, 0.05) + 0.01,
        9,
      );
    }
    // 1.6449 x 0.1 + 0.8416 x 0.2
    expect(detectableDifference(errors([2, 2], { own: 0.2 }), 1, 0.05)).toBeCloseTo(0.164485 + 0.168324, 5);
  });
  it('needs room in the direction that is looked for', () => {
    expect(detectableDifference(errors([0.2, 2]), 1, 0.05)).toBeCloseTo(0.248647, 5);
    expect(detectableDifference(errors([0.2, 2]), -1, 0.05)).toBeUndefined();
    expect(detectableDifference(errors([2, 0.2]), 1, 0.05)).toBeUndefined();
    expect(detectableDifference(errors([Number.NaN, Number.NaN]), 1, 0.05)).toBeUndefined();
  });
  it('solves for errors that grow with it', () => {
    const growing = { room: [9, 9] as const, at: (delta: number) => ({ none: 0.1, own: 0.1 + Math.abs(delta) / 2, step: 0 }) };
    const found = detectableDifference(growing, -1, 0.05)!;
    expect(found).toBeCloseTo(1.6448536 * 0.1 + 0.8416212 * (0.1 + found / 2), 6);
  });
});
