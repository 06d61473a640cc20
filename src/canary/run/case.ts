import type { CanaryProfileDocument } from '../../generated/schemas.ts';
import type { CaseInput, MetricInput } from '../judge/types.ts';
import { type MetricDefinition, metricDefinition } from './metrics.ts';
import type { CanaryPoint } from './points.ts';

type ProfileMetric = CanaryProfileDocument['metrics'][number];

interface PairValues {
  readonly segment: string;
  baseline?: number;
  candidate?: number;
}

/** The points of one metric and block, joined by pair, in order of sending. */
export function joinPairs(
  points: readonly CanaryPoint[],
  definition: MetricDefinition,
  block: 'aa' | 'ab',
): readonly PairValues[] {
  const pairs = new Map<number, PairValues>();
  for (const point of points) {
    if (point.metric !== definition.name || point.tags['block'] !== block) continue;
    const pair = pairs.get(point.pair) ?? { segment: point.tags['segment'] ?? '' };
    if (definition.shape === 'pair') {
      pair.baseline = definition.ideal!;
      pair.candidate = point.value;
    } else if (point.tags['arm'] === 'candidate')
      pair.candidate = definition.kind === 'binary' ? Math.max(pair.candidate ?? 0, point.value) : point.value;
    else if (point.tags['arm'] === 'baseline')
      pair.baseline = definition.kind === 'binary' ? Math.max(pair.baseline ?? 0, point.value) : point.value;
    pairs.set(point.pair, pair);
  }
  return [...pairs.entries()].sort(([a], [b]) => a - b).map(([, pair]) => pair);
}

/** The judge's case: a metric over everything, and one per segment where the profile asks for it. */
export function buildCase(
  points: readonly CanaryPoint[],
  profile: CanaryProfileDocument,
  options: { readonly block: 'aa' | 'ab'; readonly seed: number; readonly alpha: number },
): CaseInput {
  const metrics: MetricInput[] = [];
  for (const wanted of profile.metrics) {
    const definition = metricDefinition(wanted.name);
    const pairs = joinPairs(points, definition, options.block).filter(
      (pair) => pair.baseline !== undefined && pair.candidate !== undefined,
    );
    metrics.push(metricInput(definition, wanted, pairs));
    if (wanted.bySegment !== true) continue;
    for (const segment of [...new Set(pairs.map((pair) => pair.segment))].sort()) {
      metrics.push(
        metricInput(
          definition,
          wanted,
          pairs.filter((pair) => pair.segment === segment),
          segment,
        ),
      );
    }
  }
  return { id: options.block, design: 'paired', alpha: options.alpha, seed: options.seed, metrics };
}

function metricInput(
  definition: MetricDefinition,
  wanted: ProfileMetric,
  pairs: readonly PairValues[],
  segment?: string,
): MetricInput {
  return {
    name: definition.name,
    ...(segment === undefined ? {} : { segment }),
    kind: definition.kind,
    direction: definition.direction,
    margin: wanted.margin ?? definition.margin,
    ...(wanted.noData === undefined ? {} : { noData: wanted.noData }),
    baseline: pairs.map((pair) => pair.baseline!),
    candidate: pairs.map((pair) => pair.candidate!),
  };
}
