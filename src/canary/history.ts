import type { Finding } from '../core/finding.ts';
import { type Chart, type GateResult, gateResult, type LineChart, type Table } from '../core/gate.ts';
import { capitalised, compareText } from '../core/text.ts';
import { formatNumber, formatQuantity } from '../report/number.ts';
import { normalSf } from '../stats/distributions.ts';
import { cochranArmitage, mannKendall, theilSen } from '../stats/monotone-trend.ts';
import { holm } from '../stats/multiplicity.ts';
import { wilson } from '../stats/proportions.ts';
import type { Release, ReleaseMetric } from './history-reports.ts';
import { canaryFinding } from './rules.ts';
import { metricDefinition } from './run/metrics.ts';
import { effectRange, round } from './run/present.ts';

/** Fewest releases of a trend: of shares, which bring their counts; of other levels, whose order is all there is (1 / 5! = 0.8 %). */
const MIN_SHARES = 3;
const MIN_LEVELS = 5;
const ALPHA = 0.05;
const MAX_CHARTS = 12;
const SHARE_TREND = 'Cochran-Armitage';

/** A trend of one metric over the releases. */
interface Trend {
  readonly name: string;
  readonly releases: number;
  /** Change per release, in the metric's unit. */
  readonly slope: number;
  /** One-sided p that it gets worse (two-sided where either way is bad), and after Holm over the metrics. */
  readonly pWorse: number;
  readonly method: string;
}

/** What each release measured, oldest first, and what gets worse from one to the next. Pure. */
export function historyGate(releases: readonly Release[], skipped: number): GateResult {
  const names = [...new Set(releases.flatMap((release) => [...release.metrics.keys()]))].sort(labelsFirst);
  const trends = names.map((name) => trendOf(name, releases)).filter((trend) => trend !== undefined);
  const adjusted = holm(trends.map((trend) => trend.pWorse));
  const findings = trends.flatMap((trend, index) => (adjusted[index]! <= ALPHA ? [worseFinding(trend, adjusted[index]!)] : []));
  const untested = names.length - trends.length;
  return gateResult({
    id: 'canary',
    findings,
    measurements: trends.map((trend) => ({
      name: `canary.trend.${trend.name}`,
      value: round(trend.slope),
      unit: metricDefinition(trend.name).unit,
      method: trend.method,
      n: trend.releases,
    })),
    tables: [...releaseTables(names, releases, skipped), trendTable(names, trends, adjusted)],
    charts: names.slice(0, MAX_CHARTS).map((name) => chartOf(name, releases)),
    passReason: `Over ${releases.length} releases none of ${trends.length} metrics gets worse${untested === 0 ? '' : `; ${untested} are in too few of them to tell`}.`,
    inconclusive:
      trends.length > 0
        ? undefined
        : `${releases.length} ${releases.length === 1 ? 'release is' : 'releases are'} too few to tell a trend: shares need ${MIN_SHARES}, other metrics ${MIN_LEVELS}.`,
  });
}

/** Labels and costs first: what a run alone does not show. */
function labelsFirst(a: string, b: string): number {
  const rank = (name: string): number => (name.startsWith('label_') ? 0 : name.startsWith('cost_') ? 1 : 2);
  return rank(a) - rank(b) || compareText(a, b);
}

function series(name: string, releases: readonly Release[]): { index: number; metric: ReleaseMetric; level: number }[] {
  return releases.flatMap((release, index) => {
    const metric = release.metrics.get(name);
    return metric?.candidate === undefined ? [] : [{ index, metric, level: metric.candidate }];
  });
}

function trendOf(name: string, releases: readonly Release[]): Trend | undefined {
  const points = series(name, releases);
  const { direction } = metricDefinition(name);
  const worse = (up: number, down: number): number =>
    direction === 'lower' ? up : direction === 'higher' ? down : Math.min(1, 2 * Math.min(up, down));
  if (points.length >= MIN_SHARES && points.every(({ metric }) => metric.statistic === 'rate')) {
    const shares = points.map(({ metric, level }) => ({ events: Math.round(level * metric.n), trials: metric.n }));
    const trend = cochranArmitage(
      shares,
      points.map(({ index }) => index),
    );
    const { z, slope } = trend ?? { z: 0, slope: 0 };
    return { name, releases: points.length, slope, pWorse: worse(normalSf(z), normalSf(-z)), method: SHARE_TREND };
  }
  if (points.length < MIN_LEVELS) return undefined;
  const levels = points.map(({ level }) => level);
  const { pUp, pDown } = mannKendall(levels);
  return { name, releases: points.length, slope: theilSen(levels), pWorse: worse(pUp, pDown), method: 'Mann-Kendall, Theil-Sen' };
}

function worseFinding(trend: Trend, pAdjusted: number): Finding {
  const { title } = metricDefinition(trend.name);
  return canaryFinding('canary-trend-worse', {
    level: 'warning',
    blocking: false,
    message: `${capitalised(title)}: worse from release to release, ${slopeText(trend)} each over ${trend.releases} releases (p ${pAdjusted.toPrecision(2)}).`,
    evidence: { metric: trend.name, slope: round(trend.slope), releases: trend.releases, pAdjusted: round(pAdjusted) },
    subject: trend.name,
    fix: 'Each release may be within its margin of the one before: compare the newest with the oldest one that was good.',
  });
}

/** The change a release; of shares in percentage points. */
function slopeText({ name, slope, method }: Trend): string {
  const text = method === SHARE_TREND ? `${formatNumber(100 * slope)} pp` : formatQuantity(slope, metricDefinition(name).unit);
  return `${slope > 0 ? '+' : ''}${text}`;
}

/** Sources of an interval: counts of shares (Wilson, 95 %). */
function levelText({ statistic, candidate, n }: ReleaseMetric, unit: string): string {
  if (candidate === undefined) return '-';
  if (statistic !== 'rate') return formatQuantity(candidate, unit);
  const { low, high } = wilson(Math.round(candidate * n), n, 0.025);
  return `${formatNumber(100 * candidate)} % [${formatNumber(100 * low)}, ${formatNumber(100 * high)}]`;
}

function releaseTables(names: readonly string[], releases: readonly Release[], skipped: number): Table[] {
  return names.map((name, position) => {
    const { title, unit } = metricDefinition(name);
    return {
      title: `${capitalised(title)} by release`,
      columns: ['release', 'baseline', 'candidate', 'effect [interval]', 'n', 'verdict'],
      rows: releases.flatMap((release) => {
        const metric = release.metrics.get(name);
        if (metric === undefined) return [];
        const { baseline, statistic } = metric;
        return [
          [
            release.name,
            baseline === undefined
              ? '-'
              : statistic === 'rate'
                ? `${formatNumber(100 * baseline)} %`
                : formatQuantity(baseline, unit),
            levelText(metric, unit),
            effectRange(metric),
            String(metric.n),
            metric.verdict ?? '-',
          ],
        ];
      }),
      ...(position === 0 && skipped > 0 ? { note: `JSON files of the folder that are no reports of a canary: ${skipped}.` } : {}),
    };
  });
}

function trendTable(names: readonly string[], trends: readonly Trend[], adjusted: readonly number[]): Table {
  return {
    title: 'Trends over releases',
    columns: ['metric', 'releases', 'change a release', 'p that it gets worse', 'method'],
    rows: names.map((name) => {
      const index = trends.findIndex((trend) => trend.name === name);
      const trend = trends[index];
      const { title } = metricDefinition(name);
      return trend === undefined
        ? [title, '-', '-', '-', 'too few releases']
        : [title, String(trend.releases), slopeText(trend), adjusted[index]!.toPrecision(2), trend.method];
    }),
    note: `Of the candidate's level in each report; releases in order of their file names. p is corrected for the number of metrics (Holm) and warns from ${ALPHA}.`,
  };
}

function chartOf(name: string, releases: readonly Release[]): Chart {
  const { title, unit } = metricDefinition(name);
  const points = series(name, releases);
  const bands = points.flatMap(({ index, metric, level }) => {
    if (metric.statistic !== 'rate') return [];
    const { low, high } = wilson(Math.round(level * metric.n), metric.n, 0.025);
    return [[index + 1, low, high] as const];
  });
  const chart: LineChart = {
    kind: 'line',
    title: `${capitalised(title)} by release`,
    xLabel: 'release',
    yLabel: unit === '1' ? 'share or score' : unit.replace(/[{}]/g, ''),
    series: [
      { name: 'candidate', points: points.map(({ index, level }) => [index + 1, level] as const) },
      {
        name: 'baseline',
        points: points.flatMap(({ index, metric }) =>
          metric.baseline === undefined ? [] : [[index + 1, metric.baseline] as const],
        ),
      },
    ],
    ...(bands.length === points.length && bands.length > 0 ? { band: { name: '95 % interval', points: bands } } : {}),
    note: `1 is ${releases[0]!.name}, ${releases.length} is ${releases.at(-1)!.name}.`,
  };
  return chart;
}
