// When and how soon a call is repeated.
import { setTimeout as sleep } from 'node:timers/promises';

/** Time and chance, replaceable in tests. Milliseconds; `random` is uniform in [0, 1). */
export interface Clock {
  now(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  random(): number;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  sleep: async (ms, signal) => {
    await sleep(ms, undefined, { signal });
  },
  random: Math.random,
};

const FIRST_MS = 100;
const LIMIT_MS = 5000;

/** Full jitter: uniform between 0 and a bound that doubles per attempt (from 1). M. Brooker, "Exponential Backoff And Jitter", AWS, 2015. */
export function jitteredBackoffMs(attempt: number, random: number): number {
  return random * Math.min(LIMIT_MS, FIRST_MS * 2 ** (attempt - 1));
}

/** Milliseconds of a Retry-After header, delay-seconds or HTTP-date (RFC 9110, section 10.2.3); undefined when absent or neither. */
export function retryAfterMs(header: string | null | undefined, unixMs: number): number | undefined {
  const text = header?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const date = /^[A-Z][a-z]{2}, /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - unixMs);
}

/** The longest Retry-After that is waited for rather than passed on, in milliseconds. */
export const PATIENCE_MS = LIMIT_MS;

/**
 * Retries of all requests together: a tenth of the requests, and a reserve for quiet times (Google SRE book, "Handling Overload": a
 * per-client retry budget of 10 %). Without it retries multiply the load of a server that fails under load.
 */
export class RetryBudget {
  static readonly SHARE = 0.1;
  static readonly RESERVE = 10;
  #tokens = RetryBudget.RESERVE;

  /** A new request, which is not a retry. */
  deposit(): void {
    this.#tokens = Math.min(RetryBudget.RESERVE, this.#tokens + RetryBudget.SHARE);
  }

  /** Whether one more retry is within the budget; takes it. */
  withdraw(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
