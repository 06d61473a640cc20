// What this runtime sees of each pool while it serves: requests in flight and how long first tokens take. The policy is asked with
// these numbers; what the configuration says stands in until there are enough of them.

/** Latencies older than this say nothing about a pool now. */
const WINDOW_MS = 60_000;
const MAX_SAMPLES = 512;
/** With fewer the 95th percentile is the maximum of a handful. */
const MIN_SAMPLES = 20;

/**
 * The smallest value that at least a share `q` of the values is not above (nearest rank: Hyndman and Fan 1996, type 1). Typed, as
 * a request waits for it: 512 numbers and a comparison of our own take more than twice as long.
 */
export function nearestRank(values: ArrayLike<number>, q: number): number {
  const sorted = new Float64Array(values).sort();
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] as number;
}

/** One pool. Times in milliseconds of a monotonic clock, given by the caller. */
export class PoolState {
  #running = 0;
  /** The last samples in a ring: when, and how long. */
  readonly #at = new Float64Array(MAX_SAMPLES);
  readonly #ms = new Float64Array(MAX_SAMPLES);
  #samples = 0;
  #cached: { at: number; value: number | undefined } | undefined;

  get running(): number {
    return this.#running;
  }

  /** A request is sent to the pool. Call the returned function once it is over. */
  enter(): () => void {
    this.#running++;
    let left = false;
    return () => {
      if (!left) this.#running--;
      left = true;
    };
  }

  /** The first token of a request came after `ms`, waiting for a place in the pool's queue included. */
  firstToken(ms: number, now: number): void {
    const slot = this.#samples++ % MAX_SAMPLES;
    this.#at[slot] = now;
    this.#ms[slot] = ms;
  }

  /** The 95th percentile over the last minute; undefined with fewer than 20 first tokens. Sorted once every 250 ms at most. */
  p95(now: number): number | undefined {
    if (this.#cached !== undefined && now - this.#cached.at < 250) return this.#cached.value;
    const kept = Math.min(this.#samples, MAX_SAMPLES);
    const recent = new Float64Array(kept);
    let count = 0;
    for (let slot = 0; slot < kept; slot++)
      if (now - (this.#at[slot] as number) <= WINDOW_MS) recent[count++] = this.#ms[slot] as number;
    const value = count < MIN_SAMPLES ? undefined : nearestRank(recent.subarray(0, count), 0.95);
    this.#cached = { at: now, value };
    return value;
  }
}
