// Appends lines to a file without ever blocking or growing without bound: what cannot be written is dropped and counted.
import { appendFile } from 'node:fs/promises';

const MAX_LINES = 10_000;

/** An append-only file of lines, written in batches. */
export class LineFile {
  readonly path: string;
  readonly #onDrop: (count: number, reason: string) => void;
  #lines: Array<string | (() => string)> = [];
  #writing: Promise<void> | undefined;

  constructor(path: string, onDrop: (count: number, reason: string) => void) {
    this.path = path;
    this.#onDrop = onDrop;
  }

  /** Takes a line, or what makes it: that runs with the write, after the answer that the line is about. */
  write(line: string | (() => string)): void {
    if (this.#lines.length >= MAX_LINES) {
      this.#onDrop(1, 'queue full');
      return;
    }
    this.#lines.push(line);
    this.#writing ??= this.#drain();
  }

  async #drain(): Promise<void> {
    // One turn of the event loop later: lines of the same moment share a write.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#lines.length > 0) {
      const lines = this.#lines;
      this.#lines = [];
      try {
        await appendFile(this.path, `${lines.map((line) => (typeof line === 'string' ? line : line())).join('\n')}\n`);
      } catch (error) {
        this.#onDrop(lines.length, error instanceof Error ? error.message : String(error));
      }
    }
    this.#writing = undefined;
  }

  /** Resolves when everything written so far is in the file or dropped. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }
}
