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
  /** `medianDifference` of the same data where it is known already. */
  estimate?: number;
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
  const estimate = options.estimate ?? medianDifference(x, y);
  const inside = rank >= 1;
  return {
    estimate,
    low: inside ? kthDifference(x, y, rank) : Number.NEGATIVE_INFINITY,
    high: inside ? kthDifference(x, y, pairs - rank + 1) : Number.POSITIVE_INFINITY,
  };
}

/**
 * The k-th smallest (1-based) of all y[j] - x[i], exactly; x and y ascending. Brackets the value by counting (interpolation with
 * bisection as a safeguard) until few differences are left (a count costs one walk, so (m + n) / 16 of them), then selects among those.
 */
export function kthDifference(x: Float64Array, y: Float64Array, k: number): number {
  const m = x.length;
  const n = y.length;
  let low = y[0]! - x[m - 1]!;
  let high = y[n - 1]! - x[0]!;
  let below = countDifferences(x, y, low);
  if (below >= k) return low;
  let above = m * n;
  const few = Math.max(64, (m + n) >>> 4);
  const scale = Math.max(Math.abs(low), Math.abs(high));
  // Invariant: count(<= low) = below < k <= above = count(<= high).
  for (let i = 0; i < 200 && above - below > few && high - low > RELATIVE_STOP * scale; i++) {
    // Aims a little below k, then a little above it, so that both ends close in; then halves.
    const share = i % 3 === 2 ? 0.5 : (k - 0.5 + (i % 3 === 0 ? -few : few) / 3 - below) / (above - below);
    const guess = low + share * (high - low);
    const middle = guess > low && guess < high ? guess : low + (high - low) / 2;
    const count = countDifferences(x, y, middle);
    if (count >= k) {
      high = middle;
      above = count;
    } else {
      low = middle;
      below = count;
    }
  }
  if (above - below > few) return largestDifferenceAtMost(x, y, high);
  const left = new Float64Array(above - below);
  let size = 0;
  let from = 0;
  let to = 0;
  for (let i = 0; i < m; i++) {
    while (from < n && y[from]! - x[i]! <= low) from++;
    if (to < from) to = from;
    while (to < n && y[to]! - x[i]! <= high) to++;
    for (let j = from; j < to; j++) left[size++] = y[j]! - x[i]!;
  }
  return left.sort()[k - below - 1]!;
}

/** Median of all differences y[j] - x[i]; x and y ascending. */
export function medianDifference(x: Float64Array, y: Float64Array): number {
  const pairs = x.length * y.length;
  if (pairs % 2 === 1) return kthDifference(x, y, (pairs + 1) / 2);
  const lower = kthDifference(x, y, pairs / 2);
  if (countDifferences(x, y, lower) > pairs / 2) return lower;
  return (lower + smallestDifferenceAbove(x, y, lower)) / 2;
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

function smallestDifferenceAbove(x: Float64Array, y: Float64Array, limit: number): number {
  let best = Number.POSITIVE_INFINITY;
  let j = 0;
  for (let i = 0; i < x.length; i++) {
    while (j < y.length && y[j]! - x[i]! <= limit) j++;
    if (j < y.length) best = Math.min(best, y[j]! - x[i]!);
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
