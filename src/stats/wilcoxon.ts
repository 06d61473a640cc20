import { type Alternative, exactTail } from './alternative.ts';
import { normalSf } from './distributions.ts';
import { midranks } from './ranks.ts';

export interface SignedRankResult {
  /** Sum of the ranks of the positive differences. */
  w: number;
  /** Differences that are not zero. */
  n: number;
  z: number;
  p: number;
  method: 'exact' | 'asymptotic';
}

/** Largest number of non-zero differences for which `auto` is exact. */
const SIGNED_RANK_EXACT_LIMIT = 50;

/**
 * Wilcoxon signed-rank test on paired differences; zeros are dropped (Wilcoxon's rule), ties get average ranks. Exact = the
 * sign-flip distribution of the rank sum given the ties. Source: Wilcoxon 1945; Hollander, Wolfe, Chicken 3.1.
 */
export function wilcoxonSignedRank(
  differences: ArrayLike<number>,
  options: { alternative?: Alternative; method?: 'auto' | 'exact' | 'asymptotic'; continuity?: boolean } = {},
): SignedRankResult {
  const { alternative = 'two-sided', method = 'auto', continuity = true } = options;
  const kept = Float64Array.from(differences).filter((d) => d !== 0);
  const n = kept.length;
  if (n === 0) return { w: 0, n, z: 0, p: 1, method: 'exact' };
  const { ranks, tieTerm } = midranks(kept.map(Math.abs));
  let w = 0;
  for (let i = 0; i < n; i++) if (kept[i]! > 0) w += ranks[i]!;
  const distance = w - (n * (n + 1)) / 4;
  const spread = Math.sqrt((n * (n + 1) * (2 * n + 1)) / 24 - tieTerm / 48);
  const z = spread > 0 ? distance / spread : 0;
  if (method === 'exact' || (method === 'auto' && n <= SIGNED_RANK_EXACT_LIMIT)) {
    return { w, n, z, p: exactP(ranks, w, alternative), method: 'exact' };
  }
  const correction = continuity ? 0.5 : 0;
  let p: number;
  if (alternative === 'greater') p = normalSf((distance - correction) / spread);
  else if (alternative === 'less') p = normalSf((-distance - correction) / spread);
  else p = Math.min(1, 2 * normalSf((Math.abs(distance) - correction) / spread));
  return { w, n, z, p, method: 'asymptotic' };
}

function exactP(ranks: Float64Array, w: number, alternative: Alternative): number {
  const distribution = signFlipDistribution(Int32Array.from(ranks, (rank) => Math.round(2 * rank)));
  return exactTail(distribution, Math.round(2 * w), alternative);
}

/** Distribution of the sum of positive integers, each included with chance 1/2 (or `chance`), independently. */
export function signFlipDistribution(items: Int32Array, chance = 0.5): Float64Array {
  let top = 0;
  for (const item of items) top += item;
  const mass = new Float64Array(top + 1);
  mass[0] = 1;
  let reach = 0;
  for (const item of items) {
    for (let s = reach; s >= 0; s--) {
      const here = mass[s]!;
      if (here === 0) continue;
      mass[s + item]! += here * chance;
      mass[s] = here * (1 - chance);
    }
    reach += item;
  }
  return mass;
}
