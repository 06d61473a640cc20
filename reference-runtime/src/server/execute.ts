// Stages 4 and 5: a sequence, then the engine; with the decision's fallbacks where the first target cannot serve. A target that has
// produced a token is never replaced: what the client has read stays true.
import { type CallContext, EngineError, type EngineEvent, type GenerateRequest } from '../engine/types.ts';
import { newSpanId } from '../telemetry/ids.ts';
import { INCAPABLE } from './capabilities.ts';
import type { RequestContext } from './context.ts';
import { badRequest, deadline, HttpError, unavailable } from './errors.ts';
import { attempts, priorityOf } from './route.ts';
import type { Reachable, Runtime } from './runtime.ts';

const REPLACEABLE = new Set(['ENGINE_UNAVAILABLE', 'ENGINE_DIED', 'LOAD_FAILED', 'UPSTREAM_ERROR']);

/** Why another target may serve in place of the one that failed so; undefined when none may. */
function replaceable(error: unknown): string | undefined {
  if (error instanceof EngineError) return REPLACEABLE.has(error.code) ? error.code : undefined;
  // No place in the queue of the local engine: nothing was started.
  return error instanceof HttpError && error.code === 'queue_full' ? 'QUEUE_FULL' : undefined;
}

function toHttp(error: unknown, promptParam: 'prompt' | 'messages'): Error {
  if (!(error instanceof EngineError)) return error instanceof Error ? error : new Error(String(error));
  switch (error.code) {
    case 'CONTEXT_EXCEEDED':
      return badRequest(error.message, promptParam, 'context_length_exceeded');
    case 'BAD_PROMPT':
      return badRequest(error.message, promptParam);
    case 'BAD_FORMAT':
      return badRequest(error.message, 'response_format', 'unsupported_value');
    case 'BAD_LOGIT_BIAS':
      return badRequest(error.message, 'logit_bias');
    default:
      return unavailable(error.code.toLowerCase(), error.message, 'engine', retryAfterSeconds(error.retryAfterMs));
  }
}

/** What an upstream server asked for is passed on, up to an hour: a client believes this server. */
function retryAfterSeconds(ms: number | undefined): number {
  return ms === undefined ? 1 : Math.min(3600, Math.max(1, Math.ceil(ms / 1000)));
}

export function engineRequest(runtime: Runtime, context: RequestContext): GenerateRequest {
  const request = context.request;
  const decision = context.decision;
  if (request === undefined || decision === undefined) throw new Error('a request reached the engine without a decision');
  const wanted: GenerateRequest = {
    id: context.decisionId,
    prompt: request.prompt,
    maxTokens: Math.min(request.maxTokens ?? runtime.config.limits.maxTokens, runtime.config.limits.maxTokens),
    temperature: request.temperature,
    topP: request.topP,
    stop: request.stop,
    echo: request.echo,
    priority: priorityOf(decision),
    trace: context.trace,
  };
  Object.assign(wanted, request.sampling);
  if (request.seed !== undefined) wanted.seed = request.seed;
  if (request.format !== undefined) wanted.format = request.format;
  if (request.logprobs !== undefined) wanted.logprobs = request.logprobs;
  return wanted;
}

/** What an engine that is another server needs to know; `spanId` is the engine stage's (W3C Trace Context, section 3.2). */
export function callContext(context: RequestContext, spanId: string): CallContext {
  return {
    tenant: context.identity?.tenant ?? '',
    workload: context.identity?.workload ?? '',
    ...(context.authorization === undefined ? {} : { authorization: context.authorization }),
    traceparent: `00-${context.traceId}-${spanId}-${context.sampled ? '01' : '00'}`,
    ...(context.traceState === undefined ? {} : { tracestate: context.traceState }),
    streaming: context.request?.stream === true,
    ...(context.request?.passed === undefined ? {} : { passed: context.request.passed }),
  };
}

/** Waits for the model where it is not loaded, with the place in the engine already taken: who comes later queues in admission. */
async function coldStart(
  { residency }: Reachable,
  context: RequestContext,
  start: number,
  signal: AbortSignal,
  release: (() => void) | undefined,
): Promise<void> {
  if (residency === undefined) return;
  const cold = !residency.loaded;
  try {
    const waited = await residency.enter(signal);
    if (waited !== undefined) context.coldStartMs = waited;
  } catch (error) {
    release?.();
    throw error;
  } finally {
    if (cold) context.stages.push({ name: 'cold_start', start, end: performance.now() });
  }
}

async function* one(runtime: Runtime, context: RequestContext, pool: string, signal: AbortSignal): AsyncGenerator<EngineEvent> {
  const reachable = runtime.reachable.get(pool);
  if (reachable === undefined) throw new EngineError('ENGINE_UNAVAILABLE', `pool ${pool} cannot be reached from this runtime`);
  const request = engineRequest(runtime, context);
  const queued = performance.now();
  const release = await reachable.admission?.acquire(request.priority, signal);
  const admitted = performance.now();
  context.stages.push({ name: 'admission', start: queued, end: admitted });
  await coldStart(reachable, context, admitted, signal, release);
  const leave = runtime.pools.get(pool)?.enter();
  const start = performance.now();
  context.queueMs += start - queued;
  runtime.metrics.instruments.queueSeconds.observe((start - queued) / 1000);
  context.engineStartedAt = start;
  const spanId = newSpanId();
  try {
    for await (const event of reachable.engine.generate(request, signal, callContext(context, spanId))) {
      if (event.type === 'token' && event.tail !== true) {
        const now = performance.now();
        if (context.tokenTimes.length === 0) runtime.pools.get(pool)?.firstToken(now - queued, now);
        context.tokenTimes.push(now);
      }
      if (event.type === 'prompt') context.promptTokens = event.tokens;
      if (event.type === 'done') {
        context.promptTokens = event.promptTokens;
        context.completionTokens = event.completionTokens;
        context.finishReason = event.finishReason;
        if (event.details !== undefined) context.usageDetails = event.details;
        if (event.trace !== undefined) context.routing = event.trace;
      }
      yield event;
    }
  } finally {
    release?.();
    leave?.();
    reachable.residency?.leave((context.decision?.keep_warm ?? 0) * 1000);
    context.engineEndedAt = performance.now();
    context.stages.push({ name: 'engine', start, end: context.engineEndedAt, spanId });
  }
}

/**
 * Runs a decided request. Yields engine events of the target that served it; `context.target` and `context.fallback` say which.
 * @throws HttpError
 */
export async function* execute(runtime: Runtime, context: RequestContext, signal: AbortSignal): AsyncGenerator<EngineEvent> {
  const decision = context.decision;
  if (decision === undefined) throw new Error('execute needs a decision');
  let failure: unknown;
  let reason: string | undefined;
  for (const { target, primary } of attempts(runtime, decision, context.arm)) {
    if (context.passedOver.some(({ pool }) => pool === target.pool)) {
      reason ??= INCAPABLE;
      continue;
    }
    context.target = target;
    context.fallback = primary ? null : (reason ?? 'ENGINE_UNAVAILABLE');
    let started = false;
    try {
      for await (const event of one(runtime, context, target.pool, signal)) {
        // A prompt that was counted is no answer yet: if the engine dies while it reads it, another may still take over.
        if (event.type === 'prompt' && event.scores === undefined) continue;
        // Counted where it answers, and once: a fallback that fails too is an error and no fallback.
        if (!started && context.fallback !== null)
          runtime.metrics.instruments.fallbacks.inc({ mixgate_reason: context.fallback });
        started = true;
        yield event;
      }
      if (signal.aborted) throw deadline('the request ended before it was complete', 'engine');
      return;
    } catch (error) {
      failure = error;
      // The first reason counts: it is why the decision's own target did not serve.
      reason ??= runtime.reachable.has(target.pool) ? replaceable(error) : 'POOL_UNREACHABLE';
      if (started || signal.aborted || replaceable(error) === undefined) break;
    }
  }
  const why = failure ?? new EngineError('ENGINE_UNAVAILABLE', 'the decision names no target');
  throw toHttp(why, context.request?.endpoint === 'chat' ? 'messages' : 'prompt');
}
