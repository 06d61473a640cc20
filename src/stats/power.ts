import { normalCdf, normalQuantile } from './distributions.ts';

/** Smallest effect that a one-sided test at `alpha` finds with probability `power`, given the standard error: (z_{1-alpha} + z_power) * se. */
export function minimumDetectableEffect(standardError: number, alpha: number, power = 0.8): number {
  return (normalQuantile(power) - normalQuantile(alpha)) * standardError;
}

/** Power of a one-sided z test for a true effect. */
export function powerOf(effect: number, standardError: number, alpha: number): number {
  return normalCdf(effect / standardError + normalQuantile(alpha));
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
