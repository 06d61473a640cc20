import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judgeCase } from '../../../src/canary/judge/judge.ts';
import type { CaseInput } from '../../../src/canary/judge/types.ts';
import { createRng } from '../../../src/stats/rng.ts';
import { caseOf, lognormal } from './cases.ts';

const arm = fc.record({
  n: fc.integer({ min: 5, max: 70 }),
  seed: fc.string({ maxLength: 6 }),
  shift: fc.double({ min: 0.6, max: 1.7, noNaN: true }),
});
const design = fc.constantFrom('paired' as const, 'unpaired' as const);

function build(a: { n: number; seed: string; shift: number }, d: 'paired' | 'unpaired'): CaseInput {
  return caseOf(lognormal(a.n, `${a.seed}/b`), lognormal(a.n, `${a.seed}/c`, 100 * a.shift), {}, { design: d });
}

/** Plain, mostly zero, or of a few values: each has tests of its own. */
const shape = fc.constantFrom(
  (v: number): number => v,
  (v: number, i: number): number => (i % 3 === 0 ? v : 0),
  (v: number): number => (v > 130 ? 0 : v > 70 ? 2 : 3) / 3,
);

describe('properties', () => {
  test.each([1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9])('pairs of one ratio are ties in every unit: x %d', (unit) => {
    const pairs = (factor: number): CaseInput => {
      const baseline = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? 1 : 2 / 3) * factor);
      return caseOf(
        baseline,
        baseline.map((v, i) => (i % 2 === 0 ? 1.5 * factor : Math.max(v, factor))),
        {},
        { design: 'paired' },
      );
    };
    const [one, two] = [judgeCase(pairs(1)).metrics[0]!, judgeCase(pairs(unit)).metrics[0]!];
    expect([two.verdict, two.method]).toEqual([one.verdict, one.method]);
    expect(two.pValue! / one.pValue!).toBeCloseTo(1, 9);
  });

  test('the unit does not matter, from 1e-9 to 1e9', () => {
    fc.assert(
      fc.property(arm, design, fc.constantFrom(1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9), shape, (a, d, unit, as) => {
        const { baseline, candidate } = build(a, d).metrics[0]!;
        const inUnit = (factor: number): CaseInput =>
          caseOf(
            Array.from(baseline as number[], (v, i) => as(v, i) * factor),
            Array.from(candidate as number[], (v, i) => as(v, i) * factor),
            {},
            { design: d },
          );
        const [input, scaled] = [inUnit(1), inUnit(unit)];
        const [one, two] = [judgeCase(input), judgeCase(scaled)];
        expect(two.verdict).toBe(one.verdict);
        expect(two.metrics[0]!.effect ?? 0).toBeCloseTo(one.metrics[0]!.effect ?? 0, 9);
        expect(two.metrics[0]!.pValue ?? 0).toBeCloseTo(one.metrics[0]!.pValue ?? 0, 9);
      }),
      { numRuns: 300 },
    );
  });

  test("swapping the arms mirrors the effect: (1 + e)(1 + e') = 1, bounds exchange", () => {
    fc.assert(
      fc.property(arm, design, (a, d) => {
        const input = build(a, d);
        const { baseline, candidate } = input.metrics[0]!;
        const one = judgeCase({ ...input, metrics: [{ ...input.metrics[0]!, direction: 'either' }] }).metrics[0]!;
        const two = judgeCase(caseOf(candidate as number[], baseline as number[], { direction: 'either' }, { design: d }))
          .metrics[0]!;
        // A metric blocked by dependence shows an estimate and no tests.
        fc.pre(one.effect !== null && one.subTests !== undefined);
        expect((1 + one.effect) * (1 + two.effect!)).toBeCloseTo(1, 9);
        if (one.interval[0] !== null && two.interval[1] !== null)
          expect((1 + one.interval[0]) * (1 + two.interval[1])).toBeCloseTo(1, 8);
        expect(two.subTests![0]!.pValue).toBeCloseTo(one.subTests![0]!.pValue, 9);
      }),
      { numRuns: 150 },
    );
  });

  test('higher-is-better of the reciprocal is lower-is-better', () => {
    fc.assert(
      fc.property(arm, design, (a, d) => {
        const input = build(a, d);
        const flip = (values: ArrayLike<number | null>): number[] => Array.from(values as number[], (v) => 1 / v);
        const metric = input.metrics[0]!;
        const mirrored = caseOf(flip(metric.baseline), flip(metric.candidate), { direction: 'higher' }, { design: d });
        expect(judgeCase(mirrored).metrics[0]!.subTests?.[0]?.pValue ?? 1).toBeCloseTo(
          judgeCase(input).metrics[0]!.subTests?.[0]?.pValue ?? 1,
          9,
        );
      }),
      { numRuns: 100 },
    );
  });

  test('same input, same bytes', () => {
    fc.assert(
      fc.property(arm, design, (a, d) => {
        expect(JSON.stringify(judgeCase(build(a, d)))).toBe(JSON.stringify(judgeCase(build(a, d))));
      }),
      { numRuns: 50 },
    );
  });

  test('points with times may arrive in any order', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 60 }), fc.string({ maxLength: 5 }), (n, seed) => {
        const rows = lognormal(n, seed).map((v, i) => ({ t: i, b: v, c: v * 1.1 }));
        const rng = createRng(`${seed}!`);
        const shuffled = rows
          .map((row) => ({ row, place: rng.uniform() }))
          .sort((a, b) => a.place - b.place)
          .map(({ row }) => row);
        const of = (list: typeof rows): CaseInput =>
          caseOf(
            list.map((r) => r.b),
            list.map((r) => r.c),
            { times: list.map((r) => r.t) },
          );
        expect(judgeCase(of(shuffled))).toEqual(judgeCase(of(rows)));
      }),
      { numRuns: 60 },
    );
  });

  test('hostile numbers never crash and an empty arm never passes', () => {
    const value = fc.oneof(
      fc.double({ noDefaultInfinity: true }),
      fc.constantFrom(0, -0, 1, Number.MAX_VALUE, Number.MIN_VALUE, -Number.MAX_VALUE),
      fc.constant(null),
    );
    fc.assert(
      fc.property(
        fc.array(value, { maxLength: 30 }),
        fc.array(value, { maxLength: 30 }),
        fc.constantFrom('lower' as const, 'higher' as const, 'either' as const),
        (b, c, direction) => {
          const { verdict, reason } = judgeCase(caseOf(b, c, { direction }));
          expect(reason).not.toBe('');
          if ([b, c].some((list) => list.every((v) => v === null || Number.isNaN(v)))) expect(verdict).toBe('inconclusive');
        },
      ),
      { numRuns: 400 },
    );
  });
});
