// Where two models on the same tokens part: by causality, not by size. A position depends on itself and the ones before it, and a router on
// the layers below it. The first position that differs has met what changed, none before it has; and of its routers the first that differs
// has what changed below it (docs/decisions/0006-canary-attribution.md is the same over many prompts).
import type { Gate, Routed } from './routing-diff.ts';

/** Differences of a gate probability, or of a log probability in nats, that are arithmetic in 32 bits. */
const ARITHMETIC = 1e-5;

/** Where the models first differ. */
export interface FirstChange {
  position: number;
  /** The last routed layer below the change; absent where the first router differs already: then it is the embedding, the attention or that router. */
  after?: number;
  /** The first layer whose router differs; absent where only the likelihood of the next token does. */
  seen?: number;
  /** Experts of layer `after` that this position uses and none before it did: one is the changed one, if an expert is. */
  experts: number[];
}

type LogProbabilities = ReadonlyArray<number | null>;

function differs(before: Gate, after: Gate): boolean {
  return before.probabilities.some((p, expert) => Math.abs(p - (after.probabilities[expert] ?? 0)) > ARITHMETIC);
}

function likelihoodDiffers(before: number | null | undefined, after: number | null | undefined): boolean {
  return typeof before === 'number' && typeof after === 'number' && Math.abs(before - after) > ARITHMETIC;
}

/** Undefined when nothing differs. Both sides must have been computed in the same steps: another batch rounds differently. */
export function firstChange(
  baseline: readonly Routed[],
  candidate: readonly Routed[],
  logprobs: { baseline: LogProbabilities; candidate: LogProbabilities },
): FirstChange | undefined {
  const other = new Map(candidate.map((token) => [token.position, token]));
  const met = new Map<number, Set<number>>();
  for (const { position, layers } of [...baseline].sort((a, b) => a.position - b.position)) {
    const gates = [...layers].sort((a, b) => a.layer - b.layer);
    const theirs = new Map(other.get(position)?.layers.map((gate) => [gate.layer, gate]));
    const at = gates.findIndex((gate) => {
      const own = theirs.get(gate.layer);
      return own !== undefined && differs(gate, own);
    });
    if (at >= 0 || likelihoodDiffers(logprobs.baseline[position + 1], logprobs.candidate[position + 1])) {
      const below = at < 0 ? gates.at(-1) : gates[at - 1];
      const seen = gates[at];
      return {
        position,
        ...(below === undefined ? {} : { after: below.layer }),
        ...(seen === undefined ? {} : { seen: seen.layer }),
        experts: below === undefined ? [] : below.experts.filter((expert) => met.get(below.layer)?.has(expert) !== true),
      };
    }
    for (const { layer, experts } of gates) {
      const known = met.get(layer) ?? new Set<number>();
      met.set(layer, known);
      for (const expert of experts) known.add(expert);
    }
  }
  return undefined;
}

/** Mean change of the log probability of the token that follows, in nats, by layer and expert it was predicted through. */
export interface LikelihoodChange {
  layer: number;
  /** Of each expert; undefined where no scored token was predicted through it. */
  change: Array<number | undefined>;
  tokens: number[];
}

/** By layer. It says where a loss sits, not what caused it: tokens that share an expert share others. */
export function likelihoodByExpert(
  baseline: readonly Routed[],
  logprobs: { baseline: LogProbabilities; candidate: LogProbabilities },
): LikelihoodChange[] {
  const sums = new Map<number, { sum: number[]; tokens: number[] }>();
  for (const { position, layers } of baseline) {
    const [before, after] = [logprobs.baseline[position + 1], logprobs.candidate[position + 1]];
    if (typeof before !== 'number' || typeof after !== 'number') continue;
    for (const { layer, experts, probabilities } of layers) {
      const into = sums.get(layer) ?? { sum: probabilities.map(() => 0), tokens: probabilities.map(() => 0) };
      sums.set(layer, into);
      for (const expert of experts) {
        into.sum[expert] = (into.sum[expert] ?? 0) + after - before;
        into.tokens[expert] = (into.tokens[expert] ?? 0) + 1;
      }
    }
  }
  return [...sums]
    .sort(([a], [b]) => a - b)
    .map(([layer, { sum, tokens }]) => ({
      layer,
      change: sum.map((total, expert) => (tokens[expert] === 0 ? undefined : total / (tokens[expert] as number))),
      tokens,
    }));
}
