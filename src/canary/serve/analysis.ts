import { isObject } from '../../core/json.ts';
import { parsePromDuration } from '../../prometheus/duration.ts';
import { DEFAULT_ALPHA } from '../judge/defaults.ts';
import type { CaseInput, Direction, Margin, MetricInput } from '../judge/types.ts';
import { MAX_LOOKS } from '../judge/validate.ts';
import { askRange, type RangeAnswer, type RangeQuery, rangeSamples } from '../prometheus-samples.ts';
import { type MetricSetting, samplesToCase } from '../samples.ts';
import { HttpProblem } from './http.ts';

/** One live comparison: two queries of the configured Prometheus over a window that ends now. */
export interface AnalysisMetric extends MetricSetting {
  readonly baselineQuery: string;
  readonly candidateQuery: string;
}

export interface AnalysisRequest {
  readonly metrics: readonly AnalysisMetric[];
  /** Milliseconds. */
  readonly window: number;
  readonly step: number;
  readonly alpha?: number;
  /** How many windows are judged in all. */
  readonly looks?: number;
}

const MAX_QUERIES = 50;
const MAX_QUERY_LENGTH = 10_000;
const KINDS = ['continuous', 'count', 'binary', 'counter'] as const;
const DIRECTIONS = ['lower', 'higher', 'either'] as const satisfies readonly Direction[];
const KEYS = ['metrics', 'window', 'step', 'alpha', 'looks'];
const METRIC_KEYS = ['name', 'baselineQuery', 'candidateQuery', 'kind', 'direction', 'margin'];
const FLAT_KEYS = [
  'metric',
  'baselineQuery',
  'candidateQuery',
  'kind',
  'direction',
  'relativeMargin',
  'absoluteMargin',
  'window',
  'step',
  'alpha',
  'looks',
];

/** A request of one metric as flat texts: the query string of a GET, the metadata of a Flagger webhook. */
export function flatRequest(fields: ReadonlyMap<string, string>): unknown {
  const unknown = [...fields.keys()].filter((key) => !FLAT_KEYS.includes(key));
  if (unknown.length > 0)
    throw new HttpProblem(400, `unknown key ${unknown.slice(0, 5).join(', ')} (known: ${FLAT_KEYS.join(', ')}).`);
  const text = (key: string): string | undefined => fields.get(key);
  const number = (key: string): number | undefined => (fields.has(key) ? numeric(fields.get(key)!) : undefined);
  const [relative, absolute] = [number('relativeMargin'), number('absoluteMargin')];
  return defined({
    metrics: [
      defined({
        name: text('metric'),
        baselineQuery: text('baselineQuery'),
        candidateQuery: text('candidateQuery'),
        kind: text('kind'),
        direction: text('direction'),
        margin: relative === undefined && absolute === undefined ? undefined : defined({ relative, absolute }),
      }),
    ],
    window: text('window'),
    step: text('step'),
    alpha: number('alpha'),
    looks: number('looks'),
  });
}

/** Empty text is no number, although JavaScript reads it as 0. */
function numeric(text: string): number {
  return text.trim() === '' ? Number.NaN : Number(text);
}

function defined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** Checks a request; HttpProblem 400 with every problem. `profile` gives kind, direction and margin where the request does not. */
export function analysisRequest(body: unknown, profile: readonly MetricSetting[]): AnalysisRequest {
  const problems: string[] = [];
  if (!isObject(body)) throw new HttpProblem(400, 'expected {metrics: [{name, baselineQuery, candidateQuery}], window, step}.');
  unknownKeys(body, KEYS, '', problems);
  const duration = (key: 'window' | 'step', fallback: string): number => {
    const value = body[key] ?? fallback;
    const ms = typeof value === 'string' ? parsePromDuration(value) : undefined;
    if (ms === undefined || !(ms > 0)) problems.push(`${key}: expected a duration such as 30m`);
    return ms ?? 0;
  };
  const [window, step] = [duration('window', '30m'), duration('step', '15s')];
  const { alpha, looks, metrics } = body;
  if (alpha !== undefined && !(typeof alpha === 'number' && alpha > 0 && alpha < 0.5))
    problems.push('alpha: expected a number between 0 and 0.5');
  if (looks !== undefined && !(Number.isInteger(looks) && (looks as number) >= 1 && (looks as number) <= MAX_LOOKS))
    problems.push(`looks: expected a whole number from 1 to ${MAX_LOOKS}`);
  if (!Array.isArray(metrics) || metrics.length === 0 || metrics.length > MAX_QUERIES)
    problems.push(`metrics: expected a list of 1 to ${MAX_QUERIES} metrics`);
  const read = Array.isArray(metrics)
    ? metrics.slice(0, MAX_QUERIES).map((metric, index) => readMetric(metric, `metrics[${index}]`, profile, problems))
    : [];
  const names = read.map((metric) => metric?.name);
  const twice = names.find((name, index) => name !== undefined && names.indexOf(name) !== index);
  if (twice !== undefined) problems.push(`metrics: ${JSON.stringify(twice)} is listed twice`);
  if (problems.length > 0) throw new HttpProblem(400, `${problems.join('; ')}.`, problems);
  return {
    metrics: read as AnalysisMetric[],
    window,
    step,
    ...(alpha === undefined ? {} : { alpha: alpha as number }),
    ...(looks === undefined ? {} : { looks: looks as number }),
  };
}

function readMetric(
  metric: unknown,
  where: string,
  profile: readonly MetricSetting[],
  problems: string[],
): AnalysisMetric | undefined {
  if (!isObject(metric)) {
    problems.push(`${where}: expected {name, baselineQuery, candidateQuery}`);
    return undefined;
  }
  unknownKeys(metric, METRIC_KEYS, `${where}.`, problems);
  const { name, baselineQuery, candidateQuery, kind, direction, margin } = metric;
  if (typeof name !== 'string' || name === '') problems.push(`${where}.name: expected a text`);
  for (const [key, query] of [
    ['baselineQuery', baselineQuery],
    ['candidateQuery', candidateQuery],
  ] as const)
    if (typeof query !== 'string' || query.trim() === '' || query.length > MAX_QUERY_LENGTH)
      problems.push(`${where}.${key}: expected a PromQL query of at most ${MAX_QUERY_LENGTH} characters`);
  if (kind !== undefined && !KINDS.includes(kind as 'counter'))
    problems.push(`${where}.kind: expected one of ${KINDS.join(', ')}`);
  if (direction !== undefined && !DIRECTIONS.includes(direction as Direction))
    problems.push(`${where}.direction: expected one of ${DIRECTIONS.join(', ')}`);
  if (margin !== undefined && !isMargin(margin))
    problems.push(`${where}.margin: expected {relative: number} or {absolute: number}, at least 0`);
  const known = profile.find((setting) => setting.name === name);
  return {
    ...known,
    ...(kind === undefined ? {} : { kind: kind as NonNullable<MetricSetting['kind']> }),
    ...(direction === undefined ? {} : { direction: direction as Direction }),
    ...(margin === undefined ? {} : { margin: margin as Margin }),
    name: String(name),
    baselineQuery: String(baselineQuery),
    candidateQuery: String(candidateQuery),
  };
}

function isMargin(margin: unknown): margin is Margin {
  if (!isObject(margin)) return false;
  const sizes = Object.entries(margin);
  return (
    sizes.length === 1 &&
    ['relative', 'absolute'].includes(sizes[0]![0]) &&
    typeof sizes[0]![1] === 'number' &&
    Number.isFinite(sizes[0]![1]) &&
    sizes[0]![1] >= 0
  );
}

function unknownKeys(value: Record<string, unknown>, known: readonly string[], where: string, problems: string[]): void {
  for (const key of Object.keys(value))
    if (!known.includes(key)) problems.push(`${where}${key.slice(0, 60)}: unknown key (known: ${known.join(', ')})`);
}

export interface LiveOptions {
  readonly prometheus: string;
  readonly token?: string | undefined;
  readonly signal: AbortSignal;
  readonly alpha?: number | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Both arms of one metric, as Prometheus answered: parsed where they are judged. */
export interface AnsweredMetric {
  readonly metric: AnalysisMetric;
  readonly baseline: { readonly range: RangeQuery; readonly answer: RangeAnswer };
  readonly candidate: { readonly range: RangeQuery; readonly answer: RangeAnswer };
}

/** What judgeWindow takes, once parsed. */
export interface LiveWindow {
  readonly answers: readonly AnsweredMetric[];
  readonly alpha: number;
  readonly looks: number;
}

/** One answer, which is parsed within the heap of a thread as a case of that size is, and all of one analysis together. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const MAX_ANSWERS_BYTES = 48 * 1024 * 1024;

/** Queries both arms of every metric over the window. */
export async function fetchWindow(request: AnalysisRequest, live: LiveOptions): Promise<LiveWindow> {
  const { step, window } = request;
  const end = Math.floor(live.now / step) * step;
  const answers: AnsweredMetric[] = [];
  let left = MAX_ANSWERS_BYTES;
  for (const metric of request.metrics) {
    const ask = async (query: string): Promise<AnsweredMetric['baseline']> => {
      const range = { query, start: end - window, end, step, metric: metric.name };
      const answer = await askRange(live.prometheus, range, {
        signal: live.signal,
        maxBytes: Math.min(left, MAX_ANSWER_BYTES),
        ...(live.token === undefined ? {} : { token: live.token }),
      });
      left -= answer.body.byteLength;
      return { range, answer };
    };
    answers.push({ metric, baseline: await ask(metric.baselineQuery), candidate: await ask(metric.candidateQuery) });
  }
  return { answers, alpha: request.alpha ?? live.alpha ?? DEFAULT_ALPHA, looks: request.looks ?? 1 };
}

/** The answers as one case, so that the error level covers all metrics. */
export function windowCase(answers: readonly AnsweredMetric[]): CaseInput {
  const metrics = answers.flatMap(({ metric, baseline, candidate }): readonly MetricInput[] => {
    const [before, after] = [rangeSamples(baseline.answer, baseline.range), rangeSamples(candidate.answer, candidate.range)];
    return samplesToCase(before, after, { metrics: [metric], design: 'unpaired' }).input.metrics;
  });
  return { id: 'live', design: 'unpaired', metrics };
}
