// Variants by what they compute: harmless kinds give the same log-likelihoods on the real model, damaging kinds do not.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadOffline, type Scored } from '../src/commands/offline.ts';
import { makeVariant, type VariantOptions } from '../src/gguf/variants.ts';
import { microModel, temporary } from './support/models.ts';

const TEXTS = [
  'The Congress shall have power to lay and collect taxes, duties and excises.',
  'Geben Sie hier die maximale Seitenzahl für den Ausdruck ein.',
  'def main(args):\n    for name in args:\n        print(name)\n',
];

const dir = temporary();
afterAll(dir.remove);

async function score(model: string): Promise<Scored[]> {
  await using offline = await loadOffline({ model, threads: 1, gpu: false, context: 256, traceRecords: 1024 });
  const scored: Scored[] = [];
  for (const text of TEXTS) scored.push(await offline.score({ prompt: { kind: 'text', text }, maxTokens: 8 }));
  return scored;
}

async function scoreVariant(name: string, options: VariantOptions): Promise<Scored[]> {
  const path = dir.file(`${name}.gguf`);
  makeVariant(microModel(), path, options);
  return score(path);
}

const logprobs = (scored: readonly Scored[]): number[] =>
  scored.flatMap((text) => text.scores.flatMap((token) => (token.logprob === null ? [] : [token.logprob])));
const loss = (scored: readonly Scored[]): number => {
  const values = logprobs(scored);
  return -values.reduce((sum, value) => sum + value, 0) / values.length;
};

let original: Scored[];
beforeAll(async () => {
  original = await score(microModel());
});

describe('harmless variants compute the same function', () => {
  it.each<[string, VariantOptions]>([
    ['rebuild', { kind: 'rebuild' }],
    ['metadata', { kind: 'metadata' }],
    ['align to 64', { kind: 'align', strength: 64 }],
    ['align to 4096', { kind: 'align', strength: 4096 }],
    ['rescale by 2', { kind: 'rescale', strength: 2 }],
    ['rescale by 1/2', { kind: 'rescale', strength: 0.5 }],
    ['permute the experts of layer 2', { kind: 'expert-permute', layer: 2 }],
    ['permute the experts of every layer', { kind: 'expert-permute' }],
  ])('%s: bit for bit', async (name, options) => {
    const scored = await scoreVariant(name.replaceAll(/[^a-z0-9]+/g, '-'), options);
    expect(logprobs(scored)).toEqual(logprobs(original));
    expect(scored.map((text) => text.completion)).toEqual(original.map((text) => text.completion));
  });
});

describe('damaging variants do not', () => {
  it.each<[string, VariantOptions]>([
    ['expert-noise', { kind: 'expert-noise', layer: 0, expert: 5, strength: 2 }],
    ['expert-copy', { kind: 'expert-copy', layer: 1, expert: 1, other: 4 }],
    ['expert-swap', { kind: 'expert-swap', layer: 1, expert: 6, other: 0 }],
    ['experts-used', { kind: 'experts-used', strength: 1 }],
    ['coarsen', { kind: 'coarsen', strength: 2 }],
    ['rope-base', { kind: 'rope-base', strength: 100 }],
    ['tokenizer-mix', { kind: 'tokenizer-mix', strength: 0.5 }],
  ])('%s: the text is less likely', async (name, options) => {
    const scored = await scoreVariant(name, options);
    expect(logprobs(scored)).not.toEqual(logprobs(original));
    expect(loss(scored)).toBeGreaterThan(loss(original));
  });

  it('tokenizer-mix splits the text into other tokens', async () => {
    const scored = await scoreVariant('mixed', { kind: 'tokenizer-mix', strength: 0.5 });
    const tokens = (list: readonly Scored[]): number[][] => list.map((text) => text.scores.map((token) => token.id));
    expect(tokens(scored)).not.toEqual(tokens(original));
  });
});
