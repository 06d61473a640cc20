import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dequantize, floatToHalf, halfToFloat, quantize } from '../src/gguf/quant.ts';
import { tensorType } from '../src/gguf/types.ts';

interface Reference {
  source: string;
  values: number[][];
  types: Record<string, { hex: string[]; decoded: number[][] }>;
}

const reference = JSON.parse(readFileSync(new URL('./fixtures/quantised-blocks.json', import.meta.url), 'utf8')) as Reference;

describe('block quantisation against the gguf package of ggml', () => {
  for (const [name, expected] of Object.entries(reference.types)) {
    it.each(reference.values.map((_, row) => row))(`${name} encodes row %i to the same bytes`, (row) => {
      const bytes = quantize(tensorType(name), Float32Array.from(reference.values[row] as number[]));
      expect(Buffer.from(bytes).toString('hex')).toBe(expected.hex[row]);
    });
    it.each(reference.values.map((_, row) => row))(`${name} decodes row %i to the same floats`, (row) => {
      const values = dequantize(tensorType(name), Buffer.from(expected.hex[row] as string, 'hex'), 32);
      expect([...values]).toEqual(expected.decoded[row]);
    });
  }
});

describe('half precision', () => {
  it('goes back and forth exactly for every finite half', () => {
    for (let half = 0; half < 0x10000; half++) {
      const value = halfToFloat(half);
      if (Number.isNaN(value)) continue;
      expect(floatToHalf(value)).toBe(half);
    }
  });

  it('rounds to the nearest half', () => {
    fc.assert(
      fc.property(fc.float({ min: -65504, max: 65504, noNaN: true }), (value) => {
        const half = floatToHalf(value);
        const error = Math.abs(halfToFloat(half) - value);
        for (const other of [half - 1, half + 1]) {
          if (other < 0 || (other & 0x7fff) >= 0x7c00) continue;
          expect(error).toBeLessThanOrEqual(Math.abs(halfToFloat(other) - value));
        }
      }),
    );
  });

  it.each([
    [65520, 0x7c00],
    [Number.POSITIVE_INFINITY, 0x7c00],
    [Number.NEGATIVE_INFINITY, 0xfc00],
    [2 ** -25, 0],
    [2 ** -24, 1],
    [-0, 0x8000],
  ])('%d becomes %i', (value, half) => {
    expect(floatToHalf(value)).toBe(half);
  });
});

describe('what cannot be converted', () => {
  it('names the type', () => {
    expect(() => quantize(tensorType('Q4_K'), new Float32Array(256))).toThrow(
      /Q4_K cannot be converted here; supported: F32, F16/,
    );
  });
  it('refuses a partial block', () => {
    expect(() => quantize(tensorType('Q8_0'), new Float32Array(33))).toThrow(/33 values do not divide/);
  });
});
