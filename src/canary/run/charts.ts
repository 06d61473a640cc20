import type { Chart } from '../../core/gate.ts';
import type { CanaryProfileDocument } from '../../generated/schemas.ts';
import type { CaseResult } from '../judge/types.ts';
import { joinPairs } from './case.ts';
import type { ExpertReport } from './experts.ts';
import { metricDefinition } from './metrics.ts';
import type { CanaryPoint } from './points.ts';

/** The pictures of a canary run: how each metric stands against its margin, the latency distributions, and where quality is lost. */
export function canaryCharts(
  points: readonly CanaryPoint[],
  profile: CanaryProfileDocument,
  judged: CaseResult,
  experts: ExpertReport | undefined,
): Chart[] {
  const charts: Chart[] = [];
  const nll = judged.metrics.filter(
    (metric) => metric.name === 'nll' && metric.effect !== null && metric.effectUnit === 'absolute',
  );
  if (nll.length > 0) {
    charts.push({
      kind: 'forest',
      title: 'Quality by segment: change of the negative log-likelihood',
      xLabel: 'nats per token (right is worse)',
      reference: 0,
      margin: nll[0]!.margin,
      rows: nll.map((metric) => ({
        label: metric.segment ?? 'all',
        effect: metric.effect!,
        low: metric.interval[0] ?? metric.effect!,
        high: metric.interval[1] ?? metric.effect!,
        verdict: metric.verdict,
      })),
    });
  }
  const relative = judged.metrics.filter(
    (metric) => metric.effectUnit === 'relative' && metric.effect !== null && metric.segment === undefined,
  );
  if (relative.length > 0) {
    charts.push({
      kind: 'forest',
      title: 'Latency and throughput: relative change',
      xLabel: 'relative change of the candidate',
      reference: 0,
      rows: relative.map((metric) => ({
        label: metricDefinition(metric.name).title,
        effect: metric.effect!,
        low: metric.interval[0] ?? metric.effect!,
        high: metric.interval[1] ?? metric.effect!,
        verdict: metric.verdict,
      })),
    });
  }
  const latency =
    profile.metrics
      .map((metric) => metricDefinition(metric.name))
      .find((definition) => definition.unit === 'ms' && definition.name.startsWith('e2e')) ??
    profile.metrics.map((metric) => metricDefinition(metric.name)).find((definition) => definition.unit === 'ms');
  if (latency !== undefined) {
    const pairs = joinPairs(points, latency, 'ab');
    const series = (['baseline', 'candidate'] as const).map((arm) => ({
      name: arm,
      points: ecdf(pairs.flatMap((pair) => (pair[arm] === undefined ? [] : [pair[arm]]))),
      step: true,
    }));
    if (series.every((line) => line.points.length > 0))
      charts.push({
        kind: 'line',
        title: `Distribution of the ${latency.title}`,
        xLabel: latency.unit,
        yLabel: 'share of requests',
        series,
      });
  }
  if (experts !== undefined) charts.push(expertHeatmap(experts));
  return charts;
}

/** Empirical distribution function, at most 200 steps. */
function ecdf(values: readonly number[]): (readonly [number, number])[] {
  const sorted = [...values].sort((a, b) => a - b);
  const every = Math.max(1, Math.ceil(sorted.length / 200));
  return sorted.flatMap((value, index) =>
    (index + 1) % every === 0 || index === sorted.length - 1
      ? [[Number(value.toPrecision(6)), (index + 1) / sorted.length] as const]
      : [],
  );
}

function expertHeatmap(experts: ExpertReport): Chart {
  const values = experts.beginnings ?? experts.heatmap;
  const text =
    experts.beginnings === undefined
      ? {
          title: 'Where quality is lost: change of the next token’s likelihood by expert',
          note: 'Nats per token that go with one expert when the others are held fixed; higher is harder to predict.',
        }
      : {
          title: 'Where changes begin: the experts of the first changed token',
          note: 'Share of the changed prompts. A damaged expert is in every one of them; others are where the same tokens go.',
        };
  return {
    kind: 'heatmap',
    ...text,
    xLabel: 'expert',
    yLabel: 'layer',
    xCategories: values[0]!.map((_, expert) => String(expert)),
    yCategories: values.map((_, layer) => String(layer)),
    values: values.map((row) => row.map((value) => Number(value.toPrecision(3)))),
    ...(experts.beginnings === undefined ? {} : { min: 0, max: 1 }),
  };
}
