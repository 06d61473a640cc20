import { betaQuantile, normalQuantile } from './distributions.ts';

export interface Interval {
  low: number;
  high: number;
}

/** Clopper-Pearson interval of a proportion, each bound with one-sided error `tail` (exact, conservative). k events of n. */
export function clopperPearson(k: number, n: number, tail: number): Interval {
  return {
    low: k === 0 ? 0 : betaQuantile(tail, k, n - k + 1),
    high: k === n ? 1 : betaQuantile(1 - tail, k + 1, n - k),
  };
}

/** Interval of the ratio of two Poisson rates, candidate over baseline, from the conditional binomial (exact). */
export function rateRatioInterval(
  candidateEvents: number,
  candidateExposure: number,
  baselineEvents: number,
  baselineExposure: number,
  tail: number,
): Interval {
  const total = candidateEvents + baselineEvents;
  if (total === 0) return { low: 0, high: Number.POSITIVE_INFINITY };
  const share = clopperPearson(candidateEvents, total, tail);
  const scale = baselineExposure / candidateExposure;
  return {
    low: (scale * share.low) / (1 - share.low),
    high: share.high === 1 ? Number.POSITIVE_INFINITY : (scale * share.high) / (1 - share.high),
  };
}

/** Wilson score interval of a proportion, one-sided error `tail` per bound. */
export function wilson(k: number, n: number, tail: number): Interval {
  const z = -normalQuantile(tail);
  const p = k / n;
  const centre = (p + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  return { low: k === 0 ? 0 : centre - half, high: k === n ? 1 : centre + half };
}

/**
 * Score interval for the difference candidate - baseline of two proportions (Newcombe 1998, method 10: square-and-add of Wilson
 * intervals). `inflation` scales the half widths for dependent trials.
 */
export function differenceInterval(k2: number, n2: number, k1: number, n1: number, tail: number, inflation = 1): Interval {
  const p1 = k1 / n1;
  const p2 = k2 / n2;
  const w1 = wilson(k1, n1, tail);
  const w2 = wilson(k2, n2, tail);
  const scale = Math.sqrt(inflation);
  return {
    low: Math.max(-1, p2 - p1 - scale * Math.hypot(p2 - w2.low, w1.high - p1)),
    high: Math.min(1, p2 - p1 + scale * Math.hypot(w2.high - p2, p1 - w1.low)),
  };
}

/**
 * Interval for the difference of paired proportions from the discordant counts: Wald with half an observation added to each
 * discordant cell (Agresti and Min 2005), one-sided error `tail` per bound; close to nominal for small counts.
 */
export function pairedDifferenceInterval(worse: number, better: number, pairs: number, tail: number): Interval {
  const z = -normalQuantile(tail);
  const n = pairs + 2;
  const b = worse + 0.5;
  const c = better + 0.5;
  const centre = (b - c) / n;
  const half = (z * Math.sqrt(b + c - (b - c) ** 2 / n)) / n;
  return { low: Math.max(-1, centre - half), high: Math.min(1, centre + half) };
}
