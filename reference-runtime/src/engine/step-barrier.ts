// Keeps concurrent generations in step. Without it they split into groups that decode in turn: while one group's tokens are computed the
// others queue, are dispatched as soon as it is done, and the groups never meet. In step, one decode serves all of them.

/** Generations that wait for each other between tokens, for a bounded time. */
export class StepBarrier {
  readonly #limitMs: number;
  #members = 0;
  #waiting: Array<() => void> = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param limitMs how long the first to arrive waits for the rest, in milliseconds */
  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** Takes part from now on; call the returned function when the generation is over, however it ends. */
  join(): () => void {
    this.#members++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#members--;
      this.#check();
    };
  }

  /** Resolves when every member has arrived, or the first has waited long enough. Alone it costs nothing. */
  arrive(): Promise<void> | undefined {
    if (this.#members <= 1) return undefined;
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#check();
      if (this.#waiting.length > 0) this.#timer ??= setTimeout(() => this.#open(), this.#limitMs);
    });
  }

  #check(): void {
    if (this.#waiting.length > 0 && this.#waiting.length >= this.#members) this.#open();
  }

  #open(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
