// Looks at a model file before anything loads it: is it a mixture of experts this runtime can serve and trace, and does it fit.
import { readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import { metaNumber, metaString, openGguf } from './reader.ts';
import type { GgufHeader } from './types.ts';

/** What the rest of the runtime needs to know about a model. Sizes in bytes. */
export interface ModelShape {
  architecture: string;
  name: string;
  layers: number;
  experts: number;
  expertsUsed: number;
  width: number;
  heads: number;
  kvHeads: number;
  headSize: number;
  vocabulary: number;
  trainedContext: number;
  parameters: number;
  fileBytes: number;
  /** True when a host-side softmax and top-k over the router logits is what the model does (plain softmax gating). */
  softmaxGate: boolean;
}

/** Bytes that serving takes. `compute` is an upper estimate of llama.cpp's scratch buffers at the given batch. */
export interface MemoryPlan {
  weights: number;
  kvCache: number;
  compute: number;
  total: number;
  available: number;
}

/** A model that must not be loaded, and why. */
export class PreflightError extends Error {}

/** Reads the shape from a header. @throws PreflightError */
export function modelShape(header: GgufHeader, path: string): ModelShape {
  const architecture = metaString(header, 'general.architecture');
  if (architecture === undefined) throw new PreflightError(`${path}: the metadata names no general.architecture`);
  const need = (key: string): number => {
    const value = metaNumber(header, `${architecture}.${key}`);
    if (value === undefined || !(value > 0))
      throw new PreflightError(`${path}: metadata ${architecture}.${key} is missing or not positive`);
    return value;
  };
  const layers = need('block_count');
  const width = need('embedding_length');
  const heads = need('attention.head_count');
  const experts = metaNumber(header, `${architecture}.expert_count`) ?? 0;
  const names = new Set(header.tensors.map((tensor) => tensor.name));
  if (experts > 0 && !names.has('blk.0.ffn_down_exps.weight')) {
    const split = names.has('blk.0.ffn_down.0.weight');
    throw new PreflightError(
      split
        ? `${path}: experts are stored one tensor each (a file converted before April 2024); llama.cpp needs merged experts: convert the model again`
        : `${path}: tensor blk.0.ffn_down_exps.weight is missing although the metadata declares ${experts} experts`,
    );
  }
  const vocabulary = header.metadata.get('tokenizer.ggml.tokens');
  if (vocabulary?.type !== 'array') throw new PreflightError(`${path}: the file has no tokenizer (tokenizer.ggml.tokens)`);
  return {
    architecture,
    name: metaString(header, 'general.name') ?? 'unnamed',
    layers,
    experts,
    expertsUsed: metaNumber(header, `${architecture}.expert_used_count`) ?? 0,
    width,
    heads,
    kvHeads: metaNumber(header, `${architecture}.attention.head_count_kv`) ?? heads,
    headSize: metaNumber(header, `${architecture}.attention.key_length`) ?? width / heads,
    vocabulary: vocabulary.value.length,
    trainedContext: need('context_length'),
    parameters: header.tensors.reduce((sum, tensor) => sum + tensor.dims.reduce((product, dim) => product * dim, 1), 0),
    fileBytes: header.fileBytes,
    softmaxGate: architecture === 'llama' && experts > 0 && !names.has('blk.0.exp_probs_b.bias'),
  };
}

/** KV cache in bytes: 2 x layers x KV heads x head size x 2 (f16) a token (notes: 131072 a token for Mixtral 8x7B). */
export function kvBytes(shape: ModelShape, context: number, sequences: number): number {
  return 2 * shape.layers * shape.kvHeads * shape.headSize * 2 * context * sequences;
}

/** Plans memory from total parameters (the whole file), never from active ones. `available` in bytes. */
export function planMemory(
  shape: ModelShape,
  options: { context: number; sequences: number; batch: number },
  available: number,
): MemoryPlan {
  const weights = shape.fileBytes;
  const kvCache = kvBytes(shape, options.context, options.sequences);
  // Logits of a whole batch, and activations of the widest step; f32.
  const compute = options.batch * (shape.vocabulary + 8 * shape.width) * 4;
  return { weights, kvCache, compute, total: weights + kvCache + compute, available };
}

/** Memory this process may use, in bytes: what the system has free for use, and no more than the cgroup allows. */
export function availableMemory(): number {
  let available = freemem();
  try {
    const line = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'));
    if (line?.[1] !== undefined) available = Number(line[1]) * 1024;
  } catch {
    // Not Linux: what the system reports as free is the best there is.
  }
  const constrained = process.constrainedMemory();
  return constrained > 0 && constrained < totalmem() ? Math.min(available, constrained) : available;
}

/** One mebibyte-precise figure for messages. */
export function formatBytes(bytes: number): string {
  return bytes >= 1024 ** 3 ? `${(bytes / 1024 ** 3).toFixed(2)} GiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

/**
 * Checks a model before load. @throws GgufError for a file that is no whole GGUF, PreflightError for one that cannot be served
 */
export function preflight(
  path: string,
  options: { context: number; sequences: number; batch: number; gpu: boolean },
): { shape: ModelShape; plan: MemoryPlan } {
  using file = openGguf(path);
  const shape = modelShape(file.header, path);
  const plan = planMemory(shape, options, availableMemory());
  if (!options.gpu && plan.total > plan.available) {
    throw new PreflightError(
      `${path} does not fit: weights ${formatBytes(plan.weights)} + KV cache ${formatBytes(plan.kvCache)} (${options.sequences} x ${options.context} tokens) + compute ${formatBytes(plan.compute)} ` +
        `= ${formatBytes(plan.total)}, and ${formatBytes(plan.available)} is available; use fewer sequences, a shorter context or a smaller quantisation`,
    );
  }
  return { shape, plan };
}
