// Tokens per second: through our server (SSE included), raw node-llama-cpp, and llama-server; interleaved in one run.
// Usage: node bench/runtime/throughput.ts --llama-server PATH [--repetitions 5] [--tokens 160] [--only large|micro]
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { largeModel, MICRO, median, type Peer, startLlamaServer, startOurs, streamOnce } from './lib/server.ts';

const { values } = parseArgs({
  options: {
    'llama-server': { type: 'string' },
    repetitions: { type: 'string', default: '5' },
    tokens: { type: 'string', default: '160' },
    only: { type: 'string' },
  },
});
const repetitions = Number(values.repetitions);
const tokens = Number(values.tokens);
const STREAMS = [1, 8] as const;
const SEQUENCES = 8;
const CONTEXT = 512;

type Measure = (prompts: string[]) => Promise<number>;

function overHttp(peer: Peer): Measure {
  return async (prompts) => {
    const start = performance.now();
    const counts = await Promise.all(prompts.map((prompt) => streamOnce(peer, prompt, tokens)));
    return counts.reduce((a, b) => a + b, 0) / ((performance.now() - start) / 1000);
  };
}

async function startRaw(model: string): Promise<{ measure: Measure; stop: () => void }> {
  const child = fork(fileURLToPath(new URL('./lib/raw.ts', import.meta.url)), [model, String(SEQUENCES), String(CONTEXT)]);
  const answer = (): Promise<unknown> => new Promise((resolve) => child.once('message', resolve));
  await answer();
  return {
    measure: async (prompts) => {
      child.send({ prompts, tokens });
      const result = (await answer()) as { tokens: number; seconds: number };
      return result.tokens / result.seconds;
    },
    stop: () => child.kill('SIGKILL'),
  };
}

async function compare(label: string, model: string, bars: Array<[peer: string, streams: number, least: number]>): Promise<void> {
  const raw = await startRaw(model);
  const ours = await startOurs(model, { sequences: SEQUENCES, context: CONTEXT });
  const binary = values['llama-server'];
  const llama =
    binary === undefined ? undefined : await startLlamaServer(binary, model, { sequences: SEQUENCES, context: CONTEXT });
  const peers: Array<[string, Measure]> = [
    ['mixgate-runtime', overHttp(ours)],
    ['node-llama-cpp', raw.measure],
    ...(llama === undefined ? [] : [['llama-server', overHttp(llama)] as [string, Measure]]),
  ];
  const rates = new Map<string, number[]>();
  const prompts = Array.from({ length: SEQUENCES }, (_, index) => `Article ${index}: The Congress shall have power to`);
  try {
    for (let round = -1; round < repetitions; round++) {
      for (const streams of STREAMS)
        for (const [name, measure] of peers) {
          const rate = await measure(prompts.slice(0, streams));
          // Round -1 warms up.
          if (round >= 0) rates.set(`${name} ${streams}`, [...(rates.get(`${name} ${streams}`) ?? []), rate]);
        }
    }
  } finally {
    raw.stop();
    ours.stop();
    llama?.stop();
  }
  console.log(`\n${label}: tokens/s, median (min to max) of ${repetitions}, ${tokens} tokens a stream, 1 ggml thread, batch 512`);
  for (const [name] of peers)
    for (const streams of STREAMS) {
      const all = rates.get(`${name} ${streams}`) ?? [];
      const [low, high] = [Math.min(...all).toFixed(0), Math.max(...all).toFixed(0)];
      console.log(
        `  ${name.padEnd(16)} ${streams} stream${streams > 1 ? 's' : ' '}  ${median(all).toFixed(1).padStart(8)}  (${low} to ${high})`,
      );
    }
  for (const [peer, streams, least] of bars) {
    const base = rates.get(`${peer} ${streams}`);
    if (base === undefined) {
      console.log(`  bar: ${peer} at ${streams}: not measured (--llama-server PATH is missing)`);
      continue;
    }
    // Rounds are paired: both were measured within the same minute.
    const own = rates.get(`mixgate-runtime ${streams}`) ?? [];
    const ratio = median(own.map((rate, index) => rate / (base[index] as number)));
    console.log(`  bar: at least ${least} of ${peer} at ${streams}: ${ratio.toFixed(3)}  ${ratio >= least ? 'met' : 'NOT MET'}`);
  }
}

if (values.only !== 'micro')
  await compare('random Mixtral, 375 MB Q8_0', largeModel(), [
    ['node-llama-cpp', 1, 0.95],
    ['node-llama-cpp', 8, 1.0],
    ['llama-server', 1, 0.9],
    ['llama-server', 8, 0.85],
  ]);
if (values.only !== 'large')
  await compare('mixtral-micro, 5.9 MB Q8_0', MICRO, [
    ['llama-server', 1, 0.5],
    ['llama-server', 8, 0.5],
  ]);
process.exit(0);
