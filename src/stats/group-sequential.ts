import { normalPdf, normalSf } from './distributions.ts';

/** Looks above this are treated as continuous monitoring (see anytime.ts), below by the exact recursion. */
export const MAX_PLANNED_LOOKS = 50;

const GRID = 81;

/**
 * Probability that a standard Brownian path observed at `looks` equally spaced times ever has z >= c (one-sided). Recursive
 * numerical integration (Armitage, McPherson and Rowe 1969), Simpson's rule on the continuation region.
 */
export function crossingProbability(c: number, looks: number): number {
  if (looks <= 1) return normalSf(c);
  // Density of S_k = sqrt(k) * Z_k for paths that have not crossed; the lower end is cut where no mass is left.
  let crossed = normalSf(c);
  let low = -8;
  let high = c;
  let points = linspace(low, high);
  let density = points.map((s) => normalPdf(s));
  for (let k = 2; k <= looks; k++) {
    const bound = c * Math.sqrt(k);
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
