// Many requests of mixed lengths, some cancelled: memory must stay flat, no sequence may leak, every router row must have an owner.
// Usage: node bench/runtime/soak.ts [--requests 10000] [--concurrency 8]
import { parseArgs } from 'node:util';
import { robustTrend } from '../../src/stats/trend.ts';
import { residentBytes, scrape } from './lib/metrics.ts';
import { MICRO, median, startOurs, streamOnce } from './lib/server.ts';

const { values } = parseArgs({
  options: { requests: { type: 'string', default: '10000' }, concurrency: { type: 'string', default: '8' } },
});
const requests = Number(values.requests);
const concurrency = Number(values.concurrency);
/** The share of the run that fills caches, rings and heaps. */
const WARM_UP = 0.3;
const SAMPLES = 200;
const CANCELLED = 0.1;
/** Growth over 10,000 requests that counts as flat, as a share of the memory. */
const FLAT = 0.02;

/** Numerical Recipes' linear congruential generator: the same requests in every run. */
let state = 1;
function draw(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}

const peer = await startOurs(MICRO, { sequences: 8, context: 512 }, { trace: { mode: 'sample', sample: 0.2, retain: 64 } });
const times: number[] = [];
const memory = { server: [] as number[], engine: [] as number[] };
let next = 0;
let answered = 0;
let cancelled = 0;
const failures: string[] = [];

async function sample(at: number): Promise<void> {
  const value = await scrape(peer);
  times.push(at / requests);
  memory.server.push(residentBytes(peer.pid));
  memory.engine.push(value('mixgate_engine_memory_bytes'));
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

async function worker(): Promise<void> {
  while (next < requests) {
    const index = next++;
    await one(index);
    if (index > requests * WARM_UP && index % Math.max(1, Math.round((requests * (1 - WARM_UP)) / SAMPLES)) === 0)
      await sample(index);
  }
}

await Promise.all(Array.from({ length: concurrency }, worker));
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
  const trend = robustTrend(Float64Array.from(memory[name]), Float64Array.from(times), 0.95);
  const size = median(memory[name]);
  if (trend === undefined) {
    bar(`memory of the ${name} flat`, undefined, `only ${times.length} samples`);
    continue;
  }
  const per = 10_000 / 2 ** 20;
  // From per run to per request.
  const [slope, error] = [trend.slope / requests, (1.96 * trend.slopeSe) / requests];
  const [low, high] = [slope - error, slope + error];
  const limit = (size * FLAT) / 10_000;
  bar(
    `memory of the ${name} flat (95 % interval below +${(limit * per).toFixed(1)} MiB per 10,000 requests, ${FLAT * 100} % of ${(size / 2 ** 20).toFixed(0)} MiB)`,
    high <= limit ? true : low > limit ? false : undefined,
    `${(slope * per).toFixed(2)} [${(low * per).toFixed(2)}, ${(high * per).toFixed(2)}] MiB per 10,000 requests, ${times.length} samples worth ${trend.nEff.toFixed(0)}`,
  );
}
const left = end('mixgate_engine_saturation_ratio') + end('mixgate_queue_depth');
bar('no leaked sequence', left === 0, `${left} still running or waiting`);
const rows = end('mixgate_moe_trace_rows_total');
const lost = end('mixgate_moe_trace_unattributed_total');
bar('no unattributed router row', rows > 0 && lost === 0, `${lost} of ${rows}`);
process.exit(met ? 0 : 1);
