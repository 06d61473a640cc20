import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { dequantize } from '../src/gguf/quant.ts';
import { openGguf } from '../src/gguf/reader.ts';
import { makeVariant, type VariantKind, type VariantOptions } from '../src/gguf/variants.ts';
import { randomModel, temporary } from './support/models.ts';

const dir = temporary();
afterAll(dir.remove);
const model = randomModel(dir.file('model.gguf'));
let count = 0;

function variant(options: VariantOptions): { path: string; detail: string } {
  const path = dir.file(`variant-${count++}.gguf`);
  return { path, detail: makeVariant(model, path, options).detail };
}

function tensors(path: string): Map<string, Buffer> {
  using file = openGguf(path);
  return new Map(file.header.tensors.map((tensor) => [tensor.name, file.tensorBytes(tensor)]));
}

function changed(path: string): string[] {
  const before = tensors(model);
  const after = tensors(path);
  expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
  return [...before].filter(([name, bytes]) => !after.get(name)?.equals(bytes)).map(([name]) => name);
}

/** Rows of one expert's down projection as hex, in order. */
function rows(path: string, expert: number): string[] {
  const bytes = tensors(path).get('blk.1.ffn_down_exps.weight') as Buffer;
  const rowBytes = (64 / 32) * 34;
  return Array.from({ length: 64 }, (_, row) =>
    bytes.subarray((expert * 64 + row) * rowBytes, (expert * 64 + row + 1) * rowBytes).toString('hex'),
  );
}

describe('variants', () => {
  it('expert-corrupt permutes rows of one expert of one layer and nothing else', () => {
    const { path } = variant({ kind: 'expert-corrupt', layer: 1, expert: 5 });
    expect(changed(path)).toEqual(['blk.1.ffn_down_exps.weight']);
    expect([...rows(path, 5)].sort()).toEqual([...rows(model, 5)].sort());
    expect(rows(path, 5).filter((row, index) => row === rows(model, 5)[index])).toEqual([]);
    for (const other of [0, 1, 2, 3, 4, 6, 7]) expect(rows(path, other)).toEqual(rows(model, other));
  });

  it.each([
    [0.25, 16],
    [0.5, 32],
    [0.01, 2],
  ])('expert-corrupt with strength %d moves %i of 64 rows', (strength, moved) => {
    const { path } = variant({ kind: 'expert-corrupt', layer: 1, expert: 2, strength });
    expect(rows(path, 2).filter((row, index) => row !== rows(model, 2)[index])).toHaveLength(moved);
  });

  it('expert-zero decodes to zeros', () => {
    const { path } = variant({ kind: 'expert-zero', layer: 1, expert: 0 });
    expect(changed(path)).toEqual(['blk.1.ffn_down_exps.weight']);
    expect(new Set(rows(path, 0))).toEqual(new Set(['0'.repeat(136)]));
    expect(rows(path, 1)).toEqual(rows(model, 1));
  });

  it('router-bias scales one row of the router', () => {
    const { path } = variant({ kind: 'router-bias', layer: 0, expert: 3, strength: 1 });
    expect(changed(path)).toEqual(['blk.0.ffn_gate_inp.weight']);
    const before = new Float32Array(Uint8Array.from(tensors(model).get('blk.0.ffn_gate_inp.weight') as Buffer).buffer);
    const after = new Float32Array(Uint8Array.from(tensors(path).get('blk.0.ffn_gate_inp.weight') as Buffer).buffer);
    expect([...after]).toEqual([...before].map((value, index) => (Math.floor(index / 64) === 3 ? value * 2 : value)));
  });

  it('attention-noise changes the attention of every layer, or of one', () => {
    expect(changed(variant({ kind: 'attention-noise' }).path)).toHaveLength(8);
    expect(changed(variant({ kind: 'attention-noise', layer: 1 }).path)).toEqual([
      'blk.1.attn_q.weight',
      'blk.1.attn_k.weight',
      'blk.1.attn_v.weight',
      'blk.1.attn_output.weight',
    ]);
  });

  it.each(['Q4_0', 'Q5_0', 'F16'] as const)('requantise to %s stays near and leaves router and norms alone', (type) => {
    const { path } = variant({ kind: 'requantise', type });
    using before = openGguf(model);
    using after = openGguf(path);
    for (const tensor of after.header.tensors) {
      const original = before.header.tensors.find((other) => other.name === tensor.name);
      if (original === undefined) throw new Error(tensor.name);
      if (!tensor.name.includes('_exps')) continue;
      expect(tensor.type.name).toBe(type);
      const elements = tensor.dims.reduce((product, dim) => product * dim, 1);
      const a = dequantize(original.type, before.tensorBytes(original), elements);
      const b = dequantize(tensor.type, after.tensorBytes(tensor), elements);
      const largest = a.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      // A 4-bit step is an eighth of the block's largest value.
      for (let index = 0; index < elements; index++)
        expect(Math.abs((a[index] as number) - (b[index] as number))).toBeLessThanOrEqual(largest / 8);
    }
    expect(changed(path).some((name) => /norm|gate_inp|token_embd/.test(name) && type !== 'F16')).toBe(false);
  });

  it('rebuild changes the file and no tensor', () => {
    const { path } = variant({ kind: 'rebuild' });
    expect(readFileSync(path).equals(readFileSync(model))).toBe(false);
    expect(changed(path)).toEqual([]);
    expect([...tensors(path).keys()]).not.toEqual([...tensors(model).keys()]);
  });

  it('gives the same bytes for the same seed and others for another', () => {
    const make = (seed: number): Buffer =>
      readFileSync(variant({ kind: 'expert-corrupt', layer: 1, expert: 1, strength: 0.5, seed }).path);
    expect(make(7).equals(make(7))).toBe(true);
    expect(make(7).equals(make(8))).toBe(false);
  });

  const refused: Array<[string, VariantKind, Partial<VariantOptions>, RegExp]> = [
    ['a layer the model has not', 'expert-zero', { layer: 2, expert: 0 }, /--layer 2: this model has 2 layers, expected 0 to 1/],
    [
      'an expert the model has not',
      'expert-zero',
      { layer: 0, expert: 8 },
      /--expert 8: this model has 8 experts, expected 0 to 7/,
    ],
    ['no layer', 'expert-corrupt', { expert: 0 }, /--layer is needed/],
    ['no type', 'requantise', {}, /--type is needed/],
    ['a strength above all rows', 'expert-corrupt', { layer: 0, expert: 0, strength: 1.5 }, /--strength 1.5/],
    ['a strength of zero', 'attention-noise', { strength: 0 }, /--strength 0/],
    ['an expert copied onto itself', 'expert-copy', { layer: 0, expert: 1, other: 1 }, /--other 1: the same expert/],
    ['the number of experts it has', 'experts-used', { strength: 2 }, /--strength 2: expected a number of experts from 1 to 8/],
    ['a factor that is no power of two', 'rescale', { strength: 3 }, /--strength 3: expected a power of two/],
    ['an alignment that is no power of two', 'align', { strength: 48 }, /--strength 48: expected a power of two/],
    ['half a bit', 'coarsen', { strength: 2.5 }, /--strength 2.5: expected whole bits/],
    ['a type everything already has', 'requantise', { type: 'Q8_0' }, /already is Q8_0/],
  ];
  it.each(refused)('refuses %s and writes nothing', (_name, kind, options, message) => {
    const before = readdirSync(dir.path).length;
    expect(() => variant({ kind, ...options })).toThrow(message);
    expect(readdirSync(dir.path)).toHaveLength(before);
    expect(existsSync(dir.file(`variant-${count - 1}.gguf`))).toBe(false);
  });
});
