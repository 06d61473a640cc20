import { normalQuantile } from './distributions.ts';

/** Smallest effect that a one-sided test at `alpha` finds with probability `power`, given the standard error: (z_{1-alpha} + z_power) * se. */
export function minimumDetectableEffect(standardError: number, alpha: number, power = 0.8): number {
  return (normalQuantile(power) - normalQuantile(alpha)) * standardError;
}

/** How a difference of rates varies, by its size. */
export interface DifferenceErrors {
  /** How far it can fall and rise. */
  readonly room: readonly [number, number];
  /**
   * If the difference is `delta`: its standard error as the test reckons it (as if there were none), its true one, and how far apart the
   * outcomes of an exact test are (half a step is lost to its discreteness).
   */
  readonly at: (delta: number) => { readonly none: number; readonly own: number; readonly step: number };
}

/**
 * Smallest effect of which a one-sided exact test at `alpha` is certain with probability `power`, where the errors change with the effect:
 * d = z_{1-alpha} none(d) + z_power own(d) + step / 2 (Casagrande, Pike, Smith 1978, for two proportions), by bisection. `sign`: the
 * direction that is looked for. Undefined when there is no room for it.
 */
export function detectableDifference(errors: DifferenceErrors, sign: 1 | -1, alpha: number, power = 0.8): number | undefined {
  const excess = (effect: number): number => {
    const { none, own, step } = errors.at(sign * effect);
    return effect + normalQuantile(alpha) * none - normalQuantile(power) * own - step / 2;
  };
  const largest = errors.room[sign > 0 ? 1 : 0];
  if (!(excess(largest) >= 0)) return undefined;
  let [low, high] = [0, largest];
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (excess(middle) >= 0) high = middle;
    else low = middle;
  }
  return high;
}

/**
 * Samples needed in place of `n` so that the standard error (which shrinks as 1/sqrt(n)) lets an effect of size `gap` be decided
 * with the given power. At least n + 1; undefined when no finite number helps (gap <= 0).
 */
export function samplesNeeded(n: number, standardError: number, gap: number, alpha: number, power = 0.8): number | undefined {
  if (!(gap > 0) || !Number.isFinite(standardError)) return undefined;
  const needed = Math.ceil(n * (minimumDetectableEffect(standardError, alpha, power) / gap) ** 2);
  return Number.isSafeInteger(needed) ? Math.max(n + 1, needed) : undefined;
}
