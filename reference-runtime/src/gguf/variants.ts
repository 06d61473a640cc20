// Makes degraded, or provably harmless, variants of a Mixtral-architecture GGUF: what a canary is tried on.
// Every kind is deterministic in (input bytes, options) and leaves all tensors but the named ones byte for byte as they were.
import { dequantize, quantize, SUPPORTED_TYPES } from './quant.ts';
import { mulberry32, sample } from './random.ts';
import { type GgufFile, openGguf } from './reader.ts';
import { type MetadataValue, type TensorInfo, tensorType } from './types.ts';
import { planCoarsen, planExpertCopy, planExpertsUsed, planRope, planTokenizerMix } from './variant-damage.ts';
import { planAlign, planExpertPermute, planMetadata, planRescale } from './variant-harmless.ts';
import {
  addNoise,
  type Edit,
  elements,
  find,
  integerOption,
  mapValues,
  type Plan,
  shape,
  VariantError,
} from './variant-support.ts';
import { type TensorToWrite, writeGguf } from './writer.ts';

export { VariantError } from './variant-support.ts';

export const VARIANT_KINDS = [
  'expert-corrupt',
  'expert-zero',
  'router-bias',
  'requantise',
  'attention-noise',
  'expert-noise',
  'expert-copy',
  'expert-swap',
  'experts-used',
  'coarsen',
  'rope-base',
  'tokenizer-mix',
  'rebuild',
  'expert-permute',
  'rescale',
  'metadata',
  'align',
] as const;
export type VariantKind = (typeof VARIANT_KINDS)[number];
export const REQUANTISE_TYPES = ['Q4_0', 'Q5_0', 'Q8_0', 'F16'] as const;
export type RequantiseType = (typeof REQUANTISE_TYPES)[number];

/** `general.file_type` values (llama.cpp/include/llama.h, enum llama_ftype). */
const FILE_TYPE: Record<RequantiseType, number> = { F16: 1, Q4_0: 2, Q8_0: 7, Q5_0: 8 };

/**
 * What to make. `strength` is a share of rows in [0, 1] for expert-corrupt and expert-zero, a factor added to 1 for router-bias with an
 * expert, a multiple of the weights' root mean square for attention-noise, expert-noise and for router-bias without an expert, a number
 * of experts for experts-used, bits per weight for coarsen, a factor for rope-base, a share of the vocabulary for tokenizer-mix, a power
 * of two for rescale, and bytes for align.
 */
export interface VariantOptions {
  kind: VariantKind;
  layer?: number;
  expert?: number;
  strength?: number;
  seed?: number;
  type?: RequantiseType;
  /** The other expert, for expert-copy and expert-swap. */
  other?: number;
}

/** What was changed: for the report of the tool. */
export interface VariantSummary {
  kind: VariantKind;
  changed: string[];
  detail: string;
}

const DEFAULT_STRENGTH: Record<VariantKind, number> = {
  'expert-corrupt': 1,
  'expert-zero': 1,
  'router-bias': 0.5,
  requantise: 0,
  'attention-noise': 0.1,
  'expert-noise': 0.5,
  'expert-copy': 0,
  'expert-swap': 0,
  'experts-used': 0,
  coarsen: 3,
  'rope-base': 2,
  'tokenizer-mix': 0.05,
  rebuild: 0,
  'expert-permute': 0,
  rescale: 2,
  metadata: 0,
  align: 64,
};

/** Writes the variant of `input` that `options` describe to `output`. @throws VariantError, GgufError */
export function makeVariant(input: string, output: string, options: VariantOptions): VariantSummary {
  using file = openGguf(input);
  const plan = planVariant(file, options);
  const metadata = new Map(file.header.metadata);
  for (const [key, value] of plan.metadata ?? []) metadata.set(key, value);
  metadata.set('mixgate.variant', { type: 'string', value: describe(options, plan.detail) });
  const names = file.header.tensors.map((tensor) => tensor.name);
  const byName = new Map(file.header.tensors.map((tensor) => [tensor.name, tensor]));
  const ordered = (plan.order?.(names) ?? names).map((name) => byName.get(name) as TensorInfo);
  const tensors = ordered.map((tensor): TensorToWrite => {
    const edit = plan.edits.get(tensor.name);
    if (edit === undefined) return { ...tensor, data: () => file.tensorBytes(tensor) };
    const edited = edit(file.tensorBytes(tensor), tensor);
    return { name: tensor.name, dims: tensor.dims, type: edited.type, bytes: edited.bytes.length, data: () => edited.bytes };
  });
  writeGguf(output, metadata, tensors, plan.alignment ?? file.header.alignment);
  return { kind: options.kind, changed: [...plan.edits.keys()], detail: plan.detail };
}

function describe(options: VariantOptions, detail: string): string {
  return `${options.kind}: ${detail}`;
}

function planVariant(file: GgufFile, options: VariantOptions): Plan {
  switch (options.kind) {
    case 'expert-corrupt':
    case 'expert-zero':
      return planExpert(file, options, options.kind);
    case 'router-bias':
      return planRouter(file, options);
    case 'requantise':
      return planRequantise(file, options);
    case 'attention-noise':
      return planAttention(file, options);
    case 'expert-noise':
      return planExpertNoise(file, options);
    case 'expert-copy':
    case 'expert-swap':
      return planExpertCopy(file, options, options.kind);
    case 'experts-used':
      return planExpertsUsed(file, strengthOf(options, 1024));
    case 'coarsen':
      return planCoarsen(file, strengthOf(options, 7));
    case 'rope-base':
      return planRope(file, strengthOf(options, 1e6));
    case 'tokenizer-mix':
      return planTokenizerMix(file, strengthOf(options, 1), options.seed ?? 1);
    case 'rebuild':
      return planRebuild(options);
    case 'expert-permute':
      return planExpertPermute(file, options);
    case 'rescale':
      return planRescale(file, strengthOf(options, 16));
    case 'metadata':
      return planMetadata();
    case 'align':
      return planAlign(strengthOf(options, 65_536));
  }
}

function strengthOf(options: VariantOptions, limit: number): number {
  const strength = options.strength ?? DEFAULT_STRENGTH[options.kind];
  if (!Number.isFinite(strength) || strength <= 0 || strength > limit)
    throw new VariantError(`--strength ${strength}: expected a number above 0, at most ${limit}`);
  return strength;
}

function planExpert(file: GgufFile, options: VariantOptions, kind: 'expert-corrupt' | 'expert-zero'): Plan {
  const { layers, experts } = shape(file);
  const layer = integerOption(options.layer, 'layer', layers, 'layers');
  const expert = integerOption(options.expert, 'expert', experts, 'experts');
  const strength = strengthOf(options, 1);
  const tensor = find(file, `blk.${layer}.ffn_down_exps.weight`);
  const rows = tensor.dims[1] as number;
  const rowBytes = tensor.bytes / (rows * (tensor.dims[2] ?? 1));
  const chosen = sample(mulberry32(options.seed ?? 1), rows, Math.max(2, Math.round(rows * strength)));
  const edit: Edit = (bytes) => {
    const base = expert * rows * rowBytes;
    const row = (index: number): Buffer => bytes.subarray(base + index * rowBytes, base + (index + 1) * rowBytes);
    if (kind === 'expert-zero') {
      for (const index of chosen) row(index).fill(0);
    } else {
      // One cycle through the chosen rows: every one of them really moves.
      const first = Buffer.from(row(chosen[0] as number));
      for (let step = 0; step + 1 < chosen.length; step++) row(chosen[step + 1] as number).copy(row(chosen[step] as number));
      first.copy(row(chosen.at(-1) as number));
    }
    return { bytes, type: tensor.type };
  };
  const verb = kind === 'expert-zero' ? 'zeroed' : 'permuted';
  return {
    edits: new Map([[tensor.name, edit]]),
    detail: `layer ${layer}, expert ${expert}: ${chosen.length} of ${rows} rows of the down projection ${verb}`,
  };
}

function planExpertNoise(file: GgufFile, options: VariantOptions): Plan {
  const { layers, experts } = shape(file);
  const layer = integerOption(options.layer, 'layer', layers, 'layers');
  const expert = integerOption(options.expert, 'expert', experts, 'experts');
  const strength = strengthOf(options, 100);
  const tensor = find(file, `blk.${layer}.ffn_down_exps.weight`);
  const size = elements(tensor) / experts;
  const edit = mapValues(tensor, (values) =>
    addNoise(values.subarray(expert * size, (expert + 1) * size), strength, options.seed ?? 1),
  );
  return {
    edits: new Map([[tensor.name, edit]]),
    detail: `layer ${layer}, expert ${expert}: noise of ${strength} x RMS on the down projection`,
  };
}

function planRouter(file: GgufFile, options: VariantOptions): Plan {
  const { layers, experts } = shape(file);
  const layer = integerOption(options.layer, 'layer', layers, 'layers');
  const strength = strengthOf(options, 100);
  const tensor = find(file, `blk.${layer}.ffn_gate_inp.weight`);
  const width = tensor.dims[0] as number;
  if (options.expert === undefined) {
    const edit = mapValues(tensor, (values) => addNoise(values, strength, options.seed ?? 1));
    return { edits: new Map([[tensor.name, edit]]), detail: `layer ${layer}: noise of ${strength} x RMS on the router` };
  }
  const expert = integerOption(options.expert, 'expert', experts, 'experts');
  const edit = mapValues(tensor, (values) => {
    for (let index = expert * width; index < (expert + 1) * width; index++)
      values[index] = (values[index] as number) * (1 + strength);
  });
  return {
    edits: new Map([[tensor.name, edit]]),
    detail: `layer ${layer}, expert ${expert}: router row scaled by ${1 + strength}`,
  };
}

function planAttention(file: GgufFile, options: VariantOptions): Plan {
  const { layers } = shape(file);
  const chosen =
    options.layer === undefined
      ? Array.from({ length: layers }, (_, index) => index)
      : [integerOption(options.layer, 'layer', layers, 'layers')];
  const strength = strengthOf(options, 100);
  const edits = new Map<string, Edit>();
  for (const layer of chosen) {
    for (const [index, part] of ['q', 'k', 'v', 'output'].entries()) {
      const tensor = find(file, `blk.${layer}.attn_${part}.weight`);
      edits.set(
        tensor.name,
        mapValues(tensor, (values) => addNoise(values, strength, (options.seed ?? 1) * 7919 + layer * 4 + index)),
      );
    }
  }
  return {
    edits,
    detail: `noise of ${strength} x RMS on the attention of ${chosen.length === 1 ? `layer ${chosen[0]}` : `${chosen.length} layers`}`,
  };
}

function planRequantise(file: GgufFile, options: VariantOptions): Plan {
  if (options.type === undefined) throw new VariantError(`--type is needed for requantise: ${REQUANTISE_TYPES.join(', ')}`);
  const target = tensorType(options.type);
  const edits = new Map<string, Edit>();
  for (const tensor of file.header.tensors) {
    // As llama.cpp's own quantiser: routers and one-dimensional tensors keep their type; embeddings stay as they are below Q8_0.
    if (tensor.dims.length < 2 || tensor.name.includes('ffn_gate_inp') || tensor.type.id === target.id) continue;
    if (/^(token_embd|output)\.weight$/.test(tensor.name) && target.name !== 'F16' && target.name !== 'Q8_0') continue;
    if (!SUPPORTED_TYPES.includes(tensor.type.name))
      throw new VariantError(`tensor ${tensor.name} is ${tensor.type.name}; supported: ${SUPPORTED_TYPES.join(', ')}`);
    if ((tensor.dims[0] as number) % target.block !== 0)
      throw new VariantError(`tensor ${tensor.name}: rows of ${tensor.dims[0]} do not divide into ${target.name} blocks`);
    edits.set(tensor.name, (bytes) => ({
      bytes: quantize(target, dequantize(tensor.type, bytes, elements(tensor))),
      type: target,
    }));
  }
  if (edits.size === 0) throw new VariantError(`every convertible tensor already is ${target.name}`);
  const metadata = new Map<string, MetadataValue>([['general.file_type', { type: 'uint32', value: FILE_TYPE[options.type] }]]);
  return { edits, metadata, detail: `${edits.size} tensors to ${target.name}` };
}

function planRebuild(options: VariantOptions): Plan {
  const order = (names: string[]): string[] => {
    const permutation = sample(mulberry32(options.seed ?? 1), names.length, names.length);
    return permutation.map((index) => names[index] as string);
  };
  const metadata = new Map<string, MetadataValue>([
    ['general.description', { type: 'string', value: 'Rebuilt: same weights, tensors in another order' }],
  ]);
  return { edits: new Map(), order, metadata, detail: 'tensors reordered, metadata added, no weight changed' };
}
