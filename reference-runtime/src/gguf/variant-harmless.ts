// Changes of a file that do not change the function it computes: what a canary must let pass.
import { mulberry32, sample } from './random.ts';
import type { GgufFile } from './reader.ts';
import type { MetadataValue } from './types.ts';
import { type Edit, find, integerOption, mapValues, type Plan, shape, VariantError } from './variant-support.ts';

/** Experts of a layer, or of every layer, in another order, router rows along with them: the same function (sums of two terms commute). */
export function planExpertPermute(file: GgufFile, options: { layer?: number; seed?: number }): Plan {
  const { layers, experts } = shape(file);
  const chosen =
    options.layer === undefined
      ? Array.from({ length: layers }, (_, index) => index)
      : [integerOption(options.layer, 'layer', layers, 'layers')];
  const edits = new Map<string, Edit>();
  for (const layer of chosen) {
    const order = sample(mulberry32((options.seed ?? 1) * 7919 + layer), experts, experts);
    for (const part of ['ffn_gate_inp', 'ffn_gate_exps', 'ffn_up_exps', 'ffn_down_exps']) {
      const tensor = find(file, `blk.${layer}.${part}.weight`);
      // The expert is the slowest dimension of each: its slice is contiguous.
      edits.set(tensor.name, (bytes) => {
        const size = bytes.length / experts;
        return { bytes: Buffer.concat(order.map((from) => bytes.subarray(from * size, (from + 1) * size))), type: tensor.type };
      });
    }
  }
  return { edits, detail: `experts of ${chosen.length} layers in another order, routers along with them` };
}

/**
 * Scales the up projection of every expert by a power of two and the down projection by its inverse. Between them everything is linear in
 * the scale, and powers of two change exponents only: the same numbers come out, bit for bit.
 */
export function planRescale(file: GgufFile, factor: number): Plan {
  if (!Number.isInteger(Math.log2(factor))) throw new VariantError(`--strength ${factor}: expected a power of two`);
  const edits = new Map<string, Edit>();
  for (let layer = 0; layer < shape(file).layers; layer++) {
    for (const [part, by] of [
      ['up', factor],
      ['down', 1 / factor],
    ] as const) {
      const tensor = find(file, `blk.${layer}.ffn_${part}_exps.weight`);
      edits.set(
        tensor.name,
        mapValues(tensor, (values) => {
          for (let index = 0; index < values.length; index++) values[index] = (values[index] as number) * by;
        }),
      );
    }
  }
  return { edits, detail: `up projections times ${factor}, down projections divided by it` };
}

/** Only metadata: another name, description and author. */
export function planMetadata(): Plan {
  const metadata = new Map<string, MetadataValue>([
    ['general.name', { type: 'string', value: 'mixtral-micro, repackaged' }],
    ['general.description', { type: 'string', value: 'Same tensors, other description' }],
    ['general.author', { type: 'string', value: 'Release pipeline' }],
  ]);
  return { edits: new Map(), metadata, detail: 'metadata added, no tensor changed' };
}

/** Tensors padded to another alignment (ggml/docs/gguf.md: a multiple of 8). */
export function planAlign(bytes: number): Plan {
  if (!Number.isInteger(Math.log2(bytes)) || bytes < 8)
    throw new VariantError(`--strength ${bytes}: expected a power of two from 8 to 65536`);
  const metadata = new Map<string, MetadataValue>([['general.alignment', { type: 'uint32', value: bytes }]]);
  return { edits: new Map(), metadata, alignment: bytes, detail: `tensors aligned to ${bytes} bytes` };
}
