// One completion request from arrival to its last byte: the stages in order, then the answer whole or streamed.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { deadlinePassed } from '../engine/types.ts';
import { parseTraceContext } from '../telemetry/trace-context.ts';
import { answer, limitHeaders, settle } from './answer.ts';
import { conclude } from './conclude.ts';
import { newContext, overheadMs, type RequestAttributes, type RequestContext } from './context.ts';
import { clientClosed, cutShort, errorBody, HttpError, internal, SlowReader, unavailable } from './errors.ts';
import { priceRequest } from './governance.ts';
import { credentialsOf } from './identity.ts';
import { parseRequest } from './openai.ts';
import { decidedQuota, type QuotaLease } from './quota.ts';
import { requireCapable } from './require-capable.ts';
import { decide, traceAllowed, traceLevel } from './route.ts';
import type { Runtime } from './runtime.ts';
import { DONE, frame, writeSlowly } from './sse.ts';

const MAX_HEADER_CHARS = 256;

function header(headers: FastifyRequest['headers'], name: string): string | undefined {
  const value = headers[name];
  const first = Array.isArray(value) ? value[0] : value;
  return first === undefined || first === '' ? undefined : first.slice(0, MAX_HEADER_CHARS);
}

function attributesOf(headers: FastifyRequest['headers']): RequestAttributes {
  const include = new Set(
    header(headers, 'x-mixgate-include')
      ?.split(',')
      .map((part) => part.trim()),
  );
  return {
    dataClass: header(headers, 'x-mixgate-data-class'),
    originRegion: header(headers, 'x-mixgate-origin-region'),
    task: header(headers, 'x-mixgate-task'),
    segment: header(headers, 'x-mixgate-segment'),
    priority: header(headers, 'x-mixgate-priority'),
    session: header(headers, 'x-mixgate-session'),
    includeTimings: include.has('timings'),
    includeMoe: include.has('moe'),
    includeExperts: include.has('experts'),
  };
}

/** The context of a new request. */
function contextOf(request: FastifyRequest): RequestContext {
  const { receivedAt, headers } = request;
  const unixMs = performance.timeOrigin + receivedAt;
  const parent = parseTraceContext(header(headers, 'traceparent'), header(headers, 'tracestate'));
  return newContext(receivedAt, unixMs, attributesOf(headers), parent, request.ip);
}

interface Watch {
  signal: AbortSignal;
  clientGone: () => boolean;
  /** True when a drain took too long and ended this request. */
  cut: () => boolean;
  stop: () => void;
}

/** Aborts when the client goes away, the deadline passes or a drain is over; `stop` ends the watch. */
function watch(runtime: Runtime, reply: FastifyReply): Watch {
  const controller = new AbortController();
  let gone = false;
  let wasCut = false;
  const cut = (): void => {
    wasCut = true;
    controller.abort();
  };
  runtime.cuts.add(cut);
  const onClose = (): void => {
    if (reply.raw.writableFinished) return;
    gone = true;
    controller.abort();
  };
  reply.raw.on('close', onClose);
  const timer = setTimeout(() => controller.abort(deadlinePassed()), runtime.config.limits.deadlineMs);
  return {
    signal: controller.signal,
    clientGone: () => gone,
    cut: () => wasCut,
    stop: () => {
      runtime.cuts.delete(cut);
      clearTimeout(timer);
      reply.raw.off('close', onClose);
    },
  };
}

/** Handles a completion or chat completion request. Answers exactly once, whatever happens. */
export async function handleCompletion(
  runtime: Runtime,
  endpoint: 'completions' | 'chat',
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const { receivedAt } = request;
  const context = contextOf(request);
  const watched = watch(runtime, reply);
  reply.header('x-mixgate-decision-id', context.decisionId);
  // The name under which OpenAI's clients show it in errors.
  reply.header('x-request-id', context.decisionId);
  let quota: QuotaLease | undefined;
  let failure: HttpError | undefined;
  runtime.inFlight++;
  try {
    if (runtime.draining) throw unavailable('draining', 'this runtime is shutting down', 'server');
    const credentials = credentialsOf(request);
    context.identity = await runtime.identify(credentials);
    if (credentials.authorization !== undefined) context.authorization = credentials.authorization;
    stage(context, 'identity', receivedAt);
    const quotaStart = performance.now();
    quota = runtime.quotas.enter(context.identity.tenant, quotaStart);
    stage(context, 'quota', quotaStart);
    context.request = parseRequest(endpoint, request.body);
    const decision = decide(runtime, context);
    requireCapable(runtime, context, decision);
    const { limits } = runtime.config;
    const answerTokens = Math.min(context.request.maxTokens ?? limits.maxTokens, limits.maxTokens);
    quota.reserve(decidedQuota(decision.quota), context.promptEstimate + answerTokens, performance.now());
    const optedIn = context.attributes.includeMoe;
    context.trace = traceLevel(
      runtime.config.trace.mode,
      runtime.config.trace.sample,
      optedIn,
      traceAllowed(decision),
      Math.random(),
    );
    const copied = runtime.shadows.consider(runtime, context);
    if (copied !== undefined) context.shadow = copied;
    await answer({ runtime, context, request: context.request, reply, signal: watched.signal, quota });
  } catch (error) {
    failure = watched.clientGone() ? clientClosed() : watched.cut() ? cutShort() : asHttpError(runtime, error);
    // Before it is known what was used: a request that was cut short pays its prompt.
    context.aborted = watched.signal.aborted;
    settle(context, quota);
    if (watched.clientGone()) runtime.metrics.instruments.cancelled.inc();
    else if (failure instanceof SlowReader) {
      // Nothing more can be said to a client that reads nothing: the connection is all there is to end.
      runtime.metrics.instruments.slowReaders.inc();
      reply.raw.destroy();
    } else await refuse(runtime, reply, failure, context);
  } finally {
    context.aborted = watched.signal.aborted;
    watched.stop();
    settle(context, quota);
    priceRequest(runtime, context);
    runtime.inFlight--;
    conclude(runtime, context, endpoint, watched.clientGone() ? 499 : reply.raw.statusCode, failure);
  }
}

function stage(context: RequestContext, name: string, start: number): void {
  context.stages.push({ name, start, end: performance.now() });
}

function asHttpError(runtime: Runtime, error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  runtime.log(`request failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  return internal();
}

async function refuse(runtime: Runtime, reply: FastifyReply, failure: HttpError, context: RequestContext): Promise<void> {
  if (reply.raw.headersSent) {
    // The stream has begun: the error is its last event.
    const written = await writeSlowly(reply.raw, frame(JSON.stringify(errorBody(failure))) + DONE, runtime.config.limits.stallMs);
    if (written === 'stalled') reply.raw.destroy();
    else reply.raw.end();
    return;
  }
  reply.headers(limitHeaders(runtime, context));
  if (failure.retryAfter !== undefined) reply.header('retry-after', String(failure.retryAfter));
  if (failure.status === 401) reply.header('www-authenticate', 'Bearer');
  reply.header('x-mixgate-overhead-ms', overheadMs(context, performance.now()).toFixed(3));
  await reply.status(failure.status).send(errorBody(failure));
}
