import type { Table } from '../../core/gate.ts';
import type { Json } from '../../core/json.ts';
import { formatNumber } from '../../report/number.ts';
import type { CaseResult, MetricResult, PooledResult } from '../judge/types.ts';
import { effectText, heading, round } from './present.ts';

/** What each metric did over all of its segments, and whether they agree. Undefined when no metric has two. */
export function pooledTable(judged: CaseResult): Table | undefined {
  const pooled = judged.pooled ?? [];
  if (pooled.length === 0) return undefined;
  const tested = pooled.some((pool) => pool.verdict !== undefined);
  const own = (pool: PooledResult): MetricResult | undefined => judged.metrics.find((metric) => metric.name === pool.name);
  const columns: readonly (readonly [string, (pool: PooledResult) => string])[] = [
    ['Metric', ({ name }) => heading({ name })],
    ['Segments', ({ segments }) => String(segments.length)],
    ['Common effect [interval]', (pool) => rangeText(pool, pool.effect, pool.interval, own(pool))],
    ['If they differ [interval]', (pool) => rangeText(pool, pool.random.effect, pool.random.interval, own(pool))],
    ...(tested ? [['Verdict', ({ verdict }: PooledResult) => verdict ?? '-'] as const] : []),
    ['I²', ({ heterogeneity }) => `${(100 * heterogeneity.iSquared).toFixed(0)} %`],
    ['Q (df)', ({ heterogeneity: { q, df } }) => `${formatNumber(Number(q.toPrecision(3)))} (${df})`],
    ['p', ({ heterogeneity }) => heterogeneity.pValue.toPrecision(2)],
  ];
  return {
    title: 'Across segments',
    columns: columns.map(([name]) => name),
    rows: pooled.map((pool) => columns.map(([, cell]) => cell(pool))),
    note: 'Mean of the segments by inverse variance. I²: share of the variation between segments that chance does not explain; Q: Cochran’s statistic, and p that segments of one effect differ this much. The second interval is for segments that truly differ (random effects).',
  };
}

/** As an effect of the metric table, in the same unit. */
function rangeText(
  pool: PooledResult,
  effect: number,
  interval: PooledResult['interval'],
  metric: MetricResult | undefined,
): string {
  return metric === undefined ? '-' : effectText({ ...metric, effect, effectUnit: pool.effectUnit, interval });
}

/** What the segments show together, in one sentence. */
export function pooledText({ name, verdict, reason }: PooledResult): string {
  return `${heading({ name })} over all segments${verdict === 'fail' ? ' is' : ':'} ${reason}.`;
}

export function pooledEvidence({ name, effect, effectUnit, interval, margin, heterogeneity, segments }: PooledResult): Json {
  return {
    metric: name,
    effect: round(effect),
    effectUnit,
    interval: interval.map(round),
    margin,
    q: round(heterogeneity.q),
    df: heterogeneity.df,
    pValue: round(heterogeneity.pValue),
    iSquared: round(heterogeneity.iSquared),
    segments: segments.map(({ segment, weight }) => ({ segment, weight: round(weight) })),
  };
}
