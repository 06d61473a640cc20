import { Worker } from 'node:worker_threads';

export interface ThreadPoolOptions {
  /** What runs in a thread: one `message` for each piece of work, answered by one message. */
  readonly script: URL;
  /** What a thread is given as workerData. */
  readonly data?: unknown;
  /** Pieces of work that wait or are done, at most. */
  readonly jobs: number;
  /** Threads, at most. */
  readonly threads: number;
  /** Time for one piece, waiting not counted, in milliseconds. */
  readonly limitMs: number;
  /** Heap of a thread in MiB. */
  readonly heapMiB: number;
  /** A thread that nothing was asked of for this long, in milliseconds, ends. */
  readonly idleMs: number;
}

/** `full`: too many wait; `closed`: the pool has ended; `abandoned`: its signal was aborted; the others ended with their thread. */
export type ThreadFailure = 'full' | 'closed' | 'abandoned' | 'time' | 'memory' | 'crash';

/** Why a piece of work has no answer; the message is for a log. */
export class ThreadPoolError extends Error {
  override readonly name = 'ThreadPoolError';
  readonly failure: ThreadFailure;

  constructor(failure: ThreadFailure, message: string) {
    super(message);
    this.failure = failure;
  }
}

interface Job<Work, Answer> {
  readonly work: Work;
  readonly transfer: readonly ArrayBuffer[];
  readonly resolve: (answer: Answer) => void;
  readonly reject: (problem: ThreadPoolError) => void;
}

interface Slot<Work, Answer> {
  readonly worker: Worker;
  job: Job<Work, Answer> | undefined;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Threads for what would hold up a server's loop for seconds, in the order it came. What takes too long, too much memory, or that nobody waits
 * for any more, ends with its thread; the next piece gets a new one. Threads start with work and do not keep the process alive.
 */
export class ThreadPool<Work, Answer> implements AsyncDisposable {
  readonly #options: ThreadPoolOptions;
  readonly #slots: Slot<Work, Answer>[] = [];
  readonly #queue: Job<Work, Answer>[] = [];
  #closed = false;

  constructor(options: ThreadPoolOptions) {
    this.#options = options;
  }

  /** How many pieces of work wait or are done now. */
  get jobs(): number {
    return this.#queue.length + this.#slots.filter(({ job }) => job !== undefined).length;
  }

  /** How many threads there are now. */
  get threads(): number {
    return this.#slots.length;
  }

  /**
   * Has a thread do the work, which is copied but for the buffers to `transfer`. The signal tells that nobody waits for the answer any more.
   * @throws ThreadPoolError
   */
  run(work: Work, { transfer = [], signal }: { transfer?: readonly ArrayBuffer[]; signal?: AbortSignal } = {}): Promise<Answer> {
    const under = this.jobs;
    if (this.#closed) return Promise.reject(closed());
    if (signal?.aborted === true) return Promise.reject(abandoned());
    if (under >= this.#options.jobs) return Promise.reject(new ThreadPoolError('full', `${under} wait or are done`));
    return new Promise((resolve, reject) => {
      const gone = (): void => this.#abandon(job);
      const settle =
        <T>(how: (value: T) => void) =>
        (value: T): void => {
          signal?.removeEventListener('abort', gone);
          how(value);
        };
      const job: Job<Work, Answer> = { work, transfer, resolve: settle(resolve), reject: settle(reject) };
      signal?.addEventListener('abort', gone, { once: true });
      this.#queue.push(job);
      this.#dispatch();
    });
  }

  /** Ends the threads; work that is not done is refused. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const job of this.#queue.splice(0)) job.reject(closed());
    await Promise.all(this.#slots.splice(0).map((slot) => this.#drop(slot, closed())));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      let slot = this.#slots.find(({ job }) => job === undefined);
      if (slot === undefined) {
        if (this.#slots.length >= this.#options.threads) return;
        slot = this.#start();
        this.#slots.push(slot);
      }
      this.#hand(slot, this.#queue.shift()!);
    }
  }

  #hand(slot: Slot<Work, Answer>, job: Job<Work, Answer>): void {
    const { limitMs } = this.#options;
    clearTimeout(slot.timer);
    slot.job = job;
    slot.timer = setTimeout(
      () => this.#replace(slot, new ThreadPoolError('time', `it took longer than ${limitMs} ms`)),
      limitMs,
    ).unref();
    slot.worker.postMessage(job.work, job.transfer);
  }

  #start(): Slot<Work, Answer> {
    const { script, data, heapMiB, idleMs } = this.#options;
    const worker = new Worker(script, { workerData: data, resourceLimits: { maxOldGenerationSizeMb: heapMiB } });
    worker.unref();
    const slot: Slot<Work, Answer> = { worker, job: undefined, timer: undefined };
    worker.on('message', (answer: Answer) => {
      const { job } = slot;
      slot.job = undefined;
      clearTimeout(slot.timer);
      slot.timer = setTimeout(() => this.#replace(slot), idleMs).unref();
      job?.resolve(answer);
      this.#dispatch();
    });
    // Out of memory, or a script that can't be loaded.
    worker.on('error', (error: Error & { code?: string }) => {
      const failure = error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'memory' : 'crash';
      this.#replace(slot, new ThreadPoolError(failure, error.message));
    });
    return slot;
  }

  #abandon(job: Job<Work, Answer>): void {
    const waiting = this.#queue.indexOf(job);
    const slot = this.#slots.find((each) => each.job === job);
    if (slot !== undefined) this.#replace(slot, abandoned());
    else if (waiting >= 0) {
      this.#queue.splice(waiting, 1);
      job.reject(abandoned());
    }
  }

  /** Takes the thread away with what it does. */
  #replace(slot: Slot<Work, Answer>, problem?: ThreadPoolError): void {
    const index = this.#slots.indexOf(slot);
    if (index < 0) return;
    this.#slots.splice(index, 1);
    void this.#drop(slot, problem);
    if (!this.#closed) this.#dispatch();
  }

  async #drop(slot: Slot<Work, Answer>, problem?: ThreadPoolError): Promise<void> {
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

function closed(): ThreadPoolError {
  return new ThreadPoolError('closed', 'the pool has ended');
}

function abandoned(): ThreadPoolError {
  return new ThreadPoolError('abandoned', 'nobody waits for it any more');
}
