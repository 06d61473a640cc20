// One call of an upstream server up to the first byte of its answer: the last moment at which another attempt changes nothing the client
// could have seen.
import type { Permit } from './circuit.ts';
import { retryAfterMs } from './retry.ts';
import { EngineError, isPastDeadline } from './types.ts';

const MAX_ERROR_BYTES = 4096;
/** Gateways say these when the server behind them did not take the request on. */
const REPEATABLE_STATUS = new Set([502, 503, 504]);

export interface Call {
  url: string;
  headers: Record<string, string>;
  body: string;
  firstByteMs: number;
}

/** An answer that has begun. `chunks` is to be read to its end, or closed. */
export interface Opened {
  chunks: AsyncGenerator<Uint8Array>;
  permit: Permit;
}

/** A call without an answer. `repeatable`: no byte of an answer was read and another attempt may help, after `afterMs` if given. */
export class CallFailure extends Error {
  readonly error: EngineError;
  readonly repeatable: boolean;
  readonly afterMs: number | undefined;
  constructor(error: EngineError, repeatable: boolean, afterMs?: number) {
    super(error.message);
    this.error = error;
    this.repeatable = repeatable;
    this.afterMs = afterMs;
  }
}

/** The reason of a failed fetch: its cause says more than "fetch failed". */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message;
}

/** The beginning of a body as text; the rest is not read. */
async function beginning(response: Response): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  try {
    for await (const bytes of response.body ?? []) {
      text += decoder.decode(bytes, { stream: true });
      if (text.length >= MAX_ERROR_BYTES) break;
    }
  } catch {
    // What came is enough for a message.
  }
  return text.slice(0, 500);
}

/** OpenAI's error message out of a body, or the body itself where it is something else. */
function said(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: { message?: unknown } };
    if (typeof error?.message === 'string') return error.message;
  } catch {
    // An HTML page of a proxy, or the beginning of a long body.
  }
  return body;
}

async function refusal(response: Response, permit: Permit): Promise<CallFailure> {
  const { status } = response;
  const text = said(await beginning(response));
  const afterMs = retryAfterMs(response.headers.get('retry-after'), Date.now());
  const error = (code: 'BAD_PROMPT' | 'UPSTREAM_ERROR'): EngineError =>
    new EngineError(
      code,
      code === 'BAD_PROMPT' ? `the upstream refused the request: ${text}` : `the upstream answered ${status}: ${text}`,
      afterMs,
    );
  if (REPEATABLE_STATUS.has(status)) {
    permit.failed();
    return new CallFailure(error('UPSTREAM_ERROR'), true, afterMs);
  }
  if (status === 429) {
    // Not broken, busy: only the server knows when it is worth asking again.
    permit.released();
    return new CallFailure(error('UPSTREAM_ERROR'), afterMs !== undefined, afterMs);
  }
  if (status >= 500) permit.failed();
  else permit.succeeded();
  return new CallFailure(error(status === 400 ? 'BAD_PROMPT' : 'UPSTREAM_ERROR'), false);
}

async function* from(
  first: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
  close: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield first;
    for (let step = await rest.next(); !step.done; step = await rest.next()) yield step.value;
  } finally {
    close();
  }
}

/** Calls and waits for the first byte. @throws CallFailure; the signal's reason when it was aborted */
export async function open(call: Call, permit: Permit, signal: AbortSignal): Promise<Opened> {
  const controller = new AbortController();
  const abort = (): void => controller.abort(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    controller.abort();
  }, call.firstByteMs);
  const close = (): void => {
    signal.removeEventListener('abort', abort);
    controller.abort();
  };
  let opened = false;
  try {
    const response = await fetch(call.url, {
      method: 'POST',
      headers: call.headers,
      body: call.body,
      redirect: 'manual',
      signal: controller.signal,
    });
    if (!response.ok || response.body === null) throw await refusal(response, permit);
    const chunks = response.body[Symbol.asyncIterator]();
    const first = await chunks.next();
    if (first.done) throw new Error('it answered without a body');
    permit.answering();
    opened = true;
    return { chunks: from(first.value, chunks, close), permit };
  } catch (error) {
    if (error instanceof CallFailure) throw error;
    if (signal.aborted) {
      // Who lets a whole deadline pass is as silent as one who lets firstByteMs pass, and of use to the next request no more than that.
      if (isPastDeadline(signal)) permit.failed();
      else permit.released();
      throw signal.reason;
    }
    permit.failed();
    // A server that is silent for so long may well be working on it: asking again would double that.
    if (late) {
      const silent = new EngineError('UPSTREAM_ERROR', `the upstream answered nothing within ${call.firstByteMs} ms`);
      throw new CallFailure(silent, false);
    }
    throw new CallFailure(new EngineError('UPSTREAM_ERROR', `the upstream cannot be reached: ${reasonOf(error)}`), true);
  } finally {
    clearTimeout(timer);
    if (!opened) close();
  }
}
