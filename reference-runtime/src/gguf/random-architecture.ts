// What a random model of an architecture other than Mixtral's has beside or instead of its tensors: enough for llama.cpp to load and run it,
// and for tests to trace routers of every kind that the tracer knows (tensors and keys as in llama.cpp/src/models/ of the bundled version).

export type RandomArchitecture = 'llama' | 'qwen2moe' | 'qwen3moe' | 'olmoe' | 'deepseek2' | 'gpt-oss';

/** The widths that tensors are made of. */
export interface RandomWidths {
  width: number;
  heads: number;
  kvHeads: number;
  headSize: number;
  ffn: number;
  experts: number;
}

/** One tensor: `scale` of normally distributed values, 0 for ones. Vectors and biases are F32, matrices Q8_0. */
export interface RandomTensor {
  name: string;
  dims: number[];
  scale: number;
}

/** Whether a layer has experts. */
export function isRouted(architecture: RandomArchitecture, layer: number): boolean {
  return architecture !== 'deepseek2' || layer > 0;
}

/** Sizes of DeepSeek's compressed attention. */
const LATENT = { query: 32, keyValue: 32, rope: 16, plain: 32 };

/** Metadata by key, without the architecture's prefix. */
export function architectureKeys(
  architecture: RandomArchitecture,
  { ffn, headSize }: RandomWidths,
): Array<readonly [key: string, type: 'uint32' | 'float32' | 'bool', value: number | boolean]> {
  const experts = ['expert_feed_forward_length', 'uint32', ffn] as const;
  const lengths = (key: number, value: number): Array<readonly [string, 'uint32', number]> => [
    ['attention.key_length', 'uint32', key],
    ['attention.value_length', 'uint32', value],
  ];
  switch (architecture) {
    case 'llama':
    case 'olmoe':
      return [];
    case 'qwen2moe':
      return [experts, ['expert_shared_feed_forward_length', 'uint32', ffn]];
    case 'qwen3moe':
      return [experts, ...lengths(headSize, headSize)];
    case 'gpt-oss':
      return [experts, ...lengths(headSize, headSize), ['attention.sliding_window', 'uint32', 32]];
    case 'deepseek2':
      return [
        experts,
        ...lengths(LATENT.plain + LATENT.rope, headSize),
        ['attention.q_lora_rank', 'uint32', LATENT.query],
        ['attention.kv_lora_rank', 'uint32', LATENT.keyValue],
        ['leading_dense_block_count', 'uint32', 1],
        ['expert_shared_count', 'uint32', 1],
        ['expert_gating_func', 'uint32', 2],
        ['expert_weights_norm', 'bool', true],
        ['expert_weights_scale', 'float32', 2.5],
        ['expert_group_count', 'uint32', 4],
        ['expert_group_used_count', 'uint32', 2],
      ];
  }
}

/** Dimensions of one rotated head part. */
export function ropeSize(architecture: RandomArchitecture, headSize: number): number {
  return architecture === 'deepseek2' ? LATENT.rope : headSize;
}

/** The attention of one layer. */
export function attentionTensors(architecture: RandomArchitecture, sizes: RandomWidths): RandomTensor[] {
  const { width, heads, kvHeads, headSize } = sizes;
  const scale = 1 / Math.sqrt(width);
  if (architecture === 'deepseek2') {
    const { query, keyValue, rope, plain } = LATENT;
    return [
      { name: 'attn_q_a.weight', dims: [width, query], scale },
      { name: 'attn_q_a_norm.weight', dims: [query], scale: 0 },
      { name: 'attn_q_b.weight', dims: [query, heads * (plain + rope)], scale: 2 / Math.sqrt(query) },
      { name: 'attn_kv_a_mqa.weight', dims: [width, keyValue + rope], scale },
      { name: 'attn_kv_a_norm.weight', dims: [keyValue], scale: 0 },
      { name: 'attn_kv_b.weight', dims: [keyValue, heads * (plain + headSize)], scale: 1 / Math.sqrt(keyValue) },
      { name: 'attn_output.weight', dims: [heads * headSize, width], scale },
    ];
  }
  const plain = [
    { name: 'attn_q.weight', dims: [width, width], scale: 2 * scale },
    { name: 'attn_k.weight', dims: [width, headSize * kvHeads], scale: 2 * scale },
    { name: 'attn_v.weight', dims: [width, headSize * kvHeads], scale },
    { name: 'attn_output.weight', dims: [width, width], scale },
  ];
  switch (architecture) {
    case 'qwen3moe':
      return [...plain, ...['q', 'k'].map((part) => ({ name: `attn_${part}_norm.weight`, dims: [headSize], scale: 0 }))];
    case 'olmoe':
      return [...plain, ...['q', 'k'].map((part) => ({ name: `attn_${part}_norm.weight`, dims: [width], scale: 0 }))];
    case 'gpt-oss':
      return [
        ...plain,
        { name: 'attn_output.bias', dims: [width], scale: 0.1 },
        { name: 'attn_sinks.weight', dims: [heads], scale: 1 },
      ];
    default:
      return plain;
  }
}

/** What comes with the routed experts of one layer: shared experts, biases. */
export function expertExtras(architecture: RandomArchitecture, { width, ffn, experts }: RandomWidths): RandomTensor[] {
  const shared = [
    { name: 'ffn_gate_shexp.weight', dims: [width, ffn], scale: 1 / Math.sqrt(width) },
    { name: 'ffn_up_shexp.weight', dims: [width, ffn], scale: 1 / Math.sqrt(width) },
    { name: 'ffn_down_shexp.weight', dims: [ffn, width], scale: 1 / Math.sqrt(ffn) },
  ];
  switch (architecture) {
    case 'qwen2moe':
      return [...shared, { name: 'ffn_gate_inp_shexp.weight', dims: [width], scale: 0.1 }];
    case 'deepseek2':
      // Large beside the differences of sigmoids, so that it changes choices.
      return [...shared, { name: 'exp_probs_b.bias', dims: [experts], scale: 0.5 }];
    case 'gpt-oss':
      return [
        { name: 'ffn_gate_inp.bias', dims: [experts], scale: 1 },
        { name: 'ffn_gate_exps.bias', dims: [ffn, experts], scale: 0.1 },
        { name: 'ffn_up_exps.bias', dims: [ffn, experts], scale: 0.1 },
        { name: 'ffn_down_exps.bias', dims: [width, experts], scale: 0.1 },
      ];
    default:
      return [];
  }
}
