// Writes GGUF version 3 files, deterministically: same metadata and tensors in the same order, same bytes.
import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { type MetadataValue, type Scalar, type TensorType, VALUE_TYPE, type ValueTypeName } from './types.ts';

/** A tensor to write: its bytes are asked for when it is its turn, so that a large file is never in memory whole. */
export interface TensorToWrite {
  name: string;
  dims: number[];
  type: TensorType;
  bytes: number;
  data: () => Uint8Array;
}

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}

function u64(value: number | bigint): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([u64(bytes.length), bytes]);
}

function scalar(type: Exclude<ValueTypeName, 'array'>, value: Scalar): Buffer {
  const out = Buffer.alloc(8);
  switch (type) {
    case 'uint8':
      out.writeUInt8(Number(value));
      return out.subarray(0, 1);
    case 'int8':
      out.writeInt8(Number(value));
      return out.subarray(0, 1);
    case 'bool':
      out.writeUInt8(value ? 1 : 0);
      return out.subarray(0, 1);
    case 'uint16':
      out.writeUInt16LE(Number(value));
      return out.subarray(0, 2);
    case 'int16':
      out.writeInt16LE(Number(value));
      return out.subarray(0, 2);
    case 'uint32':
      out.writeUInt32LE(Number(value));
      return out.subarray(0, 4);
    case 'int32':
      out.writeInt32LE(Number(value));
      return out.subarray(0, 4);
    case 'float32':
      out.writeFloatLE(Number(value));
      return out.subarray(0, 4);
    case 'uint64':
      out.writeBigUInt64LE(BigInt(value as number | bigint));
      return out;
    case 'int64':
      out.writeBigInt64LE(BigInt(value as number | bigint));
      return out;
    case 'float64':
      out.writeDoubleLE(Number(value));
      return out;
    case 'string':
      return text(String(value));
  }
}

function encodeValue(entry: MetadataValue): Buffer {
  if (entry.type !== 'array') return Buffer.concat([u32(VALUE_TYPE[entry.type]), scalar(entry.type, entry.value)]);
  const items = entry.items;
  return Buffer.concat([
    u32(VALUE_TYPE.array),
    u32(VALUE_TYPE[items]),
    u64(entry.value.length),
    ...entry.value.map((value) => scalar(items, value)),
  ]);
}

function align(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/**
 * Writes a GGUF file: to a temporary name first, renamed when complete, so that a failure leaves nothing half-written.
 * @throws RangeError when a tensor's data has another size than it declares
 */
export function writeGguf(path: string, metadata: Map<string, MetadataValue>, tensors: TensorToWrite[], alignment = 32): void {
  const parts: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.size)];
  for (const [key, value] of metadata) parts.push(text(key), encodeValue(value));
  let offset = 0;
  for (const tensor of tensors) {
    parts.push(text(tensor.name), u32(tensor.dims.length), ...tensor.dims.map(u64), u32(tensor.type.id), u64(offset));
    offset = align(offset + tensor.bytes, alignment);
  }
  const header = Buffer.concat(parts);
  const temporary = `${path}.${process.pid}.tmp`;
  const fd = openSync(temporary, 'w');
  try {
    writeAll(fd, header);
    writeAll(fd, Buffer.alloc(align(header.length, alignment) - header.length));
    for (const tensor of tensors) {
      const data = tensor.data();
      if (data.length !== tensor.bytes)
        throw new RangeError(`tensor ${tensor.name}: ${data.length} bytes, declared ${tensor.bytes}`);
      writeAll(fd, data);
      writeAll(fd, Buffer.alloc(align(data.length, alignment) - data.length));
    }
    closeSync(fd);
    renameSync(temporary, path);
  } catch (error) {
    try {
      closeSync(fd);
    } catch {
      // already closed
    }
    rmSync(temporary, { force: true });
    throw error;
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) done += writeSync(fd, bytes, done, bytes.length - done);
}
