import { ConfigurationError, ExternalError } from '../core/errors.ts';
import { readBounded } from '../core/read-bounded.ts';

/** Prometheus refuses range queries with more points than this ("exceeded maximum resolution"). */
export const MAX_POINTS = 11_000;
const TIMEOUT_MS = 60_000;
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

export interface PrometheusOptions {
  readonly signal?: AbortSignal;
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string | undefined;
  /** Largest answer that is read. Default 64 MiB. */
  readonly maxBytes?: number | undefined;
  readonly warn?: (message: string) => void;
  /** What else a user can do when it does not answer, for the error. */
  readonly instead?: string;
}

export type ApiResult =
  | {
      readonly resultType: 'vector';
      readonly result: readonly { readonly metric: Record<string, string>; readonly value: readonly [number, string] }[];
    }
  | {
      readonly resultType: 'matrix';
      readonly result: readonly {
        readonly metric: Record<string, string>;
        readonly values: readonly (readonly [number, string])[];
      }[];
    }
  | { readonly resultType: 'scalar'; readonly result: readonly [number, string] };

/** The base URL of a Prometheus, with a slash at its end. @throws ConfigurationError */
export function baseUrl(url: string): URL {
  let base: URL;
  try {
    base = new URL(url.endsWith('/') ? url : `${url}/`);
  } catch (cause) {
    throw new ConfigurationError(
      { message: `${JSON.stringify(url)} is not a URL.`, expected: 'the base URL of a Prometheus, e.g. http://localhost:9090' },
      { cause },
    );
  }
  if (base.protocol !== 'http:' && base.protocol !== 'https:')
    throw new ConfigurationError({
      message: `the Prometheus URL has the protocol ${base.protocol}`,
      expected: 'http: or https:',
    });
  return base;
}

export function displayUrl(base: URL): string {
  return `${base.origin}${base.pathname.replace(/\/$/, '')}`;
}

/** What Prometheus answered, not yet looked at. */
export interface RawAnswer {
  readonly status: number;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** One query of the API, bounded in time and size; ExternalError says what Prometheus said. @param path `query` or `query_range` */
export async function request(
  base: URL,
  path: string,
  parameters: Record<string, string>,
  options: PrometheusOptions,
): Promise<ApiResult> {
  return resultOf(displayUrl(base), await ask(base, path, parameters, options), parameters['query'] ?? '', options.warn);
}

/** The first half of `request`: nothing is parsed, so that a server's loop is not held up by a large answer. */
export async function ask(
  base: URL,
  path: string,
  parameters: Record<string, string>,
  options: PrometheusOptions,
): Promise<RawAnswer> {
  const target = new URL(`api/v1/${path}`, base);
  const headers: Record<string, string> = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
  // fetch refuses credentials inside a URL: they go into the header.
  if (options.token !== undefined) headers['authorization'] = `Bearer ${options.token}`;
  else if (base.username !== '')
    headers['authorization'] =
      `Basic ${Buffer.from(`${decodeURIComponent(base.username)}:${decodeURIComponent(base.password)}`).toString('base64')}`;
  target.username = '';
  target.password = '';
  const signals = [AbortSignal.timeout(TIMEOUT_MS), ...(options.signal === undefined ? [] : [options.signal])];
  try {
    const response = await fetch(target, {
      method: 'POST',
      headers,
      body: new URLSearchParams(parameters).toString(),
      // Elsewhere is where nobody pointed us to.
      redirect: 'error',
      signal: AbortSignal.any(signals),
    });
    const maxBytes = options.maxBytes ?? MAX_RESPONSE_BYTES;
    const tooLarge = (): ExternalError =>
      new ExternalError(`Prometheus at ${displayUrl(base)} answered with more than ${maxBytes} bytes.`);
    // A copy: a buffer may lie in Node's pool, which cannot be handed to a thread.
    return { status: response.status, body: new Uint8Array(await readBounded(response.body, maxBytes, tooLarge)) };
  } catch (cause) {
    if (cause instanceof ExternalError) throw cause;
    const why = cause instanceof Error ? ((cause.cause as Error | undefined)?.message ?? cause.message) : String(cause);
    throw new ExternalError(
      {
        message: `Prometheus at ${displayUrl(base)} cannot be reached: ${why}.`,
        fix: `check the URL and that it runs${options.instead === undefined ? '' : `, or ${options.instead}`}.`,
      },
      { cause },
    );
  }
}

/** The second half of `request`. @param shown the address, for the error @throws ExternalError */
export function resultOf(shown: string, { status, body }: RawAnswer, query: string, warn?: (message: string) => void): ApiResult {
  const answer = parseAnswer(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'));
  if (answer === undefined)
    throw new ExternalError({
      message: `${shown} answered ${status} without the JSON of a Prometheus.`,
      fix: 'check that the URL is that of a Prometheus, with its path prefix.',
    });
  if (answer.status !== 'success' || answer.data === undefined) {
    throw new ExternalError({
      message: `Prometheus at ${shown} refused a query (${status}): ${String(answer.error ?? 'no reason given').slice(0, 300)}. The query was \`${query.slice(0, 300)}\`.`,
    });
  }
  for (const warning of answer.warnings ?? []) warn?.(`Prometheus: ${String(warning).slice(0, 300)}`);
  return answer.data;
}

interface Answer {
  readonly status?: unknown;
  readonly error?: unknown;
  readonly warnings?: readonly unknown[];
  readonly data?: ApiResult;
}

/** The envelope of an answer of the API; undefined when it is none. */
export function parseAnswer(body: string): Answer | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('status' in value)) return undefined;
  const { status, error, warnings, data } = value as Record<string, unknown>;
  return { status, error, ...(Array.isArray(warnings) ? { warnings } : {}), ...(isResult(data) ? { data } : {}) };
}

/** Every sample has the form that the API documents; anything else is not a Prometheus. */
function isResult(data: unknown): data is ApiResult {
  if (typeof data !== 'object' || data === null) return false;
  const { resultType, result } = data as { resultType?: unknown; result?: unknown };
  const pair = (value: unknown): boolean =>
    Array.isArray(value) && value.length === 2 && typeof value[0] === 'number' && typeof value[1] === 'string';
  if (resultType === 'scalar') return pair(result);
  if (!Array.isArray(result)) return false;
  return result.every((item: unknown) => {
    if (typeof item !== 'object' || item === null) return false;
    const { metric, value, values } = item as { metric?: unknown; value?: unknown; values?: unknown };
    if (typeof metric !== 'object' || metric === null || !Object.values(metric).every((label) => typeof label === 'string'))
      return false;
    return resultType === 'vector' ? pair(value) : resultType === 'matrix' && Array.isArray(values) && values.every(pair);
  });
}

/** A sample value as the API writes it: `+Inf`, `-Inf`, `NaN` or a decimal number. */
export function numberOf(text: string): number {
  return /^[+-]?Inf$/.test(text) ? (text.startsWith('-') ? -Infinity : Infinity) : Number(text);
}

/** @param shown the address */
export function unexpected(shown: string, what: string): ExternalError {
  return new ExternalError(`Prometheus at ${shown} answered with ${what}, which is not what was asked for.`);
}

/** Times and steps go as decimal seconds. */
export function seconds(ms: number): string {
  return String(ms / 1000);
}
