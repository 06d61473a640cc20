import type { LineChart } from '../core/gate.ts';
import { normalQuantile } from '../stats/distributions.ts';
import { DEFAULT_ALPHA } from './judge/defaults.ts';
import { nominalLevel } from './judge/error-control.ts';
import { judgeCase } from './judge/judge.ts';
import type { CaseInput, CaseResult, MetricInput, MetricResult } from './judge/types.ts';
import { armsOf, type JudgedMetric } from './judged-metrics.ts';
import { metricDefinition } from './run/metrics.ts';

/** Looks that are computed again for the picture. */
const MAX_DRAWN_LOOKS = 20;

/** Statistics beyond these are drawn at them: nothing is decided there. */
const [LEAST, MOST] = [-2, 12];

/**
 * The statistic of each metric at each look (the normal quantile of its p that the candidate is worse) against the boundary that spends
 * the error over all looks and metrics. The looks before this one are computed from the first part of the points, in order of time.
 * Nothing when the data was judged once.
 */
export function sequentialChart(metrics: readonly JudgedMetric[], input: CaseInput, judged: CaseResult): LineChart[] {
  const { looks } = judged;
  if (looks <= 1 || metrics.length === 0) return [];
  const drawn = Math.min(looks, MAX_DRAWN_LOOKS);
  const at = Array.from({ length: drawn }, (_, i) => Math.round(((i + 1) * looks) / drawn));
  const level = (input.alpha ?? DEFAULT_ALPHA) / Math.max(1, judged.family.size);
  const series = metrics.flatMap((metric) => {
    const points = statisticByLook(metric.input, input, at, looks);
    return points.length === 0 ? [] : [{ name: shortName(metric.result), points }];
  });
  if (series.length === 0) return [];
  const size = Math.min(...metrics.map(({ result }) => Math.min(...result.nEff)));
  const boundary = at.map(
    (look) => [look, round(-normalQuantile(nominalLevel(level, looks, Math.max(1, (size * look) / looks))))] as const,
  );
  return [
    {
      kind: 'line',
      title: 'Sequential boundary: evidence that the candidate is worse, by look',
      xLabel: 'look',
      yLabel: 'statistic (normal quantile of the p-value)',
      fitY: true,
      ...(boundary.every(([, z]) => z === boundary[0]![1])
        ? { series, limits: [{ name: 'boundary', value: boundary[0]![1] }] }
        : { series: [{ name: 'boundary', points: boundary }, ...series] }),
      note: `A metric whose line reaches the boundary is certainly worse, whatever the number of looks up to ${looks}; it fails when the change matters as well. Looks before the last are computed from the points in order of time, equally many a look. The boundary is that of the first metric of ${judged.family.size} (Holm).`,
    },
  ];
}

/** The segment first: a legend has room for little more. */
function shortName(metric: MetricResult): string {
  const { title } = metricDefinition(metric.name);
  return metric.segment === undefined ? title : `${metric.segment}: ${title}`;
}

function statisticByLook(
  metric: MetricInput,
  input: CaseInput,
  at: readonly number[],
  looks: number,
): (readonly [number, number])[] {
  const arms = armsOf(metric, input.design);
  // Values that come sorted have no order of time to cut at.
  if (!arms.ordered) return [];
  const part = (values: Float64Array, look: number): Float64Array =>
    values.subarray(0, Math.floor((values.length * look) / looks));
  return at.flatMap((look) => {
    const { times: _times, cumulative: _cumulative, ...rest } = metric;
    const times = [part(arms.times[0], look), ...(input.design === 'paired' ? [] : [part(arms.times[1], look)])];
    const { metrics } = judgeCase({
      id: 'look',
      design: input.design,
      looks,
      metrics: [
        {
          ...rest,
          baseline: part(arms.baseline, look),
          candidate: part(arms.candidate, look),
          ...(metric.times === undefined ? {} : { times: times.flatMap((values) => [...values]) }),
        },
      ],
    });
    const p = metrics[0]?.pValue;
    return p === undefined ? [] : [[look, round(Math.max(LEAST, Math.min(MOST, -normalQuantile(p))))] as const];
  });
}

function round(value: number): number {
  return Number(value.toPrecision(5));
}
