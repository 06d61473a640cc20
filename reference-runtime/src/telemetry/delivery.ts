// Gets the items of one signal to the first of its collectors that takes them. Nothing here waits for a collector on a request's path, the
// queue is bounded, and every item ends in exactly one counter: exported, or dropped with a reason.
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Collector, Outcome, Payload } from './collector.ts';
import { encodingOf, type Protocol } from './encoding.ts';
import type { DropReason, Signal } from './signal.ts';

const compress = promisify(gzip);

/** What waits: `items` spans, points or records, which were complete at `at` (milliseconds since the epoch). */
export interface Entry<T> {
  value: T;
  items: number;
  at: number;
}

/** Told what happens; nothing of it may throw. */
export interface DeliveryReport {
  exported(items: number): void;
  dropped(items: number, reason: DropReason, entries: number): void;
  /** From the end of what an entry is about to the collector's acknowledgement. */
  lag(seconds: number): void;
  attempt(collector: string, outcome: Outcome): void;
}

export interface DeliveryOptions<T> {
  signal: Signal;
  /** In order of preference. */
  collectors: readonly Collector[];
  /** Entries waiting at most. */
  queue: number;
  /** What goes when the queue is full: of cumulative metrics the newest is worth most. */
  overflow: 'drop-newest' | 'drop-oldest';
  /** Entries of a request at most. */
  batch: number;
  flushMs: number;
  timeoutMs: number;
  /** An entry batch that no collector took for so long is dropped. */
  retryForMs: number;
  gzip: boolean;
  encode(values: readonly T[]): object;
  report: DeliveryReport;
  /** Between 0 and 1, and how long a collector rests after its first failure: parameters for tests. */
  random?: () => number;
  firstRestMs?: number;
}

const FIRST_REST_MS = 1000;
const LONGEST_REST_MS = 30_000;
/** Whatever Retry-After says: a date in another century would be the end of a collector. */
const LONGEST_ASKED_MS = 3_600_000;

/** How long a collector that failed `failures` times in a row is left alone: exponential with jitter, or what it asked for up to 1 h. */
export function restMs(failures: number, askedMs: number | undefined, random: number, firstMs: number = FIRST_REST_MS): number {
  const backoff = Math.min(LONGEST_REST_MS, firstMs * 2 ** Math.min(failures - 1, 20)) * (0.5 + random / 2);
  return Math.max(backoff, Math.min(askedMs ?? 0, LONGEST_ASKED_MS));
}

interface Candidate {
  collector: Collector;
  failures: number;
  restUntil: number;
}

/** One signal's way out. */
export class Delivery<T> {
  readonly #options: DeliveryOptions<T>;
  readonly #candidates: Candidate[];
  readonly #queue: Entry<T>[] = [];
  readonly #abort = new AbortController();
  #inFlight: Entry<T>[] = [];
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #closing = false;
  #wake: (() => void) | undefined;

  constructor(options: DeliveryOptions<T>) {
    this.#options = options;
    this.#candidates = options.collectors.map((collector) => ({ collector, failures: 0, restUntil: 0 }));
  }

  /** Entries that are neither acknowledged nor dropped. */
  get depth(): number {
    return this.#queue.length + this.#inFlight.length;
  }

  /** Milliseconds since the end of what the oldest waiting entry is about; 0 when nothing waits. */
  ageMs(now: number): number {
    const oldest = this.#inFlight[0] ?? this.#queue[0];
    return oldest === undefined ? 0 : Math.max(0, now - oldest.at);
  }

  add(entry: Entry<T>): void {
    const { queue, overflow, batch, flushMs, report } = this.#options;
    if (this.#closing) {
      report.dropped(entry.items, 'shutdown', 1);
      return;
    }
    if (this.#queue.length >= queue) {
      const lost = overflow === 'drop-newest' ? entry : this.#queue.shift();
      if (lost !== undefined) report.dropped(lost.items, 'queue_full', 1);
      if (lost === entry) return;
    }
    this.#queue.push(entry);
    // A whole batch waits for no timer: under load the queue would be full before it runs.
    if (this.#queue.length >= batch) this.#start();
    else this.#timer ??= setTimeout(() => this.#start(), flushMs).unref();
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running ??= this.#drain().finally(() => {
      this.#running = undefined;
    });
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      this.#inFlight = this.#queue.splice(0, this.#options.batch);
      await this.#deliver(this.#inFlight);
      this.#inFlight = [];
    }
  }

  async #deliver(entries: readonly Entry<T>[]): Promise<void> {
    const { report } = this.#options;
    const items = entries.reduce((sum, entry) => sum + entry.items, 0);
    const drop = (reason: DropReason): void => report.dropped(items, reason, entries.length);
    const payloads = this.#payloads(entries);
    const giveUpAt = Date.now() + this.#options.retryForMs;
    for (;;) {
      const result = await this.#round(payloads);
      if (result === 'invalid' || result === 'refused') return drop(result);
      if (result !== 'again') {
        const rejected = Math.min(result.rejected, items);
        report.exported(items - rejected);
        if (rejected > 0) report.dropped(rejected, 'partial_success', 0);
        const now = Date.now();
        for (const { at } of entries) report.lag(Math.max(0, now - at) / 1000);
        return;
      }
      if (this.#closing) return drop('shutdown');
      // At least one collector failed and rests; one that only refused is asked again with it.
      const next = Math.min(...this.#candidates.map(({ restUntil }) => restUntil).filter((until) => until > 0));
      if (next > giveUpAt || Date.now() >= giveUpAt) return drop('retries_exhausted');
      await this.#rest(next - Date.now());
    }
  }

  /** The entries in the encoding that is asked for, made once for each that is; undefined where it can't hold them. */
  #payloads(entries: readonly Entry<T>[]): (protocol: Protocol) => Promise<Payload | undefined> {
    const { encode, gzip: gzipped, signal } = this.#options;
    const made = new Map<Protocol, Promise<Payload | undefined>>();
    const make = async (protocol: Protocol): Promise<Payload | undefined> => {
      try {
        const body = (await encodingOf(protocol)).encode(signal, encode(entries.map(({ value }) => value)));
        return { body: gzipped ? await compress(body) : body, gzipped };
      } catch {
        return undefined;
      }
    };
    return (protocol) => {
      const payload = made.get(protocol) ?? make(protocol);
      made.set(protocol, payload);
      return payload;
    };
  }

  /** Asks every collector that is not resting, in order; on the way out every one. */
  async #round(
    payloads: (protocol: Protocol) => Promise<Payload | undefined>,
  ): Promise<Extract<Outcome, { kind: 'accepted' }> | 'again' | 'refused' | 'invalid'> {
    const { random = Math.random } = this.#options;
    let refused = 0;
    for (const candidate of this.#candidates) {
      if (candidate.restUntil > Date.now() && !this.#closing) continue;
      const { collector } = candidate;
      const payload = await payloads(collector.protocol);
      if (payload === undefined) return 'invalid';
      const outcome = await collector.send(this.#options.signal, payload, this.#options.timeoutMs, this.#abort.signal);
      this.#options.report.attempt(collector.name, outcome);
      if (outcome.kind === 'retry') {
        candidate.failures += 1;
        candidate.restUntil = Date.now() + restMs(candidate.failures, outcome.afterMs, random(), this.#options.firstRestMs);
        continue;
      }
      candidate.failures = 0;
      candidate.restUntil = 0;
      if (outcome.kind === 'accepted') return outcome;
      if (outcome.kind === 'invalid') return 'invalid';
      refused += 1;
    }
    return refused === this.#candidates.length ? 'refused' : 'again';
  }

  async #rest(ms: number): Promise<void> {
    if (this.#closing) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(1, ms));
      // A collector that is away must not keep the process alive.
      timer.unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  /** Sends what waits: one round of the collectors for each batch, everything within `limitMs`; what is left is dropped and counted. */
  async close(limitMs: number): Promise<void> {
    this.#closing = true;
    this.#wake?.();
    const timer = setTimeout(() => {
      this.#abort.abort(new Error('shutdown'));
      for (const { items } of this.#queue.splice(0)) this.#options.report.dropped(items, 'shutdown', 1);
    }, limitMs);
    this.#start();
    await this.#running;
    clearTimeout(timer);
    for (const { collector } of this.#candidates) collector.close();
  }
}
