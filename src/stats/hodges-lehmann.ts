import { tQuantile } from './distributions.ts';
import { sortedCopy } from './ranks.ts';
import { medianSorted } from './summary.ts';

export interface ShiftEstimate {
  /** Median of all differences y - x. */
  estimate: number;
  low: number;
  high: number;
}

export interface ShiftOptions {
  /** One-sided error of each bound (the interval has level 1 - 2 * tail). */
  tail: number;
  /** Variance inflation of the rank-sum statistic (1 = independent). */
  inflation?: number;
  /** Degrees of freedom of the reference t distribution (Infinity = normal). */
  df?: number;
  /** Sum of t^3 - t over tied groups of the pooled sample. */
  tieTerm?: number;
}

/** Relative stop of the bisection: the answer does not depend on the unit of the data. */
const RELATIVE_STOP = 1e-13;

/**
 * Hodges-Lehmann shift of y against x with its Mann-Whitney interval (Hollander, Wolfe, Chicken 4.2-4.3), by counting pairs in
 * the sorted difference matrix: O((m+n) log(1/eps)), no m*n memory. Both arrays ascending.
 */
export function hodgesLehmannShift(x: Float64Array, y: Float64Array, options: ShiftOptions): ShiftEstimate {
  const m = x.length;
  const n = y.length;
  const pairs = m * n;
  const total = m + n;
  const ties = (options.tieTerm ?? 0) / (total * (total - 1));
  const spread = Math.sqrt((pairs / 12) * (total + 1 - ties) * (options.inflation ?? 1));
  const quantile = -tQuantile(options.tail, options.df ?? Number.POSITIVE_INFINITY);
  // Continuity 0.5 as in the test, so that "low > 0" and "p < tail" agree.
  const rank = Math.ceil(pairs / 2 - quantile * spread - 0.5);
  const estimate =
    pairs % 2 === 1
      ? kthDifference(x, y, (pairs + 1) / 2)
      : (kthDifference(x, y, pairs / 2) + kthDifference(x, y, pairs / 2 + 1)) / 2;
  const inside = rank >= 1;
  return {
    estimate,
    low: inside ? kthDifference(x, y, rank) : Number.NEGATIVE_INFINITY,
    high: inside ? kthDifference(x, y, pairs - rank + 1) : Number.POSITIVE_INFINITY,
  };
}

/** The k-th smallest (1-based) of all y[j] - x[i], exact to one rounding; x and y ascending. */
export function kthDifference(x: Float64Array, y: Float64Array, k: number): number {
  const m = x.length;
  const n = y.length;
  let low = y[0]! - x[m - 1]!;
  let high = y[n - 1]! - x[0]!;
  const scale = Math.max(Math.abs(low), Math.abs(high));
  // Invariant: count(<= high) >= k. Stops when the bracket is a rounding error wide, then snaps to the nearest real difference.
  for (let i = 0; i < 200 && high - low > RELATIVE_STOP * scale; i++) {
    const middle = low + (high - low) / 2;
    if (countDifferences(x, y, middle) >= k) high = middle;
    else low = middle;
  }
  return largestDifferenceAtMost(x, y, high);
}

/** Number of pairs with y[j] - x[i] <= limit. */
function countDifferences(x: Float64Array, y: Float64Array, limit: number): number {
  let count = 0;
  let j = 0;
  const n = y.length;
  for (let i = 0; i < x.length; i++) {
    while (j < n && y[j]! - x[i]! <= limit) j++;
    count += j;
  }
  return count;
}

function largestDifferenceAtMost(x: Float64Array, y: Float64Array, limit: number): number {
  let best = Number.NEGATIVE_INFINITY;
  let j = 0;
  for (let i = 0; i < x.length; i++) {
    while (j < y.length && y[j]! - x[i]! <= limit) j++;
    if (j > 0) best = Math.max(best, y[j - 1]! - x[i]!);
  }
  return best;
}

/** One-sample Hodges-Lehmann centre: the median of the Walsh averages (d[i] + d[j]) / 2, i <= j. O(n^2); for n up to a few thousand. */
export function hodgesLehmannCentre(differences: ArrayLike<number>): number {
  const n = differences.length;
  const walsh = new Float64Array((n * (n + 1)) / 2);
  let at = 0;
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) walsh[at++] = (differences[i]! + differences[j]!) / 2;
  return medianSorted(sortedCopy(walsh));
}
