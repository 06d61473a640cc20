import { chiSquareSf, normalCdf, normalQuantile, normalSf } from './distributions.ts';

/** An effect of one stratum (a cluster, a trial) with its standard error. */
export interface StratumEffect {
  readonly effect: number;
  readonly standardError: number;
}

export interface PooledEffect {
  /** Inverse-variance mean: the common effect, if there is one. */
  readonly effect: number;
  readonly standardError: number;
  /** Share of each stratum, summing to 1. */
  readonly weights: readonly number[];
  /** Cochran's Q, chi-square with `df` degrees of freedom when all strata share one effect, and its p. */
  readonly q: number;
  readonly df: number;
  readonly pValue: number;
  /** Share of the variation that chance does not explain, 0..1: max(0, (Q - df) / Q). */
  readonly iSquared: number;
  /** Variance of the effects between strata (DerSimonian and Laird 1986). */
  readonly tauSquared: number;
  /** Mean effect and its standard error when the strata differ by `tauSquared`. */
  readonly random: StratumEffect;
}

/**
 * Pools the effects of independent strata by inverse variance, and measures how much they differ: Cochran's Q (Cochran 1954), I-squared
 * (Higgins and Thompson 2002), tau-squared and the random-effects mean (DerSimonian and Laird 1986). Standard errors must be positive;
 * at least one stratum.
 */
export function poolEffects(strata: readonly StratumEffect[]): PooledEffect {
  const weights = strata.map(({ standardError }) => 1 / standardError ** 2);
  const common = weightedMean(strata, weights);
  const total = weights.reduce((a, b) => a + b, 0);
  const q = strata.reduce((sum, { effect }, i) => sum + weights[i]! * (effect - common.effect) ** 2, 0);
  const df = strata.length - 1;
  const squares = weights.reduce((sum, weight) => sum + weight * weight, 0);
  const tauSquared = df === 0 ? 0 : Math.max(0, (q - df) / (total - squares / total));
  return {
    ...common,
    weights: weights.map((weight) => weight / total),
    q,
    df,
    pValue: df === 0 ? 1 : chiSquareSf(q, df),
    iSquared: q > df ? (q - df) / q : 0,
    tauSquared,
    random: weightedMean(
      strata,
      strata.map(({ standardError }) => 1 / (standardError ** 2 + tauSquared)),
    ),
  };
}

function weightedMean(strata: readonly StratumEffect[], weights: readonly number[]): StratumEffect {
  const total = weights.reduce((a, b) => a + b, 0);
  return {
    effect: strata.reduce((sum, { effect }, i) => sum + weights[i]! * effect, 0) / total,
    standardError: 1 / Math.sqrt(total),
  };
}

/** Neither tail is nearer to certainty than this: one stratum can't outvote all others. */
const SMALLEST = 1e-12;

/**
 * Stratified one-sided test: the strata's own tests joined by their normal scores, weighted by precision (Liptak 1958). Each stratum gives
 * p that the candidate is larger and p that it is smaller; of a discrete test they overlap, and their mid-p is used (Lancaster 1961).
 */
export function stratifiedTest(
  strata: readonly { readonly pLarger: number; readonly pSmaller: number; readonly standardError: number }[],
): { pLarger: number; pSmaller: number } {
  let score = 0;
  let squares = 0;
  for (const { pLarger, pSmaller, standardError } of strata) {
    const middle = Math.min(1 - SMALLEST, Math.max(SMALLEST, (pLarger + 1 - pSmaller) / 2));
    score -= normalQuantile(middle) / standardError;
    squares += 1 / standardError ** 2;
  }
  const z = score / Math.sqrt(squares);
  return { pLarger: normalSf(z), pSmaller: normalCdf(z) };
}
