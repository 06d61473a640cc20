// Whether the local engine holds its model: loaded by the first request that needs it, kept while it is asked for or policy says so, unloaded
// when idle. One load at a time, whoever waits for it.

import { messageOf } from '../../../src/core/errors.ts';
import { backoffMs } from '../engine/llama-engine.ts';
import { type Engine, EngineError, type EngineInfo } from '../engine/types.ts';
import { deadline } from './errors.ts';

/** An engine that can be emptied and filled again. */
export interface Loadable extends Engine {
  unload(): Promise<void>;
}

/** When the model goes; times in milliseconds. `idleMs` undefined: never. */
export interface ResidencyOptions {
  idleMs: number | undefined;
}

/** What an operator wants to know of it. */
export interface ResidencyEvents {
  /** `seconds`: how long the load that requests waited for took. */
  loaded(info: EngineInfo, seconds: number): void;
  failed(reason: string): void;
  unloaded(): void;
}

/** The longest a decision may keep an idle model: a day, in milliseconds. */
const KEEP_LIMIT_MS = 86_400_000;

/** The residency of one engine. */
export class Residency {
  readonly #engine: Loadable;
  readonly #idleMs: number | undefined;
  readonly #events: ResidencyEvents;
  #users = 0;
  #keepUntil = 0;
  #loading: Promise<void> | undefined;
  #unloading: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #failures = 0;
  #retryAt = 0;

  constructor(engine: Loadable, { idleMs }: ResidencyOptions, events: ResidencyEvents) {
    this.#engine = engine;
    this.#idleMs = idleMs;
    this.#events = events;
  }

  /** Whether a request can go on without a load. An engine that is being restarted has its model: that is an outage, no cold start. */
  get loaded(): boolean {
    const { state } = this.#engine.stats();
    return this.#loading === undefined && this.#unloading === undefined && (state === 'ready' || state === 'restarting');
  }

  /** Whether the last load failed and no request may ask for another yet. */
  get failing(): boolean {
    return performance.now() < this.#retryAt;
  }

  /**
   * A request needs the model; `leave` must follow. Resolves with the milliseconds it waited for a load, undefined when there was none.
   * @throws EngineError LOAD_FAILED, HttpError 504 when `signal` aborts first; then there is nothing to leave
   */
  async enter(signal: AbortSignal): Promise<number | undefined> {
    if (signal.aborted) throw givenUp();
    this.#users++;
    clearTimeout(this.#timer);
    if (this.loaded) return undefined;
    const start = performance.now();
    try {
      this.#loading ??= this.#load().finally(() => {
        this.#loading = undefined;
      });
      await unlessAborted(this.#loading, signal);
      return performance.now() - start;
    } catch (error) {
      this.leave();
      throw error;
    }
  }

  /** The request is over; the decision that it followed may keep the model for a while. */
  leave(keepMs = 0): void {
    this.#users--;
    this.#keepUntil = Math.max(this.#keepUntil, performance.now() + Math.min(keepMs, KEEP_LIMIT_MS));
    this.#arm();
  }

  /** For an engine that was loaded at start: its idle time begins. */
  start(): void {
    this.#arm();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #load(): Promise<void> {
    if (this.failing)
      throw new EngineError('LOAD_FAILED', 'the model could not be loaded a moment ago; the log of the runtime says why');
    // The process that goes frees its memory first: the plan for the next one counts it.
    await this.#unloading;
    const start = performance.now();
    try {
      const info = await this.#engine.load();
      this.#failures = 0;
      this.#events.loaded(info, (performance.now() - start) / 1000);
    } catch (error) {
      this.#failures++;
      this.#retryAt = performance.now() + backoffMs(this.#failures);
      this.#events.failed(messageOf(error));
      // The reason names paths and sizes of this machine: that is for the log.
      throw new EngineError('LOAD_FAILED', 'the model could not be loaded; the log of the runtime says why');
    }
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#idleMs === undefined || this.#users > 0 || this.#closed) return;
    const wait = Math.max(this.#idleMs, this.#keepUntil - performance.now());
    this.#timer = setTimeout(() => this.#unload(), wait);
    this.#timer.unref();
  }

  #unload(): void {
    if (this.#users > 0 || this.#closed || !this.loaded) return;
    this.#unloading = this.#engine.unload().finally(() => {
      this.#unloading = undefined;
      this.#events.unloaded();
    });
  }
}

function givenUp(): Error {
  return deadline('the request ended while the model was being loaded for it', 'admission');
}

/** `work`, or the deadline; the work itself goes on for whoever else waits for it. */
async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(givenUp());
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
