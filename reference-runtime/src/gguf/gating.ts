// How a model's routers turn logits into experts, as llama.cpp computes it (src/llama-graph.cpp, build_moe_ffn, and the call of each
// architecture in src/models/). An architecture that is not listed is served, and not traced: a guess would look like a measurement.
import { type GgufFile, metaNumber } from './reader.ts';

/** The routers of a model. Experts that every token uses (shared experts) are not routed and no part of this. */
export interface Gating {
  /** Scores of all experts: their softmax, or a sigmoid each. */
  score: 'softmax' | 'sigmoid';
  /** The router adds a bias to its logits (gpt-oss): what is scored are the logits after it. */
  biasedLogits: boolean;
  /** By layer: added to the scores for the choice of experts only, not to their weights (DeepSeek-AI 2024, "DeepSeek-V3", section 2.1.2). */
  choiceBias: ReadonlyMap<number, Float32Array>;
  /** Only the best groups of consecutive experts are chosen from; a group counts what its two best experts score. */
  groups?: { count: number; used: number };
}

export type GatingFound = { known: true; gating: Gating } | { known: false; reason: string };

/** Softmax over all experts; whether the weights of the chosen ones are normalised or scaled does not change their shares. */
const SOFTMAX = new Set(['llama', 'qwen2moe', 'qwen3moe', 'olmoe']);
/** Softmax over the chosen experts of biased logits: the same shares as those of the softmax over all. */
const BIASED_SOFTMAX = 'gpt-oss';
const DEEPSEEK = 'deepseek2';

/** llama_expert_gating_func_type (src/llama-hparams.h). */
const SCORES: Readonly<Record<number, Gating['score']>> = { 1: 'softmax', 2: 'sigmoid' };

/** What llama.cpp takes where a file of DeepSeek's architecture does not say (src/models/deepseek2.cpp): softmax, but for GLM 4.7 Flash. */
function silentScore(layers: number, vocabulary: number): number {
  return (layers === 47 || layers === 48) && vocabulary === 154_880 ? 2 : 1;
}

const BIAS = /^blk\.(?<layer>\d+)\.exp_probs_b\.bias$/;

function choiceBias(file: GgufFile, experts: number): Map<number, Float32Array> | string {
  const out = new Map<number, Float32Array>();
  for (const tensor of file.header.tensors) {
    const layer = BIAS.exec(tensor.name)?.groups?.['layer'];
    if (layer === undefined) continue;
    if (tensor.type.name !== 'F32' || tensor.bytes !== 4 * experts)
      return `${tensor.name} is ${tensor.type.name} of ${tensor.bytes} bytes, expected F32 for ${experts} experts`;
    const bytes = file.tensorBytes(tensor);
    out.set(
      Number(layer),
      Float32Array.from({ length: experts }, (_, expert) => bytes.readFloatLE(4 * expert)),
    );
  }
  return out;
}

/** The routers of a file's model, or why they are not known here. */
export function readGating(
  file: GgufFile,
  { architecture, experts, layers, vocabulary }: { architecture: string; experts: number; layers: number; vocabulary: number },
): GatingFound {
  const unknown = (reason: string): GatingFound => ({ known: false, reason });
  if (experts === 0) return unknown('the model has no experts');
  const number = (key: string): number => metaNumber(file.header, `${architecture}.${key}`) ?? 0;
  const bias = choiceBias(file, experts);
  if (typeof bias === 'string') return unknown(bias);
  const count = number('expert_group_count');
  const groups = count > 1 ? { groups: { count, used: number('expert_group_used_count') } } : {};
  if (architecture === DEEPSEEK) {
    const kind = number('expert_gating_func') || silentScore(layers, vocabulary);
    const score = SCORES[kind];
    if (score === undefined) return unknown(`${architecture}.expert_gating_func ${kind} is not known to the tracer`);
    return { known: true, gating: { score, biasedLogits: false, choiceBias: bias, ...groups } };
  }
  const biasedLogits = architecture === BIASED_SOFTMAX;
  if (!SOFTMAX.has(architecture) && !biasedLogits)
    return unknown(
      `how a router of architecture ${architecture} chooses is not known to the tracer; it knows ${[...SOFTMAX, DEEPSEEK, BIASED_SOFTMAX].join(', ')}`,
    );
  if (bias.size > 0) return unknown(`${architecture} has no bias of choice, and the file has one (exp_probs_b)`);
  return { known: true, gating: { score: 'softmax', biasedLogits, choiceBias: bias, ...groups } };
}
