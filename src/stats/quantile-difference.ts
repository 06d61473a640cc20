import { normalQuantile } from './distributions.ts';
import { quantileSorted } from './summary.ts';

export interface QuantileDifference {
  /** Quantile of y minus quantile of x. */
  estimate: number;
  low: number;
  high: number;
}

/**
 * Interval for the difference of a quantile between two independent samples: standard errors from the binomial order-statistic
 * interval of each arm (Woodruff 1952), combined by square-and-add. Arrays ascending; `tail` is the one-sided error per bound;
 * `inflation` widens for serial dependence. Infinite where an arm is too short to bound that quantile.
 */
export function quantileDifference(x: Float64Array, y: Float64Array, p: number, tail: number, inflation = 1): QuantileDifference {
  const a = orderStatisticInterval(x, p, tail, inflation);
  const b = orderStatisticInterval(y, p, tail, inflation);
  const qx = quantileSorted(x, p);
  const qy = quantileSorted(y, p);
  const estimate = qy - qx;
  return { estimate, low: estimate - Math.hypot(qy - b.low, a.high - qx), high: estimate + Math.hypot(b.high - qy, qx - a.low) };
}

/** Distribution-free interval of the p-quantile of one ascending sample by order statistics (normal approximation of the binomial ranks). */
export function orderStatisticInterval(
  sorted: Float64Array,
  p: number,
  tail: number,
  inflation = 1,
): { low: number; high: number } {
  const n = sorted.length;
  const half = -normalQuantile(tail) * Math.sqrt(n * p * (1 - p) * inflation);
  const lower = Math.floor(n * p - half);
  const upper = Math.ceil(n * p + half);
  return {
    low: lower >= 0 ? sorted[Math.min(lower, n - 1)]! : Number.NEGATIVE_INFINITY,
    high: upper < n ? sorted[upper]! : Number.POSITIVE_INFINITY,
  };
}
