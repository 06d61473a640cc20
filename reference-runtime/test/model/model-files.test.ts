import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { getLlama, type Llama, type LlamaContextSequence, type LlamaModel, readGgufFileInfo, type Token } from 'node-llama-cpp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RouterReference } from '../../training/router-parity.ts';

interface Summary {
  readonly sha256: string;
  readonly bytes: number;
  readonly parameters: { readonly total: number; readonly active: number };
  readonly bits_per_byte: Readonly<Record<string, number>>;
}

interface Prompt {
  readonly id: string;
  readonly segment: string;
  readonly prompt: string;
  readonly source: string;
  readonly licence: string;
}

const SEGMENTS = ['en', 'de', 'fr', 'code', 'data'];
const models = new URL('../../models/', import.meta.url);
const modelPath = fileURLToPath(new URL('mixtral-micro-q8_0.gguf', models));
const bytes = readFileSync(modelPath);
const sha256 = createHash('sha256').update(bytes).digest('hex');
const text = (name: string): string => readFileSync(new URL(name, models), 'utf8');
const summary = JSON.parse(text('mixtral-micro.json')) as Summary;
const reference = JSON.parse(text('reference-router.json')) as RouterReference;

function corpus(segment: string): Prompt[] {
  const file = readFileSync(new URL(`../../../canary/corpus/${segment}.ndjson`, import.meta.url), 'utf8');
  return file
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Prompt);
}

describe('shipped files agree', () => {
  test('summary, card and router reference are of the GGUF in the folder, which is at most 6 MB', () => {
    expect({ sha256: summary.sha256, bytes: summary.bytes }).toEqual({ sha256, bytes: bytes.length });
    expect(bytes.length).toBeLessThanOrEqual(6_000_000);
    expect(reference.sha256).toBe(sha256);
    expect(text('MODEL_CARD.md')).toContain(sha256);
  });

  test('the GGUF is a Mixtral-architecture model with merged experts and a SentencePiece tokenizer', async () => {
    const info = await readGgufFileInfo(modelPath);
    const architecture = info.metadata.general.architecture;
    expect(architecture).toBe('llama');
    expect(info.metadata.llama).toMatchObject({ block_count: 4, expert_count: 8, expert_used_count: 2, context_length: 512 });
    expect(info.metadata.tokenizer.ggml.model).toBe('llama');
    const tensors = info.fullTensorInfo ?? [];
    const count = tensors.reduce((sum, { dimensions }) => sum + dimensions.reduce<number>((size, d) => size * Number(d), 1), 0);
    expect(count).toBe(summary.parameters.total);
    expect(tensors.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['blk.0.ffn_down_exps.weight', 'blk.3.ffn_gate_inp.weight']),
    );
  });

  test('router reference: at least 1000 token-layers, probabilities sum to 1, top2 are the two largest', () => {
    let rows = 0;
    for (const { tokens, top2, probabilities } of reference.sequences) {
      for (let layer = 0; layer < reference.layers; layer += 1) {
        for (let position = 0; position < tokens.length; position += 1) {
          const row = probabilities[layer]?.[position] ?? [];
          const [first, second] = top2[layer]?.[position] ?? [];
          const sorted = row.toSorted((a, b) => b - a);
          expect(row).toHaveLength(reference.experts);
          expect(row.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 3);
          expect([row[first ?? -1], row[second ?? -1]]).toEqual(sorted.slice(0, 2));
          rows += 1;
        }
      }
    }
    expect(rows).toBe(reference.token_layers);
    expect(rows).toBeGreaterThanOrEqual(1000);
  });

  test.each(SEGMENTS)('corpus %s: 40 prompts of 200 to 400 bytes with source and licence, ids unique', (segment) => {
    const prompts = corpus(segment);
    expect(new Set(prompts.map(({ id }) => id)).size).toBe(40);
    for (const { prompt, source, licence, segment: own } of prompts) {
      expect(own).toBe(segment);
      expect(Buffer.byteLength(prompt)).toBeGreaterThanOrEqual(200);
      expect(Buffer.byteLength(prompt)).toBeLessThanOrEqual(400);
      expect(source.length * licence.length).toBeGreaterThan(0);
    }
  });
});

describe('the model predicts text', () => {
  let llama: Llama;
  let model: LlamaModel;
  let sequence: LlamaContextSequence;

  beforeAll(async () => {
    llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: 1, progressLogs: false });
    model = await llama.loadModel({ modelPath });
    sequence = (await model.createContext({ contextSize: 512, threads: 1 })).getSequence();
  });
  afterAll(async () => {
    await llama.dispose();
  });

  async function bitsPerByte(prompt: string): Promise<number> {
    await sequence.clearHistory();
    const tokens = [1 as Token, ...model.tokenize(prompt, false)];
    const generateNext = { probabilities: true, options: { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 1 } };
    const outputs = await sequence.controlledEvaluate(tokens.slice(0, -1).map((token) => [token, { generateNext }]));
    const bits = outputs.map((output, index) => -Math.log2(output?.next.probabilities?.get(tokens[index + 1] as Token) ?? 0));
    return bits.reduce((sum, value) => sum + value, 0) / Buffer.byteLength(prompt);
  }

  test.each(SEGMENTS)('%s: ten held-out prompts cost at most 1.5 times the bits per byte on the card', async (segment) => {
    const measured: number[] = [];
    for (const { prompt } of corpus(segment).slice(0, 10)) measured.push(await bitsPerByte(prompt));
    const mean = measured.reduce((sum, value) => sum + value, 0) / measured.length;
    expect(mean).toBeLessThan(1.5 * (summary.bits_per_byte[segment] ?? 0));
    expect(mean).toBeGreaterThan(0.3);
  });

  test('chat template writes Mixtral turns', () => {
    expect(model.fileInfo.metadata.tokenizer.chat_template).toContain('[INST] ');
  });
});
