// A queue between a producer that cannot wait (messages of another process) and one async consumer.

/** Says when the consumer falls behind and when it has caught up. */
export interface Watermarks {
  high: number;
  low: number;
  onChange: (behind: boolean) => void;
}

/** Pushed values come out in order; then it ends, or throws what `fail` was given. */
export class EventQueue<T> implements AsyncIterable<T> {
  #items: T[] = [];
  #closed = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;
  #behind = false;
  #unread = 0;
  readonly #marks: Watermarks | undefined;
  readonly #closedPromise: Promise<void>;
  #resolveClosed: () => void = () => {};

  constructor(marks?: Watermarks) {
    this.#marks = marks;
    this.#closedPromise = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  push(item: T): void {
    if (this.#closed) return;
    this.#items.push(item);
    this.#unread++;
    if (this.#marks !== undefined && !this.#behind && this.#unread >= this.#marks.high) this.#turn(true);
    this.#wake?.();
  }

  #turn(behind: boolean): void {
    this.#behind = behind;
    if (!this.#closed) this.#marks?.onChange(behind);
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
      for (const item of items) {
        this.#unread--;
        yield item;
        if (this.#behind && this.#unread <= (this.#marks?.low ?? 0)) this.#turn(false);
      }
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
