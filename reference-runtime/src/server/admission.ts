// Stage 4: who gets a sequence next. A priority queue in front of the engine's sequences: higher priority first, then order of arrival.
import { deadline, unavailable } from './errors.ts';

function givenUp(): Error {
  return deadline('the request ended while it waited for a free sequence', 'admission');
}

interface Waiting {
  priority: number;
  grant: () => void;
}

/** Slots of one engine and the queue for them. */
export class Admission {
  readonly #slots: number;
  readonly #limit: number;
  #used = 0;
  #waiting: Waiting[] = [];

  /** @param slots requests at once @param limit requests waiting at most */
  constructor(slots: number, limit: number) {
    this.#slots = slots;
    this.#limit = limit;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get running(): number {
    return this.#used;
  }

  /**
   * Resolves with a release function once a slot is free.
   * @param signal aborted when the client went away or the deadline passed: the place in the queue is given up
   * @throws HttpError 503 queue_full at once, 504 deadline_exceeded when aborted
   */
  async acquire(priority: number, signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) throw givenUp();
    // While a slot is free nobody waits: whoever gives one back hands it on.
    if (this.#used >= this.#slots) {
      if (this.#waiting.length >= this.#limit)
        throw unavailable('queue_full', `${this.#limit} requests are already waiting`, 'admission');
      await this.#wait(priority, signal);
    } else {
      this.#used++;
    }
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#used--;
      this.#next();
    };
  }

  #wait(priority: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiting = this.#waiting.filter((other) => other !== entry);
        reject(givenUp());
      };
      const entry: Waiting = {
        priority,
        grant: () => {
          signal.removeEventListener('abort', giveUp);
          resolve();
        },
      };
      signal.addEventListener('abort', giveUp, { once: true });
      const at = this.#waiting.findIndex((other) => other.priority < priority);
      this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, entry);
    });
  }

  #next(): void {
    while (this.#used < this.#slots) {
      const entry = this.#waiting.shift();
      if (entry === undefined) return;
      this.#used++;
      entry.grant();
    }
  }
}
