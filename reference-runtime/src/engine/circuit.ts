// A circuit breaker (Nygard, Release It!, 2nd ed., chapter 5): a server that fails again and again is left alone for a while, then asked
// by one request at a time until one succeeds.

export type CircuitState = 'closed' | 'half-open' | 'open';

export interface CircuitOptions {
  /** Consecutive failures that open it, at least 1. */
  failures: number;
  /** How long it stays open before one request may try, in milliseconds. */
  openMs: number;
}

/** One permission to call. The first of its methods that settles it counts, and no other. */
export interface Permit {
  succeeded(): void;
  /** The first byte has come: enough for a probe, whose end may be far away; any other call is judged by its end. */
  answering(): void;
  failed(): void;
  /** The call told nothing about the server: it was cancelled, or the server asked for patience (429). */
  released(): void;
}

/** The breaker. `now` is a monotonic clock in milliseconds. */
export class Circuit {
  readonly #options: CircuitOptions;
  readonly #now: () => number;
  #consecutive = 0;
  #openedAt: number | undefined;
  #probing = false;
  #opened = 0;
  #generation = 0;

  constructor(options: CircuitOptions, now: () => number) {
    this.#options = options;
    this.#now = now;
  }

  get state(): CircuitState {
    if (this.#openedAt === undefined) return 'closed';
    return this.#now() - this.#openedAt >= this.#options.openMs ? 'half-open' : 'open';
  }

  /** How often it has opened, failed probes included. */
  get opened(): number {
    return this.#opened;
  }

  /** Milliseconds until a request may try again; 0 when one may now. */
  get waitMs(): number {
    return this.#openedAt === undefined ? 0 : Math.max(0, this.#openedAt + this.#options.openMs - this.#now());
  }

  /** A permit, or undefined while the server is left alone. */
  enter(): Permit | undefined {
    const { state } = this;
    if (state === 'open' || this.#probing) return undefined;
    const probe = state === 'half-open';
    if (probe) this.#probing = true;
    const generation = this.#generation;
    let settled = false;
    const once = (act: () => void) => (): void => {
      if (settled) return;
      settled = true;
      if (probe) this.#probing = false;
      // What began before the circuit last opened says nothing about now.
      if (generation === this.#generation) act();
    };
    const succeeded = once(() => {
      this.#consecutive = 0;
      if (probe) this.#openedAt = undefined;
    });
    return {
      succeeded,
      answering: () => {
        if (probe) succeeded();
      },
      failed: once(() => {
        this.#consecutive++;
        if (this.#consecutive < this.#options.failures) return;
        this.#openedAt = this.#now();
        this.#opened++;
        this.#generation++;
      }),
      released: once(() => {}),
    };
  }
}
