import { RE2JS } from 're2js';
import type { Matcher, Selector } from './promql-expr.ts';

export type Labels = { readonly [label: string]: string };

/** One time series: times in ms (strictly rising) and values, same length. */
export interface Series {
  readonly name: string;
  readonly labels: Labels;
  readonly times: readonly number[];
  readonly values: readonly number[];
  /** Counter value with resets added back, for `increase` in constant time per window. */
  readonly cumulative: readonly number[];
  /** Number of resets up to and including each sample. */
  readonly resets: readonly number[];
}

export interface Sample {
  readonly name: string;
  readonly labels: Labels;
  /** Unix time in ms. */
  readonly time: number;
  readonly value: number;
}

export interface SeriesStore {
  readonly byName: ReadonlyMap<string, readonly Series[]>;
  /** First and last sample times in ms; undefined when there is none. */
  readonly span: { readonly start: number; readonly end: number } | undefined;
}

/** Canonical text of a label set. */
export function labelKey(labels: Labels): string {
  return Object.keys(labels)
    .filter((label) => labels[label] !== '')
    .sort()
    .map((label) => `${label}=${JSON.stringify(labels[label])}`)
    .join(',');
}

/** Groups samples into series; two samples of one series at one time keep the later one of the input. */
export function buildStore(samples: Iterable<Sample>): SeriesStore {
  const groups = new Map<string, { name: string; labels: Labels; points: Map<number, number> }>();
  let start = Infinity;
  let end = -Infinity;
  for (const { name, labels, time, value } of samples) {
    const key = `${name}{${labelKey(labels)}`;
    let group = groups.get(key);
    if (group === undefined) {
      group = { name, labels, points: new Map() };
      groups.set(key, group);
    }
    group.points.set(time, value);
    start = Math.min(start, time);
    end = Math.max(end, time);
  }
  const byName = new Map<string, Series[]>();
  for (const key of [...groups.keys()].sort()) {
    const { name, labels, points } = groups.get(key)!;
    const list = byName.get(name) ?? [];
    list.push(
      seriesOf(
        name,
        labels,
        [...points].sort(([a], [b]) => a - b),
      ),
    );
    byName.set(name, list);
  }
  return { byName, span: end < start ? undefined : { start, end } };
}

function seriesOf(name: string, labels: Labels, points: readonly (readonly [number, number])[]): Series {
  const cumulative: number[] = [];
  const resets: number[] = [];
  let lost = 0;
  let count = 0;
  let previous = Number.NEGATIVE_INFINITY;
  for (const [, value] of points) {
    if (value < previous) {
      lost += previous;
      count += 1;
    }
    cumulative.push(value + lost);
    resets.push(count);
    previous = value;
  }
  return { name, labels, times: points.map(([time]) => time), values: points.map(([, value]) => value), cumulative, resets };
}

/** Series that a selector picks. Regular expressions are RE2, anchored, in linear time, as in Prometheus. */
export function selectSeries(store: SeriesStore, selector: Selector): readonly Series[] {
  const candidates = selector.name === '' ? [...store.byName.values()].flat() : (store.byName.get(selector.name) ?? []);
  const tests = selector.matchers.map((matcher) => ({ label: matcher.label, test: matcherTest(matcher) }));
  return candidates.filter((series) =>
    tests.every(({ label, test }) => test(label === '__name__' ? series.name : (series.labels[label] ?? ''))),
  );
}

/** A label that is absent counts as empty. @throws RangeError for a regular expression that RE2 refuses */
export function matcherTest(matcher: Matcher): (value: string) => boolean {
  switch (matcher.op) {
    case '=':
      return (value) => value === matcher.value;
    case '!=':
      return (value) => value !== matcher.value;
    default: {
      let pattern: RE2JS;
      try {
        pattern = RE2JS.compile(`^(?:${matcher.value})$`, RE2JS.DOTALL);
      } catch (cause) {
        throw new RangeError(`${JSON.stringify(matcher.value)} is not a regular expression that Prometheus reads (RE2)`, {
          cause,
        });
      }
      const wanted = matcher.op === '=~';
      return (value) => pattern.matches(value) === wanted;
    }
  }
}

/** Index of the first time that is greater than `time`. */
export function upperBound(times: readonly number[], time: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle]! <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}
