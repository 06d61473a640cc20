import { mixtureBoundaryZ, mixturePValue } from '../../stats/anytime.ts';
import { normalQuantile, normalSf } from '../../stats/distributions.ts';
import {
  boundaryAt,
  boundaryConstant,
  constantThrough,
  crossingProbability,
  earlyShape,
  type LookPlan,
  MAX_PLANNED_LOOKS,
} from '../../stats/group-sequential.ts';
import { FEW_LOOKS, LOOKS_FEWEST_PAIRS, MIN_POINTS } from './defaults.ts';
import type { Design, MetricKind } from './types.ts';

/** Sample size near which the unlimited-looks boundary is tightest. */
const MIXTURE_OPTIMUM = 60;

/** Bound on the memo: 350 points for each plan of looks. When full it starts over. */
const MAX_CACHED = 50_000;

const cache = new Map<string, number>();

/** Step of the table below, in z: linear interpolation of ln p is then good to 1e-4 of p. */
const STEP = 0.02;

function remembered(key: string, compute: () => number): number {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const value = compute();
  if (cache.size >= MAX_CACHED) cache.clear();
  cache.set(key, value);
  return value;
}

/** The looks at one metric, and which of them this one is. */
export interface Looks extends LookPlan {
  /** 1 .. looks; left out when it is not known: the boundary is then the same at each. */
  readonly look?: number;
}

/**
 * Points (pairs) of a metric from which its looks are paid for. Pairs can't stop earlier. Series can't before LOOKS_MIN_POINTS, but pay for
 * all looks: what the first ones leave unspent covers the dependence that short series hide. Spent as well, it took 20 looks at 60 points
 * of phi 0.15 and 0.3 to 6.3 and 6.6 % false alarms. Counts and rates can stop at the first.
 */
export function pointsBeforeStop(kind: MetricKind, design: Design, looks: number): number {
  if (kind !== 'continuous' || design === 'unpaired') return 1;
  return looks > FEW_LOOKS ? LOOKS_FEWEST_PAIRS : MIN_POINTS;
}

/**
 * Plans the boundary: when it is known which look this is, those too early to stop are not paid for. `points`: an arm's at this look, of
 * the longest metric of the case, so that a segment whose points come late does not pass for one that grows evenly.
 */
export function planLooks(looks: number, look: number | undefined, alpha: number, fewest: number, points: number): Looks {
  if (look === undefined || looks <= 1 || looks > MAX_PLANNED_LOOKS || points < 1) return { looks };
  // Half a point: the size of a look is rounded.
  const first = Math.max(1, Math.min(look, Math.ceil(((fewest - 0.5) * look) / points)));
  const delta = remembered(`d${alpha}/${looks}/${first}`, () => earlyShape(alpha, looks, first));
  return { looks, look, first, delta };
}

/** The recursion takes milliseconds; its value at multiples of STEP is kept, so that a batch pays for each point once. */
function interpolatedCrossing(c: number, plan: Looks): number {
  const index = Math.floor(c / STEP);
  const rest = c / STEP - index;
  const at = (i: number): number => remembered(`c${i}/${keyOf(plan)}`, () => Math.log(crossingProbability(i * STEP, plan)));
  return Math.min(1, Math.exp((1 - rest) * at(index) + rest * at(index + 1)));
}

function keyOf({ looks, first = 1, delta }: Looks): string {
  return first === 1 ? `${looks}` : `${looks}/${first}/${delta}`;
}

/**
 * Corrects a nominal one-sided p for repeated looks at growing data. Up to MAX_PLANNED_LOOKS equally spaced looks: the chance that a
 * path ever reaches the boundary through this p (Pocock's, or lower at the earlier looks: see planLooks); above: the anytime-valid normal
 * mixture, good for any number of looks.
 */
export function adjustForLooks(p: number, plan: Looks, n: number, alpha: number): number {
  const { looks, look, first = 1 } = plan;
  if (looks <= 1 || p >= 0.5) return p;
  if (p <= 0) return 0;
  const z = -normalQuantile(p);
  if (looks > MAX_PLANNED_LOOKS) return mixturePValue(z, n, MIXTURE_OPTIMUM, alpha);
  const c = look === undefined ? z : constantThrough(z, Math.max(first, look), plan);
  // Past 7 the recursion's grid error exceeds the value; the union bound is enough there.
  return c > 7 ? Math.min(1, looks * normalSf(boundaryAt(c, first, plan))) : interpolatedCrossing(c, plan);
}

/** Nominal one-sided level of this look, where `alpha` is spent over all looks. */
export function nominalLevel(alpha: number, plan: Looks, n: number): number {
  const { looks, look, first = 1 } = plan;
  if (looks <= 1) return alpha;
  if (looks > MAX_PLANNED_LOOKS) return normalSf(mixtureBoundaryZ(n, MIXTURE_OPTIMUM, alpha));
  const c = remembered(`n${alpha}/${keyOf(plan)}`, () => boundaryConstant(alpha, plan));
  return normalSf(look === undefined ? c : boundaryAt(c, Math.max(first, look), plan));
}
