import { ConfigurationError } from '../../core/errors.ts';
import type { Table } from '../../core/gate.ts';
import { normalQuantile } from '../../stats/distributions.ts';
import { mean } from '../../stats/summary.ts';
import type { CaseResult, MetricResult } from '../judge/types.ts';
import type { CanaryPoint } from '../run/points.ts';
import type { JudgeScore } from './prompts.ts';

/** The polls of one answer: `yes` of `polls` that could be read. */
export interface PolledItem {
  readonly yes: number;
  readonly polls: number;
}

/** How much a judge contradicts itself, from repeated polls of the same answers. */
export interface JudgeNoise {
  readonly score: JudgeScore;
  readonly items: number;
  readonly polls: number;
  readonly unparsable: number;
  readonly unanswered: number;
  /** Share of the answers that got too few readable polls for a score. */
  readonly unscored: number;
  /** Mean variance of single polls about their answer's mean. */
  readonly within: number;
  /** Variance of the answers' true means: what differs between answers, the judge's noise taken out; at least 0. */
  readonly between: number;
  /** Intraclass correlation of one poll, ICC(1,1), and of the mean of all polls, ICC(1,k); undefined when nothing varies at all. */
  readonly icc: number | undefined;
  readonly reliability: number | undefined;
  /** Standard deviation that the judge's noise gives the score of one answer. */
  readonly itemSd: number;
  /** Pairs that the limit on requests left out. */
  readonly pairsLeftOut: number;
}

/** Share of polls (or of answers) without data above which a score says nothing. */
const MAX_NO_DATA = 0.2;

/** Below this, most of what differs between scores is the judge contradicting itself. */
const MIN_RELIABILITY = 0.5;

/**
 * One-way random effects analysis of variance with unequal numbers of polls: ICC(1,1) = (MSB - MSW) / (MSB + (k0 - 1) MSW) and
 * ICC(1,k) = (MSB - MSW) / MSB (Shrout and Fleiss 1979, case 1; k0 for unequal group sizes: Searle, Casella and McCulloch 1992, 3.6).
 * Variances of 0/1 polls; items with fewer than two polls are left out.
 */
export function anovaOfPolls(
  items: readonly PolledItem[],
): Pick<JudgeNoise, 'within' | 'between' | 'icc' | 'reliability' | 'itemSd'> {
  const used = items.filter((item) => item.polls >= 2);
  const total = used.reduce((sum, item) => sum + item.polls, 0);
  if (used.length < 2) return { within: 0, between: 0, icc: undefined, reliability: undefined, itemSd: 0 };
  const grand = used.reduce((sum, item) => sum + item.yes, 0) / total;
  const squaresWithin = used.reduce((sum, { yes, polls }) => sum + (yes * (polls - yes)) / polls, 0);
  const squaresBetween = used.reduce((sum, { yes, polls }) => sum + polls * (yes / polls - grand) ** 2, 0);
  const within = squaresWithin / (total - used.length);
  const msb = squaresBetween / (used.length - 1);
  const k0 = (total - used.reduce((sum, { polls }) => sum + polls ** 2, 0) / total) / (used.length - 1);
  const between = Math.max(0, (msb - within) / k0);
  const varies = within + between > 0;
  return {
    within,
    between,
    icc: varies ? between / (between + within) : undefined,
    reliability: varies ? between / (between + within / k0) : undefined,
    itemSd: Math.sqrt(mean(used.map(({ polls }) => within / polls))),
  };
}

const NOISE_METRIC = 'judge_noise';

/** The noise as points of the run, so that a kept run is judged again with it. */
export function noisePoints(noises: readonly JudgeNoise[]): CanaryPoint[] {
  return noises.map((noise) => ({
    metric: NOISE_METRIC,
    value: noise.itemSd,
    pair: -1,
    prompt: '',
    tags: { block: 'ab', arm: 'pair' },
    text: JSON.stringify(noise),
  }));
}

/** @throws ConfigurationError when a kept file holds something else there: without its noise a score must not be judged */
export function noisesOf(points: readonly CanaryPoint[]): JudgeNoise[] {
  return points
    .filter((point) => point.metric === NOISE_METRIC)
    .map(({ text }) => {
      const noise = parseNoise(text ?? '');
      if (noise === undefined)
        throw new ConfigurationError('the samples hold a `mixgate_judge_noise` that mixgate did not write.');
      return noise;
    });
}

function parseNoise(text: string): JudgeNoise | undefined {
  try {
    const noise = JSON.parse(text) as Partial<JudgeNoise> | null;
    const numbers = [
      'items',
      'polls',
      'unparsable',
      'unanswered',
      'unscored',
      'within',
      'between',
      'itemSd',
      'pairsLeftOut',
    ] as const;
    const whole = typeof noise?.score === 'string' && numbers.every((name) => Number.isFinite(noise[name]));
    return whole ? (noise as JudgeNoise) : undefined;
  } catch {
    return undefined;
  }
}

/** Why a score cannot be judged at all: what the judge left out may be what matters. */
function noDataProblem(noise: JudgeNoise): string | undefined {
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
  const lost = noise.polls === 0 ? 1 : (noise.unparsable + noise.unanswered) / noise.polls;
  if (lost > MAX_NO_DATA)
    return `${percent(lost)} of the judge's ${noise.polls} polls gave no verdict (${noise.unparsable} unparsable, ${noise.unanswered} unanswered; at most ${percent(MAX_NO_DATA)} may)`;
  if (noise.unscored > MAX_NO_DATA)
    return `${percent(noise.unscored)} of the answers got too few polls for a score (at most ${percent(MAX_NO_DATA)} may)`;
  return undefined;
}

/** Why a comparison may not pass: with so much noise everything would. @param baseline level of the baseline, for relative margins */
function noiseProblem(noise: JudgeNoise, metric: MetricResult, baseline = 1): string | undefined {
  const margin = metric.effectUnit === 'relative' ? metric.margin * Math.abs(baseline) : metric.margin;
  const pairs = Math.min(...metric.n);
  if (pairs === 0) return undefined;
  // Two scores a pair, each with the judge's own noise.
  const half = -normalQuantile(0.05) * noise.itemSd * Math.sqrt(2 / pairs);
  if (half >= margin)
    return `the judge's own noise (±${half.toFixed(3)} over ${pairs} pairs) is as large as the margin of ${margin.toPrecision(3)}; more polls or pairs would help`;
  if ((noise.reliability ?? 1) < MIN_RELIABILITY && noise.itemSd > margin)
    return `the judge contradicts itself more than answers differ (reliability ${noise.reliability!.toFixed(2)}, at least ${MIN_RELIABILITY} is needed; noise ${noise.itemSd.toFixed(2)} an answer)`;
  return undefined;
}

/**
 * Comparisons that the judge's noise swamps become `inconclusive`. A `fail` stands: the noise is the same in both arms and part of the
 * scores, so the test has counted it already.
 */
export function withJudgeNoise(
  judged: CaseResult,
  noises: readonly JudgeNoise[],
  baselineOf: (name: string) => number,
): CaseResult {
  const byScore = new Map(noises.map((noise) => [noise.score as string, noise]));
  return {
    ...judged,
    metrics: judged.metrics.map((metric): MetricResult => {
      const noise = byScore.get(metric.name);
      if (noise === undefined || metric.noData === 'fail' || metric.noData === 'ignore') return metric;
      const problem =
        noDataProblem(noise) ?? (metric.verdict === 'fail' ? undefined : noiseProblem(noise, metric, baselineOf(metric.name)));
      return problem === undefined ? metric : { ...metric, verdict: 'inconclusive', reason: problem };
    }),
  };
}

export function noiseTable(noises: readonly JudgeNoise[], model: string): Table {
  const show = (value: number | undefined): string => (value === undefined ? '-' : value.toFixed(3));
  const left = Math.max(0, ...noises.map((noise) => noise.pairsLeftOut));
  return {
    title: 'The judge model against itself',
    columns: ['score', 'answers', 'polls', 'no verdict', 'variance within', 'between', 'one poll (ICC)', 'reliability'],
    rows: noises.map((noise) => [
      noise.score,
      String(noise.items),
      String(noise.polls),
      String(noise.unparsable + noise.unanswered),
      noise.within.toFixed(4),
      noise.between.toFixed(4),
      show(noise.icc),
      show(noise.reliability),
    ]),
    note: `Judge ${model}. Within: polls of one answer that contradict each other. Reliability: share of the variance of scores that is not the judge's noise (ICC(1,k)); - where nothing varies.${left > 0 ? ` ${left} pairs were not scored: maxRequests.` : ''}`,
  };
}
