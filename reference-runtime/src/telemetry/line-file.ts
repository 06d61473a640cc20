// Appends lines to a file without ever blocking or growing without bound: what cannot be written is dropped and counted.
import { appendFile, rename, stat } from 'node:fs/promises';
import { messageOf } from '../../../src/core/errors.ts';

const MAX_LINES = 10_000;
/**
 * How long a line waits for others, in milliseconds. A write opens the file, as it may have been moved away in the meantime (log
 * rotation), and closes it again: three trips to another thread, which cost as much as all stages of a request.
 */
const GATHER_MS = 200;
/** So much text waits for no timer, in UTF-16 code units. */
const GATHER_LENGTH = 256 * 1024;

/** An append-only file of lines, written in batches. */
export class LineFile {
  readonly path: string;
  readonly #onDrop: (count: number, reason: string) => void;
  readonly #maxBytes: number;
  /** Not made yet. */
  #pending: Array<string | (() => string)> = [];
  #lines: string[] = [];
  #length = 0;
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;

  /** @param maxBytes from which size on the file becomes `PATH.1`, in place of an older one: two files of about that size at most */
  constructor(path: string, onDrop: (count: number, reason: string) => void, maxBytes = Number.POSITIVE_INFINITY) {
    this.path = path;
    this.#maxBytes = maxBytes;
    this.#onDrop = onDrop;
  }

  /** Takes a line, or what makes it: that runs after the answer that the line is about, each in a turn of its own under light load. */
  write(line: string | (() => string)): void {
    if (this.#pending.length + this.#lines.length >= MAX_LINES) {
      this.#onDrop(1, 'queue full');
      return;
    }
    this.#pending.push(line);
    // Made at once and not with the write: a batch of them would hold up a request for as long as they take together.
    this.#immediate ??= setImmediate(() => this.#make());
  }

  #make(): void {
    clearImmediate(this.#immediate);
    this.#immediate = undefined;
    const pending = this.#pending;
    this.#pending = [];
    for (const line of pending) {
      try {
        const made = typeof line === 'string' ? line : line();
        this.#length += made.length;
        this.#lines.push(made);
      } catch (error) {
        this.#drop(1, error);
      }
    }
    this.#gather();
  }

  #gather(): void {
    if (this.#length >= GATHER_LENGTH) this.#start();
    else if (this.#lines.length > 0) this.#timer ??= setTimeout(() => this.#start(), GATHER_MS);
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#lines.length > 0) this.#writing ??= this.#append();
  }

  async #append(): Promise<void> {
    const lines = this.#lines;
    this.#lines = [];
    this.#length = 0;
    try {
      if (this.#maxBytes !== Number.POSITIVE_INFINITY) await this.#rotate();
      await appendFile(this.path, `${lines.join('\n')}\n`);
    } catch (error) {
      this.#drop(lines.length, error);
    }
    this.#writing = undefined;
    // What came in the meantime.
    this.#gather();
  }

  /** By what is on disk: what another process wrote, or moved away, counts. */
  async #rotate(): Promise<void> {
    const size = await stat(this.path).then(
      (found) => found.size,
      () => 0,
    );
    if (size >= this.#maxBytes) await rename(this.path, `${this.path}.1`);
  }

  #drop(count: number, error: unknown): void {
    this.#onDrop(count, messageOf(error));
  }

  /** Resolves when everything written so far is in the file or dropped. */
  async flush(): Promise<void> {
    this.#make();
    do {
      this.#start();
      await this.#writing;
    } while (this.#writing !== undefined || this.#lines.length > 0);
  }
}
