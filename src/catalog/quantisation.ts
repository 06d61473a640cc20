/**
 * Bits per weight of the ways to store weights. Block formats of ggml are exact (ggml-common.h: weights and scales of a
 * block); the K_S/K_M mixes are what a merged-expert Mixtral 8x7B file takes per parameter; AWQ and GPTQ are 4 bits with a
 * 16-bit scale and a 4-bit zero for each group of 128.
 */
const BITS: { readonly [name: string]: number } = {
  F32: 32,
  F16: 16,
  BF16: 16,
  FP8: 8,
  INT8: 8,
  Q8_0: 8.5,
  Q6_K: 6.5625,
  Q5_1: 6,
  Q5_0: 5.5,
  Q5_K: 5.5,
  Q4_1: 5,
  Q4_K_M: 4.8734,
  Q4_0: 4.5,
  Q4_K: 4.5,
  IQ4_NL: 4.5,
  IQ4_XS: 4.25,
  AWQ: 4.15625,
  GPTQ: 4.15625,
  Q3_K: 3.4375,
  Q2_K: 2.625,
};

export const QUANTISATIONS: readonly string[] = Object.keys(BITS);

/** Bits per weight; undefined for an unknown name. */
export function bitsPerWeight(name: string): number | undefined {
  const upper = name.toUpperCase().replace(/^MOSTLY_/, '');
  return Object.hasOwn(BITS, upper) ? BITS[upper] : undefined;
}

/** Formats worth proposing, most precise first. */
export const PROPOSALS: readonly string[] = ['BF16', 'Q8_0', 'FP8', 'Q6_K', 'Q5_0', 'Q4_K_M', 'AWQ', 'Q4_0', 'Q3_K'];

/** Bytes per element of KV cache types: plain, or ggml blocks of 32 with a 16-bit scale. */
export const KV_BYTES: { readonly [type: string]: number } = { f32: 4, f16: 2, bf16: 2, fp8: 1, q8_0: 34 / 32, q4_0: 18 / 32 };
