import { type Alternative, exactTail } from './alternative.ts';
import { normalSf } from './distributions.ts';
import { countPairs, midranks, sortedCopy } from './ranks.ts';

export interface RankSumResult {
  /** U of the first sample: pairs with x > y, ties as one half. 0 .. m*n. */
  u: number;
  /** Standardised statistic (tie corrected, no continuity correction); 0 when every value is equal. */
  z: number;
  p: number;
  method: 'exact' | 'asymptotic';
}

export interface RankSumOptions {
  alternative?: Alternative;
  /** `auto`: exact up to `exactLimit` values in all, asymptotic above. */
  method?: 'auto' | 'exact' | 'asymptotic';
  continuity?: boolean;
}

/** Largest m + n for which `auto` uses the exact permutation distribution. */
export const EXACT_LIMIT = 24;

/**
 * Mann-Whitney U test of x against y; `less` says x tends to be smaller than y. Exact = the permutation distribution of the
 * rank sum given the ties (equals the classical table when there are none); asymptotic = tie and continuity corrected.
 * Source: Mann and Whitney 1947; Hollander, Wolfe, Chicken, Nonparametric Statistical Methods, 4.1.
 */
export function mannWhitney(x: ArrayLike<number>, y: ArrayLike<number>, options: RankSumOptions = {}): RankSumResult {
  const { alternative = 'two-sided', method = 'auto', continuity = true } = options;
  const m = x.length;
  const n = y.length;
  const { u, tieTerm } = countPairs(sortedCopy(x), sortedCopy(y));
  const total = m + n;
  const spread = Math.sqrt(((m * n) / 12) * (total + 1 - tieTerm / (total * (total - 1))));
  const z = spread > 0 ? (u - (m * n) / 2) / spread : 0;
  const exact = method === 'exact' || (method === 'auto' && total <= EXACT_LIMIT);
  if (exact) return { u, z, p: exactP(x, y, u, alternative), method: 'exact' };
  return { u, z, p: asymptoticP(u - (m * n) / 2, spread, alternative, continuity ? 0.5 : 0), method: 'asymptotic' };
}

/** Asymptotic one-sided p that x tends to be larger than y, tie and continuity corrected; both ascending, so that nothing is sorted again. */
export function sortedRankSumP(x: Float64Array, y: Float64Array): number {
  const { u, tieTerm } = countPairs(x, y);
  const total = x.length + y.length;
  const spread = Math.sqrt(((x.length * y.length) / 12) * (total + 1 - tieTerm / (total * (total - 1))));
  return asymptoticP(u - (x.length * y.length) / 2, spread, 'greater', 0.5);
}

function asymptoticP(distance: number, spread: number, alternative: Alternative, correction: number): number {
  if (!(spread > 0)) return 1;
  if (alternative === 'greater') return normalSf((distance - correction) / spread);
  if (alternative === 'less') return normalSf((-distance - correction) / spread);
  return Math.min(1, 2 * normalSf((Math.abs(distance) - correction) / spread));
}

function exactP(x: ArrayLike<number>, y: ArrayLike<number>, u: number, alternative: Alternative): number {
  const m = x.length;
  const pooled = new Float64Array(m + y.length);
  pooled.set(x, 0);
  pooled.set(y, m);
  const doubled = Int32Array.from(midranks(pooled).ranks, (rank) => Math.round(2 * rank));
  const distribution = subsetSumDistribution(doubled, m);
  return exactTail(distribution, Math.round(2 * u + m * (m + 1)), alternative);
}

/** Probability of each sum of a uniformly random subset of `size` of the positive integers `items` (dynamic programme). */
export function subsetSumDistribution(items: Int32Array, size: number): Float64Array {
  const largest = Int32Array.from(items).sort();
  let top = 0;
  for (let i = 0; i < size; i++) top += largest[largest.length - 1 - i]!;
  const width = top + 1;
  // ways[k * width + s] is kept as a probability so that it cannot overflow: step i chooses item i with chance (size-k)/(n-i).
  let current = new Float64Array((size + 1) * width);
  current[0] = 1;
  for (let i = 0; i < items.length; i++) {
    const next = new Float64Array((size + 1) * width);
    const left = items.length - i;
    for (let k = Math.max(0, size - left); k <= Math.min(i, size); k++) {
      const take = (size - k) / left;
      for (let s = 0; s < width; s++) {
        const mass = current[k * width + s]!;
        if (mass === 0) continue;
        if (take < 1) next[k * width + s]! += mass * (1 - take);
        if (take > 0) next[(k + 1) * width + s + items[i]!]! += mass * take;
      }
    }
    current = next;
  }
  return current.subarray(size * width, (size + 1) * width);
}
