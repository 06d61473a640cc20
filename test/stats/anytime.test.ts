import { describe, expect, test } from 'vitest';
import {
  allQuantilesRadius,
  doubleStitchedBound,
  empiricalBernsteinSequence,
  mixtureBoundaryZ,
  mixturePValue,
  quantileAbPValue,
  rateConfidenceSequence,
} from '../../src/stats/anytime.ts';
import { crossingProbability } from '../../src/stats/group-sequential.ts';
import { createRng } from '../../src/stats/rng.ts';

describe('confseq reference values', () => {
  test('all quantiles at once: 0.08204769', () =>
    expect(Math.abs(allQuantilesRadius(1000, 100, 0.05) - 0.08204769)).toBeLessThan(1e-5));
  test.each([
    [0.5, 68.62803],
    [0.9, 43.72119],
    [0.1, 59.96521],
  ])('double stitching at p = %d', (p, expected) =>
    expect(Math.abs(doubleStitchedBound(p, 1000, 100, 0.05) - expected)).toBeLessThan(1e-5),
  );
  test('beta-binomial interval of 700 in 1000', () => {
    const { low, high } = rateConfidenceSequence(700, 1000, 0.05, 100);
    expect(Math.abs(low - 0.651629)).toBeLessThan(1e-5);
    expect(Math.abs(high - 0.745949)).toBeLessThan(1e-5);
  });
  test.each([
    [0.5, 70, 0.814704],
    [0.5, 85, 0.0838055],
    [0.5, 100, 0.0054947],
    [0.9, 55, 0.0340463],
  ])('quantile A/B, q = %d, offset %d', (q, offset, expected) => {
    const a = Float64Array.from({ length: 1000 }, (_, i) => i + 1);
    const b = a.map((v) => v + offset);
    expect(Math.abs(quantileAbPValue(a, b, q, 100, 0.05) - expected)).toBeLessThan(1e-5);
  });
});

describe('group-sequential boundary (Pocock constants, Jennison and Turnbull table 2.1)', () => {
  test.each([
    [2, 1.875, 0.05],
    [5, 2.122, 0.05],
    [10, 2.27, 0.05],
    [20, 2.392, 0.05],
    [5, 2.413, 0.025],
    [20, 2.672, 0.025],
  ])('%d looks at %d', (looks, c, alpha) => expect(Math.abs(crossingProbability(c, looks) - alpha)).toBeLessThan(4e-4));
  test('one look is the plain tail', () => expect(crossingProbability(1.6448536269514722, 1)).toBeCloseTo(0.05, 12));
});

describe('mixture boundary and empirical Bernstein', () => {
  test('p-value equals alpha on the boundary', () => {
    for (const v of [1, 7, 60, 1000]) expect(mixturePValue(mixtureBoundaryZ(v, 60, 0.05), v, 60, 0.05)).toBeCloseTo(0.05, 10);
  });
  test('a random walk looked at after each of 300 steps crosses in at most 5 % of runs', () => {
    const rng = createRng('mixture');
    let crossed = 0;
    for (let run = 0; run < 1000; run++) {
      let s = 0;
      for (let n = 1; n <= 300; n++) {
        s += rng.normal();
        if (s / Math.sqrt(n) > mixtureBoundaryZ(n, 60, 0.05)) {
          crossed++;
          break;
        }
      }
    }
    expect(crossed).toBeLessThanOrEqual(50);
    expect(crossed).toBeGreaterThan(5);
  });
  test('empirical Bernstein: covers the mean at every n, and narrows', () => {
    const rng = createRng('bernstein');
    let missed = 0;
    for (let run = 0; run < 100; run++) {
      const values: number[] = [];
      let bad = false;
      for (let n = 1; n <= 200; n++) {
        values.push(rng.uniform() < 0.2 ? 1 : 0);
        if (n % 10 !== 0) continue;
        const { low, high } = empiricalBernsteinSequence(values, 0.05);
        if (low > 0.2 || high < 0.2) bad = true;
      }
      if (bad) missed++;
    }
    expect(missed).toBeLessThanOrEqual(5);
    const narrow = empiricalBernsteinSequence(new Array(4000).fill(0.5), 0.05);
    expect(narrow.high - narrow.low).toBeLessThan(0.02);
  });
});
