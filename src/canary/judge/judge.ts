import { worstVerdict } from '../../core/verdict.ts';
import { holm } from '../../stats/multiplicity.ts';
import { selectMedian } from '../../stats/select.ts';
import { mean } from '../../stats/summary.ts';
import { type Arms, prepareArms } from './arms.ts';
import { type Assessment, type Blocked, isBlocked } from './assessment.ts';
import { assessContinuous } from './continuous.ts';
import { countedIncrements } from './counters.ts';
import { blockedResult, decide, type Levels, type MetricP, metricP } from './decide.ts';
import { DEFAULT_ALPHA, marginInForce, WARN_LEVEL } from './defaults.ts';
import { adjustForLooks, type Looks, nominalLevel, planLooks, pointsBeforeStop } from './error-control.ts';
import { decidePool, type Pool, pools } from './pooled.ts';
import { assessBinary, assessCount } from './rates.ts';
import type { ArmSummary, CaseInput, CaseResult, Design, MetricInput, MetricKind, MetricResult } from './types.ts';
import { checkCase } from './validate.ts';

/**
 * Judges one case. Pure and deterministic: no clock, no random numbers (every null distribution is exact or asymptotic), no
 * dependence on the unit of a metric. Verdict = the worst metric's. A case that breaks the shape gets verdict `error` with every problem.
 */
export function judgeCase(input: CaseInput): CaseResult {
  const checked = checkCase(input);
  if (checked.value === undefined) return errorResult(input, checked.problems);
  const { id, design, seed, metrics } = checked.value;
  const alpha = checked.value.alpha ?? DEFAULT_ALPHA;
  const { looks = 1, look } = checked.value;

  const prepared = metrics.map((metric) => prepareArms(metric.cumulative === true ? countedIncrements(metric) : metric, design));
  const states = metrics.map((metric, index) => assess(metric, prepared[index]!, design, looks));
  const longest = prepared.reduce((most, arms) => Math.max(most, Math.min(arms.baseline.length, arms.candidate.length)), 0);
  const plans = metrics.map(({ kind }) => planLooks(looks, look, alpha, pointsBeforeStop(kind, design, looks), longest));
  const planOf = (pool: Pool): Looks => earliest(plans.filter((_, index) => metrics[index]!.name === pool.metric.name));
  const tested: { index: number; state: Assessment; p: MetricP; size: number }[] = [];
  states.forEach((state, index) => {
    if (!isBlocked(state))
      tested.push({ index, state, p: metricP(state, metrics[index]!.direction), size: Math.min(...state.nEff) });
  });
  const pooling = pools(metrics, states);
  const pooled = pooling.filter((pool) => pool.tested);
  const nominalPs = [
    ...tested.map(({ index, p, size }) => adjustForLooks(p.combined, plans[index]!, size, alpha)),
    ...pooled.map((pool) => adjustForLooks(pool.pHarm, planOf(pool), pool.size, alpha)),
  ];
  const adjusted = holm(nominalPs);

  const family = Math.max(1, nominalPs.length);
  const warn = Math.min(WARN_LEVEL, alpha / family);
  const levelsAt = (plan: Looks, size: number): Pick<Levels, 'nominal' | 'alone'> => ({
    nominal: nominalLevel(alpha, plan, size),
    alone: nominalLevel(alpha / family, plan, size),
  });
  // Holm multiplies a hypothesis' p by a factor; its sub-tests are held to the same factor.
  const levelsOf = (position: number, plan: Looks, size: number): Levels => {
    const own = nominalPs[position] ?? 0;
    const factor = own > 0 ? Math.max(1, adjusted[position]! / own) : 1;
    const adjust = (value: number): number => Math.min(1, factor * adjustForLooks(Math.min(1, value), plan, size, alpha));
    return { alpha, ...levelsAt(plan, size), warn, adjust };
  };
  const results: MetricResult[] = states.map((state, index) =>
    isBlocked(state)
      ? blockedResult(metrics[index]!, state, levelsAt(plans[index]!, Math.min(...state.nEff)))
      : blockedResult(metrics[index]!, NOT_DECIDED, levelsAt(plans[index]!, 0)),
  );
  tested.forEach(({ index, state, p, size }, position) => {
    results[index] = decide(metrics[index]!, state, p, levelsOf(position, plans[index]!, size));
  });

  const over = pooling.map((pool) => {
    const position = pooled.indexOf(pool);
    return decidePool(pool, levelsOf(position < 0 ? nominalPs.length : tested.length + position, planOf(pool), pool.size));
  });

  const counted: Counted[] = [
    ...results.filter((result) => result.noData !== 'ignore'),
    ...over.flatMap(({ name, verdict, reason }) =>
      verdict === undefined ? [] : [{ name, segment: ALL_SEGMENTS, verdict, reason }],
    ),
  ];
  const verdict = results.every((result) => result.noData === 'ignore')
    ? 'inconclusive'
    : worstVerdict(counted.map((result) => result.verdict));
  return {
    id,
    verdict,
    reason: caseReason(verdict, counted),
    design,
    alpha,
    looks,
    ...(look === undefined ? {} : { look }),
    ...(seed === undefined ? {} : { seed }),
    family: {
      method: 'holm',
      size: nominalPs.length,
      over: pooled.length === 0 ? 'metrics x segments' : 'metrics x segments, and each metric over its segments',
    },
    metrics: results.map((result, index) => ({
      ...result,
      direction: metrics[index]!.direction,
      arms: summarise(metrics[index]!.kind, prepared[index]!),
    })),
    ...(over.length === 0 ? {} : { pooled: over }),
  };
}

/** Segments of one metric can differ in what they need to stop; the plan that pays for most looks holds for all. */
function earliest(plans: readonly Looks[]): Looks {
  return plans.reduce((one, other) => ((other.first ?? 1) < (one.first ?? 1) ? other : one));
}

/** What counts towards the verdict of a case. */
type Counted = Pick<MetricResult, 'name' | 'segment' | 'verdict' | 'reason'>;

const ALL_SEGMENTS = 'all segments';

const NOT_DECIDED: Blocked = {
  blocked: 'not decided',
  n: [0, 0],
  nEff: [0, 0],
  margin: 0,
  relevance: 0,
  unit: 'relative',
  method: 'none',
};

function assess(metric: MetricInput, arms: Arms, design: Design, looks: number): Assessment | Blocked {
  const n = [arms.baseline.length, arms.candidate.length] as const;
  if (Math.min(...n) === 0) {
    const which = n[0] === 0 ? (n[1] === 0 ? 'both arms' : 'the baseline') : 'the candidate';
    return {
      blocked: `no data in ${which}`,
      n,
      nEff: n,
      ...marginInForce(metric.kind, metric.margin),
      method: 'none',
      noData: true,
    };
  }
  const state = assessKind(metric, arms, design, looks);
  if (isBlocked(state)) return state;
  const [missingB, missingC] = arms.missing;
  if (missingB + missingC === 0) return state;
  const text = design === 'paired' ? `${missingB} pairs had a missing side` : `${missingB} and ${missingC} points missing`;
  return {
    ...state,
    notes: [...state.notes, text],
    ...(arms.tooManyMissing ? { noPass: 'too much data is missing to pass' } : {}),
  };
}

function summarise(kind: MetricKind, { baseline, candidate }: Arms): ArmSummary {
  const statistic = ARM_STATISTIC[kind];
  const of = (values: Float64Array): number | null =>
    values.length === 0 ? null : statistic === 'median' ? selectMedian(new Float64Array(values)) : mean(values);
  return { statistic, baseline: of(baseline), candidate: of(candidate) };
}

const ARM_STATISTIC: Readonly<Record<MetricKind, ArmSummary['statistic']>> = {
  continuous: 'median',
  binary: 'rate',
  count: 'mean',
};

function assessKind(metric: MetricInput, arms: Arms, design: Design, looks: number): Assessment | Blocked {
  switch (metric.kind) {
    case 'continuous':
      return assessContinuous(arms, design, metric.margin, looks);
    case 'binary':
      return assessBinary(arms, design, metric.margin);
    case 'count':
      return assessCount(arms, design, metric.margin);
  }
}

function caseReason(verdict: string, results: readonly Counted[]): string {
  if (results.length === 0) return 'no metrics with data to judge';
  if (verdict === 'pass') return `${results.length} of ${results.length} comparisons pass`;
  const deciding = results.filter((result) => result.verdict === verdict);
  const first = deciding[0]!;
  const name = first.segment === undefined ? first.name : `${first.name} (${first.segment})`;
  const others = deciding.length > 1 ? `; and ${deciding.length - 1} more` : '';
  return `${name}: ${first.reason}${others}`;
}

/** The answer to a case that cannot be judged: every problem in one reason. `input` is whatever was received. */
export function errorResult(input: unknown, problems: readonly string[]): CaseResult {
  const raw = typeof input === 'object' && input !== null ? (input as { id?: unknown }).id : undefined;
  return {
    id: typeof raw === 'string' ? raw : '',
    verdict: 'error',
    reason: problems.join('; '),
    alpha: DEFAULT_ALPHA,
    looks: 1,
    family: { method: 'holm', size: 0, over: 'metrics x segments' },
    metrics: [],
  };
}
