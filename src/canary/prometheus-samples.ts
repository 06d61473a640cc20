import { readFile, stat } from 'node:fs/promises';
import { ConfigurationError } from '../core/errors.ts';
import {
  type ApiResult,
  ask,
  baseUrl,
  displayUrl,
  MAX_POINTS,
  numberOf,
  type PrometheusOptions,
  parseAnswer,
  type RawAnswer,
  resultOf,
  seconds,
  unexpected,
} from '../prometheus/api.ts';
import { counterIncrements } from './judge/counters.ts';
import { MAX_SAMPLES, MAX_SERIES, type SampleSet, type Series } from './sample-set.ts';

type Matrix = Extract<ApiResult, { resultType: 'matrix' }>['result'];

/** A saved answer is read whole; a larger one is no answer of a Prometheus with its limit of 11,000 points a series. */
const MAX_FILE_BYTES = 256 * 1024 * 1024;

/** Reads the saved answer of a range query (`/api/v1/query_range`, "Range vectors"). Series without a `__name__` are called `value`. */
export async function readRangeFile(file: string): Promise<SampleSet> {
  const { size } = await stat(file);
  if (size > MAX_FILE_BYTES)
    throw new ConfigurationError({
      message: `${file} holds more than ${MAX_FILE_BYTES} bytes.`,
      fix: 'save a shorter window or a larger step.',
    });
  const answer = parseAnswer(await readFile(file, 'utf8'));
  if (answer?.status === 'error')
    throw new ConfigurationError({
      message: `${file} is the error of a Prometheus: ${String(answer.error ?? 'no reason given').slice(0, 300)}.`,
      fix: 'repeat the query, and save its answer.',
    });
  if (answer?.data?.resultType !== 'matrix')
    throw new ConfigurationError({
      message: `${file} is not the answer of a Prometheus range query.`,
      expected: '{"status":"success","data":{"resultType":"matrix","result":[...]}} as /api/v1/query_range gives it',
      fix:
        answer?.data === undefined
          ? 'save the whole answer of /api/v1/query_range.'
          : 'use /api/v1/query_range: one instant cannot be judged.',
    });
  return matrixToSamples(answer.data.result, { name: file, metric: 'value' });
}

export interface RangeQuery {
  readonly query: string;
  /** Milliseconds since the epoch. */
  readonly start: number;
  readonly end: number;
  /** Milliseconds. */
  readonly step: number;
  /** What the query measures; names its series, whatever `__name__` they carry. */
  readonly metric: string;
}

/** Asks a live Prometheus. One query per arm; the series of several segments carry a `segment` label. */
export async function queryRange(url: string, range: RangeQuery, options: PrometheusOptions = {}): Promise<SampleSet> {
  return rangeSamples(await askRange(url, range, options), range, options.warn);
}

/** An answer of a live Prometheus, not yet parsed. */
export interface RangeAnswer extends RawAnswer {
  /** The address, for errors. */
  readonly from: string;
}

/** The first half of `queryRange`: sends the query and reads the answer. */
export async function askRange(url: string, range: RangeQuery, options: PrometheusOptions = {}): Promise<RangeAnswer> {
  const { query, start, end, step } = range;
  if (!(step > 0) || !(end > start))
    throw new ConfigurationError({ message: 'the window is empty.', expected: 'an end after the start, and a step above zero' });
  const points = pointsOf(range);
  if (points > MAX_POINTS)
    throw new ConfigurationError({
      message: `the window has ${points} steps.`,
      expected: `at most ${MAX_POINTS}`,
      fix: 'take a larger step.',
    });
  const base = baseUrl(url);
  const parameters = { query, start: seconds(start), end: seconds(end), step: seconds(step) };
  return { ...(await ask(base, 'query_range', parameters, options)), from: displayUrl(base) };
}

/** The second half of `queryRange`. @throws ExternalError for what is no answer to a range query */
export function rangeSamples(answer: RangeAnswer, range: RangeQuery, warn?: (message: string) => void): SampleSet {
  const { query, start, step, metric } = range;
  const data = resultOf(answer.from, answer, query, warn);
  if (data.resultType !== 'matrix') throw unexpected(answer.from, `a ${data.resultType}`);
  return matrixToSamples(data.result, {
    name: `${answer.from}: ${query.slice(0, 200)}`,
    metric,
    query: { start, step, points: pointsOf(range) },
  });
}

function pointsOf({ start, end, step }: RangeQuery): number {
  return Math.floor((end - start) / step) + 1;
}

interface Grid {
  readonly start: number;
  readonly step: number;
  readonly points: number;
}

/**
 * Series of an answer on one time grid. A step without a sample (a gap, or a series that ended: Prometheus answers stale markers by
 * leaving the step out) and a NaN are both missing points, which the judge counts. Several series with the same metric, segment and
 * arm are refused: which of them is meant only the query can say.
 */
function matrixToSamples(
  result: Matrix,
  from: { readonly name: string; readonly metric: string; readonly query?: Grid },
): SampleSet {
  if (result.length > MAX_SERIES)
    throw new ConfigurationError({ message: `${from.name} has ${result.length} series, more than ${MAX_SERIES}.` });
  const total = result.reduce((sum, one) => sum + one.values.length, 0);
  if (total > MAX_SAMPLES)
    throw new ConfigurationError({ message: `${from.name} has ${total} samples, more than ${MAX_SAMPLES}.` });
  const grid = from.query ?? inferGrid(result, from.name);
  // Each series becomes as long as the window, however little of it was sent.
  if (grid.points * result.length > MAX_SAMPLES)
    throw new ConfigurationError({
      message: `${from.name} has ${result.length} series of ${grid.points} steps, together more than ${MAX_SAMPLES}.`,
      fix: 'aggregate in the query, or take a larger step.',
    });
  const series = new Map<string, Series>();
  for (const { metric: labels, values } of result) {
    // A query names one metric of one arm; a saved answer says by its labels what it holds.
    const name = (from.query === undefined ? labels['__name__'] : undefined) ?? from.metric;
    const { segment } = labels;
    const arm = from.query === undefined ? labels['arm'] : undefined;
    const key = JSON.stringify([name, segment, arm]);
    if (series.has(key))
      throw new ConfigurationError({
        message: `${from.name} has several series of ${name}${segment === undefined ? '' : ` in segment ${segment}`}.`,
        expected: 'one series per metric, label `segment` and label `arm`',
        fix: 'aggregate in the query, e.g. `sum by (segment) (...)`.',
      });
    const onGrid = Array.from({ length: grid.points }, () => Number.NaN);
    for (const [time, value] of values) {
      const index = Math.round((time * 1000 - grid.start) / grid.step);
      if (index >= 0 && index < grid.points) onGrid[index] = numberOf(value);
    }
    series.set(key, {
      metric: name,
      ...(segment === undefined ? {} : { segment }),
      ...(arm === undefined ? {} : { arm }),
      values: onGrid,
      times: onGrid.map((_, index) => grid.start + index * grid.step),
      pairs: onGrid.map(() => undefined),
    });
  }
  return { file: from.name, series: [...series.values()], types: new Map(), droppedIterations: 0, truncated: false, live: true };
}

/** The step of a saved answer is its smallest distance between samples; the window runs from the first sample of any series to the last. */
function inferGrid(result: Matrix, name: string): Grid {
  let [start, end, step] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (const { values } of result)
    values.forEach(([time], index) => {
      start = Math.min(start, time * 1000);
      end = Math.max(end, time * 1000);
      const before = values[index - 1]?.[0];
      if (before !== undefined && time > before) step = Math.min(step, (time - before) * 1000);
    });
  if (!Number.isFinite(start)) return { start: 0, step: 1, points: 0 };
  if (!Number.isFinite(step)) step = 1;
  const points = Math.round((end - start) / step) + 1;
  if (points > 100 * MAX_POINTS)
    throw new ConfigurationError({
      message: `the samples of ${name} are not on one step.`,
      expected: 'the answer of one range query',
    });
  return { start, step, points };
}

/**
 * Growth of a cumulative counter from step to step: a value below the one before is a reset, after which the counter grew from zero
 * (Prometheus, `increase`). The first step and steps next to a gap have no growth of one step, so they are missing.
 */
export function increments(values: readonly number[]): number[] {
  return counterIncrements(values).map((value) => value ?? Number.NaN);
}
