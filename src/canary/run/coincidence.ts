import type { RoutingDriftResult, RoutingDriftScope } from '../judge/routing-drift.ts';
import type { CaseResult, MetricResult } from '../judge/types.ts';
import { metricDefinition } from './metrics.ts';
import { shortEffect } from './present.ts';

/** Harm and a shift of the routing that were found in the same prompts. */
export interface Coincidence {
  readonly metric: MetricResult;
  readonly layer: number;
  readonly expert: number;
  /** `segment de: perplexity +18.0 %, layer 2 expert 5` */
  readonly text: string;
}

/** Neither quality nor speed: how tokens are routed does not explain a price or a refused request. */
const UNEXPLAINED = new Set(['error', 'fallback', 'cost_per_request', 'cost_per_mtok', 'answer_tokens', 'policy_ms', 'queue_ms']);

/**
 * Routing drift alone only warns; where quality or latency of the same segment is worse too, it says where to look: the layer that drifted
 * most and the expert whose share moved most there. All prompts together are named only for a metric that stands out in no segment.
 */
export function coincidences(judged: CaseResult, drift: RoutingDriftResult | undefined): readonly Coincidence[] {
  const scopes = (drift?.scopes ?? []).filter((scope) => scope.verdict === 'warn' && scope.worst !== undefined);
  const harmed = judged.metrics.filter(
    (metric) => metric.verdict === 'fail' && metric.effect !== null && !UNEXPLAINED.has(metric.name),
  );
  const found = scopes.flatMap((scope) =>
    harmed.filter((metric) => metric.segment === scope.segment).map((metric) => coincidence(metric, scope.worst!)),
  );
  const inSegment = new Set(found.filter(({ metric }) => metric.segment !== undefined).map(({ metric }) => metric.name));
  return found.filter(({ metric }) => metric.segment !== undefined || !inSegment.has(metric.name));
}

function coincidence(metric: MetricResult, { layer, expert }: NonNullable<RoutingDriftScope['worst']>): Coincidence {
  const perplexity = metric.name === 'nll' && metric.effectUnit === 'absolute';
  const what = perplexity ? 'perplexity' : metricDefinition(metric.name).title;
  const where = metric.segment === undefined ? 'all prompts' : `segment ${metric.segment}`;
  return { metric, layer, expert, text: `${where}: ${what} ${shortEffect(metric)}, layer ${layer} expert ${expert}` };
}
