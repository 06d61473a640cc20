import type { RequestTrace } from '../../src/engine/types.ts';

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
      probabilities: Float32Array.from({ length: count * experts }, (_, at) => (((at * 7919) % 101) + 1) / (51 * experts)),
    },
    text: { promptTokens: tokens - 1, ids: new Int32Array(tokens), texts: new Array<string>(tokens).fill(text) },
  };
}
