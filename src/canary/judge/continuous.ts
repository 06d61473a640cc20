import { estimateDependence } from '../../stats/effective-sample-size.ts';
import { quantileDifference } from '../../stats/quantile-difference.ts';
import { midranks, sortedCopy } from '../../stats/ranks.ts';
import { selectMedian } from '../../stats/select.ts';
import { MAD_TO_SD, mean, medianAbsoluteDeviation, medianSorted, quantileSorted, variance } from '../../stats/summary.ts';
import type { Arms } from './arms.ts';
import type { Assessment, Blocked, QuantileChange, TailAssessment } from './assessment.ts';
import {
  DEFAULT_MARGINS,
  DEPENDENCE_LEVEL,
  errorShares,
  FEW_LOOKS,
  LOOKS_DEPENDENCE_LEVEL,
  LOOKS_FEWEST_PAIRS,
  LOOKS_MIN_PAIRS,
  LOOKS_MIN_POINTS,
  MIN_EFFECTIVE,
  MIN_POINTS,
  marginInForce,
  NONZERO_SHARES,
  PAIRED_DEPENDENCE_LEVEL,
  SPREAD_MARGIN,
  SUSPECTED_DEPENDENCE,
  TREND_SHARE,
} from './defaults.ts';
import { formatEffect } from './format.ts';
import { deflate, type Location, pairedLocation, unpairedLocation } from './location.ts';
import { assessNonzero } from './nonzero.ts';
import { ABSOLUTE_SCALE, LOG_SCALE, relativeScale, type Scale } from './scale.ts';
import { spreadChange } from './spread.ts';
import { pairedTails, unpairedTails } from './tail.ts';
import { armTrends, assessTrend, detrended, sharedSlope } from './trend.ts';
import type { Design, Margin } from './types.ts';

/** Normal quantile of 0.999. */
const SURE_DEPENDENCE_Z = 3.09;

interface Frame {
  readonly scale: Scale;
  readonly margin: number;
  readonly relevance: number;
}

/** Location, tail and spread of a continuous metric; or why nothing can be said. */
export function assessContinuous(arms: Arms, design: Design, margin: Margin | undefined, looks = 1): Assessment | Blocked {
  const n = [arms.baseline.length, arms.candidate.length] as const;
  const frame = chooseFrame(arms, margin);
  if (typeof frame === 'string') return { ...blocked(frame, n, n), ...marginInForce('continuous', margin) };
  const { scale } = frame;
  const fewest = Math.min(...n);
  if (fewest < MIN_POINTS) {
    return {
      ...blocked(`${fewest} points in the smaller arm, at least ${MIN_POINTS} are needed`, n, n, MIN_POINTS),
      ...frameFields(frame),
    };
  }
  if (looks > 1 && design === 'unpaired' && arms.ordered && fewest < LOOKS_MIN_POINTS) {
    const reason = `${fewest} points are too few to see whether they depend on each other, and this run is looked at repeatedly: at least ${LOOKS_MIN_POINTS} are needed`;
    return { ...blocked(reason, n, n, LOOKS_MIN_POINTS), ...frameFields(frame) };
  }
  let baseline: Float64Array = arms.baseline.map(scale.transform);
  let candidate: Float64Array = arms.candidate.map(scale.transform);
  const trends = design === 'unpaired' ? armTrends(arms, baseline, candidate) : undefined;
  const shared = trends === undefined ? undefined : sharedSlope(trends);
  if (trends !== undefined && shared !== undefined) {
    baseline = detrended(baseline, trends.times[0], shared);
    candidate = detrended(candidate, trends.times[1], shared);
  }
  // Each arm is sorted once for all tests: at 10,000 points an arm sorting is most of the judge's work.
  const sorted = [sortedCopy(baseline), sortedCopy(candidate)] as const;
  const differences = design === 'paired' ? pairedDifferences(baseline, candidate, scale) : undefined;
  const { location, armPhi, level } =
    differences === undefined
      ? {
          location: unpairedLocation(baseline, candidate, sorted, arms, levelOf(looks)),
          armPhi: 0,
          level: PAIRED_DEPENDENCE_LEVEL,
        }
      : pairedWithArms(differences, baseline, candidate, sorted, arms, looks);
  if (looks > FEW_LOOKS && differences !== undefined && fewest < LOOKS_MIN_PAIRS && (fewest < LOOKS_FEWEST_PAIRS || armPhi > 0)) {
    const reason = `${fewest} pairs are too few to rule out that they depend on each other, and this run is looked at repeatedly: at least ${LOOKS_MIN_PAIRS} are needed`;
    return {
      ...blocked(reason, n, n, LOOKS_MIN_PAIRS),
      ...frameFields(frame),
      method: location.method,
      estimate: { scale, delta: location.delta, bounds: location.bounds },
    };
  }
  const trend = assessTrend(arms, differences, trends, looks > 1 ? level : PAIRED_DEPENDENCE_LEVEL);
  const effective = Math.min(...location.nEff);
  if (
    location.dependence.detected &&
    effective < MIN_EFFECTIVE &&
    (design === 'unpaired' || surelyDependent(location.dependence.phi, fewest))
  ) {
    const phi = location.dependence.phi.toFixed(2);
    const reason = `points depend on each other (lag-1 correlation ${phi}): ${fewest} points carry about ${effective.toFixed(1)} independent ones, at least ${MIN_EFFECTIVE} are needed`;
    const needed = Math.ceil((fewest * MIN_EFFECTIVE) / effective);
    return {
      ...blocked(reason, n, location.nEff, Math.max(fewest + 1, needed)),
      ...frameFields(frame),
      method: location.method,
      dependence: location.dependence,
      estimate: { scale, delta: location.delta, bounds: location.bounds },
    };
  }
  const tail = assessTail(baseline, candidate, sorted, differences, location);
  const nonzero = assessNonzero(arms, design, scale, location);
  return {
    ...frameFields(frame),
    scale,
    delta: location.delta,
    bounds: location.bounds,
    pLarger: location.pLarger,
    pSmaller: location.pSmaller,
    method: location.method,
    n,
    nEff: location.nEff,
    shares: { ...(nonzero === undefined ? errorShares(fewest, design, tail.least) : NONZERO_SHARES), trend: TREND_SHARE },
    dependence: location.dependence,
    ...(trend === undefined ? {} : { trend }),
    ...(nonzero === undefined ? {} : { nonzero }),
    tail,
    spread: assessSpread(baseline, candidate, sorted, differences !== undefined, location),
    notes:
      shared === undefined
        ? []
        : [`both arms moved ${formatEffect(scale.toEffect(shared), scale.unit)} during the run, which was taken out of both`],
  };
}

/** Far above what rounding makes of equal differences, far below what anyone measures. */
const GRID = 2 ** -42;

/** The largest working value of a logarithm: |ln 5e-324| is 744. */
const LARGEST_LOG = 1024;

/**
 * Candidate less baseline, pair by pair. Differences that are equal but for rounding become equal (2 to 3 and 4 to 6 are one ratio, and in
 * another unit they would be rounded otherwise): ties decide which test is asked. The grid goes by the typical size of the values, so that
 * an outlier does not coarsen it.
 */
function pairedDifferences(baseline: Float64Array, candidate: Float64Array, { kind }: Scale): Float64Array {
  const size =
    kind === 'log' ? LARGEST_LOG : selectMedian(candidate.map((value, i) => Math.max(Math.abs(value), Math.abs(baseline[i]!))));
  const grid = GRID * 2 ** Math.ceil(Math.log2(size));
  return candidate.map((value, i) => {
    const difference = value - baseline[i]!;
    const steps = Math.round(difference / grid);
    return Number.isSafeInteger(steps) ? steps * grid : difference;
  });
}

function levelOf(looks: number): number {
  return looks > 1 ? LOOKS_DEPENDENCE_LEVEL : DEPENDENCE_LEVEL;
}

/** The pairs' location, and the lag-1 correlation of the arms themselves, which says how closely to look at that of the differences. */
function pairedWithArms(
  differences: Float64Array,
  baseline: Float64Array,
  candidate: Float64Array,
  [x, y]: readonly [Float64Array, Float64Array],
  { slots }: Arms,
  looks: number,
): { location: Location; armPhi: number; level: number } {
  const levels = looks > 1 ? SUSPECTED_DEPENDENCE.manyLooks : SUSPECTED_DEPENDENCE.oneLook;
  const own = estimateDependence([midranks(baseline, x).ranks, midranks(candidate, y).ranks], levels.arms, slots);
  const level = own.detected ? levels.differences : PAIRED_DEPENDENCE_LEVEL;
  return { location: pairedLocation(differences, slots?.[0], level), armPhi: own.phi, level };
}

/**
 * Pairs are sent in random order, so dependence among their differences is the exception: one of twenty short segments shows some by
 * chance alone. It always widens the interval; it rules out a verdict only when chance (p 0.001) does not explain it.
 */
function surelyDependent(phi: number, n: number): boolean {
  return phi * Math.sqrt(n) > SURE_DEPENDENCE_Z;
}

function frameFields(frame: Frame): { margin: number; relevance: number; unit: 'relative' | 'absolute' } {
  return { margin: frame.margin, relevance: frame.relevance, unit: frame.scale.unit };
}

function blocked(reason: string, n: readonly [number, number], nEff: readonly [number, number], samplesNeeded?: number): Blocked {
  const { relevance, tolerance, unit } = DEFAULT_MARGINS.continuous;
  return {
    blocked: reason,
    n,
    nEff,
    margin: tolerance,
    relevance,
    unit,
    method: 'none',
    ...(samplesNeeded === undefined ? {} : { samplesNeeded }),
  };
}

/** Ratio scale for positive values, differences otherwise; a text when the given margin cannot be applied. */
function chooseFrame(arms: Arms, margin: Margin | undefined): Frame | string {
  const least = Math.min(minimum(arms.baseline), minimum(arms.candidate));
  if (margin?.absolute !== undefined) return { scale: ABSOLUTE_SCALE, margin: margin.absolute, relevance: margin.absolute };
  const given = margin?.relative;
  const defaults = DEFAULT_MARGINS.continuous;
  const sizes =
    given === undefined ? { margin: defaults.tolerance, relevance: defaults.relevance } : { margin: given, relevance: given };
  if (arms.baseline.length === 0 || arms.candidate.length === 0 || least > 0) return { scale: LOG_SCALE, ...sizes };
  if (least === 0) {
    const level = mean(arms.baseline);
    if (level > 0) return { scale: relativeScale(level), ...sizes };
    if (given !== undefined && maximum(arms.candidate) > 0) {
      return 'the baseline is zero throughout, so a relative margin has no meaning: give an absolute one';
    }
    // Nothing to be relative to: any certain change counts, and only equality can pass.
    return { scale: ABSOLUTE_SCALE, margin: 0, relevance: 0 };
  }
  if (given !== undefined) return 'values are negative, so a relative margin has no meaning: give an absolute one';
  const spread = robustSpread(arms.baseline);
  return { scale: ABSOLUTE_SCALE, margin: SPREAD_MARGIN.tolerance * spread, relevance: SPREAD_MARGIN.relevance * spread };
}

function robustSpread(values: Float64Array): number {
  const sorted = sortedCopy(values);
  const mad = MAD_TO_SD * medianAbsoluteDeviation(sorted, medianSorted(sorted));
  return mad > 0 ? mad : values.length > 1 ? Math.sqrt(variance(values)) : 0;
}

function minimum(values: Float64Array): number {
  let least = Number.POSITIVE_INFINITY;
  for (const value of values) if (value < least) least = value;
  return least;
}

function maximum(values: Float64Array): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const value of values) if (value > most) most = value;
  return most;
}

function assessTail(
  baseline: Float64Array,
  candidate: Float64Array,
  [x, y]: readonly [Float64Array, Float64Array],
  differences: Float64Array | undefined,
  location: Location,
): TailAssessment & { readonly least: number } {
  const { pUpper, pLower, least } =
    differences === undefined ? unpairedTails(baseline, candidate, x, y) : pairedTails(differences);
  const { inflation } = location.dependence;
  const at = (quantile: number): QuantileChange => ({
    quantile,
    delta: quantileSorted(y, quantile) - quantileSorted(x, quantile),
    bounds: (tail) => quantileDifference(x, y, quantile, tail, inflation),
  });
  const upper = [at(0.95), at(0.99)].sort((a, b) => b.delta - a.delta)[0]!;
  const lower = [at(0.05), at(0.01)].sort((a, b) => a.delta - b.delta)[0]!;
  return {
    pUpper: deflate(pUpper, inflation),
    pLower: deflate(pLower, inflation),
    upper,
    lower,
    least: deflate(least, inflation),
  };
}

function assessSpread(
  baseline: Float64Array,
  candidate: Float64Array,
  sorted: readonly [Float64Array, Float64Array],
  paired: boolean,
  location: Location,
): { pValue: number; effect: number } {
  const change = spreadChange(baseline, candidate, sorted, paired);
  return { pValue: deflate(change.pValue, location.dependence.inflation), effect: change.effect };
}
