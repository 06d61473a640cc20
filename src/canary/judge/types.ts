import type { Verdict } from '../../core/verdict.ts';

/** `paired`: element i of both arms belongs to one prompt. `unpaired`: two series in order of arrival. */
export type Design = 'paired' | 'unpaired';

/** `continuous`: latencies, divergences, scores. `count`: non-negative integers an interval or request. `binary`: 0 or 1 a request. */
export type MetricKind = 'continuous' | 'count' | 'binary';

/** Which way is better: `lower` (latency, errors), `higher` (throughput, answers right), `either` (any change is bad). */
export type Direction = 'lower' | 'higher' | 'either';

/** Largest change that is still acceptable: `relative` to the baseline (0.1 = 10 %) or `absolute` in the metric's own unit (for binary: a difference of rates). */
export interface Margin {
  readonly relative?: number;
  readonly absolute?: number;
}

export interface MetricInput {
  readonly name: string;
  readonly segment?: string;
  readonly kind: MetricKind;
  readonly direction: Direction;
  readonly margin?: Margin;
  /** `null` or NaN is a missing point. */
  readonly baseline: ArrayLike<number | null>;
  readonly candidate: ArrayLike<number | null>;
  /** Time of each point (any unit): one array for both arms when they are equally long, or baseline's then candidate's. */
  readonly times?: ArrayLike<number>;
  /** The values are a counter that only grows (a Prometheus `_total`): judged by its increments, resets handled. Unpaired only. */
  readonly cumulative?: boolean;
  /** What no data in an arm means. Default `inconclusive`; `ignore` leaves the metric out of the case's verdict. */
  readonly noData?: NoDataPolicy;
}

/** Closed by default: no data is never a pass. */
export type NoDataPolicy = 'fail' | 'inconclusive' | 'ignore';

export interface CaseInput {
  readonly id: string;
  readonly design: Design;
  /** Chance of a false `fail` over the whole case (all metrics, segments, looks). Default 0.05. */
  readonly alpha?: number;
  readonly seed?: number | string;
  /** How often the growing data is judged, this time included. Default 1. */
  readonly looks?: number;
  /** Which of the planned looks this one is, 1 .. looks; each adds as many points. With it, looks that are too early to stop cost nothing. */
  readonly look?: number;
  readonly metrics: readonly MetricInput[];
}

/** One of the questions asked of a continuous metric. */
export interface SubTest {
  readonly name: 'location' | 'tail' | 'spread' | 'trend' | 'nonzero';
  /** One-sided p that the candidate is worse (before looks and multiplicity). */
  readonly pValue: number;
  /** location: as `effect`; tail: relative or absolute change of `quantile`; spread: ratio of robust spreads minus 1; trend: difference at the run's end, by the fitted lines; nonzero: relative change of the values that are not zero. */
  readonly effect: number;
  readonly quantile?: number;
  /** tail, trend, nonzero: interval of the change at the metric's intervalLevel; null = unbounded. */
  readonly interval?: readonly [number | null, number | null];
}

/** What each arm measured, in the metric's own unit: median (continuous), share of ones (binary), mean per entry (count). null = no data. */
export interface ArmSummary {
  readonly statistic: 'median' | 'rate' | 'mean';
  readonly baseline: number | null;
  readonly candidate: number | null;
}

export interface MetricResult {
  readonly name: string;
  readonly segment?: string;
  readonly verdict: Verdict;
  readonly reason: string;
  /** Which way is better, as it was judged. */
  readonly direction?: Direction;
  /** Candidate against baseline: relative change (0.1 = +10 %) or, with effectUnit `absolute`, a difference in the metric's unit. null = could not be estimated. */
  readonly effect: number | null;
  readonly effectUnit: 'relative' | 'absolute';
  /** Two-sided interval of the effect at `intervalLevel`; null = unbounded on that side. */
  readonly interval: readonly [number | null, number | null];
  readonly intervalLevel: number;
  /** Non-inferiority margin, in effectUnit: passes when the interval's harmful end stays inside it. */
  readonly margin: number;
  /** Smallest estimate that fails, in effectUnit. Equals the margin when one was given. */
  readonly relevance: number;
  /**
   * Smallest true effect of which such a run is certain with probability 0.8, alone among the whole family, in effectUnit; null when none
   * would do. It fails if it also reaches `relevance`.
   */
  readonly mde: number | null;
  readonly method: string;
  readonly arms?: ArmSummary;
  readonly n: readonly [number, number];
  readonly nEff: readonly [number, number];
  /** Serial dependence found in the points' order; `blockLength` points carry as much as one independent point (n / nEff). */
  readonly dependence?: { readonly lag1: number; readonly detected: boolean; readonly blockLength: number };
  /** Set when an arm had no data: the policy that decided. */
  readonly noData?: NoDataPolicy;
  readonly pValue?: number;
  /** After repeated looks and Holm over the case. */
  readonly pAdjusted?: number;
  /** Points an arm that would decide it, with probability 0.8. */
  readonly samplesNeeded?: number;
  readonly subTests?: readonly SubTest[];
}

/** One metric over all of its segments (clusters): are they worse together, and do they agree? */
export interface PooledResult {
  readonly name: string;
  /** Left out where the case has the metric over everything as well: that is tested, and this only tells whether the segments agree. */
  readonly verdict?: Verdict;
  readonly reason: string;
  /** Inverse-variance mean over the segments, and its interval as of a MetricResult. */
  readonly effect: number;
  readonly effectUnit: 'relative' | 'absolute';
  readonly interval: readonly [number, number];
  /** Mean and interval when the segments truly differ (random effects, Paule and Mandel 1982). */
  readonly random: { readonly effect: number; readonly interval: readonly [number, number] };
  readonly intervalLevel: number;
  readonly margin: number;
  readonly relevance: number;
  /** Cochran's Q with df degrees of freedom, its p, and the share of the variation between segments that is not chance, 0..1. */
  readonly heterogeneity: { readonly q: number; readonly df: number; readonly pValue: number; readonly iSquared: number };
  /** What each segment weighs, 0..1; segments that can't be compared or vary by nothing are left out. */
  readonly segments: readonly { readonly segment: string; readonly weight: number }[];
  readonly pValue?: number;
  readonly pAdjusted?: number;
}

export interface CaseResult {
  readonly id: string;
  readonly verdict: Verdict;
  readonly reason: string;
  /** Left out where the case could not be read. */
  readonly design?: Design;
  readonly alpha: number;
  readonly looks: number;
  readonly look?: number;
  readonly seed?: number | string;
  /** The hypotheses over which a false `fail` has probability at most alpha. */
  readonly family: { readonly method: 'holm'; readonly size: number; readonly over: string };
  readonly metrics: readonly MetricResult[];
  /** For each metric with at least two segments. */
  readonly pooled?: readonly PooledResult[];
}
