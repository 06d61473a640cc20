// Shadow traffic: a share of requests is sent to a second pool as well, to see how it does under real load. Nobody waits for the copy or
// sees its answer, no tenant pays for it, and what would be in the way is dropped and counted.
import { deadlinePassed, type EngineEvent, type GenerateRequest } from '../engine/types.ts';
import type { Decision, Target } from '../policy/policy.ts';
import type { ShadowEnd } from '../telemetry/governance-metrics.ts';
import { INCAPABLE, lacking } from './capabilities.ts';
import { cachedTokens, type RequestContext, type ShadowOutcome } from './context.ts';
import { costOf, type TokensUsed } from './cost.ts';
import { callContext, engineRequest } from './execute.ts';
import { priceOf } from './route.ts';
import type { Runtime, ShadowTraffic } from './runtime.ts';
import { inShare } from './split.ts';

type Place = { jurisdiction: string; trust_zone?: string };

/** Where the decision lets the request be answered. */
function answerable(decision: Decision): Target[] {
  return [
    ...(decision.target === undefined ? [] : [decision.target]),
    ...(decision.split?.arms.map((arm) => arm.target) ?? []),
    ...(decision.fallbacks ?? []),
  ];
}

/**
 * Why the copy of a request may not be sent; undefined when it may. Whatever the policy says, a copy stays in a jurisdiction and
 * trust zone in which the same decision lets the request be answered, by the runtime's own list of pools.
 */
export function shadowRefusal(
  runtime: Pick<Runtime, 'config' | 'reachable'>,
  decision: Decision,
  answering: string | undefined,
): Exclude<ShadowOutcome, 'SENT' | 'CAPACITY' | 'OFF'> | undefined {
  const pool = decision.shadow?.target.pool;
  const placeOf = (id: string | undefined): Place | undefined => runtime.config.pools.find((each) => each.id === id);
  const place = placeOf(pool);
  if (pool === undefined || place === undefined || !runtime.reachable.has(pool)) return 'POOL_UNREACHABLE';
  if (pool === answering) return 'SAME_POOL';
  const same = (other: Place | undefined): boolean =>
    other !== undefined && other.jurisdiction === place.jurisdiction && other.trust_zone === place.trust_zone;
  if (!answerable(decision).some((target) => same(placeOf(target.pool)))) return 'JURISDICTION';
  // The local engine computes all its sequences in one batch: a copy there slows every answer.
  if (runtime.reachable.get(pool)?.admission !== undefined) return 'LOCAL_POOL';
  return undefined;
}

/** The copies in flight. */
export class Shadows implements ShadowTraffic {
  readonly #limits: { concurrency: number; deadlineMs: number };
  readonly #running = new Set<AbortController>();
  #closed = false;

  constructor(limits: { concurrency: number; deadlineMs: number }) {
    this.#limits = limits;
  }

  get running(): number {
    return this.#running.size;
  }

  consider(runtime: Runtime, context: RequestContext): ShadowOutcome | undefined {
    const decision = context.decision;
    if (decision?.shadow === undefined || !inShare('shadow', context.decisionId, decision.shadow.share)) return undefined;
    const refusal = this.#refusal(runtime, context, decision);
    if (refusal !== undefined) {
      runtime.metrics.governance.shadowDropped(refusal);
      return refusal;
    }
    const controller = new AbortController();
    this.#running.add(controller);
    // A turn of the event loop later: the request itself goes first.
    setImmediate(() => void this.#send(runtime, context, decision.shadow?.target as Target, controller));
    return 'SENT';
  }

  #refusal(runtime: Runtime, context: RequestContext, decision: Decision): Exclude<ShadowOutcome, 'SENT'> | undefined {
    if (this.#limits.concurrency === 0 || this.#closed) return 'OFF';
    const refusal = shadowRefusal(runtime, decision, (context.arm?.target ?? decision.target)?.pool);
    if (refusal !== undefined) return refusal;
    const pool = decision.shadow?.target.pool ?? '';
    if (lacking(runtime.config.pools, pool, context.request?.requires ?? []).length > 0) return INCAPABLE;
    return this.#running.size >= this.#limits.concurrency ? 'CAPACITY' : undefined;
  }

  async #send(runtime: Runtime, context: RequestContext, target: Target, controller: AbortController): Promise<void> {
    const start = performance.now();
    const timer = setTimeout(() => controller.abort(deadlinePassed()), this.#limits.deadlineMs);
    const leave = runtime.pools.get(target.pool)?.enter();
    const tokens: TokensUsed = { prompt: 0, completion: 0 };
    let outcome: ShadowEnd = 'failed';
    try {
      const request: GenerateRequest = { ...engineRequest(runtime, context), priority: 1, trace: 'off' };
      const call = { ...callContext(context, context.spanId), shadow: true };
      let first = true;
      for await (const event of runtime.reachable.get(target.pool)?.engine.generate(request, controller.signal, call) ?? []) {
        if (first && event.type === 'token') {
          const now = performance.now();
          runtime.pools.get(target.pool)?.firstToken(now - start, now);
          first = false;
        }
        count(tokens, event, context.promptEstimate);
        if (event.type === 'done') outcome = 'answered';
      }
    } catch {
      // Counted below; an answer that nobody waits for has nobody to tell.
    } finally {
      clearTimeout(timer);
      leave?.();
      this.#running.delete(controller);
    }
    if (controller.signal.aborted && outcome !== 'answered') outcome = 'timed_out';
    const price = priceOf(runtime, target.pool);
    const cost = price === undefined ? undefined : costOf(price, tokens, Date.now());
    runtime.metrics.governance.shadowEnded(target.pool, outcome, (performance.now() - start) / 1000, cost);
  }

  /** Ends every copy in flight. */
  close(): void {
    this.#closed = true;
    for (const controller of this.#running) controller.abort();
  }
}

function count(tokens: TokensUsed, event: EngineEvent, promptEstimate: number): void {
  if (event.type === 'token' && event.tail !== true) {
    tokens.completion++;
    if (tokens.prompt === 0) tokens.prompt = promptEstimate;
  } else if (event.type === 'done') {
    tokens.completion = event.completionTokens;
    if (event.promptTokens > 0) tokens.prompt = event.promptTokens;
    Object.assign(tokens, cachedTokens(event.details));
  }
}
