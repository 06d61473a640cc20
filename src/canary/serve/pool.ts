import { availableParallelism } from 'node:os';
import { entryUrl } from '../../core/entry-url.ts';
import { ThreadPool, ThreadPoolError } from '../../core/thread-pool.ts';
import { HttpProblem } from './http.ts';
import { buffersOf, type Judged, type Refused, type Work } from './work.ts';

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

/**
 * Threads that judge: a case of many points takes seconds, in which the server's loop would answer nobody. A case that takes too long, too much
 * memory, or whose client has gone, ends with its thread; the next one gets a new thread.
 */
export class JudgePool implements AsyncDisposable {
  readonly #limits: { readonly limitMs: number; readonly heapMiB: number };
  readonly #pool: ThreadPool<Work, Judged | Refused>;

  constructor({
    jobs = 8,
    workers = Math.max(2, Math.min(4, availableParallelism())),
    limitMs = 60_000,
    heapMiB = 1024,
    idleMs = 60_000,
    script = entryUrl('judge-worker', new URL('./worker.ts', import.meta.url)),
    data,
  }: JudgePoolOptions = {}) {
    this.#limits = { limitMs, heapMiB };
    this.#pool = new ThreadPool({ script, data, jobs, threads: workers, limitMs, heapMiB, idleMs });
  }

  /** How many cases wait or are judged now. */
  get cases(): number {
    return this.#pool.jobs;
  }

  /** How many threads there are now. */
  get threads(): number {
    return this.#pool.threads;
  }

  /**
   * Judges; the work's body is handed over. The signal tells that nobody waits for the answer any more.
   * @throws HttpProblem 400 when it cannot be judged, 422 over the limit of time or memory, 503 when too many wait; 500 for a defect
   */
  async run(work: Work, signal: AbortSignal): Promise<Judged> {
    const under = this.cases;
    const answer = await this.#pool.run(work, { signal, transfer: buffersOf(work) }).catch((error: unknown) => {
      throw error instanceof ThreadPoolError ? this.#problem(error, under) : error;
    });
    if ('json' in answer) return answer;
    throw new HttpProblem(answer.status, answer.message, answer.details);
  }

  /** Ends the threads; cases that are not done are refused. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }

  #problem({ failure }: ThreadPoolError, under: number): HttpProblem {
    switch (failure) {
      case 'full':
        return new HttpProblem(503, `${under} cases wait or are judged; try again.`);
      case 'closed':
        return new HttpProblem(503, 'This server is shutting down.');
      case 'abandoned':
        // Nobody reads it.
        return new HttpProblem(503, 'The client has gone.');
      case 'time':
        return tooMuch(`The case takes longer to judge than ${this.#limits.limitMs / 1000} s`);
      case 'memory':
        return tooMuch(`The case takes more memory to judge than ${this.#limits.heapMiB} MiB`);
      case 'crash':
        return new HttpProblem(500, 'The request could not be judged.');
    }
  }
}

function tooMuch(what: string): HttpProblem {
  return new HttpProblem(422, `${what} and was given up: send fewer points, metrics or looks.`);
}
