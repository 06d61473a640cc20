import type { Rng } from './rng.ts';

export interface PermutationResult {
  /** Observed statistic. */
  statistic: number;
  /** One-sided p (large is extreme); with Monte Carlo it is (1 + hits) / (1 + draws), valid by construction (Phipson and Smyth 2010). */
  p: number;
  draws: number;
  method: 'exact' | 'monte-carlo';
}

/** Blocks up to which every sign pattern is enumerated. */
const EXACT_BLOCKS = 14;

/** Rounding slack, relative to the scale of the statistic, under which two sums count as tied. */
const TIE_SLACK = 1e-12;

/**
 * Sign-flip permutation test that the differences are symmetric about 0 against a positive mean. With `blockLength` > 1 whole
 * runs of consecutive differences flip together, which keeps serial dependence inside a block. Statistic: the sum.
 */
export function signFlipTest(
  differences: ArrayLike<number>,
  rng: Rng,
  options: { draws?: number; blockLength?: number } = {},
): PermutationResult {
  const { draws = 9999, blockLength = 1 } = options;
  const blocks: number[] = [];
  let scale = 0;
  for (let start = 0; start < differences.length; start += blockLength) {
    let total = 0;
    for (let i = start; i < Math.min(start + blockLength, differences.length); i++) total += differences[i]!;
    blocks.push(total);
    scale += Math.abs(total);
  }
  const observed = blocks.reduce((a, b) => a + b, 0);
  const limit = observed - TIE_SLACK * scale;
  if (blocks.length <= EXACT_BLOCKS) {
    const patterns = 2 ** blocks.length;
    let hits = 0;
    for (let mask = 0; mask < patterns; mask++) {
      let total = 0;
      for (let b = 0; b < blocks.length; b++) total += (mask >> b) & 1 ? -blocks[b]! : blocks[b]!;
      if (total >= limit) hits++;
    }
    return { statistic: observed, p: hits / patterns, draws: patterns, method: 'exact' };
  }
  let hits = 0;
  for (let draw = 0; draw < draws; draw++) {
    let total = 0;
    let bits = 0;
    for (let b = 0; b < blocks.length; b++) {
      if ((b & 31) === 0) bits = rng.uint32();
      total += bits & 1 ? -blocks[b]! : blocks[b]!;
      bits >>>= 1;
    }
    if (total >= limit) hits++;
  }
  return { statistic: observed, p: (1 + hits) / (1 + draws), draws, method: 'monte-carlo' };
}
