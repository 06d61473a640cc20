/**
 * Compares llama.cpp (through node-llama-cpp) with SentencePiece and PyTorch on the cases that `reference.py` wrote.
 *
 *   node parity.ts MODEL.gguf parity-cases.json [--json OUT]
 *
 * Prints and optionally writes: equal tokenisations, equal best next tokens, difference of log-probabilities, bits per token.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { getLlama, type LlamaContextSequence, type Token } from 'node-llama-cpp';

interface StringCase {
  readonly text: string;
  readonly tokens: readonly number[];
}

interface ScoredCase {
  readonly segment: string;
  readonly tokens: readonly number[];
  /** PyTorch's most likely token after each position but the last. */
  readonly best: readonly number[];
  /** PyTorch's log-probability (nats) of the token that follows. */
  readonly logprobs: readonly number[];
}

interface Cases {
  readonly strings: readonly StringCase[];
  readonly scored: readonly ScoredCase[];
}

interface Scores {
  positions: number;
  sameBest: number;
  absoluteDifference: number;
  largestDifference: number;
  nats: number;
  referenceNats: number;
}

/** Log-probabilities of `tokens` under the unchanged distribution (temperature 1, no truncation). */
async function score(sequence: LlamaContextSequence, scored: ScoredCase, into: Scores): Promise<void> {
  await sequence.clearHistory();
  const options = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 1 };
  const inputs = scored.tokens
    .slice(0, -1)
    .map((token): [Token, { generateNext: { probabilities: true; options: typeof options } }] => [
      token as Token,
      { generateNext: { probabilities: true, options } },
    ]);
  const outputs = await sequence.controlledEvaluate(inputs);
  for (const [position, output] of outputs.entries()) {
    const probabilities = output?.next.probabilities;
    if (probabilities === undefined) throw new Error(`no probabilities at position ${position}`);
    let best = -1;
    let highest = -1;
    for (const [token, probability] of probabilities) {
      if (probability > highest) [best, highest] = [token, probability];
    }
    const logprob = Math.log(probabilities.get(scored.tokens[position + 1] as Token) ?? Number.MIN_VALUE);
    const reference = scored.logprobs[position] ?? Number.NaN;
    const difference = Math.abs(logprob - reference);
    into.positions += 1;
    into.sameBest += best === scored.best[position] ? 1 : 0;
    into.absoluteDifference += difference;
    into.largestDifference = Math.max(into.largestDifference, difference);
    into.nats -= logprob;
    into.referenceNats -= reference;
  }
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { json: { type: 'string' } } });
  const [modelPath, casesPath] = positionals;
  if (modelPath === undefined || casesPath === undefined) throw new Error('usage: node parity.ts MODEL.gguf CASES.json');
  const cases = JSON.parse(await readFile(casesPath, 'utf8')) as Cases;
  const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: 1, progressLogs: false });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: 512, threads: 1 });
  const differing = cases.strings.filter(({ text, tokens }) => {
    const found: readonly number[] = model.tokenize(text, false);
    return found.length !== tokens.length || found.some((token, index) => token !== tokens[index]);
  });
  const scores: Scores = { positions: 0, sameBest: 0, absoluteDifference: 0, largestDifference: 0, nats: 0, referenceNats: 0 };
  const sequence = context.getSequence();
  for (const scored of cases.scored) await score(sequence, scored, scores);
  await llama.dispose();
  const result = {
    file: basename(modelPath),
    strings: cases.strings.length,
    equal_tokenisations: cases.strings.length - differing.length,
    positions: scores.positions,
    equal_best_tokens: scores.sameBest,
    mean_absolute_logprob_difference_nats: Number((scores.absoluteDifference / scores.positions).toFixed(5)),
    largest_logprob_difference_nats: Number(scores.largestDifference.toFixed(4)),
    bits_per_token: Number((scores.nats / scores.positions / Math.LN2).toFixed(4)),
    reference_bits_per_token: Number((scores.referenceNats / scores.positions / Math.LN2).toFixed(4)),
  };
  for (const { text } of differing.slice(0, 10)) console.error('different tokens:', JSON.stringify(text));
  console.log(JSON.stringify(result, null, 1));
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(result, null, 1)}\n`);
}

await main();
