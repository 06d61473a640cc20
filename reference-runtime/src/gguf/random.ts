// Seeded randomness for variants and random models: the same seed gives the same bytes on every platform.

/** A source of uniform numbers in [0, 1). */
export type Uniform = () => number;

/** Mulberry32 (Tommy Ettinger, public domain): 32 bits of state, enough for weights and permutations. */
export function mulberry32(seed: number): Uniform {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** One standard normal number (Box and Muller 1958). */
export function normal(uniform: Uniform): number {
  return Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** `count` different numbers of 0 to `n` - 1 in random order (Fisher and Yates). */
export function sample(uniform: Uniform, n: number, count: number): number[] {
  const all = Array.from({ length: n }, (_, index) => index);
  for (let index = 0; index < Math.min(count, n); index++) {
    const other = index + Math.floor(uniform() * (n - index));
    const held = all[index] as number;
    all[index] = all[other] as number;
    all[other] = held;
  }
  return all.slice(0, count);
}
