// The answer to a decided request: one JSON document, or server-sent events.
import type { FastifyReply } from 'fastify';
import type { EngineEvent, FinishReason, TokenScore } from '../engine/types.ts';
import { overheadMs, type RequestContext, tokensUsed } from './context.ts';
import { costHeader } from './cost.ts';
import { SlowReader } from './errors.ts';
import { execute } from './execute.ts';
import { priceRequest } from './governance.ts';
import { MessageBuilder } from './message.ts';
import { mixgateObject } from './mixgate-object.ts';
import type { CompletionRequest } from './openai.ts';
import type { QuotaLease } from './quota.ts';
import { rateLimitHeaders } from './rate-limit.ts';
import { ChunkWriter, completionBody, type ResponseHead, type Usage } from './respond.ts';
import type { Runtime } from './runtime.ts';
import { DONE, frame, writeSlowly } from './sse.ts';

function headOf(context: RequestContext, endpoint: 'completions' | 'chat', fallbackModel: string): ResponseHead {
  return {
    id: `${endpoint === 'chat' ? 'chatcmpl' : 'cmpl'}-${context.decisionId}`,
    created: Number(context.receivedUnixNano / 1_000_000_000n),
    model: context.target?.model ?? fallbackModel,
  };
}

/** A decided request and where its answer goes. */
export interface Answering {
  readonly runtime: Runtime;
  readonly context: RequestContext;
  readonly request: CompletionRequest;
  readonly reply: FastifyReply;
  readonly signal: AbortSignal;
  readonly quota: QuotaLease;
}

/** The engine's events, of which the first decides between an HTTP error and a stream. */
interface Events {
  readonly first: IteratorResult<EngineEvent>;
  readonly rest: AsyncGenerator<EngineEvent>;
}

/** Runs a decided request and answers it, whole or as a stream. @throws HttpError */
export async function answer(to: Answering): Promise<void> {
  const { runtime, context, request, signal } = to;
  const rest = execute(runtime, context, signal);
  const events = { first: await rest.next(), rest };
  const head = headOf(context, request.endpoint, runtime.config.model.id);
  if (request.stream) await stream(to, head, events);
  else await whole(to, head, events);
}

/** What the tenant may still ask for; nobody's when there is no tenant. */
export function limitHeaders(runtime: Runtime, context: RequestContext): Record<string, string> {
  const tenant = context.identity?.tenant;
  return tenant === undefined ? {} : rateLimitHeaders(runtime.quotas.limits(tenant, performance.now()));
}

function usageOf({ promptTokens, completionTokens, usageDetails }: RequestContext): Usage {
  return { promptTokens, completionTokens, details: usageDetails };
}

async function whole({ runtime, context, request, reply, quota }: Answering, head: ResponseHead, events: Events): Promise<void> {
  let text = '';
  let message: MessageBuilder | undefined;
  let promptScores: TokenScore[] = [];
  const scores: TokenScore[] = [];
  let finishReason: FinishReason = 'stop';
  for (let step = events.first; !step.done; step = await events.rest.next()) {
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
  { runtime, context, request, reply, signal }: Answering,
  head: ResponseHead,
  events: Events,
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
    for (let step = events.first; !step.done; step = await events.rest.next()) {
      const event = step.value;
      if (event.type === 'prompt') await send(writer.prompt(event.scores ?? []));
      else if (event.type === 'token') await send(writer.token(event.text, event.score, event.delta));
      else await send(writer.finish(event.finishReason));
    }
  } catch (error) {
    // Whatever ends the stream ends the generation: an engine that nobody reads from would keep its sequence.
    await events.rest.return(undefined);
    throw error;
  }
  const usage = usageOf(context);
  priceRequest(runtime, context);
  await send(writer.tail(usage, mixgateObject(context, performance.now())));
  await write(DONE);
  raw.end();
}

/** What was reserved and not used is the tenant's again. The first call counts. */
export function settle(context: RequestContext, quota: QuotaLease | undefined): void {
  const used = tokensUsed(context);
  quota?.settle(used.prompt + used.completion, performance.now());
}
