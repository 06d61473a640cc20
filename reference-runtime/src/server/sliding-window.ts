// A count over the last W milliseconds in a ring of slots. A slot counts until all of it is older than W: the count is never too low,
// so that no interval of length W holds more than was let in, wherever it begins.

/** A sliding window. Times are milliseconds of one clock, never going back. */
export class SlidingWindow {
  readonly #slotMs: number;
  readonly #counts: number[];
  /** The slot, numbered from the clock's zero, that was written last. */
  #last = Number.NEGATIVE_INFINITY;
  #sum = 0;

  /** @param windowMs its length @param slots how many parts it is counted in: the more, the sooner old counts end */
  constructor(windowMs: number, slots: number) {
    this.#slotMs = windowMs / slots;
    // One more than fits: the oldest slot is only partly inside.
    this.#counts = new Array<number>(slots + 1).fill(0);
  }

  #at(slot: number): number {
    const { length } = this.#counts;
    return ((slot % length) + length) % length;
  }

  #advance(nowMs: number): number {
    const slot = Math.floor(nowMs / this.#slotMs);
    if (slot <= this.#last) return this.#last;
    const { length } = this.#counts;
    const from = Math.max(this.#last + 1, slot - length + 1);
    for (let passed = from; passed <= slot; passed++) {
      this.#sum -= this.#counts[this.#at(passed)] as number;
      this.#counts[this.#at(passed)] = 0;
    }
    this.#last = slot;
    return slot;
  }

  /** What the window holds at `nowMs`. */
  used(nowMs: number): number {
    this.#advance(nowMs);
    return this.#sum;
  }

  /** How long until the window holds nothing, when nothing is added. */
  emptyMs(nowMs: number): number {
    const now = this.#advance(nowMs);
    const { length } = this.#counts;
    for (let slot = now; slot > now - length; slot--)
      if ((this.#counts[this.#at(slot)] as number) > 0) return (slot + length) * this.#slotMs - nowMs;
    return 0;
  }

  /** Adds an amount; the slot it went into is for `correct`. */
  add(nowMs: number, amount: number): number {
    const slot = this.#advance(nowMs);
    this.#counts[this.#at(slot)] = (this.#counts[this.#at(slot)] as number) + amount;
    this.#sum += amount;
    return slot;
  }

  /** Changes what an earlier `add` put into `slot`, unless that is out of the window by now. A slot never falls below 0. */
  correct(nowMs: number, slot: number, difference: number): void {
    const now = this.#advance(nowMs);
    if (now - slot >= this.#counts.length) return;
    const at = this.#at(slot);
    const change = Math.max(difference, -(this.#counts[at] as number));
    this.#counts[at] = (this.#counts[at] as number) + change;
    this.#sum += change;
  }

  /** How long until `amount` fits under `limit`: 0 when it does now. An amount above the limit never fits: the whole window. */
  waitMs(nowMs: number, amount: number, limit: number): number {
    const now = this.#advance(nowMs);
    let left = this.#sum;
    if (left + amount <= limit) return 0;
    const { length } = this.#counts;
    for (let slot = now - length + 1; slot <= now; slot++) {
      left -= this.#counts[this.#at(slot)] as number;
      if (left + amount <= limit) return (slot + length) * this.#slotMs - nowMs;
    }
    return length * this.#slotMs;
  }
}
