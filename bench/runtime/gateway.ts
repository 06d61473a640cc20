// What the gateway itself costs: identity (JWT), quota, policy, admission, decision log and spans, over loopback at an open rate, with an engine
// that answers at once. Three processes: this client, the gateway, and a node:http server that gives the same answer with no stage at all, asked
// in turn. What a client sees of the gateway beyond what it sees of that server is the cost, from the socket on; the server's own clock, which
// starts when Node has parsed the headers, stands beside it. Usage: node bench/runtime/gateway.ts [--rate 200] [--seconds 20]
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { GatewayFigures, GatewaySetup } from './lib/gateway-server.ts';

const { values } = parseArgs({
  options: { rate: { type: 'string', default: '200' }, seconds: { type: 'string', default: '20' } },
});
const rate = Number(values.rate);
const seconds = Number(values.seconds);
const WARM_UP_S = 5;

const requireJose = createRequire(new URL('../../reference-runtime/package.json', import.meta.url));
const jose = (await import(
  requireJose.resolve('jose')
)) as typeof import('../../reference-runtime/node_modules/jose/dist/types/index.js');
const keys = await jose.generateKeyPair('ES256', { extractable: true });
const folder = mkdtempSync(join(tmpdir(), 'mixgate-gateway-'));
const jwks = join(folder, 'jwks.json');
writeFileSync(jwks, JSON.stringify({ keys: [{ ...(await jose.exportJWK(keys.publicKey)), kid: 'bench', alg: 'ES256' }] }));
const token = await new jose.SignJWT({ tenant: 'dev', sub: 'bench' })
  .setProtectedHeader({ alg: 'ES256', kid: 'bench' })
  .setIssuer('https://bench')
  .setAudience('bench')
  .setExpirationTime('1h')
  .sign(keys.privateKey);

interface Server {
  port: number;
  agent: Agent;
  times: number[];
  measure(on: boolean): Promise<GatewayFigures | undefined>;
  stop(): void;
}

async function start(kind: GatewaySetup['kind'], answer = ''): Promise<Server> {
  const child = fork(fileURLToPath(new URL('./lib/gateway-server.ts', import.meta.url)), [], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  const next = <T>(): Promise<T> =>
    new Promise((resolve, reject) => {
      child.once('message', (message) => resolve(message as T));
      child.once('exit', (code) => reject(new Error(`the ${kind} server ended with ${code}`)));
    });
  child.send({ kind, jwks, folder, answer } satisfies GatewaySetup);
  const { port } = await next<{ port: number }>();
  return {
    port,
    agent: new Agent({ keepAlive: true, maxSockets: 64 }),
    times: [],
    async measure(on) {
      child.send({ measure: on });
      return on ? undefined : (await next<{ figures: GatewayFigures }>()).figures;
    },
    stop: () => child.kill('SIGKILL'),
  };
}

const body = JSON.stringify({ model: 'mixtral-micro', messages: [{ role: 'user', content: 'The Congress shall have power' }] });
const headers = {
  'content-type': 'application/json',
  'content-length': Buffer.byteLength(body),
  authorization: `Bearer ${token}`,
};
let failures = 0;

function ask({ port, agent, times }: Server, measured: boolean): Promise<string> {
  return new Promise((resolve) => {
    const begin = performance.now();
    const call = request(
      { host: '127.0.0.1', port, path: '/v1/chat/completions', method: 'POST', agent, headers },
      (response) => {
        let text = '';
        response
          .setEncoding('utf8')
          .on('data', (chunk: string) => {
            text += chunk;
          })
          .on('end', () => {
            if (response.statusCode !== 200) failures++;
            else if (measured) times.push(performance.now() - begin);
            resolve(text);
          });
      },
    );
    call.on('error', () => {
      failures++;
      resolve('');
    });
    call.end(body);
  });
}

const gateway = await start('gateway');
const plain = await start('no-op', await ask(gateway, false));
const pending: Promise<string>[] = [];
const begin = performance.now();
const total = Math.round(2 * rate * (seconds + WARM_UP_S));
for (let index = 0; index < total; index++) {
  // Open model: the next request does not wait for the last. The two servers are asked in turn, so that neither meets the other's request.
  const wait = begin + (index * 500) / rate - performance.now();
  if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  const measured = index >= 2 * rate * WARM_UP_S;
  if (index === 2 * rate * WARM_UP_S) await gateway.measure(true);
  pending.push(ask(index % 2 === 0 ? gateway : plain, measured));
}
await Promise.all(pending);
const figures = (await gateway.measure(false)) as GatewayFigures;
for (const server of [gateway, plain]) {
  server.agent.destroy();
  server.stop();
}
rmSync(folder, { recursive: true });

const at = (all: number[], share: number): number =>
  [...all].sort((a, b) => a - b)[Math.floor(share * (all.length - 1))] ?? Number.NaN;
console.log(
  `${rate} requests/s each for ${seconds} s, chat of one message, JWT, quota, policy, decision log, spans; ${failures} failures`,
);
console.log('                                      p50        p99        max (ms)');
for (const [name, all] of [
  ['policy evaluation', figures.policyMs],
  ['gateway, server clock', figures.overheadMs],
  ['request to the gateway, client', gateway.times],
  ['request to no-op, client', plain.times],
] as const)
  console.log(
    `  ${name.padEnd(34)} ${at(all, 0.5).toFixed(3).padStart(8)}   ${at(all, 0.99).toFixed(3).padStart(8)}   ${at(all, 1).toFixed(3).padStart(8)}`,
  );
const median = at(plain.times, 0.5);
console.log(
  `  gateway less no-op: p50 ${(at(gateway.times, 0.5) - median).toFixed(3)} ms, p99 of one less p99 of the other ${(at(gateway.times, 0.99) - at(plain.times, 0.99)).toFixed(3)} ms`,
);
for (const [name, value, most] of [
  ['policy evaluation p99', at(figures.policyMs, 0.99), 0.2],
  ['gateway p99, server clock', at(figures.overheadMs, 0.99), 1],
  // The whole tail counts as the gateway's, the scheduler's and the client's part in it too.
  ["gateway p99 from the socket on (client's p99 less the median of no-op)", at(gateway.times, 0.99) - median, 1],
] as const)
  console.log(`  bar: ${name} below ${most} ms: ${value.toFixed(3)}  ${value < most && failures === 0 ? 'met' : 'NOT MET'}`);
process.exit(0);
