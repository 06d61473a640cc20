import { ConfigurationError, ExternalError } from '../core/errors.ts';
import { formatDuration } from './duration.ts';
import { type Expr, formatPromql, type Selector } from './promql.ts';
import type { Vector } from './promql-eval.ts';
import { type MetricSource, severalSeries } from './source.ts';

/** Prometheus refuses range queries with more points than this ("exceeded maximum resolution"). */
export const MAX_POINTS = 11_000;
const TIMEOUT_MS = 60_000;
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

export interface PrometheusOptions {
  readonly signal?: AbortSignal;
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string | undefined;
  readonly warn?: (message: string) => void;
}

type ApiResult =
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

/** A Prometheus HTTP API (prometheus.io, "HTTP API", v1). @param url base URL, a path prefix is kept */
export function prometheusSource(url: string, options: PrometheusOptions = {}): MetricSource {
  const base = baseUrl(url);
  const query = (path: string, parameters: Record<string, string>): Promise<ApiResult> =>
    request(base, path, parameters, options);
  const range: MetricSource['range'] = async (expr, start, end, step) => {
    const text = formatPromql(expr);
    const count = Math.floor((end - start) / step) + 1;
    const values: (number | undefined)[] = Array.from({ length: count });
    for (let first = 0; first < count; first += MAX_POINTS) {
      const last = Math.min(count - 1, first + MAX_POINTS - 1);
      const data = await query('query_range', {
        query: text,
        start: seconds(start + first * step),
        end: seconds(start + last * step),
        step: seconds(step),
      });
      if (data.resultType !== 'matrix') throw unexpected(base, `a ${data.resultType}`);
      if (data.result.length > 1) throw severalSeries(text, data.result.length);
      for (const [time, value] of data.result[0]?.values ?? [])
        values[Math.round((time * 1000 - start) / step)] = numberOf(value);
    }
    return values;
  };
  const instant = async (expr: Expr, time: number): Promise<Vector> => {
    const data = await query('query', { query: formatPromql(expr), time: seconds(time) });
    if (data.resultType === 'scalar') return [{ labels: {}, value: numberOf(data.result[1]) }];
    if (data.resultType !== 'vector') throw unexpected(base, `a ${data.resultType}`);
    return data.result.map(({ metric, value }) => ({ labels: metric, value: numberOf(value[1]) }));
  };
  return {
    name: displayUrl(base),
    latest: undefined,
    instant,
    range,
    span: (selectors, from, to) => findSpan(selectors, from, to, range),
    async labelValues(label, selectors, time) {
      const found = new Set<string>();
      for (const selector of selectors) {
        const counted: Expr = { kind: 'aggregate', op: 'count', grouping: { without: false, labels: [label] }, arg: selector };
        for (const { labels } of await instant(counted, time))
          if (labels[label] !== undefined && labels[label] !== '') found.add(labels[label]);
      }
      return [...found].sort();
    },
  };
}

/**
 * Oldest and newest sample without downloading any: counts per bucket over [from, to], then finer inside the first and the last bucket
 * that hold samples. Exact to 5 s.
 */
async function findSpan(
  selectors: readonly Selector[],
  from: number,
  to: number,
  range: MetricSource['range'],
): Promise<{ oldest: number; newest: number } | undefined> {
  let oldest = Infinity;
  let newest = -Infinity;
  for (const selector of selectors) {
    const first = await edge(selector, from, to, 'first', range);
    if (first === undefined || first > to) continue;
    oldest = Math.min(oldest, first);
    newest = Math.max(newest, (await edge(selector, from, to, 'last', range)) ?? first);
  }
  return newest < oldest ? undefined : { oldest, newest };
}

const EDGE_BUCKETS = 200;
const EDGE_PRECISION_MS = 5000;

async function edge(
  selector: Selector,
  from: number,
  to: number,
  which: 'first' | 'last',
  range: MetricSource['range'],
): Promise<number | undefined> {
  let [low, high] = [from, to];
  for (;;) {
    const step = Math.max(1000, Math.ceil((high - low) / EDGE_BUCKETS / 1000) * 1000);
    const count = Math.max(1, Math.ceil((high - low) / step));
    // The grid starts at the edge that is looked for, so that no bucket there reaches out of the interval.
    const origin = which === 'first' ? low : high - count * step;
    const { offsetMs: _, rangeMs: __, ...plain } = selector;
    const counted: Expr = {
      kind: 'aggregate',
      op: 'sum',
      arg: { kind: 'call', fn: 'count_over_time', args: [{ ...plain, rangeMs: step }] },
    };
    // Bucket i covers (origin + i*step, origin + (i+1)*step].
    const values = await range(counted, origin + step, origin + count * step, step);
    const index =
      which === 'first' ? values.findIndex((value) => value !== undefined) : values.findLastIndex((value) => value !== undefined);
    if (index < 0) return undefined;
    const start = origin + index * step;
    if (step <= EDGE_PRECISION_MS) return which === 'first' ? start : start + step;
    [low, high] = [start, start + step];
  }
}

function baseUrl(url: string): URL {
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

function displayUrl(base: URL): string {
  return `${base.origin}${base.pathname.replace(/\/$/, '')}`;
}

async function request(
  base: URL,
  path: string,
  parameters: Record<string, string>,
  options: PrometheusOptions,
): Promise<ApiResult> {
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
  let response: Response;
  let body: string;
  try {
    response = await fetch(target, {
      method: 'POST',
      headers,
      body: new URLSearchParams(parameters).toString(),
      signal: AbortSignal.any(signals),
    });
    body = await readBounded(response, base);
  } catch (cause) {
    if (cause instanceof ExternalError) throw cause;
    const why = cause instanceof Error ? ((cause.cause as Error | undefined)?.message ?? cause.message) : String(cause);
    throw new ExternalError(
      {
        message: `Prometheus at ${displayUrl(base)} cannot be reached: ${why}.`,
        fix: 'check the URL and that it runs, or judge recorded samples with --samples FILE.',
      },
      { cause },
    );
  }
  const answer = parseAnswer(body);
  if (answer === undefined)
    throw new ExternalError({
      message: `${displayUrl(base)} answered ${response.status} without the JSON of a Prometheus.`,
      fix: 'check that the URL is that of a Prometheus, with its path prefix.',
    });
  if (answer.status !== 'success' || answer.data === undefined) {
    throw new ExternalError({
      message: `Prometheus at ${displayUrl(base)} refused a query (${response.status}): ${String(answer.error ?? 'no reason given').slice(0, 300)}. The query was \`${(parameters['query'] ?? '').slice(0, 300)}\`.`,
    });
  }
  for (const warning of answer.warnings ?? []) options.warn?.(`Prometheus: ${String(warning).slice(0, 300)}`);
  return answer.data;
}

async function readBounded(response: Response, base: URL): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_RESPONSE_BYTES)
      throw new ExternalError(`Prometheus at ${displayUrl(base)} answered with more than ${MAX_RESPONSE_BYTES} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

interface Answer {
  readonly status?: unknown;
  readonly error?: unknown;
  readonly warnings?: readonly unknown[];
  readonly data?: ApiResult;
}

function parseAnswer(body: string): Answer | undefined {
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
    if (typeof metric !== 'object' || metric === null) return false;
    return resultType === 'vector' ? pair(value) : resultType === 'matrix' && Array.isArray(values) && values.every(pair);
  });
}

function numberOf(text: string): number {
  return /^[+-]?Inf$/.test(text) ? (text.startsWith('-') ? -Infinity : Infinity) : Number(text);
}

function unexpected(base: URL, what: string): ExternalError {
  return new ExternalError(`Prometheus at ${displayUrl(base)} answered with ${what}, which is not what was asked for.`);
}

/** Times and steps go as decimal seconds. */
function seconds(ms: number): string {
  return String(ms / 1000);
}

/** For messages. */
export function windowText(ms: number): string {
  return formatDuration(Math.round(ms / 1000) * 1000);
}
