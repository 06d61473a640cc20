/** What the alternative hypothesis says of the statistic. */
export type Alternative = 'two-sided' | 'less' | 'greater';

/**
 * P-value of an observed integer statistic under its exact null distribution (`distribution[s]`: chance of s). Two-sided: twice the
 * smaller tail, at most 1.
 */
export function exactTail(distribution: Float64Array, observed: number, alternative: Alternative): number {
  let less = 0;
  let greater = 0;
  for (let s = 0; s < distribution.length; s++) {
    if (s <= observed) less += distribution[s]!;
    if (s >= observed) greater += distribution[s]!;
  }
  if (alternative === 'less') return Math.min(1, less);
  if (alternative === 'greater') return Math.min(1, greater);
  return Math.min(1, 2 * Math.min(less, greater));
}
