// The raw peer: node-llama-cpp's `sequence.evaluate` with its default batching, in a process of its own. A message {streams, tokens} in,
// {tokens, seconds} out.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { LlamaContextSequence, Token } from '../../../reference-runtime/node_modules/node-llama-cpp/dist/index.js';

const [model = '', sequences = '8', context = '512'] = process.argv.slice(2);
const require = createRequire(new URL('../../../reference-runtime/package.json', import.meta.url));
const { getLlama, LlamaLogLevel }: typeof import('../../../reference-runtime/node_modules/node-llama-cpp/dist/index.js') =
  await import(pathToFileURL(require.resolve('node-llama-cpp')).href);
const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  progressLogs: false,
  logLevel: LlamaLogLevel.error,
  maxThreads: 1,
});
const loaded = await llama.loadModel({ modelPath: model, gpuLayers: 0 });
const created = await loaded.createContext({
  contextSize: Number(context),
  sequences: Number(sequences),
  batchSize: 512,
  threads: 1,
});
const all = Array.from({ length: Number(sequences) }, () => created.getSequence());

async function stream(sequence: LlamaContextSequence, prompt: string, tokens: number): Promise<number> {
  let count = 0;
  const input: Token[] = [...(loaded.tokens.bos === null ? [] : [loaded.tokens.bos]), ...loaded.tokenize(prompt, false)];
  for await (const _token of sequence.evaluate(input, { temperature: 0 })) if (++count >= tokens) break;
  return count;
}

process.on('message', async ({ prompts, tokens }: { prompts: string[]; tokens: number }) => {
  const start = performance.now();
  const counts = await Promise.all(prompts.map((prompt, index) => stream(all[index] as LlamaContextSequence, prompt, tokens)));
  const seconds = (performance.now() - start) / 1000;
  for (const sequence of all) await sequence.clearHistory();
  process.send?.({ tokens: counts.reduce((a, b) => a + b, 0), seconds });
});
process.send?.('ready');
