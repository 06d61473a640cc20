import { describe, expect, test } from 'vitest';
import { jensenShannon } from '../../src/stats/divergence.ts';
import {
  autocovariances,
  autoregressiveInflation,
  batchMeansInflation,
  estimateDependence,
} from '../../src/stats/effective-sample-size.ts';
import { orderStatisticInterval, quantileDifference } from '../../src/stats/quantile-difference.ts';
import { createRng } from '../../src/stats/rng.ts';
import { medianAbsoluteDeviation, quantileSorted } from '../../src/stats/summary.ts';

function ar1(n: number, phi: number, seed: string): Float64Array {
  const rng = createRng(seed);
  const values = new Float64Array(n);
  let x = rng.normal() / Math.sqrt(1 - phi * phi);
  for (let i = 0; i < n; i++) {
    x = phi * x + rng.normal();
    values[i] = x;
  }
  return values;
}

describe('effective sample size', () => {
  test.each([0.3, 0.6, 0.8])('long AR(1) series, phi %d: phi and inflation are recovered', (phi) => {
    const result = estimateDependence([ar1(4000, phi, `a${phi}`), ar1(4000, phi, `b${phi}`)], 0.05);
    expect(result.phi).toBeCloseTo(phi, 1);
    const truth = (1 + phi) / (1 - phi);
    expect(result.inflation / truth).toBeGreaterThan(0.85);
    expect(result.inflation / truth).toBeLessThan(1.35);
  });
  test('independent data are mostly not flagged', () => {
    let flagged = 0;
    for (let i = 0; i < 400; i++) if (estimateDependence([ar1(60, 0, `x${i}`), ar1(60, 0, `y${i}`)], 0.05).detected) flagged++;
    expect(flagged / 400).toBeLessThan(0.09);
  });
  test('batch means and AR(p) agree with theory', () => {
    const series = ar1(20000, 0.5, 'long');
    expect(batchMeansInflation(series, 200)).toBeGreaterThan(2.4);
    expect(batchMeansInflation(series, 200)).toBeLessThan(3.6);
    const { inflation } = autoregressiveInflation(autocovariances(series, 10), series.length);
    expect(inflation).toBeCloseTo(3, 0);
  });
  test('a constant series has no dependence', () =>
    expect(estimateDependence([new Float64Array(50).fill(3)], 0.05).inflation).toBe(1));
});

describe('quantiles', () => {
  test('median absolute deviation equals sorting the deviations', () => {
    for (let n = 1; n < 40; n++) {
      const sorted = ar1(n, 0, `mad${n}`).sort();
      for (const centre of [quantileSorted(sorted, 0.5), 0, 5]) {
        const deviations = sorted.map((v) => Math.abs(v - centre)).sort();
        expect(medianAbsoluteDeviation(sorted, centre)).toBe(quantileSorted(deviations, 0.5));
      }
    }
  });
  test('type 7 quantile of 1..4 at 0.4 is 2.2 (R)', () => expect(quantileSorted([1, 2, 3, 4], 0.4)).toBeCloseTo(2.2, 12));
  test('order-statistic interval of the median covers at the nominal rate', () => {
    let covered = 0;
    for (let i = 0; i < 500; i++) {
      const { low, high } = orderStatisticInterval(ar1(101, 0, `q${i}`).sort(), 0.5, 0.05);
      if (low <= 0 && high >= 0) covered++;
    }
    expect(covered / 500).toBeGreaterThan(0.87);
  });
  test('difference of p95 between a sample and its shift is the shift, and is bounded', () => {
    const x = ar1(600, 0, 'p').sort();
    const { estimate, low, high } = quantileDifference(
      x,
      x.map((v) => v + 2),
      0.95,
      0.05,
    );
    expect(estimate).toBeCloseTo(2, 12);
    expect(low).toBeGreaterThan(1);
    expect(high).toBeLessThan(3);
  });
  // Binomial ranks: n p -+ z sqrt(n p (1 - p)) = 50.5 -+ 1.6449 x 5.025, so the values at the places 42 and 59 of 0, 1, 2 ...
  test('order-statistic interval of 101 ranks, wider where they depend on each other, open where they end', () => {
    const ranks = Float64Array.from({ length: 101 }, (_, i) => i);
    expect(orderStatisticInterval(ranks, 0.5, 0.05)).toEqual({ low: 42, high: 59 });
    expect(orderStatisticInterval(ranks, 0.5, 0.05, 4)).toEqual({ low: 33, high: 68 });
    expect(orderStatisticInterval(ranks, 0.01, 0.05)).toEqual({ low: Number.NEGATIVE_INFINITY, high: 3 });
    expect(orderStatisticInterval(ranks.subarray(0, 4), 0.5, 0.05)).toEqual({ low: 0, high: Number.POSITIVE_INFINITY });
    const { estimate, low, high } = quantileDifference(
      ranks,
      ranks.map((rank) => 2 * rank),
      0.5,
      0.05,
    );
    expect([estimate, low, high]).toEqual([50, 50 - Math.hypot(16, 9), 50 + Math.hypot(18, 8)]);
    const wide = quantileDifference(
      ranks,
      ranks.map((rank) => 2 * rank),
      0.5,
      0.05,
      4,
    );
    expect([wide.low, wide.high]).toEqual([50 - Math.hypot(34, 18), 50 + Math.hypot(36, 17)]);
  });
  test('a p99 of 30 points has no upper bound', () =>
    expect(orderStatisticInterval(ar1(30, 0, 's').sort(), 0.99, 0.05).high).toBe(Number.POSITIVE_INFINITY));
});

describe('Jensen-Shannon divergence', () => {
  test('Jensen-Shannon: 0 for equal, 1 for disjoint, symmetric', () => {
    expect(jensenShannon([1, 2, 3], [2, 4, 6])).toBe(0);
    expect(jensenShannon([1, 0], [0, 1])).toBe(1);
    expect(jensenShannon([3, 1], [1, 5])).toBeCloseTo(jensenShannon([1, 5], [3, 1]), 15);
    // By hand: (3/4, 1/4) and (1/6, 5/6) around (11/24, 13/24).
    expect(jensenShannon([3, 1], [1, 5])).toBeCloseTo(0.264334555, 9);
    expect([jensenShannon([0, 0], [1, 2]), jensenShannon([1, 2], [0, 0])]).toEqual([Number.NaN, Number.NaN]);
  });
  test('equal routers differ by chance as much as theory says: (K - 1) / (4 N ln 2) bits', () => {
    const rng = createRng('jsd');
    let total = 0;
    for (let run = 0; run < 300; run++) {
      const a = new Array<number>(8).fill(0);
      const b = new Array<number>(8).fill(0);
      for (let i = 0; i < 1000; i++) {
        a[rng.int(8)]!++;
        b[rng.int(8)]!++;
      }
      total += jensenShannon(a, b);
    }
    const expected = (8 - 1) / (4 * 1000 * Math.LN2);
    expect(total / 300 / expected).toBeGreaterThan(0.9);
    expect(total / 300 / expected).toBeLessThan(1.1);
  });
});
