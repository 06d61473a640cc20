/** Ascending copy as a typed array. */
export function sortedCopy(values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values).sort();
}

/**
 * Average ranks (1..n), the tie term sum(t^3 - t) over groups of equal values, and the size of the largest group. One native sort and a binary search a value:
 * several times faster than sorting indices with a comparator.
 */
export function midranks(values: ArrayLike<number>): { ranks: Float64Array; tieTerm: number; largestTie: number } {
  const sorted = sortedCopy(values);
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
  for (let i = 0; i < n; i++) ranks[i] = groupRank[countBelow(sorted, values[i]!)]!;
  return { ranks, tieTerm, largestTie };
}

/** Number of elements of a sorted array below `x`, and below or equal. */
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

export function countAtMost(sorted: ArrayLike<number>, x: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= x) low = middle + 1;
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
