// What the gateway itself costs: the real server and policy over loopback at an open rate, with an engine in the same process that answers
// at once. Overhead is the server's own clock, from the arrival of the request to its last byte less queue and engine; the client's
// times stand beside it. Usage: node bench/runtime/gateway.ts [--rate 200] [--seconds 20]
import { Agent, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { devConfig } from '../../reference-runtime/src/config/dev.ts';
import type { EngineInfo, EngineStats } from '../../reference-runtime/src/engine/types.ts';
import { buildApp } from '../../reference-runtime/src/server/app.ts';
import type { Loadable } from '../../reference-runtime/src/server/residency.ts';
import { startRuntime } from '../../reference-runtime/src/server/runtime.ts';

const { values } = parseArgs({
  options: { rate: { type: 'string', default: '200' }, seconds: { type: 'string', default: '20' } },
});
const rate = Number(values.rate);
const seconds = Number(values.seconds);
const WARM_UP_S = 3;
const SEQUENCES = 64;

const stats: EngineStats = { state: 'ready', active: 0, sequences: SEQUENCES, restarts: 0, rssBytes: 0 };
const engine: Loadable = {
  load: async (): Promise<EngineInfo> => ({
    engine: 'llama',
    model: 'instant',
    context: 512,
    sequences: SEQUENCES,
    threads: 1,
    gpu: 'false',
    loadMs: 0,
    layers: 0,
    experts: 0,
    expertsUsed: 0,
    parameters: 0,
    fileBytes: 0,
    trace: { available: false, reason: 'an engine that answers at once has no router' },
  }),
  async *generate() {
    yield { type: 'prompt', tokens: 4 };
    yield { type: 'token', text: 'ok' };
    yield { type: 'done', finishReason: 'stop', promptTokens: 4, completionTokens: 1 };
  },
  stats: () => stats,
  unload: async () => {},
  dispose: async () => {},
};

const policyMs: number[] = [];
const overheadMs: number[] = [];
const clientMs: number[] = [];
const runtime = await startRuntime(devConfig({ port: 0 }), () => {}, { engine });
let measuring = false;
// The server's own histograms are too coarse for percentiles: the same observations are kept one by one.
const keep = (histogram: { observe: (value: number) => void }, into: number[]): void => {
  const observe = histogram.observe.bind(histogram);
  histogram.observe = (value: number): void => {
    observe(value);
    if (measuring) into.push(value * 1000);
  };
};
keep(runtime.metrics.instruments.policySeconds, policyMs);
keep(runtime.metrics.instruments.overheadSeconds, overheadMs);
const app = buildApp(runtime);
await app.listen({ host: '127.0.0.1', port: 0 });
const { port } = app.server.address() as AddressInfo;

const agent = new Agent({ keepAlive: true, maxSockets: SEQUENCES });
const body = JSON.stringify({ model: 'mixtral-micro', messages: [{ role: 'user', content: 'The Congress shall have power' }] });
let failures = 0;

function ask(): Promise<void> {
  return new Promise((resolve) => {
    const start = performance.now();
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const call = request(
      { host: '127.0.0.1', port, path: '/v1/chat/completions', method: 'POST', agent, headers },
      (response) => {
        response.resume().on('end', () => {
          if (response.statusCode !== 200) failures++;
          else if (measuring) clientMs.push(performance.now() - start);
          resolve();
        });
      },
    );
    call.on('error', () => {
      failures++;
      resolve();
    });
    call.end(body);
  });
}

const pending: Promise<void>[] = [];
const begin = performance.now();
const total = Math.round(rate * (seconds + WARM_UP_S));
for (let index = 0; index < total; index++) {
  // Open model: the next request does not wait for the last.
  const wait = begin + (index * 1000) / rate - performance.now();
  if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  measuring = index >= rate * WARM_UP_S;
  pending.push(ask());
}
await Promise.all(pending);
await app.close();
agent.destroy();

const at = (all: number[], share: number): number =>
  [...all].sort((a, b) => a - b)[Math.floor(share * (all.length - 1))] ?? Number.NaN;
console.log(`${rate} requests/s for ${seconds} s, chat of one message, client and server in one process, ${failures} failures`);
console.log('                          p50        p99        max (ms)');
for (const [name, all] of [
  ['policy evaluation', policyMs],
  ['gateway, server clock', overheadMs],
  ['request, client clock', clientMs],
] as const)
  console.log(
    `  ${name.padEnd(22)} ${at(all, 0.5).toFixed(3).padStart(8)}   ${at(all, 0.99).toFixed(3).padStart(8)}   ${at(all, 1).toFixed(3).padStart(8)}`,
  );
for (const [name, all, most] of [
  ['policy evaluation p99', policyMs, 0.2],
  ['gateway p99', overheadMs, 1],
] as const) {
  const value = at(all, 0.99);
  console.log(`  bar: ${name} below ${most} ms: ${value.toFixed(3)}  ${value < most && failures === 0 ? 'met' : 'NOT MET'}`);
}
process.exit(0);
