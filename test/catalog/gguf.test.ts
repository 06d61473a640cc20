import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readModel, readModelFile } from '../../src/catalog/gguf.ts';
import { ConfigurationError } from '../../src/core/errors.ts';
import { gguf, MICRO, TINY, TINY_TENSORS } from './support.ts';

const read = (bytes: Buffer) =>
  readModel({ name: 'm.gguf', size: bytes.length, read: async (start, end) => bytes.subarray(start, end) });

describe('the header of a GGUF file', () => {
  it('of the model in the repository', async () => {
    const model = await readModelFile(MICRO);
    expect(model).toMatchObject({
      parameters: { total: 5_512_896, active: 1_973_952 },
      quantisation: 'Q8_0',
      architecture: { family: 'mixtral', experts: 8, activeExperts: 2, layers: 4, kvHeads: 2, headDim: 32 },
    });
  });

  it('counts parameters from shapes, and the active ones from the experts', async () => {
    expect(await read(gguf(TINY, TINY_TENSORS))).toMatchObject({
      parameters: { total: 208, active: 144 },
      weightBytes: 832,
      architecture: { headDim: 4, vocabularySize: 10 },
    });
  });

  it.each<[string, Buffer, RegExp]>([
    ['an empty file', Buffer.alloc(0), /0 bytes: too few/],
    ['text', Buffer.from('# a readme, surely longer than a header\n'), /does not start with the letters GGUF/],
    ['another version', Buffer.concat([Buffer.from('GGUF'), Buffer.from([9, 0, 0, 0]), Buffer.alloc(64)]), /unsupported version/],
    ['no tensors', gguf(TINY, []), /has no tensors/],
    ['more tensors announced than listed', gguf(TINY, TINY_TENSORS, { count: 40 }), /cut short/],
    ['a billion tensors', gguf(TINY, TINY_TENSORS, { count: 1e9 }), /Tensor count 1000000000 exceeds/],
    ['no architecture', gguf({ 'general.name': 'x' }, TINY_TENSORS), /names no architecture/],
    ['a missing size', gguf({ 'general.architecture': 'llama' }, TINY_TENSORS), /no usable llama\.embedding_length/],
    ['sizes of zero', gguf({ ...TINY, 'llama.attention.head_count': 0 }, TINY_TENSORS), /size of zero/],
    ['more experts used than there are', gguf({ ...TINY, 'llama.expert_used_count': 9 }, TINY_TENSORS), /9 of 4 experts/],
    ['experts that no tensor holds', gguf(TINY, [TINY_TENSORS[0]!]), /no tensor holds experts/],
    [
      'experts in separate tensors',
      gguf(TINY, [...TINY_TENSORS, { name: 'blk.0.ffn_gate.0.weight', shape: [8, 4] }]),
      /experts are in separate tensors/,
    ],
    ['a tensor twice', gguf(TINY, [TINY_TENSORS[0]!, TINY_TENSORS[0]!]), /listed twice/],
    ['an unknown tensor type', gguf(TINY, [{ name: 'x', shape: [8], type: 99 }]), /unknown type 99/],
    [
      'a tensor larger than the file',
      gguf(TINY, [{ name: 'x', shape: [2 ** 31, 2 ** 31] }], { data: 64 }),
      /x.* would take \d+ bytes/,
    ],
    [
      'a tensor behind the end',
      gguf(TINY, [{ name: 'x', shape: [8], offset: 1e9 }], { data: 64 }),
      /cut short: its tensors end at byte/,
    ],
    ['one part of several', gguf({ ...TINY, 'split.count': 3 }, TINY_TENSORS), /one of 3 parts/],
    ['prototype keys', gguf({ ['__proto__']: 'x', 'general.architecture': '__proto__' }, TINY_TENSORS), /no usable __proto__/],
  ])('%s: one sentence, no crash', async (_name, bytes, message) => {
    await expect(read(bytes)).rejects.toThrow(ConfigurationError);
    await expect(read(bytes)).rejects.toThrow(message);
  });

  it('cut anywhere, it is refused with one sentence', async () => {
    const whole = readFileSync(MICRO);
    for (const share of [0.00001, 0.0001, 0.001, 0.005, 0.01, 0.1, 0.5, 0.999])
      await expect(read(whole.subarray(0, Math.floor(whole.length * share)))).rejects.toThrow(ConfigurationError);
  });

  it('garbled anywhere in its header, it is read or refused, never a crash', async () => {
    const whole = gguf(TINY, TINY_TENSORS);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat({ max: 500 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 8 }),
        async (edits) => {
          const bytes = Buffer.from(whole);
          for (const [at, value] of edits) bytes[4 + at] = value;
          await read(bytes).catch((error: unknown) => expect(error).toBeInstanceOf(ConfigurationError));
        },
      ),
      { numRuns: 300 },
    );
  });
});
