import { isObject } from '../../core/json.ts';
import { shorten } from '../../core/text.ts';
import type { CaseInput, Direction, Margin, MetricKind, NoDataPolicy } from './types.ts';

/** Limits on one case: everything here may come from outside. */
const MAX_METRICS = 20_000;
const MAX_POINTS = 5_000_000;
export const MAX_LOOKS = 1_000_000;

export interface Checked {
  readonly value?: CaseInput;
  readonly problems: readonly string[];
}

const CASE_KEYS = ['id', 'design', 'alpha', 'seed', 'looks', 'look', 'metrics'];
const METRIC_KEYS = ['name', 'segment', 'kind', 'direction', 'margin', 'baseline', 'candidate', 'times', 'cumulative', 'noData'];

/** Checks a parsed JSON value against the case shape. Collects every problem; `value` is present only when there are none. */
export function checkCase(input: unknown): Checked {
  const problems: string[] = [];
  if (!isObject(input)) return { problems: ['a case must be a JSON object with id, design and metrics'] };
  unknownKeys(input, CASE_KEYS, 'case', problems);
  const { id, design, alpha, seed, looks, look, metrics } = input;
  if (typeof id !== 'string' || id === '') problems.push('id: expected a non-empty text');
  if (design !== 'paired' && design !== 'unpaired') problems.push(`design: expected paired or unpaired, got ${show(design)}`);
  if (alpha !== undefined && !(isNumber(alpha) && alpha > 0 && alpha < 0.5))
    problems.push(`alpha: expected a number between 0 and 0.5, got ${show(alpha)}`);
  if (seed !== undefined && !isNumber(seed) && typeof seed !== 'string')
    problems.push(`seed: expected a number or a text, got ${show(seed)}`);
  if (looks !== undefined && !(Number.isInteger(looks) && (looks as number) >= 1 && (looks as number) <= MAX_LOOKS)) {
    problems.push(`looks: expected a whole number from 1 to ${MAX_LOOKS}, got ${show(looks)}`);
  }
  if (look !== undefined && !(Number.isInteger(look) && (look as number) >= 1 && (look as number) <= ((looks as number) ?? 1))) {
    problems.push(`look: expected a whole number from 1 to looks (which of them this one is), got ${show(look)}`);
  }
  if (!Array.isArray(metrics)) problems.push('metrics: expected a list');
  else if (metrics.length > MAX_METRICS) problems.push(`metrics: ${metrics.length} are more than the limit of ${MAX_METRICS}`);
  else {
    let points = 0;
    const names = new Set<string>();
    metrics.forEach((metric, i) => {
      points += checkMetric(metric, `metrics[${i}]`, design === 'paired', problems);
      if (!isObject(metric)) return;
      const key = JSON.stringify([metric.name, metric.segment ?? null]);
      if (names.has(key)) problems.push(`metrics[${i}]: ${show(metric.name)} appears twice for the same segment`);
      names.add(key);
    });
    if (points > MAX_POINTS) problems.push(`${points} points are more than the limit of ${MAX_POINTS} a case`);
  }
  if (problems.length > 0) return { problems };
  return { value: input as unknown as CaseInput, problems };
}

function checkMetric(metric: unknown, where: string, paired: boolean, problems: string[]): number {
  if (!isObject(metric)) {
    problems.push(`${where}: expected an object`);
    return 0;
  }
  unknownKeys(metric, METRIC_KEYS, where, problems);
  const { name, segment, kind, direction, margin, baseline, candidate, times } = metric;
  if (typeof name !== 'string' || name === '') problems.push(`${where}.name: expected a non-empty text`);
  if (segment !== undefined && typeof segment !== 'string') problems.push(`${where}.segment: expected a text`);
  oneOf<MetricKind>(kind, ['continuous', 'count', 'binary'], `${where}.kind`, problems);
  oneOf<Direction>(direction, ['lower', 'higher', 'either'], `${where}.direction`, problems);
  if (margin !== undefined) checkMargin(margin, `${where}.margin`, problems);
  const { cumulative, noData } = metric;
  if (noData !== undefined) oneOf<NoDataPolicy>(noData, ['fail', 'inconclusive', 'ignore'], `${where}.noData`, problems);
  if (cumulative !== undefined && typeof cumulative !== 'boolean')
    problems.push(`${where}.cumulative: expected true or false, got ${show(cumulative)}`);
  if (cumulative === true && (paired || kind === 'binary'))
    problems.push(`${where}.cumulative: a counter is an unpaired series of kind count or continuous`);
  const arms = [
    checkValues(baseline, kind, `${where}.baseline`, problems),
    checkValues(candidate, kind, `${where}.candidate`, problems),
  ] as const;
  if (paired && arms[0] !== arms[1]) problems.push(`${where}: paired arms must be equally long, got ${arms[0]} and ${arms[1]}`);
  if (times !== undefined) {
    const length = checkTimes(times, `${where}.times`, problems);
    const shared = arms[0] === arms[1] && length === arms[0];
    const split = !paired && length === arms[0] + arms[1];
    if (!shared && !split)
      problems.push(
        `${where}.times: expected one time per point (${arms[0]} shared by both arms, or baseline's then candidate's), got ${length}`,
      );
  }
  return arms[0] + arms[1];
}

function checkMargin(margin: unknown, where: string, problems: string[]): void {
  if (!isObject(margin)) {
    problems.push(`${where}: expected {relative} or {absolute}`);
    return;
  }
  unknownKeys(margin, ['relative', 'absolute'], where, problems);
  const given = (['relative', 'absolute'] satisfies (keyof Margin)[]).filter((key) => margin[key] !== undefined);
  if (given.length !== 1) problems.push(`${where}: expected exactly one of relative and absolute`);
  for (const key of given) {
    const value = margin[key];
    if (!(isNumber(value) && value >= 0)) problems.push(`${where}.${key}: expected a number of at least 0, got ${show(value)}`);
  }
}

function checkValues(values: unknown, kind: unknown, where: string, problems: string[]): number {
  const list = asList(values);
  if (list === undefined) {
    problems.push(`${where}: expected a list of numbers`);
    return 0;
  }
  for (let i = 0; i < list.length; i++) {
    const value = list[i];
    if (value === null || (typeof value === 'number' && Number.isNaN(value))) continue;
    if (!isNumber(value)) problems.push(`${where}[${i}]: expected a finite number or null, got ${show(value)}`);
    else if (kind === 'binary' && value !== 0 && value !== 1) problems.push(`${where}[${i}]: expected 0 or 1, got ${value}`);
    else if (kind === 'count' && !(Number.isInteger(value) && value >= 0))
      problems.push(`${where}[${i}]: expected a whole number of at least 0, got ${value}`);
    else continue;
    break; // one example an arm is enough
  }
  return list.length;
}

function checkTimes(times: unknown, where: string, problems: string[]): number {
  const list = asList(times);
  if (list === undefined) {
    problems.push(`${where}: expected a list of numbers`);
    return 0;
  }
  for (let i = 0; i < list.length; i++) {
    if (!isNumber(list[i])) {
      problems.push(`${where}[${i}]: expected a finite number, got ${show(list[i])}`);
      break;
    }
  }
  return list.length;
}

function asList(value: unknown): ArrayLike<unknown> | undefined {
  return Array.isArray(value) || value instanceof Float64Array ? value : undefined;
}

function oneOf<T extends string>(value: unknown, allowed: readonly T[], where: string, problems: string[]): void {
  if (!allowed.includes(value as T)) problems.push(`${where}: expected one of ${allowed.join(', ')}, got ${show(value)}`);
}

function unknownKeys(value: Record<string, unknown>, known: readonly string[], where: string, problems: string[]): void {
  for (const key of Object.keys(value))
    if (!known.includes(key)) problems.push(`${where}: unknown key ${show(key)} (known: ${known.join(', ')})`);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function show(value: unknown): string {
  // JSON has no infinity: 1e999 in a file would be shown as null.
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? 'nothing');
  return shorten(text, 60);
}
