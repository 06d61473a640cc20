// The real thread that judges, in front of which some cases meet what can go wrong. By id: "held" tells that it began and waits until it is
// let go, "endless" does not end, "hungry" takes memory without end.
import { parentPort, workerData } from 'node:worker_threads';
import { judgeWork, type Work } from '../../../src/canary/serve/work.ts';

/** [0]: how many cases are held now; [1]: 1 lets them go. */
const gate = workerData as Int32Array;

function idOf(work: Work): unknown {
  return work.kind === 'case' ? (JSON.parse(Buffer.from(work.body).toString('utf8')) as { id?: unknown }).id : undefined;
}

parentPort?.on('message', (work: Work) => {
  const id = idOf(work);
  if (id === 'held') {
    Atomics.add(gate, 0, 1);
    Atomics.wait(gate, 1, 0);
    Atomics.sub(gate, 0, 1);
  }
  if (id === 'endless') for (;;);
  if (id === 'hungry') for (const kept: number[][] = []; ; ) kept.push(Array.from({ length: 1_000 }, () => kept.length));
  parentPort?.postMessage(judgeWork(work));
});
