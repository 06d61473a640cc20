// Looks at a model file before anything loads it: is it a mixture of experts this runtime can serve and trace, and does it fit.
import {
  availableMemory,
  gpuLayersThatFit,
  type Memory,
  type MemoryOptions,
  type MemoryPlan,
  planMemory,
  refusal,
} from './memory.ts';
import type { ModelShape } from './model-shape.ts';
import { metaNumber, metaString, openGguf } from './reader.ts';
import type { GgufHeader } from './types.ts';

/** A model that must not be loaded, and why. */
export class PreflightError extends Error {}

/** Reads the shape from a header. @throws PreflightError */
function modelShape(header: GgufHeader, path: string): ModelShape {
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
  const tiedOutput = !names.has('output.weight');
  const bytesOf = (wanted: (name: string) => boolean): number =>
    header.tensors.reduce((sum, { name, bytes }) => sum + (wanted(name) ? bytes : 0), 0);
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
    layerBytes: Array.from({ length: layers }, (_, layer) => bytesOf((name) => name.startsWith(`blk.${layer}.`))),
    outputBytes: bytesOf((name) => name === (tiedOutput ? 'token_embd.weight' : 'output.weight')),
    tiedOutput,
    softmaxGate: architecture === 'llama' && experts > 0 && !names.has('blk.0.exp_probs_b.bias'),
  };
}

/**
 * Checks a model before load: what its header says, and whether all of it fits the host. What a GPU takes of it is planned once its driver
 * has said how much it has (engine/llama-core.ts). @throws GgufError for a file that is no whole GGUF, PreflightError for one that cannot be served
 */
export function preflight(path: string, options: MemoryOptions & { gpu: boolean }): { shape: ModelShape; plan: MemoryPlan } {
  using file = openGguf(path);
  const shape = modelShape(file.header, path);
  const memory = { ram: availableMemory() };
  const plan = planMemory(shape, options, memory);
  const reason = options.gpu ? undefined : refusal(plan, options, memory);
  if (reason !== undefined) throw new PreflightError(`${path} ${reason}`);
  return { shape, plan };
}

/** What the GPU is asked to take: a number of layers, or as many as fit. */
export type GpuLayers = number | 'auto';

/** Plans host and GPU together. `required`: a GPU was asked for by name, so that none of its layers fitting is an error. @throws PreflightError with the numbers */
export function planGpu(
  path: string,
  shape: ModelShape,
  options: MemoryOptions & { gpuLayers: GpuLayers; required: boolean },
  memory: Memory,
): MemoryPlan {
  const wanted = options.gpuLayers === 'auto' ? gpuLayersThatFit(shape, options, memory) : options.gpuLayers;
  const plan = planMemory(shape, options, memory, Math.min(wanted, shape.layers + 1));
  const least = planMemory(shape, options, memory, 1);
  const nothing = memory.vram !== undefined && options.gpuLayers === 'auto' && wanted === 0 && options.required;
  const reason = refusal(nothing ? least : plan, options, memory);
  if (reason !== undefined) throw new PreflightError(`${path} ${reason}`);
  return plan;
}
