import type { Finding } from '../../core/finding.ts';
import { type GateResult, gateResult } from '../../core/gate.ts';
import type { Json } from '../../core/json.ts';
import type { CanaryProfileDocument } from '../../generated/schemas.ts';
import { judgeCase } from '../judge/judge.ts';
import type { RoutingDriftResult } from '../judge/routing-drift.ts';
import type { CaseInput, CaseResult, MetricResult } from '../judge/types.ts';
import { noisesOf, noiseTable, withJudgeNoise } from '../judge-model/noise.ts';
import { canaryFinding } from '../rules.ts';
import { buildCase } from './case.ts';
import { canaryCharts } from './charts.ts';
import { type Coincidence, coincidences } from './coincidence.ts';
import { MAX_PRICE_AGE_DAYS, priceAgeDays } from './cost.ts';
import { divergenceTable } from './divergence-table.ts';
import { type ExpertReport, expertEffects } from './experts.ts';
import { expertPerplexityTable, usageTable } from './experts-usage.ts';
import { DEFAULTS } from './plan.ts';
import type { PointSet } from './points.ts';
import { evidenceOf, label, measurements, regressionText, round } from './present.ts';
import { routingDriftOf } from './routing.ts';
import { tables } from './tables.ts';
import { runInvalid } from './validity.ts';

export interface AnalyseInput {
  readonly samples: PointSet;
  readonly profile: CanaryProfileDocument;
  /** Where the profile is, for findings. */
  readonly profileFile: string;
  /** Place of a metric's entry in the profile, by index. */
  readonly locate?: (metricIndex: number) => { readonly file: string; readonly line?: number };
  readonly seed: number;
  /** How often the growing run is judged, when that is more than once. */
  readonly looks?: number;
  /** Which of them this is. */
  readonly look?: number;
  /** RFC 3339; prices age against it. */
  readonly now?: string;
  /** Set when k6 did not end well: the run is then at best inconclusive. */
  readonly aborted?: string;
  /** What was found about the input before. */
  readonly findings?: readonly Finding[];
}

const PERMUTATIONS = 999;

/** The verdict of a canary run. Pure: samples and profile in, gate result out. */
export function analyseCanary(input: AnalyseInput): GateResult {
  const { profile, samples, seed } = input;
  const alpha = profile.alpha ?? DEFAULTS.alpha;
  const judgeNoise = noisesOf(samples.points);
  const { looks = 1, look } = input;
  const canary = buildCase(samples.points, profile, { block: 'ab', seed, alpha, ...(looks > 1 ? { looks, look } : {}) });
  const judged = withJudgeNoise(judgeCase(canary), judgeNoise, (name) => baselineMean(samples, name));
  const noise =
    (profile.aaPairs ?? DEFAULTS.aaPairs) >= 10
      ? judgeCase(noiseCase(buildCase(samples.points, profile, { block: 'aa', seed, alpha: Math.min(alpha, 0.01) })))
      : undefined;
  const experts = expertEffects(samples.points, { seed, permutations: PERMUTATIONS, alpha });
  const drift = routingDriftOf(samples.points, { seed, permutations: PERMUTATIONS, alpha });
  const explained = coincidences(judged, drift);
  const validity = runInvalid(input, judged, noise);
  const findings = [
    ...regressions(input, judged, explained),
    ...expertFindings(input, judged, experts, samples),
    ...driftFindings(input, judged, drift, explained),
    ...tokenizerFindings(input),
    ...priceFindings(input),
    ...(input.findings ?? []),
  ];
  const undecided = judged.metrics.filter(
    (metric) => metric.verdict === 'inconclusive' && metric.noData !== 'ignore' && required(profile, metric),
  );
  return gateResult({
    id: 'canary',
    // A run that can't be judged proves nothing either way: what it seems to show is reported without blocking.
    findings:
      validity === undefined ? findings : [...findings.map((f) => ({ ...f, blocking: false })), invalidFinding(input, validity)],
    measurements: measurements(judged, noise),
    tables: [
      ...tables(judged, noise, experts),
      ...(judgeNoise.length === 0 ? [] : [noiseTable(judgeNoise, profile.judge?.model ?? '')]),
      ...[divergenceTable(samples.points), usageTable(samples.points), expertPerplexityTable(samples.points)].filter(
        (table) => table !== undefined,
      ),
    ],
    charts: canaryCharts(canary, judged, experts),
    facts: {
      ...facts(judged, experts, drift, samples),
      ...(explained.length === 0 ? {} : { explained: explained.map(({ text }) => text) }),
    },
    passReason: passReason(judged),
    inconclusive: validity ?? (undecided.length > 0 ? undecidedReason(undecided) : undefined),
  });
}

function baselineMean({ points }: PointSet, name: string): number {
  const own = points.filter((point) => point.metric === name && point.tags['arm'] === 'baseline' && point.tags['block'] === 'ab');
  return own.length === 0 ? 0 : own.reduce((sum, point) => sum + point.value, 0) / own.length;
}

/** The baseline against itself: a difference in either direction says that the machine was not steady. */
function noiseCase(input: CaseInput): CaseInput {
  return { ...input, metrics: input.metrics.map((metric) => ({ ...metric, direction: 'either' })) };
}

function required(profile: CanaryProfileDocument, { name, segment }: MetricResult): boolean {
  const wanted = profile.metrics.find((metric) => metric.name === name)?.required ?? true;
  return wanted === 'overall' ? segment === undefined : wanted;
}

function invalidFinding(input: AnalyseInput, reason: string): Finding {
  return canaryFinding('canary-run-invalid', {
    level: 'warning',
    blocking: false,
    message: reason,
    location: { file: input.profileFile },
    fix: 'Run the canary again on a quiet machine; raise `maxDuration` or lower `pairs` if it ran out of time.',
  });
}

function regressions(input: AnalyseInput, judged: CaseResult, explained: readonly Coincidence[]): Finding[] {
  const results: Finding[] = [];
  for (const metric of judged.metrics) {
    if (metric.verdict !== 'fail' && metric.verdict !== 'warn') continue;
    const index = input.profile.metrics.findIndex((wanted) => wanted.name === metric.name);
    results.push(
      canaryFinding('canary-metric-regressed', {
        level: metric.verdict === 'fail' ? 'error' : 'warning',
        message: `${regressionText(metric)}${explanationOf(metric, explained)}`,
        location: input.locate?.(index) ?? { file: input.profileFile },
        evidence: evidenceOf(metric),
        subject: metric.segment ?? metric.name,
        fix:
          metric.name === 'nll' || metric.name === 'kld' || metric.name === 'same_top'
            ? 'Do not promote. Compare the artifact with the one that was evaluated (digest, quantisation, merge); the expert table says where the loss sits.'
            : 'Do not promote. Look at the stage timings in the report: queue, policy, first token, tokens.',
      }),
    );
  }
  return results;
}

function explanationOf(metric: MetricResult, explained: readonly Coincidence[]): string {
  const own = explained.find((one) => one.metric === metric);
  return own === undefined ? '' : ` Routing drifted in the same prompts, most at layer ${own.layer} expert ${own.expert}.`;
}

function expertFindings(
  input: AnalyseInput,
  judged: CaseResult,
  experts: ExpertReport | undefined,
  samples: PointSet,
): Finding[] {
  const suspect = experts?.suspect;
  const quality = judged.metrics.filter(
    (metric) => ['nll', 'kld', 'same_top', 'check'].includes(metric.name) && metric.verdict === 'fail',
  );
  // A small shift of one expert that harms no metric is no finding: every rebuild has one.
  if (suspect === undefined || quality.length === 0) return [];
  const segments = quality.flatMap((metric) => (metric.segment === undefined ? [] : [metric.segment]));
  const hurt = [...new Set(segments)];
  return [
    canaryFinding('canary-expert-degraded', {
      level: 'error',
      message: `Layer ${suspect.layer} expert ${suspect.expert} is where quality is lost: ${suspect.because}. Its tokens became ${suspect.on.toFixed(3)} nats harder to predict, the layer's other tokens ${suspect.off.toFixed(3)}. ${hurt.length > 0 ? `It hurts ${hurt.length === 1 ? 'the segment' : 'the segments'} ${hurt.join(', ')}.` : 'No single segment stands out.'}`,
      location: { file: input.profileFile },
      evidence: {
        layer: suspect.layer,
        expert: suspect.expert,
        own: round(suspect.own),
        on: round(suspect.on),
        off: round(suspect.off),
        tokens: suspect.tokens,
        z: round(suspect.z),
        pValue: round(suspect.pValue),
        segments: hurt,
        prompts: new Set(samples.points.filter((point) => point.tags['block'] === 'ab').map((point) => point.prompt)).size,
      },
      subject: `layer ${suspect.layer} expert ${suspect.expert}`,
      fix: `Check the tensors of expert ${suspect.expert} in blk.${suspect.layer}.ffn_*_exps of the candidate against the source checkpoint.`,
    }),
  ];
}

function driftFindings(
  input: AnalyseInput,
  judged: CaseResult,
  drift: RoutingDriftResult | undefined,
  explained: readonly Coincidence[],
): Finding[] {
  const drifted = drift?.scopes.filter((scope) => scope.verdict === 'warn') ?? [];
  const [first] = drifted;
  if (first === undefined) return [];
  const harmed = judged.metrics.some((metric) => metric.verdict === 'fail');
  return [
    canaryFinding('canary-routing-drift', {
      level: 'warning',
      blocking: false,
      message: `The candidate routes tokens to other experts: ${first.segment === undefined ? 'over all prompts' : `in segment ${first.segment}`}, ${first.reason}.${explained.length > 0 ? ` It goes with harm: ${explained.map(({ text }) => text).join('; ')}.` : ''}${harmed ? '' : ' No quality or latency metric is worse, so this alone does not block.'}`,
      location: { file: input.profileFile },
      evidence: drifted.map((scope) => ({
        segment: scope.segment ?? 'all',
        pAdjusted: round(scope.pAdjusted),
        layers: scope.layers.map((layer) => ({
          layer: layer.layer,
          jsdBits: round(layer.jsd),
          noiseFloorBits: round(layer.noiseFloor),
          expert: layer.largestShift.expert,
        })),
      })),
      fix: 'Expected after a router or quantisation change; otherwise compare the router tensors (ffn_gate_inp).',
    }),
  ];
}

function tokenizerFindings(input: AnalyseInput): Finding[] {
  const mismatches = input.samples.points.filter((point) => point.metric === 'token_mismatch' && point.tags['block'] === 'ab');
  const bad = mismatches.filter((point) => point.value > 0);
  if (bad.length === 0) return [];
  return [
    canaryFinding('canary-tokenizer-changed', {
      level: 'error',
      message: `${bad.length} of ${mismatches.length} prompts are split into other tokens by the candidate. Likelihoods of the two arms can't be compared.`,
      location: { file: input.profileFile },
      evidence: { prompts: [...new Set(bad.map((point) => point.prompt))].slice(0, 5) },
      fix: 'Build the candidate with the tokenizer of the baseline, or make the change of tokenizer a new model name.',
    }),
  ];
}

function priceFindings({ profile, profileFile, now }: AnalyseInput): Finding[] {
  if (profile.prices === undefined || now === undefined) return [];
  const age = priceAgeDays(profile.prices, now);
  const limit = profile.prices.maxAgeDays ?? MAX_PRICE_AGE_DAYS;
  if (age <= limit) return [];
  return [
    canaryFinding('canary-price-stale', {
      level: 'warning',
      blocking: false,
      message: `The prices are ${age} days old, more than ${limit}: costs may be wrong in both arms.`,
      location: { file: profileFile },
      fix: 'Look the prices up again and set `prices.asOf`.',
    }),
  ];
}

function facts(
  judged: CaseResult,
  experts: ExpertReport | undefined,
  drift: RoutingDriftResult | undefined,
  samples: PointSet,
): { [name: string]: Json } {
  return {
    alpha: judged.alpha,
    family: judged.family.size,
    samples: samples.points.length,
    ...(drift === undefined ? { routing: 'not computed: no router statistics in the samples' } : { routing: drift.reason }),
    ...(experts?.suspect === undefined ? {} : { suspectLayer: experts.suspect.layer, suspectExpert: experts.suspect.expert }),
  };
}

function passReason(judged: CaseResult): string {
  const segments = new Set(judged.metrics.flatMap((metric) => (metric.segment === undefined ? [] : [metric.segment])));
  const overall = judged.metrics.filter((metric) => metric.segment === undefined).length;
  return `${overall} metrics${segments.size > 0 ? ` and ${segments.size} segments` : ''} are within their margins.`;
}

function undecidedReason(metrics: readonly MetricResult[]): string {
  const [first] = metrics;
  const needed = Math.max(0, ...metrics.map((metric) => metric.samplesNeeded ?? 0));
  const more = needed > 0 ? ` About ${needed} pairs would decide it.` : '';
  return `Not enough evidence on ${label(first!)}${metrics.length > 1 ? ` and ${metrics.length - 1} more` : ''}: ${first!.reason}${more}`;
}
