import { mixtureBoundaryZ, mixturePValue } from '../../stats/anytime.ts';
import { normalQuantile, normalSf } from '../../stats/distributions.ts';
import { crossingProbability, MAX_PLANNED_LOOKS } from '../../stats/group-sequential.ts';

/** Sample size near which the unlimited-looks boundary is tightest. */
const MIXTURE_OPTIMUM = 60;

/** Bound on the memo: 350 points for each of the 50 numbers of looks fit. */
const MAX_CACHED = 20_000;

const cache = new Map<string, number>();

/** Step of the table below, in z: linear interpolation of ln p is then good to 1e-4 of p. */
const STEP = 0.02;

/** The recursion takes milliseconds; its value at multiples of STEP is kept, so that a batch pays for each point once. */
function tabulatedCrossing(index: number, looks: number): number {
  const key = `z${index}/${looks}`;
  const known = cache.get(key);
  if (known !== undefined) return known;
  const value = Math.log(crossingProbability(index * STEP, looks));
  if (cache.size < MAX_CACHED) cache.set(key, value);
  return value;
}

function interpolatedCrossing(z: number, looks: number): number {
  const index = Math.floor(z / STEP);
  const rest = z / STEP - index;
  return Math.min(1, Math.exp((1 - rest) * tabulatedCrossing(index, looks) + rest * tabulatedCrossing(index + 1, looks)));
}

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
  return z > 7 ? Math.min(1, looks * p) : interpolatedCrossing(z, looks);
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
  if (cache.size < MAX_CACHED) cache.set(key, level);
  return level;
}
