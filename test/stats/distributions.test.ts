import { describe, expect, test } from 'vitest';
import {
  betaQuantile,
  binomialCdf,
  binomialSf,
  normalCdf,
  normalQuantile,
  normalSf,
  tQuantile,
  tSf,
} from '../../src/stats/distributions.ts';
import { erfc, incompleteBeta, logBeta, logChoose, logGamma } from '../../src/stats/special.ts';

/** Relative agreement. */
function near(actual: number, expected: number, tolerance = 1e-12): void {
  expect(Math.abs(actual - expected) / Math.max(Math.abs(expected), 1e-300)).toBeLessThan(tolerance);
}

describe('special functions (Abramowitz and Stegun; DLMF)', () => {
  test.each([
    [0.5, 0.5723649429247001],
    [5, Math.log(24)],
    [10.5, 13.940625219403763],
    [1e5, 1051287.7089736538],
  ])('ln Gamma(%d)', (x, expected) => near(logGamma(x), expected));
  test.each([
    [0.5, 0.4795001221869535],
    [2, 0.004677734981047266],
    [5, 1.5374597944280349e-12],
    [-1, 1.8427007929497148],
  ])('erfc(%d)', (x, expected) => near(erfc(x), expected, 2e-13));
  test('B(2, 3) is 1/12; 52 over 5 is 2598960', () => {
    near(Math.exp(logBeta(2, 3)), 1 / 12);
    near(Math.exp(logChoose(52, 5)), 2598960);
  });
});

describe('normal', () => {
  test.each([
    [0.975, 1.959963984540054],
    [0.95, 1.6448536269514722],
    [1e-10, -6.361340902404056],
    [0.999, 3.090232306167813],
  ])('quantile(%d)', (p, expected) => near(normalQuantile(p), expected));
  test('upper tail stays accurate far out', () => {
    near(normalSf(10), 7.619853024160525e-24);
    near(normalSf(1.6448536269514722), 0.05);
  });
  test('cdf inverts quantile', () => {
    for (const p of [1e-8, 0.003, 0.2, 0.5, 0.77, 0.9999]) near(normalCdf(normalQuantile(p)), p, 1e-13);
  });
});

describe('t, beta, binomial (R)', () => {
  test.each([
    [0.975, 10, 2.2281388519649385],
    [0.95, 1, 6.313751514675043],
    [0.975, 2.5, 3.5582],
    [0.95, 1000, 1.646378818],
  ])('t quantile(%d, df %d)', (p, df, expected) => near(tQuantile(p, df), expected, df === 2.5 ? 6e-3 : 1e-9));
  test('t(1) is Cauchy', () => near(tSf(-2, 1), 0.5 + Math.atan(2) / Math.PI));
  test('t tail far out is not lost to cancellation', () => near(tSf(40, 10), 1.1e-12, 0.2));
  test('beta quantiles: Beta(1, n) has a closed form', () => near(betaQuantile(0.95, 1, 60), 1 - 0.05 ** (1 / 60)));
  test('beta cdf of Beta(2, 3) at 0.4 is 0.5248', () => near(incompleteBeta(0.4, 2, 3), 0.5248));
  test('binomial: cdf and survival agree with sums of the mass', () => {
    let mass = 0.7 ** 20;
    let below = mass;
    for (let k = 1; k <= 7; k++) {
      mass *= (((21 - k) / k) * 0.3) / 0.7;
      below += mass;
    }
    near(binomialCdf(7, 20, 0.3), below);
    near(binomialSf(8, 20, 0.3), 1 - below, 1e-11);
  });
});
