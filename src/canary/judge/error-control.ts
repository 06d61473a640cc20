import { mixtureBoundaryZ, mixturePValue } from '../../stats/anytime.ts';
import { normalQuantile, normalSf } from '../../stats/distributions.ts';
import { crossingProbability, MAX_PLANNED_LOOKS } from '../../stats/group-sequential.ts';

/** Sample size near which the unlimited-looks boundary is tightest. */
const MIXTURE_OPTIMUM = 60;

const cache = new Map<string, number>();

/**
 * Corrects a nominal one-sided p for repeated looks at growing data. Up to MAX_PLANNED_LOOKS equally spaced looks: the chance that a
 * path ever gets this far at any of them (Pocock's boundary); above: the anytime-valid normal mixture, good for any number of looks.
 */
export function adjustForLooks(p: number, looks: number, n: number, alpha: number): number {
  if (looks <= 1 || p >= 0.5) return p;
  if (p <= 0) return 0;
  const z = -normalQuantile(p);
  if (looks > MAX_PLANNED_LOOKS) return mixturePValue(z, n, MIXTURE_OPTIMUM, alpha);
  // Past z = 7 the recursion's grid error exceeds the value; the union bound is enough there.
  return z > 7 ? Math.min(1, looks * p) : Math.min(1, crossingProbability(z, looks));
}

/** Nominal one-sided level at each look that spends `alpha` over all looks. */
export function nominalLevel(alpha: number, looks: number, n: number): number {
  if (looks <= 1) return alpha;
  if (looks > MAX_PLANNED_LOOKS) return normalSf(mixtureBoundaryZ(n, MIXTURE_OPTIMUM, alpha));
  const key = `${alpha}/${looks}`;
  const known = cache.get(key);
  if (known !== undefined) return known;
  let low = 0;
  let high = 6;
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (crossingProbability(middle, looks) > alpha) low = middle;
    else high = middle;
  }
  const level = normalSf(high);
  if (cache.size < 1000) cache.set(key, level);
  return level;
}
