import { signFlipDistribution } from './wilcoxon.ts';

/** Largest sum of steps for which the distribution is computed: its cost is steps x items. */
const MAX_STEPS = 4_000;

/** Two values this close, as a share of the largest, are one. */
const TOLERANCE = 1e-9;

/**
 * Exact sign-flip test of a mean where the differences are whole multiples of one step, as scores of a few polls are: the sum's null
 * distribution, every difference that is not zero having either sign with chance 1/2 (Fisher 1935; for 0/1 values McNemar's exact test).
 * Undefined when there is no such step, or too many of them.
 */
export function latticeSignFlip(differences: ArrayLike<number>): { larger: number; smaller: number } | undefined {
  const sizes: number[] = [];
  let largest = 0;
  for (let i = 0; i < differences.length; i++) {
    const size = Math.abs(differences[i]!);
    if (size > largest) largest = size;
    if (size > 0) sizes.push(size);
  }
  if (sizes.length === 0) return { larger: 1, smaller: 1 };
  const noise = TOLERANCE * largest;
  const step = sizes.reduce((a, b) => commonStep(a, b, noise));
  const items = Int32Array.from(sizes, (size) => Math.round(size / step));
  const total = items.reduce((sum, item) => sum + item, 0);
  if (total > MAX_STEPS || sizes.some((size, i) => Math.abs(size - items[i]! * step) > 10 * noise)) return undefined;
  let up = 0;
  for (let i = 0; i < differences.length; i++) if (differences[i]! > 0) up += Math.round(differences[i]! / step);
  const mass = signFlipDistribution(items);
  const tail = (from: number): number => {
    let p = 0;
    for (let s = from; s < mass.length; s++) p += mass[s]!;
    return Math.min(1, p);
  };
  // The distribution is symmetric: the lower tail of `up` is the upper tail of what is left.
  return { larger: tail(up), smaller: tail(total - up) };
}

/** Euclid's algorithm on measured numbers: a remainder within `noise` of nothing, or of the divisor, is none. */
function commonStep(a: number, b: number, noise: number): number {
  let [large, small] = a >= b ? [a, b] : [b, a];
  while (small > noise) {
    const rest = large % small;
    [large, small] = [small, small - rest <= noise ? 0 : rest];
  }
  return large;
}
