import { normalSf } from '../../stats/distributions.ts';
import { mergeSorted } from '../../stats/ranks.ts';
import { MAD_TO_SD, medianAbsoluteDeviation, medianSorted, quantileSorted } from '../../stats/summary.ts';
import { signFlipDistribution } from '../../stats/wilcoxon.ts';

/** Scores rise from 0 at the threshold to RAMP at RAMP_WIDTH robust standard deviations further out, then stay: one outlier counts once, however far. */
const RAMP = 16;
const RAMP_WIDTH = 2.2;

/**
 * A point is in the tail beyond 2 robust standard deviations, or beyond the pooled 90th percentile if that is further, and beyond 3 in any
 * case: where a quarter of the requests stall, the 90th percentile is one of the stalls.
 */
const TAIL_START = 2;
const TAIL_LATEST_START = 3;

/** `p90`: the pooled 90th percentile, in robust standard deviations. */
function tailStart(p90: number): number {
  return Math.max(TAIL_START, Math.min(TAIL_LATEST_START, p90));
}

/** Active points up to which the null distribution is computed exactly. */
const EXACT_POINTS = 200;

export interface TailP {
  /** p that the candidate reaches further up. */
  readonly pUpper: number;
  /** p that the candidate reaches further down. */
  readonly pLower: number;
  /** Smallest p that these tail points could give, on the better of both sides: whatever the arms they turn out to belong to. */
  readonly least: number;
}

const NO_TAIL: TailP = { pUpper: 1, pLower: 1, least: 1 };

/**
 * Are the candidate's tails heavier (unpaired)? Tail points of the pooled sample get a score; given the scores, which arm each belongs
 * to is a coin with the candidate's share of points, so the score sum has an exactly computable null distribution (independent
 * assignment, slightly conservative against drawing without replacement). 1 when no spread or no tail exists. `x`, `y`: the arms ascending.
 */
export function unpairedTails(baseline: Float64Array, candidate: Float64Array, x: Float64Array, y: Float64Array): TailP {
  const m = baseline.length;
  const pooled = new Float64Array(m + candidate.length);
  pooled.set(baseline, 0);
  pooled.set(candidate, m);
  const sorted = mergeSorted(x, y);
  const centre = medianSorted(sorted);
  const mad = MAD_TO_SD * medianAbsoluteDeviation(sorted, centre);
  const share = candidate.length / pooled.length;
  const side = (sign: 1 | -1): readonly [p: number, least: number] => {
    const edge = (p: number): number => sign * (quantileSorted(sorted, sign > 0 ? p : 1 - p) - centre);
    const scale = mad > 0 ? mad : edge(0.95) / 1.6448536269514722;
    if (!(scale > 0)) return [1, 1];
    const start = tailStart(edge(0.9) / scale);
    const items: number[] = [];
    let observed = 0;
    for (let i = 0; i < pooled.length; i++) {
      const score = tailScore((sign * (pooled[i]! - centre)) / scale, start);
      if (score === 0) continue;
      items.push(score);
      if (i >= m) observed += score;
    }
    return [scoreTail(items, observed, share), share ** items.length];
  };
  const [upper, lower] = [side(1), side(-1)];
  return { pUpper: upper[0], pLower: lower[0], least: Math.min(upper[1], lower[1]) };
}

/** Do large positive differences outweigh large negative ones, or the reverse (paired)? The same scores on |d|; signs are fair coins. */
export function pairedTails(differences: Float64Array): TailP {
  const sizes = differences.map(Math.abs).sort();
  const scale = MAD_TO_SD * medianSorted(sizes);
  if (!(scale > 0)) return NO_TAIL;
  const start = tailStart(quantileSorted(sizes, 0.9) / scale);
  const items: number[] = [];
  let up = 0;
  let total = 0;
  for (const d of differences) {
    const score = tailScore(Math.abs(d) / scale, start);
    if (score === 0) continue;
    items.push(score);
    total += score;
    if (d > 0) up += score;
  }
  return { pUpper: scoreTail(items, up, 0.5), pLower: scoreTail(items, total - up, 0.5), least: 0.5 ** items.length };
}

function tailScore(z: number, start: number): number {
  return Math.round(RAMP * Math.max(0, Math.min(1, (z - start) / RAMP_WIDTH)));
}

function scoreTail(items: number[], observed: number, share: number): number {
  if (items.length === 0) return 1;
  if (items.length <= EXACT_POINTS) {
    const mass = signFlipDistribution(Int32Array.from(items), share);
    let p = 0;
    for (let s = observed; s < mass.length; s++) p += mass[s]!;
    return Math.min(1, p);
  }
  let total = 0;
  let squares = 0;
  for (const item of items) {
    total += item;
    squares += item * item;
  }
  return normalSf((observed - share * total - 0.5) / Math.sqrt(share * (1 - share) * squares));
}
