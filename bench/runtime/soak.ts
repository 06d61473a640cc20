// Many requests of mixed lengths, some cancelled: memory must stay flat, no sequence may leak, every router row must have an owner.
// Memory is looked at between blocks of requests, with nothing running and the garbage collected in both processes: between collections V8's
// heap wanders by tens of megabytes, over minutes, and such samples are worth next to nothing however many there are.
// Usage: node bench/runtime/soak.ts [--requests 10000] [--concurrency 8] [--block 250] [--semi-space 8] [--samples FILE.ndjson]
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { tQuantile } from '../../src/stats/distributions.ts';
import { robustTrend } from '../../src/stats/trend.ts';
import { type Memory, probeMemory } from './lib/memory-probe.ts';
import { scrape } from './lib/metrics.ts';
import { enginePid, MICRO, median, startOurs, streamOnce } from './lib/server.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '10000' },
    concurrency: { type: 'string', default: '8' },
    block: { type: 'string', default: '250' },
    'semi-space': { type: 'string', default: '8' },
    samples: { type: 'string' },
  },
});
const requests = Number(values.requests);
const concurrency = Number(values.concurrency);
/** Requests between two looks at the memory. */
const block = Number(values.block);
/**
 * MiB; 0 leaves it to V8, whose young generation grows to its limit at some busy moment: what it keeps about its pages counts as in use, a step of
 * 1.2 MiB once in a process's life.
 */
const semiSpace = Number(values['semi-space']);
/** The share of the run that fills caches, rings and heaps. */
const WARM_UP = 0.3;
/** Points below which no line is fitted. */
const LEAST = 5;
const CANCELLED = 0.1;
/** Growth over 10,000 requests of what is in use that counts as flat, as a share of what is resident. */
const FLAT = 0.02;
/** Resident memory is a high-water mark: bounded is all that can be asked of it. */
const RESIDENT = 1.5;
const MIB = 2 ** 20;

/** Numerical Recipes' linear congruential generator: the same requests in every run. */
let state = 1;
function draw(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}

const peer = await startOurs(
  MICRO,
  { sequences: 8, context: 512 },
  { trace: { mode: 'sample', sample: 0.2, retain: 64 } },
  { probe: true, semiSpace },
);
const pids = [peer.pid, enginePid(peer) as number];
const times: number[] = [];
const memory = { server: [] as Memory[], engine: [] as Memory[] };
let next = 0;
let answered = 0;
let cancelled = 0;
const failures: string[] = [];

/** Waits until nothing runs, then takes what both processes have. */
async function sample(): Promise<void> {
  for (let wait = 0; wait < 100; wait++) {
    const value = await scrape(peer);
    if (value('mixgate_engine_saturation_ratio') + value('mixgate_queue_depth') === 0) break;
    await sleep(100);
  }
  const [server, engine] = await probeMemory(peer.probe as string, pids);
  if (next > requests * WARM_UP) {
    times.push(next / requests);
    memory.server.push(server as Memory);
    memory.engine.push(engine as Memory);
  }
  if (values.samples !== undefined) appendFileSync(values.samples, `${JSON.stringify({ requests: next, server, engine })}\n`);
}

async function one(index: number): Promise<void> {
  const prompt = 'The Congress shall have power '.repeat(1 + Math.floor(draw() * 12));
  const tokens = 1 + Math.floor(draw() ** 2 * 160);
  const controller = new AbortController();
  const cancel = draw() < CANCELLED ? setTimeout(() => controller.abort(), draw() * 60) : undefined;
  try {
    await streamOnce(peer, `${index} ${prompt}`, tokens, controller.signal);
    answered++;
  } catch (error) {
    if (controller.signal.aborted) cancelled++;
    else failures.push(error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(cancel);
  }
}

async function worker(until: number): Promise<void> {
  while (next < until) await one(next++);
}

while (next < requests) {
  const until = Math.min(requests, next + block);
  await Promise.all(Array.from({ length: concurrency }, () => worker(until)));
  await sample();
}
// A cancelled sequence ends with the batch in flight.
await new Promise((resolve) => setTimeout(resolve, 2000));
const end = await scrape(peer);
peer.stop();

let met = true;
const bar = (name: string, ok: boolean | undefined, detail: string): void => {
  if (ok !== true) met = false;
  console.log(`  bar: ${name}: ${detail}  ${ok === undefined ? 'INCONCLUSIVE' : ok ? 'met' : 'NOT MET'}`);
};
console.log(
  `${requests} requests, ${concurrency} at once: ${answered} answered, ${cancelled} cancelled, ${failures.length} failed`,
);
bar(
  'every request answered',
  failures.length === 0,
  `${failures.length} failures${failures[0] === undefined ? '' : `, first: ${failures[0]}`}`,
);
for (const name of ['server', 'engine'] as const) {
  const resident = memory[name].map(({ rss }) => rss);
  const size = median(resident);
  const held = memory[name].map((sampled) => sampled.held);
  const trend = robustTrend(Float64Array.from(held), Float64Array.from(times), 0.95, undefined, LEAST);
  if (trend === undefined) {
    bar(`memory in use by the ${name} flat`, undefined, `only ${times.length} samples`);
    continue;
  }
  const per = 10_000 / MIB;
  // From per run to per request.
  const t = tQuantile(0.975, Math.max(1, trend.nEff - 2));
  const [slope, error] = [trend.slope / requests, (t * trend.slopeSe) / requests];
  const [low, high] = [slope - error, slope + error];
  const limit = (size * FLAT) / 10_000;
  bar(
    `memory in use by the ${name} flat (95 % interval below +${(limit * per).toFixed(1)} MiB per 10,000 requests, ${FLAT * 100} % of the ${(size / MIB).toFixed(0)} MiB resident)`,
    high <= limit ? true : low > limit ? false : undefined,
    `${(median(held) / MIB).toFixed(1)} MiB, ${(slope * per).toFixed(2)} [${(low * per).toFixed(2)}, ${(high * per).toFixed(2)}] MiB per 10,000 requests, ${times.length} samples worth ${trend.nEff.toFixed(0)}`,
  );
  // Steps, not a line: pages that were needed once stay, so that one busy moment shows for good.
  const [first, last] = [resident[0] as number, resident.at(-1) as number];
  bar(
    `resident memory of the ${name} below ${RESIDENT} times what it was after warm-up`,
    Math.max(...resident) < RESIDENT * first,
    `${(first / MIB).toFixed(0)} MiB, at the end ${(last / MIB).toFixed(0)}, at most ${(Math.max(...resident) / MIB).toFixed(0)}`,
  );
}
const left = end('mixgate_engine_saturation_ratio') + end('mixgate_queue_depth');
bar('no leaked sequence', left === 0, `${left} still running or waiting`);
const rows = end('mixgate_moe_trace_rows_total');
const lost = end('mixgate_moe_trace_unattributed_total');
bar('no unattributed router row', rows > 0 && lost === 0, `${lost} of ${rows}`);
process.exit(met ? 0 : 1);
