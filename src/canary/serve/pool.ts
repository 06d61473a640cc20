import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { entryUrl } from '../../core/entry-url.ts';
import { HttpProblem } from './http.ts';
import type { Judged, Refused, Work } from './work.ts';

export interface JudgePoolOptions {
  /** Cases that wait or are judged, at most. Default 8. */
  readonly jobs?: number;
  /** Threads, at most. Default 2 to 4, by processors: a second one answers small cases next to a large one. */
  readonly workers?: number;
  /** Time for one case, waiting not counted, in milliseconds. Default 60 000. */
  readonly limitMs?: number;
  /**
   * Heap of a thread in MiB. Default 1024. The densest bodies of 16 MiB are parsed in half of it, which matters: V8 ends the thread where JavaScript
   * runs out of heap, but the whole process where JSON.parse does.
   */
  readonly heapMiB?: number;
  /** A thread that nothing was asked of for this long, in milliseconds, ends. Default 60 000. */
  readonly idleMs?: number;
  /** What runs in the thread: a parameter for tests. */
  readonly script?: URL;
  /** What the thread is given as workerData: for tests. */
  readonly data?: unknown;
}

interface Job {
  readonly work: Work;
  readonly signal: AbortSignal;
  readonly resolve: (judged: Judged) => void;
  readonly reject: (problem: HttpProblem) => void;
}

interface Slot {
  readonly worker: Worker;
  job: Job | undefined;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Threads that judge: a case of many points takes seconds, in which the server's loop would answer nobody. A case that takes too long, too much
 * memory, or whose client has gone, ends with its thread; the next one gets a new thread.
 */
export class JudgePool implements AsyncDisposable {
  readonly #options: Required<JudgePoolOptions>;
  readonly #slots: Slot[] = [];
  readonly #queue: Job[] = [];
  #closed = false;

  constructor(options: JudgePoolOptions = {}) {
    this.#options = {
      jobs: 8,
      workers: Math.max(2, Math.min(4, availableParallelism())),
      limitMs: 60_000,
      heapMiB: 1024,
      idleMs: 60_000,
      data: undefined,
      script: entryUrl('judge-worker', new URL('./worker.ts', import.meta.url)),
      ...options,
    };
  }

  /** How many cases wait or are judged now. */
  get cases(): number {
    return this.#queue.length + this.#slots.filter(({ job }) => job !== undefined).length;
  }

  /** How many threads there are now. */
  get threads(): number {
    return this.#slots.length;
  }

  /**
   * Judges; the work's body is handed over. The signal tells that nobody waits for the answer any more.
   * @throws HttpProblem 400 when it cannot be judged, 422 over the limit of time or memory, 503 when too many wait; 500 for a defect
   */
  run(work: Work, signal: AbortSignal): Promise<Judged> {
    const under = this.cases;
    if (this.#closed) return Promise.reject(shuttingDown());
    if (signal.aborted) return Promise.reject(clientGone());
    if (under >= this.#options.jobs) return Promise.reject(new HttpProblem(503, `${under} cases wait or are judged; try again.`));
    return new Promise((resolve, reject) => {
      const gone = (): void => this.#abandon(job);
      const settle =
        <T>(how: (value: T) => void) =>
        (value: T): void => {
          signal.removeEventListener('abort', gone);
          how(value);
        };
      const job: Job = { work, signal, resolve: settle(resolve), reject: settle(reject) };
      signal.addEventListener('abort', gone, { once: true });
      this.#queue.push(job);
      this.#dispatch();
    });
  }

  /** Ends the threads; cases that are not done are refused. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const job of this.#queue.splice(0)) job.reject(shuttingDown());
    await Promise.all(this.#slots.splice(0).map((slot) => this.#drop(slot, shuttingDown())));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      let slot = this.#slots.find(({ job }) => job === undefined);
      if (slot === undefined) {
        if (this.#slots.length >= this.#options.workers) return;
        slot = this.#start();
        this.#slots.push(slot);
      }
      this.#hand(slot, this.#queue.shift()!);
    }
  }

  #hand(slot: Slot, job: Job): void {
    const { limitMs } = this.#options;
    clearTimeout(slot.timer);
    slot.job = job;
    slot.timer = setTimeout(
      () => this.#replace(slot, tooMuch(`The case takes longer to judge than ${limitMs / 1000} s`)),
      limitMs,
    ).unref();
    slot.worker.postMessage(job.work, 'body' in job.work ? [job.work.body.buffer] : []);
  }

  #start(): Slot {
    const { script, data, heapMiB, idleMs } = this.#options;
    const worker = new Worker(script, { workerData: data, resourceLimits: { maxOldGenerationSizeMb: heapMiB } });
    worker.unref();
    const slot: Slot = { worker, job: undefined, timer: undefined };
    worker.on('message', (answer: Judged | Refused) => {
      const { job } = slot;
      slot.job = undefined;
      clearTimeout(slot.timer);
      slot.timer = setTimeout(() => this.#replace(slot), idleMs).unref();
      if ('json' in answer) job?.resolve(answer);
      else job?.reject(new HttpProblem(answer.status, answer.message, answer.details));
      this.#dispatch();
    });
    worker.on('error', (error: Error & { code?: string }) =>
      this.#replace(
        slot,
        error.code === 'ERR_WORKER_OUT_OF_MEMORY'
          ? tooMuch(`The case takes more memory to judge than ${heapMiB} MiB`)
          : new HttpProblem(500, 'The request could not be judged.'),
      ),
    );
    return slot;
  }

  #abandon(job: Job): void {
    const waiting = this.#queue.indexOf(job);
    const slot = this.#slots.find((each) => each.job === job);
    if (slot !== undefined) this.#replace(slot, clientGone());
    else if (waiting >= 0) {
      this.#queue.splice(waiting, 1);
      job.reject(clientGone());
    }
  }

  /** Takes the thread away with what it does. */
  #replace(slot: Slot, problem?: HttpProblem): void {
    const index = this.#slots.indexOf(slot);
    if (index < 0) return;
    this.#slots.splice(index, 1);
    void this.#drop(slot, problem);
    if (!this.#closed) this.#dispatch();
  }

  async #drop(slot: Slot, problem?: HttpProblem): Promise<void> {
    clearTimeout(slot.timer);
    slot.worker.removeAllListeners();
    // A thread that ends may still report that it ran out of memory.
    slot.worker.on('error', () => undefined);
    const { job } = slot;
    slot.job = undefined;
    if (problem !== undefined) job?.reject(problem);
    await slot.worker.terminate();
  }
}

function tooMuch(what: string): HttpProblem {
  return new HttpProblem(422, `${what} and was given up: send fewer points, metrics or looks.`);
}

function shuttingDown(): HttpProblem {
  return new HttpProblem(503, 'This server is shutting down.');
}

/** Nobody reads it. */
function clientGone(): HttpProblem {
  return new HttpProblem(503, 'The client has gone.');
}
