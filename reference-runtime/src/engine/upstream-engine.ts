// Any OpenAI-compatible server (vLLM, SGLang, llama-server) as an engine, over its /v1/completions and /v1/chat/completions: with a circuit
// breaker, and with retries while no byte of an answer was read. After that the request fails, and before it the decision's fallbacks follow.
import { Circuit, type CircuitOptions } from './circuit.ts';
import { shapelessInfo } from './engine-info.ts';
import { type Clock, jitteredBackoffMs, PATIENCE_MS, RetryBudget, SYSTEM_CLOCK } from './retry.ts';
import { sseData } from './sse-parser.ts';
import {
  type CallContext,
  type Engine,
  EngineError,
  type EngineEvent,
  type EngineInfo,
  type EngineStats,
  type FinishReason,
  type GenerateRequest,
  isPastDeadline,
  type PassedOn,
} from './types.ts';
import { type Call, CallFailure, type Opened, open, reasonOf } from './upstream-call.ts';
import { type Chunk, deltaOf, detailsOf, finishReasonOf, requestBody, scoresOf, wholeAnswer } from './upstream-wire.ts';

/** What an upstream server is told about who asks: tenant and workload headers, the client's own Authorization, or nothing. */
export type ForwardedIdentity = 'headers' | 'authorization' | 'none';

export interface UpstreamOptions {
  /** Base URL without /v1. */
  url: string;
  model: string;
  apiKey?: string;
  identity?: ForwardedIdentity;
  /** Attempts after the first, at most. */
  retries?: number;
  /** How long the first byte of an answer may take, in milliseconds. */
  firstByteMs?: number;
  /** Asks a second time when nothing came for so long, milliseconds, and takes what comes first; requests that do not stream only. */
  hedgeMs?: number;
  circuit?: CircuitOptions;
}

export const UPSTREAM_DEFAULTS = { retries: 2, firstByteMs: 30_000, circuit: { failures: 5, openMs: 10_000 } };
const MAX_ANSWER_CHARS = 64 * 1024 * 1024;

/** Visible ASCII as it is, the rest percent-encoded: a name can neither end a header nor look like another one. */
function headerValue(text: string): string {
  return text.toWellFormed().replace(/[^\x21-\x24\x26-\x7e]/gu, (character) => encodeURIComponent(character));
}

/** Of OpenAI's bookkeeping, what names the end user. */
const NAMES_USER = ['user', 'safety_identifier'];

/** What a server gets of a body beside the request itself: a copy has no bookkeeping, and who is not to be named is not. */
function passedTo(identity: ForwardedIdentity, { passed, shadow }: Pick<CallContext, 'passed' | 'shadow'>): PassedOn | undefined {
  if (passed === undefined || (shadow !== true && identity !== 'none')) return passed;
  const kept = Object.entries(passed.bookkeeping).filter(([name]) => shadow !== true && !NAMES_USER.includes(name));
  return { ...passed, bookkeeping: Object.fromEntries(kept) };
}

/** The upstream engine. */
export class UpstreamEngine implements Engine {
  readonly #options: UpstreamOptions & typeof UPSTREAM_DEFAULTS;
  readonly #clock: Clock;
  readonly #circuit: Circuit;
  readonly #budget = new RetryBudget();
  readonly #attempts = { answered: 0, failed: 0, cancelled: 0 };
  #active = 0;
  #retries = 0;
  #hedges = 0;

  constructor(options: UpstreamOptions, clock: Clock = SYSTEM_CLOCK) {
    this.#options = { ...UPSTREAM_DEFAULTS, ...options };
    this.#clock = clock;
    this.#circuit = new Circuit(this.#options.circuit, () => clock.now());
  }

  async load(): Promise<EngineInfo> {
    return shapelessInfo({ engine: 'upstream', model: this.#options.model }, 'the routing of an upstream server is not visible');
  }

  stats(): EngineStats {
    return {
      state: this.#circuit.state === 'open' ? 'failed' : 'ready',
      active: this.#active,
      sequences: Number.MAX_SAFE_INTEGER,
      restarts: 0,
      rssBytes: 0,
      upstream: {
        circuit: this.#circuit.state,
        opened: this.#circuit.opened,
        attempts: { ...this.#attempts },
        retries: this.#retries,
        hedges: this.#hedges,
      },
    };
  }

  async dispose(): Promise<void> {}

  async *generate(request: GenerateRequest, signal: AbortSignal, context?: CallContext): AsyncGenerator<EngineEvent> {
    this.#active++;
    try {
      const opened = await this.#persist(this.#call(request, context), context?.streaming === false, signal);
      yield* this.#read(opened, request, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof CallFailure) throw error.error;
      throw error;
    } finally {
      this.#active--;
    }
  }

  #call(request: GenerateRequest, context: CallContext | undefined): Call {
    const { url, model, apiKey, firstByteMs, identity = 'headers' } = this.#options;
    const path = request.prompt.kind === 'chat' ? '/v1/chat/completions' : '/v1/completions';
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (apiKey !== undefined) headers['authorization'] = `Bearer ${apiKey}`;
    if (context !== undefined) {
      headers['traceparent'] = context.traceparent;
      if (context.tracestate !== undefined) headers['tracestate'] = context.tracestate;
      if (context.shadow === true) headers['x-mixgate-shadow'] = 'true';
      if (identity === 'headers') {
        headers['x-mixgate-tenant'] = headerValue(context.tenant);
        headers['x-mixgate-workload'] = headerValue(context.workload);
      } else if (identity === 'authorization' && context.authorization !== undefined)
        headers['authorization'] = context.authorization;
    }
    const passed = context === undefined ? undefined : passedTo(identity, context);
    const body = JSON.stringify(requestBody(model, request, passed));
    return { url: `${url.replace(/\/+$/, '')}${path}`, headers, body, firstByteMs };
  }

  /** Attempts until one has begun to answer. @throws CallFailure of the last one, or EngineError when none may be made */
  async #persist(call: Call, hedge: boolean, signal: AbortSignal): Promise<Opened> {
    this.#budget.deposit();
    let last: CallFailure | undefined;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#hedged(call, hedge, signal);
      } catch (error) {
        if (signal.aborted || !(error instanceof CallFailure)) throw last !== undefined && !signal.aborted ? last : error;
        last = error;
        const wait = error.afterMs ?? jitteredBackoffMs(attempt, this.#clock.random());
        if (!error.repeatable || attempt > this.#options.retries || wait > PATIENCE_MS || !this.#budget.withdraw()) throw error;
        this.#retries++;
        await this.#clock.sleep(wait, signal);
      }
    }
  }

  async #attempt(call: Call, signal: AbortSignal): Promise<Opened> {
    const permit = this.#circuit.enter();
    if (permit === undefined) {
      const { waitMs } = this.#circuit;
      const seconds = Math.ceil(waitMs / 1000);
      throw new EngineError(
        'ENGINE_UNAVAILABLE',
        `the upstream failed repeatedly and is left alone; try again in ${seconds} s`,
        waitMs,
      );
    }
    try {
      return await open(call, permit, signal);
    } catch (error) {
      this.#attempts[signal.aborted && !isPastDeadline(signal) ? 'cancelled' : 'failed']++;
      throw error;
    }
  }

  /** One attempt, or two at once when the first is slow; the loser is cancelled. */
  async #hedged(call: Call, hedge: boolean, signal: AbortSignal): Promise<Opened> {
    const { hedgeMs } = this.#options;
    if (!hedge || hedgeMs === undefined) return await this.#attempt(call, signal);
    const lanes = [new AbortController(), new AbortController()] as const;
    const abort = (): void => {
      for (const lane of lanes) lane.abort(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    const first = this.#attempt(call, lanes[0].signal);
    const patience = new AbortController();
    try {
      const slow = await Promise.race([
        first.then(() => false),
        this.#clock.sleep(hedgeMs, patience.signal).then(
          () => true,
          () => false,
        ),
      ]);
      if (!slow || !this.#budget.withdraw()) return keepAborting(await first, lanes[0], signal);
      this.#hedges++;
      const second = this.#attempt(call, lanes[1].signal);
      const tagged = [first, second].map((lane, index) => lane.then((opened) => ({ opened, index })));
      const { opened, index } = await Promise.any(tagged).catch((error: unknown) => {
        throw error instanceof AggregateError ? error.errors[0] : error;
      });
      const other = index === 0 ? 1 : 0;
      lanes[other].abort(new Error('another attempt was faster'));
      (other === 0 ? first : second).then(
        (loser) => {
          loser.permit.released();
          this.#attempts.cancelled++;
          void loser.chunks.return(undefined);
        },
        () => {},
      );
      return keepAborting(opened, lanes[index as 0 | 1], signal);
    } finally {
      patience.abort();
      signal.removeEventListener('abort', abort);
    }
  }

  async *#read(opened: Opened, request: GenerateRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const { permit } = opened;
    let complete = false;
    let broken = false;
    try {
      yield* request.echo ? wholeAnswer(await whole(opened.chunks), request) : streamed(opened.chunks);
      complete = true;
    } catch (error) {
      broken = !signal.aborted;
      if (error instanceof EngineError || signal.aborted) throw error;
      throw new EngineError('UPSTREAM_ERROR', `the answer of the upstream broke off: ${reasonOf(error)}`);
    } finally {
      // Neither: the reader went away.
      if (complete) permit.succeeded();
      else if (broken) permit.failed();
      else permit.released();
      this.#attempts[complete ? 'answered' : broken ? 'failed' : 'cancelled']++;
      await opened.chunks.return(undefined);
    }
  }
}

/** An answer whose lane still ends with the request. */
function keepAborting(opened: Opened, lane: AbortController, signal: AbortSignal): Opened {
  const abort = (): void => lane.abort(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  return opened;
}

async function whole(chunks: AsyncIterable<Uint8Array>): Promise<Chunk> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of chunks) {
    text += decoder.decode(bytes, { stream: true });
    if (text.length > MAX_ANSWER_CHARS)
      throw new EngineError('UPSTREAM_ERROR', 'the answer of the upstream is larger than 64 MiB');
  }
  return parsed(text);
}

function parsed(text: string): Chunk {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Said below.
  }
  if (typeof value !== 'object' || value === null)
    throw new EngineError('UPSTREAM_ERROR', `the upstream sent what is no JSON object: ${text.slice(0, 100)}`);
  return value as Chunk;
}

async function* streamed(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<EngineEvent> {
  let finishReason: FinishReason | undefined;
  let usage: Chunk['usage'];
  let count = 0;
  let done = false;
  for await (const data of sseData(chunks)) {
    if (data === '[DONE]') {
      done = true;
      break;
    }
    const chunk = parsed(data);
    if (chunk.error !== undefined)
      throw new EngineError('UPSTREAM_ERROR', `the upstream failed: ${chunk.error.message ?? 'no message'}`);
    usage = chunk.usage ?? usage;
    const choice = chunk.choices?.[0];
    if (choice === undefined) continue;
    if (typeof choice.finish_reason === 'string') finishReason = finishReasonOf(choice.finish_reason);
    const text = choice.text ?? choice.delta?.content ?? '';
    const delta = deltaOf(choice.delta);
    const [score, ...more] = scoresOf(choice.logprobs);
    if (text === '' && score === undefined && delta === undefined) continue;
    count += 1 + more.length;
    yield { type: 'token', text, ...(score === undefined ? {} : { score }), ...(delta === undefined ? {} : { delta }) };
    // Several tokens in one chunk: the text is the first one's, as of a whole answer.
    for (const next of more) yield { type: 'token', text: '', score: next };
  }
  // A connection that ends early ends like any other: only the protocol tells half an answer from a whole one.
  if (!done && finishReason === undefined)
    throw new EngineError('UPSTREAM_ERROR', 'the answer of the upstream ended before it was complete');
  const details = detailsOf(usage);
  yield {
    type: 'done',
    finishReason: finishReason ?? 'stop',
    promptTokens: usage?.prompt_tokens ?? 0,
    completionTokens: usage?.completion_tokens ?? count,
    ...(details === undefined ? {} : { details }),
  };
}
