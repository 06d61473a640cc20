// Continuous batching: one decode serves every sequence that has tokens to evaluate. llama.cpp puts only consecutive, ascending sequence
// ids into one micro-batch, so that lanes go in by id; where not everything fits, the more urgent go first (policy priority), and every
// lane gets at least one row while rows last, so that a long prompt never stops those that generate.
import type { NativeContext, NativeSampler } from './native-context.ts';

/** Token to probability, most likely first, at temperature 1. */
export type Distribution = Map<number, number>;

/** One sequence at work. */
export interface Lane {
  sequence: number;
  /** 1 (last) to 5 (first). */
  priority: number;
  sampler: NativeSampler;
  /** Tokens to evaluate now: the prompt first. */
  tokens: number[];
  /** Every row gets a distribution and goes to `onRow`, not only the last. */
  scoreAll: boolean;
  probabilities: boolean;
  signal: AbortSignal;
  /** True while the reader is behind: the lane keeps its place and gets no rows. */
  paused: boolean;
  /** A row before the last, with `scoreAll`: `index` counts the prompt's tokens. */
  onRow?: (index: number, distribution: Distribution | undefined) => void;
  /** The sample after the last row; returns the token to go on with, undefined to end. */
  next: (token: number, distribution: Distribution | undefined) => number | undefined;
}

/** Rows of one lane in one step. */
export interface Share<T> {
  lane: T;
  rows: number;
}

/** Shares `size` rows over lanes: one each by priority first, then as equally as their lengths allow; ordered by sequence id. */
export function planStep<T extends { sequence: number; priority: number; tokens: readonly number[] }>(
  lanes: readonly T[],
  size: number,
): Share<T>[] {
  const chosen = lanes.length <= size ? [...lanes] : [...lanes].sort((a, b) => b.priority - a.priority).slice(0, size);
  const shares = chosen.map((lane) => ({ lane, rows: 1 }));
  let left = size - shares.length;
  let open = shares.filter((share) => share.lane.tokens.length > share.rows);
  while (left > 0 && open.length > 0) {
    const each = Math.max(1, Math.floor(left / open.length));
    for (const share of open) {
      const take = Math.min(share.lane.tokens.length - share.rows, each, left);
      share.rows += take;
      left -= take;
    }
    open = open.filter((share) => share.lane.tokens.length > share.rows);
  }
  return shares.sort((a, b) => a.lane.sequence - b.lane.sequence);
}

interface Entry extends Lane {
  position: number;
  /** Set when the lane is over, with the error where it failed. */
  outcome?: { error?: Error };
  resolve: () => void;
  reject: (error: Error) => void;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function revive(pairs: number[] | undefined): Distribution | undefined {
  if (pairs === undefined) return undefined;
  const out: Distribution = new Map();
  for (let at = 1; at < pairs.length; at += 2) out.set(pairs[at - 1] as number, pairs[at] as number);
  return out;
}

/** Runs lanes on one native context. */
export class Scheduler {
  readonly #native: NativeContext;
  readonly #batch: number;
  readonly #afterStep: () => void;
  readonly #entries = new Map<number, Entry>();
  #running = false;
  #wake: (() => void) | undefined;

  /** @param batch rows a step holds at most @param afterStep called once after each step */
  constructor(native: NativeContext, batch: number, afterStep: () => void) {
    this.#native = native;
    this.#batch = batch;
    this.#afterStep = afterStep;
  }

  /** Runs a lane to its end; its sequence is empty again when this resolves. @throws Error when the decode failed */
  run(lane: Lane): Promise<void> {
    return new Promise((resolve, reject) => {
      // The lane itself, not a copy: its owner pauses it.
      this.#entries.set(lane.sequence, Object.assign(lane, { position: 0, resolve, reject }));
      lane.signal.addEventListener('abort', () => this.wake(), { once: true });
      this.wake();
      if (!this.#running) void this.#loop();
    });
  }

  /** Looks again at lanes that were paused, aborted or added. */
  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  async #loop(): Promise<void> {
    this.#running = true;
    // Requests that arrive in the same turn of the event loop share the first step.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#entries.size > 0) {
      for (const entry of this.#entries.values()) if (entry.signal.aborted) this.#end(entry);
      const ready = [...this.#entries.values()].filter((entry) => !entry.paused);
      if (ready.length > 0) await this.#step(planStep(ready, this.#batch));
      else if (this.#entries.size > 0)
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
    this.#running = false;
  }

  #end(entry: Entry, error?: Error): void {
    this.#entries.delete(entry.sequence);
    this.#native.disposeSequence(entry.sequence);
    entry.sampler.dispose();
    if (error === undefined) entry.resolve();
    else entry.reject(error);
  }

  async #step(shares: Share<Entry>[]): Promise<void> {
    try {
      this.#native.initBatch(shares.reduce((sum, share) => sum + share.rows, 0));
      const logits = shares.map(({ lane, rows }) => {
        const last = rows === lane.tokens.length ? [rows - 1] : [];
        const wanted = lane.scoreAll ? Array.from({ length: rows }, (_, row) => row) : last;
        return this.#native.addToBatch(
          lane.sequence,
          lane.position,
          Uint32Array.from(rows === lane.tokens.length ? lane.tokens : lane.tokens.slice(0, rows)),
          Uint32Array.from(wanted),
        );
      });
      await this.#native.decodeBatch();
      // Sampling runs on the thread pool, lanes side by side ...
      const samples = shares.map((share, index) => () => this.#sample(share, logits[index] as ArrayLike<number>));
      // ... but lanes of unequal length end in several micro-batches, not in the order of the batch. llama.cpp swaps their logits into order when
      // the first of them is asked for (llama_context::output_reorder), without a lock: two at once would get each other's.
      if (shares.some(({ rows }) => rows !== shares[0]?.rows)) {
        const [first] = samples.splice(
          Math.max(
            0,
            logits.findIndex(({ length }) => length > 0),
          ),
          1,
        );
        await first?.();
      }
      await Promise.all(samples.map((sample) => sample()));
    } catch (error) {
      // The batch's state in the cache is unknown: everyone in it is told.
      for (const { lane } of shares) lane.outcome ??= { error: asError(error) };
    }
    // Only now, with no worker at the context, are sequences cleared.
    for (const { lane } of shares) if (lane.outcome !== undefined) this.#end(lane, lane.outcome.error);
    this.#afterStep();
  }

  async #sample(share: Share<Entry>, logits: ArrayLike<number>): Promise<void> {
    try {
      await this.#advance(share, logits);
    } catch (error) {
      share.lane.outcome = { error: asError(error) };
    }
  }

  async #advance({ lane, rows }: Share<Entry>, logits: ArrayLike<number>): Promise<void> {
    const complete = rows === lane.tokens.length;
    const inner = lane.scoreAll ? (complete ? rows - 1 : rows) : 0;
    for (let row = 0; row < inner; row++) {
      const [, pairs] = await this.#native.sampleToken(logits[row] as number, lane.sampler, true, false);
      lane.onRow?.(lane.position + row, revive(pairs));
    }
    lane.position += rows;
    if (!complete) {
      lane.tokens = lane.tokens.slice(rows);
      return;
    }
    const logit = logits[logits.length - 1] as number;
    let token: number;
    let distribution: Distribution | undefined;
    if (lane.probabilities) {
      const [sampled, pairs] = await this.#native.sampleToken(logit, lane.sampler, true, false);
      token = sampled;
      distribution = revive(pairs);
    } else token = await this.#native.sampleToken(logit, lane.sampler);
    if (token === -1) throw new Error('the model gave no token');
    if (lane.signal.aborted) return;
    const next = lane.next(token, distribution);
    if (next === undefined) lane.outcome = {};
    else {
      lane.scoreAll = false;
      lane.tokens = [next];
    }
  }
}
