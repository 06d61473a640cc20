import type { RoutingDriftResult } from './routing-drift.ts';
import type { CaseResult } from './types.ts';

/**
 * Joins a quality or latency failure with the routing drift of the same segment into one sentence, e.g. `perplexity (de): worse by
 * +18.0 % [...]; layer 2 expert 5 moved +9.1 points`. Undefined when nothing failed or no drift was found.
 */
export function explainByRouting(result: CaseResult, drift: RoutingDriftResult): string | undefined {
  const failed = result.metrics.filter((metric) => metric.verdict === 'fail');
  for (const metric of failed) {
    const scope =
      drift.scopes.find((s) => s.verdict === 'warn' && s.segment === metric.segment) ??
      drift.scopes.find((s) => s.verdict === 'warn' && s.segment === undefined);
    if (scope?.worst === undefined) continue;
    const { layer, expert, shift } = scope.worst;
    const name = metric.segment === undefined ? metric.name : `${metric.name} (${metric.segment})`;
    return `${name}: ${metric.reason}; layer ${layer} expert ${expert} moved ${shift < 0 ? '-' : '+'}${(100 * Math.abs(shift)).toFixed(1)} points`;
  }
  return undefined;
}
