// Stage 3: where a request goes. The policy decides; what cannot be decided or reached is refused with a reason, never guessed.
import type { PoolConfig, PriceConfig, TraceMode } from '../config/types.ts';
import type { Priority, TraceLevel } from '../engine/types.ts';
import { type Answer, type Arm, type Decision, PolicyError, type PolicyInput, type Target } from '../policy/policy.ts';
import { lacking } from './capabilities.ts';
import type { RequestContext } from './context.ts';
import { perMtok } from './cost.ts';
import { forbidden, type HttpError, notFound, policyFailure } from './errors.ts';
import { ATTACHMENT_TOKENS, type Requirement } from './requirements.ts';
import type { Runtime } from './runtime.ts';
import { armOf } from './split.ts';

/** A rough token count of a prompt for the policy's input: 4 characters a token, as the exact one is known only to the engine. */
const CHARACTERS_PER_TOKEN = 4;

function promptTokens(context: RequestContext): number {
  const prompt = context.request?.prompt;
  if (prompt === undefined) return 0;
  if (prompt.kind === 'tokens') return prompt.tokens.length;
  const { attachments = 0, characters: measured } = context.request ?? {};
  const characters =
    measured ??
    (prompt.kind === 'text' ? prompt.text.length : prompt.messages.reduce((sum, message) => sum + message.content.length, 0));
  return Math.ceil(characters / CHARACTERS_PER_TOKEN) + attachments * ATTACHMENT_TOKENS;
}

interface FleetPool {
  id: string;
  local: boolean;
  /** Requests an upstream server runs at once, where that is known. */
  concurrency: number | undefined;
  /** As configured. */
  pool: Omit<PoolConfig, 'engine' | 'capabilities'>;
}

/** What of the fleet does not change while the runtime runs, made once per list of pools. */
interface Fleet {
  clusters: object[];
  pools: FleetPool[];
  models: ReadonlySet<string>;
}

const fleets = new WeakMap<PoolConfig[], Fleet>();

function fleetOf(configured: PoolConfig[]): Fleet {
  const known = fleets.get(configured);
  if (known !== undefined) return known;
  const clusters = new Map<string, object>();
  const pools = configured.map(({ engine, capabilities: _, ...pool }) => {
    const { cluster, region, jurisdiction, trust_zone } = pool;
    clusters.set(cluster, { id: cluster, region, jurisdiction, ...(trust_zone === undefined ? {} : { trust_zone }) });
    const concurrency = typeof engine === 'object' ? engine.concurrency : undefined;
    return { id: pool.id, local: engine === 'local', concurrency, pool };
  });
  const fleet = { clusters: [...clusters.values()], pools, models: new Set(configured.map((pool) => pool.model)) };
  fleets.set(configured, fleet);
  return fleet;
}

/** The refusal of a model that no pool has. */
export function unknownModel(model: string): HttpError {
  return notFound(
    `model ${model.slice(0, 256)} is not served by any pool; GET /v1/models lists what is`,
    'model_not_found',
    'model',
  );
}

/** The models that some pool serves. */
export function servedModels(runtime: Pick<Runtime, 'config'>): ReadonlySet<string> {
  return fleetOf(runtime.config.pools).models;
}

/** What is measured of a pool now. `p95_ms` is of the time to first token, the place in the queue included. */
interface Live {
  saturation: number;
  queue: number;
  p95_ms: number | undefined;
  /** Of a local pool: whether its model is in memory; a request to one that is not waits for the load. */
  loaded: boolean | undefined;
  /** Of an upstream server that is asked for its load: whether these numbers are its own. Its KV cache is 0 to 1. */
  reported?: boolean | undefined;
  kv_cache?: number | undefined;
}

/** Not `warm`: an engine that is being restarted is an outage (503, or a fallback), not a reason for the policy to deny. */
function measured(runtime: Runtime, { id, local, concurrency, pool }: FleetPool, now: number): Live {
  const state = runtime.pools.get(id);
  const p95_ms = state?.p95(now);
  const running = state?.running ?? 0;
  if (local) {
    const { running: busy, waiting } = runtime.admission;
    const loaded = runtime.residency?.loaded ?? true;
    return { saturation: (busy + waiting) / runtime.local.stats().sequences, queue: waiting, loaded, p95_ms };
  }
  const own =
    concurrency === undefined
      ? { saturation: pool.saturation, queue: pool.queue }
      : { saturation: running / concurrency, queue: Math.max(0, running - concurrency) };
  return { ...own, loaded: undefined, ...runtime.loads.get(id)?.state(concurrency, now), p95_ms };
}

/**
 * What is known about a pool now in place of what is configured: saturation, queue, latency, the price of such a request, and what of the
 * request it cannot serve.
 */
function livePool(
  runtime: Runtime,
  fleet: FleetPool,
  tokens: { prompt: number; completion: number },
  requires: readonly Requirement[],
  now: number,
): object {
  const price = priceOf(runtime, fleet.id);
  const live = { ...fleet.pool, ...measured(runtime, fleet, now) };
  // What is not known yet is as configured.
  live.p95_ms ??= fleet.pool.p95_ms;
  if (price !== undefined) live.cost_per_mtok = perMtok(price, tokens);
  const missing = lacking(runtime.config.pools, fleet.id, requires);
  return missing.length === 0 ? live : { ...live, cannot_serve: missing.map(({ capability }) => capability) };
}

/** What is measured of every pool, for metrics. */
export function liveState(runtime: Runtime): Array<{ id: string; saturation: number; firstTokenMs: number | undefined }> {
  const now = performance.now();
  return fleetOf(runtime.config.pools).pools.map((pool) => {
    const { saturation, p95_ms } = measured(runtime, pool, now);
    return { id: pool.id, saturation, firstTokenMs: p95_ms };
  });
}

/** The price of a pool's tokens, where the catalogue has one. */
export function priceOf(runtime: Pick<Runtime, 'config'>, pool: string): PriceConfig | undefined {
  const { prices } = runtime.config.catalog;
  return Object.hasOwn(prices, pool) ? prices[pool] : undefined;
}

/** The policy's input for a request; the live state of pools replaces the configured one. */
function policyInput(runtime: Runtime, context: RequestContext): PolicyInput {
  const { config } = runtime;
  const { attributes, identity, request } = context;
  const fleet = fleetOf(config.pools);
  context.promptEstimate = promptTokens(context);
  const tokens = { prompt: context.promptEstimate, completion: request?.maxTokens ?? 0 };
  const requires = request?.requires ?? [];
  const now = performance.now();
  const pools = fleet.pools.map((pool) => livePool(runtime, pool, tokens, requires, now));
  const flags = runtime.flags.at(Date.now());
  context.expiredFlags = flags.expired;
  return {
    request: {
      id: context.decisionId,
      tenant: identity?.tenant ?? '',
      workload_identity: identity?.workload ?? '',
      data_class: attributes.dataClass,
      origin_region: attributes.originRegion,
      model: request?.model ?? config.model.id,
      task: attributes.task,
      priority: attributes.priority,
      user: request?.user,
      session: attributes.session,
      tokens: tokens.prompt + tokens.completion,
      requires: requires.map(({ capability }) => capability),
    },
    fleet: { clusters: fleet.clusters, pools },
    slo: config.slo,
    flags: flags.values,
  };
}

/** Evaluates the policy; the decision is logged when the request ends, with what became of it. @throws HttpError 403 when denied or undefined, 404 for an unknown model, 500 on a policy error */
export function decide(runtime: Runtime, context: RequestContext): Decision {
  const model = context.request?.model ?? runtime.config.model.id;
  if (!servedModels(runtime).has(model)) {
    throw unknownModel(model);
  }
  const input = policyInput(runtime, context);
  const active = runtime.policy.active;
  context.revision = active.bundle.revision;
  const start = performance.now();
  let answer: Partial<Answer> = {};
  let failure: string | undefined;
  try {
    answer = active.answer(input);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    failure = error.message;
    answer = { result: error.result };
  }
  const { decision, result: said, clockNs } = answer;
  const end = performance.now();
  context.policyMs = end - start;
  context.stages.push({ name: 'policy', start, end });
  runtime.metrics.instruments.policySeconds.observe((end - start) / 1000);
  context.asked = { input, timestamp: new Date(), result: said, clockNs, error: failure };
  if (decision !== undefined) context.decision = decision;
  const result = failure !== undefined ? 'error' : decision === undefined ? 'undefined' : decision.allow ? 'allow' : 'deny';
  runtime.metrics.instruments.decisions.inc({ mixgate_policy_result: result });
  if (failure !== undefined) throw policyFailure('the routing policy failed to decide; nothing passes without a decision');
  if (decision === undefined)
    throw forbidden('policy_undefined', 'the routing policy has no decision for this request', 'policy');
  if (!decision.allow) {
    const reasons = decision.reasons ?? [];
    throw forbidden(
      'policy_denied',
      `denied by the routing policy${decision.rule === undefined ? '' : `, rule ${decision.rule}`}${reasons.length === 0 ? '' : `: ${reasons.join(', ')}`}`,
      'policy',
    );
  }
  const { split } = decision;
  const arm = split === undefined ? undefined : armOf(split);
  if (split !== undefined && arm !== undefined) {
    context.arm = arm;
    runtime.metrics.governance.assigned(split.id, arm.id);
  }
  return decision;
}

const NAMED_PRIORITY: ReadonlyMap<string, Priority> = new Map([
  ['low', 1],
  ['batch', 1],
  ['background', 1],
  ['standard', 3],
  ['normal', 3],
  ['default', 3],
  ['high', 5],
  ['interactive', 5],
  ['critical', 5],
]);

/** The decision's priority as 1 (last) to 5 (first); 3 where it says nothing usable. */
export function priorityOf(decision: Decision): Priority {
  const { priority } = decision;
  if (typeof priority === 'string') return NAMED_PRIORITY.get(priority) ?? 3;
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

/** A target to try. */
export interface Attempt {
  target: Target;
  primary: boolean;
}

/**
 * The targets to try in order: the arm's where the decision splits traffic, the decision's own, its fallbacks. None twice; fallbacks
 * that can't be reached are left out. What stands in for an arm is a fallback like any other.
 */
export function* attempts(runtime: Pick<Runtime, 'reachable'>, decision: Decision, arm?: Arm): Generator<Attempt> {
  const first = arm?.target ?? decision.target;
  if (first === undefined) return;
  yield { target: first, primary: true };
  const seen = new Set([first.pool]);
  for (const target of [...(decision.target === undefined ? [] : [decision.target]), ...(decision.fallbacks ?? [])]) {
    if (seen.has(target.pool) || !runtime.reachable.has(target.pool)) continue;
    seen.add(target.pool);
    yield { target, primary: false };
  }
}
