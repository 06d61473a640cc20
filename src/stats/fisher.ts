import type { Alternative } from './alternative.ts';
import { binomialCdf, binomialSf, hypergeometricLogPmf } from './distributions.ts';

/**
 * Fisher's exact test of the 2x2 table [[a, b], [c, d]] (rows are arms, first column events); `greater` says the first row has
 * the larger odds. Two-sided sums every table at most as likely as the observed one (R's rule).
 */
export function fisherExact(a: number, b: number, c: number, d: number, alternative: Alternative = 'two-sided'): number {
  const total = a + b + c + d;
  const marked = a + c;
  const draws = a + b;
  const low = Math.max(0, draws + marked - total);
  const high = Math.min(draws, marked);
  const observed = hypergeometricLogPmf(a, total, marked, draws);
  let p = 0;
  if (alternative === 'two-sided') {
    for (let k = low; k <= high; k++) {
      const mass = hypergeometricLogPmf(k, total, marked, draws);
      if (mass <= observed + 1e-7) p += Math.exp(mass);
    }
    return Math.min(1, p);
  }
  // Walk away from the observed cell by the ratio of neighbouring terms: O(range), no logGamma per term.
  const step = alternative === 'greater' ? 1 : -1;
  const end = alternative === 'greater' ? high : low;
  let mass = Math.exp(observed);
  for (let k = a; ; k += step) {
    p += mass;
    if (k === end || mass < p * 1e-18) break;
    mass *=
      step > 0
        ? ((marked - k) * (draws - k)) / ((k + 1) * (total - marked - draws + k + 1))
        : (k * (total - marked - draws + k)) / ((marked - k + 1) * (draws - k + 1));
  }
  return Math.min(1, p);
}

/** Exact McNemar test on discordant pairs: `worse` only the candidate failed, `better` only the baseline failed; b ~ Bin(b + c, 1/2). */
export function mcNemarExact(worse: number, better: number, alternative: Alternative = 'greater'): number {
  return binomialTwoWay(worse, worse + better, 0.5, alternative);
}

/**
 * Exact comparison of two Poisson rates given their total: candidate events ~ Bin(total, e_c / (e_b + e_c)) when the rates are
 * equal (Przyborowski and Wilenski 1940). Exposures are in any common unit. `greater`: the candidate's rate is larger.
 */
export function conditionalRateTest(
  candidateEvents: number,
  candidateExposure: number,
  baselineEvents: number,
  baselineExposure: number,
  alternative: Alternative = 'greater',
): number {
  return binomialTwoWay(
    candidateEvents,
    candidateEvents + baselineEvents,
    candidateExposure / (candidateExposure + baselineExposure),
    alternative,
  );
}

function binomialTwoWay(k: number, n: number, p: number, alternative: Alternative): number {
  if (n === 0) return 1;
  const greater = binomialSf(k, n, p);
  const less = binomialCdf(k, n, p);
  if (alternative === 'greater') return Math.min(1, greater);
  if (alternative === 'less') return Math.min(1, less);
  return Math.min(1, 2 * Math.min(greater, less));
}
