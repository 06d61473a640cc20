// A queue between a producer that cannot wait (messages of another process) and one async consumer.

/** Pushed values come out in order; then it ends, or throws what `fail` was given. */
export class EventQueue<T> implements AsyncIterable<T> {
  #items: T[] = [];
  #closed = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;
  readonly #closedPromise: Promise<void>;
  #resolveClosed: () => void = () => {};

  constructor() {
    this.#closedPromise = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  push(item: T): void {
    if (this.#closed) return;
    this.#items.push(item);
    this.#wake?.();
  }

  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#resolveClosed();
    this.#wake?.();
  }

  fail(error: Error): void {
    if (this.#closed) return;
    this.#error = error;
    this.end();
  }

  /** Resolves once the producer has ended or failed the queue. */
  drained(): Promise<void> {
    return this.#closedPromise;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const items = this.#items;
      this.#items = [];
      yield* items;
      if (this.#items.length > 0) continue;
      if (this.#closed) break;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    if (this.#error !== undefined) throw this.#error;
  }
}
