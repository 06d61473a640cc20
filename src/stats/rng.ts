/** A seeded source of pseudo-random numbers. Same seed, same sequence, on every platform (32-bit integer arithmetic only). */
export interface Rng {
  /** Next 32 random bits as an unsigned integer, 0 .. 2^32-1. */
  uint32(): number;
  /** Uniform in [0, 1) with 53 random bits. */
  uniform(): number;
  /** Uniform integer in 0 .. n-1 (unbiased, by rejection). n must be 1 .. 2^32. */
  int(n: number): number;
  /** Standard normal (Marsaglia's polar method). */
  normal(): number;
}

/** FNV-1a (32 bit) of a text, so that a commit id can be a seed. */
function hashSeed(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0;
}

function splitMix32(state: number): { state: number; value: number } {
  const next = (state + 0x9e3779b9) | 0;
  let z = next;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return { state: next, value: (z ^ (z >>> 16)) >>> 0 };
}

function rotl(x: number, k: number): number {
  return (x << k) | (x >>> (32 - k));
}

/** xoshiro128** 1.1 from four 32-bit state words (not all zero). Source: Blackman and Vigna, https://prng.di.unimi.it/xoshiro128starstar.c */
export function xoshiro128(words: readonly [number, number, number, number]): Rng {
  let [s0, s1, s2, s3] = words;
  let spare: number | undefined;

  function uint32(): number {
    const result = Math.imul(rotl(Math.imul(s1, 5), 7), 9) >>> 0;
    const t = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= t;
    s3 = rotl(s3, 11);
    return result;
  }
  function uniform(): number {
    const high = uint32() >>> 5;
    const low = uint32() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }
  function int(n: number): number {
    const limit = 4294967296 - (4294967296 % n);
    let draw = uint32();
    while (draw >= limit) draw = uint32();
    return draw % n;
  }
  function normal(): number {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    for (;;) {
      const u = 2 * uniform() - 1;
      const v = 2 * uniform() - 1;
      const q = u * u + v * v;
      if (q > 0 && q < 1) {
        const scale = Math.sqrt((-2 * Math.log(q)) / q);
        spare = v * scale;
        return u * scale;
      }
    }
  }
  return { uint32, uniform, int, normal };
}

/** A generator from a number or a text (a commit id). Numbers use their low 53 bits; the state words come from SplitMix32. */
export function createRng(seed: number | string): Rng {
  const low = typeof seed === 'string' ? hashSeed(seed) : seed >>> 0;
  const high = typeof seed === 'string' ? hashSeed(`${seed}#`) : Math.floor(Math.abs(seed) / 4294967296) >>> 0;
  const words: number[] = [];
  let state = (low ^ Math.imul(high, 0x9e3779b1)) | 0;
  for (let i = 0; i < 4; i++) {
    const step = splitMix32(state);
    state = step.state;
    words.push(step.value | 0);
  }
  return xoshiro128([words[0]!, words[1]!, words[2]!, words[3]! || 1]);
}
