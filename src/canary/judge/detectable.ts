import { normalQuantile } from '../../stats/distributions.ts';
import { detectableDifference, minimumDetectableEffect } from '../../stats/power.ts';
import type { Assessment } from './assessment.ts';
import { POWER } from './defaults.ts';
import type { Bounds } from './location.ts';
import type { Direction } from './types.ts';

/** Standard error that an interval with one-sided error `level` at each end stands for. */
export function standardErrorOf({ low, high }: Bounds, level: number): number {
  return (high - low) / (2 * -normalQuantile(level));
}

/**
 * Smallest true effect (positive, in effect units) of which a run like this one is certain with probability POWER; null when none would do.
 * `level`: one-sided, of this look and of one bad metric among the whole family; a metric that may move either way has half of it at each end.
 */
export function detectableEffect(
  { scale, delta, errors }: Pick<Assessment, 'scale' | 'delta' | 'errors'>,
  direction: Direction,
  level: number,
  standardError: number,
): number | null {
  const sign = direction === 'higher' || (direction === 'either' && delta < 0) ? -1 : 1;
  const tail = direction === 'either' ? level / 2 : level;
  const found =
    errors === undefined ? minimumDetectableEffect(standardError, tail, POWER) : detectableDifference(errors, sign, tail, POWER);
  const effect = found === undefined ? Number.NaN : Math.abs(scale.toEffect(sign * found));
  return Number.isFinite(effect) ? effect : null;
}
