import { normalPdf, normalSf } from './distributions.ts';

/** Looks above this are treated as continuous monitoring (see anytime.ts), below by the exact recursion. */
export const MAX_PLANNED_LOOKS = 50;

const GRID = 81;

/** The exponent at which the boundary is the same at every look (Pocock 1977). */
const POCOCK = 0.5;

/**
 * Equally many points are added between looks 1 .. `looks`; the looks before `first` don't test (default 1: all do). The boundary at look
 * k is z = c (k / looks)^(delta - 1/2) (Wang and Tsiatis 1987): `delta` 1/2 is Pocock's, 0 O'Brien and Fleming's, above 1/2 it is lower at
 * the earlier looks.
 */
export interface LookPlan {
  readonly looks: number;
  readonly first?: number;
  readonly delta?: number;
}

/** z at look `k` of the boundary with constant `c`. */
export function boundaryAt(c: number, k: number, { looks, delta = POCOCK }: LookPlan): number {
  return c * (k / looks) ** (delta - POCOCK);
}

/** Constant of the boundary that reaches z at look `k`. */
export function constantThrough(z: number, k: number, { looks, delta = POCOCK }: LookPlan): number {
  return z * (k / looks) ** (POCOCK - delta);
}

/**
 * Probability that a standard Brownian path observed at the looks of the plan is ever at or above its boundary with constant `c`
 * (one-sided). Recursive numerical integration (Armitage, McPherson and Rowe 1969; Jennison and Turnbull 2000, chapter 19), Simpson's rule
 * on the continuation region.
 */
export function crossingProbability(c: number, plan: LookPlan): number {
  const { looks, first = 1 } = plan;
  const start = boundaryAt(c, first, plan);
  let crossed = normalSf(start);
  if (first >= looks) return crossed;
  // Density of S_k = sqrt(k) * Z_k for paths that have not crossed; the lower end is cut where no mass is left.
  const scale = Math.sqrt(first);
  let low = -8 * scale;
  let high = start * scale;
  let points = linspace(low, high);
  let density = points.map((s) => normalPdf(s / scale) / scale);
  for (let k = first + 1; k <= looks; k++) {
    const bound = boundaryAt(c, k, plan) * Math.sqrt(k);
    const weights = simpson(low, high);
    let exit = 0;
    for (let i = 0; i < GRID; i++) exit += weights[i]! * density[i]! * normalSf(bound - points[i]!);
    crossed += exit;
    if (k === looks) break;
    const nextLow = -8 * Math.sqrt(k);
    const next = linspace(nextLow, bound);
    const nextDensity = next.map((s) => {
      let total = 0;
      for (let i = 0; i < GRID; i++) {
        const step = s - points[i]!;
        if (step > -9 && step < 9) total += weights[i]! * density[i]! * normalPdf(step);
      }
      return total;
    });
    low = nextLow;
    high = bound;
    points = next;
    density = nextDensity;
  }
  return Math.min(1, crossed);
}

/** Constant of the boundary that a path crosses with probability `alpha`. */
export function boundaryConstant(alpha: number, plan: LookPlan): number {
  let low = 0;
  let high = 8;
  for (let i = 0; i < 26; i++) {
    const middle = (low + high) / 2;
    if (crossingProbability(middle, plan) > alpha) low = middle;
    else high = middle;
  }
  return high;
}

/** Largest delta used, in hundredths: further up, the last looks would pay for the first. */
const STEEPEST = 65;

/**
 * Delta (in hundredths, 0.5 .. 0.65) where the looks before `first` do not test. Pocock's constant for all looks holds the error for the
 * others too, with some left over: that goes to the earliest looks, so that none has a higher boundary than if all looks tested.
 */
export function earlyShape(alpha: number, looks: number, first: number): number {
  if (first <= 1 || first >= looks) return POCOCK;
  const constant = boundaryConstant(alpha, { looks });
  let best = 100 * POCOCK;
  let above = STEEPEST + 1;
  while (above - best > 1) {
    const middle = Math.floor((best + above) / 2);
    if (crossingProbability(constant, { looks, first, delta: middle / 100 }) <= alpha) best = middle;
    else above = middle;
  }
  return best / 100;
}

function linspace(low: number, high: number): Float64Array {
  const result = new Float64Array(GRID);
  for (let i = 0; i < GRID; i++) result[i] = low + ((high - low) * i) / (GRID - 1);
  return result;
}

function simpson(low: number, high: number): Float64Array {
  const h = (high - low) / (GRID - 1);
  const weights = new Float64Array(GRID);
  for (let i = 0; i < GRID; i++) weights[i] = (h / 3) * (i === 0 || i === GRID - 1 ? 1 : i % 2 === 1 ? 4 : 2);
  return weights;
}
