import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { entryUrl } from '../core/entry-url.ts';
import { InternalError } from '../core/errors.ts';
import type { Program } from './compile.ts';
import { EvaluationLimit, type Task, type TaskResults, type Trace, type TraceItem } from './tasks.ts';
import { type Outcome, PolicyLoadError } from './wasm.ts';
import { DEFAULT_MAX_PAGES } from './wasm-eval.ts';
import type { FromWorker, ToWorker, WorkerSetup } from './worker.ts';

export interface PoolOptions {
  /** Time limit of one evaluation. Default 2000 ms. */
  readonly limitMs?: number | undefined;
  /** Memory limit of one instance in 64 KiB pages. Default 2048 (128 MiB). */
  readonly maxPages?: number | undefined;
  readonly workers?: number | undefined;
  readonly signal: AbortSignal;
}

interface Job {
  readonly id: number;
  readonly task: Task;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

interface Slot {
  worker: Worker;
  beat: Int32Array;
  known: Set<number>;
  job: Job | undefined;
  lastBeat: number;
  since: number;
}

/** Loading a module with megabytes of data takes longer than any evaluation may. */
const LOAD_LIMIT_MS = 20_000;
const WATCH_MS = 50;
const MAX_TIMEOUTS = 3;

/**
 * Worker threads that evaluate policies. A runaway evaluation is stopped by ending its worker: WASM can't be
 * interrupted any other way. Which worker does what never shows in results.
 */
export class EvaluatorPool implements AsyncDisposable {
  readonly #limitMs: number;
  readonly #maxPages: number;
  readonly #programs: Program[] = [];
  readonly #slots: Slot[] = [];
  readonly #queue: Job[] = [];
  readonly #size: number;
  readonly #timer: NodeJS.Timeout;
  readonly #abort: () => void;
  readonly #signal: AbortSignal;
  #jobs = 0;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#limitMs = options.limitMs ?? 2000;
    this.#maxPages = options.maxPages ?? DEFAULT_MAX_PAGES;
    this.#size = options.workers ?? Math.max(1, Math.min(8, availableParallelism()));
    this.#timer = setInterval(() => this.#watch(), WATCH_MS);
    this.#signal = options.signal;
    this.#abort = () => {
      for (const job of this.#queue.splice(0)) job.reject(new InternalError('cancelled'));
      for (const slot of this.#slots) slot.job?.reject(new InternalError('cancelled'));
      void this[Symbol.asyncDispose]();
    };
    options.signal.addEventListener('abort', this.#abort, { once: true });
  }

  get workers(): number {
    return this.#size;
  }

  /** Makes a program known; its number goes into tasks. */
  add(program: Program): number {
    return this.#programs.push(program) - 1;
  }

  /** @throws EvaluationLimit, PolicyLoadError, InternalError */
  run<K extends Task['kind']>(task: Extract<Task, { kind: K }>): Promise<TaskResults[K]> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new InternalError('the evaluator is closed'));
        return;
      }
      this.#queue.push({ id: this.#jobs++, task, resolve: resolve as (result: never) => void, reject });
      this.#dispatch();
    });
  }

  /** Outcomes of many inputs in order. A runaway evaluation is that input's failure; after three of them the rest isn't tried. */
  async outcomes(program: number, entrypoint: string, inputs: readonly string[]): Promise<readonly Outcome[]> {
    const chunk = 256;
    const results = new Array<Outcome>(inputs.length);
    let timeouts = 0;
    const work = async (from: number, to: number): Promise<void> => {
      if (from >= to) return;
      if (timeouts >= MAX_TIMEOUTS) {
        results.fill(
          { failure: { kind: 'time', message: 'not tried: too many evaluations before it ran into a limit' } },
          from,
          to,
        );
        return;
      }
      try {
        const part = await this.run({ kind: 'outcomes', program, entrypoint, inputs: inputs.slice(from, to) });
        for (const [index, outcome] of part.entries()) results[from + index] = outcome;
      } catch (error) {
        if (!(error instanceof EvaluationLimit) || error.item < 0) throw error;
        timeouts += 1;
        results[from + error.item] = { failure: error.failure };
        await work(from, from + error.item);
        await work(from + error.item + 1, to);
      }
    };
    const starts = Array.from({ length: Math.ceil(inputs.length / chunk) }, (_, i) => i * chunk);
    await Promise.all(starts.map((from) => work(from, Math.min(inputs.length, from + chunk))));
    return results;
  }

  /** Traces of many evaluations in order, spread over the workers. @throws EvaluationLimit */
  async traces(program: number, entrypoint: string, items: readonly TraceItem[], values: boolean): Promise<readonly Trace[]> {
    const chunk = Math.max(32, Math.ceil(items.length / (this.#size * 2)));
    const parts: Promise<readonly Trace[]>[] = [];
    for (let from = 0; from < items.length; from += chunk) {
      parts.push(this.run({ kind: 'trace', program, entrypoint, items: items.slice(from, from + chunk), values }));
    }
    return (await Promise.all(parts)).flat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#signal.removeEventListener('abort', this.#abort);
    await Promise.all(this.#slots.splice(0).map((slot) => slot.worker.terminate()));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      let slot = this.#slots.find((s) => s.job === undefined);
      if (slot === undefined) {
        if (this.#slots.length >= this.#size) return;
        slot = this.#spawn();
        this.#slots.push(slot);
      }
      const job = this.#queue.shift()!;
      slot.job = job;
      slot.since = performance.now();
      slot.lastBeat = Atomics.load(slot.beat, 0);
      const { program } = job.task;
      if (!slot.known.has(program)) {
        slot.known.add(program);
        slot.worker.postMessage({ add: program, program: this.#programs[program]! } satisfies ToWorker);
      }
      slot.worker.postMessage({ job: job.id, task: job.task } satisfies ToWorker);
    }
  }

  #spawn(): Slot {
    const beat = new Int32Array(new SharedArrayBuffer(8));
    beat[1] = -1;
    const worker = new Worker(entryUrl('policy-worker', new URL('./worker.ts', import.meta.url)), {
      workerData: { beat, maxPages: this.#maxPages } satisfies WorkerSetup,
      resourceLimits: { maxOldGenerationSizeMb: 512 },
    });
    const slot: Slot = { worker, beat, known: new Set(), job: undefined, lastBeat: 0, since: 0 };
    this.#listen(slot);
    return slot;
  }

  #listen(slot: Slot): void {
    slot.worker.on('message', (message: FromWorker) => {
      const job = slot.job;
      if (job === undefined || job.id !== message.job) return;
      slot.job = undefined;
      if ('result' in message) job.resolve(message.result as never);
      else if ('limit' in message) job.reject(new EvaluationLimit(message.item, message.limit));
      else if ('loadFailure' in message) job.reject(new PolicyLoadError(message.loadFailure));
      else job.reject(new InternalError(`policy worker: ${message.error}`));
      this.#dispatch();
    });
    slot.worker.on('error', (error: Error & { code?: string }) => {
      const memory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      this.#replace(
        slot,
        memory
          ? new EvaluationLimit(slot.beat[1]!, { kind: 'memory', message: 'the memory limit was reached' })
          : new InternalError(`policy worker: ${error.message}`),
      );
    });
  }

  #replace(slot: Slot, error: Error): void {
    const { job } = slot;
    const index = this.#slots.indexOf(slot);
    if (index >= 0) this.#slots.splice(index, 1);
    slot.worker.removeAllListeners();
    slot.worker.on('error', () => undefined);
    void slot.worker.terminate();
    slot.job = undefined;
    job?.reject(error);
    if (!this.#closed) this.#dispatch();
  }

  #watch(): void {
    const now = performance.now();
    for (const slot of [...this.#slots]) {
      if (slot.job === undefined) continue;
      const beat = Atomics.load(slot.beat, 0);
      if (beat !== slot.lastBeat) {
        slot.lastBeat = beat;
        slot.since = now;
        continue;
      }
      const item = Atomics.load(slot.beat, 1);
      const limit = item < 0 ? LOAD_LIMIT_MS : this.#limitMs;
      if (now - slot.since < limit) continue;
      this.#replace(
        slot,
        new EvaluationLimit(item, {
          kind: 'time',
          message:
            item < 0 ? `loading took longer than ${LOAD_LIMIT_MS} ms` : `one evaluation took longer than ${this.#limitMs} ms`,
        }),
      );
    }
  }
}
