import { hodgesLehmannCentre } from '../stats/hodges-lehmann.ts';
import { wilcoxonSignedRank } from '../stats/wilcoxon.ts';
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

export interface PairedLatency {
  readonly base: Latency;
  readonly head: Latency;
  /** Head over base, Hodges-Lehmann estimate from the block medians. */
  readonly ratio: number;
  readonly verdict: 'slower' | 'within' | 'undecided';
}

/** Blocks measured on each side in turn; a drift of the machine then falls on both. */
const BLOCKS = 20;
const ALPHA = 0.01;

/**
 * Base and head measured in alternating blocks, so that other load on the machine meets both, and a one-sided
 * signed-rank test (wilcoxon.ts) of the block medians' log ratios against log(factor), each way at 1 %.
 */
export async function pairedBenchmark(
  base: Side,
  head: Side,
  entrypoint: string,
  inputs: readonly string[],
  options: { readonly rounds: number; readonly factor: number },
): Promise<PairedLatency> {
  const rounds = Math.max(1, Math.ceil(options.rounds / BLOCKS));
  const times: { readonly base: Float64Array[]; readonly head: Float64Array[] } = { base: [], head: [] };
  const measure = async (name: 'base' | 'head', side: Side): Promise<void> => {
    times[name].push(await side.pool.run({ kind: 'bench', program: side.plain, entrypoint, inputs, rounds }));
  };
  for (let block = 0; block < BLOCKS; block += 1) {
    // Which side goes first alternates too.
    const order = [['base', base] as const, ['head', head] as const];
    for (const [name, side] of block % 2 === 0 ? order : order.reverse()) await measure(name, side);
  }
  const ratios = times.head.map((block, i) => Math.log(summarise(block).p50 / summarise(times.base[i]!).p50));
  const all = (blocks: readonly Float64Array[]): Latency => {
    const joined = Float64Array.from(blocks.flatMap((block) => [...block]));
    return { entrypoint, ...summarise(joined), n: joined.length };
  };
  return {
    base: all(times.base),
    head: all(times.head),
    ratio: Math.exp(hodgesLehmannCentre(ratios)),
    verdict: judgeRatios(ratios, options.factor),
  };
}

/** Whether log ratios lie above log(factor), below it, or neither can be told at 1 %. */
export function judgeRatios(logRatios: readonly number[], factor: number): PairedLatency['verdict'] {
  const beyond = logRatios.map((ratio) => ratio - Math.log(factor));
  if (wilcoxonSignedRank(beyond, { alternative: 'greater' }).p < ALPHA) return 'slower';
  return wilcoxonSignedRank(beyond, { alternative: 'less' }).p < ALPHA ? 'within' : 'undecided';
}

/** Percentiles by the nearest-rank method, in milliseconds. */
export function summarise(micros: Float64Array): { p50: number; p99: number; mean: number } {
  const sorted = Float64Array.from(micros).sort();
  const rank = (p: number): number => sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)]! / 1000;
  const mean = sorted.reduce((sum, t) => sum + t, 0) / sorted.length / 1000;
  return { p50: rank(0.5), p99: rank(0.99), mean };
}
