// Pages are made in a thread of their own: one of a long trace takes a second, in which the server's loop would answer nobody. Bounded in
// time, memory and how many may wait; the thread starts with the first page and ends when nobody has asked for a while.
import { ThreadPool, ThreadPoolError } from '../../../src/core/thread-pool.ts';
import type { WorkerAnswer } from '../report/page-worker.ts';
import type { PageJob } from '../report/render.ts';
import { type HttpError, internal, unavailable } from './errors.ts';

/** A page as it is sent, and the content security policy to send with it. */
export interface RenderedPage {
  bytes: Uint8Array;
  /** Absent of what is no page. */
  policy?: string;
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

export class PageRenderer {
  readonly #log: (message: string) => void;
  readonly #timeoutMs: number;
  readonly #pool: ThreadPool<PageJob, WorkerAnswer>;

  constructor({ log, ...options }: RendererOptions) {
    const { timeoutMs, ...rest } = { ...DEFAULTS, ...options };
    this.#log = log;
    this.#timeoutMs = timeoutMs;
    this.#pool = new ThreadPool({ ...rest, limitMs: timeoutMs, threads: 1 });
  }

  /** Whether a thread is there. */
  get running(): boolean {
    return this.#pool.threads > 0;
  }

  /** @throws HttpError 503 when too many wait, it takes too long or too much memory; 500 for a defect, which the log has */
  async render(job: PageJob): Promise<RenderedPage> {
    const waiting = this.#pool.jobs;
    // Copied, not handed over: the trace is kept and may be asked for again.
    const answer = await this.#pool.run(job).catch((error: unknown) => {
      throw error instanceof ThreadPoolError ? this.#refusal(error, waiting) : error;
    });
    if ('bytes' in answer) return answer;
    this.#log(`a page could not be made: ${answer.failure}`);
    throw internal();
  }

  /** Ends the thread; pages that are not done are refused. */
  async close(): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }

  #refusal({ failure, message }: ThreadPoolError, waiting: number): HttpError {
    switch (failure) {
      case 'full':
        return unavailable('pages_busy', `${waiting} pages are already being made; try again`, 'server');
      case 'closed':
      case 'abandoned':
        return unavailable('draining', 'this runtime is shutting down', 'server');
      case 'time':
        this.#log(`a page took longer than ${this.#timeoutMs} ms and was given up`);
        return unavailable('page_failed', 'the page took too long; the JSON has the same', 'server');
      case 'memory':
      case 'crash':
        this.#log(`the thread that makes pages ended: ${message}`);
        return unavailable('page_failed', 'the page could not be made; the JSON has the same', 'server');
    }
  }
}
