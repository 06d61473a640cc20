import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Alternative } from '../../src/stats/alternative.ts';
import { conditionalRateTest, fisherExact, mcNemarExact } from '../../src/stats/fisher.ts';
import { mannWhitney, subsetSumDistribution } from '../../src/stats/mann-whitney.ts';
import { signFlipTest } from '../../src/stats/permutation.ts';
import { createRng } from '../../src/stats/rng.ts';
import { signFlipDistribution, wilcoxonSignedRank } from '../../src/stats/wilcoxon.ts';

/** Each test is held against counting all equally likely arrangements, from the definition of its p-value alone. Digits that agree: */
const DIGITS = 10;

/** p from the statistic of every arrangement; two-sided doubles the smaller tail. */
function counted(statistics: readonly number[], observed: number, alternative: Alternative): number {
  const slack = 1e-9;
  const greater = statistics.filter((value) => value >= observed - slack).length / statistics.length;
  const less = statistics.filter((value) => value <= observed + slack).length / statistics.length;
  return alternative === 'greater' ? greater : alternative === 'less' ? less : Math.min(1, 2 * Math.min(greater, less));
}

/** All ways to take `size` of n things, as lists of indices. */
function subsets(n: number, size: number): number[][] {
  const found: number[][] = [];
  for (let mask = 0; mask < 2 ** n; mask++) {
    const chosen = Array.from({ length: n }, (_, i) => i).filter((i) => (mask >> i) & 1);
    if (chosen.length === size) found.push(chosen);
  }
  return found;
}

const alternatives = fc.constantFrom<Alternative>('greater', 'less', 'two-sided');
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const pairsAbove = (x: readonly number[], y: readonly number[]): number =>
  sum(x.flatMap((a) => y.map((b) => (a > b ? 1 : a === b ? 0.5 : 0))));

describe('Mann-Whitney with ties', () => {
  test('exact p, every alternative: pairs counted in every relabelling', () =>
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 2, maxLength: 9 }),
        fc.nat(),
        alternatives,
        (values, cut, alternative) => {
          const m = 1 + (cut % (values.length - 1));
          const u = (chosen: readonly number[]): number =>
            pairsAbove(
              chosen.map((i) => values[i]!),
              values.filter((_, i) => !chosen.includes(i)),
            );
          const all = subsets(values.length, m).map(u);
          const first = Array.from({ length: m }, (_, i) => i);
          const result = mannWhitney(values.slice(0, m), values.slice(m), { alternative, method: 'exact' });
          expect(result.u).toBe(u(first));
          expect(result.p).toBeCloseTo(counted(all, u(first), alternative), DIGITS);
        },
      ),
    ));
  test('sums of random subsets', () =>
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 9 }), fc.nat(), (items, at) => {
        const size = at % (items.length + 1);
        const sums = subsets(items.length, size).map((chosen) => sum(chosen.map((i) => items[i]!)));
        const mass = subsetSumDistribution(Int32Array.from(items), size);
        for (const [s, p] of mass.entries()) expect(p).toBeCloseTo(sums.filter((one) => one === s).length / sums.length, DIGITS);
      }),
    ));
});

describe('sign flips', () => {
  const patterns = <T>(values: readonly T[], flip: (value: T, up: boolean) => number): number[] =>
    Array.from({ length: 2 ** values.length }, (_, mask) => sum(values.map((value, i) => flip(value, ((mask >> i) & 1) === 1))));
  test('Wilcoxon signed-rank, every alternative, ties and zeros: ranks by counting smaller and equal sizes', () =>
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 9 }),
        alternatives,
        (values, alternative) => {
          const kept = values.filter((value) => value !== 0);
          const rank = (value: number): number =>
            kept.filter((other) => Math.abs(other) < Math.abs(value)).length +
            (kept.filter((other) => Math.abs(other) === Math.abs(value)).length + 1) / 2;
          const observed = sum(kept.filter((value) => value > 0).map(rank));
          const all = patterns(kept.map(rank), (value, up) => (up ? value : 0));
          expect(wilcoxonSignedRank(values, { alternative, method: 'exact' }).p).toBeCloseTo(
            kept.length === 0 ? 1 : counted(all, observed, alternative),
            DIGITS,
          );
        },
      ),
    ));
  test('sign-flip test of the mean, whole blocks at a time', () =>
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 10 }),
        fc.integer({ min: 1, max: 3 }),
        (values, blockLength) => {
          const blocks: number[] = [];
          for (let i = 0; i < values.length; i += blockLength) blocks.push(sum(values.slice(i, i + blockLength)));
          const all = patterns(blocks, (value, up) => (up ? value : -value));
          const result = signFlipTest(values, createRng(1), { blockLength });
          expect(result.method).toBe('exact');
          expect(result.p).toBeCloseTo(counted(all, sum(values), 'greater'), DIGITS);
        },
      ),
    ));
  test('the Monte Carlo p of a longer series is near the exact one', () =>
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -4, max: 6 }), { minLength: 15, maxLength: 18 }), fc.nat(), (values, seed) => {
        const exact = counted(
          patterns(values, (value, up) => (up ? value : -value)),
          sum(values),
          'greater',
        );
        const { p, draws, method } = signFlipTest(values, createRng(seed));
        expect(method).toBe('monte-carlo');
        // Six standard errors, and the one draw that validity adds.
        expect(Math.abs(p - exact)).toBeLessThan(6 * Math.sqrt((exact * (1 - exact)) / draws) + 2 / draws);
      }),
      { numRuns: 5 },
    ));
  test('scores with a chance other than one half: the tail test', () =>
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 16 }), { minLength: 1, maxLength: 9 }),
        fc.double({ min: 0.05, max: 0.95, noNaN: true }),
        (items, chance) => {
          const mass = signFlipDistribution(Int32Array.from(items), chance);
          const expected = new Float64Array(mass.length);
          for (let mask = 0; mask < 2 ** items.length; mask++) {
            const up = items.filter((_, i) => (mask >> i) & 1);
            expected[sum(up)]! += chance ** up.length * (1 - chance) ** (items.length - up.length);
          }
          for (const [s, p] of mass.entries()) expect(p).toBeCloseTo(expected[s]!, DIGITS);
        },
      ),
    ));
});

describe('tables of counts', () => {
  test('Fisher: every way to deal the events to the requests', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 6 }),
        fc.nat(),
        fc.nat(),
        alternatives,
        (n1, n2, at1, at2, alternative) => {
          const [k1, k2] = [at1 % (n1 + 1), at2 % (n2 + 1)];
          const inFirst = subsets(n1 + n2, k1 + k2).map((events) => events.filter((i) => i < n1).length);
          const p = fisherExact(k1, n1 - k1, k2, n2 - k2, alternative);
          if (alternative !== 'two-sided') expect(p).toBeCloseTo(counted(inFirst, k1, alternative), DIGITS);
          else {
            // R's rule: every table that is no likelier than the observed one.
            const likely = (k: number): number => inFirst.filter((one) => one === k).length;
            const extreme = inFirst.filter((k) => likely(k) <= likely(k1)).length;
            expect(p).toBeCloseTo(extreme / inFirst.length, 6);
          }
        },
      ),
    ));
  test('McNemar: every way the discordant pairs could have fallen', () =>
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 }), alternatives, (worse, better, alternative) => {
        const all = Array.from(
          { length: 2 ** (worse + better) },
          (_, mask) => [...mask.toString(2)].filter((b) => b === '1').length,
        );
        expect(mcNemarExact(worse, better, alternative)).toBeCloseTo(counted(all, worse, alternative), DIGITS);
      }),
    ));
  test('conditional binomial: every event falls on a unit of exposure', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        alternatives,
        (c, b, exposureC, exposureB, alternative) => {
          const units = exposureC + exposureB;
          const all = Array.from({ length: units ** (c + b) }, (_, code) => {
            let mine = 0;
            for (let event = 0, rest = code; event < c + b; event++, rest = Math.floor(rest / units)) {
              if (rest % units < exposureC) mine++;
            }
            return mine;
          });
          expect(conditionalRateTest(c, exposureC, b, exposureB, alternative)).toBeCloseTo(counted(all, c, alternative), DIGITS);
        },
      ),
    ));
});
