// Serial dependence by its definitions, written out.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  autocovariances,
  autoregressiveInflation,
  batchMeansInflation,
  estimateDependence,
  gappedAutocovariances,
} from '../../src/stats/effective-sample-size.ts';

const values = fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 8, maxLength: 40 });
const meanOf = (list: readonly number[]): number => list.reduce((sum, value) => sum + value, 0) / list.length;

describe('autocovariances', () => {
  it('are mean products of values a lag apart, with the divisor of the whole series', () =>
    fc.assert(
      fc.property(values, (list) => {
        const centre = meanOf(list);
        const expected = [0, 1, 2, 3].map(
          (lag) =>
            list.reduce((sum, value, index) => (index < lag ? sum : sum + (value - centre) * (list[index - lag]! - centre)), 0) /
            list.length,
        );
        const found = autocovariances(list, 3);
        const gapless = gappedAutocovariances(
          list,
          list.map((_, index) => index + 5),
          3,
        );
        for (const [lag, value] of expected.entries()) {
          expect(found[lag]).toBeCloseTo(value, 9);
          expect(gapless[lag]).toBeCloseTo(value, 9);
        }
      }),
    ));
  it('of a series with gaps know only the pairs that are a lag apart (Parzen 1963)', () =>
    fc.assert(
      fc.property(values, fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 40, maxLength: 40 }), (list, steps) => {
        let at = 0;
        const slots = list.map((_, index) => {
          at += steps[index]!;
          return at;
        });
        const [n, centre] = [list.length, meanOf(list)];
        const found = gappedAutocovariances(list, slots, 4);
        for (let lag = 0; lag <= 4; lag++) {
          const products = list.flatMap((value, i) =>
            list.flatMap((other, j) => (slots[i]! - slots[j]! === lag ? [(value - centre) * (other - centre)] : [])),
          );
          expect(found[lag]).toBeCloseTo(products.length === 0 ? 0 : (meanOf(products) * (n - lag)) / n, 9);
        }
      }),
    ));
});

describe('inflation', () => {
  // Autoregressions of order 1 with these coefficients have covariances phi^lag, and (1 + phi) / (1 - phi) as their inflation.
  it.each([0.3, 0.6, 0.9, -0.4])('of an autoregression with coefficient %d is exact where its covariances are', (phi) => {
    const covariances = Float64Array.from({ length: 6 }, (_, lag) => 3 * phi ** lag);
    const { order, inflation } = autoregressiveInflation(covariances, 500);
    expect(order).toBe(1);
    expect(inflation).toBeCloseTo((1 + phi) / (1 - phi), 9);
  });
  it('of an autoregression of order 2 is its spectrum at 0 over its variance', () => {
    // x(t) = 0.5 x(t-1) + 0.3 x(t-2) + e: rho(1) = 0.5 / (1 - 0.3), rho(k) = 0.5 rho(k-1) + 0.3 rho(k-2).
    const rho = [1, 0.5 / 0.7];
    for (let k = 2; k < 6; k++) rho.push(0.5 * rho[k - 1]! + 0.3 * rho[k - 2]!);
    const { order, inflation } = autoregressiveInflation(
      Float64Array.from(rho, (r) => 2 * r),
      2000,
    );
    expect(order).toBe(2);
    // Noise variance over variance is 1 - 0.5 rho(1) - 0.3 rho(2); the gain at frequency 0 is 1 / (1 - 0.8).
    expect(inflation).toBeCloseTo((1 - 0.5 * rho[1]! - 0.3 * rho[2]!) / 0.2 ** 2, 9);
  });
  it('of independent points and of a constant is 1', () => {
    expect(autoregressiveInflation(Float64Array.of(2, 0, 0), 100)).toEqual({ order: 0, inflation: 1 });
    expect(autoregressiveInflation(Float64Array.of(0, 0, 0), 100)).toEqual({ order: 0, inflation: 1 });
  });
  it('by overlapping batch means is their variance times their length over that of the points', () =>
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 6 }), (list, length) => {
        const n = list.length;
        fc.pre(n >= 2 * length && new Set(list).size > 1);
        const centre = meanOf(list);
        const means = Array.from({ length: n - length + 1 }, (_, from) => meanOf(list.slice(from, from + length)) - centre);
        const variance = list.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (n - 1);
        // Meketon and Schmeiser 1984: n length / ((n - length + 1) (n - length)) times the sum of squares.
        const longRun = (n * length * means.reduce((sum, mean) => sum + mean * mean, 0)) / ((n - length + 1) * (n - length));
        expect(batchMeansInflation(list, length)).toBeCloseTo(longRun / variance, 9);
      }),
    ));
  it('by batches that are no batches is 1', () => {
    expect([
      batchMeansInflation([1, 2, 3], 2),
      batchMeansInflation([1, 2, 3, 4], 0),
      batchMeansInflation([5, 5, 5, 5], 2),
    ]).toEqual([1, 1, 1]);
  });
  // Marriott and Pope 1954: the lag-1 autocorrelation of n points is on average phi - (1 + 3 phi) / n.
  it('has a lag-1 correlation without the bias of short series, pooled over arms by their lengths', () =>
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 8, maxLength: 30 }),
        fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 8, maxLength: 30 }),
        (x, y) => {
          fc.pre(new Set(x).size > 1 || new Set(y).size > 1);
          const n = x.length + y.length;
          const pooled = (lag: number): number =>
            (autocovariances(x, 1)[lag]! * x.length + autocovariances(y, 1)[lag]! * y.length) / n;
          const average = n / 2;
          const phi = (pooled(1) / pooled(0) + 1 / average) / (1 - 3 / average);
          expect(estimateDependence([x, y], 0.05).phi).toBeCloseTo(Math.max(-0.99, Math.min(0.99, phi)), 9);
        },
      ),
    ));
  it('is not estimated from a handful of points, and never below 1', () => {
    const none = { phi: 0, detected: false, inflation: 1 };
    const rising = Array.from({ length: 40 }, (_, index) => index);
    expect(estimateDependence([rising.slice(0, 15)], 0.05)).toEqual(none);
    expect(estimateDependence([rising.slice(0, 7), rising.slice(0, 7), rising.slice(0, 7)], 0.05)).toEqual(none);
    expect(estimateDependence([rising], 0.05).detected).toBe(true);
    const swinging = rising.map((index) => (index % 2) * 2 - 1);
    expect(estimateDependence([swinging], 0.05).inflation).toBe(1);
    expect(estimateDependence([swinging], 0.05).phi).toBeLessThan(-0.9);
    // A gap between every two points: none of them are neighbours.
    expect(estimateDependence([rising.map((index) => index % 5)], 0.05, [rising.map((index) => 100 * index)]).detected).toBe(
      false,
    );
  });
});
