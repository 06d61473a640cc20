// What this runtime sees of each pool while it serves: requests in flight and how long first tokens take. The policy is asked with
// these numbers; what the configuration says stands in until there are enough of them.

/** Latencies older than this say nothing about a pool now. */
const WINDOW_MS = 60_000;
const MAX_SAMPLES = 512;
/** With fewer the 95th percentile is the maximum of a handful. */
const MIN_SAMPLES = 20;

/** The smallest value that at least a share `q` of the values is not above (nearest rank: Hyndman and Fan 1996, type 1). */
export function nearestRank(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] as number;
}

interface Sample {
  at: number;
  ms: number;
}

/** One pool. Times in milliseconds of a monotonic clock, given by the caller. */
export class PoolState {
  #running = 0;
  #samples: Sample[] = [];
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
    this.#samples.push({ at: now, ms });
    if (this.#samples.length > MAX_SAMPLES) this.#samples.splice(0, this.#samples.length - MAX_SAMPLES);
  }

  /** The 95th percentile over the last minute; undefined with fewer than 20 first tokens. Sorted once every 250 ms at most. */
  p95(now: number): number | undefined {
    if (this.#cached !== undefined && now - this.#cached.at < 250) return this.#cached.value;
    const from = this.#samples.findIndex(({ at }) => now - at <= WINDOW_MS);
    this.#samples = from < 0 ? [] : this.#samples.slice(from);
    const value =
      this.#samples.length < MIN_SAMPLES
        ? undefined
        : nearestRank(
            this.#samples.map(({ ms }) => ms),
            0.95,
          );
    this.#cached = { at: now, value };
    return value;
  }
}
