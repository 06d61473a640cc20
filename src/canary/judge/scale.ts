/** How a metric's values are compared. Statistics work in `delta`; people read `effect`. */
export interface Scale {
  readonly kind: 'log' | 'relative' | 'absolute';
  readonly unit: 'relative' | 'absolute';
  /** Value to working value (ln on the log scale). */
  readonly transform: (value: number) => number;
  /** Working difference, candidate minus baseline, to effect. */
  readonly toEffect: (delta: number) => number;
  /** Harmful effect size (positive) to a working difference (positive), for the given harmful sign. */
  readonly toDelta: (size: number, sign: 1 | -1) => number;
}

const identity = (value: number): number => value;

/** ln candidate - ln baseline; effects are relative changes. */
export const LOG_SCALE: Scale = {
  kind: 'log',
  unit: 'relative',
  transform: Math.log,
  toEffect: Math.expm1,
  toDelta: (size, sign) => (sign > 0 ? Math.log1p(size) : size >= 1 ? Number.POSITIVE_INFINITY : -Math.log1p(-size)),
};

/** Differences, read as a share of a positive level of the baseline. */
export function relativeScale(level: number): Scale {
  return {
    kind: 'relative',
    unit: 'relative',
    transform: identity,
    toEffect: (delta) => delta / level,
    toDelta: (size) => size * level,
  };
}

/** Differences in the metric's own unit. */
export const ABSOLUTE_SCALE: Scale = {
  kind: 'absolute',
  unit: 'absolute',
  transform: identity,
  toEffect: identity,
  toDelta: identity,
};
