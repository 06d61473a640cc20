// Pages are made in a thread of their own: one of a long trace takes a second, in which the server's loop would answer nobody. Bounded in
// time, memory and how many may wait; the thread starts with the first page and ends when nobody has asked for a while.
import { Worker } from 'node:worker_threads';
import type { WorkerAnswer } from '../report/page-worker.ts';
import type { PageJob } from '../report/render.ts';
import { type HttpError, internal, unavailable } from './errors.ts';

/** A page as it is sent, and the content security policy to send with it. */
export interface RenderedPage {
  bytes: Uint8Array;
  policy: string;
}

export interface RendererOptions {
  log: (message: string) => void;
  /** What runs in the thread: a parameter for tests. */
  script?: URL;
  /** Pages that wait or are made, at most. */
  jobs?: number;
  timeoutMs?: number;
  idleMs?: number;
  heapMiB?: number;
}

const DEFAULTS = {
  script: new URL('../report/page-worker.ts', import.meta.url),
  jobs: 8,
  timeoutMs: 30_000,
  idleMs: 60_000,
  heapMiB: 512,
};

interface Waiting {
  job: PageJob;
  resolve: (page: RenderedPage) => void;
  reject: (error: HttpError) => void;
}

export class PageRenderer {
  readonly #options: Required<RendererOptions>;
  readonly #queue: Waiting[] = [];
  #worker: Worker | undefined;
  #current: Waiting | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: RendererOptions) {
    this.#options = { ...DEFAULTS, ...options };
  }

  /** Whether a thread is there. */
  get running(): boolean {
    return this.#worker !== undefined;
  }

  /** @throws HttpError 503 when too many wait, it takes too long or too much memory; 500 for a defect, which the log has */
  render(job: PageJob): Promise<RenderedPage> {
    const waiting = this.#queue.length + (this.#current === undefined ? 0 : 1);
    if (this.#closed) return Promise.reject(unavailable('draining', 'this runtime is shutting down', 'server'));
    if (waiting >= this.#options.jobs)
      return Promise.reject(unavailable('pages_busy', `${waiting} pages are already being made; try again`, 'server'));
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, resolve, reject });
      this.#next();
    });
  }

  /** Ends the thread; pages that are not done are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    const refused = [...(this.#current === undefined ? [] : [this.#current]), ...this.#queue.splice(0)];
    this.#current = undefined;
    for (const { reject } of refused) reject(unavailable('draining', 'this runtime is shutting down', 'server'));
    await this.#drop();
  }

  #next(): void {
    if (this.#current !== undefined) return;
    clearTimeout(this.#timer);
    this.#current = this.#queue.shift();
    if (this.#current === undefined) {
      this.#timer = setTimeout(() => void this.#drop(), this.#options.idleMs).unref();
      return;
    }
    this.#timer = setTimeout(() => {
      this.#options.log(`a page took longer than ${this.#options.timeoutMs} ms and was given up`);
      void this.#drop();
      this.#end(unavailable('page_failed', 'the page took too long; the JSON has the same', 'server'));
    }, this.#options.timeoutMs).unref();
    this.#worker ??= this.#start();
    // Copied, not handed over: the trace is kept and may be asked for again.
    this.#worker.postMessage(this.#current.job);
  }

  #start(): Worker {
    const { script, heapMiB, log } = this.#options;
    const worker = new Worker(script, { resourceLimits: { maxOldGenerationSizeMb: heapMiB } });
    worker.unref();
    worker.on('message', (answer: WorkerAnswer) => {
      if (worker !== this.#worker) return;
      if ('bytes' in answer) return this.#end(answer);
      log(`a page could not be made: ${answer.failure}`);
      this.#end(internal());
    });
    // Out of memory, or a script that can't be loaded: the next page gets a new thread.
    worker.on('error', (error) => {
      if (worker !== this.#worker) return;
      this.#worker = undefined;
      log(`the thread that makes pages ended: ${error instanceof Error ? error.message : String(error)}`);
      this.#end(unavailable('page_failed', 'the page could not be made; the JSON has the same', 'server'));
    });
    return worker;
  }

  #end(result: RenderedPage | HttpError): void {
    const current = this.#current;
    this.#current = undefined;
    if ('bytes' in result) current?.resolve(result);
    else current?.reject(result);
    this.#next();
  }

  async #drop(): Promise<void> {
    clearTimeout(this.#timer);
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
}
