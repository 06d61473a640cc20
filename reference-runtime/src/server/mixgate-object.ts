// The extra object `mixgate` of a response, opted in by the header `x-mixgate-include: timings,moe,experts`.
import { cachedTokens, interTokenMs, overheadMs, type RequestContext } from './context.ts';
import { expertIds, moeSummary } from './moe.ts';
import { traceAllowed } from './route.ts';

/** The object, or undefined when the client did not opt in. Times in milliseconds. */
export function mixgateObject(context: RequestContext, now: number): object | undefined {
  if (!context.attributes.includeTimings && !context.attributes.includeMoe) return undefined;
  const first = context.tokenTimes[0];
  return {
    decision_id: context.decisionId,
    policy_revision: context.revision,
    rule: context.decision?.rule ?? null,
    target: context.target ?? null,
    fallback: context.fallback,
    ...(context.passedOver.length === 0 ? {} : { passed_over: context.passedOver }),
    ...(context.arm === undefined ? {} : { split: { id: context.decision?.split?.id, arm: context.arm.id } }),
    cost: context.cost ?? null,
    cold_start: context.coldStartMs !== undefined,
    timings: {
      policy_ms: context.policyMs,
      queue_ms: context.queueMs,
      ...(context.coldStartMs === undefined ? {} : { cold_start_ms: context.coldStartMs }),
      ttft_ms: first === undefined ? null : first - context.receivedAt,
      e2e_ms: now - context.receivedAt,
      itl_ms: interTokenMs(context),
      overhead_ms: overheadMs(context, now),
    },
    tokens: {
      prompt: context.promptTokens,
      ...cachedTokens(context.usageDetails),
      completion: context.completionTokens,
    },
    ...moeObject(context),
  };
}

/** Routing where it was asked for, else why there is none: of a request that asked, silence says nothing. */
function moeObject(context: RequestContext): { moe?: object; moe_omitted?: 'policy' | 'off' | 'not_recorded' } {
  const { attributes, decision, routing, trace } = context;
  if (!attributes.includeMoe) return {};
  if (routing === undefined) {
    if (decision !== undefined && !traceAllowed(decision)) return { moe_omitted: 'policy' };
    // Not recorded: another server computed it, or this one cannot trace.
    return { moe_omitted: trace === 'off' ? 'off' : 'not_recorded' };
  }
  const experts = attributes.includeExperts && routing.rows !== undefined ? { experts: expertIds(routing.rows) } : {};
  return { moe: { ...moeSummary(routing), ...experts } };
}
