import type { Architecture } from './architecture.ts';
import { KV_BYTES } from './quantisation.ts';

export interface ModelNeeds {
  readonly architecture: Architecture;
  /** Bytes of all weights: the file's real size where it is known, else total parameters times bits per weight. */
  readonly weightBytes: number;
  /** Tokens per sequence. */
  readonly context: number;
  /** Sequences at the same time. */
  readonly sequences: number;
  /** Tokens in one step. */
  readonly batchTokens: number;
  readonly kvCacheType: string;
}

export interface Capacity {
  /** Bytes of one accelerator. */
  readonly memoryBytes: number;
  /** Accelerators that one replica spans. */
  readonly accelerators: number;
  /** Bytes per accelerator for driver, libraries and server. */
  readonly overheadBytes: number;
  /** 0..1 of the memory that may be used. */
  readonly utilisation: number;
}

/** Where the memory of one replica goes, in bytes over all its accelerators. */
export interface MemoryPlan {
  readonly weights: number;
  readonly kvCache: number;
  readonly kvPerToken: number;
  readonly activations: number;
  readonly overhead: number;
  readonly total: number;
  readonly available: number;
  readonly fits: boolean;
}

/** Default step size of llama.cpp (n_ubatch). */
export const DEFAULT_BATCH_TOKENS = 512;

/**
 * Weights of ALL experts (a token uses two, but every one must be there), the KV cache
 * 2 x layers x kvHeads x headDim x bytes x context x sequences, activations of one step, and overhead.
 *
 * Activations are an estimate: float32, six hidden-size vectors and three inner vectors of each active expert for a token of the
 * step, and one vector of logits for a sequence. For Mixtral 8x7B and 512 tokens that is 0.2 GiB.
 */
export function planMemory(needs: ModelNeeds, capacity: Capacity): MemoryPlan {
  const a = needs.architecture;
  const kvPerToken = 2 * a.layers * a.kvHeads * a.headDim * (KV_BYTES[needs.kvCacheType] ?? 2);
  const kvCache = kvPerToken * needs.context * needs.sequences;
  const perToken = 4 * (6 * a.hiddenSize + 3 * a.activeExperts * a.feedForwardSize);
  // Each accelerator of a replica holds its own activations.
  const activations = (needs.batchTokens * perToken + needs.sequences * a.vocabularySize * 4) * capacity.accelerators;
  const overhead = capacity.overheadBytes * capacity.accelerators;
  const total = needs.weightBytes + kvCache + activations + overhead;
  const available = Math.floor(capacity.memoryBytes * capacity.accelerators * capacity.utilisation);
  return { weights: needs.weightBytes, kvCache, kvPerToken, activations, overhead, total, available, fits: total <= available };
}

export interface Remedies {
  /** The most precise storage formats that fit as the rest stands. */
  readonly quantisations: readonly string[];
  /** Most sequences that fit; 0 when the weights alone don't. */
  readonly sequences: number;
  /** Fewest accelerators of this size that hold it; undefined when more than 64. */
  readonly accelerators: number | undefined;
}

/** What would make it fit, one change at a time. `bitsOf`: bits per weight of each proposal. */
export function remedies(
  needs: ModelNeeds,
  capacity: Capacity,
  totalParameters: number,
  proposals: readonly (readonly [name: string, bits: number])[],
): Remedies {
  const quantisations = proposals
    .filter(([, bits]) => (totalParameters * bits) / 8 < needs.weightBytes)
    .filter(([, bits]) => planMemory({ ...needs, weightBytes: (totalParameters * bits) / 8 }, capacity).fits)
    .map(([name]) => name);
  const without = planMemory({ ...needs, sequences: 0 }, capacity);
  const perSequence = planMemory({ ...needs, sequences: 1 }, capacity).total - without.total;
  const sequences =
    perSequence > 0 ? Math.max(0, Math.floor((without.available - without.total) / perSequence)) : needs.sequences;
  let accelerators: number | undefined;
  for (let count = capacity.accelerators + 1; count <= 64 && accelerators === undefined; count += 1)
    if (planMemory(needs, { ...capacity, accelerators: count }).fits) accelerators = count;
  return { quantisations, sequences: Math.min(sequences, needs.sequences), accelerators };
}
