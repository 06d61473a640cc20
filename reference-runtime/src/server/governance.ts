// What a finished request leaves behind of its governance: quota, cost, decision log; and the state that a scrape of metrics reads.
import type { GovernanceState } from '../telemetry/governance-metrics.ts';
import { INCAPABLE } from './capabilities.ts';
import { type RequestContext, tokensUsed } from './context.ts';
import { costOf, priceState } from './cost.ts';
import type { QuotaKind } from './quota.ts';
import { liveState, priceOf } from './route.ts';
import type { Runtime } from './runtime.ts';

/** Prices the request by the pool that served it. Call when its tokens are known, and again when it ends. */
export function priceRequest(runtime: Pick<Runtime, 'config'>, context: RequestContext): void {
  const price = context.target === undefined ? undefined : priceOf(runtime, context.target.pool);
  if (price !== undefined) context.cost = costOf(price, tokensUsed(context), Date.now());
}

const REFUSALS: Record<string, QuotaKind> = {
  rate_exceeded: 'requests',
  requests_exceeded: 'requests',
  tokens_exceeded: 'tokens',
  concurrency_exceeded: 'concurrency',
};

/** Counts what the request cost, or why it was refused. */
export function countGovernance(
  runtime: Runtime,
  context: RequestContext,
  tenant: string,
  model: string,
  failure?: string,
): void {
  const { governance } = runtime.metrics;
  const refused = failure === undefined ? undefined : REFUSALS[failure];
  if (refused !== undefined) governance.quotaRefused(tenant, refused);
  const { prompt, completion } = tokensUsed(context);
  if (context.target === undefined || prompt + completion === 0) return;
  if (context.cost === undefined) governance.unpriced(context.target.pool);
  else governance.cost(tenant, model, context.cost);
}

/** Writes the decision and what became of it. A request that was never decided has no line. */
export function logDecision(runtime: Pick<Runtime, 'decisionLog' | 'config'>, context: RequestContext): void {
  const { asked } = context;
  if (asked === undefined) return;
  runtime.decisionLog?.write({
    decisionId: context.decisionId,
    timestamp: asked.timestamp,
    path: runtime.config.policy.entrypoint,
    revision: context.revision,
    input: asked.input,
    result: asked.result,
    clockNs: asked.clockNs,
    requestedBy: context.remote,
    evaluationNs: Math.round(context.policyMs * 1e6),
    traceId: context.traceId,
    spanId: context.spanId,
    error: asked.error,
    custom: customOf(context),
  });
}

/** What became of a decision; undefined when nothing did. */
function customOf(context: RequestContext): Record<string, unknown> | undefined {
  const { arm, coldStartMs, cost, decision, expiredFlags, passedOver, shadow, target } = context;
  const served = context.engineStartedAt !== undefined && target !== undefined;
  const incapable = passedOver.length === 0 ? undefined : passedOver;
  if (
    !served &&
    incapable === undefined &&
    arm === undefined &&
    shadow === undefined &&
    cost === undefined &&
    coldStartMs === undefined
  )
    return expiredFlags.length === 0 ? undefined : { expired_flags: expiredFlags };
  return {
    split: arm === undefined ? undefined : { id: decision?.split?.id, arm: arm.id },
    shadow: shadow === undefined ? undefined : { pool: decision?.shadow?.target.pool, outcome: shadow },
    target: served ? target : undefined,
    fallback: served ? context.fallback : undefined,
    passed_over: incapable?.map((each) => ({ ...each, reason: INCAPABLE })),
    tokens: served ? tokensUsed(context) : undefined,
    cost,
    cold_start: coldStartMs === undefined ? undefined : { ms: coldStartMs },
    expired_flags: expiredFlags.length === 0 ? undefined : expiredFlags,
  };
}

/** What the gauges of governed routing say now. */
export function governanceState(runtime: Runtime): GovernanceState {
  const { config } = runtime;
  const now = Date.now();
  const expired = new Set(runtime.flags.at(now).expired);
  return {
    prices: Object.entries(config.catalog.prices).map(([pool, price]) => ({ pool, state: priceState(price, now) })),
    flags: (config.catalog.flags ?? []).map(({ id }) => ({ id, expired: expired.has(id) })),
    quotas: runtime.quotas.use(performance.now()).map((use) => ({ ...use, tenant: runtime.tenantLabels.of(use.tenant, false) })),
    pools: liveState(runtime).map(({ id, saturation, firstTokenMs }) => ({ pool: id, saturation, firstTokenMs })),
  };
}
