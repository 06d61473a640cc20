// The thread that makes pages, one at a time in the order they were asked for.
import { parentPort } from 'node:worker_threads';
import { type PageJob, render } from './render.ts';

/** What comes back: the page's bytes, or why there are none. */
export type WorkerAnswer = { bytes: Uint8Array<ArrayBuffer>; policy?: string } | { failure: string };

parentPort?.on('message', (job: PageJob) => {
  try {
    const { text, ...rest } = render(job);
    const bytes = new TextEncoder().encode(text);
    parentPort?.postMessage({ bytes, ...rest } satisfies WorkerAnswer, [bytes.buffer]);
  } catch (error) {
    const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    parentPort?.postMessage({ failure } satisfies WorkerAnswer);
  }
});
