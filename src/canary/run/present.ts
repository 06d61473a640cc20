import type { Measurement } from '../../core/gate.ts';
import type { Json } from '../../core/json.ts';
import { capitalised } from '../../core/text.ts';
import type { CaseResult, MetricResult } from '../judge/types.ts';
import { metricDefinition } from './metrics.ts';

export function label(metric: { readonly name: string; readonly segment?: string }): string {
  return `${metricDefinition(metric.name).title}${metric.segment === undefined ? '' : ` in segment ${metric.segment}`}`;
}

/** `+0.61 nat/{token} [0.52, 0.70] (perplexity +84 %)` */
export function effectText(metric: MetricResult): string {
  if (metric.effect === null) return 'no effect could be estimated';
  const [low, high] = metric.interval;
  const text = `${amount(metric.effect, metric)} [${low === null ? '-∞' : amount(low, metric)}, ${high === null ? '∞' : amount(high, metric)}]`;
  return metric.name === 'nll' && metric.effectUnit === 'absolute'
    ? `${text}, perplexity ${percent(Math.expm1(metric.effect))}`
    : text;
}

/** As `label`, for the start of a sentence: a name of someone else's stays as it is. */
export function heading(metric: { readonly name: string; readonly segment?: string }): string {
  return metricDefinition(metric.name).title === metric.name ? label(metric) : capitalised(label(metric));
}

/** The effect without its interval; of a likelihood as a change of perplexity. */
export function shortEffect(metric: MetricResult): string {
  if (metric.effect === null) return '-';
  return metric.name === 'nll' && metric.effectUnit === 'absolute'
    ? percent(Math.expm1(metric.effect))
    : amount(metric.effect, metric);
}

/** How the judge begins what a tail, or the values that are not zero, did. */
export const TAIL = 'tail is worse: ';
const NONZERO = 'worse where it is not zero';

/** What is worse, in one sentence: the centre by how much against which limit, or the tail that the centre hides. */
export function regressionText(metric: MetricResult): string {
  const what = heading(metric);
  if (metric.noData !== undefined) return `${what} has no data: ${metric.reason}.`;
  if (metric.reason.startsWith('gets worse')) return `${what} ${metric.reason}.`;
  const is = /^(answer checks|answers|tokens) /i.test(metricDefinition(metric.name).title) ? 'are' : 'is';
  if (metric.reason.startsWith(NONZERO)) return `${what} ${is} ${metric.reason}.`;
  return metric.reason.startsWith(TAIL)
    ? `${what} ${is} worse in ${is === 'are' ? 'their' : 'its'} tail: ${metric.reason.slice(TAIL.length)}.`
    : `${what} ${is} worse: ${effectText(metric)}; ${limitText(metric)}.`;
}

/** What a change must stay below: a given margin; without one, the smallest change that matters once it is certain. */
function limitText(metric: MetricResult): string {
  const bare = (value: number): string => amount(value, metric).replace(/^\+/, '');
  return metric.relevance < metric.margin
    ? `certain changes from ${bare(metric.relevance)} on count (no margin was given)`
    : `margin ${bare(metric.margin)}`;
}

function amount(value: number, metric: MetricResult): string {
  if (metric.effectUnit === 'relative') return percent(value);
  if (metric.arms?.statistic === 'rate') return `${percent(value).replace(' %', ' pp')}`;
  const unit = metricDefinition(metric.name).unit;
  return `${value >= 0 ? '+' : ''}${Number(value.toPrecision(3))}${unit === '1' ? '' : ` ${unit.replace(/[{}]/g, '')}`}`;
}

function percent(value: number): string {
  return `${value >= 0 ? '+' : ''}${(100 * value).toFixed(1)} %`;
}

/** What a finding on a metric carries as evidence; numbers to six digits. */
export function evidenceOf(metric: MetricResult): Json {
  return {
    metric: metric.name,
    ...(metric.segment === undefined ? {} : { segment: metric.segment }),
    effect: metric.effect === null ? null : round(metric.effect),
    effectUnit: metric.effectUnit,
    interval: metric.interval.map((bound) => (bound === null ? null : round(bound))),
    margin: metric.margin,
    ...(metric.arms === undefined
      ? {}
      : { [metric.arms.statistic]: [metric.arms.baseline, metric.arms.candidate].map((v) => (v === null ? null : round(v))) }),
    method: metric.method,
    n: [...metric.n],
    ...(metric.pAdjusted === undefined ? {} : { pAdjusted: round(metric.pAdjusted) }),
    ...(metric.mde === null ? {} : { minimumDetectableEffect: round(metric.mde) }),
  };
}

export function measurements(judged: CaseResult, noise: CaseResult | undefined): Measurement[] {
  return [
    ...judged.metrics.map((metric) => measurement(metric, `canary.${metric.name}`)),
    ...judged.metrics.filter((metric) => metric.segment === undefined).map(levelMeasurement),
    ...(noise?.metrics
      .filter((metric) => metric.segment === undefined)
      .map((metric) => measurement(metric, `canary.noise.${metric.name}`)) ?? []),
  ].filter((m) => m !== undefined);
}

/** What both arms measured, in the metric's unit: for the history over releases. */
function levelMeasurement(metric: MetricResult): Measurement | undefined {
  const { baseline, candidate, statistic } = metric.arms ?? { baseline: null, candidate: null, statistic: 'median' };
  if (candidate === null) return undefined;
  return {
    name: `canary.level.${metric.name}`,
    value: round(candidate),
    unit: metricDefinition(metric.name).unit,
    ...(baseline === null ? {} : { baseline: round(baseline) }),
    candidate: round(candidate),
    verdict: metric.verdict,
    method: statistic,
    n: metric.n[1],
  };
}

/** An effect with its interval, of a report that was read back. */
export function effectRange(metric: {
  readonly effect: number | undefined;
  readonly effectUnit: 'relative' | 'absolute';
  readonly interval: readonly [number, number] | undefined;
}): string {
  const { effect, effectUnit, interval } = metric;
  if (effect === undefined) return '-';
  const relative = effectUnit === 'relative';
  const show = (value: number): string => {
    if (!Number.isFinite(value)) return value < 0 ? '-∞' : '∞';
    return relative ? percent(value) : `${value >= 0 ? '+' : ''}${Number(value.toPrecision(3))}`;
  };
  return `${show(effect)}${interval === undefined ? '' : ` [${interval.map(show).join(', ')}]`}`;
}

function measurement(metric: MetricResult, name: string): Measurement | undefined {
  if (metric.effect === null) return undefined;
  const [low, high] = metric.interval;
  return {
    name,
    value: round(metric.effect),
    unit: metric.effectUnit === 'relative' ? '1' : metricDefinition(metric.name).unit,
    ...(metric.segment === undefined ? {} : { segment: metric.segment }),
    interval: [low === null ? Number.NEGATIVE_INFINITY : round(low), high === null ? Number.POSITIVE_INFINITY : round(high)],
    margin: metric.margin,
    ...(metric.mde === null ? {} : { mde: round(metric.mde) }),
    verdict: metric.verdict,
    method: metric.method,
    n: Math.min(...metric.n),
  };
}

/** Six significant digits: enough for people, and the same bytes on every platform. */
export function round(value: number): number {
  return Number(value.toPrecision(6));
}
