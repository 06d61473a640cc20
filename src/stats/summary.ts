/** Sum of the values (Neumaier 1974); 0 for none. */
export function sum(values: ArrayLike<number>): number {
  let total = 0;
  let carry = 0;
  // Neumaier's compensated sum: order of arrival must not change a verdict in the last digits.
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const next = total + value;
    carry += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
    total = next;
  }
  return total + carry;
}

/** Arithmetic mean; NaN for no values. */
export function mean(values: ArrayLike<number>): number {
  return sum(values) / values.length;
}

/** Sample variance (divisor n-1); NaN below two values. */
export function variance(values: ArrayLike<number>): number {
  const centre = mean(values);
  let total = 0;
  for (let i = 0; i < values.length; i++) total += (values[i]! - centre) ** 2;
  return total / (values.length - 1);
}

/** Quantile of an ascending array by linear interpolation (Hyndman and Fan type 7, the default of R and NumPy). */
export function quantileSorted(sorted: ArrayLike<number>, p: number): number {
  const n = sorted.length;
  if (n === 0) return Number.NaN;
  const position = (n - 1) * p;
  const index = Math.floor(position);
  const low = sorted[index]!;
  const high = sorted[Math.min(index + 1, n - 1)]!;
  return low + (position - index) * (high - low);
}

/** Median of an ascending array. */
export function medianSorted(sorted: ArrayLike<number>): number {
  return quantileSorted(sorted, 0.5);
}

/**
 * Median absolute deviation of an ascending array from `centre`, unscaled (times 1.4826 it estimates a normal standard deviation).
 * Walks inwards from both ends, where the largest deviations are: no second sort.
 */
export function medianAbsoluteDeviation(sorted: ArrayLike<number>, centre: number): number {
  const n = sorted.length;
  if (n === 0) return Number.NaN;
  let left = 0;
  let right = n - 1;
  let last = 0;
  // Deviations come in descending order; the median is the mean of the two in the middle (one and the same when n is odd).
  const first = Math.floor(n / 2);
  let upper = 0;
  for (let step = 0; step <= first; step++) {
    const below = centre - sorted[left]!;
    const above = sorted[right]! - centre;
    upper = last;
    if (below >= above) {
      last = Math.abs(below);
      left++;
    } else {
      last = Math.abs(above);
      right--;
    }
  }
  return n % 2 === 1 ? last : (upper + last) / 2;
}

/** Factor that makes the median absolute deviation consistent for a normal standard deviation: 1 / normalQuantile(0.75). */
export const MAD_TO_SD = 1.482602218505602;
