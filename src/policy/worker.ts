import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../core/errors.ts';
import type { Program } from './compile.ts';
import { EvaluationLimit, type Task, TaskRunner } from './tasks.ts';
import { PolicyLoadError } from './wasm.ts';

/** What pool.ts sends. */
export type ToWorker = { readonly add: number; readonly program: Program } | { readonly job: number; readonly task: Task };
/** What comes back. */
export type FromWorker =
  | { readonly job: number; readonly result: unknown }
  | { readonly job: number; readonly loadFailure: PolicyLoadError['failure'] }
  | { readonly job: number; readonly limit: PolicyLoadError['failure']; readonly item: number }
  | { readonly job: number; readonly error: string };

export interface WorkerSetup {
  /** [0] counts evaluations (wraps), [1] is the place of the running one in its task; -1 while loading. */
  readonly beat: Int32Array;
  readonly maxPages: number;
}

const { beat, maxPages } = workerData as WorkerSetup;
const runner = new TaskRunner(maxPages, (item) => {
  beat[1] = item;
  Atomics.add(beat, 0, 1);
});

parentPort!.on('message', (message: ToWorker) => {
  if ('add' in message) {
    runner.add(message.add, message.program);
    return;
  }
  const { job, task } = message;
  let answer: FromWorker;
  try {
    answer = { job, result: runner.run(task) };
  } catch (error) {
    if (error instanceof PolicyLoadError) answer = { job, loadFailure: error.failure };
    else if (error instanceof EvaluationLimit) answer = { job, limit: error.failure, item: error.item };
    else answer = { job, error: messageOf(error) };
  }
  parentPort!.postMessage(answer);
});
