import { open } from 'node:fs/promises';
import { gguf } from '@huggingface/gguf';
import { ConfigurationError, messageOf } from '../core/errors.ts';
import type { Architecture } from './architecture.ts';

/** Where the bytes of a model file come from. */
export interface ByteSource {
  /** For messages. */
  readonly name: string;
  readonly size: number;
  /** Bytes `start` (inclusive) to `end` (exclusive); fewer at the end of the file. */
  read(start: number, end: number): Promise<Uint8Array>;
}

export interface ModelFile {
  readonly architecture: Architecture;
  /** From the shapes of the tensors. */
  readonly parameters: { readonly total: number; readonly active: number };
  /** Bytes of all tensors. */
  readonly weightBytes: number;
  /** The type that holds most of the bytes, e.g. Q8_0. */
  readonly quantisation: string;
  readonly tensors: number;
}

/** ggml types: name, weights in a block, bytes of a block (ggml-common.h). */
const TYPES: { readonly [type: number]: readonly [name: string, weights: number, bytes: number] } = {
  0: ['F32', 1, 4],
  1: ['F16', 1, 2],
  2: ['Q4_0', 32, 18],
  3: ['Q4_1', 32, 20],
  6: ['Q5_0', 32, 22],
  7: ['Q5_1', 32, 24],
  8: ['Q8_0', 32, 34],
  10: ['Q2_K', 256, 84],
  11: ['Q3_K', 256, 110],
  12: ['Q4_K', 256, 144],
  13: ['Q5_K', 256, 176],
  14: ['Q6_K', 256, 210],
  16: ['IQ2_XXS', 256, 66],
  17: ['IQ2_XS', 256, 74],
  18: ['IQ3_XXS', 256, 98],
  19: ['IQ1_S', 256, 50],
  20: ['IQ4_NL', 32, 18],
  21: ['IQ3_S', 256, 110],
  22: ['IQ2_S', 256, 82],
  23: ['IQ4_XS', 256, 136],
  24: ['I8', 1, 1],
  25: ['I16', 1, 2],
  26: ['I32', 1, 4],
  27: ['I64', 1, 8],
  28: ['F64', 1, 8],
  29: ['IQ1_M', 256, 56],
  30: ['BF16', 1, 2],
  34: ['TQ1_0', 256, 54],
  35: ['TQ2_0', 256, 66],
  39: ['MXFP4', 32, 17],
};

const MAX_TENSORS = 100_000;

/** Header of a GGUF file on disk. */
export async function readModelFile(path: string): Promise<ModelFile> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(path, 'r');
  } catch (cause) {
    throw new ConfigurationError(
      { message: 'the model file cannot be opened.', location: { file: path }, expected: 'a GGUF file' },
      { cause },
    );
  }
  try {
    const stat = await handle.stat();
    if (!stat.isFile())
      throw new ConfigurationError({ message: 'this is not a file.', location: { file: path }, expected: 'a GGUF file' });
    return await readModel({
      name: path,
      size: stat.size,
      async read(start, end) {
        const buffer = new Uint8Array(Math.max(0, Math.min(end, stat.size) - start));
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
        return buffer.subarray(0, bytesRead);
      },
    });
  } finally {
    await handle.close();
  }
}

/**
 * Reads the header of a GGUF file and checks that the tensors it announces are in the file. The parser gets its bytes from us,
 * so it can read no other file, no network, and at most 50 MB.
 * @throws ConfigurationError with one sentence for whatever is wrong with the file
 */
export async function readModel(source: ByteSource): Promise<ModelFile> {
  const bad = (message: string, fix?: string): ConfigurationError =>
    new ConfigurationError({
      message,
      location: { file: source.name },
      expected: 'a GGUF model file',
      ...(fix === undefined ? {} : { fix }),
    });
  if (source.size < 24) throw bad(`the file has ${source.size} bytes: too few for a GGUF header.`);
  const start = await source.read(0, 4);
  if (Buffer.from(start).toString('latin1') !== 'GGUF') throw bad('the file does not start with the letters GGUF.');
  let parsed: Awaited<ReturnType<typeof gguf>>;
  try {
    parsed = await gguf('https://model.invalid/file.gguf', { fetch: rangesOf(source) });
  } catch (cause) {
    const said = messageOf(cause);
    throw bad(
      `the GGUF header cannot be read: ${cause instanceof RangeError ? 'it ends in the middle' : said.slice(0, 200)}.`,
      'check that the file was copied whole.',
    );
  }
  const { metadata, tensorInfos } = parsed;
  if (tensorInfos.length === 0)
    throw bad('the file has no tensors.', 'a vocabulary-only file is no model; name the model itself.');
  if (tensorInfos.length > MAX_TENSORS) throw bad(`the header announces ${tensorInfos.length} tensors.`);
  const names = new Set<string>();
  const bytesByType = new Map<string, number>();
  let total = 0;
  let inExperts = 0;
  let weightBytes = 0;
  let end = 0n;
  for (const tensor of tensorInfos) {
    // Past its end the parser sees zeros: a tensor without a name is where a cut file stopped.
    if (tensor.name === '')
      throw bad('the header is cut short: it announces more tensors than it lists.', 'check that the file was copied whole.');
    if (names.has(tensor.name)) throw bad(`the tensor ${JSON.stringify(tensor.name.slice(0, 80))} is listed twice.`);
    names.add(tensor.name);
    const type = TYPES[tensor.dtype];
    if (type === undefined)
      throw bad(`the tensor ${JSON.stringify(tensor.name.slice(0, 80))} has the unknown type ${tensor.dtype}.`);
    const elements = tensor.shape.reduce((product, size) => product * size, 1n);
    const [name, perBlock, blockBytes] = type;
    const bytes = ((elements + BigInt(perBlock) - 1n) / BigInt(perBlock)) * BigInt(blockBytes);
    if (elements <= 0n || bytes > BigInt(source.size))
      throw bad(
        `the tensor ${JSON.stringify(tensor.name.slice(0, 80))} would take ${bytes} bytes, the file has ${source.size}.`,
        'check that the file was copied whole.',
      );
    if (tensor.offset + bytes > end) end = tensor.offset + bytes;
    total += Number(elements);
    weightBytes += Number(bytes);
    if (/_exps\.weight$/.test(tensor.name)) inExperts += Number(elements);
    bytesByType.set(name, (bytesByType.get(name) ?? 0) + Number(bytes));
  }
  if (parsed.tensorDataOffset + end > BigInt(source.size))
    throw bad(
      `the file is cut short: its tensors end at byte ${parsed.tensorDataOffset + end}, the file at ${source.size}.`,
      'copy or download it again.',
    );
  if (Number(field(metadata, 'split.count') ?? 0) > 1)
    throw bad(
      `this is one of ${String(field(metadata, 'split.count'))} parts of a model.`,
      'join them with `llama-gguf-split --merge`.',
    );
  const architecture = architectureOf(metadata, bad);
  if (names.has('blk.0.ffn_gate.0.weight'))
    throw bad(
      'the experts are in separate tensors (blk.0.ffn_gate.0.weight), which current engines do not load.',
      'use a file with merged experts, converted after April 2024.',
    );
  if (architecture.experts > 1 && inExperts === 0)
    throw bad(`the header says ${architecture.experts} experts, and no tensor holds experts.`);
  return {
    architecture,
    parameters: { total, active: Math.round(total - inExperts * (1 - architecture.activeExperts / architecture.experts)) },
    weightBytes,
    quantisation: [...bytesByType].sort((a, b) => b[1] - a[1])[0]![0],
    tensors: tensorInfos.length,
  };
}

/** Answers the parser's range requests from the source; asking twice for what lies behind its end is an error. */
function rangesOf(source: ByteSource): typeof fetch {
  let beyond = 0;
  return async (_url, init) => {
    const range = /^bytes=(?<from>\d+)-(?<to>\d+)$/.exec(new Headers(init?.headers).get('range') ?? '');
    const from = Number(range?.groups?.['from'] ?? 0);
    const to = Number(range?.groups?.['to'] ?? 0) + 1;
    if (from >= source.size) {
      beyond += 1;
      if (beyond > 1) throw new RangeError('the header goes on behind the end of the file');
    }
    const bytes = from >= source.size ? new Uint8Array(0) : await source.read(from, to);
    return new Response(new Uint8Array(bytes), { headers: { 'content-range': `bytes ${from}-${to - 1}/${source.size}` } });
  };
}

function field(metadata: object, key: string): unknown {
  return Object.hasOwn(metadata, key) ? (metadata as { readonly [key: string]: unknown })[key] : undefined;
}

function architectureOf(metadata: object, bad: (message: string, fix?: string) => ConfigurationError): Architecture {
  const family = field(metadata, 'general.architecture');
  if (typeof family !== 'string' || family === '') throw bad('the header names no architecture (general.architecture).');
  const number = (key: string, fallback?: number): number => {
    const raw = field(metadata, `${family}.${key}`);
    // Some architectures give a value a layer; the largest one decides what must fit.
    const value = Array.isArray(raw) ? Math.max(0, ...raw.map(Number)) : raw === undefined ? fallback : Number(raw);
    if (value === undefined || !Number.isSafeInteger(value) || value < 0 || value > 2 ** 32)
      throw bad(`the header has no usable ${family}.${key}.`);
    return value;
  };
  const hiddenSize = number('embedding_length');
  const heads = number('attention.head_count');
  const layers = number('block_count');
  if (hiddenSize === 0 || heads === 0 || layers === 0) throw bad('the header gives a size of zero.');
  const tokens = field(metadata, 'tokenizer.ggml.tokens');
  const experts = Math.max(1, number('expert_count', 1));
  const activeExperts = experts === 1 ? 1 : number('expert_used_count');
  if (activeExperts < 1 || activeExperts > experts) throw bad(`the header says ${activeExperts} of ${experts} experts are used.`);
  return {
    family: family === 'llama' && experts > 1 ? 'mixtral' : family,
    layers,
    hiddenSize,
    heads,
    kvHeads: Math.max(1, number('attention.head_count_kv', heads)),
    headDim: number('attention.key_length', Math.floor(hiddenSize / heads)),
    feedForwardSize: number('expert_feed_forward_length', number('feed_forward_length', 0)),
    vocabularySize: number('vocab_size', Array.isArray(tokens) ? tokens.length : 0),
    contextLength: number('context_length', 0),
    experts,
    activeExperts,
  };
}
