// Damages that happen to files on their way to production: a shard written twice, shards in the wrong place, the wrong number of active
// experts, weights rounded to too few bits, another RoPE base, a vocabulary of another build.
import { mulberry32, sample } from './random.ts';
import { type GgufFile, metaNumber, metaString } from './reader.ts';
import type { MetadataValue } from './types.ts';
import { type Edit, find, integerOption, mapValues, type Plan, shape, VariantError } from './variant-support.ts';

interface ExpertPair {
  layer?: number;
  expert?: number;
  other?: number;
}

/** `copy`: the expert becomes the other one (a shard written twice). `swap`: both change places, their router rows do not. */
export function planExpertCopy(file: GgufFile, options: ExpertPair, kind: 'expert-copy' | 'expert-swap'): Plan {
  const { layers, experts } = shape(file);
  const layer = integerOption(options.layer, 'layer', layers, 'layers');
  const expert = integerOption(options.expert, 'expert', experts, 'experts');
  const other = integerOption(options.other, 'other', experts, 'experts');
  if (expert === other) throw new VariantError(`--other ${other}: the same expert; name another one`);
  const edits = new Map<string, Edit>();
  for (const part of ['gate', 'up', 'down']) {
    const tensor = find(file, `blk.${layer}.ffn_${part}_exps.weight`);
    edits.set(tensor.name, (bytes) => {
      const size = bytes.length / experts;
      const one = bytes.subarray(expert * size, (expert + 1) * size);
      const two = bytes.subarray(other * size, (other + 1) * size);
      const held = Buffer.from(one);
      two.copy(one);
      if (kind === 'expert-swap') held.copy(two);
      return { bytes, type: tensor.type };
    });
  }
  const verb = kind === 'expert-copy' ? `overwritten with expert ${other}` : `and expert ${other} swapped, routers kept`;
  return { edits, detail: `layer ${layer}, expert ${expert} ${verb}` };
}

/** Another number of experts per token: weights untouched, every layer computes with too few or too many. */
export function planExpertsUsed(file: GgufFile, count: number): Plan {
  const { experts } = shape(file);
  const key = `${metaString(file.header, 'general.architecture') ?? 'llama'}.expert_used_count`;
  const used = metaNumber(file.header, key);
  if (!Number.isInteger(count) || count > experts || count === used)
    throw new VariantError(`--strength ${count}: expected a number of experts from 1 to ${experts} other than ${used}`);
  const metadata = new Map<string, MetadataValue>([[key, { type: 'uint32', value: count }]]);
  return { edits: new Map(), metadata, detail: `${count} experts used per token instead of ${used}` };
}

const BLOCK = 32;

/**
 * Rounds the matrices of attention and experts to `bits` bits per weight, symmetric, one scale per block of 32 as in ggml's Q4_0, and
 * stores the result in the original type: the damage of a quantisation that this runtime has no type for.
 */
export function planCoarsen(file: GgufFile, bits: number): Plan {
  if (!Number.isInteger(bits) || bits < 2) throw new VariantError(`--strength ${bits}: expected whole bits from 2 to 7`);
  const steps = 2 ** (bits - 1) - 1;
  const edits = new Map<string, Edit>();
  for (const tensor of file.header.tensors) {
    if (!/^blk\.\d+\.(?:attn_(?:q|k|v|output)|ffn_(?:gate|up|down)_exps)\.weight$/.test(tensor.name)) continue;
    edits.set(
      tensor.name,
      mapValues(tensor, (values) => {
        for (let from = 0; from < values.length; from += BLOCK) {
          const block = values.subarray(from, from + BLOCK);
          const largest = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          if (largest === 0) continue;
          for (let index = 0; index < block.length; index++)
            block[index] = (Math.round(((block[index] as number) / largest) * steps) * largest) / steps;
        }
      }),
    );
  }
  return { edits, detail: `${edits.size} matrices rounded to ${bits} bits per weight` };
}

/** Another RoPE base: positions turn at another speed than the weights were trained with. */
export function planRope(file: GgufFile, factor: number): Plan {
  const key = `${metaString(file.header, 'general.architecture') ?? 'llama'}.rope.freq_base`;
  const base = metaNumber(file.header, key) ?? 10_000;
  const metadata = new Map<string, MetadataValue>([[key, { type: 'float32', value: base * factor }]]);
  return { edits: new Map(), metadata, detail: `RoPE base ${base * factor} instead of ${base}` };
}

/** token_type of an ordinary piece (llama.cpp, enum llama_token_type). */
const NORMAL = 1;

/** A share of the ordinary pieces change their ids: the vocabulary of another build beside these weights. */
export function planTokenizerMix(file: GgufFile, share: number, seed: number): Plan {
  const [tokens, types] = ['tokens', 'token_type'].map((name) => file.header.metadata.get(`tokenizer.ggml.${name}`));
  if (tokens?.type !== 'array' || types?.type !== 'array') throw new VariantError('the model has no vocabulary of its own');
  const ordinary = types.value.flatMap((type, id) => (type === NORMAL ? [id] : []));
  const count = Math.max(2, Math.round(share * ordinary.length));
  const chosen = sample(mulberry32(seed), ordinary.length, count).map((index) => ordinary[index] as number);
  const pieces = [...tokens.value];
  // One cycle: every chosen piece really moves.
  for (const [index, id] of chosen.entries()) pieces[id] = tokens.value[chosen[(index + 1) % count] as number] as string;
  const metadata = new Map<string, MetadataValue>([['tokenizer.ggml.tokens', { ...tokens, value: pieces }]]);
  return { edits: new Map(), metadata, detail: `${count} of ${ordinary.length} ordinary pieces have another id` };
}
