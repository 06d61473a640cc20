// Looks at a model file before anything loads it: is it a mixture of experts this runtime can serve and trace, and does it fit.
import { readGating } from './gating.ts';
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
import { type GgufFile, metaNumber, metaString, openGguf } from './reader.ts';

/** A model that must not be loaded, and why. */
export class PreflightError extends Error {}

const MERGED_EXPERTS = /^blk\.(?<layer>\d+)\.ffn_down_exps\.weight$/;
const SPLIT_EXPERTS = /^blk\.\d+\.ffn_down\.0\.weight$/;

/** Reads the shape from a file's header. @throws PreflightError */
function modelShape(file: GgufFile): ModelShape {
  const { header, path } = file;
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
  // Layers that predict further tokens ahead come last, and llama.cpp leaves them out.
  const predictors = metaNumber(header, `${architecture}.nextn_predict_layers`) ?? 0;
  const routedLayers = [...names]
    .flatMap((name) => MERGED_EXPERTS.exec(name)?.groups?.['layer'] ?? [])
    .map(Number)
    .filter((layer) => layer < layers - predictors)
    .sort((a, b) => a - b);
  // Not every layer has experts: the first ones of some models are dense.
  if (experts > 0 && routedLayers.length === 0) {
    const split = [...names].some((name) => SPLIT_EXPERTS.test(name));
    throw new PreflightError(
      split
        ? `${path}: experts are stored one tensor each (a file converted before April 2024); llama.cpp needs merged experts: convert the model again`
        : `${path}: no layer has a tensor ffn_down_exps.weight although the metadata declares ${experts} experts`,
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
    routedLayers,
    gating: readGating(file, { architecture, experts, layers, vocabulary: vocabulary.value.length }),
  };
}

/**
 * Checks a model before load: what its header says, and whether all of it fits the host. What a GPU takes of it is planned once its driver
 * has said how much it has (engine/llama-core.ts). @throws GgufError for a file that is no whole GGUF, PreflightError for one that cannot be served
 */
export function preflight(path: string, options: MemoryOptions & { gpu: boolean }): { shape: ModelShape; plan: MemoryPlan } {
  using file = openGguf(path);
  const shape = modelShape(file);
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
