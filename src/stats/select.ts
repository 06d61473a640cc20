/** Ranges this short are sorted: selection has nothing left to gain. */
const SHORT = 32;

/**
 * The k-th smallest value (0-based) of `values`, which is reordered so that nothing before place k is larger and nothing after it smaller.
 * Quickselect with a median of three (Hoare 1961), O(n); a range that shrinks too slowly is sorted, so that no input takes O(n^2). No NaN.
 */
export function select(values: Float64Array, k: number): number {
  let left = 0;
  let right = values.length - 1;
  for (let rounds = 3 * Math.log2(values.length + 2); right - left > SHORT; rounds--) {
    if (rounds < 0) break;
    const pivot = medianOfThree(values[left]!, values[(left + right) >>> 1]!, values[right]!);
    let i = left;
    let j = right;
    while (i <= j) {
      while (values[i]! < pivot) i++;
      while (values[j]! > pivot) j--;
      if (i > j) break;
      const held = values[i]!;
      values[i++] = values[j]!;
      values[j--] = held;
    }
    // Values between j and i equal the pivot.
    if (k <= j) right = j;
    else if (k >= i) left = i;
    else return values[k]!;
  }
  values.subarray(left, right + 1).sort();
  return values[k]!;
}

function medianOfThree(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}

/** Median (mean of the middle two when n is even), reordering `values`. */
export function selectMedian(values: Float64Array): number {
  const n = values.length;
  const upper = select(values, n >>> 1);
  if (n % 2 === 1) return upper;
  let lower = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < n >>> 1; i++) if (values[i]! > lower) lower = values[i]!;
  return lower + 0.5 * (upper - lower);
}

/** Median and unscaled median absolute deviation from it without a sort; NaN for no values. `values` is left alone. */
export function medianAndDeviation(values: Float64Array): { median: number; deviation: number } {
  if (values.length === 0) return { median: Number.NaN, deviation: Number.NaN };
  const work = new Float64Array(values);
  const median = selectMedian(work);
  for (let i = 0; i < work.length; i++) work[i] = Math.abs(work[i]! - median);
  const upper = select(work, work.length >>> 1);
  if (work.length % 2 === 1) return { median, deviation: upper };
  let lower = 0;
  for (let i = 0; i < work.length >>> 1; i++) if (work[i]! > lower) lower = work[i]!;
  return { median, deviation: (lower + upper) / 2 };
}
