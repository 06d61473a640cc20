// A GGUF of a mixture of experts with seeded random weights, of Mixtral's architecture unless another is asked for: for tests of the real engine and for benchmarks, where what is said does not
// matter and what it costs does. The vocabulary is 256 byte tokens and three control tokens (notes of llama.cpp's SentencePiece loader).
import { quantize } from './quant.ts';
import { mulberry32, normal } from './random.ts';
import {
  architectureKeys,
  attentionTensors,
  expertExtras,
  isRouted,
  type RandomArchitecture,
  type RandomTensor,
  ropeSize,
} from './random-architecture.ts';
import { type MetadataValue, tensorType } from './types.ts';
import { type TensorToWrite, writeGguf } from './writer.ts';

/** The shape of a random model; `width` and `ffn` are multiples of 32, `width` = heads x head size. */
export interface RandomModelOptions {
  architecture?: RandomArchitecture;
  seed?: number;
  layers?: number;
  width?: number;
  heads?: number;
  kvHeads?: number;
  ffn?: number;
  experts?: number;
  expertsUsed?: number;
  context?: number;
  /** Writes pre-2024 files with one tensor per expert, which llama.cpp refuses: for tests of the preflight. */
  splitExperts?: boolean;
  /** Text of printable ASCII only: some servers end a stream in an error where bytes are no UTF-8. */
  ascii?: boolean;
}

/** Token types of `tokenizer.ggml.token_type` (llama.cpp/include/llama.h, enum llama_token_type). */
const TOKEN = { normal: 1, unknown: 2, control: 3, byte: 6 };

/** The byte tokens come after the control tokens. */
const FIRST_BYTE = 3;

/** Writes the model to `path`. */
export function writeRandomModel(path: string, options: RandomModelOptions = {}): void {
  const {
    architecture = 'llama',
    seed = 1,
    layers = 2,
    width = 64,
    heads = 2,
    // These two have a key for every head.
    kvHeads = architecture === 'olmoe' || architecture === 'deepseek2' ? heads : 1,
    ffn = 64,
    experts = 8,
    expertsUsed = 2,
    context = 512,
  } = options;
  const headSize = width / heads;
  const sizes = { width, heads, kvHeads, headSize, ffn, experts };
  const tokens = [
    '<unk>',
    '<s>',
    '</s>',
    ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
  ];
  const types = [TOKEN.unknown, TOKEN.control, TOKEN.control, ...new Array<number>(256).fill(TOKEN.byte)];
  const metadata = new Map<string, MetadataValue>();
  const put = (key: string, type: 'uint32' | 'float32' | 'string' | 'bool', value: number | string | boolean): unknown =>
    metadata.set(key, { type, value });
  put('general.architecture', 'string', architecture);
  put('general.name', 'string', architecture === 'llama' ? 'random mixtral' : `random ${architecture}`);
  put('general.file_type', 'uint32', 7);
  put(`${architecture}.block_count`, 'uint32', layers);
  put(`${architecture}.context_length`, 'uint32', context);
  put(`${architecture}.embedding_length`, 'uint32', width);
  put(`${architecture}.feed_forward_length`, 'uint32', ffn);
  put(`${architecture}.attention.head_count`, 'uint32', heads);
  put(`${architecture}.attention.head_count_kv`, 'uint32', kvHeads);
  put(`${architecture}.attention.layer_norm_rms_epsilon`, 'float32', 1e-5);
  put(`${architecture}.rope.dimension_count`, 'uint32', ropeSize(architecture, headSize));
  put(`${architecture}.rope.freq_base`, 'float32', 10000);
  put(`${architecture}.vocab_size`, 'uint32', tokens.length);
  put(`${architecture}.expert_count`, 'uint32', experts);
  put(`${architecture}.expert_used_count`, 'uint32', expertsUsed);
  for (const [key, type, value] of architectureKeys(architecture, sizes)) put(`${architecture}.${key}`, type, value);
  put('tokenizer.ggml.model', 'string', 'llama');
  metadata.set('tokenizer.ggml.tokens', { type: 'array', items: 'string', value: tokens });
  metadata.set('tokenizer.ggml.scores', { type: 'array', items: 'float32', value: tokens.map(() => 0) });
  metadata.set('tokenizer.ggml.token_type', { type: 'array', items: 'int32', value: types });
  put('tokenizer.ggml.bos_token_id', 'uint32', 1);
  put('tokenizer.ggml.eos_token_id', 'uint32', 2);
  put('tokenizer.ggml.unknown_token_id', 'uint32', 0);
  put('tokenizer.ggml.add_bos_token', 'bool', true);
  put('tokenizer.ggml.add_space_prefix', 'bool', false);

  const tensors: TensorToWrite[] = [];
  const weight = (
    name: string,
    dims: number[],
    typeName: 'F32' | 'Q8_0',
    scale: number,
    zero: (row: number) => boolean = () => false,
  ): void => {
    const type = tensorType(typeName);
    const count = dims.reduce((product, dim) => product * dim, 1);
    const tensorSeed = seed * 1_000_003 + tensors.length;
    tensors.push({
      name,
      dims,
      type,
      bytes: (count / type.block) * type.size,
      data: () => {
        const uniform = mulberry32(tensorSeed);
        const values = new Float32Array(count);
        for (let index = 0; index < count; index++) values[index] = scale === 0 ? 1 : scale * normal(uniform);
        const length = dims[0] ?? 0;
        for (let row = 0; row * length < count; row++) if (zero(row)) values.fill(0, row * length, (row + 1) * length);
        return quantize(type, values);
      },
    });
  };
  weight('token_embd.weight', [width, tokens.length], 'Q8_0', 1);
  for (let layer = 0; layer < layers; layer++) {
    const at = `blk.${layer}`;
    const scale = 1 / Math.sqrt(width);
    const several = (parts: readonly RandomTensor[]): void => {
      // Vectors and biases are no matrices to be quantised.
      for (const { name, dims, scale: own } of parts)
        weight(`${at}.${name}`, dims, dims.length === 1 || name.endsWith('.bias') ? 'F32' : 'Q8_0', own);
    };
    weight(`${at}.attn_norm.weight`, [width], 'F32', 0);
    several(attentionTensors(architecture, sizes));
    weight(`${at}.${architecture === 'gpt-oss' ? 'post_attention_norm' : 'ffn_norm'}.weight`, [width], 'F32', 0);
    const parts = [
      ['gate', [width, ffn]],
      ['up', [width, ffn]],
      ['down', [ffn, width]],
    ] as const;
    if (!isRouted(architecture, layer)) {
      for (const [part, dims] of parts) weight(`${at}.ffn_${part}.weight`, [...dims], 'Q8_0', scale);
      continue;
    }
    weight(`${at}.ffn_gate_inp.weight`, [width, experts], 'F32', 2 * scale);
    for (const [part, dims] of parts) {
      if (options.splitExperts)
        for (let expert = 0; expert < experts; expert++) weight(`${at}.ffn_${part}.${expert}.weight`, [...dims], 'Q8_0', scale);
      else weight(`${at}.ffn_${part}_exps.weight`, [...dims, experts], 'Q8_0', 1 / Math.sqrt(dims[0]));
    }
    several(expertExtras(architecture, sizes));
  }
  weight('output_norm.weight', [width], 'F32', 0);
  // Rows of zeros for the control tokens: random text that does not end by itself.
  weight('output.weight', [width, tokens.length], 'Q8_0', 3 / Math.sqrt(width), (row) => {
    const byte = row - FIRST_BYTE;
    return byte < 0 || (options.ascii === true && (byte < 0x20 || byte > 0x7e));
  });
  writeGguf(path, metadata, tensors);
}
