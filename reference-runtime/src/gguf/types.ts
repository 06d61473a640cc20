// The GGUF vocabulary: value types of the metadata block and tensor types with their block layout.
// Source: ggml/docs/gguf.md and ggml/include/ggml.h.

/** Metadata value type ids (ggml/docs/gguf.md, `gguf_metadata_value_type`). */
export const VALUE_TYPE = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;
export type ValueTypeName = keyof typeof VALUE_TYPE;

export type Scalar = number | bigint | boolean | string;

/** One metadata value with the type it is stored as, so that a file can be written back byte for byte. */
export type MetadataValue =
  | { type: Exclude<ValueTypeName, 'array'>; value: Scalar }
  | { type: 'array'; items: Exclude<ValueTypeName, 'array'>; value: Scalar[] };

/** A tensor type: `size` bytes hold `block` elements. */
export interface TensorType {
  id: number;
  name: string;
  block: number;
  size: number;
}

const TENSOR_TYPES: TensorType[] = [
  { id: 0, name: 'F32', block: 1, size: 4 },
  { id: 1, name: 'F16', block: 1, size: 2 },
  { id: 2, name: 'Q4_0', block: 32, size: 18 },
  { id: 3, name: 'Q4_1', block: 32, size: 20 },
  { id: 6, name: 'Q5_0', block: 32, size: 22 },
  { id: 7, name: 'Q5_1', block: 32, size: 24 },
  { id: 8, name: 'Q8_0', block: 32, size: 34 },
  { id: 10, name: 'Q2_K', block: 256, size: 84 },
  { id: 11, name: 'Q3_K', block: 256, size: 110 },
  { id: 12, name: 'Q4_K', block: 256, size: 144 },
  { id: 13, name: 'Q5_K', block: 256, size: 176 },
  { id: 14, name: 'Q6_K', block: 256, size: 210 },
  { id: 16, name: 'IQ2_XXS', block: 256, size: 66 },
  { id: 17, name: 'IQ2_XS', block: 256, size: 74 },
  { id: 18, name: 'IQ3_XXS', block: 256, size: 98 },
  { id: 20, name: 'IQ4_NL', block: 32, size: 18 },
  { id: 21, name: 'IQ3_S', block: 256, size: 110 },
  { id: 22, name: 'IQ2_S', block: 256, size: 82 },
  { id: 23, name: 'IQ4_XS', block: 256, size: 136 },
  { id: 24, name: 'I8', block: 1, size: 1 },
  { id: 25, name: 'I16', block: 1, size: 2 },
  { id: 26, name: 'I32', block: 1, size: 4 },
  { id: 27, name: 'I64', block: 1, size: 8 },
  { id: 28, name: 'F64', block: 1, size: 8 },
  { id: 30, name: 'BF16', block: 1, size: 2 },
];

const BY_ID = new Map(TENSOR_TYPES.map((type) => [type.id, type]));
const BY_NAME = new Map(TENSOR_TYPES.map((type) => [type.name, type]));

/** The tensor type with ggml id `id`, or undefined. */
export function tensorTypeById(id: number): TensorType | undefined {
  return BY_ID.get(id);
}

/** The tensor type called `name` (as in `Q8_0`); throws for an unknown name. */
export function tensorType(name: string): TensorType {
  const type = BY_NAME.get(name);
  if (type === undefined) throw new RangeError(`unknown tensor type ${name}; known: ${[...BY_NAME.keys()].join(', ')}`);
  return type;
}

/** One tensor of a file. `dims` in ggml order: the first is the contiguous one (the row length). `offset` is absolute in the file, in bytes. */
export interface TensorInfo {
  name: string;
  dims: number[];
  type: TensorType;
  offset: number;
  bytes: number;
}

/** A parsed GGUF header. `dataOffset` is where the tensor data begins, in bytes. */
export interface GgufHeader {
  version: number;
  alignment: number;
  metadata: Map<string, MetadataValue>;
  tensors: TensorInfo[];
  dataOffset: number;
  fileBytes: number;
}

/** A GGUF file that cannot be read; `offset` is the byte position where it went wrong. */
export class GgufError extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(`${message} (at byte ${offset})`);
    this.name = 'GgufError';
    this.offset = offset;
  }
}
