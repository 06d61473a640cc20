// Reads a GGUF header from an untrusted file: every count, length and offset is checked against the file's size before it is used,
// so that memory and time are bounded by the file and by the limits below.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import {
  GgufError,
  type GgufHeader,
  type MetadataValue,
  type Scalar,
  type TensorInfo,
  tensorTypeById,
  VALUE_TYPE,
  type ValueTypeName,
} from './types.ts';

const MAGIC = 0x46554747;
const LIMITS = {
  header: 512 * 1024 * 1024,
  keys: 65_536,
  tensors: 1_000_000,
  keyBytes: 65_535,
  stringBytes: 16 * 1024 * 1024,
  array: 4_000_000,
  dims: 4,
};
const CHUNK = 256 * 1024;

const TYPE_BY_ID = new Map(Object.entries(VALUE_TYPE).map(([name, id]) => [id as number, name as ValueTypeName]));

/** The fewest bytes a value of a type takes; bounds array counts by what is left of the file. */
const MINIMUM_BYTES: Record<ValueTypeName, number> = {
  uint8: 1,
  int8: 1,
  bool: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  uint64: 8,
  int64: 8,
  float64: 8,
  string: 8,
  array: 12,
};

/** Anything that bytes can be read from by position. `read` fills as much of `into` as there is and returns the count. */
export interface ByteSource {
  readonly size: number;
  read(position: number, into: Uint8Array): number;
}

class Cursor {
  readonly #source: ByteSource;
  #window: Buffer = Buffer.alloc(0);
  #windowStart = 0;
  position = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  get left(): number {
    return this.#source.size - this.position;
  }

  take(count: number, what: string): Buffer {
    if (count > this.left)
      throw new GgufError(`truncated GGUF file: ${what} needs ${count} bytes and ${this.left} are left`, this.position);
    if (this.position + count > LIMITS.header)
      throw new GgufError(`GGUF header is larger than ${LIMITS.header} bytes`, this.position);
    const start = this.position - this.#windowStart;
    if (start < 0 || start + count > this.#window.length) {
      const window = Buffer.allocUnsafe(Math.min(Math.max(count, CHUNK), this.left));
      const got = this.#source.read(this.position, window);
      this.#window = window.subarray(0, got);
      this.#windowStart = this.position;
      if (got < count)
        throw new GgufError(`truncated GGUF file: ${what} needs ${count} bytes and ${got} could be read`, this.position);
    }
    const from = this.position - this.#windowStart;
    this.position += count;
    return this.#window.subarray(from, from + count);
  }

  u32(what: string): number {
    return this.take(4, what).readUInt32LE(0);
  }

  /** A 64-bit count as a number; anything above `limit` is refused. */
  count(what: string, limit: number): number {
    const at = this.position;
    const value = this.take(8, what).readBigUInt64LE(0);
    if (value > BigInt(limit)) throw new GgufError(`${what} is ${value}, more than the limit of ${limit}`, at);
    return Number(value);
  }

  string(what: string, limit: number): string {
    const length = this.count(`length of ${what}`, limit);
    return this.take(length, what).toString('utf8');
  }
}

function readScalar(cursor: Cursor, type: Exclude<ValueTypeName, 'array'>, what: string): Scalar {
  switch (type) {
    case 'uint8':
      return cursor.take(1, what).readUInt8(0);
    case 'int8':
      return cursor.take(1, what).readInt8(0);
    case 'uint16':
      return cursor.take(2, what).readUInt16LE(0);
    case 'int16':
      return cursor.take(2, what).readInt16LE(0);
    case 'uint32':
      return cursor.u32(what);
    case 'int32':
      return cursor.take(4, what).readInt32LE(0);
    case 'float32':
      return cursor.take(4, what).readFloatLE(0);
    case 'bool': {
      const at = cursor.position;
      const byte = cursor.take(1, what).readUInt8(0);
      if (byte > 1) throw new GgufError(`${what} is a bool with value ${byte}`, at);
      return byte === 1;
    }
    case 'string':
      return cursor.string(what, LIMITS.stringBytes);
    case 'uint64':
      return cursor.take(8, what).readBigUInt64LE(0);
    case 'int64':
      return cursor.take(8, what).readBigInt64LE(0);
    case 'float64':
      return cursor.take(8, what).readDoubleLE(0);
  }
}

function readType(cursor: Cursor, what: string): ValueTypeName {
  const at = cursor.position;
  const id = cursor.u32(`type of ${what}`);
  const type = TYPE_BY_ID.get(id);
  if (type === undefined) throw new GgufError(`${what} has unknown value type ${id}`, at);
  return type;
}

function readValue(cursor: Cursor, what: string): MetadataValue {
  const type = readType(cursor, what);
  if (type !== 'array') return { type, value: readScalar(cursor, type, what) };
  const at = cursor.position;
  const items = readType(cursor, `items of ${what}`);
  if (items === 'array') throw new GgufError(`${what} is an array of arrays, which no known GGUF writer makes`, at);
  const count = cursor.count(`count of ${what}`, LIMITS.array);
  if (count * MINIMUM_BYTES[items] > cursor.left) {
    throw new GgufError(
      `truncated GGUF file: ${what} declares ${count} items and ${cursor.left} bytes are left`,
      cursor.position,
    );
  }
  const value: Scalar[] = [];
  for (let index = 0; index < count; index++) value.push(readScalar(cursor, items, what));
  return { type: 'array', items, value };
}

function readTensor(cursor: Cursor): Omit<TensorInfo, 'bytes'> {
  const at = cursor.position;
  const name = cursor.string('tensor name', LIMITS.keyBytes);
  const rank = cursor.u32(`rank of ${name}`);
  if (rank < 1 || rank > LIMITS.dims)
    throw new GgufError(`tensor ${name} has ${rank} dimensions, expected 1 to ${LIMITS.dims}`, at);
  const dims: number[] = [];
  for (let index = 0; index < rank; index++) dims.push(cursor.count(`dimension of ${name}`, 2 ** 40));
  const typeId = cursor.u32(`type of ${name}`);
  const type = tensorTypeById(typeId);
  if (type === undefined) throw new GgufError(`tensor ${name} has unknown type ${typeId}`, at);
  return { name, dims, type, offset: cursor.count(`offset of ${name}`, Number.MAX_SAFE_INTEGER) };
}

function sizeOf(tensor: Omit<TensorInfo, 'bytes'>, at: number): number {
  const row = tensor.dims[0] ?? 0;
  if (tensor.dims.some((dim) => dim < 1)) throw new GgufError(`tensor ${tensor.name} has an empty dimension`, at);
  if (row % tensor.type.block !== 0) {
    throw new GgufError(
      `tensor ${tensor.name}: rows of ${row} do not divide into ${tensor.type.name} blocks of ${tensor.type.block}`,
      at,
    );
  }
  const elements = tensor.dims.reduce((product, dim) => product * dim, 1);
  const bytes = (elements / tensor.type.block) * tensor.type.size;
  if (!Number.isSafeInteger(bytes)) throw new GgufError(`tensor ${tensor.name} is larger than any file`, at);
  return bytes;
}

/**
 * Parses the header of a GGUF file (version 2 or 3, little endian) and checks that all tensor data lies inside the file.
 * @throws GgufError naming what is wrong and the byte offset
 */
export function parseHeader(source: ByteSource): GgufHeader {
  const cursor = new Cursor(source);
  if (cursor.u32('magic') !== MAGIC) throw new GgufError('not a GGUF file: the first four bytes are not "GGUF"', 0);
  const version = cursor.u32('version');
  if (version !== 2 && version !== 3)
    throw new GgufError(`GGUF version ${version} is not supported, expected 2 or 3 (little endian)`, 4);
  const tensorCount = cursor.count('tensor count', LIMITS.tensors);
  const keyCount = cursor.count('metadata count', LIMITS.keys);
  const metadata = new Map<string, MetadataValue>();
  for (let index = 0; index < keyCount; index++) {
    const at = cursor.position;
    const key = cursor.string('metadata key', LIMITS.keyBytes);
    if (metadata.has(key)) throw new GgufError(`metadata key ${key} occurs twice`, at);
    metadata.set(key, readValue(cursor, key));
  }
  const declared = metadata.get('general.alignment');
  const alignment = declared === undefined ? 32 : Number(declared.value);
  if (!Number.isInteger(alignment) || alignment < 1 || alignment > 65_536 || alignment % 8 !== 0) {
    throw new GgufError(`general.alignment is ${alignment}, expected a multiple of 8 up to 65536`, cursor.position);
  }
  const raw: Array<Omit<TensorInfo, 'bytes'>> = [];
  const seen = new Set<string>();
  for (let index = 0; index < tensorCount; index++) {
    const at = cursor.position;
    const tensor = readTensor(cursor);
    if (seen.has(tensor.name)) throw new GgufError(`tensor ${tensor.name} occurs twice`, at);
    seen.add(tensor.name);
    raw.push(tensor);
  }
  const dataOffset = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = raw.map((tensor) => {
    const bytes = sizeOf(tensor, cursor.position);
    const offset = dataOffset + tensor.offset;
    if (tensor.offset % alignment !== 0)
      throw new GgufError(`tensor ${tensor.name} starts at ${tensor.offset}, not a multiple of ${alignment}`, offset);
    if (offset + bytes > source.size) {
      throw new GgufError(
        `truncated GGUF file: tensor ${tensor.name} ends at byte ${offset + bytes} and the file has ${source.size}`,
        offset,
      );
    }
    return { ...tensor, offset, bytes };
  });
  return { version, alignment, metadata, tensors, dataOffset, fileBytes: source.size };
}

/** A GGUF file opened for reading; close it when done. */
export interface GgufFile extends Disposable {
  header: GgufHeader;
  path: string;
  tensorBytes(tensor: TensorInfo): Buffer;
  close(): void;
}

/** Opens and checks a GGUF file. @throws GgufError, or the system's error where the file cannot be opened */
export function openGguf(path: string): GgufFile {
  const fd = openSync(path, 'r');
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new GgufError(`${path} is not a regular file`, 0);
    const read = (position: number, into: Uint8Array): number => readSync(fd, into, 0, into.length, position);
    const header = parseHeader({ size: stat.size, read });
    const close = (): void => closeSync(fd);
    return {
      header,
      path,
      close,
      [Symbol.dispose]: close,
      tensorBytes(tensor) {
        const bytes = Buffer.allocUnsafe(tensor.bytes);
        if (read(tensor.offset, bytes) !== tensor.bytes)
          throw new GgufError(`tensor ${tensor.name} could not be read whole`, tensor.offset);
        return bytes;
      },
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** A metadata number, or undefined when absent or not a number. */
export function metaNumber(header: GgufHeader, key: string): number | undefined {
  const entry = header.metadata.get(key);
  if (entry === undefined || entry.type === 'array' || (typeof entry.value !== 'number' && typeof entry.value !== 'bigint'))
    return undefined;
  return Number(entry.value);
}

/** A metadata string, or undefined when absent or not a string. */
export function metaString(header: GgufHeader, key: string): string | undefined {
  const entry = header.metadata.get(key);
  return entry?.type === 'string' ? String(entry.value) : undefined;
}
