import { ConfigurationError } from '../core/errors.ts';
import { compareText } from '../core/text.ts';
import { judgeCase } from './judge/judge.ts';
import type { CaseInput, CaseResult, Design, Direction, Margin, MetricInput, MetricKind, NoDataPolicy } from './judge/types.ts';
import { latePacing } from './pacing.ts';
import { increments } from './prometheus-samples.ts';
import type { SampleSet, Series } from './sample-set.ts';

/** What is known about a metric; samples alone do not say which way is better. */
export interface MetricSetting {
  readonly name: string;
  /** `counter`: a cumulative count that may be reset; its growth per step is judged. */
  readonly kind?: MetricKind | 'counter';
  readonly direction?: Direction;
  readonly margin?: Margin;
  readonly noData?: NoDataPolicy;
}

export interface SampleCaseOptions {
  readonly id?: string;
  readonly design?: Design;
  readonly alpha?: number;
  readonly seed?: number | string;
  readonly looks?: number;
  /** Which of the looks this one is. */
  readonly look?: number;
  /** Metrics to judge; without it all trends and rates of the file except k6's own connection phases. */
  readonly metrics?: readonly MetricSetting[];
  /** Exit code of the k6 run, when known: see k6Problem. */
  readonly k6ExitCode?: number;
}

/** k6's own phases and counters: not judged unless asked for. */
const K6_INTERNAL =
  /^(http_req_(blocked|connecting|tls_handshaking|sending|receiving)|iteration_duration|group_duration|iterations|http_reqs|data_sent|data_received|vus|vus_max|dropped_iterations)$/;

/** Names that grow when things go well. */
const HIGHER_IS_BETTER = /(^checks?$|tokens?_per_s|throughput|success|same_top|accuracy|availability|_ok$)/;

/** Offered load of the arms may differ by this much before the comparison is void. */
const LOAD_TOLERANCE = 0.1;

/**
 * Turns two files (or one with an `arm` column or tag) into a judge case, and says why the run may not be trusted: dropped iterations,
 * unequal offered load, a file cut short, an aborted k6. Throws ConfigurationError when there is nothing to compare.
 */
export function samplesToCase(
  baseline: SampleSet,
  candidate: SampleSet,
  options: SampleCaseOptions = {},
): { input: CaseInput; invalid: string[] } {
  const arms = [
    select(baseline, 'baseline', baseline === candidate),
    select(candidate, 'candidate', baseline === candidate),
  ] as const;
  const settings = new Map(options.metrics?.map((setting) => [setting.name, setting]));
  const wanted = (name: string): boolean => (options.metrics === undefined ? !K6_INTERNAL.test(name) : settings.has(name));
  const types = new Map([...baseline.types, ...candidate.types]);
  const keys = new Map<string, { metric: string; segment?: string }>();
  for (const one of [...arms[0], ...arms[1]]) {
    const type = types.get(one.metric);
    if (!wanted(one.metric) || (options.metrics === undefined && (type === 'gauge' || type === 'counter'))) continue;
    keys.set(seriesKey(one), { metric: one.metric, ...(one.segment === undefined ? {} : { segment: one.segment }) });
  }
  const present = new Set([...keys.values()].map((key) => key.metric));
  for (const name of settings.keys()) if (!present.has(name)) keys.set(JSON.stringify([name, '']), { metric: name });
  if (keys.size === 0)
    throw new ConfigurationError({
      message: `no metric to judge in ${baseline.file} and ${candidate.file}.`,
      expected: 'trends or rates, in both arms',
    });
  const found = [...keys.entries()].sort(([a], [b]) => compareText(a, b));
  const byKey = arms.map((arm) => new Map(arm.map((one) => [seriesKey(one), one])));
  const pick = (side: 0 | 1, key: string): Series | undefined => byKey[side]!.get(key);
  const paired =
    options.design === undefined ? found.every(([key]) => canPair(pick(0, key), pick(1, key))) : options.design === 'paired';
  const metrics = found.map(([key, { metric, segment }]): MetricInput => {
    const setting = settings.get(metric);
    const cumulative = setting?.kind === 'counter';
    const [b, c] = [pick(0, key), pick(1, key)].map((one) => (cumulative && one !== undefined ? growth(one) : one));
    const kind =
      (setting?.kind === 'counter' ? (isWhole(b, c) ? 'count' : 'continuous') : setting?.kind) ??
      (types.get(metric) === 'rate' || isBinary(b, c) ? 'binary' : types.get(metric) === 'counter' ? 'count' : 'continuous');
    const direction = setting?.direction ?? (HIGHER_IS_BETTER.test(metric) ? 'higher' : 'lower');
    return {
      name: metric,
      ...(segment === undefined ? {} : { segment }),
      kind,
      direction,
      ...(setting?.margin === undefined ? {} : { margin: setting.margin }),
      ...(setting?.noData === undefined ? {} : { noData: setting.noData }),
      ...(paired ? joinPairs(b, c) : inTimeOrder(b, c)),
    };
  });
  const { id = 'samples', alpha, seed, looks, look } = options;
  const input: CaseInput = {
    id,
    design: paired ? 'paired' : 'unpaired',
    ...(alpha === undefined ? {} : { alpha }),
    ...(seed === undefined ? {} : { seed }),
    ...(looks === undefined ? {} : { looks }),
    ...(look === undefined ? {} : { look }),
    metrics,
  };
  return { input, invalid: invalidReasons(baseline, candidate, arms, options.k6ExitCode) };
}

/** Judges sample files: the case they make, and its result. A run that is not valid is `inconclusive` whatever its numbers say: never a pass, and no ground for a fail. */
export function judgeSampleCase(
  baseline: SampleSet,
  candidate: SampleSet,
  options: SampleCaseOptions = {},
): { readonly input: CaseInput; readonly judged: CaseResult } {
  const { input, invalid } = samplesToCase(baseline, candidate, options);
  const result = judgeCase(input);
  if (invalid.length === 0 || result.verdict === 'error') return { input, judged: result };
  return { input, judged: { ...result, verdict: 'inconclusive', reason: `the run is not valid: ${invalid.join('; ')}` } };
}

/** What a k6 exit code says about the samples (0 and 99, thresholds failed, leave them whole); undefined when nothing is wrong. */
export function k6Problem(exitCode: number): string | undefined {
  switch (exitCode) {
    case 0:
    case 99:
      return undefined;
    case 104:
      return 'k6 refused its configuration (exit 104)';
    case 107:
      return 'the k6 script threw an exception (exit 107)';
    case 105:
    case 108:
      return `k6 was aborted (exit ${exitCode})`;
    case 110:
      return 'the k6 script marked the test as failed (exit 110)';
    default:
      return `k6 ended with exit code ${exitCode}`;
  }
}

function select(set: SampleSet, arm: 'baseline' | 'candidate', shared: boolean): Series[] {
  const tagged = set.series.filter((one) => one.arm === arm);
  if (tagged.length > 0) return tagged;
  const untagged = set.series.filter((one) => one.arm === undefined);
  // A query that finds nothing says that the arm has no data: each metric then says so, and nothing passes.
  if (set.live === true && !shared && tagged.length === untagged.length) return [];
  if (shared || untagged.length === 0)
    throw new ConfigurationError({
      message: `${set.file} has no samples of the arm ${arm}${armsIn(set)}.`,
      expected: `an arm column or tag with the value ${arm}, or one file an arm`,
    });
  return untagged;
}

function armsIn(set: SampleSet): string {
  const arms = [...new Set(set.series.flatMap(({ arm }) => (arm === undefined ? [] : [arm])))];
  return arms.length === 0 ? '' : `, only of ${arms.slice(0, 5).join(', ')}`;
}

function seriesKey(one: Series): string {
  return JSON.stringify([one.metric, one.segment ?? '']);
}

function isBinary(b: Series | undefined, c: Series | undefined): boolean {
  const all = [...(b?.values.slice(0, 1000) ?? []), ...(c?.values.slice(0, 1000) ?? [])];
  return (
    all.length > 0 &&
    all.every((value) => value === 0 || value === 1) &&
    [b, c].every((one) => one?.values.every((v) => v === 0 || v === 1 || Number.isNaN(v)) !== false)
  );
}

/** A counter as its growth per step, in order of time. */
function growth(one: Series): Series {
  return { ...one, values: increments(one.values), times: one.times.slice(1), pairs: one.pairs.slice(1) };
}

/** Whole numbers throughout (Prometheus extrapolates `increase()`, so its results are not). */
function isWhole(b: Series | undefined, c: Series | undefined): boolean {
  return [b, c].every((one) => one?.values.every((value) => Number.isNaN(value) || Number.isInteger(value)) !== false);
}

function canPair(b: Series | undefined, c: Series | undefined): boolean {
  if (b === undefined || c === undefined) return false;
  const unique = (one: Series): boolean =>
    one.pairs.every((pair) => pair !== undefined) && new Set(one.pairs).size === one.pairs.length;
  return unique(b) && unique(c);
}

/** Pairs by id, in the baseline's order; an id that one arm lacks is a missing point there. */
function joinPairs(b: Series | undefined, c: Series | undefined): { baseline: (number | null)[]; candidate: (number | null)[] } {
  const right = new Map(c?.pairs.map((pair, i) => [pair, c.values[i]!]));
  const baseline: (number | null)[] = [];
  const candidate: (number | null)[] = [];
  b?.pairs.forEach((pair, i) => {
    baseline.push(numberOrNull(b.values[i]));
    candidate.push(numberOrNull(right.get(pair)));
    right.delete(pair);
  });
  for (const value of right.values()) {
    baseline.push(null);
    candidate.push(numberOrNull(value));
  }
  return { baseline, candidate };
}

function inTimeOrder(
  b: Series | undefined,
  c: Series | undefined,
): { baseline: (number | null)[]; candidate: (number | null)[]; times?: number[] } {
  const series = [b, c].map((one) => one ?? { values: [], times: [] });
  const times = series.flatMap((one) => one.times);
  const data = { baseline: series[0]!.values.map(numberOrNull), candidate: series[1]!.values.map(numberOrNull) };
  return times.length > 0 && times.every(Number.isFinite) ? { ...data, times } : data;
}

function numberOrNull(value: number | undefined): number | null {
  return value === undefined || !Number.isFinite(value) ? null : value;
}

function invalidReasons(
  baseline: SampleSet,
  candidate: SampleSet,
  arms: readonly [Series[], Series[]],
  exitCode: number | undefined,
): string[] {
  const reasons: string[] = [];
  for (const set of new Set([baseline, candidate])) {
    if (set.truncated) reasons.push(`${set.file} is cut short`);
    if (set.droppedIterations > 0)
      reasons.push(`k6 dropped ${set.droppedIterations} iterations in ${set.file}: the offered load was not delivered`);
  }
  for (const set of new Set([baseline, candidate])) {
    const late = latePacing(
      lagsOf(set),
      valuesOf(set, ANSWER_TIMES, (arm) => arm !== 'candidate' && arm !== 'generator'),
    );
    if (late !== undefined) reasons.push(`${late} (${set.file})`);
  }
  const load = arms.map((arm) => requests(arm));
  const [b, c] = [load[0]!, load[1]!];
  if (b > 0 && c > 0 && Math.abs(b - c) > LOAD_TOLERANCE * Math.max(b, c))
    reasons.push(`the arms carried unequal load: ${b} against ${c} requests`);
  const problem = exitCode === undefined ? undefined : k6Problem(exitCode);
  if (problem !== undefined) reasons.push(problem);
  return reasons;
}

/** How long answers take, whichever the file has. */
const ANSWER_TIMES = ['mixgate_e2e_ms', 'e2e_ms', 'http_req_duration'] as const;

function valuesOf(set: SampleSet, names: readonly string[], wanted: (arm: string | undefined) => boolean = () => true): number[] {
  for (const name of names) {
    const values = set.series.filter((one) => one.metric === name && wanted(one.arm)).flatMap((one) => one.values);
    if (values.length > 0) return values;
  }
  return [];
}

/**
 * What requests waited for the generator: its own record where the script keeps one (as `canary run` does), else k6's wait for a free
 * connection, without what opening one takes.
 */
function lagsOf(set: SampleSet): number[] {
  const own = valuesOf(set, ['mixgate_generator_lag_ms', 'generator_lag_ms']);
  if (own.length > 0) return own;
  const opening = [...valuesOf(set, ['http_req_connecting']), ...valuesOf(set, ['http_req_tls_handshaking'])];
  const slow = opening.length === 0 ? 0 : opening.reduce((most, value) => Math.max(most, value), 0);
  return valuesOf(set, ['http_req_blocked']).map((wait) => Math.max(0, wait - slow));
}

/** Requests an arm carried: k6's http_reqs, else its iterations; 0 when the file does not say. */
function requests(arm: readonly Series[]): number {
  for (const name of ['http_reqs', 'iterations']) {
    const total = arm.filter((one) => one.metric === name).reduce((sum, one) => sum + one.values.reduce((a, v) => a + v, 0), 0);
    if (total > 0) return total;
  }
  return 0;
}
