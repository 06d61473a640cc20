import type { Side } from './side.ts';

export interface Latency {
  readonly entrypoint: string;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly mean: number;
  readonly n: number;
}

export const DEFAULT_ROUNDS = 20_000;

/** Evaluation latency of one entrypoint in the WASM host, over the inputs in turn, JSON parsing and result text included. */
export async function benchmark(
  side: Side,
  entrypoint: string,
  inputs: readonly string[],
  rounds: number = DEFAULT_ROUNDS,
): Promise<Latency> {
  const times = await side.pool.run({ kind: 'bench', program: side.plain, entrypoint, inputs, rounds });
  return { entrypoint, ...summarise(times), n: times.length };
}

/** Percentiles by the nearest-rank method, in milliseconds. */
export function summarise(micros: Float64Array): { p50: number; p99: number; mean: number } {
  const sorted = Float64Array.from(micros).sort();
  const rank = (p: number): number => sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)]! / 1000;
  const mean = sorted.reduce((sum, t) => sum + t, 0) / sorted.length / 1000;
  return { p50: rank(0.5), p99: rank(0.99), mean };
}
