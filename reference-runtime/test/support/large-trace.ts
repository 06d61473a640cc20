import { topExperts } from '../../src/engine/trace-math.ts';
import type { RequestTrace } from '../../src/engine/types.ts';

/** The most probable experts of each row: what a router with a plain softmax chooses. */
export function mostProbable(probabilities: Float32Array, experts: number, used: number): Uint16Array {
  const rows = Array.from({ length: probabilities.length / experts }, (_, row) => row);
  return Uint16Array.from(rows.flatMap((row) => topExperts(probabilities.subarray(row * experts, (row + 1) * experts), used)));
}

/** A trace of any size: rows layer by layer, as batches of a long prompt record them. */
export function largeTrace(shape: {
  layers: number;
  tokens: number;
  experts: number;
  used?: number;
  text?: string;
}): RequestTrace {
  const { layers, tokens, experts, used = 2, text = ' word' } = shape;
  const count = layers * tokens;
  const probabilities = Float32Array.from({ length: count * experts }, (_, at) => (((at * 7919) % 101) + 1) / (51 * experts));
  return {
    tokensTraced: tokens,
    prefixTokensReused: 0,
    dropped: 0,
    layers: Array.from({ length: layers }, (_, layer) => ({
      layer,
      rows: tokens,
      usage: new Array<number>(experts).fill((used * tokens) / experts),
      gateEntropyNats: 1,
      top2Margin: 0.1,
    })),
    rows: {
      experts,
      expertsUsed: used,
      position: Int32Array.from({ length: count }, (_, row) => row % tokens),
      token: new Int32Array(count),
      layer: Int32Array.from({ length: count }, (_, row) => Math.floor(row / tokens)),
      chosen: mostProbable(probabilities, experts, used),
      probabilities,
    },
    text: { promptTokens: tokens - 1, ids: new Int32Array(tokens), texts: new Array<string>(tokens).fill(text) },
  };
}
