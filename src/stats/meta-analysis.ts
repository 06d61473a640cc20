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
  /** Variance of the effects between strata (Paule and Mandel 1982). */
  readonly tauSquared: number;
  /** Mean effect and its standard error when the strata differ by `tauSquared`. */
  readonly random: StratumEffect;
}

/**
 * Pools the effects of independent strata by inverse variance, and measures how much they differ: Cochran's Q (Cochran 1954), I-squared
 * (Higgins and Thompson 2002), tau-squared (Paule and Mandel 1982) and the random-effects mean. Standard errors must be positive; at least
 * one stratum. The moment estimator of DerSimonian and Laird is not used: where one stratum is a million times more precise than the others
 * (a metric that did not move there at all), it finds next to no variance, however far they are apart.
 */
export function poolEffects(strata: readonly StratumEffect[]): PooledEffect {
  const weights = strata.map(({ standardError }) => 1 / standardError ** 2);
  const common = weightedMean(strata, weights);
  const total = weights.reduce((a, b) => a + b, 0);
  const q = strata.reduce((sum, { effect }, i) => sum + weights[i]! * (effect - common.effect) ** 2, 0);
  const df = strata.length - 1;
  const tauSquared = q > df ? pauleMandel(strata) : 0;
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

/** The variance between strata at which Q is what chance alone would give, its degrees of freedom: Q falls as the variance grows, so by bisection. */
function pauleMandel(strata: readonly StratumEffect[]): number {
  const df = strata.length - 1;
  const excess = (tauSquared: number): number => {
    const weights = strata.map(({ standardError }) => 1 / (standardError ** 2 + tauSquared));
    const { effect: mean } = weightedMean(strata, weights);
    return strata.reduce((sum, { effect }, i) => sum + weights[i]! * (effect - mean) ** 2, 0) - df;
  };
  const effects = strata.map(({ effect }) => effect);
  // No variance is larger than the squared range: Q is at most df there.
  let [low, high] = [0, (Math.max(...effects) - Math.min(...effects)) ** 2];
  for (let i = 0; i < 200 && high - low > 1e-9 * high; i++) {
    const middle = (low + high) / 2;
    if (excess(middle) > 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
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
