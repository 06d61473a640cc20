import { normalSf } from './distributions.ts';
import { medianSorted } from './summary.ts';

/** Above this many values the exact null distribution is replaced by the normal one. */
const MAX_EXACT = 60;

/**
 * One-sided p that values in order go up: Mann-Kendall (Mann 1945; Kendall 1975). Exact without ties (the number of permutations by
 * inversions), else normal with the variance corrected for ties and a continuity correction.
 */
export function mannKendall(values: readonly number[]): { readonly s: number; readonly pUp: number; readonly pDown: number } {
  const n = values.length;
  let s = 0;
  for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) s += Math.sign(values[j]! - values[i]!);
  const groups = new Map<number, number>();
  for (const value of values) groups.set(value, (groups.get(value) ?? 0) + 1);
  if (groups.size === n && n <= MAX_EXACT) return { s, pUp: exactUpper(n, s), pDown: exactUpper(n, -s) };
  const weight = (count: number): number => count * (count - 1) * (2 * count + 5);
  const variance = (weight(n) - [...groups.values()].reduce((sum, count) => sum + weight(count), 0)) / 18;
  if (!(variance > 0)) return { s, pUp: 1, pDown: 1 };
  const sd = Math.sqrt(variance);
  return { s, pUp: normalSf((s - 1) / sd), pDown: normalSf((-s - 1) / sd) };
}

/** P(S >= s) over all orders of n different values. */
function exactUpper(n: number, s: number): number {
  const most = (n * (n - 1)) / 2;
  let share = Float64Array.of(1);
  for (let size = 2; size <= n; size++) {
    // Inserting the size-th value adds 0 to size - 1 inversions, each as likely.
    const next = new Float64Array((size * (size - 1)) / 2 + 1);
    for (let inversions = 0; inversions < share.length; inversions++)
      for (let added = 0; added < size; added++) next[inversions + added]! += share[inversions]! / size;
    share = next;
  }
  const inversions = (most - s) / 2;
  return Math.min(
    1,
    share.reduce((sum, value, index) => (index <= inversions ? sum + value : sum), 0),
  );
}

/** Theil-Sen slope: the median of the slopes between all pairs, per step (Sen 1968). */
export function theilSen(values: readonly number[]): number {
  const slopes: number[] = [];
  for (let i = 0; i < values.length; i++)
    for (let j = i + 1; j < values.length; j++) slopes.push((values[j]! - values[i]!) / (j - i));
  return slopes.length === 0 ? 0 : medianSorted(Float64Array.from(slopes).sort());
}

export interface Share {
  readonly events: number;
  readonly trials: number;
}

/**
 * Cochran-Armitage test for a trend of shares (Armitage 1955): z > 0 when they go up. `slope` is the weighted least-squares change of the
 * share per unit of score. Undefined where no share or no score varies. @param scores default 0, 1, 2, ...
 */
export function cochranArmitage(
  shares: readonly Share[],
  scores: readonly number[] = shares.map((_, index) => index),
): { readonly z: number; readonly slope: number } | undefined {
  const total = shares.reduce((sum, { trials }) => sum + trials, 0);
  const rate = shares.reduce((sum, { events }) => sum + events, 0) / total;
  const centre = shares.reduce((sum, { trials }, i) => sum + trials * scores[i]!, 0) / total;
  const spread = shares.reduce((sum, { trials }, i) => sum + trials * (scores[i]! - centre) ** 2, 0);
  const variance = rate * (1 - rate) * spread;
  if (!(variance > 0)) return undefined;
  const covariance = shares.reduce((sum, { events, trials }, i) => sum + (events - trials * rate) * (scores[i]! - centre), 0);
  return { z: covariance / Math.sqrt(variance), slope: covariance / spread };
}
