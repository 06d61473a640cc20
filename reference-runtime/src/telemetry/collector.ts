// One OTLP/HTTP endpoint: a POST and what its answer means (OTLP specification 1.9, "OTLP/HTTP Response").
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { retryAfterMs } from '../engine/retry.ts';
import { CONTENT_TYPE, encodingOf, type Protocol, protocolOf } from './encoding.ts';
import type { Signal } from './signal.ts';

/** Where one signal goes. `url` is complete, path included. */
export interface Endpoint {
  /** Label of metrics and logs; from the configuration. */
  name: string;
  url: string;
  protocol: Protocol;
  /** Sent with every request; never logged. */
  headers: Readonly<Record<string, string>>;
  /** File with `Name: value` lines, read at every request, so that a rotated secret needs no restart. */
  headersFile?: string;
  /** PEM files. */
  ca?: string;
  cert?: string;
  key?: string;
}

/**
 * What became of a request. `accepted`: of its items `rejected` were not taken (partial success). `retry`: the same request may be
 * sent again. `refused`: not to this collector. `invalid`: to no collector, the data itself is refused.
 */
export type Outcome =
  | { kind: 'accepted'; rejected: number; message?: string }
  | { kind: 'retry'; reason: string; afterMs?: number }
  | { kind: 'refused'; reason: string }
  | { kind: 'invalid'; reason: string };

const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_REASON = 200;
/** OTLP specification, "Retryable Response Codes". */
const RETRYABLE = new Set([429, 502, 503, 504]);
/** The body, not who sent it, is what these refuse. */
const INVALID = new Set([400, 413, 415, 422]);
const REJECTED_FIELD = { traces: 'rejectedSpans', metrics: 'rejectedDataPoints', logs: 'rejectedLogRecords' } as const;

/** What goes out. `gzipped` says how `body` is encoded. */
export interface Payload {
  body: Buffer;
  gzipped: boolean;
}

interface Answer {
  status: number;
  retryAfter: string | undefined;
  /** The decoded body; undefined where there is none, or none that the protocol knows. */
  message: unknown;
}

/** Sends requests of one signal to one endpoint over kept-alive connections. */
export class Collector {
  readonly name: string;
  readonly protocol: Protocol;
  readonly #endpoint: Endpoint;
  readonly #url: URL;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #userAgent: string;

  /** @throws Error when a PEM file cannot be read */
  constructor(endpoint: Endpoint, userAgent: string) {
    this.name = endpoint.name;
    this.protocol = endpoint.protocol;
    this.#endpoint = endpoint;
    this.#url = new URL(endpoint.url);
    this.#userAgent = userAgent;
    const pem = (file: string | undefined): Buffer | undefined => (file === undefined ? undefined : readFileSync(file));
    this.#agent =
      this.#url.protocol === 'https:'
        ? new HttpsAgent({ keepAlive: true, ca: pem(endpoint.ca), cert: pem(endpoint.cert), key: pem(endpoint.key) })
        : new HttpAgent({ keepAlive: true });
  }

  /** Never throws; `payload` is in this collector's protocol. `abort` ends the call. */
  async send(signal: Signal, payload: Payload, timeoutMs: number, abort: AbortSignal): Promise<Outcome> {
    try {
      const answer = await this.#post(signal, payload, AbortSignal.any([AbortSignal.timeout(timeoutMs), abort]));
      return outcomeOf(signal, answer, Date.now());
    } catch (error) {
      return { kind: 'retry', reason: reasonOf(error) };
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #headers(): Promise<Record<string, string>> {
    const { headers, headersFile } = this.#endpoint;
    if (headersFile === undefined) return { ...headers };
    return { ...headers, ...parseHeaderLines(await readFile(headersFile, 'utf8')) };
  }

  async #post(kind: Signal, { body, gzipped }: Payload, signal: AbortSignal): Promise<Answer> {
    const headers = {
      ...(await this.#headers()),
      'content-type': CONTENT_TYPE[this.protocol],
      'content-length': String(body.length),
      'user-agent': this.#userAgent,
      ...(gzipped ? { 'content-encoding': 'gzip' } : {}),
    };
    return new Promise((resolve, reject) => {
      const options = { method: 'POST', headers, agent: this.#agent, signal };
      const onAnswer = (answer: IncomingMessage): void => {
        readAnswer(answer, kind, this.protocol).then(resolve, reject);
      };
      const request =
        this.#url.protocol === 'https:' ? httpsRequest(this.#url, options, onAnswer) : httpRequest(this.#url, options, onAnswer);
      request.on('error', reject);
      request.end(body);
    });
  }
}

async function readAnswer(answer: IncomingMessage, signal: Signal, asked: Protocol): Promise<Answer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length;
    // What is longer than any answer of the protocol is not read: the status says enough.
    if (size > MAX_ANSWER_BYTES) break;
    chunks.push(chunk);
  }
  const type = answer.headers['content-type'];
  return {
    status: answer.statusCode ?? 0,
    retryAfter: answer.headers['retry-after'],
    message:
      size === 0 || size > MAX_ANSWER_BYTES
        ? undefined
        : await decoded(signal, type === undefined ? asked : protocolOf(type), Buffer.concat(chunks)),
  };
}

async function decoded(signal: Signal, protocol: Protocol | undefined, body: Buffer): Promise<unknown> {
  if (protocol === undefined) return undefined;
  try {
    return (await encodingOf(protocol)).decode(signal, body);
  } catch {
    // The status stands for itself.
    return undefined;
  }
}

/** The meaning of an answer; `nowMs` is for a Retry-After that is a date. */
export function outcomeOf(signal: Signal, { status, retryAfter, message }: Answer, nowMs: number): Outcome {
  if (status >= 200 && status < 300) return { kind: 'accepted', ...partialSuccess(signal, message) };
  const reason = `HTTP ${status}`;
  if (RETRYABLE.has(status)) {
    const afterMs = retryAfterMs(retryAfter, nowMs);
    return { kind: 'retry', reason, ...(afterMs === undefined ? {} : { afterMs }) };
  }
  return INVALID.has(status) ? { kind: 'invalid', reason } : { kind: 'refused', reason };
}

function partialSuccess(signal: Signal, answer: unknown): { rejected: number; message?: string } {
  const partial = fields(fields(answer)?.['partialSuccess']);
  // A 64-bit integer: a string by the encoding's rules, a number where a server is careless.
  const rejected = Number(partial?.[REJECTED_FIELD[signal]] ?? 0);
  const message = partial?.['errorMessage'];
  return {
    rejected: Number.isSafeInteger(rejected) && rejected > 0 ? rejected : 0,
    ...(typeof message === 'string' && message !== '' ? { message: printable(message) } : {}),
  };
}

function fields(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}

/** `Name: value` lines, as curl's `-H @file` reads them; empty lines and `#` comments are skipped. @throws Error that names no value */
export function parseHeaderLines(text: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const match = /^(?<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(?<value>[\t\x20-\x7e]*)$/.exec(line);
    if (match?.groups === undefined) throw new Error(`headers file, line ${index + 1}: expected \`Name: value\``);
    headers[(match.groups['name'] as string).toLowerCase()] = (match.groups['value'] as string).trim();
  }
  return headers;
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_REASON);
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  if (error.name === 'TimeoutError' || (error.cause instanceof Error && error.cause.name === 'TimeoutError')) return 'timeout';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return printable(code ?? error.message);
}
