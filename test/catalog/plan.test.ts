import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MIXTRAL } from '../../scripts/sizing.ts';
import { contradictions, countParameters } from '../../src/catalog/architecture.ts';
import { formatBytes, parseBytes } from '../../src/catalog/bytes.ts';
import { planMemory, remedies } from '../../src/catalog/memory-plan.ts';
import { bitsPerWeight, PROPOSALS } from '../../src/catalog/quantisation.ts';

const GIB = 2 ** 30;
const TOTAL = 46_702_792_704;
const H100 = { memoryBytes: 80 * GIB, accelerators: 1, overheadBytes: GIB, utilisation: 1 };
const needs = (quantisation: string, more = {}) => ({
  architecture: MIXTRAL,
  weightBytes: (TOTAL * bitsPerWeight(quantisation)!) / 8,
  context: 8192,
  sequences: 8,
  batchTokens: 512,
  kvCacheType: 'f16',
  ...more,
});
const proposals = PROPOSALS.map((name) => [name, bitsPerWeight(name)!] as const);

describe('parameters of an architecture', () => {
  it.each([
    ['Mixtral 8x7B (published: 46.7 B and 12.9 B)', MIXTRAL, { total: TOTAL, active: 12_879_925_248 }],
    [
      'Mistral 7B (published: 7,241,732,096)',
      { ...MIXTRAL, family: 'mistral', experts: 1, activeExperts: 1 },
      { total: 7_241_732_096, active: 7_241_732_096 },
    ],
    [
      'mixtral-micro',
      {
        ...MIXTRAL,
        layers: 4,
        hiddenSize: 192,
        heads: 6,
        kvHeads: 2,
        headDim: 32,
        feedForwardSize: 256,
        vocabularySize: 2048,
        tiedEmbeddings: true,
      },
      { total: 5_512_896, active: 1_973_952 },
    ],
  ])('%s', (_name, architecture, counts) => {
    expect(countParameters(architecture)).toEqual(counts);
  });

  it('Mixtral 8x22B: published are 141 B and 39 B', () => {
    const counts = countParameters({
      ...MIXTRAL,
      layers: 56,
      hiddenSize: 6144,
      heads: 48,
      feedForwardSize: 16384,
      vocabularySize: 32768,
    })!;
    expect([counts.total, counts.active].map((count) => Math.round(count / 1e9))).toEqual([141, 39]);
  });

  it('counts nothing for a family it does not know', () => {
    expect(countParameters({ ...MIXTRAL, family: 'deepseek' })).toBeUndefined();
  });

  it.each([
    [{ activeExperts: 9 }, 'activeExperts'],
    [{ kvHeads: 5 }, 'kvHeads'],
    [{ experts: 1, activeExperts: 1 }, 'experts'],
  ])('sees the contradiction in %j', (change, field) => {
    expect(contradictions({ ...MIXTRAL, ...change }).map((each) => each.field)).toEqual([field]);
  });
});

describe('planMemory', () => {
  it('128 KiB of KV cache a token and 1 GiB a sequence of 8192, as for Mixtral 8x7B', () => {
    const plan = planMemory(needs('Q8_0'), H100);
    expect([plan.kvPerToken, plan.kvCache]).toEqual([131_072, 8 * GIB]);
  });

  it.each([
    ['F16', 93.4, false],
    ['Q8_0', 49.63, true],
    ['Q4_K_M', 28.45, true],
  ])('%s is %f GB of weights, as published files are; fits 80 GiB with 8 x 8192: %s', (quantisation, gigabytes, fits) => {
    const plan = planMemory(needs(quantisation), H100);
    expect(plan.weights / 1e9).toBeCloseTo(gigabytes, 1);
    expect(plan.fits).toBe(fits);
  });

  it('does not fall for the active parameters: 12.9 B in F16 would fit, 46.7 B do not', () => {
    expect(planMemory({ ...needs('F16'), weightBytes: 12_879_925_248 * 2 }, H100).fits).toBe(true);
    expect(planMemory(needs('F16'), H100).fits).toBe(false);
  });

  it('q8_0 KV takes 0.531 of f16', () => {
    expect(
      planMemory(needs('Q8_0', { kvCacheType: 'q8_0' }), H100).kvCache / planMemory(needs('Q8_0'), H100).kvCache,
    ).toBeCloseTo(0.53125, 10);
  });

  it('grows with every need and never with memory', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 1, max: 32768 }),
        fc.integer({ min: 1, max: 8 }),
        (sequences, context, accelerators) => {
          const capacity = { ...H100, accelerators };
          const plan = planMemory(needs('Q8_0', { sequences, context }), capacity);
          expect(plan.total).toBe(plan.weights + plan.kvCache + plan.activations + plan.overhead);
          expect(planMemory(needs('Q8_0', { sequences: sequences + 1, context }), capacity).total).toBeGreaterThan(plan.total);
          expect(planMemory(needs('Q8_0', { sequences, context: context + 1 }), capacity).total).toBeGreaterThan(plan.total);
        },
      ),
    );
  });
});

describe('remedies really fit, and are the least that does', () => {
  it.each(['F16', 'Q8_0', 'Q4_K_M'])('%s on 48 GiB', (quantisation) => {
    const capacity = { ...H100, memoryBytes: 48 * GIB };
    const n = needs(quantisation);
    const found = remedies(n, capacity, TOTAL, proposals);
    for (const name of found.quantisations) expect(planMemory(needs(name), capacity).fits).toBe(true);
    if (found.sequences > 0) expect(planMemory({ ...n, sequences: found.sequences }, capacity).fits).toBe(true);
    if (found.sequences < n.sequences) expect(planMemory({ ...n, sequences: found.sequences + 1 }, capacity).fits).toBe(false);
    if (found.accelerators !== undefined) {
      expect(planMemory(n, { ...capacity, accelerators: found.accelerators }).fits).toBe(true);
      if (found.accelerators > 2) expect(planMemory(n, { ...capacity, accelerators: found.accelerators - 1 }).fits).toBe(false);
    }
  });
});

describe('parseBytes', () => {
  it.each([
    ['80GiB', 80 * GIB],
    ['80Gi', 80 * GIB],
    ['80 GiB', 80 * GIB],
    ['80GB', 80e9],
    ['80G', 80e9],
    ['1.5KiB', 1536],
    ['1024', 1024],
    ['0', 0],
  ])('%s', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });
  it.each(['', 'GiB', '-1GiB', '80XB', '80GiBs', '1e9', 'NaN', '9'.repeat(30)])('refuses %j', (text) => {
    expect(parseBytes(text)).toBeUndefined();
  });
  it('formatBytes', () => {
    expect([0, 1023, 1024, 5.5 * GIB].map(formatBytes)).toEqual(['0 B', '1023 B', '1.00 KiB', '5.50 GiB']);
  });
});
