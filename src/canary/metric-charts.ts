import type { Chart, ForestChart, LineChart } from '../core/gate.ts';
import { quantileDifference } from '../stats/quantile-difference.ts';
import { sortedCopy } from '../stats/ranks.ts';
import type { Arms } from './judge/arms.ts';
import type { CaseInput, CaseResult, Direction, MetricResult } from './judge/types.ts';
import { armsOf, judgedMetrics } from './judged-metrics.ts';
import { decidingFirst } from './run/metric-table.ts';
import { metricDefinition } from './run/metrics.ts';
import { label, TAIL } from './run/present.ts';
import { sequentialChart } from './sequential-chart.ts';

/** Metrics whose distributions are drawn, and metrics whose segments are. */
const MAX_DISTRIBUTIONS = 6;
/** So many are drawn where fewer decide. */
const MIN_DISTRIBUTIONS = 2;
const MAX_SEGMENTED = 3;

/** Points of a drawn distribution: more can't be seen. */
const MAX_STEPS = 200;

/** Two-sided level of the quantile charts' band: 0.95. */
const BAND_TAIL = 0.025;

/** Quantiles whose interval is so many times wider than the median one are left out. */
const MAX_WIDTH = 4;

/** Quantiles of the quantile charts. */
const QUANTILES = [...Array.from({ length: 49 }, (_, i) => (i + 1) / 50), 0.99];

/** Ratio of largest to smallest value from which a distribution is drawn on a logarithmic axis. */
const LOG_AXIS_FROM = 30;

/** Effects against their margins: a forest plot over the metrics, and one for each metric that has segments. */
export function forestCharts(judged: CaseResult): Chart[] {
  const metrics = decidingFirst(judged.metrics);
  const charts: Chart[] = [];
  const names = [...new Set(metrics.flatMap((metric) => (metric.segment === undefined ? [] : [metric.name])))];
  for (const name of names.slice(0, MAX_SEGMENTED)) {
    const rows = judged.metrics.filter((metric) => metric.name === name && metric.effect !== null);
    const [first] = rows;
    // One axis holds one unit.
    if (first === undefined || rows.some((metric) => metric.effectUnit !== first.effectUnit)) continue;
    charts.push({
      kind: 'forest',
      title: `Segments: change of ${metricDefinition(name).title}`,
      xLabel: axisOfChange(first),
      reference: 0,
      margin: drawn(first.margin, first),
      rows: [...rows.map((metric) => forestRow(metric, metric.segment ?? 'all')), ...pooledRow(judged, first)],
    });
  }
  const relative = metrics.filter(
    (metric) => metric.effectUnit === 'relative' && metric.effect !== null && metric.segment === undefined,
  );
  if (relative.length > 0)
    charts.push({
      kind: 'forest',
      title: 'Metrics: relative change',
      xLabel: RELATIVE_AXIS,
      reference: 0,
      rows: relative.map((metric) => forestRow(metric, metricDefinition(metric.name).title)),
    });
  return charts;
}

/** All segments together, where the case has no verdict of the whole. */
function pooledRow(judged: CaseResult, metric: MetricResult): ForestChart['rows'] {
  const pool = judged.pooled?.find((one) => one.name === metric.name && one.effectUnit === metric.effectUnit);
  if (pool?.verdict === undefined) return [];
  const [effect, low, high] = [pool.effect, ...pool.interval].map((value) => drawn(value, metric)) as [number, number, number];
  const share = (100 * pool.heterogeneity.iSquared).toFixed(0);
  return [{ label: `pooled, I² ${share} %`, effect, low, high, verdict: pool.verdict }];
}

function forestRow(metric: MetricResult, name: string): ForestChart['rows'][number] {
  const [low, high] = metric.interval;
  return {
    // The centre is drawn: a row that fails by its tail would look like a mistake.
    label: metric.verdict === 'fail' && metric.reason.startsWith(TAIL) ? `${name} (tail)` : name,
    effect: drawn(metric.effect!, metric),
    low: low === null ? Number.NEGATIVE_INFINITY : drawn(low, metric),
    high: high === null ? Number.POSITIVE_INFINITY : drawn(high, metric),
    verdict: metric.verdict,
  };
}

const RELATIVE_AXIS = 'relative change of the candidate, %';

/** An effect as the tables show it: ratios and rates in hundredths. */
function drawn(value: number, metric: MetricResult): number {
  const hundredths = metric.effectUnit === 'relative' || metric.arms?.statistic === 'rate';
  return Number((hundredths ? 100 * value : value).toPrecision(4));
}

function axisOfChange(metric: MetricResult): string {
  if (metric.effectUnit === 'relative') return RELATIVE_AXIS;
  if (metric.arms?.statistic === 'rate') return 'difference of rates, percentage points';
  return `change, ${metricDefinition(metric.name).unit.replace(/[{}]/g, '')}`;
}

/** For the metrics that decide first: both distributions, the change by quantile, and where the run was looked at repeatedly its boundary. */
export function distributionCharts(input: CaseInput, judged: CaseResult): Chart[] {
  const metrics = judgedMetrics(input, judged);
  const open = metrics.filter(({ result }) => result.verdict !== 'pass').length;
  const drawn = metrics
    .filter((metric) => metric.input.kind === 'continuous' || metric.input.cumulative === true)
    .map((metric) => ({ ...metric, arms: armsOf(metric.input, input.design) }))
    .filter(({ arms }) => varies(arms.baseline) && varies(arms.candidate))
    .slice(0, Math.min(MAX_DISTRIBUTIONS, Math.max(open, MIN_DISTRIBUTIONS)));
  return [
    ...sequentialChart(metrics.slice(0, MAX_DISTRIBUTIONS), input, judged),
    ...drawn.flatMap((metric) => [
      ecdfChart(metric.result, metric.arms),
      ...quantileChart(metric.result, metric.arms, metric.input.direction),
    ]),
  ];
}

function varies(values: Float64Array): boolean {
  return values.some((value) => value !== values[0]);
}

function unitOf(metric: MetricResult): string {
  const { unit } = metricDefinition(metric.name);
  return unit === '1' ? metric.name : unit.replace(/[{}]/g, '');
}

function ecdfChart(metric: MetricResult, { baseline, candidate }: Arms): Chart {
  const sorted = [sortedCopy(baseline), sortedCopy(candidate)] as const;
  const least = Math.min(sorted[0][0]!, sorted[1][0]!);
  const most = Math.max(sorted[0].at(-1)!, sorted[1].at(-1)!);
  return {
    kind: 'line',
    title: `Distribution of the ${label(metric)}`,
    xLabel: unitOf(metric),
    yLabel: metric.arms?.statistic === 'mean' ? 'share of intervals' : 'share of samples',
    yMax: 1,
    logX: least > 0 && most / least > LOG_AXIS_FROM,
    series: [
      { name: 'baseline', points: ecdf(sorted[0]), step: true },
      { name: 'candidate', points: ecdf(sorted[1]), step: true },
    ],
  };
}

/** Empirical distribution function of an ascending array, at most MAX_STEPS steps; the ends are always there. */
function ecdf(sorted: Float64Array): (readonly [number, number])[] {
  const every = Math.max(1, Math.ceil(sorted.length / MAX_STEPS));
  const points: (readonly [number, number])[] = [];
  sorted.forEach((value, index) => {
    if ((index + 1) % every === 0 || index === 0 || index === sorted.length - 1)
      points.push([Number(value.toPrecision(6)), Number(((index + 1) / sorted.length).toPrecision(6))]);
  });
  return points;
}

/**
 * Candidate over baseline at each quantile (their difference where a ratio has no meaning), with a pointwise 95 % band from order
 * statistics (Woodruff 1952), widened for serial dependence. Quantiles that the samples are too few to bound are left out.
 */
function quantileChart(metric: MetricResult, { baseline, candidate }: Arms, direction: Direction): LineChart[] {
  const ratio = metric.effectUnit === 'relative' && baseline.every((value) => value > 0) && candidate.every((value) => value > 0);
  const scale = (values: Float64Array): Float64Array => sortedCopy(ratio ? values.map(Math.log) : values);
  const [x, y] = [scale(baseline), scale(candidate)];
  const back = (value: number): number => Number((ratio ? Math.exp(value) : value).toPrecision(6));
  const inflation = Math.max(1, metric.dependence?.blockLength ?? 1);
  const bounded = QUANTILES.map((q) => ({ q, ...quantileDifference(x, y, q, BAND_TAIL, inflation) })).filter(
    ({ low, high }) => Number.isFinite(low) && Number.isFinite(high),
  );
  // One outlier at an end would stretch the axis until nothing else could be seen.
  const widths = Float64Array.from(bounded, ({ low, high }) => high - low).sort();
  const widest = MAX_WIDTH * (widths[widths.length >> 1] ?? 0);
  const points = bounded.filter(({ low, high }) => high - low <= widest);
  if (points.length < 3) return [];
  const margins = metric.effectUnit === 'relative' && !ratio ? [] : marginLines(metric.margin, ratio, direction);
  return [
    {
      kind: 'line',
      title: `Quantile ${ratio ? 'ratio' : 'difference'} of the ${label(metric)}`,
      xLabel: 'quantile',
      yLabel: ratio ? 'candidate / baseline' : `candidate - baseline, ${unitOf(metric)}`,
      fitY: true,
      series: [
        {
          name: ratio ? 'ratio of quantiles' : 'difference of quantiles',
          points: points.map(({ q, estimate }) => [q, back(estimate)]),
        },
      ],
      band: { name: '95 % band', points: points.map(({ q, low, high }) => [q, back(low), back(high)]) },
      limits: [{ name: 'no change', value: ratio ? 1 : 0, quiet: true }, ...margins],
      note: `The area is the 95 % interval of each quantile by itself (order statistics${inflation > 1 ? ', widened for dependence in time' : ''}). A tail that is worse bends away at the right.`,
    },
  ];
}

/** The margin, on the side or sides that are harm. */
function marginLines(margin: number, ratio: boolean, direction: Direction): { name: string; value: number }[] {
  const sides = direction === 'lower' ? [1] : direction === 'higher' ? [-1] : [1, -1];
  return sides.map((side) => ({ name: 'margin', value: (ratio ? 1 : 0) + side * margin }));
}
