import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import {
  availableMemory,
  gpuLayersThatFit,
  type Memory,
  type MemoryPlan,
  memoryLimit,
  planMemory,
  refusal,
} from '../src/gguf/memory.ts';
import type { ModelShape } from '../src/gguf/model-shape.ts';
import { PreflightError, planGpu, preflight } from '../src/gguf/preflight.ts';
import { type ByteSource, openGguf, parseHeader } from '../src/gguf/reader.ts';
import { GgufError, type MetadataValue, VALUE_TYPE } from '../src/gguf/types.ts';
import { writeGguf } from '../src/gguf/writer.ts';
import { microModel, randomModel, temporary } from './support/models.ts';

/** A byte source over memory. */
function bufferSource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read(position, into) {
      const slice = bytes.subarray(position, position + into.length);
      into.set(slice);
      return slice.length;
    },
  };
}

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
  // ggml/docs/gguf.md: metadata value types and their ids; everything little endian.
  it.each<[string, number, number[], unknown]>([
    ['uint8', 0, [0xfe], 254],
    ['int8', 1, [0xfe], -2],
    ['uint16', 2, [0x01, 0xff], 0xff01],
    ['int16', 3, [0x01, 0xff], -255],
    ['uint32', 4, [1, 0, 0, 0xff], 0xff000001],
    ['int32', 5, [1, 0, 0, 0xff], -16_777_215],
    ['float32', 6, [0, 0, 0xc0, 0xbf], -1.5],
    ['bool', 7, [1], true],
    ['bool', 7, [0], false],
    ['string', 8, [2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0xa9], 'é'],
    ['uint64', 10, [1, 0, 0, 0, 0, 0, 0, 0xff], 0xff00000000000001n],
    ['int64', 11, [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], -2n],
    ['float64', 12, [0, 0, 0, 0, 0, 0, 0xf8, 0xbf], -1.5],
  ])('reads %s', (type, id, encoded, value) => {
    for (const version of [2, 3]) {
      const one = Buffer.concat([
        head(0, 2, version),
        text('k'),
        u32(id),
        Buffer.from(encoded),
        text('after'),
        u32(7),
        Buffer.from([1]),
      ]);
      expect(parseHeader(bufferSource(one)).metadata).toEqual(
        new Map([
          ['k', { type, value }],
          ['after', { type: 'bool', value: true }],
        ]),
      );
      const list = Buffer.concat([
        head(0, 1, version),
        text('k'),
        u32(9),
        u32(id),
        u64(2),
        Buffer.from(encoded),
        Buffer.from(encoded),
      ]);
      expect(parseHeader(bufferSource(list)).metadata.get('k')).toEqual({ type: 'array', items: type, value: [value, value] });
    }
  });

  it('finds tensors where the alignment says, up to the last byte of the file', () => {
    const file = (alignment: number | undefined, end: number): Buffer => {
      const key = alignment === undefined ? [] : [text('general.alignment'), u32(4), u32(alignment)];
      const start = Buffer.concat([
        head(2, key.length === 0 ? 0 : 1),
        ...key,
        tensor('a', [3, 2], 0, 0),
        tensor('b', [1], 0, alignment ?? 32),
      ]);
      const data = Math.ceil(start.length / (alignment ?? 32)) * (alignment ?? 32);
      return Buffer.concat([start, Buffer.alloc(data + end - start.length)]);
    };
    for (const alignment of [undefined, 32, 64, 8 * 3]) {
      const step = alignment ?? 32;
      const whole = file(alignment, step + 4);
      const { tensors, dataOffset, fileBytes } = parseHeader(bufferSource(whole));
      expect([dataOffset % step, fileBytes]).toEqual([0, whole.length]);
      expect(tensors).toMatchObject([
        { name: 'a', dims: [3, 2], offset: dataOffset, bytes: 24 },
        { name: 'b', dims: [1], offset: dataOffset + step, bytes: 4 },
      ]);
      expect(() => parseHeader(bufferSource(file(alignment, step + 3)))).toThrow(/truncated GGUF file: tensor b ends/);
    }
    expect(() => parseHeader(bufferSource(file(12, 100)))).toThrow(/general.alignment is 12, expected a multiple of 8/);
    expect(() => parseHeader(bufferSource(file(131_072, 300_000)))).toThrow(/general.alignment is 131072/);
  });

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
      routedLayers: [0, 1],
      gating: { known: true, gating: { score: 'softmax', biasedLogits: false } },
      fileBytes: bytes.length,
    });
    // 2 x layers x KV heads x head size x 2 bytes x context x sequences
    expect(plan.ram.kvCache).toBe(2 * 2 * 1 * 32 * 2 * 256 * 2);
    expect(plan.ram.total).toBe(plan.ram.weights + plan.ram.kvCache + plan.ram.compute);
    expect(plan).toMatchObject({ gpuLayers: 0, ram: { weights: bytes.length } });
  });

  it('reads the shape of mixtral-micro: sizes by the arithmetic of Mixtral, bytes by Q8_0, 34 for 32 weights', () => {
    // Jiang et al. 2024, section 2, with width 192, 6 heads of 32 of which 2 are KV, 8 experts of 256, and a vocabulary of 2048.
    const attention = 2 * 192 * 192 + 2 * 192 * 64;
    const experts = 8 * 3 * 192 * 256;
    const float32 = 192 * 8 + 2 * 192;
    const embedding = 2048 * 192;
    const { shape } = preflight(microModel(), options);
    expect(shape).toMatchObject({
      layers: 4,
      experts: 8,
      expertsUsed: 2,
      width: 192,
      heads: 6,
      kvHeads: 2,
      headSize: 32,
      vocabulary: 2048,
      parameters: 4 * (attention + experts + float32) + embedding + 192,
      layerBytes: new Array(4).fill(((attention + experts) * 34) / 32 + float32 * 4),
      outputBytes: (embedding * 34) / 32,
      tiedOutput: true,
    });
  });

  /** The random model with other metadata; a key of undefined is left out. */
  const changed = (changes: Record<string, MetadataValue | undefined>): string => {
    const path = dir.file('changed.gguf');
    using file = openGguf(model);
    const metadata = new Map(file.header.metadata);
    for (const [key, value] of Object.entries(changes)) {
      if (value === undefined) metadata.delete(key);
      else metadata.set(key, value);
    }
    writeGguf(
      path,
      metadata,
      file.header.tensors.map((entry) => ({ ...entry, data: () => file.tensorBytes(entry) })),
    );
    return path;
  };
  const number = (value: number): MetadataValue => ({ type: 'uint32', value });
  it.each<[string, Record<string, MetadataValue | undefined>, RegExp]>([
    ['no architecture', { 'general.architecture': undefined }, /names no general\.architecture/],
    ['no layers', { 'llama.block_count': number(0) }, /llama\.block_count is missing or not positive/],
    ['no context', { 'llama.context_length': undefined }, /llama\.context_length is missing or not positive/],
    ['no tokenizer', { 'tokenizer.ggml.tokens': undefined }, /no tokenizer/],
    ['a tokenizer that is no list', { 'tokenizer.ggml.tokens': number(3) }, /no tokenizer/],
  ])('refuses a model of %s', (_name, changes, message) => {
    expect(() => preflight(changed(changes), options)).toThrow(PreflightError);
    expect(() => preflight(changed(changes), options)).toThrow(message);
  });
  it.each<[string, Record<string, MetadataValue | undefined>, object]>([
    ['as many KV heads as heads', { 'llama.attention.head_count_kv': undefined }, { heads: 2, kvHeads: 2 }],
    ['heads that share the width', {}, { kvHeads: 1, headSize: 32 }],
    ['heads of another size', { 'llama.attention.key_length': number(48) }, { headSize: 48 }],
    ['a name', {}, { name: 'random mixtral' }],
    ['no name', { 'general.name': undefined }, { name: 'unnamed' }],
  ])('reads %s', (_name, changes, expected) => expect(preflight(changed(changes), options).shape).toMatchObject(expected));

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

describe('memory of host and GPU', () => {
  const GIB = 1024 ** 3;
  /** Mixtral 8x7B in Q4_K_M: 28.45 GB, 32 layers, KV of 131,072 bytes a token; the matrices at both ends have 4,096 x 32,000 elements. */
  const ends = 4096 * 32_000;
  const mixtral: ModelShape = {
    ...preflight(model, { context: 256, sequences: 2, batch: 256, gpu: false }).shape,
    layers: 32,
    width: 4096,
    heads: 32,
    kvHeads: 8,
    headSize: 128,
    vocabulary: 32_000,
    fileBytes: 28.45e9,
    layerBytes: Array.from({ length: 32 }, () => (28.45e9 - 2 * ends) / 32),
    outputBytes: ends,
    tiedOutput: false,
  };
  const options = { context: 8192, sequences: 8, batch: 512 };
  const gpu = (gib: number, ram = 256): Memory => ({ ram: ram * GIB, vram: { available: gib * GIB, unified: false } });
  const ask = (memory: Memory, gpuLayers: number | 'auto' = 'auto', required = true): MemoryPlan =>
    planGpu('m.gguf', mixtral, { ...options, gpuLayers, required }, memory);

  it('an 80 GiB card takes all of Mixtral 8x7B with eight sequences of 8,192 tokens', () => {
    const plan = ask(gpu(79));
    expect(plan.gpuLayers).toBe(33);
    expect(plan.vram?.kvCache).toBe(131_072 * 8192 * 8);
    // Only the embedding stays on the host.
    expect(plan.ram.weights).toBeCloseTo(ends, -2);
  });

  it('a 24 GiB card takes as many layers as fit, and the host the rest', () => {
    const plan = ask(gpu(23));
    expect(plan.gpuLayers).toBeGreaterThan(15);
    expect(plan.gpuLayers).toBeLessThan(25);
    expect(plan.vram?.total).toBeLessThanOrEqual(23 * GIB);
    expect(planMemory(mixtral, options, gpu(23), plan.gpuLayers + 1).vram?.total).toBeGreaterThan(23 * GIB);
    const all = planMemory(mixtral, options, { ram: 0 });
    expect(plan.ram.weights + (plan.vram?.weights ?? 0)).toBeCloseTo(all.ram.weights, -2);
    expect(plan.ram.kvCache + (plan.vram?.kvCache ?? 0)).toBeCloseTo(all.ram.kvCache, -2);
  });

  it('plans scratch for the logits of a batch and for the widest step, and only for the logits on a host that keeps no layer', () => {
    const logits = 512 * 32_000 * 4;
    const step = 512 * 8 * 4096 * 4;
    expect(planMemory(mixtral, options, { ram: 0 }).ram.compute).toBe(logits + step);
    const [all, some] = [planMemory(mixtral, options, gpu(80), 33), planMemory(mixtral, options, gpu(80), 32)];
    expect([all.ram.compute, all.vram?.compute]).toEqual([logits, logits + step]);
    expect([some.ram.compute, some.vram?.compute]).toEqual([logits + step, logits + step]);
  });

  it('keeps a tied embedding on both sides', () => {
    const plan = planMemory({ ...mixtral, tiedOutput: true }, options, gpu(80), 33);
    expect(plan.ram.weights + (plan.vram?.weights ?? 0)).toBeCloseTo(mixtral.fileBytes + ends, -2);
  });

  it('says small sizes in MiB', () => {
    const small = { ...mixtral, fileBytes: 3 * 1024 ** 2 };
    const wanted = { context: 1, sequences: 1, batch: 1 };
    const memory = { ram: 1.5 * 1024 ** 2 };
    expect(refusal(planMemory(small, wanted, memory), wanted, memory)).toMatch(
      /^does not fit: weights 3\.0 MiB .* and 1\.5 MiB is available/,
    );
  });

  it('never counts on more than there is', () => {
    expect(availableMemory()).toBeGreaterThan(0);
    expect(availableMemory()).toBeLessThanOrEqual(memoryLimit());
    expect(memoryLimit()).toBeLessThanOrEqual(totalmem());
  });

  it('is the same sum whatever goes where', () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 33 }), (layers) => {
        const { ram, vram } = planMemory(mixtral, options, gpu(80), layers);
        expect(ram.weights + (vram?.weights ?? 0)).toBeCloseTo(mixtral.fileBytes, -2);
        expect(gpuLayersThatFit(mixtral, options, gpu((vram?.total ?? 0) / GIB))).toBe(layers);
      }),
    ));

  it('refuses with the numbers of the memory that is too small', () => {
    expect(() => ask(gpu(23), 33)).toThrow(
      /^m.gguf 33 layers do not fit the GPU: weights 26.37 GiB \+ KV cache 8.00 GiB \(8 x 8192 tokens\) \+ compute .* = .* GiB, and 23.00 GiB of VRAM is available; .* or fewer gpuLayers$/,
    );
    expect(() => ask(gpu(23, 8))).toThrow(/^m.gguf does not fit: weights .* and 8.00 GiB is available/);
    expect(() => ask({ ram: 8 * GIB })).toThrow(/^m.gguf does not fit: weights 26.50 GiB/);
  });

  it('a GPU that was asked for by name and takes no layer is an error; with auto the host serves', () => {
    expect(() => ask(gpu(0.01))).toThrow(/^m.gguf 1 layers do not fit the GPU/);
    expect(ask(gpu(0.01), 'auto', false)).toMatchObject({ gpuLayers: 0, ram: { weights: 28.45e9 } });
  });

  it('counts both where the memory is one', () => {
    const memory: Memory = { ram: 40 * GIB, vram: { available: 40 * GIB, unified: true } };
    expect(ask(memory).gpuLayers).toBe(33);
    expect(() => ask({ ...memory, ram: 30 * GIB })).toThrow(
      /on the host and 34.* GiB for the GPU in the same memory, and 30.00 GiB/,
    );
  });
});
