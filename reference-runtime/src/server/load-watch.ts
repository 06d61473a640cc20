// Asks an upstream server for its load every few seconds. What it says is used while it is fresh: other clients than this runtime are in
// it, and a KV cache that is full before the last place is taken. What is stale is not used, and metrics, log and policy are told so.
import { readBounded } from '../../../src/core/read-bounded.ts';
import type { LoadConfig } from '../config/types.ts';
import { type ServerLoad, serverLoad } from '../engine/server-load.ts';
import { reasonOf } from '../engine/upstream-call.ts';

const LOAD_DEFAULTS = { path: '/metrics', intervalMs: 5000, timeoutMs: 2000, maxBytes: 4 * 1024 * 1024 };

/** Readings older than so many intervals are stale, unless the configuration says how old they may be. */
const STALE_INTERVALS = 3;

/** What the policy is told of a pool that is watched: `reported` says whether the numbers are the server's own. */
export interface ReportedLoad {
  reported: boolean;
  saturation?: number;
  queue?: number;
  /** Share of the KV cache in use. */
  kv_cache?: number;
}

interface Reading {
  load: ServerLoad;
  /** When it was asked for, in milliseconds of the monotonic clock. */
  at: number;
  /** What this runtime had in flight there at that moment. */
  own: number;
}

/**
 * Saturation and queue of a server by what it reported. What this runtime has sent since is added, what has ended since is taken off.
 * @param ownNow requests of this runtime in flight there now @param ownThen at the time of the report
 * @param concurrency requests it runs at once; without it a server that has requests waiting is taken to be full
 */
export function reportedLoad(load: ServerLoad, ownNow: number, ownThen: number, concurrency: number | undefined): ReportedLoad {
  const total = Math.max(ownNow, load.running + load.waiting + ownNow - ownThen);
  const places = concurrency ?? (load.waiting > 0 ? Math.max(1, load.running) : undefined);
  const parts = [...(places === undefined ? [] : [total / places]), ...(load.kvCache === undefined ? [] : [load.kvCache])];
  return {
    reported: true,
    ...(parts.length === 0 ? {} : { saturation: Math.max(...parts) }),
    queue: places === undefined ? load.waiting : Math.max(load.waiting, Math.ceil(total - places)),
    ...(load.kvCache === undefined ? {} : { kv_cache: load.kvCache }),
  };
}

export interface WatchOptions extends LoadConfig {
  pool: string;
  /** Base URL of the server. */
  url: string;
  apiKey?: string;
  /** Requests of this runtime in flight there. */
  own: () => number;
  log: (message: string) => void;
  /** Milliseconds of a monotonic clock. */
  now?: () => number;
}

const STALE: ReportedLoad = { reported: false };

/** The watch of one pool. */
export class LoadWatch {
  readonly #options: WatchOptions & typeof LOAD_DEFAULTS;
  readonly #url: URL;
  readonly #headers: Record<string, string>;
  readonly #staleMs: number;
  readonly #now: () => number;
  readonly #abort = new AbortController();
  readonly #since: number;
  #timer: NodeJS.Timeout | undefined;
  #reading: Reading | undefined;
  #failures = 0;
  #failing = false;

  constructor(options: WatchOptions) {
    this.#options = { ...LOAD_DEFAULTS, ...options };
    this.#now = options.now ?? (() => performance.now());
    const { url, path, intervalMs, staleMs, apiKey } = this.#options;
    this.#url = new URL(path, url);
    // The key is for the server that requests go to, not for whoever else has its metrics.
    const same = this.#url.origin === new URL(url).origin;
    this.#headers = { accept: 'text/plain', ...(apiKey !== undefined && same ? { authorization: `Bearer ${apiKey}` } : {}) };
    this.#staleMs = staleMs ?? STALE_INTERVALS * intervalMs;
    this.#since = this.#now();
  }

  /** Readings that failed. */
  get failures(): number {
    return this.#failures;
  }

  /** Asks now, and from then on every interval. Never throws. */
  async start(): Promise<void> {
    await this.read();
    if (this.#abort.signal.aborted) return;
    this.#timer = setTimeout(() => void this.start(), this.#options.intervalMs);
    this.#timer.unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  /** Milliseconds since the last good reading was asked for, or since the start. */
  ageMs(now: number = this.#now()): number {
    return Math.max(0, now - (this.#reading?.at ?? this.#since));
  }

  /** The server's own numbers, while they are fresh. */
  load(now: number = this.#now()): ServerLoad | undefined {
    return this.#fresh(now)?.load;
  }

  /** What the policy is told. */
  state(concurrency: number | undefined, now: number = this.#now()): ReportedLoad {
    const reading = this.#fresh(now);
    return reading === undefined ? STALE : reportedLoad(reading.load, this.#options.own(), reading.own, concurrency);
  }

  #fresh(now: number): Reading | undefined {
    return this.#reading !== undefined && now - this.#reading.at <= this.#staleMs ? this.#reading : undefined;
  }

  /** Asks once. */
  async read(): Promise<void> {
    const { pool, log, own } = this.#options;
    const asked = { at: this.#now(), own: own() };
    try {
      const load = await this.#ask();
      this.#reading = { load, ...asked };
      if (this.#failing) log(`load of pool ${pool} is known again, from its ${load.server}`);
      this.#failing = false;
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.#failures++;
      // A line when it begins and one when it ends, not one for each interval.
      if (!this.#failing) log(`load of pool ${pool} is not known from ${this.#url.href}: ${reasonOf(error)}`);
      this.#failing = true;
    }
  }

  async #ask(): Promise<ServerLoad> {
    const { timeoutMs, maxBytes } = this.#options;
    const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), this.#abort.signal]);
    const response = await fetch(this.#url, { headers: this.#headers, redirect: 'error', signal });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`HTTP ${response.status} (llama-server needs --metrics, SGLang --enable-metrics)`);
    }
    const bytes = await readBounded(response.body, maxBytes, () => new Error(`more than ${maxBytes} bytes`));
    const load = serverLoad(bytes.toString('utf8'));
    if (load === undefined) throw new Error('it has none of the metrics of vLLM, SGLang or llama-server');
    return load;
  }
}
