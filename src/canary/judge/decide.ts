import type { Dependence } from '../../stats/effective-sample-size.ts';
import { samplesNeeded } from '../../stats/power.ts';
import type { Assessment, Blocked } from './assessment.ts';
import { POWER, SPREAD_RELEVANCE, TAIL_RELEVANCE } from './defaults.ts';
import { detectableEffect, standardErrorOf } from './detectable.ts';
import { formatEffect } from './format.ts';
import { type NonzeroChange, nonzeroChange } from './nonzero.ts';
import type { Direction, MetricInput, MetricResult, SubTest } from './types.ts';

/** p-values of one metric, before looks and multiplicity. */
export interface MetricP {
  readonly location: number;
  readonly tail: number;
  readonly trend: number;
  readonly nonzero: number;
  /** min over the sub-tests of p / share: one number for the family. */
  readonly combined: number;
}

function harmful(direction: Direction, larger: number, smaller: number): number {
  if (direction === 'lower') return larger;
  if (direction === 'higher') return smaller;
  return Math.min(1, 2 * Math.min(larger, smaller));
}

/** The p-values of a metric's tests in the direction that does harm; `combined` is their weighted Bonferroni minimum. */
export function metricP(assessment: Assessment, direction: Direction): MetricP {
  const { shares, tail } = assessment;
  const location = harmful(direction, assessment.pLarger, assessment.pSmaller);
  const tailP = tail === undefined ? 1 : harmful(direction, tail.pUpper, tail.pLower);
  const { trend } = assessment;
  const trendP = trend === undefined ? 1 : harmful(direction, trend.pLarger, trend.pSmaller);
  const { nonzero } = assessment;
  const nonzeroP = nonzero === undefined ? 1 : harmful(direction, nonzero.pLarger, nonzero.pSmaller);
  const combined = Math.min(
    1,
    location / shares.location,
    shares.tail > 0 ? tailP / shares.tail : 1,
    shares.trend === undefined ? 1 : trendP / shares.trend,
    shares.nonzero === undefined ? 1 : nonzeroP / shares.nonzero,
  );
  return { location, tail: tailP, trend: trendP, nonzero: nonzeroP, combined };
}

export interface Levels {
  readonly alpha: number;
  /** Nominal one-sided level of this look. */
  readonly nominal: number;
  /** The same for one metric that is worse among all of the family: what Holm asks of the smallest p. */
  readonly alone: number;
  /** Nominal level at which shape changes warn. */
  readonly warn: number;
  /** Turns a nominal p into one that accounts for looks and family (monotone). */
  readonly adjust: (p: number) => number;
}

/** Verdict of one metric from its assessment (the rules are in docs and in the comments below, in order of precedence). */
export function decide(metric: MetricInput, assessment: Assessment, p: MetricP, levels: Levels): MetricResult {
  const { scale, shares, delta } = assessment;
  const sign = metric.direction === 'higher' || (metric.direction === 'either' && delta < 0) ? -1 : 1;
  const level = levels.nominal * shares.location;
  const bounds = assessment.bounds(level);
  const harm = sign * delta;
  const worstHarm = metric.direction === 'either' ? Math.max(bounds.high, -bounds.low) : sign > 0 ? bounds.high : -bounds.low;
  const relevance = scale.toDelta(assessment.relevance, sign);
  const margin = scale.toDelta(assessment.margin, sign);
  const insideMargin =
    metric.direction === 'either'
      ? bounds.high < scale.toDelta(assessment.margin, 1) && -bounds.low < scale.toDelta(assessment.margin, -1)
      : worstHarm < margin;
  const certain = levels.adjust(p.location / shares.location) <= levels.alpha;
  const tail = tailChange(assessment, metric.direction, level);
  const tailCertain = shares.tail > 0 && levels.adjust(p.tail / shares.tail) <= levels.alpha;
  const drift = trendChange(assessment, metric.direction, level);
  const driftCertain = shares.trend !== undefined && levels.adjust(p.trend / shares.trend) <= levels.alpha;
  const part = nonzeroChange(assessment, metric.direction, level);
  const partCertain = shares.nonzero !== undefined && levels.adjust(p.nonzero / shares.nonzero) <= levels.alpha;
  const standardError = standardErrorOf(bounds, level);
  const low = scale.toEffect(bounds.low);
  const high = scale.toEffect(bounds.high);
  const unit = scale.unit;
  const effect = scale.toEffect(delta);
  const shown = `${formatEffect(effect, unit)} [${formatEffect(low, unit)}, ${formatEffect(high, unit)}]`;
  const marginText = formatEffect(assessment.margin, unit);
  const equal = bounds.low === 0 && bounds.high === 0 && delta === 0;

  const outcome = ((): { verdict: MetricResult['verdict']; reason: string; needed?: number | undefined } => {
    if (certain && harm >= relevance && harm > 0)
      return { verdict: 'fail', reason: `worse by ${shown}, beyond ${formatEffect(assessment.relevance, unit)}` };
    if (tailCertain && tail?.relevant) {
      return {
        verdict: 'fail',
        reason: `tail is worse: ${quantileName(tail.quantile)} ${formatEffect(tail.effect, unit)} while the centre moved ${shown}`,
      };
    }
    if (partCertain && part?.relevant) return { verdict: 'fail', reason: `worse where it is not zero: ${part.text}` };
    if (driftCertain && drift?.relevant) return { verdict: 'fail', reason: `gets worse during the run: ${drift.text}` };
    if (assessment.noPass !== undefined) return { verdict: 'inconclusive', reason: assessment.noPass };
    if (insideMargin || equal || assessment.negligible?.(level) === true) {
      if (certain && worstHarm >= relevance)
        return { verdict: 'warn', reason: `worse by ${shown}, real but below ${formatEffect(assessment.relevance, unit)}` };
      if (drift !== undefined && p.trend <= levels.warn && drift.worse)
        return { verdict: 'warn', reason: `gets worse during the run: ${drift.text} (p ${p.trend.toPrecision(2)})` };
      if (part?.relevant && p.nonzero <= levels.warn)
        return { verdict: 'warn', reason: `worse where it is not zero: ${part.text} (p ${p.nonzero.toPrecision(2)})` };
      const shape = shapeWarning(assessment, p, tail, levels.warn);
      if (shape !== undefined) return { verdict: 'warn', reason: shape };
      return { verdict: 'pass', reason: equal ? 'no difference' : `change ${shown} stays within the margin of ${marginText}` };
    }
    if (certain)
      return {
        verdict: 'warn',
        reason: `worse by ${shown}, real but the estimate is below ${formatEffect(assessment.relevance, unit)}`,
      };
    // How far the estimate is from the margin is itself known to a standard error only: an estimate that happens to sit on the margin would
    // ask for millions of points.
    const distance = harm > 0 && harm >= margin ? harm : margin - Math.max(0, harm);
    const gap = Math.max(distance, Math.min(margin, standardError));
    const needed = samplesNeeded(Math.min(...assessment.n), standardError, gap, level, POWER);
    const more = needed === undefined ? '' : `; about ${needed} points an arm would decide`;
    return { verdict: 'inconclusive', reason: `change ${shown} does not rule out ${marginText}${more}`, needed };
  })();

  return {
    name: metric.name,
    ...(metric.segment === undefined ? {} : { segment: metric.segment }),
    verdict: outcome.verdict,
    reason: [outcome.reason, ...assessment.notes].join('; '),
    effect: finite(effect),
    effectUnit: unit,
    interval: [finite(low), finite(high)],
    intervalLevel: 1 - 2 * level,
    margin: assessment.margin,
    relevance: assessment.relevance,
    mde: detectableEffect(assessment, metric.direction, levels.alone * shares.location, standardError),
    method: assessment.method,
    n: assessment.n,
    nEff: [round(assessment.nEff[0]), round(assessment.nEff[1])],
    pValue: Math.min(1, p.combined),
    pAdjusted: levels.adjust(p.combined),
    ...(outcome.needed === undefined ? {} : { samplesNeeded: outcome.needed }),
    ...dependenceField(assessment.dependence),
    ...(assessment.tail === undefined ? {} : { subTests: subTests(assessment, p, effect, tail, drift, part) }),
  };
}

function dependenceField(dependence: Dependence | undefined): Pick<MetricResult, 'dependence'> {
  if (dependence === undefined) return {};
  const { phi, detected, inflation } = dependence;
  return { dependence: { lag1: Math.round(phi * 1000) / 1000, detected, blockLength: round(inflation) } };
}

/** A metric that cannot be decided, with the interval where one is known all the same. */
export function blockedResult(
  metric: MetricInput,
  state: Blocked,
  { nominal: level, alone }: Pick<Levels, 'nominal' | 'alone'>,
): MetricResult {
  const needed = state.samplesNeeded;
  const policy = state.noData === true ? (metric.noData ?? 'inconclusive') : undefined;
  const known = state.estimate === undefined ? undefined : estimated(state.estimate, metric.direction, level, alone);
  return {
    name: metric.name,
    ...(metric.segment === undefined ? {} : { segment: metric.segment }),
    verdict: policy === 'fail' ? 'fail' : 'inconclusive',
    reason: `${state.blocked}${needed === undefined ? '' : `; about ${needed} points an arm would do`}${policy === 'fail' ? ', which fails by the policy of this metric' : policy === 'ignore' ? '; ignored by the policy of this metric' : ''}`,
    effect: known?.effect ?? null,
    effectUnit: state.unit,
    interval: known?.interval ?? [null, null],
    intervalLevel: known === undefined ? 0 : 1 - 2 * level,
    margin: state.margin,
    relevance: state.relevance,
    mde: known?.mde ?? null,
    method: state.method,
    ...dependenceField(state.dependence),
    ...(policy === undefined ? {} : { noData: policy }),
    n: state.n,
    nEff: [round(state.nEff[0]), round(state.nEff[1])],
    ...(needed === undefined ? {} : { samplesNeeded: needed }),
  };
}

/** Effect, interval and smallest detectable effect of a metric that is shown and not decided. */
function estimated(
  estimate: NonNullable<Blocked['estimate']>,
  direction: Direction,
  level: number,
  alone: number,
): Pick<MetricResult, 'effect' | 'interval' | 'mde'> {
  const { scale, delta } = estimate;
  const bounds = estimate.bounds(level);
  return {
    effect: finite(scale.toEffect(delta)),
    interval: [finite(scale.toEffect(bounds.low)), finite(scale.toEffect(bounds.high))],
    mde: detectableEffect(estimate, direction, alone, standardErrorOf(bounds, level)),
  };
}

interface TrendChange {
  readonly effect: number;
  /** The candidate ends on the bad side. */
  readonly worse: boolean;
  /** The difference at the end is beyond the margin, and certainly beyond nothing. */
  readonly relevant: boolean;
  readonly interval: readonly [number | null, number | null];
  readonly text: string;
}

function trendChange({ trend, scale, margin }: Assessment, direction: Direction, level: number): TrendChange | undefined {
  if (trend === undefined) return undefined;
  const sign = direction === 'lower' || (direction === 'either' && trend.pLarger <= trend.pSmaller) ? 1 : -1;
  const { low, high } = trend.endBounds(level);
  const show = (delta: number): string => formatEffect(scale.toEffect(delta), scale.unit);
  return {
    effect: scale.toEffect(trend.end),
    worse: sign * trend.end > 0,
    relevant: sign * trend.end >= scale.toDelta(margin, sign) && (sign > 0 ? low > 0 : high < 0),
    interval: [finite(scale.toEffect(low)), finite(scale.toEffect(high))],
    text: `${show(trend.end - trend.change)} at the start, ${show(trend.end)} [${show(low)}, ${show(high)}] at the end`,
  };
}

interface TailChange {
  readonly quantile: number;
  readonly effect: number;
  readonly interval: readonly [number | null, number | null];
  readonly relevant: boolean;
}

function tailChange(assessment: Assessment, direction: Direction, level: number): TailChange | undefined {
  const { tail, scale } = assessment;
  if (tail === undefined) return undefined;
  const upward = direction === 'lower' || (direction === 'either' && tail.pUpper <= tail.pLower);
  const sign = upward ? 1 : -1;
  const { quantile, delta, bounds } = upward ? tail.upper : tail.lower;
  const { low, high } = bounds(level);
  const least = scale.unit === 'relative' ? Math.max(TAIL_RELEVANCE, assessment.relevance) : assessment.margin;
  return {
    quantile,
    effect: scale.toEffect(delta),
    interval: [finite(scale.toEffect(low)), finite(scale.toEffect(high))],
    relevant: sign * delta >= scale.toDelta(least, sign) && sign * delta > 0,
  };
}

/** Tail and spread changes that are clear but did not fail: they warn. */
function shapeWarning(assessment: Assessment, p: MetricP, tail: TailChange | undefined, level: number): string | undefined {
  if (tail?.relevant === true && p.tail <= level)
    return `${quantileName(tail.quantile)} moved ${formatEffect(tail.effect, assessment.scale.unit)} (p ${p.tail.toPrecision(2)})`;
  const { spread } = assessment;
  if (spread !== undefined && spread.pValue <= level && spread.effect >= SPREAD_RELEVANCE) {
    return `spread grew by ${formatEffect(spread.effect, 'relative')} (p ${spread.pValue.toPrecision(2)})`;
  }
  return undefined;
}

function subTests(
  assessment: Assessment,
  p: MetricP,
  effect: number,
  tail: TailChange | undefined,
  drift: TrendChange | undefined,
  part: NonzeroChange | undefined,
): SubTest[] {
  const list: SubTest[] = [{ name: 'location', pValue: p.location, effect }];
  if (tail !== undefined)
    list.push({ name: 'tail', pValue: p.tail, effect: tail.effect, quantile: tail.quantile, interval: tail.interval });
  const { spread } = assessment;
  if (spread !== undefined && Number.isFinite(spread.effect))
    list.push({ name: 'spread', pValue: spread.pValue, effect: spread.effect });
  if (drift !== undefined) list.push({ name: 'trend', pValue: p.trend, effect: drift.effect, interval: drift.interval });
  if (part !== undefined) list.push({ name: 'nonzero', pValue: p.nonzero, effect: part.effect, interval: part.interval });
  return list;
}

function quantileName(quantile: number): string {
  return `p${Math.round(quantile * 100)
    .toString()
    .padStart(2, '0')}`;
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
