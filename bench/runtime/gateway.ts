// What the gateway itself costs: identity (JWT), quota, policy, admission, decision log and spans, over loopback at an open rate, with an engine
// that answers at once. Three processes: this client, the gateway, and a node:http server that gives the same answer with no stage at all, asked
// in turn. What a client sees of the gateway beyond what it sees of that server is the cost, from the socket on; the server's own clock, which
// starts when Node has parsed the headers, stands beside it. Each round starts both servers anew, and a bar is judged by its median round.
// Usage: node bench/runtime/gateway.ts [--rounds 3] [--rate 200] [--seconds 20] [--profile FOLDER]
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Round, round, type Sample } from './lib/gateway-load.ts';
import type { GatewayFigures } from './lib/gateway-server.ts';
import { paused } from './lib/pauses.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    rate: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '20' },
    profile: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const rate = Number(values.rate);
const seconds = Number(values.seconds);
/** For V8 to compile what requests run through: a server is judged as it runs, not as it starts. */
const WARM_UP_S = 10;

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

const at = (all: readonly number[], share: number): number =>
  [...all].sort((a, b) => a - b)[Math.floor(share * (all.length - 1))] ?? Number.NaN;
const mean = (all: readonly number[]): number => all.reduce((sum, value) => sum + value, 0) / all.length;
const times = (samples: readonly Sample[]): number[] => samples.map(({ ms }) => ms);
const cpuUs = ({ cpuMs, requests }: GatewayFigures): number => (1000 * cpuMs) / requests;

const BARS = [
  ['policy evaluation p99', 0.2, ({ figures }: Round) => at(figures.gateway.policyMs, 0.99)],
  ['gateway p99, server clock', 1, ({ figures }: Round) => at(figures.gateway.overheadMs, 0.99)],
  // The whole tail counts as the gateway's, the scheduler's and the client's part in it too.
  [
    "gateway p99 from the socket on (client's p99 less the median of no-op)",
    1,
    ({ gateway, plain }: Round) => at(times(gateway), 0.99) - at(times(plain), 0.5),
  ],
] as const;

/** A table of the round's times, and where processor time and the tail went. */
function print({ gateway, plain, figures, client }: Round, number: number): void {
  console.log(`round ${number}                                 p50        p99        max (ms)`);
  for (const [name, all] of [
    ['policy evaluation', figures.gateway.policyMs],
    ['gateway, server clock', figures.gateway.overheadMs],
    ['request to the gateway, client', times(gateway)],
    ['request to no-op, client', times(plain)],
  ] as const)
    console.log(`  ${name.padEnd(34)} ${[0.5, 0.99, 1].map((share) => at(all, share).toFixed(3).padStart(8)).join('   ')}`);
  const [ours, bare] = [cpuUs(figures.gateway), cpuUs(figures.plain)];
  console.log(
    `  gateway less no-op: p50 ${(at(times(gateway), 0.5) - at(times(plain), 0.5)).toFixed(3)} ms, p99 of one less p99 of the other ${(at(times(gateway), 0.99) - at(times(plain), 0.99)).toFixed(3)} ms`,
  );
  console.log(
    `  processor time a request: gateway ${ours.toFixed(0)} us, no-op ${bare.toFixed(0)} us, ratio ${(ours / bare).toFixed(2)}`,
  );
  const waits = [figures.gateway, figures.plain, client].map(({ waitedMs }) =>
    waitedMs === undefined ? 'unknown' : `${(waitedMs / seconds).toFixed(2)}`,
  );
  console.log(`  ready without a core, ms a second: gateway ${waits[0]}, no-op ${waits[1]}, client ${waits[2]}`);
  const { pauses } = figures.gateway;
  console.log(
    `  garbage collection in the gateway: ${(pauses.length / seconds).toFixed(2)} pauses a second of ${mean(pauses.map(({ ms }) => ms)).toFixed(2)} ms`,
  );
  const slow = [...gateway].sort((a, b) => b.ms - a.ms).slice(0, Math.ceil(gateway.length / 100));
  const inside = slow.map(({ begin, ms }) => paused(pauses, begin, ms));
  const inClient = slow.map(({ begin, ms }) => paused(client.pauses, begin, ms));
  const within = (all: number[]): string => `${mean(all).toFixed(3)} ms (${all.filter((ms) => ms > 0).length} of them)`;
  console.log(
    `  slowest 1 % (${slow.length} requests): mean ${mean(times(slow)).toFixed(3)} ms, ${mean(slow.map(({ serverMs }) => serverMs)).toFixed(3)} of it by the server's clock; garbage collection in it: gateway ${within(inside)}, client ${within(inClient)}`,
  );
}

console.log(
  `${rate} requests/s each, ${rounds} rounds of ${seconds} s, chat of one message, JWT, quota, policy, decision log, spans`,
);
const done: Round[] = [];
for (let number = 1; number <= rounds; number++) {
  const result = await round({ rate, seconds, warmUpSeconds: WARM_UP_S, jwks, folder, token, profile: values.profile });
  print(result, number);
  done.push(result);
}
rmSync(folder, { recursive: true });
const failures = done.reduce((sum, result) => sum + result.failures, 0);
console.log(`${failures} failures`);
for (const [name, most, figure] of BARS) {
  const all = done.map(figure);
  // Of an even number of rounds the worse one in the middle.
  const median = [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN;
  const met = median < most && failures === 0 ? 'met' : 'NOT MET';
  console.log(
    `  bar: ${name} below ${most} ms: median round ${median.toFixed(3)} (${all.map((value) => value.toFixed(3)).join(', ')})  ${met}`,
  );
}
process.exit(0);
