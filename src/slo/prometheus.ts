import {
  baseUrl,
  displayUrl,
  MAX_POINTS,
  numberOf,
  type PrometheusOptions,
  request,
  seconds,
  unexpected,
} from '../prometheus/api.ts';
import type { Vector } from './promql-eval.ts';
import type { Expr, Selector } from './promql-expr.ts';
import { formatPromql } from './promql-format.ts';
import { type MetricSource, severalSeries } from './source.ts';

/** A Prometheus HTTP API (prometheus.io, "HTTP API", v1). @param url base URL, a path prefix is kept */
export function prometheusSource(url: string, options: PrometheusOptions = {}): MetricSource {
  const base = baseUrl(url);
  const query = (path: string, parameters: Record<string, string>): ReturnType<typeof request> =>
    request(base, path, parameters, { instead: 'judge recorded samples with --samples FILE', ...options });
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
      if (data.resultType !== 'matrix') throw unexpected(displayUrl(base), `a ${data.resultType}`);
      if (data.result.length > 1) throw severalSeries(text, data.result.length);
      for (const [time, value] of data.result[0]?.values ?? [])
        values[Math.round((time * 1000 - start) / step)] = numberOf(value);
    }
    return values;
  };
  const instant = async (expr: Expr, time: number): Promise<Vector> => {
    const data = await query('query', { query: formatPromql(expr), time: seconds(time) });
    if (data.resultType === 'scalar') return [{ labels: {}, value: numberOf(data.result[1]) }];
    if (data.resultType !== 'vector') throw unexpected(displayUrl(base), `a ${data.resultType}`);
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
