// One completion request from arrival to its last byte: the stages in order, then the answer whole or streamed.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { deadlinePassed, type EngineEvent, type FinishReason, type TokenScore } from '../engine/types.ts';
import { parseTraceContext } from '../telemetry/trace-context.ts';
import { newContext, operationName, overheadMs, type RequestAttributes, type RequestContext, tokensUsed } from './context.ts';
import { costHeader } from './cost.ts';
import { clientClosed, cutShort, errorBody, HttpError, internal, SlowReader, unavailable } from './errors.ts';
import { execute } from './execute.ts';
import { countGovernance, logDecision, priceRequest } from './governance.ts';
import { credentialsOf } from './identity.ts';
import { MessageBuilder } from './message.ts';
import { mixgateObject } from './mixgate-object.ts';
import { type CompletionRequest, parseRequest } from './openai.ts';
import { decidedQuota, type QuotaLease } from './quota.ts';
import { rateLimitHeaders } from './rate-limit.ts';
import { requestRecord } from './request-record.ts';
import { requestSpans } from './request-spans.ts';
import { requireCapable } from './require-capable.ts';
import { ChunkWriter, completionBody, type ResponseHead, type Usage } from './respond.ts';
import { decide, servedModels, traceAllowed, traceLevel } from './route.ts';
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
    await answer(runtime, context, context.request, reply, watched.signal, quota);
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

/** What was reserved and not used is the tenant's again. The first call counts. */
function settle(context: RequestContext, quota: QuotaLease | undefined): void {
  const used = tokensUsed(context);
  quota?.settle(used.prompt + used.completion, performance.now());
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

function headOf(context: RequestContext, endpoint: 'completions' | 'chat', fallbackModel: string): ResponseHead {
  return {
    id: `${endpoint === 'chat' ? 'chatcmpl' : 'cmpl'}-${context.decisionId}`,
    created: Number(context.receivedUnixNano / 1_000_000_000n),
    model: context.target?.model ?? fallbackModel,
  };
}

async function answer(
  runtime: Runtime,
  context: RequestContext,
  request: CompletionRequest,
  reply: FastifyReply,
  signal: AbortSignal,
  quota: QuotaLease,
): Promise<void> {
  const events = execute(runtime, context, signal);
  // The first event decides between an HTTP error and a stream.
  const first = await events.next();
  const head = headOf(context, request.endpoint, runtime.config.model.id);
  if (request.stream) await stream(runtime, context, request, head, first, events, reply, signal);
  else await whole(runtime, context, request, head, first, events, reply, quota);
}

/** What the tenant may still ask for; nobody's when there is no tenant. */
function limitHeaders(runtime: Runtime, context: RequestContext): Record<string, string> {
  const tenant = context.identity?.tenant;
  return tenant === undefined ? {} : rateLimitHeaders(runtime.quotas.limits(tenant, performance.now()));
}

function usageOf({ promptTokens, completionTokens, usageDetails }: RequestContext): Usage {
  return { promptTokens, completionTokens, details: usageDetails };
}

async function whole(
  runtime: Runtime,
  context: RequestContext,
  request: CompletionRequest,
  head: ResponseHead,
  first: IteratorResult<EngineEvent>,
  events: AsyncGenerator<EngineEvent>,
  reply: FastifyReply,
  quota: QuotaLease,
): Promise<void> {
  let text = '';
  let message: MessageBuilder | undefined;
  let promptScores: TokenScore[] = [];
  const scores: TokenScore[] = [];
  let finishReason: FinishReason = 'stop';
  for (let step = first; !step.done; step = await events.next()) {
    const event = step.value;
    if (event.type === 'prompt') promptScores = event.scores ?? [];
    else if (event.type === 'token') {
      text += event.text;
      if (event.score !== undefined) scores.push(event.score);
      if (event.delta !== undefined) {
        message ??= new MessageBuilder();
        message.add(event.delta);
      }
    } else finishReason = event.finishReason;
  }
  const usage = usageOf(context);
  const body = completionBody(head, request, { text, parts: message?.parts(), promptScores, scores, finishReason, usage });
  const now = performance.now();
  priceRequest(runtime, context);
  if (context.cost !== undefined) reply.header('x-mixgate-cost', costHeader(context.cost));
  const mixgate = mixgateObject(context, now);
  if (mixgate !== undefined) body['mixgate'] = mixgate;
  // Before the tenant is told what is left.
  settle(context, quota);
  reply.headers(limitHeaders(runtime, context));
  reply.header('x-mixgate-overhead-ms', overheadMs(context, now).toFixed(3));
  await reply.send(body);
}

async function stream(
  runtime: Runtime,
  context: RequestContext,
  request: CompletionRequest,
  head: ResponseHead,
  first: IteratorResult<EngineEvent>,
  events: AsyncGenerator<EngineEvent>,
  reply: FastifyReply,
  signal: AbortSignal,
): Promise<void> {
  reply.hijack();
  const raw = reply.raw;
  raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
    'x-mixgate-decision-id': context.decisionId,
    'x-request-id': context.decisionId,
    ...limitHeaders(runtime, context),
    // What can be known before the body: the stages up to the first event.
    'x-mixgate-overhead-ms': overheadMs(context, performance.now()).toFixed(3),
  });
  const writer = new ChunkWriter(head, request);
  const { stallMs } = runtime.config.limits;
  const write = async (text: string): Promise<void> => {
    if ((await writeSlowly(raw, text, stallMs, signal)) === 'stalled') throw new SlowReader(stallMs);
  };
  const send = async (chunk: object | undefined): Promise<void> => {
    if (chunk !== undefined) await write(frame(JSON.stringify(chunk)));
  };
  try {
    for (let step = first; !step.done; step = await events.next()) {
      const event = step.value;
      if (event.type === 'prompt') await send(writer.prompt(event.scores ?? []));
      else if (event.type === 'token') await send(writer.token(event.text, event.score, event.delta));
      else await send(writer.finish(event.finishReason));
    }
  } catch (error) {
    // Whatever ends the stream ends the generation: an engine that nobody reads from would keep its sequence.
    await events.return(undefined);
    throw error;
  }
  const usage = usageOf(context);
  priceRequest(runtime, context);
  await send(writer.tail(usage, mixgateObject(context, performance.now())));
  await write(DONE);
  raw.end();
}

/** Stage 7: what a finished request leaves behind in metrics, spans and router statistics. */
function conclude(
  runtime: Runtime,
  context: RequestContext,
  endpoint: 'completions' | 'chat',
  status: number,
  failure: HttpError | undefined,
): void {
  const now = performance.now();
  const { metrics, telemetry } = runtime;
  const recorded = context.sampled && telemetry.wants('traces');
  const model = context.target?.model ?? runtime.config.model.id;
  const requested = context.request?.model ?? runtime.config.model.id;
  const served = servedModels(runtime).has(requested);
  const first = context.tokenTimes[0];
  const last = context.tokenTimes.at(-1);
  const gaps = context.tokenTimes.length - 1;
  const tenant = runtime.tenantLabels.of(context.identity?.tenant, context.decision?.allow === true);
  const used = tokensUsed(context);
  metrics.observe({
    labels: {
      operation: endpoint === 'chat' ? 'chat' : operationName(context.request),
      requestModel: served ? requested : '_OTHER',
      responseModel: model,
    },
    tenant,
    seconds: (now - context.receivedAt) / 1000,
    errorType: failure?.code,
    firstTokenSeconds: first === undefined ? undefined : (first - context.receivedAt) / 1000,
    perTokenSeconds: first === undefined || last === undefined || gaps < 1 ? undefined : (last - first) / 1000 / gaps,
    promptTokens: used.prompt,
    completionTokens: used.completion,
    span: recorded && telemetry.wants('metrics') ? { traceId: context.traceId, spanId: context.spanId } : undefined,
  });
  countGovernance(runtime, context, tenant, model, failure?.code);
  logDecision(runtime, context);
  metrics.instruments.overheadSeconds.observe(overheadMs(context, now) / 1000);
  if (failure !== undefined && context.engineStartedAt === undefined)
    metrics.instruments.rejections.inc({ mixgate_stage: failure.stage, mixgate_reason: failure.code });
  if (context.routing !== undefined && context.identity !== undefined) {
    metrics.routing(model, context.routing);
    const { segment, task } = context.attributes;
    const request = {
      id: context.decisionId,
      tenant: context.identity.tenant,
      model,
      version: context.target?.version ?? '',
      segment: segment ?? task,
    };
    runtime.moe.add(request, context.routing, Date.now());
  }
  if (recorded) {
    const error = failure === undefined ? undefined : { type: failure.code, message: failure.message };
    // A name of many would be no name: a model that nobody serves stands in the attribute only.
    const named = served ? context.request?.model : undefined;
    telemetry.spans(requestSpans(context, now, { status, error, model: named }), performance.timeOrigin + now);
  }
  if (telemetry.wants('logs')) telemetry.record(requestRecord(context, now, status, failure?.code));
}
