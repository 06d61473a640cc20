// Stage 3: where a request goes. The policy decides; what cannot be decided or reached is refused with a reason, never guessed.
import type { PoolConfig, TraceMode } from '../config/types.ts';
import type { Priority, TraceLevel } from '../engine/types.ts';
import { type Decision, PolicyError, type PolicyInput, type Target } from '../policy/policy.ts';
import type { RequestContext } from './context.ts';
import { forbidden, notFound, policyFailure } from './errors.ts';
import type { Runtime } from './runtime.ts';

/** A rough token count of a prompt for the policy's input: 4 characters a token, as the exact one is known only to the engine. */
const CHARACTERS_PER_TOKEN = 4;

function promptTokens(context: RequestContext): number {
  const prompt = context.request?.prompt;
  if (prompt === undefined) return 0;
  if (prompt.kind === 'tokens') return prompt.tokens.length;
  const characters =
    prompt.kind === 'text' ? prompt.text.length : prompt.messages.reduce((sum, message) => sum + message.content.length, 0);
  return Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

/** What of the fleet does not change while the runtime runs, made once per list of pools. */
interface Fleet {
  clusters: object[];
  pools: Array<{ local: boolean; pool: object }>;
  models: ReadonlySet<string>;
}

const fleets = new WeakMap<PoolConfig[], Fleet>();

function fleetOf(configured: PoolConfig[]): Fleet {
  const known = fleets.get(configured);
  if (known !== undefined) return known;
  const clusters = new Map<string, object>();
  const pools = configured.map(({ engine, ...pool }) => {
    const { cluster, region, jurisdiction, trust_zone } = pool;
    clusters.set(cluster, { id: cluster, region, jurisdiction, ...(trust_zone === undefined ? {} : { trust_zone }) });
    return { local: engine === 'local', pool };
  });
  const fleet = { clusters: [...clusters.values()], pools, models: new Set(configured.map((pool) => pool.model)) };
  fleets.set(configured, fleet);
  return fleet;
}

/** The models that some pool serves. */
export function servedModels(runtime: Pick<Runtime, 'config'>): ReadonlySet<string> {
  return fleetOf(runtime.config.pools).models;
}

/** The policy's input for a request; the live state of local pools replaces the configured one. */
export function policyInput(runtime: Runtime, context: RequestContext): PolicyInput {
  const { config } = runtime;
  const { attributes, identity, request } = context;
  const fleet = fleetOf(config.pools);
  const stats = runtime.local.stats();
  // Not `warm`: an engine that is being restarted is an outage (503, or a fallback), not a reason for the policy to deny.
  const live = {
    saturation: (runtime.admission.running + runtime.admission.waiting) / stats.sequences,
    queue: runtime.admission.waiting,
  };
  const pools = fleet.pools.map(({ local, pool }) => (local ? { ...pool, ...live } : pool));
  return {
    request: {
      id: context.decisionId,
      tenant: identity?.tenant ?? '',
      workload_identity: identity?.workload ?? '',
      ...(attributes.dataClass === undefined ? {} : { data_class: attributes.dataClass }),
      ...(attributes.originRegion === undefined ? {} : { origin_region: attributes.originRegion }),
      model: request?.model ?? config.model.id,
      ...(attributes.task === undefined ? {} : { task: attributes.task }),
      ...(attributes.priority === undefined ? {} : { priority: attributes.priority }),
      tokens: promptTokens(context) + (request?.maxTokens ?? 0),
    },
    fleet: { clusters: fleet.clusters, pools },
    slo: config.slo,
    flags: config.flags,
  };
}

/** Evaluates the policy and logs the decision. @throws HttpError 403 when denied or undefined, 404 for an unknown model, 500 on a policy error */
export function decide(runtime: Runtime, context: RequestContext): Decision {
  const model = context.request?.model ?? runtime.config.model.id;
  if (!servedModels(runtime).has(model)) {
    throw notFound(`model ${model} is not served by any pool; GET /v1/models lists what is`, 'model_not_found', 'model');
  }
  const input = policyInput(runtime, context);
  const active = runtime.policy.active;
  context.revision = active.bundle.revision;
  const start = performance.now();
  let decision: Decision | undefined;
  let failure: string | undefined;
  try {
    decision = active.decide(input);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    failure = error.message;
  }
  const end = performance.now();
  context.policyMs = end - start;
  context.stages.push({ name: 'policy', start, end });
  runtime.metrics.instruments.policySeconds.observe((end - start) / 1000);
  runtime.decisionLog?.write({
    decisionId: context.decisionId,
    timestamp: new Date(),
    path: runtime.config.policy.entrypoint,
    revision: active.bundle.revision,
    input,
    result: decision,
    requestedBy: context.remote,
    evaluationNs: Math.round((end - start) * 1e6),
    ...(failure === undefined ? {} : { error: failure }),
  });
  const result = failure !== undefined ? 'error' : decision === undefined ? 'undefined' : decision.allow ? 'allow' : 'deny';
  runtime.metrics.instruments.decisions.inc({ mixgate_policy_result: result });
  if (failure !== undefined) throw policyFailure('the routing policy failed to decide; nothing passes without a decision');
  if (decision === undefined)
    throw forbidden('policy_undefined', 'the routing policy has no decision for this request', 'policy');
  context.decision = decision;
  if (!decision.allow) {
    const reasons = decision.reasons ?? [];
    throw forbidden(
      'policy_denied',
      `denied by the routing policy${decision.rule === undefined ? '' : `, rule ${decision.rule}`}${reasons.length === 0 ? '' : `: ${reasons.join(', ')}`}`,
      'policy',
    );
  }
  return decision;
}

const NAMED_PRIORITY: Record<string, Priority> = {
  low: 1,
  batch: 1,
  background: 1,
  standard: 3,
  normal: 3,
  default: 3,
  high: 5,
  interactive: 5,
  critical: 5,
};

/** The decision's priority as 1 (last) to 5 (first); 3 where it says nothing usable. */
export function priorityOf(decision: Decision): Priority {
  const { priority } = decision;
  if (typeof priority === 'string') return NAMED_PRIORITY[priority] ?? 3;
  if (priority === undefined || !Number.isFinite(priority)) return 3;
  return Math.min(5, Math.max(1, Math.round(priority))) as Priority;
}

/** Whether the policy lets this request's routing be traced: `trace` absent or false says no; an object may say `enabled: false`. */
export function traceAllowed(decision: Decision): boolean {
  const { trace } = decision;
  if (typeof trace === 'object' && trace !== null) return !('enabled' in trace) || trace.enabled === true;
  return (
    trace === true ||
    (typeof trace === 'string' && trace !== 'off' && trace !== 'none') ||
    (typeof trace === 'number' && trace > 0)
  );
}

/** How much of a request's routing to trace. `draw` is uniform in [0, 1): only mode `sample` looks at it. */
export function traceLevel(mode: TraceMode, sample: number, optedIn: boolean, allowed: boolean, draw: number): TraceLevel {
  if (mode === 'off' || !allowed) return 'off';
  if (optedIn || mode === 'always') return 'full';
  return mode === 'sample' && draw < sample ? 'summary' : 'off';
}

/** The targets to try in order, each with the fallback reason it is used for; unreachable ones are skipped. */
export function* attempts(runtime: Runtime, decision: Decision): Generator<{ target: Target; primary: boolean }> {
  if (decision.target !== undefined) yield { target: decision.target, primary: true };
  for (const target of decision.fallbacks ?? []) {
    if (runtime.reachable.has(target.pool)) yield { target, primary: false };
  }
}
