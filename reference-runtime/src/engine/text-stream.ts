// Turns token bytes into text as it becomes certain: nothing is emitted that a later byte or a stop sequence could take back.

/** What one push made certain. `stopped` once a stop sequence was seen; nothing is emitted from it on. */
export interface Emitted {
  text: string;
  stopped: boolean;
}

/** Text of a token stream with incomplete UTF-8 and possible starts of stop sequences held back. */
export class TextStream {
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #stop: string[];
  #held = '';
  #stopped = false;

  constructor(stop: string[]) {
    this.#stop = stop.filter((sequence) => sequence !== '');
  }

  push(bytes: Uint8Array): Emitted {
    return this.#take(this.#decoder.decode(bytes, { stream: true }), false);
  }

  /** The rest, at the end of the generation. */
  finish(): Emitted {
    return this.#take(this.#decoder.decode(), true);
  }

  #take(added: string, last: boolean): Emitted {
    if (this.#stopped) return { text: '', stopped: true };
    this.#held += added;
    const found = Math.min(...this.#stop.map((sequence) => this.#held.indexOf(sequence)).filter((index) => index >= 0));
    if (Number.isFinite(found)) {
      this.#stopped = true;
      return { text: this.#held.slice(0, found), stopped: true };
    }
    const keep = last ? 0 : this.#possibleStart();
    const text = this.#held.slice(0, this.#held.length - keep);
    this.#held = this.#held.slice(this.#held.length - keep);
    return { text, stopped: false };
  }

  /** Length of the longest end of the held text that begins a stop sequence. */
  #possibleStart(): number {
    let longest = 0;
    for (const sequence of this.#stop) {
      for (let length = Math.min(sequence.length - 1, this.#held.length); length > longest; length--) {
        if (this.#held.endsWith(sequence.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
