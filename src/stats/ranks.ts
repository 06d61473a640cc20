/** Ascending copy as a typed array. */
export function sortedCopy(values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values).sort();
}

/**
 * Average ranks (1..n) and the tie term sum(t^3 - t) over groups of equal values. One native sort and two binary searches a value:
 * several times faster than sorting indices with a comparator.
 */
export function midranks(values: ArrayLike<number>): { ranks: Float64Array; tieTerm: number } {
  const sorted = sortedCopy(values);
  const ranks = new Float64Array(values.length);
  for (let i = 0; i < ranks.length; i++) {
    const value = values[i]!;
    ranks[i] = (countBelow(sorted, value) + countAtMost(sorted, value) + 1) / 2;
  }
  let tieTerm = 0;
  for (let start = 0; start < sorted.length; ) {
    let end = start + 1;
    while (end < sorted.length && sorted[end] === sorted[start]) end++;
    const size = end - start;
    tieTerm += size * size * size - size;
    start = end;
  }
  return { ranks, tieTerm };
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
