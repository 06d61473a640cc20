import type { Design, Margin, MetricKind } from './types.ts';

/** Chance of a false `fail` over a whole case. */
export const DEFAULT_ALPHA = 0.05;

/** Power behind `mde` and `samplesNeeded`. */
export const POWER = 0.8;

/**
 * Margins where the profile gives none. Two numbers, because one cannot do both jobs: `tolerance` is what the data must rule out
 * for a pass; `relevance` is the smallest estimate that may fail once the change is statistically real, so that a trivial but
 * certain change does not block. A given margin replaces both.
 */
export interface DefaultMargin {
  readonly unit: 'relative' | 'absolute';
  readonly relevance: number;
  readonly tolerance: number;
}

export const DEFAULT_MARGINS: Readonly<Record<MetricKind, DefaultMargin>> = {
  continuous: { unit: 'relative', relevance: 0.02, tolerance: 0.25 },
  count: { unit: 'relative', relevance: 0.05, tolerance: 0.25 },
  binary: { unit: 'absolute', relevance: 0.001, tolerance: 0.05 },
};

/** The margin in force before the data say which scale applies: what was given, else the default of the kind. */
export function marginInForce(
  kind: MetricKind,
  given: Margin | undefined,
): { margin: number; relevance: number; unit: 'relative' | 'absolute' } {
  if (given?.absolute !== undefined) return { margin: given.absolute, relevance: given.absolute, unit: 'absolute' };
  if (given?.relative !== undefined) return { margin: given.relative, relevance: given.relative, unit: 'relative' };
  const { tolerance, relevance, unit } = DEFAULT_MARGINS[kind];
  return { margin: tolerance, relevance, unit };
}

/** Continuous values around or below zero have no relative change: margins are then multiples of the baseline's robust spread. */
export const SPREAD_MARGIN = { relevance: 0.2, tolerance: 0.75 } as const;

/** Counts near zero: a difference in events per entry that is tolerable although no ratio can be bounded. */
export const COUNT_ABSOLUTE_TOLERANCE = 0.05;

/** Fewest points an arm for any statement about a continuous metric. */
export const MIN_POINTS = 5;

/** Fewest independent points an arm once serial dependence was found. Below, its own estimate is too noisy to correct with. */
export const MIN_EFFECTIVE = 10;

/** Level of the test whether a series is dependent at all. */
export const DEPENDENCE_LEVEL = 0.05;

/**
 * The same for the differences of pairs: one series where the unpaired design pools two, so that a milder sign must do. Found by
 * simulation (bench/judge, paired AR(1) phi 0.3 at n = 60).
 */
export const PAIRED_DEPENDENCE_LEVEL = 0.1;

/**
 * And where the arms themselves depend on time (by a test at `arms`): two series show it more reliably than the one of their differences.
 * What both share cancels there, so this inflates nothing by itself; it only has the differences looked at with less doubt.
 */
export const SUSPECTED_DEPENDENCE = {
  oneLook: { arms: 0.05, differences: 0.4 },
  manyLooks: { arms: 0.2, differences: 0.8 },
} as const;

/**
 * Repeated looks at series: level of the test of dependence, and the fewest points an arm before a look can stop. A first look at nine
 * points cannot see the dependence that would make it a false alarm; independent points lose nothing, since few such looks stop.
 */
export const LOOKS_DEPENDENCE_LEVEL = 0.1;
export const LOOKS_MIN_POINTS = 20;

/**
 * Repeated looks at pairs: below so many, a look can't stop while the arms show any positive correlation in time. Without this, 20 looks
 * at 60 pairs had 12 and 19 % false alarms at phi 0.3 and 0.6.
 */
export const LOOKS_MIN_PAIRS = 30;

/** So few looks add little to what one look at pairs risks. */
export const FEW_LOOKS = 4;

/** Fewest pairs whose differences show a correlation in time at all (estimateDependence reads none from fewer points). */
export const LOOKS_FEWEST_PAIRS = 16;

/** Share of missing points in an arm above which nothing can pass. */
export const MAX_MISSING = 0.2;

/** Share of one repeated value from which shifts of the median say little and means are compared. */
export const HEAVY_TIES = 0.2;

/**
 * How the error is shared between location and tail. In a short run a tail of a few percent can't reach significance whatever the arm its
 * points belong to (`leastTail`: the smallest p they could give), so it gets almost nothing there (Tarone 1990); where it can, or later, the
 * location test gives it some. The shares add to more than 1 because the statistics are positively correlated and the tail's null
 * distribution is coarse; the joint false-alarm rate is measured in bench/judge.
 */
export function errorShares(points: number, design: Design, leastTail: number): { location: number; tail: number } {
  if (points >= 400) return { location: 0.85, tail: 0.22 };
  if (points >= 120) return { location: 0.76, tail: 0.44 };
  if (leastTail > REACHABLE_TAIL) return { location: 0.98, tail: 0.03 };
  return design === 'paired' ? { location: 0.76, tail: 0.5 } : { location: 0.72, tail: 0.36 };
}

/** How it is shared where many values are zero: between how often there are any with the tail, and how large they are. */
export const NONZERO_SHARES = { location: 0.6, tail: 0.03, nonzero: 0.4 } as const;

/** Eight tail points in pairs, all on one side. */
const REACHABLE_TAIL = 2 ** -8;

/** Smallest relative change of p95 or p99 that a tail test may fail on. */
export const TAIL_RELEVANCE = 0.1;

/**
 * Share of the error for a drift within the run. Small: it fails only together with a difference beyond the margin at the run's end,
 * and a leak worth stopping is many standard errors long.
 */
export const TREND_SHARE = 0.02;

/** Level at which tail and spread changes warn; divided by the size of the family where that is smaller. */
export const WARN_LEVEL = 0.01;

/** Smallest increase of the robust spread that warns. */
export const SPREAD_RELEVANCE = 0.25;
