import { ConfigurationError } from '../core/errors.ts';
import { evaluatePromql, type Vector } from './promql-eval.ts';
import type { Expr, Selector } from './promql-expr.ts';
import { type SeriesStore, selectSeries } from './series.ts';

/** Where samples come from: a Prometheus, or a file of recorded samples. Times in ms. */
export interface MetricSource {
  /** For people: the URL without credentials, or the file. */
  readonly name: string;
  instant(expr: Expr, time: number): Promise<Vector>;
  /** Values at start, start + step, ... up to end; undefined where there is none. More than one series is a ConfigurationError. */
  range(expr: Expr, start: number, end: number, step: number): Promise<readonly (number | undefined)[]>;
  /** Times of the oldest and newest sample of the selectors in [from, to]; undefined when there is none. */
  span(
    selectors: readonly Selector[],
    from: number,
    to: number,
  ): Promise<{ readonly oldest: number; readonly newest: number } | undefined>;
  /** Time of the newest sample of all; undefined where "now" is the time to ask for. */
  readonly latest: number | undefined;
  /** Values of a label on the selector's series around `time`, sorted. */
  labelValues(label: string, selectors: readonly Selector[], time: number): Promise<readonly string[]>;
}

/** The single value of a vector; undefined when it is empty. */
export function singleValue(vector: Vector, what: string): number | undefined {
  if (vector.length > 1) throw severalSeries(what, vector.length);
  return vector[0]?.value;
}

export function severalSeries(what: string, count: number): ConfigurationError {
  return new ConfigurationError({
    message: `the query \`${what.slice(0, 200)}\` gives ${count} series.`,
    expected: 'one',
    fix: 'aggregate it, e.g. with sum(...).',
  });
}

/** Recorded samples, asked with the same queries as a Prometheus. */
export function samplesSource(store: SeriesStore, name: string): MetricSource {
  return {
    name,
    latest: store.span?.end,
    async instant(expr, time) {
      const value = evaluatePromql(expr, store, time);
      return value.kind === 'vector' ? value.samples : [{ labels: {}, value: value.value }];
    },
    async range(expr, start, end, step) {
      const values: (number | undefined)[] = [];
      for (let time = start; time <= end; time += step) {
        const value = evaluatePromql(expr, store, time);
        if (value.kind === 'vector' && value.samples.length > 1) throw severalSeries(name, value.samples.length);
        values.push(value.kind === 'scalar' ? value.value : value.samples[0]?.value);
      }
      return values;
    },
    async span(selectors, from, to) {
      let oldest = Infinity;
      let newest = -Infinity;
      for (const series of selectors.flatMap((selector) => selectSeries(store, selector))) {
        for (const time of series.times) {
          if (time < from || time > to) continue;
          oldest = Math.min(oldest, time);
          newest = Math.max(newest, time);
        }
      }
      return newest < oldest ? undefined : { oldest, newest };
    },
    async labelValues(label, selectors) {
      return [
        ...new Set(selectors.flatMap((selector) => selectSeries(store, selector)).map((series) => series.labels[label] ?? '')),
      ]
        .filter((value) => value !== '')
        .sort();
    },
  };
}
