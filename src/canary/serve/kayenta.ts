import { isObject } from '../../core/json.ts';
import { compareText } from '../../core/text.ts';
import { judgeCase } from '../judge/judge.ts';
import type { CaseResult, Direction, MetricInput, MetricResult } from '../judge/types.ts';
import { HttpProblem, numberOr } from './http.ts';

/**
 * Kayenta's remote judge (kayenta-judge, RemoteJudgeRequest and CanaryJudgeResult): metric pairs with the canary configuration in,
 * classified metrics, group scores and a score out.
 *
 * The classification is mixgate's verdict, not a sum: a `fail` scores below the marginal threshold however many other metrics pass,
 * and `inconclusive` scores at least marginal but below pass, so that an analysis goes on and does not end in a promotion.
 */
export function judgeKayenta(body: unknown, alpha?: number): KayentaResult {
  const { metrics, configs, thresholds, weights } = readRequest(body);
  const judged = judgeCase({
    id: 'kayenta',
    design: 'unpaired',
    ...(alpha === undefined ? {} : { alpha }),
    metrics: metrics.map(({ input }) => input),
  });
  if (judged.verdict === 'error') throw new HttpProblem(400, judged.reason);
  const results = judged.metrics.map((metric, index) => analysisResult(metric, metrics[index]!, configs));
  const groups = groupScores(results);
  return { judgeName: 'mixgate', results, groupScores: groups, score: overall(judged, results, groups, weights, thresholds) };
}

type Label = 'Pass' | 'High' | 'Low' | 'Nodata' | 'NodataFailMetric';

interface AnalysisResult {
  readonly name: string;
  readonly id: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly classification: Label;
  readonly classificationReason: string;
  readonly groups: readonly string[];
  readonly experimentMetadata: { readonly stats: Stats };
  readonly controlMetadata: { readonly stats: Stats };
  readonly resultMetadata: Readonly<Record<string, unknown>>;
  readonly critical: boolean;
  readonly muted: boolean;
}

interface Score {
  readonly score: number;
  readonly classification: 'Pass' | 'Marginal' | 'Fail' | 'Nodata';
  readonly classificationReason: string;
}

export interface KayentaResult {
  readonly judgeName: string;
  readonly results: readonly AnalysisResult[];
  readonly groupScores: readonly (Score & { readonly name: string })[];
  readonly score: Score;
}

interface MetricConfig {
  readonly groups: readonly string[];
  readonly direction: Direction;
  readonly critical: boolean;
  readonly mustHaveData: boolean;
  readonly muted: boolean;
  readonly replaceNaN: boolean;
  readonly margin?: { readonly relative: number };
}

interface Pair {
  readonly input: MetricInput;
  readonly id: string;
  readonly name: string;
  readonly tags: Readonly<Record<string, string>>;
}

const MAX_PAIRS = 20_000;

function readRequest(body: unknown): {
  metrics: Pair[];
  configs: ReadonlyMap<string, MetricConfig>;
  thresholds: { pass: number; marginal: number };
  weights: ReadonlyMap<string, number>;
} {
  const problems: string[] = [];
  if (!isObject(body)) throw new HttpProblem(400, 'expected {canaryConfig, scoreThresholds, metricSetPairList}.');
  const { canaryConfig, scoreThresholds, metricSetPairList } = body;
  if (!isObject(canaryConfig) || !Array.isArray(canaryConfig['metrics'])) problems.push('canaryConfig.metrics: expected a list');
  if (!Array.isArray(metricSetPairList)) problems.push('metricSetPairList: expected a list');
  else if (metricSetPairList.length > MAX_PAIRS) problems.push(`metricSetPairList: more than ${MAX_PAIRS} pairs`);
  const raw = isObject(scoreThresholds) ? scoreThresholds : {};
  const thresholds = { pass: numberOr(raw['pass'], 95), marginal: numberOr(raw['marginal'], 75) };
  if (!(thresholds.pass > 0 && thresholds.pass <= 100 && thresholds.marginal >= 0 && thresholds.marginal <= thresholds.pass))
    problems.push('scoreThresholds: expected 0 <= marginal <= pass <= 100 and pass above 0');
  if (problems.length > 0) throw new HttpProblem(400, problems.join('; '), problems);
  const config = canaryConfig as { metrics: unknown[]; classifier?: unknown };
  const configs = new Map(
    config.metrics.flatMap((entry) =>
      isObject(entry) && typeof entry['name'] === 'string' ? [[entry['name'], metricConfig(entry)] as const] : [],
    ),
  );
  const metrics = (metricSetPairList as unknown[]).map((pair, index) => readPair(pair, index, configs, problems));
  if (problems.length > 0) throw new HttpProblem(400, problems.slice(0, 10).join('; '), problems.slice(0, 100));
  const groupWeights =
    isObject(config.classifier) && isObject(config.classifier['groupWeights']) ? config.classifier['groupWeights'] : {};
  const weights = new Map(
    Object.entries(groupWeights).flatMap(([name, weight]) => (typeof weight === 'number' ? [[name, weight] as const] : [])),
  );
  return { metrics: metrics as Pair[], configs, thresholds, weights };
}

/** `increase` in Kayenta means that an increase is bad. `effectSize.allowedIncrease: 1.1` is a margin of 10 %. */
function metricConfig(entry: Record<string, unknown>): MetricConfig {
  const analysis = isObject(entry['analysisConfigurations']) ? entry['analysisConfigurations'] : {};
  const canary = isObject(analysis['canary']) ? analysis['canary'] : {};
  const direction = canary['direction'] === 'increase' ? 'lower' : canary['direction'] === 'decrease' ? 'higher' : 'either';
  const effect = isObject(canary['effectSize']) ? canary['effectSize'] : {};
  const [up, down] = [numberOr(effect['allowedIncrease'], 1) - 1, 1 - numberOr(effect['allowedDecrease'], 1)];
  // Direction `either` has one margin: the smaller that was given.
  const sizes = direction === 'lower' ? [up] : direction === 'higher' ? [down] : [up, down];
  const given = sizes.filter((size) => size > 0);
  const groups = Array.isArray(entry['groups']) ? entry['groups'].filter((group) => typeof group === 'string') : [];
  return {
    groups: groups.length === 0 ? ['default'] : groups,
    direction,
    critical: canary['critical'] === true,
    mustHaveData: canary['mustHaveData'] === true,
    muted: canary['muted'] === true,
    replaceNaN: canary['nanStrategy'] === 'replace',
    ...(given.length === 0 ? {} : { margin: { relative: Math.min(...given) } }),
  };
}

const NO_CONFIG: MetricConfig = {
  groups: ['default'],
  direction: 'either',
  critical: false,
  mustHaveData: false,
  muted: false,
  replaceNaN: false,
};

function readPair(
  pair: unknown,
  index: number,
  configs: ReadonlyMap<string, MetricConfig>,
  problems: string[],
): Pair | undefined {
  const where = `metricSetPairList[${index}]`;
  if (!isObject(pair) || typeof pair['name'] !== 'string' || pair['name'] === '' || !isObject(pair['values'])) {
    problems.push(`${where}: expected {name, values: {control: [number], experiment: [number]}}`);
    return undefined;
  }
  const { name, values } = pair as { name: string; values: Record<string, unknown> };
  const config = configs.get(name) ?? NO_CONFIG;
  const tags = isObject(pair['tags'])
    ? Object.fromEntries(Object.entries(pair['tags']).filter((tag): tag is [string, string] => typeof tag[1] === 'string'))
    : {};
  const series = (key: string): (number | null)[] => {
    const list = values[key];
    if (list === undefined || list === null) return [];
    if (!Array.isArray(list)) {
      problems.push(`${where}.values.${key}: expected a list`);
      return [];
    }
    return list.map((value: unknown, at) => {
      // Jackson writes what JSON has no number for as a text.
      if (value === null || value === 'NaN') return config.replaceNaN ? 0 : null;
      if (value === 'Infinity' || value === '-Infinity') return null;
      if (typeof value !== 'number' || !Number.isFinite(value)) {
        if (problems.length < 100) problems.push(`${where}.values.${key}[${at}]: expected a number, null, "NaN" or "Infinity"`);
        return null;
      }
      return value;
    });
  };
  const id = typeof pair['id'] === 'string' ? pair['id'] : String(index);
  return {
    name,
    id,
    tags,
    input: {
      name,
      // Pairs of one metric that differ by their tags are segments.
      segment: segmentOf(tags, id),
      kind: 'continuous',
      direction: config.direction,
      ...(config.margin === undefined ? {} : { margin: config.margin }),
      baseline: series('control'),
      candidate: series('experiment'),
    },
  };
}

function segmentOf(tags: Readonly<Record<string, string>>, id: string): string {
  const named = Object.entries(tags)
    .sort(([a], [b]) => compareText(a, b))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
  return `${named}#${id}`;
}

function analysisResult(metric: MetricResult, pair: Pair, configs: ReadonlyMap<string, MetricConfig>): AnalysisResult {
  const config = configs.get(pair.name) ?? NO_CONFIG;
  return {
    name: pair.name,
    id: pair.id,
    tags: pair.tags,
    classification: classify(metric, config),
    classificationReason: `${metric.verdict}: ${metric.reason}`,
    groups: config.groups,
    experimentMetadata: { stats: stats(pair.input.candidate) },
    controlMetadata: { stats: stats(pair.input.baseline) },
    resultMetadata: {
      verdict: metric.verdict,
      effect: metric.effect,
      effectUnit: metric.effectUnit,
      interval: metric.interval,
      margin: metric.margin,
      minimumDetectableEffect: metric.mde,
      pAdjusted: metric.pAdjusted ?? null,
      nEff: metric.nEff,
      samplesNeeded: metric.samplesNeeded ?? null,
      method: metric.method,
    },
    critical: config.critical,
    muted: config.muted,
  };
}

/** Kayenta knows no `inconclusive`: what the data cannot decide has, for its purposes, no data. */
function classify(metric: MetricResult, config: MetricConfig): Label {
  if (metric.verdict === 'pass' || metric.verdict === 'warn') return 'Pass';
  if (metric.verdict === 'fail') {
    const tail = metric.subTests?.find((test) => test.name === 'tail');
    return (metric.reason.startsWith('tail') ? (tail?.effect ?? 0) : (metric.effect ?? 0)) < 0 ? 'Low' : 'High';
  }
  return config.mustHaveData && Math.min(...metric.n) === 0 ? 'NodataFailMetric' : 'Nodata';
}

/** 100 x pass / (pass + high + low + no data that fails), as Kayenta; a group in which nothing was decided scores 0, not 100. */
function groupScores(results: readonly AnalysisResult[]): (Score & { readonly name: string })[] {
  const names = [...new Set(results.flatMap((result) => result.groups))].sort();
  return names.map((name) => {
    const own = results.filter((result) => !result.muted && result.groups.includes(name));
    const decided = own.filter((result) => result.classification !== 'Nodata');
    const passed = decided.filter((result) => result.classification === 'Pass').length;
    const score = decided.length === 0 ? 0 : (100 * passed) / decided.length;
    const classification = decided.length === 0 ? 'Nodata' : passed === decided.length ? 'Pass' : 'Fail';
    return {
      name,
      score,
      classification,
      classificationReason: `${passed} of ${decided.length} decided metrics pass, ${own.length - decided.length} undecided`,
    };
  });
}

function overall(
  judged: CaseResult,
  results: readonly AnalysisResult[],
  groups: readonly (Score & { readonly name: string })[],
  weights: ReadonlyMap<string, number>,
  thresholds: { readonly pass: number; readonly marginal: number },
): Score {
  const counted = results.flatMap((result, index) => (result.muted ? [] : [{ result, metric: judged.metrics[index]! }]));
  const below = (limit: number): number => Math.max(0, Math.min(raw, limit - 1));
  const raw = weighted(groups, weights);
  const failed = counted.filter(
    ({ metric, result }) => metric.verdict === 'fail' || result.classification === 'NodataFailMetric',
  );
  const text = ({ result, metric }: (typeof counted)[number]): string => `${result.name}: ${metric.reason}`;
  const critical = failed.find(({ result }) => result.critical);
  if (critical !== undefined) return { score: 0, classification: 'Fail', classificationReason: `critical ${text(critical)}` };
  if (failed.length > 0)
    return {
      score: below(thresholds.marginal),
      classification: 'Fail',
      classificationReason: failed.slice(0, 3).map(text).join('; '),
    };
  const together = judged.pooled?.find(
    ({ name, verdict }) => verdict === 'fail' && counted.some(({ metric }) => metric.name === name),
  );
  if (together !== undefined)
    return {
      score: below(thresholds.marginal),
      classification: 'Fail',
      classificationReason: `${together.name} over all segments: ${together.reason}`,
    };
  const undecided = counted.filter(({ metric }) => metric.verdict === 'inconclusive');
  if (counted.length === 0 || undecided.length === counted.length)
    return {
      score: 0,
      classification: 'Nodata',
      classificationReason: undecided[0] === undefined ? 'no metrics' : text(undecided[0]),
    };
  if (undecided.length > 0)
    return {
      score: below(thresholds.pass),
      classification: 'Marginal',
      classificationReason: `not enough evidence on ${undecided.length} of ${counted.length} metrics: ${text(undecided[0]!)}`,
    };
  return {
    score: raw,
    classification: raw >= thresholds.pass ? 'Pass' : 'Marginal',
    classificationReason: 'every metric passes',
  };
}

/** Groups without a weight share what the weighted ones leave of 100. */
function weighted(
  groups: readonly { readonly name: string; readonly score: number; readonly classification: string }[],
  weights: ReadonlyMap<string, number>,
): number {
  const decided = groups.filter((group) => group.classification !== 'Nodata');
  const unweighted = decided.filter((group) => !weights.has(group.name)).length;
  const given = decided.reduce((sum, group) => sum + (weights.get(group.name) ?? 0), 0);
  const share = unweighted === 0 ? 0 : Math.max(0, 100 - given) / unweighted;
  let [total, sum] = [0, 0];
  for (const group of decided) {
    const weight = weights.get(group.name) ?? share;
    total += weight;
    sum += weight * group.score;
  }
  return total > 0 ? sum / total : 0;
}

interface Stats {
  readonly count: number;
  readonly mean: number;
  readonly min: number;
  readonly max: number;
  readonly std: number;
}

function stats(values: ArrayLike<number | null>): Stats {
  const present = Array.from(values).filter((value): value is number => value !== null);
  if (present.length === 0) return { count: 0, mean: 0, min: 0, max: 0, std: 0 };
  let [sum, min, max] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of present) [sum, min, max] = [sum + value, Math.min(min, value), Math.max(max, value)];
  const mean = sum / present.length;
  const variance = present.reduce((total, value) => total + (value - mean) ** 2, 0) / Math.max(1, present.length - 1);
  return { count: present.length, mean, min, max, std: Math.sqrt(variance) };
}
