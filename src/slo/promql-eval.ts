import { ConfigurationError } from '../core/errors.ts';
import type { Expr, Selector } from './promql-expr.ts';
import { formatPromql } from './promql-format.ts';
import { type Labels, labelKey, type Series, type SeriesStore, selectSeries, upperBound } from './series.ts';

export interface VectorSample {
  readonly labels: Labels;
  readonly value: number;
}
export type Vector = readonly VectorSample[];
export type PromValue =
  | { readonly kind: 'scalar'; readonly value: number }
  | { readonly kind: 'vector'; readonly samples: Vector };

/** How old the newest sample of an instant selector may be; Prometheus' default. */
const LOOKBACK_MS = 5 * 60_000;

/**
 * Evaluates the part of PromQL that SLO queries use on recorded samples, at one instant: selectors with offset, increase, rate,
 * resets, *_over_time, vector, clamp; sum, min, max, avg, count; arithmetic, comparison and set operators. Ranges are left-open as in
 * Prometheus 3. What it can't evaluate is a ConfigurationError, never a guess.
 * @param time Unix time in ms
 */
export function evaluatePromql(expr: Expr, store: SeriesStore, time: number): PromValue {
  switch (expr.kind) {
    case 'number':
      return { kind: 'scalar', value: expr.value };
    case 'selector':
      if (expr.rangeMs !== undefined) throw unsupported(formatPromql(expr), 'a range needs a function around it');
      return vector(instant(expr, store, time));
    case 'negate': {
      const arg = evaluatePromql(expr.arg, store, time);
      return arg.kind === 'scalar'
        ? { kind: 'scalar', value: -arg.value }
        : vector(arg.samples.map(({ labels, value }) => ({ labels: unnamed(labels), value: -value })));
    }
    case 'call':
      return call(expr.fn, expr.args, store, time);
    case 'aggregate':
      return vector(aggregate(expr.op, expr.grouping, samplesOf(evaluatePromql(expr.arg, store, time))));
    case 'binary':
      return binary(expr, evaluatePromql(expr.lhs, store, time), evaluatePromql(expr.rhs, store, time));
    case 'other':
      throw unsupported(expr.text, expr.what);
  }
}

function vector(samples: Vector): PromValue {
  return { kind: 'vector', samples };
}

function samplesOf(value: PromValue): Vector {
  return value.kind === 'vector' ? value.samples : [{ labels: {}, value: value.value }];
}

function unsupported(text: string, what: string): ConfigurationError {
  return new ConfigurationError({
    message: `recorded samples cannot be asked \`${text.slice(0, 120)}\` (${what}).`,
    expected: 'selectors, increase, rate, *_over_time, sum, min, max, avg, count, arithmetic, comparison and set operators',
    fix: 'simplify the query, or use a Prometheus (--prometheus URL).',
  });
}

function unnamed(labels: Labels): Labels {
  if (labels['__name__'] === undefined) return labels;
  const { __name__: _, ...rest } = labels;
  return rest;
}

function instant(selector: Selector, store: SeriesStore, time: number): Vector {
  const at = time - (selector.offsetMs ?? 0);
  const found: VectorSample[] = [];
  for (const series of selectSeries(store, selector)) {
    const index = upperBound(series.times, at) - 1;
    if (index >= 0 && series.times[index]! > at - LOOKBACK_MS)
      found.push({ labels: { ...series.labels, __name__: series.name }, value: series.values[index]! });
  }
  return found;
}

type RangeFunction = (series: Series, from: number, to: number, start: number, end: number) => number | undefined;

/** `increase` and `rate` of Prometheus (promql/functions.go, extrapolatedRate). from..to: sample indices, inclusive. */
function extrapolated(series: Series, from: number, to: number, start: number, end: number, rate: boolean): number | undefined {
  if (to - from < 1) return undefined;
  const { times, values, cumulative } = series;
  const grown = cumulative[to]! - cumulative[from]!;
  const sampled = (times[to]! - times[from]!) / 1000;
  const average = sampled / (to - from);
  let before = (times[from]! - start) / 1000;
  let after = (end - times[to]!) / 1000;
  const threshold = average * 1.1;
  if (before >= threshold) before = average / 2;
  // A counter can't have been below zero: don't extrapolate past where it would have been zero.
  if (grown > 0 && values[from]! >= 0) before = Math.min(before, sampled * (values[from]! / grown));
  if (after >= threshold) after = average / 2;
  const value = (grown * (sampled + before + after)) / sampled;
  return rate ? value / ((end - start) / 1000) : value;
}

function fold(
  start: (count: number) => number,
  step: (sum: number, value: number) => number,
  finish: (sum: number, count: number) => number = (sum) => sum,
): RangeFunction {
  return (series, from, to) => {
    if (to < from) return undefined;
    let sum = start(to - from + 1);
    for (let index = from; index <= to; index += 1) sum = step(sum, series.values[index]!);
    return finish(sum, to - from + 1);
  };
}

const RANGE_FUNCTIONS: Readonly<Record<string, RangeFunction>> = {
  increase: (series, from, to, start, end) => extrapolated(series, from, to, start, end, false),
  rate: (series, from, to, start, end) => extrapolated(series, from, to, start, end, true),
  resets: (series, from, to) => (to < from ? undefined : series.resets[to]! - series.resets[from]!),
  last_over_time: (series, from, to) => (to < from ? undefined : series.values[to]),
  count_over_time: (_series, from, to) => (to < from ? undefined : to - from + 1),
  sum_over_time: fold(
    () => 0,
    (sum, value) => sum + value,
  ),
  avg_over_time: fold(
    () => 0,
    (sum, value) => sum + value,
    (sum, count) => sum / count,
  ),
  max_over_time: fold(() => -Infinity, Math.max),
  min_over_time: fold(() => Infinity, Math.min),
};

function call(fn: string, args: readonly Expr[], store: SeriesStore, time: number): PromValue {
  const range = RANGE_FUNCTIONS[fn];
  const [first, second] = args;
  if (range !== undefined && first?.kind === 'selector' && first.rangeMs !== undefined && args.length === 1) {
    const end = time - (first.offsetMs ?? 0);
    const start = end - first.rangeMs;
    const found: VectorSample[] = [];
    for (const series of selectSeries(store, first)) {
      const value = range(series, upperBound(series.times, start), upperBound(series.times, end) - 1, start, end);
      if (value !== undefined)
        found.push({ labels: fn === 'last_over_time' ? { ...series.labels, __name__: series.name } : series.labels, value });
    }
    return vector(found);
  }
  if (fn === 'vector' && first !== undefined)
    return vector(samplesOf(evaluatePromql(first, store, time)).map(({ value }) => ({ labels: {}, value })));
  if ((fn === 'clamp_min' || fn === 'clamp_max') && first !== undefined && second?.kind === 'number') {
    const limit = second.value;
    const clamp = fn === 'clamp_min' ? Math.max : Math.min;
    return vector(
      samplesOf(evaluatePromql(first, store, time)).map(({ labels, value }) => ({
        labels: unnamed(labels),
        value: clamp(value, limit),
      })),
    );
  }
  throw unsupported(`${fn}(...)`, `the function ${fn}`);
}

function aggregate(
  op: string,
  grouping: { readonly without: boolean; readonly labels: readonly string[] } | undefined,
  samples: Vector,
): Vector {
  const groups = new Map<string, { labels: Labels; values: number[] }>();
  for (const { labels, value } of samples) {
    const kept = keep(
      unnamed(labels),
      grouping === undefined ? { on: true, labels: [] } : { on: !grouping.without, labels: grouping.labels },
    );
    const key = labelKey(kept);
    const group = groups.get(key) ?? { labels: kept, values: [] };
    group.values.push(value);
    groups.set(key, group);
  }
  const join: Readonly<Record<string, (values: readonly number[]) => number>> = {
    sum: (values) => values.reduce((a, b) => a + b, 0),
    avg: (values) => values.reduce((a, b) => a + b, 0) / values.length,
    min: (values) => values.reduce((a, b) => Math.min(a, b)),
    max: (values) => values.reduce((a, b) => Math.max(a, b)),
    count: (values) => values.length,
  };
  const reduce = join[op.toLowerCase()];
  if (reduce === undefined) throw unsupported(`${op}(...)`, `the aggregation ${op}`);
  return [...groups.keys()].sort().map((key) => ({ labels: groups.get(key)!.labels, value: reduce(groups.get(key)!.values) }));
}

function keep(labels: Labels, matching: { readonly on: boolean; readonly labels: readonly string[] }): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([label]) => matching.labels.includes(label) === matching.on));
}

const ARITHMETIC: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
  '^': (a, b) => a ** b,
};
const COMPARISON: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
};

function binary(expr: Extract<Expr, { kind: 'binary' }>, lhs: PromValue, rhs: PromValue): PromValue {
  const op = expr.op.toLowerCase();
  const matching = expr.matching ?? { on: false, labels: [] };
  const key = (labels: Labels): string => labelKey(keep(unnamed(labels), matching));
  if (op === 'and' || op === 'or' || op === 'unless') {
    const [left, right] = [samplesOf(lhs), samplesOf(rhs)];
    const keys = new Set((op === 'or' ? left : right).map(({ labels }) => key(labels)));
    if (op === 'or') return vector([...left, ...right.filter(({ labels }) => !keys.has(key(labels)))]);
    return vector(left.filter(({ labels }) => keys.has(key(labels)) === (op === 'and')));
  }
  const arithmetic = ARITHMETIC[op];
  const comparison = COMPARISON[op];
  if (arithmetic === undefined && comparison === undefined) throw unsupported(formatPromql(expr), `the operator ${expr.op}`);
  const apply = (a: number, b: number, kept: number): number | undefined =>
    arithmetic !== undefined ? arithmetic(a, b) : expr.bool ? Number(comparison!(a, b)) : comparison!(a, b) ? kept : undefined;
  const named = comparison !== undefined && !expr.bool;
  if (lhs.kind === 'scalar' && rhs.kind === 'scalar')
    return { kind: 'scalar', value: apply(lhs.value, rhs.value, lhs.value) ?? 0 };
  const found: VectorSample[] = [];
  const push = (labels: Labels, value: number | undefined): void => {
    if (value !== undefined) found.push({ labels: named ? labels : unnamed(labels), value });
  };
  if (lhs.kind === 'scalar') for (const { labels, value } of samplesOf(rhs)) push(labels, apply(lhs.value, value, value));
  else if (rhs.kind === 'scalar') for (const { labels, value } of lhs.samples) push(labels, apply(value, rhs.value, value));
  else {
    const right = new Map<string, number>();
    for (const { labels, value } of rhs.samples) {
      if (right.has(key(labels)))
        throw new ConfigurationError({
          message: `\`${formatPromql(expr).slice(0, 120)}\` matches several series on its right side.`,
          fix: 'aggregate both sides, or name the labels with on(...).',
        });
      right.set(key(labels), value);
    }
    // One-to-one results carry the labels that were matched on (promql/engine.go, resultMetric).
    const keepMatched = (labels: Labels): Labels => (expr.matching === undefined ? labels : keep(labels, expr.matching));
    const used = new Set<string>();
    for (const { labels, value } of lhs.samples) {
      const other = right.get(key(labels));
      if (other === undefined) continue;
      if (used.has(key(labels)))
        throw new ConfigurationError({
          message: `\`${formatPromql(expr).slice(0, 120)}\` matches several series on its left side.`,
          fix: 'aggregate both sides, or name the labels with on(...).',
        });
      used.add(key(labels));
      push(keepMatched(labels), apply(value, other, value));
    }
  }
  return vector(found);
}
