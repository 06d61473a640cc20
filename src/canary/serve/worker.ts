// The thread that judges, one case at a time in the order they come.
import { parentPort } from 'node:worker_threads';
import { judgeWork, type Work } from './work.ts';

parentPort?.on('message', (work: Work) => {
  const answer = judgeWork(work);
  parentPort?.postMessage(answer, 'json' in answer ? [answer.json.buffer] : []);
});
