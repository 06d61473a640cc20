// Sampling from a full distribution, for requests that want log probabilities: llama.cpp's own sampler would report them after
// temperature and truncation, where OpenAI's API means the model's.
import type { Uniform } from '../gguf/random.ts';

/** Log of the smallest normal float32: a probability that underflowed to 0 is reported as this rather than as minus infinity. */
const LOG_FLOOR = Math.log(1.1754943508222875e-38);

/** Natural log of a float32 probability, floored where it underflowed. */
export function logProbability(probability: number): number {
  return Math.max(Math.log(probability), LOG_FLOOR);
}

/** What is added to the logits of some tokens before one is drawn. */
export type Shifts = ReadonlyMap<number, number>;

/**
 * What a request adds to logits after the tokens so far, by OpenAI's API reference (Advanced usage, Parameter details):
 * mu[j] -> mu[j] - c[j] * frequency_penalty - (c[j] > 0) * presence_penalty, with c[j] how often token j was sampled; and logit_bias.
 * @param counts how often each token was generated
 */
export function shiftsOf(
  request: { frequencyPenalty?: number; presencePenalty?: number; logitBias?: ReadonlyArray<readonly [number, number]> },
  counts: ReadonlyMap<number, number>,
): Shifts {
  const { frequencyPenalty = 0, presencePenalty = 0, logitBias = [] } = request;
  const shifts = new Map(logitBias);
  if (frequencyPenalty !== 0 || presencePenalty !== 0)
    for (const [token, count] of counts) shifts.set(token, (shifts.get(token) ?? 0) - count * frequencyPenalty - presencePenalty);
  return shifts;
}

/** A distribution, most likely first, with logits shifted; its weights no longer sum to 1. */
export function shifted(distribution: Map<number, number>, shifts: Shifts): Map<number, number> {
  if (shifts.size === 0) return distribution;
  const logits = [...distribution].map(([token, probability]): [number, number] => [
    token,
    Math.log(probability) + (shifts.get(token) ?? 0),
  ]);
  logits.sort((a, b) => b[1] - a[1]);
  // The highest is 1: penalties below 0 add up to what no double holds.
  const highest = logits[0]?.[1] ?? 0;
  return new Map(logits.map(([token, logit]) => [token, Math.exp(logit - highest)]));
}

/**
 * Picks a token: the `topK` most likely, of them those above `minP` times the most likely (Nguyen et al. 2024), then temperature, then
 * nucleus (Holtzman et al. 2020: the smallest set of most likely tokens whose mass reaches topP).
 * @param distribution token to probability or weight, most likely first, at temperature 1
 * @param temperature 0 takes the most likely
 */
export function pick(
  distribution: Map<number, number>,
  temperature: number,
  topP: number,
  uniform: Uniform,
  { topK = Number.POSITIVE_INFINITY, minP = 0 }: { topK?: number; minP?: number } = {},
): number {
  const tokens = [...distribution.keys()];
  if (tokens.length === 0) throw new RangeError('empty distribution');
  if (temperature <= 0) return tokens[0] as number;
  const first = Math.max(distribution.get(tokens[0] as number) as number, Number.MIN_VALUE);
  const weights: number[] = [];
  let total = 0;
  for (const probability of distribution.values()) {
    if (weights.length >= topK || (weights.length > 0 && probability < minP * first)) break;
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
