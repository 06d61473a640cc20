import { sortedCopy } from '../../stats/ranks.ts';
import { mean } from '../../stats/summary.ts';
import type { Arms } from './arms.ts';
import { HEAVY_TIES, MIN_POINTS } from './defaults.ts';
import { formatEffect } from './format.ts';
import { type Bounds, deflate, type Location, pairedLocation, unpairedLocation } from './location.ts';
import { LOG_SCALE, type Scale } from './scale.ts';
import type { Design, Direction } from './types.ts';

/** Change of the values that are not zero, as a log-ratio candidate / baseline. */
export interface NonzeroAssessment {
  readonly delta: number;
  readonly bounds: (tail: number) => Bounds;
  readonly pLarger: number;
  readonly pSmaller: number;
  /** Points of the smaller arm, or pairs, of which neither is zero. */
  readonly points: number;
  /** A size in the metric's effect unit as a share of the baseline's mean of those values. */
  readonly relative: (size: number) => number;
}

/**
 * The second part of a series with many zeros (a queue that is mostly empty): how large the values are where there are any, beside how
 * often there are some, which ranks of the whole see (two-part model, Lachenbruch 1976). Ranks of the whole hardly see it: with 70 % zeros
 * and the rest half again as large, Mann-Whitney finds 16 % of cases at n = 60, this part 98 %. Undefined without many zeros, or with
 * values below zero.
 */
export function assessNonzero(arms: Arms, design: Design, scale: Scale, location: Location): NonzeroAssessment | undefined {
  if (scale.kind === 'log') return undefined;
  const zeros = countZeros(arms.baseline) + countZeros(arms.candidate);
  if (zeros < HEAVY_TIES * (arms.baseline.length + arms.candidate.length)) return undefined;
  const own = design === 'paired' ? pairs(arms) : series(arms);
  if (own === undefined || !varies(arms)) return undefined;
  const { delta, bounds, pLarger, pSmaller } = own.location;
  const { inflation } = location.dependence;
  const level = mean(arms.baseline.filter((value) => value > 0));
  return {
    delta,
    bounds,
    pLarger: deflate(pLarger, inflation),
    pSmaller: deflate(pSmaller, inflation),
    points: own.points,
    relative: (size) => (scale.unit === 'relative' ? size : size / level),
  };
}

/** Zeros of an arm; less than none when a value is negative. */
function countZeros(values: Float64Array): number {
  let zeros = 0;
  for (const value of values) {
    if (value < 0) return Number.NEGATIVE_INFINITY;
    if (value === 0) zeros++;
  }
  return zeros;
}

/** A yes or no written as 1 and 0 has no sizes to compare. */
function varies({ baseline, candidate }: Arms): boolean {
  const first = baseline.find((value) => value > 0);
  return [baseline, candidate].some((values) => values.some((value) => value > 0 && value !== first));
}

function series({ baseline, candidate, ordered }: Arms): { location: Location; points: number } | undefined {
  const [x, y] = [baseline.filter((v) => v > 0).map(Math.log), candidate.filter((v) => v > 0).map(Math.log)];
  const points = Math.min(x.length, y.length);
  if (points < MIN_POINTS) return undefined;
  return { location: unpairedLocation(x, y, [sortedCopy(x), sortedCopy(y)], { ordered, slots: undefined }), points };
}

function pairs({ baseline, candidate }: Arms): { location: Location; points: number } | undefined {
  const differences: number[] = [];
  for (let i = 0; i < baseline.length; i++)
    if (baseline[i]! > 0 && candidate[i]! > 0) differences.push(Math.log(candidate[i]!) - Math.log(baseline[i]!));
  if (differences.length < MIN_POINTS) return undefined;
  return { location: pairedLocation(Float64Array.from(differences)), points: differences.length };
}

/** The same as the decision needs it. */
export interface NonzeroChange {
  readonly effect: number;
  /** At least the smallest change that counts; of a margin in the metric's unit, as a share of the mean of the values that are not zero. */
  readonly relevant: boolean;
  readonly interval: readonly [number | null, number | null];
  readonly text: string;
}

/** The change of the values that are not zero, with its interval at `level`; undefined where it was not assessed. */
export function nonzeroChange(
  { nonzero, relevance }: { readonly nonzero?: NonzeroAssessment; readonly relevance: number },
  direction: Direction,
  level: number,
): NonzeroChange | undefined {
  if (nonzero === undefined) return undefined;
  const { delta, points } = nonzero;
  const sign = direction === 'lower' || (direction === 'either' && delta > 0) ? 1 : -1;
  const least = LOG_SCALE.toDelta(nonzero.relative(relevance), sign);
  const { low, high } = nonzero.bounds(level);
  const show = (value: number): string => formatEffect(LOG_SCALE.toEffect(value), 'relative');
  return {
    effect: LOG_SCALE.toEffect(delta),
    relevant: sign * delta >= least && sign * delta > 0,
    interval: [bounded(LOG_SCALE.toEffect(low)), bounded(LOG_SCALE.toEffect(high))],
    text: `${show(delta)} [${show(low)}, ${show(high)}] over ${points} such points`,
  };
}

function bounded(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
