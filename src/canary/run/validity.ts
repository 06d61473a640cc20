import { capitalised } from '../../core/text.ts';
import type { CanaryProfileDocument } from '../../generated/schemas.ts';
import { tSf } from '../../stats/distributions.ts';
import { minimumDetectableEffect } from '../../stats/power.ts';
import { robustTrend } from '../../stats/trend.ts';
import { POWER } from '../judge/defaults.ts';
import { standardErrorOf } from '../judge/detectable.ts';
import { formatEffect } from '../judge/format.ts';
import type { CaseResult, MetricResult } from '../judge/types.ts';
import { latePacing } from '../pacing.ts';
import type { CanaryPoint, PointSet } from './points.ts';
import { effectText, label } from './present.ts';

export interface ValidityInput {
  readonly samples: PointSet;
  readonly profile: CanaryProfileDocument;
  /** Set when k6 did not end well. */
  readonly aborted?: string;
}

/** The baseline may get slower by this factor within the run, and not certainly more. */
const THROTTLED_FACTOR = 2;
const THROTTLED_LEVEL = 0.001;

/** Pairs below which slowing is not looked at. */
const FEWEST = 20;

/** The smallest change that the A/A block's noise lets the run see may be this many margins. */
const NOISE_MARGINS = 4;

/** Why the run can't be judged, in a sentence; undefined when it can. A run that is not valid is `inconclusive`, never a pass. */
export function runInvalid(input: ValidityInput, judged: CaseResult, noise: CaseResult | undefined): string | undefined {
  const { samples, profile } = input;
  if (input.aborted !== undefined) return `The load generator did not finish: ${input.aborted}.`;
  if (samples.droppedIterations > 0)
    return `k6 could not start ${samples.droppedIterations} iterations in time; the offered load was not what was planned.`;
  const sent = (arm: string): number => new Set(judgedPoints(samples, 'error', arm).map((point) => point.pair)).size;
  const [baseline, candidate] = [sent('baseline'), sent('candidate')];
  if (Math.min(baseline, candidate) < profile.pairs)
    return baseline === candidate
      ? `Only ${baseline} of ${profile.pairs} planned pairs were sent.`
      : `The arms were not offered the same load: ${baseline} requests to the baseline, ${candidate} to the candidate, ${profile.pairs} planned.`;
  if (judged.verdict === 'error') return judged.reason;
  return saturated(samples) ?? throttled(samples) ?? (noise === undefined ? undefined : unsteady(input, judged, noise));
}

function judgedPoints(samples: PointSet, metric: string, arm?: string): CanaryPoint[] {
  return samples.points.filter(
    (point) => point.metric === metric && point.tags['block'] === 'ab' && (arm === undefined || point.tags['arm'] === arm),
  );
}

function saturated(samples: PointSet): string | undefined {
  const late = latePacing(
    judgedPoints(samples, 'generator_lag_ms').map((point) => point.value),
    judgedPoints(samples, 'e2e_ms', 'baseline').map((point) => point.value),
  );
  return late === undefined ? undefined : `${capitalised(late)}.`;
}

/** The baseline itself slows down during the run: heat, a neighbour, a leak. Its prompts come in random order, so they are no reason. */
function throttled(samples: PointSet): string | undefined {
  const points = judgedPoints(samples, 'e2e_ms', 'baseline')
    .filter((point) => point.value > 0)
    .sort((a, b) => a.pair - b.pair);
  const times = Float64Array.from(points, (_, i) => i / Math.max(1, points.length - 1));
  const fit = robustTrend(
    Float64Array.from(points, (point) => Math.log(point.value)),
    times,
    0.1,
    undefined,
    FEWEST,
  );
  if (fit === undefined || fit.slope < Math.log(THROTTLED_FACTOR)) return undefined;
  if (tSf(fit.slope / fit.slopeSe, Math.max(1, fit.nEff - 2)) > THROTTLED_LEVEL) return undefined;
  return `The baseline itself became ${Math.exp(fit.slope).toFixed(1)} times slower during the run: the machine was throttled or shared.`;
}

/** The smallest ratio - 1 that the noise of a metric by itself lets one see, at the level of its interval; undefined when that is unbounded. */
function smallestSeen({ interval: [low, high], intervalLevel }: MetricResult): number | undefined {
  if (low === null || high === null || low <= -1) return undefined;
  const tail = (1 - intervalLevel) / 2;
  return Math.expm1(
    minimumDetectableEffect(standardErrorOf({ low: Math.log1p(low), high: Math.log1p(high) }, tail), tail, POWER),
  );
}

/** The A/A block: the baseline differs from itself, or by so much at random that the margins mean nothing. */
function unsteady({ profile }: ValidityInput, judged: CaseResult, noise: CaseResult): string | undefined {
  const differs = noise.metrics.find((metric) => metric.verdict === 'fail');
  if (differs !== undefined)
    return `The baseline differs from itself in ${label(differs)} (${effectText(differs)}): the machine was not steady, so no difference can be trusted.`;
  for (const metric of noise.metrics) {
    const required = profile.metrics.find((wanted) => wanted.name === metric.name)?.required ?? true;
    const pairs = judged.metrics.find((own) => own.name === metric.name && own.segment === metric.segment)?.n[0] ?? 0;
    if (required === false || metric.segment !== undefined || metric.effectUnit !== 'relative') continue;
    const noise = smallestSeen(metric);
    if (noise === undefined) continue;
    // What the same noise would leave over the judged pairs.
    const seen = noise * Math.sqrt(Math.min(metric.n[0], pairs) / Math.max(1, pairs));
    if (pairs > 0 && seen > NOISE_MARGINS * metric.margin)
      return `The baseline against itself is so unsteady in ${label(metric)} that ${pairs} pairs could only show ${formatEffect(seen, 'relative')}, against a margin of ${formatEffect(metric.margin, 'relative')}.`;
  }
  return undefined;
}
