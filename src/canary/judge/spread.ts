import { tSf } from '../../stats/distributions.ts';
import { sortedRankSumP } from '../../stats/mann-whitney.ts';
import { midranks, sortedDeviations } from '../../stats/ranks.ts';
import { mean, medianSorted } from '../../stats/summary.ts';

export interface SpreadChange {
  /** One-sided p that the candidate varies more. */
  readonly pValue: number;
  /** Ratio of median absolute deviations minus 1; NaN when the baseline does not vary. */
  readonly effect: number;
}

/** Fewest points an arm: below, the sample median distorts the deviations too much. */
const MIN_SPREAD_POINTS = 20;

/**
 * Spread change. Unpaired: Mann-Whitney on absolute deviations from each arm's own median (a one-sided Fligner-Killeen-type test).
 * Paired: rank correlation between difference and sum of the pair (Morgan 1939, Pitman 1939): positive when the candidate varies more.
 * `sorted`: both arms ascending.
 */
export function spreadChange(
  baseline: Float64Array,
  candidate: Float64Array,
  [x, y]: readonly [Float64Array, Float64Array],
  paired: boolean,
): SpreadChange {
  if (Math.min(baseline.length, candidate.length) < MIN_SPREAD_POINTS) return { pValue: 1, effect: Number.NaN };
  const deviationsB = sortedDeviations(x, medianSorted(x));
  const deviationsC = sortedDeviations(y, medianSorted(y));
  const madB = middle(deviationsB);
  const madC = middle(deviationsC);
  if (!(madB > 0)) return { pValue: 1, effect: Number.NaN };
  const effect = madC / madB - 1;
  if (!paired) return { pValue: sortedRankSumP(deviationsC, deviationsB), effect };
  const difference = candidate.map((v, i) => v - baseline[i]!);
  const total = candidate.map((v, i) => v + baseline[i]!);
  const r = correlation(midranks(difference).ranks, midranks(total).ranks);
  const df = baseline.length - 2;
  return { pValue: Math.abs(r) < 1 ? tSf(r * Math.sqrt(df / (1 - r * r)), df) : r > 0 ? 0 : 1, effect };
}

/** Median as a mean of the middle two. */
function middle(sorted: Float64Array): number {
  const half = sorted.length >>> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

function correlation(a: Float64Array, b: Float64Array): number {
  const meanA = mean(a);
  const meanB = mean(b);
  let ab = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    ab += (a[i]! - meanA) * (b[i]! - meanB);
    aa += (a[i]! - meanA) ** 2;
    bb += (b[i]! - meanB) ** 2;
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : 0;
}
