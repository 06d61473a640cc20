import { normalQuantile, normalSf, tQuantile, tSf } from '../../stats/distributions.ts';
import { type Dependence, estimateDependence } from '../../stats/effective-sample-size.ts';
import { fisherExact } from '../../stats/fisher.ts';
import { hodgesLehmannShift, medianDifference } from '../../stats/hodges-lehmann.ts';
import { latticeSignFlip } from '../../stats/lattice.ts';
import { EXACT_LIMIT, mannWhitney } from '../../stats/mann-whitney.ts';
import { signFlipTest } from '../../stats/permutation.ts';
import { mergeSorted, midranks } from '../../stats/ranks.ts';
import { createRng } from '../../stats/rng.ts';
import { medianAndDeviation } from '../../stats/select.ts';
import { MAD_TO_SD, mean, variance } from '../../stats/summary.ts';
import type { Arms } from './arms.ts';
import { DEPENDENCE_LEVEL, HEAVY_TIES, PAIRED_DEPENDENCE_LEVEL } from './defaults.ts';

export interface Bounds {
  readonly low: number;
  readonly high: number;
}

/** What is known about the shift of the candidate against the baseline, on the working scale. */
export interface Location {
  readonly delta: number;
  /** Interval with one-sided error `tail` at each end. */
  readonly bounds: (tail: number) => Bounds;
  /** One-sided p that the candidate is larger / smaller. */
  readonly pLarger: number;
  readonly pSmaller: number;
  readonly dependence: Dependence;
  readonly nEff: readonly [number, number];
  readonly method: string;
}

const INDEPENDENT: Dependence = { phi: 0, detected: false, inflation: 1 };

/**
 * Unpaired: Mann-Whitney with a Hodges-Lehmann shift. Exact when small and independent; when the series are serially dependent the
 * variance is inflated by the dependence of the pooled ranks and t replaces the normal (df from the effective sizes). `sorted`: both arms
 * ascending, sorted once for every test.
 */
export function unpairedLocation(
  baseline: Float64Array,
  candidate: Float64Array,
  [x, y]: readonly [Float64Array, Float64Array],
  order: Pick<Arms, 'ordered' | 'slots'>,
  level = DEPENDENCE_LEVEL,
): Location {
  const m = baseline.length;
  const n = candidate.length;
  const pooled = new Float64Array(m + n);
  pooled.set(baseline, 0);
  pooled.set(candidate, m);
  const { ranks, tieTerm, largestTie } = midranks(pooled, mergeSorted(x, y));
  const dependence = order.ordered
    ? estimateDependence([ranks.subarray(0, m), ranks.subarray(m)], level, order.slots)
    : INDEPENDENT;
  const { inflation } = dependence;
  const nEff = [m / inflation, n / inflation] as const;
  const df = dependence.detected ? Math.max(1, nEff[0] + nEff[1] - 2) : Number.POSITIVE_INFINITY;
  let pLarger: number;
  let pSmaller: number;
  const ones = dependence.detected ? undefined : twoValues(x, y);
  if (ones !== undefined) {
    const table = [ones.candidate, n - ones.candidate, ones.baseline, m - ones.baseline] as const;
    pLarger = fisherExact(...table, 'greater');
    pSmaller = fisherExact(...table, 'less');
  } else if (!dependence.detected && m + n <= EXACT_LIMIT) {
    pLarger = mannWhitney(candidate, baseline, { alternative: 'greater', method: 'exact' }).p;
    pSmaller = mannWhitney(candidate, baseline, { alternative: 'less', method: 'exact' }).p;
  } else {
    let rankSum = 0;
    for (let i = m; i < m + n; i++) rankSum += ranks[i]!;
    const distance = rankSum - (n * (n + 1)) / 2 - (m * n) / 2;
    const total = m + n;
    const spread = Math.sqrt(((m * n) / 12) * (total + 1 - tieTerm / (total * (total - 1))) * inflation);
    pLarger = spread > 0 ? tSf((distance - 0.5) / spread, df) : 1;
    pSmaller = spread > 0 ? tSf((-distance - 0.5) / spread, df) : 1;
  }
  const suffix = dependence.detected ? `, n/nEff ${inflation.toFixed(1)}` : '';
  if (largestTie >= HEAVY_TIES * (m + n)) {
    const mean1 = mean(baseline);
    const mean2 = mean(candidate);
    const se = Math.sqrt((variance(baseline) / m + variance(candidate) / n) * inflation);
    const delta = mean2 - mean1;
    const meanDf = Math.max(1, Math.min(nEff[0], nEff[1]) - 1);
    return {
      delta,
      bounds: (tail) => around(delta, se, tail, meanDf),
      pLarger,
      pSmaller,
      dependence,
      nEff,
      method: `${ones === undefined ? 'Mann-Whitney (ties)' : 'Fisher exact (two values)'}, difference of means${suffix}`,
    };
  }
  const delta = medianDifference(x, y);
  return {
    delta,
    bounds: (tail) => hodgesLehmannShift(x, y, { tail, inflation, df, tieTerm, estimate: delta }),
    pLarger,
    pSmaller,
    dependence,
    nEff,
    method: `Mann-Whitney, Hodges-Lehmann${suffix}`,
  };
}

/** How many points of each arm have the larger value, where there are two values in all: no ranks are needed then. Arms ascending. */
function twoValues(x: Float64Array, y: Float64Array): { baseline: number; candidate: number } | undefined {
  const low = Math.min(x[0]!, y[0]!);
  const high = Math.max(x.at(-1)!, y.at(-1)!);
  if (low === high) return undefined;
  const above = (values: Float64Array): number => {
    let count = 0;
    for (const value of values) {
      if (value === high) count++;
      else if (value !== low) return -1;
    }
    return count;
  };
  const [baseline, candidate] = [above(x), above(y)];
  return baseline < 0 || candidate < 0 ? undefined : { baseline, candidate };
}

function around(delta: number, se: number, tail: number, df: number): Bounds {
  const half = se > 0 ? -tQuantile(tail, df) * se : 0;
  return { low: delta - half, high: delta + half };
}

/** Beyond this many robust standard deviations a pair's difference is winsorised: costs no power on normal data, bounds an outlier's pull. */
const WINSOR = 3;

/** Up to this many pairs the sign-flip distribution is enumerated. */
const ENUMERATED_PAIRS = 14;

/**
 * Paired: Huber's centre of the differences with a studentised test, as powerful as the paired t-test on normal differences and safe
 * under heavy tails; exact by sign flips for few pairs. Serial dependence of the differences inflates the variance.
 */
export function pairedLocation(differences: Float64Array, slots?: ArrayLike<number>, level = PAIRED_DEPENDENCE_LEVEL): Location {
  const n = differences.length;
  const { median, deviation } = medianAndDeviation(differences);
  const robust = MAD_TO_SD * deviation;
  // More than half the differences equal: no robust scale exists, the plain mean it is.
  const clip = robust > 0 ? WINSOR * robust : Number.POSITIVE_INFINITY;
  const delta = huberCentre(differences, median, clip);
  const residuals = new Float64Array(n);
  let squares = 0;
  let inner = 0;
  for (let i = 0; i < n; i++) {
    const raw = differences[i]! - delta;
    const value = Math.max(-clip, Math.min(clip, raw));
    residuals[i] = value;
    squares += value * value;
    if (value === raw) inner++;
  }
  const dependence = estimateDependence([residuals], level, slots === undefined ? undefined : [slots]);
  const { inflation } = dependence;
  const nEff = n / inflation;
  // Huber 1981, 6.5: variance = n/(n-1) * mean(psi^2) / mean(psi')^2 / n.
  const se = n > 1 && inner > 0 ? Math.sqrt((squares / (n - 1)) * n * inflation) / inner : Number.POSITIVE_INFINITY;
  // The inflation is an estimate too, with relative variance 4 / (n (1 - phi^2)) under AR(1): Satterthwaite joins the two.
  const noise = dependence.detected ? 2 / (n * (1 - Math.min(0.99, Math.abs(dependence.phi)) ** 2)) : 0;
  const df = Math.max(1, 1 / (1 / Math.max(1e-9, nEff - 1) + noise));
  // Scores of a few polls, mostly equal: t would trust a handful of differences too much.
  const few = robust === 0 && !dependence.detected ? latticeSignFlip(differences) : undefined;
  let pLarger: number;
  let pSmaller: number;
  if (squares === 0) {
    pLarger = delta > 0 ? signTail(n) : 1;
    pSmaller = delta < 0 ? signTail(n) : 1;
  } else if (!dependence.detected && n <= ENUMERATED_PAIRS) {
    const limited = differences.map((d) => Math.max(-clip, Math.min(clip, d)));
    const rng = createRng(1); // never drawn from: few pairs are enumerated
    pLarger = signFlipTest(limited, rng).p;
    pSmaller = signFlipTest(
      limited.map((d) => -d),
      rng,
    ).p;
  } else {
    pLarger = few?.larger ?? tSf(delta / se, df);
    pSmaller = few?.smaller ?? tSf(-delta / se, df);
  }
  const suffix = dependence.detected ? `, n/nEff ${inflation.toFixed(1)}` : '';
  const exact = few !== undefined || (!dependence.detected && n <= ENUMERATED_PAIRS);
  const method = exact ? 'paired sign flips (exact)' : `paired Huber centre, t${suffix}`;
  return {
    delta,
    bounds: (tail) => around(delta, squares === 0 ? 0 : se, tail, df),
    pLarger,
    pSmaller,
    dependence,
    nEff: [nEff, nEff],
    method,
  };
}

/** All n differences equal and on one side: the sign test's p. */
function signTail(n: number): number {
  return 2 ** -n;
}

function huberCentre(values: Float64Array, start: number, clip: number): number {
  if (clip === Number.POSITIVE_INFINITY) return mean(values);
  let centre = start;
  for (let step = 0; step < 60; step++) {
    let total = 0;
    let inner = 0;
    for (let i = 0; i < values.length; i++) {
      const raw = values[i]! - centre;
      total += Math.max(-clip, Math.min(clip, raw));
      if (raw >= -clip && raw <= clip) inner++;
    }
    const move = total / Math.max(1, inner);
    centre += move;
    if (Math.abs(move) <= 1e-12 * clip) break;
  }
  return centre;
}

/** Weakens a p-value for serial dependence: its z shrinks by the square root of the inflation. */
export function deflate(p: number, inflation: number): number {
  if (inflation <= 1 || p >= 0.5) return p;
  return normalSf(-normalQuantile(p) / Math.sqrt(inflation));
}
