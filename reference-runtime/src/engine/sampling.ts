// Sampling from a full distribution, for requests that want log probabilities: llama.cpp's own sampler would report them after
// temperature and truncation, where OpenAI's API means the model's.
import type { Uniform } from '../gguf/random.ts';

/** Log of the smallest normal float32: a probability that underflowed to 0 is reported as this rather than as minus infinity. */
const LOG_FLOOR = Math.log(1.1754943508222875e-38);

/** Natural log of a float32 probability, floored where it underflowed. */
export function logProbability(probability: number): number {
  return Math.max(Math.log(probability), LOG_FLOOR);
}

/**
 * Picks a token: temperature, then nucleus (Holtzman et al. 2020: the smallest set of most likely tokens whose mass reaches topP).
 * @param distribution token to probability, most likely first, at temperature 1
 * @param temperature 0 takes the most likely
 */
export function pick(distribution: Map<number, number>, temperature: number, topP: number, uniform: Uniform): number {
  const tokens = [...distribution.keys()];
  if (tokens.length === 0) throw new RangeError('empty distribution');
  if (temperature <= 0) return tokens[0] as number;
  const first = Math.max(distribution.get(tokens[0] as number) as number, Number.MIN_VALUE);
  const weights: number[] = [];
  let total = 0;
  for (const probability of distribution.values()) {
    const weight = (probability / first) ** (1 / temperature);
    weights.push(weight);
    total += weight;
  }
  let kept = 0;
  let mass = 0;
  while (kept < weights.length && (kept === 0 || mass < topP * total)) mass += weights[kept++] as number;
  let left = uniform() * mass;
  for (let index = 0; index < kept; index++) {
    left -= weights[index] as number;
    if (left < 0) return tokens[index] as number;
  }
  return tokens[kept - 1] as number;
}
