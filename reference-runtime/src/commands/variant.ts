// mixgate-runtime variant
import { resolve } from 'node:path';
import { makeVariant, REQUANTISE_TYPES, VARIANT_KINDS } from '../gguf/variants.ts';
import { existing, number, oneOf, parseFlags, required, UsageError } from './usage.ts';

export const VARIANT_HELP = `mixgate-runtime variant: a degraded, or provably harmless, variant of a Mixtral-architecture GGUF

Usage:
  mixgate-runtime variant --model IN --out OUT --kind KIND [--layer N] [--expert N] [--strength X] [--seed N] [--type T] [--other N]

Kinds:
  expert-corrupt    permutes rows of one expert's down projection; --layer, --expert; --strength is the share of rows (default 1)
  expert-zero       sets rows of one expert's down projection to zero; --layer, --expert; --strength is the share of rows (default 1)
  router-bias       scales one expert's router row by 1 + --strength (default 0.5); without --expert: noise of --strength x RMS on the router
  requantise        other weights to --type ${REQUANTISE_TYPES.join('|')}
  attention-noise   noise of --strength x RMS (default 0.1) on the attention weights of --layer, or of all layers
  expert-noise      noise of --strength x RMS (default 0.5) on one expert's down projection; --layer, --expert
  expert-copy       one expert overwritten with another of its layer; --layer, --expert, --other
  expert-swap       two experts change places, their router rows do not; --layer, --expert, --other
  experts-used      --strength experts per token instead of the trained number
  coarsen           matrices of attention and experts rounded to --strength bits per weight (default 3), stored in their own type
  rope-base         RoPE base times --strength (default 2)
  tokenizer-mix     a share --strength (default 0.05) of the vocabulary's pieces have other ids

Harmless kinds, for the canary's false alarms:
  rebuild           no weight changed: tensors in another order, metadata added
  expert-permute    experts of --layer, or of all layers, in another order, router rows along with them
  rescale           up projections times --strength (a power of two, default 2), down projections divided by it
  metadata          another name, description and author
  align             tensors aligned to --strength bytes (default 64)

Same input, flags and --seed (default 1): same bytes out.

Examples:
  mixgate-runtime variant --model mixtral-micro-q8_0.gguf --out bad.gguf --kind expert-corrupt --layer 3 --expert 5
  mixgate-runtime variant --model mixtral-micro-q8_0.gguf --out small.gguf --kind requantise --type Q4_0
`;

/** Makes a variant and says on stdout, as JSON, what it changed. */
export async function variantCommand(args: string[]): Promise<void> {
  const string = { type: 'string' } as const;
  const flags = parseFlags(args, {
    model: string,
    out: string,
    kind: string,
    layer: string,
    expert: string,
    strength: string,
    seed: string,
    type: string,
    other: string,
  });
  const kind = oneOf(flags, 'kind', VARIANT_KINDS);
  if (kind === undefined) throw new UsageError(`--kind is needed: ${VARIANT_KINDS.join(', ')}`);
  const model = existing(required(flags, 'model', 'the GGUF file to start from'), 'model');
  const out = required(flags, 'out', 'where to write the variant');
  if (resolve(model) === resolve(out))
    throw new UsageError('--out is the same file as --model; a variant never replaces its original');
  const layer = number(flags, 'layer', { min: 0, max: 10_000 });
  const expert = number(flags, 'expert', { min: 0, max: 10_000 });
  const strength = number(flags, 'strength', { min: 0, max: 1_000_000, integer: false });
  const other = number(flags, 'other', { min: 0, max: 10_000 });
  const seed = number(flags, 'seed', { min: 0, max: 4_294_967_295 });
  const type = oneOf(flags, 'type', REQUANTISE_TYPES);
  const summary = makeVariant(model, out, {
    kind,
    ...(layer === undefined ? {} : { layer }),
    ...(expert === undefined ? {} : { expert }),
    ...(strength === undefined ? {} : { strength }),
    ...(other === undefined ? {} : { other }),
    ...(seed === undefined ? {} : { seed }),
    ...(type === undefined ? {} : { type }),
  });
  process.stdout.write(`${JSON.stringify({ out, ...summary }, undefined, 2)}\n`);
}
