// The servers of the gateway's benchmark, each forked into a process of its own. `gateway`: the real runtime with every stage switched on and an
// engine that answers at once. `no-op`: node:http with the same answer and nothing else. A message {measure} starts and ends keeping figures.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { devConfig } from '../../../reference-runtime/src/config/dev.ts';
import { shapelessInfo } from '../../../reference-runtime/src/engine/engine-info.ts';
import type { EngineStats } from '../../../reference-runtime/src/engine/types.ts';
import { buildApp } from '../../../reference-runtime/src/server/app.ts';
import type { Loadable } from '../../../reference-runtime/src/server/residency.ts';
import { startRuntime } from '../../../reference-runtime/src/server/start-runtime.ts';
import { type Usage, watchProcess } from './pauses.ts';

const SEQUENCES = 64;

/** What a process of the benchmark is told, and what it says when measuring ends; milliseconds. */
export interface GatewaySetup {
  kind: 'gateway' | 'no-op';
  /** For `gateway`: the issuer's key set, and a folder for the decision log and the spans. */
  jwks: string;
  folder: string;
  /** For `no-op`: what the gateway answered. */
  answer: string;
}
export interface GatewayFigures extends Usage {
  requests: number;
  policyMs: number[];
  overheadMs: number[];
}

const stats: EngineStats = { state: 'ready', active: 0, sequences: SEQUENCES, restarts: 0, rssBytes: 0 };
const engine: Loadable = {
  load: async () =>
    shapelessInfo(
      { engine: 'llama', model: 'instant', sequences: SEQUENCES, context: 512 },
      'an engine that answers at once has no router',
    ),
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
let requests = 0;
/** Present while figures are kept. */
let usage: (() => Usage) | undefined;

/** The server's own histograms are too coarse for percentiles: the same observations are kept one by one. */
function keep(histogram: { observe: (value: number) => void }, into: number[]): void {
  const observe = histogram.observe.bind(histogram);
  histogram.observe = (value: number): void => {
    observe(value);
    if (usage !== undefined) into.push(value * 1000);
  };
}

async function gateway({ jwks, folder }: GatewaySetup): Promise<number> {
  const config = devConfig({ port: 0 });
  config.identity = {
    jwt: {
      jwks,
      issuer: 'https://bench',
      audience: 'bench',
      jwksMaxAgeSeconds: 600,
      tenantClaim: 'tenant',
      algorithms: ['ES256'],
    },
  };
  config.tenants = { dev: { requestsPerSecond: 1e6, burst: 1_000_000, concurrency: SEQUENCES, tokensPerMinute: 1e9 } };
  config.telemetry.decisionLog = { file: `${folder}/decisions.ndjson`, mask: ['/input/request/user'] };
  config.telemetry.traces.file = `${folder}/spans.ndjson`;
  const runtime = await startRuntime(config, () => {}, { engine });
  keep(runtime.metrics.instruments.policySeconds, policyMs);
  keep(runtime.metrics.instruments.overheadSeconds, overheadMs);
  const app = buildApp(runtime);
  app.server.on('request', () => requests++);
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

async function noOp({ answer }: GatewaySetup): Promise<number> {
  const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(answer) };
  const server = createServer((request, response) => {
    requests++;
    request.resume().on('end', () => response.writeHead(200, headers).end(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

process.on('message', async (message: GatewaySetup | { measure: boolean }) => {
  if ('kind' in message) process.send?.({ port: await (message.kind === 'gateway' ? gateway(message) : noOp(message)) });
  else if (message.measure) {
    requests = 0;
    usage = watchProcess();
  } else if (usage !== undefined)
    process.send?.({ figures: { ...usage(), requests, policyMs, overheadMs } satisfies GatewayFigures });
});
process.on('disconnect', () => process.exit(0));
