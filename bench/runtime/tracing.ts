// What router tracing costs: three servers, off, 5 % sampled and every request traced, asked in turn with the same prompts. The ratio is per
// round, so that whatever slows the machine slows all three. Usage: node bench/runtime/tracing.ts [--rounds 12] [--tokens 160]
import { parseArgs } from 'node:util';
import { scrape } from './lib/metrics.ts';
import { largeModel, median, type Peer, startOurs } from './lib/server.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '12' }, tokens: { type: 'string', default: '160' } },
});
const rounds = Number(values.rounds);
const tokens = Number(values.tokens);
const MODES = [
  ['off', { mode: 'off' }],
  ['5 % sampled', { mode: 'sample', sample: 0.05 }],
  ['all traced', { mode: 'always' }],
] as const;
const REQUESTS = 4;

async function complete(peer: Peer, prompt: string): Promise<string> {
  const response = await fetch(`${peer.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...peer.headers },
    body: JSON.stringify({ prompt, max_tokens: tokens, temperature: 0 }),
  });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  return ((await response.json()) as { choices: Array<{ text: string }> }).choices[0]?.text ?? '';
}

const model = largeModel();
const peers: Peer[] = [];
for (const [, trace] of MODES) peers.push(await startOurs(model, { sequences: 4, context: 512 }, { trace }));
const seconds = MODES.map(() => [] as number[]);
let different = 0;
try {
  for (let round = -1; round < rounds; round++) {
    const texts: string[] = [];
    // Another order each round: none is always first.
    for (const index of [0, 1, 2].map((place) => (place + round + 3) % 3)) {
      const start = performance.now();
      let text = '';
      for (let item = 0; item < REQUESTS; item++)
        text += await complete(peers[index] as Peer, `Article ${round * REQUESTS + item}: The Congress shall have power to`);
      if (round >= 0) seconds[index]?.push((performance.now() - start) / 1000);
      texts[index] = text;
    }
    if (new Set(texts).size > 1) different++;
  }
  const rows = await Promise.all(peers.map(async (peer) => (await scrape(peer))('mixgate_moe_trace_rows_total')));
  console.log(
    `${rounds} rounds of ${REQUESTS} x ${tokens} tokens, 375 MB model, one ggml thread; router rows: ${rows.join(', ')}`,
  );
  const speed = (index: number): number => median((seconds[index] ?? []).map((time) => (REQUESTS * tokens) / time));
  console.log(`  ${MODES.map(([name], index) => `${name} ${speed(index).toFixed(1)} tokens/s`).join(', ')}`);
  for (const [index, least] of [
    [1, 0.97],
    [2, 0.9],
  ] as const) {
    const ratios = (seconds[0] ?? []).map((time, round) => time / (seconds[index]?.[round] ?? Number.NaN)).sort((a, b) => a - b);
    const value = median(ratios);
    const spread = `${ratios[0]?.toFixed(3)} to ${ratios.at(-1)?.toFixed(3)}`;
    console.log(
      `  bar: ${MODES[index]?.[0]} at least ${least} of off: ${value.toFixed(3)} (rounds ${spread})  ${value >= least ? 'met' : 'NOT MET'}`,
    );
  }
  const traced = (rows[2] ?? 0) > 0;
  console.log(
    `  bar: output identical: ${different} of ${rounds + 1} rounds differ${traced ? '' : ', but nothing was traced'}  ${different === 0 && traced ? 'met' : 'NOT MET'}`,
  );
} finally {
  for (const peer of peers) peer.stop();
}
