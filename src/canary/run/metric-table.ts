import type { Table } from '../../core/gate.ts';
import { capitalised } from '../../core/text.ts';
import { formatNumber, unitName } from '../../report/number.ts';
import { MIN_POINTS } from '../judge/defaults.ts';
import type { CaseResult, MetricResult } from '../judge/types.ts';
import { metricDefinition } from './metrics.ts';
import { effectText, heading, regressionText } from './present.ts';

const RANK: Readonly<Record<MetricResult['verdict'], number>> = { error: 0, fail: 1, inconclusive: 2, warn: 3, pass: 4 };

/** What decides comes first; among equals the order of the case. */
export function decidingFirst(metrics: readonly MetricResult[]): readonly MetricResult[] {
  return [...metrics].sort((a, b) => RANK[a.verdict] - RANK[b.verdict]);
}

/**
 * The table of a judged case: what both arms measured, the effect with its interval against the margin, the verdict, what the run could
 * have seen; below it one sentence for each row that does not pass.
 * @param pairedBy what joins two samples of a paired case
 */
export function metricTable(judged: CaseResult, pairedBy: string): Table {
  const metrics = decidingFirst(judged.metrics);
  const segments = metrics.some((metric) => metric.segment !== undefined);
  const open = metrics.filter((metric) => metric.verdict !== 'pass');
  const columns: readonly (readonly [string, (metric: MetricResult) => string])[] = [
    ['Metric', metricCell],
    ...(segments ? [['Segment', (metric: MetricResult) => metric.segment ?? 'all'] as const] : []),
    ['Baseline', (metric) => armText(metric, 'baseline')],
    ['Candidate', (metric) => armText(metric, 'candidate')],
    ['Effect [interval]', effectCell],
    ['Margin', (metric) => size(metric.margin, metric)],
    ['Verdict', (metric) => metric.verdict],
    ['Smallest detectable', detectable],
    ['n (n eff)', samplesCell],
  ];
  const design =
    judged.design === 'paired' ? `, paired by ${pairedBy}` : judged.design === 'unpaired' ? ', as two series (not paired)' : '';
  const points = metrics.some((metric) => suffix(metric).endsWith('pp')) ? ' pp: percentage points.' : '';
  const few = metrics.some(tooFew)
    ? ` n < ${MIN_POINTS}: too few points to tell their noise, and with it what could be found.`
    : '';
  const which = judged.look === undefined ? '' : ` (this is look ${judged.look})`;
  const looks = judged.looks > 1 ? ` and ${judged.looks} looks${which}` : '';
  return {
    title: 'Canary metrics',
    columns: columns.map(([name]) => name),
    rows: metrics.map((metric) => columns.map(([, cell]) => cell(metric))),
    details: open.map(sentence),
    fold: { from: open.length, what: 'pass' },
    note: `Candidate against baseline${design}; median, rate or mean of each arm. The chance of a false fail is at most ${formatNumber(judged.alpha)} over all ${judged.family.size} tests${looks} (${capitalised(judged.family.method)}). ${intervalText(metrics)}Smallest detectable: the true change of one metric that 4 of 5 such runs tell from none; below a margin that was given it does not fail.${few}${points}${directionText(metrics)}`,
  };
}

/** Which way was taken for better: the names of samples do not say it for certain. */
function directionText(metrics: readonly MetricResult[]): string {
  const named = (direction: MetricResult['direction']): string =>
    [...new Set(metrics.flatMap((metric) => (metric.direction === direction ? [metricDefinition(metric.name).title] : [])))].join(
      ', ',
    );
  const [higher, either] = [named('higher'), named('either')];
  const others = metrics.some(({ direction }) => direction === 'lower');
  return [
    ...(higher === '' ? [] : [` Higher is better for ${higher}.`]),
    ...(either === '' ? [] : [` Any change counts for ${either}.`]),
    ...(others ? [` Lower is better${higher === '' && either === '' ? '' : ' for the others'}.`] : []),
  ].join('');
}

/** The share of runs whose interval holds the true change: metrics whose tails are tested as well have wider ones. */
function intervalText(metrics: readonly MetricResult[]): string {
  const levels = metrics.flatMap(({ effect, intervalLevel }) => (effect === null || intervalLevel <= 0 ? [] : [intervalLevel]));
  if (levels.length === 0) return '';
  const [least, most] = [Math.min(...levels), Math.max(...levels)].map((level) => (100 * level).toFixed(0));
  return `Intervals: ${least === most ? least : `${least} to ${most}`} %, each metric by itself. `;
}

/** Why a row is not a pass, with the samples that would decide it. */
function sentence(metric: MetricResult): string {
  if (metric.verdict === 'fail') return regressionText(metric);
  const needed =
    metric.samplesNeeded === undefined || metric.reason.includes(`about ${metric.samplesNeeded} points`)
      ? ''
      : `; about ${metric.samplesNeeded} points an arm are needed`;
  // The judge knows no units.
  const reason = metric.reason.replace(
    /^change .+? does not rule out [^;]+/,
    () => `the change of ${effectText(metric)} does not rule out the margin of ${size(metric.margin, metric)}`,
  );
  return `${heading(metric)}: ${reason}${needed}.`;
}

function armText(metric: MetricResult, arm: 'baseline' | 'candidate'): string {
  const value = metric.arms?.[arm];
  if (value === undefined || value === null) return 'no data';
  if (metric.arms!.statistic === 'rate') return `${formatNumber(Number((100 * value).toPrecision(3)))} %`;
  const unit = shortUnit(metric);
  return `${formatNumber(Number(value.toPrecision(3)))}${unit === '' ? '' : ` ${unit}`}`;
}

/** A unit that fits beside a number (`ms`); longer ones go with the metric's name. */
function shortUnit(metric: MetricResult): string {
  const unit = unitName(metricDefinition(metric.name).unit);
  return unit.length <= 3 ? unit : '';
}

function metricCell(metric: MetricResult): string {
  const { title, unit } = metricDefinition(metric.name);
  return unitName(unit) === shortUnit(metric) ? title : `${title} (${unitName(unit)})`;
}

/** `+12.3 % [10.1, 14.2]`: relative in percent, rates in percentage points, anything else in the metric's own unit. */
function effectCell(metric: MetricResult): string {
  if (metric.effect === null) return '-';
  const sign = metric.effect >= 0 ? '+' : '';
  const one = (value: number): string =>
    inHundreds(metric) && Math.abs(value) < 1 ? (100 * value).toFixed(1) : number(value, metric);
  // Two digits of a bound say as much as it knows.
  const bound = (value: number): string => (inHundreds(metric) ? one(value) : formatNumber(Number(value.toPrecision(2))));
  const [low, high] = metric.interval.map((end, at) => (end === null ? (at === 0 ? '-∞' : '∞') : bound(end)));
  return `${sign}${one(metric.effect)}${suffix(metric)} [${low},\u00a0${high}]`;
}

function size(value: number, metric: MetricResult): string {
  return `${number(value, metric)}${suffix(metric)}`;
}

/** Too few points of a continuous metric to know their noise. */
function tooFew(metric: MetricResult): boolean {
  return (
    metric.mde === null &&
    metric.noData === undefined &&
    metric.arms?.statistic === 'median' &&
    Math.min(...metric.n) < MIN_POINTS
  );
}

/** The smallest effect that the run could find, or why there is none to name. */
function detectable(metric: MetricResult): string {
  if (metric.mde !== null) return size(metric.mde, metric);
  if (metric.noData !== undefined) return 'no data';
  if (tooFew(metric)) return `n < ${MIN_POINTS}`;
  return metric.effect === null ? '-' : 'unbounded';
}

function inHundreds(metric: MetricResult): boolean {
  return metric.effectUnit === 'relative' || metric.arms?.statistic === 'rate';
}

function suffix(metric: MetricResult): string {
  return metric.effectUnit === 'relative' ? '\u00a0%' : inHundreds(metric) ? '\u00a0pp' : '';
}

function number(value: number, metric: MetricResult): string {
  const scaled = inHundreds(metric) ? 100 * value : value;
  if (!inHundreds(metric)) return formatNumber(Number(scaled.toPrecision(3)));
  return formatNumber(Number(Math.abs(scaled) >= 100 ? scaled.toFixed(0) : scaled.toFixed(1)));
}

/** `60 (12)`: points of the smaller arm and how many independent ones they are worth; what is needed, where that is more. */
function samplesCell(metric: MetricResult): string {
  const n = Math.min(...metric.n);
  const effective = Math.min(...metric.nEff);
  const worth = effective < n * 0.995 ? ` (${formatNumber(Number(effective.toPrecision(2)))})` : '';
  const needed = metric.verdict === 'inconclusive' ? metric.samplesNeeded : undefined;
  return `${n}${worth}${needed === undefined ? '' : `, needs ${formatNumber(needed)}`}`;
}
