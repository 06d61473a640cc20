// What every kind of variant is built from: finding tensors, checking options, changing values in their own encoding.
import { dequantize, quantize, SUPPORTED_TYPES } from './quant.ts';
import { mulberry32, normal } from './random.ts';
import { type GgufFile, metaNumber, metaString } from './reader.ts';
import type { MetadataValue, TensorInfo, TensorType } from './types.ts';

/** A wish that this model cannot fulfil: wrong layer, missing option, unsupported type. */
export class VariantError extends Error {}

export type Edit = (bytes: Buffer, tensor: TensorInfo) => { bytes: Uint8Array; type: TensorType };

export interface Plan {
  edits: Map<string, Edit>;
  detail: string;
  metadata?: Map<string, MetadataValue>;
  order?: (names: string[]) => string[];
  alignment?: number;
}

export function integerOption(value: number | undefined, name: string, limit: number, count: string): number {
  if (value === undefined) throw new VariantError(`--${name} is needed for this kind: 0 to ${limit - 1}`);
  if (!Number.isInteger(value) || value < 0 || value >= limit)
    throw new VariantError(`--${name} ${value}: this model has ${limit} ${count}, expected 0 to ${limit - 1}`);
  return value;
}

export function shape(file: GgufFile): { layers: number; experts: number } {
  const architecture = metaString(file.header, 'general.architecture') ?? 'unknown';
  const layers = metaNumber(file.header, `${architecture}.block_count`) ?? 0;
  const experts = metaNumber(file.header, `${architecture}.expert_count`) ?? 0;
  return { layers, experts };
}

export function find(file: GgufFile, name: string): TensorInfo {
  const tensor = file.header.tensors.find((candidate) => candidate.name === name);
  if (tensor === undefined)
    throw new VariantError(`the model has no tensor ${name}; a Mixtral-architecture file with merged experts is needed`);
  return tensor;
}

/** Decodes, changes and encodes again in the same type. */
export function mapValues(tensor: TensorInfo, change: (values: Float32Array) => void): Edit {
  if (!SUPPORTED_TYPES.includes(tensor.type.name))
    throw new VariantError(`tensor ${tensor.name} is ${tensor.type.name}; supported: ${SUPPORTED_TYPES.join(', ')}`);
  return (bytes) => {
    const values = dequantize(tensor.type, bytes, elements(tensor));
    change(values);
    return { bytes: quantize(tensor.type, values), type: tensor.type };
  };
}

export function elements(tensor: TensorInfo): number {
  return tensor.dims.reduce((product, dim) => product * dim, 1);
}

function rootMeanSquare(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum / values.length);
}

export function addNoise(values: Float32Array, strength: number, seed: number): void {
  const uniform = mulberry32(seed);
  const scale = strength * rootMeanSquare(values);
  for (let index = 0; index < values.length; index++) values[index] = (values[index] as number) + scale * normal(uniform);
}
