// Makes pages as the real thread does, but holds on to each, busy, until it is told to go on.
import { BroadcastChannel, type MessagePort, parentPort, receiveMessageOnPort } from 'node:worker_threads';

const channel = new BroadcastChannel('held-page');
// Documented to take one of these too.
const messages = channel as unknown as MessagePort;
const cell = new Int32Array(new SharedArrayBuffer(4));
// Before the real thread's own listener, which runs when this one returns.
parentPort?.on('message', () => {
  channel.postMessage('begun');
  while (receiveMessageOnPort(messages)?.message !== 'go') Atomics.wait(cell, 0, 0, 5);
});
await import('../../src/report/page-worker.ts');
