/** Ascending copy as a typed array. */
export function sortedCopy(values: ArrayLike<number>): Float64Array {
  return new Float64Array(values).sort();
}

/** Two ascending arrays in one, ascending: O(m + n). */
export function mergeSorted(x: Float64Array, y: Float64Array): Float64Array {
  const merged = new Float64Array(x.length + y.length);
  let i = 0;
  let j = 0;
  for (let at = 0; at < merged.length; at++) merged[at] = j >= y.length || (i < x.length && x[i]! <= y[j]!) ? x[i++]! : y[j++]!;
  return merged;
}

/** |value - centre| of an ascending array, ascending: merged from both ends inwards, O(n). */
export function sortedDeviations(sorted: Float64Array, centre: number): Float64Array {
  const deviations = new Float64Array(sorted.length);
  let left = 0;
  let right = sorted.length - 1;
  for (let at = right; at >= 0; at--) {
    const below = centre - sorted[left]!;
    const above = sorted[right]! - centre;
    if (below >= above) {
      deviations[at] = Math.abs(below);
      left++;
    } else {
      deviations[at] = Math.abs(above);
      right--;
    }
  }
  return deviations;
}

/**
 * Average ranks (1..n), the tie term sum(t^3 - t) over groups of equal values, and the size of the largest group. One native sort (none
 * when the values are given `sorted` as well) and a short search a value: several times faster than sorting indices with a comparator.
 */
export function midranks(
  values: ArrayLike<number>,
  sorted: Float64Array = sortedCopy(values),
): { ranks: Float64Array; tieTerm: number; largestTie: number } {
  const n = sorted.length;
  // Average rank of the group that starts at a position of the sorted array.
  const groupRank = new Float64Array(n);
  let tieTerm = 0;
  let largestTie = 0;
  for (let start = 0; start < n; ) {
    let end = start + 1;
    while (end < n && sorted[end] === sorted[start]) end++;
    const size = end - start;
    tieTerm += size * size * size - size;
    if (size > largestTie) largestTie = size;
    groupRank[start] = (start + 1 + end) / 2;
    start = end;
  }
  const ranks = new Float64Array(n);
  const below = bucketSearch(sorted);
  for (let i = 0; i < n; i++) ranks[i] = groupRank[below(values[i]!)]!;
  return { ranks, tieTerm, largestTie };
}

/**
 * `countBelow` for many values of the same array: one bucket a value on an even grid from least to largest narrows the binary search to
 * the value's own bucket. Skewed data fill few buckets and cost the plain search again.
 */
function bucketSearch(sorted: Float64Array): (value: number) => number {
  const n = sorted.length;
  const least = sorted[0]!;
  const perUnit = n / (sorted[n - 1]! - least);
  if (!(n > 64 && perUnit > 0 && perUnit < Number.POSITIVE_INFINITY)) return (value) => countBelow(sorted, value);
  // Rounding is monotone, so a value's bucket never lies beyond that of a larger value.
  const bucket = (value: number): number => Math.min(n - 1, Math.floor((value - least) * perUnit));
  const starts = new Int32Array(n + 1).fill(n);
  for (let i = n - 1; i >= 0; i--) starts[bucket(sorted[i]!)] = i;
  for (let b = n - 1; b >= 0; b--) starts[b] = Math.min(starts[b]!, starts[b + 1]!);
  return (value) => {
    const b = bucket(value);
    let low = starts[b]!;
    let high = starts[b + 1]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sorted[middle]! < value) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** Number of elements of a sorted array below `x`. */
export function countBelow(sorted: ArrayLike<number>, x: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Pairs with x > y (ties one half) and the tie term of the pooled sample, from two ascending arrays by merging: O(m + n). */
export function countPairs(x: ArrayLike<number>, y: ArrayLike<number>): { u: number; tieTerm: number } {
  let u = 0;
  let tieTerm = 0;
  let i = 0;
  let j = 0;
  while (i < x.length || j < y.length) {
    const value = j >= y.length || (i < x.length && x[i]! <= y[j]!) ? x[i]! : y[j]!;
    const startX = i;
    const startY = j;
    while (i < x.length && x[i] === value) i++;
    while (j < y.length && y[j] === value) j++;
    const inX = i - startX;
    const inY = j - startY;
    u += inX * (startY + inY / 2);
    const size = inX + inY;
    tieTerm += size * size * size - size;
  }
  return { u, tieTerm };
}
