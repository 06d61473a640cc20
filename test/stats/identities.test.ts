// Distributions against identities that hold for every argument (DLMF, the numbers of its equations) and closed forms.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  betaQuantile,
  binomialCdf,
  binomialSf,
  chiSquareSf,
  hypergeometricLogPmf,
  normalCdf,
  normalPdf,
  normalQuantile,
  normalSf,
  tQuantile,
  tSf,
} from '../../src/stats/distributions.ts';
import { erfc, incompleteBeta, logChoose, logGamma } from '../../src/stats/special.ts';

const between = (min: number, max: number) => fc.double({ min, max, noNaN: true });
/** Relative agreement, or absolute where the value is below `scale`. */
function near(actual: number, expected: number, tolerance: number, scale = 1e-300): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(tolerance * Math.max(Math.abs(expected), scale));
}

describe('ln Gamma', () => {
  it('grows by ln x from x to x + 1 (5.5.1), on both sides of every switch of method', () => {
    fc.assert(fc.property(between(0.01, 100), (x) => near(logGamma(x + 1), logGamma(x) + Math.log(x), 1e-12, 1)));
    for (const x of [0.499, 0.5, 9999.5, 1e4, 1e4 + 0.5]) near(logGamma(x + 1), logGamma(x) + Math.log(x), 1e-12);
  });
  it('is that of the duplication formula (5.5.5)', () =>
    fc.assert(
      fc.property(between(0.1, 50), (x) =>
        near(logGamma(2 * x), (2 * x - 1) * Math.LN2 - Math.log(Math.PI) / 2 + logGamma(x) + logGamma(x + 0.5), 1e-12, 1),
      ),
    ));
  it('is no number at 0 and below', () => expect([logGamma(0), logGamma(-1.5)]).toEqual([Number.NaN, Number.NaN]));
  it('counts choices', () => {
    expect([logChoose(7, 0), logChoose(7, 7)]).toEqual([0, 0]);
    near(logChoose(7, 1), Math.log(7), 1e-13);
    near(logChoose(10_000_000, 2), Math.log((1e7 * (1e7 - 1)) / 2), 1e-7);
  });
});

describe('the normal distribution', () => {
  // Abramowitz and Stegun, table 7.1 and 7.3; beyond 27.3 erfc is below the smallest double.
  it.each([
    [2.499999, 4.06954196e-4],
    [2.5, 4.069520174e-4],
    [3, 2.20904969985854e-5],
    [26, 5.663192408856143e-296],
    [28, 0],
    [0, 1],
  ])('erfc(%d) is %d', (x, expected) => near(erfc(x), expected, 1e-9));
  it('has tails that mirror, and a density that is their slope', () =>
    fc.assert(
      fc.property(between(-8, 8), (z) => {
        near(normalSf(z), normalCdf(-z), 1e-15);
        near(normalSf(z) + normalCdf(z), 1, 1e-15);
        const h = 1e-4;
        near((normalCdf(z + h) - normalCdf(z - h)) / (2 * h), normalPdf(z), 1e-6, 1e-4);
      }),
    ));
  it('has a quantile that its tail inverts, far out too', () => {
    fc.assert(fc.property(between(-600, -0.01), (log) => near(Math.log(normalCdf(normalQuantile(Math.exp(log)))), log, 1e-11)));
    fc.assert(fc.property(between(0.001, 0.5), (p) => near(normalQuantile(1 - p), -normalQuantile(p), 1e-12, 1)));
    expect([0, 1, -0.1, 1.1, Number.NaN].map(normalQuantile)).toEqual([
      Number.NEGATIVE_INFINITY,
      Number.POSITIVE_INFINITY,
      Number.NaN,
      Number.NaN,
      Number.NaN,
    ]);
  });
});

describe('the incomplete beta function', () => {
  const shape = between(0.1, 60);
  it('mirrors (8.17.4) and steps in its first shape (8.17.20)', () =>
    fc.assert(
      fc.property(between(0.001, 0.999), shape, shape, (x, a, b) => {
        near(incompleteBeta(x, a, b) + incompleteBeta(1 - x, b, a), 1, 1e-12);
        const term = Math.exp(a * Math.log(x) + b * Math.log1p(-x) + logGamma(a + b) - logGamma(a + 1) - logGamma(b));
        near(incompleteBeta(x, a, b) - incompleteBeta(x, a + 1, b), term, 1e-9, 1e-3);
      }),
    ));
  it('is x^a for b = 1, and its quantile is the root', () =>
    fc.assert(
      fc.property(between(0.001, 0.999), shape, between(1, 60), (p, a, b) => {
        near(incompleteBeta(p, a, 1), p ** a, 1e-12);
        near(betaQuantile(p, a, 1), p ** (1 / a), 1e-12);
        near(incompleteBeta(betaQuantile(p, a, b), a, b), p, 1e-9);
      }),
    ));
  it('ends at 0 and 1', () => {
    expect([-1, 0, 1, 2].map((x) => incompleteBeta(x, 2, 3))).toEqual([0, 0, 1, 1]);
    expect([-1, 0, 1, 2].map((p) => betaQuantile(p, 2, 3))).toEqual([0, 0, 1, 1]);
  });
});

describe('Student’s t', () => {
  // Within 1e-8 of t = 0, t^2 is lost beside the degrees of freedom.
  it('has the closed forms of 1, 2 and 4 degrees of freedom (Shaw 2006, section 3)', () =>
    fc.assert(
      fc.property(between(-30, 30), (t) => {
        near(tSf(t, 1), 0.5 - Math.atan(t) / Math.PI, 2e-8, 0.5);
        near(tSf(t, 2), 0.5 - t / (2 * Math.sqrt(2 + t * t)), 2e-8, 0.5);
        const c = 4 / (4 + t * t);
        near(tSf(t, 4), 0.5 - (Math.sign(t) * Math.sqrt(1 - c) * (1 + c / 2)) / 2, 2e-8, 0.5);
      }),
    ));
  it('far out falls as a power: 2 degrees of freedom, 1 / (2 t^2)', () => near(tSf(1e6, 2), 0.5e-12, 1e-5));
  it('has a quantile that its tail inverts, in any degrees of freedom', () =>
    fc.assert(
      fc.property(between(1e-9, 0.49), between(0.5, 500), (tail, df) => {
        near(tSf(tQuantile(1 - tail, df), df), tail, 1e-6);
        near(tSf(-tQuantile(tail, df), df), tail, 1e-7);
      }),
    ));
  it('is normal without end, and ends where it must', () => {
    for (const df of [1e8, Number.POSITIVE_INFINITY]) {
      expect(tSf(1.5, df)).toBe(normalSf(1.5));
      expect(tQuantile(0.9, df)).toBe(normalQuantile(0.9));
    }
    near(tSf(2, 1e7), normalSf(2), 1e-6);
    expect([tSf(Number.NaN, 3), tSf(Number.POSITIVE_INFINITY, 3), tSf(Number.NEGATIVE_INFINITY, 3)]).toEqual([Number.NaN, 0, 1]);
    expect([0, 0.5, 1, -1, 2].map((p) => tQuantile(p, 3))).toEqual([
      Number.NEGATIVE_INFINITY,
      0,
      Number.POSITIVE_INFINITY,
      Number.NaN,
      Number.NaN,
    ]);
  });
});

it('chi-square of 2 degrees of freedom is exponential, of 1 a normal twice, and grows by one term every two', () =>
  fc.assert(
    fc.property(between(0.001, 80), fc.integer({ min: 1, max: 40 }), (x, df) => {
      near(chiSquareSf(x, 2), Math.exp(-x / 2), 1e-12);
      near(chiSquareSf(x, 1), 2 * normalSf(Math.sqrt(x)), 1e-12);
      // Abramowitz and Stegun 26.4.8.
      near(
        chiSquareSf(x, df + 2) - chiSquareSf(x, df),
        Math.exp((df / 2) * Math.log(x / 2) - x / 2 - logGamma(df / 2 + 1)),
        1e-9,
        1e-6,
      );
    }),
  ));

describe('counts', () => {
  it('binomial tails are sums of the mass', () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(41), between(0.01, 0.99), (n, k, p) => {
        const mass = (j: number): number => Math.exp(logChoose(n, j) + j * Math.log(p) + (n - j) * Math.log1p(-p));
        let [below, above] = [0, 0];
        for (let j = 0; j <= n; j++) {
          if (j <= k) below += mass(j);
          if (j >= k) above += mass(j);
        }
        near(binomialCdf(k, n, p), Math.min(1, below), 1e-10, 1e-6);
        near(binomialSf(k, n, p), Math.min(1, above), 1e-10, 1e-6);
        expect(binomialCdf(k + 0.5, n, p)).toBe(binomialCdf(k, n, p));
        if (k > 0) expect(binomialSf(k - 0.5, n, p)).toBe(binomialSf(k, n, p));
      }),
    ));
  it('end at their ends', () => {
    expect([binomialCdf(-1, 5, 0.5), binomialCdf(5, 5, 0.5), binomialSf(0, 5, 0.5), binomialSf(6, 5, 0.5)]).toEqual([0, 1, 1, 0]);
  });
  it('hypergeometric masses sum to 1 over what is possible', () =>
    fc.assert(
      fc.property(fc.nat(20), fc.nat(20), fc.nat(20), (a, b, c) => {
        const total = a + b + c;
        const [marked, draws] = [a + b, a + c];
        const masses = Array.from({ length: total + 2 }, (_, k) => Math.exp(hypergeometricLogPmf(k - 1, total, marked, draws)));
        near(
          masses.reduce((sum, mass) => sum + mass, 0),
          1,
          1e-10,
        );
        for (const [index, mass] of masses.entries())
          expect(mass > 0).toBe(index - 1 >= Math.max(0, draws + marked - total) && index - 1 <= Math.min(draws, marked));
      }),
    ));
});
