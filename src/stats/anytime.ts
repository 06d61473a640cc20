import { countAtMost, countBelow } from './ranks.ts';
import { logBeta, zeta } from './special.ts';

/**
 * Anytime-valid bounds: valid at every sample size at once, so that one may look as often as one likes. Sources: Howard, Ramdas,
 * McAuliffe, Sekhon 2021 (time-uniform confidence sequences); Howard and Ramdas 2022 (quantiles); checked against the `confseq` package.
 */

/** Radius for all quantiles at once at time t >= m: A sqrt((ln(1 + ln(t/m)) + C) / t), C solved for error alpha (Howard and Ramdas 2022, theorem 2). */
export function allQuantilesRadius(t: number, m: number, alpha: number, a = 0.85): number {
  return a * Math.sqrt((Math.log(1 + Math.log(t / m)) + lilConstant(alpha, a)) / t);
}

function lilError(c: number, eta: number, a: number): number {
  const inner = a - Math.sqrt((2 * (eta - 1)) / c);
  if (inner <= 0) return Number.POSITIVE_INFINITY;
  const g = (2 / eta) * inner * inner;
  if (g <= 1) return Number.POSITIVE_INFINITY;
  return 4 * Math.exp(-g * c) * (1 + 1 / ((g - 1) * Math.log(eta)));
}

function bestError(c: number, a: number): number {
  let best = Number.POSITIVE_INFINITY;
  let centre = 1.1;
  let low = 1 + 1e-6;
  let high = 2 * a * a;
  for (let round = 0; round < 12; round++) {
    const step = (high - low) / 60;
    for (let eta = low; eta <= high; eta += step) {
      const error = lilError(c, eta, a);
      if (error < best) {
        best = error;
        centre = eta;
      }
    }
    low = Math.max(1 + 1e-12, centre - 2 * step);
    high = centre + 2 * step;
  }
  return best;
}

function lilConstant(alpha: number, a: number): number {
  let low = 0.1;
  let high = 200;
  for (let i = 0; i < 80; i++) {
    const middle = (low + high) / 2;
    if (bestError(middle, a) > alpha) low = middle;
    else high = middle;
  }
  return high;
}

/**
 * Double-stitched bound on the deviation of the count below the p-quantile, in counts (divide by t): Howard and Ramdas 2022,
 * with delta d = 0.5, s = 1.4, eta h = 2.
 */
export function doubleStitchedBound(p: number, t: number, m: number, alpha: number): number {
  const d = 0.5;
  const s = 1.4;
  const h = 2;
  const time = Math.max(t, m);
  const logit = (q: number): number => Math.log(q / (1 - q));
  const expit = (x: number): number => 1 / (1 + Math.exp(-x));
  const r = p >= 0.5 ? p : Math.min(0.5, expit(logit(p) + 2 * d * Math.sqrt((m * h) / time)));
  const v = r * (1 - r);
  const j = (Math.sqrt(time / m) * Math.abs(logit(p))) / (2 * d) + 1;
  const c = (1 - 2 * p) / 3;
  const l =
    s * Math.log(Math.log((h * time) / m)) +
    s * Math.log(j) +
    Math.log((2 * zeta(s) * (2 * zeta(s) + 1)) / (alpha * Math.log(h) ** s));
  const k1 = (h ** 0.25 + h ** -0.25) / Math.SQRT2;
  const k2 = (Math.sqrt(h) + 1) / 2;
  return d * Math.sqrt((h * time * v) / m) + Math.sqrt(k1 * k1 * v * time * l + (k2 * c * l) ** 2) + k2 * c * l;
}

/** Mixture parameter r of the beta-binomial bound, tuned to be tightest near `tOpt` observations. */
export function betaBinomialMixture(p: number, tOpt: number, alpha: number): number {
  const v = p * (1 - p) * tOpt;
  const log = 2 * Math.log(1 / alpha);
  return Math.max(v / (log + Math.log(1 + log)) - p * (1 - p), 0.001 * p * (1 - p));
}

/** ln of the beta-binomial mixture martingale after k events in t trials under rate p. Crossing ln(1/alpha) rejects p, at any time. */
export function betaBinomialLogMartingale(k: number, t: number, p: number, r: number): number {
  return -k * Math.log(p) - (t - k) * Math.log1p(-p) + logBeta(r / p + t - k, r / (1 - p) + k) - logBeta(r / p, r / (1 - p));
}

/** Anytime-valid interval of a rate after k events in t trials: all p not rejected by the beta-binomial martingale. */
export function rateConfidenceSequence(k: number, t: number, alpha: number, tOpt: number): { low: number; high: number } {
  const limit = Math.log(1 / alpha);
  const rejected = (p: number): boolean => betaBinomialLogMartingale(k, t, p, betaBinomialMixture(p, tOpt, alpha)) >= limit;
  const centre = Math.min(Math.max(k / t, 1e-9), 1 - 1e-9);
  const solve = (outer: number): number => {
    let bad = outer;
    let good = centre;
    if (!rejected(Math.min(Math.max(bad, 1e-12), 1 - 1e-12))) return bad;
    for (let i = 0; i < 100; i++) {
      const middle = (bad + good) / 2;
      if (rejected(middle)) bad = middle;
      else good = middle;
    }
    return good;
  };
  return { low: k === 0 ? 0 : solve(0), high: k === t ? 1 : solve(1) };
}

/**
 * Anytime-valid p-value that two samples share the q-quantile: p = min(1, exp(-min over x of lnM_1 + lnM_2)), with k = q n clamped
 * to [count < x, count <= x] in each arm. Arrays ascending.
 */
export function quantileAbPValue(a: Float64Array, b: Float64Array, q: number, tOpt: number, alpha: number): number {
  const r = betaBinomialMixture(q, tOpt, alpha);
  const evidence = (sorted: Float64Array, x: number): number => {
    const k = Math.min(Math.max(q * sorted.length, countBelow(sorted, x)), countAtMost(sorted, x));
    return betaBinomialLogMartingale(k, sorted.length, q, r);
  };
  let least = Number.POSITIVE_INFINITY;
  for (const x of [...a, ...b]) least = Math.min(least, evidence(a, x) + evidence(b, x));
  return Math.min(1, Math.exp(-least));
}

/**
 * One-sided normal-mixture boundary for z = S_t / sqrt(V_t) at intrinsic time v (1 = one observation's variance), tightest near
 * `vOpt` (Robbins 1970; Howard et al. 2021, eq. 14). The path exceeds it at any time with probability at most alpha.
 */
export function mixtureBoundaryZ(v: number, vOpt: number, alpha: number): number {
  const rho = mixtureRho(vOpt, alpha);
  return Math.sqrt(((v + rho) / v) * Math.log((v + rho) / (4 * alpha * alpha * rho)));
}

/** Anytime-valid one-sided p-value for z at intrinsic time v. */
export function mixturePValue(z: number, v: number, vOpt: number, alpha: number): number {
  if (!(z > 0)) return 1;
  const rho = mixtureRho(vOpt, alpha);
  return Math.min(1, 0.5 * Math.sqrt((v + rho) / rho) * Math.exp((-z * z * v) / (2 * (v + rho))));
}

function mixtureRho(vOpt: number, alpha: number): number {
  const log = Math.log(1 / (4 * alpha * alpha));
  return vOpt / (Math.max(log, 0.5) + Math.log(1 + Math.max(log, 0.5)));
}

/**
 * Empirical-Bernstein confidence sequence of the mean of values in [0, 1] (Howard et al. 2021, theorem 4, with the polynomial
 * stitched boundary eta = 2, s = 1.4, m = 1): two-sided, valid at every n.
 */
export function empiricalBernsteinSequence(
  values: ArrayLike<number>,
  alpha: number,
): { low: number; high: number; mean: number } {
  let total = 0;
  let v = 0;
  for (let i = 0; i < values.length; i++) {
    const predicted = i === 0 ? 0.5 : total / i;
    v += (values[i]! - predicted) ** 2;
    total += values[i]!;
  }
  const n = values.length;
  const average = total / n;
  const s = 1.4;
  const h = 2;
  const time = Math.max(v, 1);
  const l = s * Math.log(Math.log(h * time)) + Math.log(zeta(s) / ((alpha / 2) * Math.log(h) ** s));
  const k1 = (h ** 0.25 + h ** -0.25) / Math.SQRT2;
  const k2 = (Math.sqrt(h) + 1) / 2;
  const radius = (Math.sqrt(k1 * k1 * time * l + k2 * k2 * l * l) + k2 * l) / n;
  return { low: Math.max(0, average - radius), high: Math.min(1, average + radius), mean: average };
}
