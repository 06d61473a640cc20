import type { LineChart } from '../core/gate.ts';
import { append } from '../core/multimap.ts';
import { normalQuantile } from '../stats/distributions.ts';
import { DEFAULT_ALPHA } from './judge/defaults.ts';
import { nominalLevel, planLooks, pointsBeforeStop } from './judge/error-control.ts';
import { judgeCase } from './judge/judge.ts';
import type { CaseInput, CaseResult, MetricInput, MetricKind, MetricResult } from './judge/types.ts';
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
  const now = judged.look ?? looks;
  const drawn = Math.min(now, MAX_DRAWN_LOOKS);
  const at = Array.from({ length: drawn }, (_, i) => Math.round(((i + 1) * now) / drawn));
  const series = metrics.flatMap((metric) => {
    const points = statisticByLook(metric.input, input, at, looks, now);
    return points.length === 0 ? [] : [{ name: shortName(metric.result), points }];
  });
  if (series.length === 0) return [];
  const boundaries = boundariesOf(metrics, input, judged, at, now);
  const level = boundaries.length === 1 ? levelOf(boundaries[0]!.points) : undefined;
  return [
    {
      kind: 'line',
      title: 'Sequential boundary: evidence that the candidate is worse, by look',
      xLabel: 'look',
      yLabel: 'statistic (normal quantile of the p-value)',
      fitY: true,
      ...(level === undefined
        ? { series: [...boundaries, ...series] }
        : { series, limits: [{ name: 'boundary', value: level }] }),
      note: `A metric whose line reaches the boundary is certainly worse, whatever the number of looks up to ${looks}; it fails when the change matters as well. Looks before this one are computed from the points in order of time, equally many a look. The boundary is that of the first metric of ${judged.family.size} (Holm).`,
    },
  ];
}

interface Boundary {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

/** One boundary, or two where counts and rates may stop before the other metrics can. It starts at the first look that can stop. */
function boundariesOf(
  metrics: readonly JudgedMetric[],
  input: CaseInput,
  { looks, look: current, family }: CaseResult,
  at: readonly number[],
  now: number,
): Boundary[] {
  const alpha = input.alpha ?? DEFAULT_ALPHA;
  const size = Math.min(...metrics.map(({ result }) => Math.min(...result.nEff)));
  const longest = Math.max(...metrics.map(({ result }) => Math.min(...result.n)));
  const kinds = new Map<number, MetricKind[]>();
  for (const { input: metric } of metrics) {
    const points = pointsBeforeStop(metric.kind, input.design, looks);
    append(kinds, points, metric.kind);
  }
  return [...kinds].map(([fewest, [kind]]) => ({
    name: kinds.size > 1 && kind !== 'continuous' ? 'boundary (counts, rates)' : 'boundary',
    points: at.flatMap((look) => {
      const plan = planLooks(looks, current === undefined ? undefined : look, alpha, fewest, (longest * look) / now);
      if (plan.look !== undefined && (longest * look) / now < fewest - 0.5) return [];
      const nominal = nominalLevel(alpha / Math.max(1, family.size), plan, Math.max(1, (size * look) / now));
      return [[look, round(-normalQuantile(nominal))] as const];
    }),
  }));
}

/** The value of a boundary that is the same at every look. */
function levelOf(points: Boundary['points']): number | undefined {
  const [first] = points;
  return first !== undefined && points.every(([, z]) => z === first[1]) ? first[1] : undefined;
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
  now: number,
): (readonly [number, number])[] {
  const arms = armsOf(metric, input.design);
  // Values that come sorted have no order of time to cut at.
  if (!arms.ordered) return [];
  const part = (values: Float64Array, look: number): Float64Array => values.subarray(0, Math.floor((values.length * look) / now));
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
