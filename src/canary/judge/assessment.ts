import type { Dependence } from '../../stats/effective-sample-size.ts';
import type { DifferenceErrors } from '../../stats/power.ts';
import type { Bounds } from './location.ts';
import type { NonzeroAssessment } from './nonzero.ts';
import type { Scale } from './scale.ts';

/** Change of one quantile, candidate - baseline, on the working scale. */
export interface QuantileChange {
  readonly quantile: number;
  readonly delta: number;
  readonly bounds: (tail: number) => Bounds;
}

/** p-values and sizes of a tail change at both ends, on the working scale. */
export interface TailAssessment {
  /** p that the candidate's upper (lower) tail reaches further. */
  readonly pUpper: number;
  readonly pLower: number;
  /** Larger harm among p95 and p99 (p05 and p01 for the lower tail), as working difference candidate - baseline. */
  readonly upper: QuantileChange;
  readonly lower: QuantileChange;
}

/** A drift of the candidate against the baseline within the run, on the working scale. */
export interface TrendAssessment {
  /** Change of the difference from the run's start to its end. */
  readonly change: number;
  /** Difference at the run's end. */
  readonly end: number;
  readonly endBounds: (tail: number) => Bounds;
  readonly pLarger: number;
  readonly pSmaller: number;
}

/** Everything the decision needs about one metric, whatever its kind. */
export interface Assessment {
  readonly scale: Scale;
  readonly delta: number;
  readonly bounds: (tail: number) => Bounds;
  readonly pLarger: number;
  readonly pSmaller: number;
  readonly method: string;
  readonly n: readonly [number, number];
  readonly nEff: readonly [number, number];
  /** In effect units. */
  readonly margin: number;
  readonly relevance: number;
  /** Shares of the error: location and tail tests are each run at share * level. */
  readonly shares: { readonly location: number; readonly tail: number; readonly trend?: number; readonly nonzero?: number };
  readonly tail?: TailAssessment;
  readonly trend?: TrendAssessment;
  readonly nonzero?: NonzeroAssessment;
  readonly dependence?: Dependence;
  readonly spread?: { readonly pValue: number; readonly effect: number };
  /** Counts only: a difference so small in absolute terms that the ratio does not matter, given the interval's tail. */
  readonly negligible?: (tail: number) => boolean;
  /** Rates only: how the difference would vary if it were `delta`. Elsewhere its error is read off the interval, whatever the effect. */
  readonly errors?: DifferenceErrors;
  readonly notes: readonly string[];
  /** The data allow a failure but no pass (too much missing). */
  readonly noPass?: string;
}

/** No statement is possible; why, and what is needed. */
export interface Blocked {
  readonly blocked: string;
  readonly samplesNeeded?: number;
  readonly n: readonly [number, number];
  readonly nEff: readonly [number, number];
  readonly margin: number;
  readonly relevance: number;
  readonly unit: 'relative' | 'absolute';
  readonly method: string;
  /** What is known all the same: the report shows it with the smallest effect the run could have found. */
  readonly estimate?: Pick<Assessment, 'scale' | 'delta' | 'bounds'>;
  readonly dependence?: Dependence;
  /** No data in an arm: the metric's policy decides. */
  readonly noData?: true;
}

export function isBlocked(value: Assessment | Blocked): value is Blocked {
  return 'blocked' in value;
}
