import { erfc, incompleteBeta, logChoose, logGamma } from './special.ts';

/** Standard normal distribution function. */
export function normalCdf(z: number): number {
  return 0.5 * erfc(-z * Math.SQRT1_2);
}

/** Upper tail of the standard normal, accurate far out (normalSf(10) is 7.6e-24, not 0). */
export function normalSf(z: number): number {
  return 0.5 * erfc(z * Math.SQRT1_2);
}

/** Standard normal density. */
export function normalPdf(z: number): number {
  return 0.3989422804014327 * Math.exp(-0.5 * z * z);
}

const ACKLAM_A = [
  -3.969683028665376e1, 2.209460984245205e2, -2.759285104469687e2, 1.38357751867269e2, -3.066479806614716e1, 2.506628277459239,
];
const ACKLAM_B = [-5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1, -1.328068155288572e1];
const ACKLAM_C = [
  -7.784894002430293e-3, -3.223964580411365e-1, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783,
];
const ACKLAM_D = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];

function horner(coefficients: readonly number[], x: number): number {
  let value = 0;
  for (const c of coefficients) value = value * x + c;
  return value;
}

/** Normal quantile for p in (0, 1): Acklam's rational start, polished by two Halley steps to double precision. */
export function normalQuantile(p: number): number {
  if (!(p >= 0 && p <= 1)) return Number.NaN;
  if (p === 0) return Number.NEGATIVE_INFINITY;
  if (p === 1) return Number.POSITIVE_INFINITY;
  if (p > 0.5) return -normalQuantile(1 - p);
  let z: number;
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p));
    z = horner(ACKLAM_C, q) / (horner(ACKLAM_D, q) * q + 1);
  } else {
    const q = p - 0.5;
    const r = q * q;
    z = (horner(ACKLAM_A, r) * q) / (horner(ACKLAM_B, r) * r + 1);
  }
  for (let i = 0; i < 2; i++) {
    const density = normalPdf(z);
    if (density === 0) break;
    const u = (normalCdf(z) - p) / density;
    z -= u / (1 + (z * u) / 2);
  }
  return z;
}

/** Upper tail P(T > t) of Student's t with df > 0 degrees of freedom (df may be fractional or Infinity). */
export function tSf(t: number, df: number): number {
  if (Number.isNaN(t)) return Number.NaN;
  if (df > 1e7) return normalSf(t);
  if (t < 0) return 1 - tSf(-t, df);
  if (t === Number.POSITIVE_INFINITY) return 0;
  return 0.5 * incompleteBeta(df / (df + t * t), df / 2, 0.5);
}

/** Upper tail of the chi-square distribution with a whole number of degrees of freedom: its finite sum (Abramowitz and Stegun 26.4.4-5). */
export function chiSquareSf(x: number, df: number): number {
  if (!(x > 0)) return 1;
  const half = x / 2;
  const odd = df % 2;
  let tail = odd === 1 ? erfc(Math.sqrt(half)) : 0;
  for (let k = odd === 1 ? 0.5 : 0; k < df / 2 - 0.25; k++) tail += Math.exp(k * Math.log(half) - half - logGamma(k + 1));
  return Math.min(1, tail);
}

/** Student's t quantile by safeguarded bisection on the tail (1e-13 relative). */
export function tQuantile(p: number, df: number): number {
  if (!(p > 0 && p < 1)) return p === 0 ? Number.NEGATIVE_INFINITY : p === 1 ? Number.POSITIVE_INFINITY : Number.NaN;
  if (df > 1e7) return normalQuantile(p);
  if (p === 0.5) return 0;
  if (p < 0.5) return -tUpperQuantile(p, df);
  return tUpperQuantile(1 - p, df);
}

/** t with P(T > t) = tail, tail in (0, 0.5]. */
function tUpperQuantile(tail: number, df: number): number {
  let low = 0;
  let high = Math.max(1, -normalQuantile(tail));
  while (tSf(high, df) > tail) {
    low = high;
    high *= 2;
  }
  for (let i = 0; i < 100 && high - low > 1e-14 * high; i++) {
    // Secant on the log tail where it stays inside the bracket, else bisection.
    const middle = (low + high) / 2;
    if (tSf(middle, df) > tail) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Beta(a, b) quantile by bisection. */
export function betaQuantile(p: number, a: number, b: number): number {
  if (p <= 0) return 0;
  if (p >= 1) return 1;
  let low = 0;
  let high = 1;
  for (let i = 0; i < 1100 && high - low > 1e-15 * high; i++) {
    const middle = (low + high) / 2;
    if (incompleteBeta(middle, a, b) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(X <= k) for X ~ Binomial(n, p). */
export function binomialCdf(k: number, n: number, p: number): number {
  if (k < 0) return 0;
  if (k >= n) return 1;
  return incompleteBeta(1 - p, n - Math.floor(k), Math.floor(k) + 1);
}

/** P(X >= k) for X ~ Binomial(n, p), without cancellation. */
export function binomialSf(k: number, n: number, p: number): number {
  if (k <= 0) return 1;
  if (k > n) return 0;
  return incompleteBeta(p, Math.ceil(k), n - Math.ceil(k) + 1);
}

/** ln P(X = k): k marked items among `draws` drawn without replacement from `total` of which `marked` are marked. */
export function hypergeometricLogPmf(k: number, total: number, marked: number, draws: number): number {
  if (k < Math.max(0, draws + marked - total) || k > Math.min(draws, marked)) return Number.NEGATIVE_INFINITY;
  return logChoose(marked, k) + logChoose(total - marked, draws - k) - logChoose(total, draws);
}
