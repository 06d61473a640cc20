// What a router does with the logits of one token: the same arithmetic as llama.cpp's graph (gguf/gating.ts has which and from where).
import type { Gating } from '../gguf/gating.ts';
import { softmax, topExperts } from './trace-math.ts';

/** One token in one layer. */
export interface Choice {
  /** The scores of all experts as shares: sums to 1. */
  probabilities: Float64Array;
  /** The chosen experts, most probable first. */
  experts: number[];
  /** What they were chosen by, for all experts: a larger value is preferred. */
  choice: ArrayLike<number>;
}

/** Sigmoid of each logit. */
function sigmoids(logits: ArrayLike<number>): Float64Array {
  return Float64Array.from(logits, (logit) => 1 / (1 + Math.exp(-logit)));
}

function shares(scores: Float64Array): Float64Array {
  const sum = scores.reduce((total, score) => total + score, 0);
  // All sigmoids at 0: no expert is more likely than another.
  return scores.map((score) => (sum > 0 ? score / sum : 1 / scores.length));
}

/** -Infinity for every expert outside the best groups. */
function withinGroups(scores: Float64Array, { count, used }: { count: number; used: number }): Float64Array {
  const size = scores.length / count;
  const best = Array.from({ length: count }, (_, group) => {
    const own = scores.subarray(group * size, (group + 1) * size);
    return topExperts(own, 2).reduce((sum, expert) => sum + (own[expert] as number), 0);
  });
  const kept = new Set(topExperts(best, used));
  return scores.map((score, expert) => (kept.has(Math.floor(expert / size)) ? score : Number.NEGATIVE_INFINITY));
}

/** The scores that experts are chosen by. */
function choiceScores({ choiceBias, groups }: Gating, scores: Float64Array, layer: number): Float64Array {
  const bias = choiceBias.get(layer);
  const biased = bias === undefined ? scores : scores.map((score, expert) => score + (bias[expert] as number));
  return groups === undefined ? biased : withinGroups(biased, groups);
}

/** The gate of one token in `layer`; `used` experts are chosen. */
export function chooseExperts(gating: Gating, logits: ArrayLike<number>, layer: number, used: number): Choice {
  // The order of logits is that of their softmax, and not rounded.
  if (gating.score === 'softmax' && gating.groups === undefined && !gating.choiceBias.has(layer))
    return { probabilities: softmax(logits), experts: topExperts(logits, used), choice: logits };
  const scores = gating.score === 'softmax' ? softmax(logits) : sigmoids(logits);
  const choice = choiceScores(gating, scores, layer);
  const experts = topExperts(choice, used).sort((a, b) => (scores[b] as number) - (scores[a] as number));
  return { probabilities: shares(scores), experts, choice };
}
