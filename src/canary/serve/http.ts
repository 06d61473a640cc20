import type { IncomingMessage, ServerResponse } from 'node:http';
import { isMixgateError, messageOf } from '../../core/errors.ts';
import { nestingOf } from '../../core/json.ts';
import { readBounded } from '../../core/read-bounded.ts';

/** An answer that is not a judgement, as RFC 9457 problem details. */
export class HttpProblem extends Error {
  readonly status: number;
  readonly details: readonly string[];
  constructor(status: number, message: string, details: readonly string[] = []) {
    super(message);
    this.status = status;
    this.details = details;
  }
}

export interface Reply {
  readonly status: number;
  /** Text and bytes are sent as they are, anything else as JSON. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'The request cannot be judged',
  401: 'Not without a token',
  403: 'Not from there',
  404: 'No such endpoint',
  405: 'Method not allowed',
  408: 'The request took too long',
  413: 'The request is too large',
  415: 'The request is not JSON',
  422: 'The case is more than this server judges',
  500: 'A fault of mixgate',
  502: 'Prometheus did not answer the query',
  503: 'Too many judgements at once',
};

const EXTRA: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  401: { 'www-authenticate': 'Bearer' },
  503: { 'retry-after': '1' },
};

export function problemReply(problem: HttpProblem): Reply {
  const { status, message, details } = problem;
  return {
    status,
    headers: { 'content-type': 'application/problem+json', ...EXTRA[status] },
    body: {
      type: 'about:blank',
      title: TITLES[status] ?? 'Error',
      status,
      detail: message,
      ...(details.length === 0 ? {} : { errors: details }),
    },
  };
}

export function send(response: ServerResponse, reply: Reply): void {
  const { body } = reply;
  const bytes =
    body instanceof Uint8Array ? body : Buffer.from(typeof body === 'string' ? body : `${JSON.stringify(body)}\n`, 'utf8');
  response.writeHead(reply.status, {
    'content-type': 'application/json',
    'content-length': String(bytes.byteLength),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...reply.headers,
  });
  response.end(bytes);
}

/** Deepest accepted nesting; a Kayenta request has about ten levels. */
const MAX_DEPTH = 64;

/** The body, not yet parsed, bounded in size. A type other than JSON is refused: a page in a browser can then not send one unasked. */
export async function bodyOf(request: IncomingMessage, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  if (!/^application\/(?:[\w.-]+\+)?json\b/i.test(request.headers['content-type'] ?? ''))
    throw new HttpProblem(415, 'The body must be JSON: send `content-type: application/json`.');
  const tooLarge = (): HttpProblem => new HttpProblem(413, `The body holds more than ${maxBytes} bytes; judge fewer samples.`);
  // A copy: a buffer may lie in Node's pool, which cannot be handed to a thread.
  return new Uint8Array(await readBounded(request, maxBytes, tooLarge));
}

/** @throws HttpProblem 400 for what is not JSON or nested too deeply */
export function parseJson(bytes: Uint8Array<ArrayBuffer>): unknown {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  if (nestingOf(text) > MAX_DEPTH) throw new HttpProblem(400, `The body is nested deeper than ${MAX_DEPTH} levels.`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HttpProblem(400, `The body is not JSON: ${messageOf(cause).slice(0, 200)}.`);
  }
}

/** Bad input is the caller's, an unreachable Prometheus is a gateway's; anything else is ours and says no more than that. */
export function asProblem(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (isMixgateError(error)) return new HttpProblem(error.exitCode === 2 ? 400 : 502, error.message.slice(0, 2_000));
  return new HttpProblem(500, 'The request could not be judged.');
}

export function numberOr(value: unknown, fallback: number): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : fallback;
}
