// The numbers of a router: what a gate's logits say about one token in one layer, and what usage says about a layer.

/** Softmax of logits (shifted by their maximum); sums to 1. */
export function softmax(logits: ArrayLike<number>): Float64Array {
  let max = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < logits.length; index++) max = Math.max(max, logits[index] as number);
  const out = new Float64Array(logits.length);
  let sum = 0;
  for (let index = 0; index < logits.length; index++) {
    const value = Math.exp((logits[index] as number) - max);
    out[index] = value;
    sum += value;
  }
  for (let index = 0; index < out.length; index++) out[index] = (out[index] as number) / sum;
  return out;
}

/** The `count` experts with the largest values, largest first; the lower id first on a tie. */
export function topExperts(values: ArrayLike<number>, count: number): number[] {
  const out: number[] = [];
  if (count < 1) return out;
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number;
    const full = out.length === count;
    if (full && !(value > (values[out[count - 1] as number] as number))) continue;
    if (full) out.pop();
    let at = out.length;
    while (at > 0 && value > (values[out[at - 1] as number] as number)) at--;
    out.splice(at, 0, index);
  }
  return out;
}

/** Weights of the chosen experts: their softmax probabilities renormalised to sum to 1 (Mixtral, Jiang et al. 2024, section 2.1). */
export function expertWeights(gate: ArrayLike<number>, chosen: number[]): number[] {
  const total = chosen.reduce((sum, expert) => sum + (gate[expert] as number), 0);
  return chosen.map((expert) => (gate[expert] as number) / total);
}

/** Shannon entropy of a distribution in nats: 0 to ln n (Shannon 1948, section 6). */
export function gateEntropy(gate: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < gate.length; index++) {
    const p = gate[index] as number;
    if (p > 0) sum -= p * Math.log(p);
  }
  return sum;
}

/** Difference of the two largest probabilities of a gate: 0 to 1. */
export function top2Margin(gate: ArrayLike<number>): number {
  let [first, second] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let index = 0; index < gate.length; index++) {
    const value = gate[index] as number;
    if (value > first) [first, second] = [value, first];
    else if (value > second) second = value;
  }
  return gate.length < 2 ? 0 : first - second;
}

/**
 * Jensen-Shannon divergence of two distributions in bits: 0 the same, 1 nothing in common (Lin 1991, "Divergence measures based on
 * the Shannon entropy", with equal weights).
 */
export function jensenShannon(p: ArrayLike<number>, q: ArrayLike<number>): number {
  const middle = Array.from(p, (value, index) => (value + (q[index] as number)) / 2);
  return Math.max(0, (gateEntropy(middle) - (gateEntropy(p) + gateEntropy(q)) / 2) / Math.LN2);
}

/** Balance of a layer from its slots per expert. */
export interface UsageBalance {
  /** Share of slots per expert; sums to 1, all 0 when there were none. */
  share: number[];
  /** Entropy of the shares over ln n: 1 even, 0 one expert only (Pielou's evenness, 1966). */
  normalizedEntropy: number;
  /** n x the largest share, the peak over the mean: 1 even, n / experts used at most. Its inverse is the
   * balancedness of vLLM's and SGLang's load balancers, there over ranks. */
  skew: number;
  /** Jain's fairness index 1 / (n x sum of squared shares) (Jain et al. 1984): 1 even, 1/n one expert only. */
  jain: number;
}

/** Balance of one layer's usage. */
export function usageBalance(usage: number[]): UsageBalance {
  const total = usage.reduce((sum, count) => sum + count, 0);
  if (total === 0) return { share: usage.map(() => 0), normalizedEntropy: 0, skew: 0, jain: 0 };
  const share = usage.map((count) => count / total);
  const squares = share.reduce((sum, p) => sum + p * p, 0);
  return {
    share,
    normalizedEntropy: gateEntropy(share) / Math.log(usage.length),
    skew: usage.length * Math.max(...share),
    jain: 1 / (usage.length * squares),
  };
}
