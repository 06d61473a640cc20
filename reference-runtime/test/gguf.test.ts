import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { PreflightError, preflight } from '../src/gguf/preflight.ts';
import { bufferSource, openGguf, parseHeader } from '../src/gguf/reader.ts';
import { GgufError, VALUE_TYPE } from '../src/gguf/types.ts';
import { randomModel, temporary } from './support/models.ts';

const dir = temporary();
afterAll(dir.remove);
const model = randomModel(dir.file('model.gguf'));
const bytes = readFileSync(model);

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}
function u64(value: bigint | number): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out;
}
const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const head = (tensors: bigint | number, keys: bigint | number, version = 3): Buffer =>
  Buffer.concat([Buffer.from('GGUF'), u32(version), u64(tensors), u64(keys)]);
const tensor = (name: string, dims: number[], type: number, offset: number | bigint): Buffer =>
  Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset)]);

describe('GGUF reader', () => {
  it('reads back what the writer wrote', () => {
    const header = parseHeader(bufferSource(bytes));
    expect(header.metadata.get('llama.expert_count')).toEqual({ type: 'uint32', value: 8 });
    expect(header.metadata.get('llama.rope.freq_base')).toEqual({ type: 'float32', value: 10000 });
    expect(header.tensors.find((entry) => entry.name === 'blk.1.ffn_down_exps.weight')).toMatchObject({
      dims: [64, 64, 8],
      type: { name: 'Q8_0' },
      bytes: 64 * 64 * 8 * (34 / 32),
    });
    expect(header.tensors.at(-1)?.offset).toBeLessThan(bytes.length);
  });

  const hostile: Array<[string, Buffer, RegExp]> = [
    ['an empty file', Buffer.alloc(0), /truncated.*magic.*at byte 0/],
    ['another kind of file', Buffer.from('PK\u0003\u0004 something else entirely'), /not a GGUF file/],
    ['an unknown version', head(0, 0, 99), /version 99 is not supported/],
    [
      'a big-endian file',
      Buffer.concat([Buffer.from('GGUF'), Buffer.from([0, 0, 0, 3]), u64(0), u64(0)]),
      /version 50331648 is not supported/,
    ],
    ['a huge tensor count', head(2n ** 63n, 0), /tensor count is 9223372036854775808, more than the limit/],
    ['a huge metadata count', head(0, 2n ** 40n), /metadata count is 1099511627776, more than the limit/],
    ['a key longer than the file', Buffer.concat([head(0, 1), u64(60_000)]), /truncated.*needs 60000 bytes and 0 are left/],
    [
      'a key of gigabytes',
      Buffer.concat([head(0, 1), u64(2n ** 33n)]),
      /length of metadata key is 8589934592, more than the limit/,
    ],
    [
      'a string value of exabytes',
      Buffer.concat([head(0, 1), text('k'), u32(VALUE_TYPE.string), u64(2n ** 60n)]),
      /more than the limit/,
    ],
    [
      'an array longer than the file',
      Buffer.concat([head(0, 1), text('k'), u32(VALUE_TYPE.array), u32(VALUE_TYPE.float64), u64(3_000_000)]),
      /declares 3000000 items and 0 bytes are left/,
    ],
    [
      'arrays in arrays',
      Buffer.concat([head(0, 1), text('k'), u32(VALUE_TYPE.array), u32(VALUE_TYPE.array), u64(1)]),
      /array of arrays/,
    ],
    ['an unknown value type', Buffer.concat([head(0, 1), text('k'), u32(77)]), /unknown value type 77/],
    ['a bool of 2', Buffer.concat([head(0, 1), text('k'), u32(VALUE_TYPE.bool), Buffer.from([2])]), /bool with value 2/],
    [
      'a key twice',
      Buffer.concat([head(0, 2), text('k'), u32(0), Buffer.from([1]), text('k'), u32(0), Buffer.from([1])]),
      /metadata key k occurs twice/,
    ],
    [
      'an alignment of 0',
      Buffer.concat([head(0, 1), text('general.alignment'), u32(VALUE_TYPE.uint32), u32(0)]),
      /general.alignment is 0/,
    ],
    ['a tensor of rank 9', Buffer.concat([head(1, 0), tensor('t', new Array(9).fill(1), 0, 0)]), /9 dimensions, expected 1 to 4/],
    ['a tensor of unknown type', Buffer.concat([head(1, 0), tensor('t', [32], 999, 0)]), /unknown type 999/],
    [
      'rows that do not divide into blocks',
      Buffer.concat([head(1, 0), tensor('t', [33], 8, 0)]),
      /rows of 33 do not divide into Q8_0 blocks/,
    ],
    ['an empty dimension', Buffer.concat([head(1, 0), tensor('t', [0], 0, 0)]), /empty dimension/],
    ['a tensor beyond the end', Buffer.concat([head(1, 0), tensor('t', [32], 0, 2 ** 40)]), /ends at byte .* and the file has/],
    ['a tensor larger than any file', Buffer.concat([head(1, 0), tensor('t', [2 ** 39, 2 ** 39], 0, 0)]), /larger than any file/],
    ['a misaligned tensor', Buffer.concat([head(1, 0), tensor('t', [1], 0, 3), Buffer.alloc(64)]), /not a multiple of 32/],
    [
      'two tensors of one name',
      Buffer.concat([head(2, 0), tensor('t', [1], 0, 0), tensor('t', [1], 0, 0), Buffer.alloc(64)]),
      /tensor t occurs twice/,
    ],
  ];
  it.each(hostile)('refuses %s with one clear error', (_name, file, message) => {
    expect(() => parseHeader(bufferSource(file))).toThrow(message);
    expect(() => parseHeader(bufferSource(file))).toThrow(GgufError);
  });

  it('refuses every truncation of a real file', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 33 }), (length) => {
        expect(() => parseHeader(bufferSource(bytes.subarray(0, length)))).toThrow(GgufError);
      }),
    );
  });

  it('answers any damage with a GgufError or a header, never anything else', () => {
    const header = bytes.subarray(0, parseHeader(bufferSource(bytes)).dataOffset);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(header.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 }), (changes) => {
        const damaged = Buffer.from(bytes);
        for (const [at, value] of changes) damaged[at] = value;
        try {
          parseHeader(bufferSource(damaged));
        } catch (error) {
          expect(error).toBeInstanceOf(GgufError);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('refuses a directory', () => {
    expect(() => openGguf(dir.path)).toThrow(/not a regular file|EISDIR/);
  });
});

describe('preflight', () => {
  const options = { context: 256, sequences: 2, batch: 256, gpu: false };

  it('counts total parameters and plans memory from the whole file', () => {
    const { shape, plan } = preflight(model, options);
    expect(shape).toMatchObject({
      architecture: 'llama',
      layers: 2,
      experts: 8,
      expertsUsed: 2,
      softmaxGate: true,
      fileBytes: bytes.length,
    });
    // 2 x layers x KV heads x head size x 2 bytes x context x sequences
    expect(plan.kvCache).toBe(2 * 2 * 1 * 32 * 2 * 256 * 2);
    expect(plan.total).toBe(plan.weights + plan.kvCache + plan.compute);
  });

  it('refuses a file cut in half, with the place', () => {
    const half = dir.file('half.gguf');
    writeFileSync(half, bytes);
    truncateSync(half, Math.floor(bytes.length / 2));
    expect(() => preflight(half, options)).toThrow(/truncated GGUF file: tensor .* and the file has \d+ \(at byte \d+\)/);
  });

  it('refuses one tensor per expert and says what to do', () => {
    expect(() => preflight(randomModel(dir.file('split.gguf'), { splitExperts: true }), options)).toThrow(
      /merged experts: convert the model again/,
    );
  });

  it('refuses with numbers what does not fit', () => {
    expect(() => preflight(model, { ...options, context: 1_048_576, sequences: 256 })).toThrow(PreflightError);
    expect(() => preflight(model, { ...options, context: 1_048_576, sequences: 256 })).toThrow(
      /does not fit: weights .* KV cache 64.00 GiB \(256 x 1048576 tokens\)/,
    );
  });
});
