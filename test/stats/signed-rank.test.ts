// Tests of paired differences against counting every way to give them signs.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { normalSf } from '../../src/stats/distributions.ts';
import { midranks } from '../../src/stats/ranks.ts';
import { signFlipDistribution, wilcoxonSignedRank } from '../../src/stats/wilcoxon.ts';

/** Share of the 2^n sums of +- sizes whose positive part is at least, and at most, that of the signs given. */
function shares(sizes: number[], positive: boolean[]): { atLeast: number; atMost: number } {
  const sumOf = (signs: (index: number) => boolean): number =>
    sizes.reduce((sum, size, index) => sum + (signs(index) ? size : 0), 0);
  const observed = sumOf((index) => positive[index]!);
  const all = 2 ** sizes.length;
  let [atLeast, atMost] = [0, 0];
  for (let mask = 0; mask < all; mask++) {
    const sum = sumOf((index) => ((mask >> index) & 1) === 1);
    if (sum >= observed - 1e-9) atLeast++;
    if (sum <= observed + 1e-9) atMost++;
  }
  return { atLeast: atLeast / all, atMost: atMost / all };
}
const differences = fc.array(fc.integer({ min: -6, max: 6 }), { minLength: 1, maxLength: 10 });

it('the signed-rank test is exact, with ties, and leaves zeros out', () =>
  fc.assert(
    fc.property(differences, (d) => {
      const kept = d.filter((value) => value !== 0);
      const ranks = [...midranks(kept.map(Math.abs)).ranks];
      const { atLeast, atMost } =
        kept.length === 0
          ? { atLeast: 1, atMost: 1 }
          : shares(
              ranks,
              kept.map((value) => value > 0),
            );
      const w = ranks.reduce((sum, rank, index) => sum + (kept[index]! > 0 ? rank : 0), 0);
      for (const [alternative, p] of [
        ['greater', atLeast],
        ['less', atMost],
        ['two-sided', Math.min(1, 2 * Math.min(atLeast, atMost))],
      ] as const) {
        const result = wilcoxonSignedRank(d, { alternative });
        expect(result).toMatchObject({ w, n: kept.length, method: 'exact' });
        expect(result.p).toBeCloseTo(p, 12);
      }
    }),
  ));

it('the signed-rank test of many is normal, by the mean and variance of its ranks', () => {
  const many = fc.array(
    fc.integer({ min: -6, max: 9 }).filter((value) => value !== 0),
    { minLength: 51, maxLength: 80 },
  );
  fc.assert(
    fc.property(many, (d) => {
      const { ranks } = midranks(d.map(Math.abs));
      // Each rank is in or out with chance 1/2: mean sum / 2, variance sum of squares / 4.
      const w = d.reduce((sum, value, index) => sum + (value > 0 ? ranks[index]! : 0), 0);
      const mean = ranks.reduce((sum, rank) => sum + rank, 0) / 2;
      const sd = Math.sqrt(ranks.reduce((sum, rank) => sum + rank * rank, 0)) / 2;
      for (const [alternative, continuity, p] of [
        ['greater', false, normalSf((w - mean) / sd)],
        ['less', false, normalSf((mean - w) / sd)],
        ['two-sided', false, Math.min(1, 2 * normalSf(Math.abs(w - mean) / sd))],
        ['greater', true, normalSf((w - mean - 0.5) / sd)],
        ['less', true, normalSf((mean - w - 0.5) / sd)],
        ['two-sided', true, Math.min(1, 2 * normalSf((Math.abs(w - mean) - 0.5) / sd))],
      ] as const) {
        const result = wilcoxonSignedRank(d, { alternative, continuity });
        expect(result).toMatchObject({ w, n: d.length, method: 'asymptotic' });
        expect(result.z).toBeCloseTo((w - mean) / sd, 9);
        expect(result.p).toBeCloseTo(p, 9);
      }
    }),
    { numRuns: 30 },
  );
  const fifty = Array.from({ length: 50 }, (_, index) => index + 1);
  expect([wilcoxonSignedRank(fifty).method, wilcoxonSignedRank([...fifty, 51]).method]).toEqual(['exact', 'asymptotic']);
  expect(wilcoxonSignedRank([...fifty, 51], { method: 'exact', alternative: 'greater' })).toMatchObject({
    method: 'exact',
    p: 2 ** -51,
  });
  expect(wilcoxonSignedRank([1, 2], { method: 'asymptotic' }).method).toBe('asymptotic');
});

it('sums of numbers that are in by chance have the mean and the ends that they must', () =>
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }),
      fc.double({ min: 0.05, max: 0.95, noNaN: true }),
      (items, chance) => {
        const mass = signFlipDistribution(Int32Array.from(items), chance);
        const total = items.reduce((sum, item) => sum + item, 0);
        expect(mass).toHaveLength(total + 1);
        expect(mass.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 10);
        expect(mass.reduce((sum, p, at) => sum + p * at, 0)).toBeCloseTo(chance * total, 8);
        expect(mass[0]! / (1 - chance) ** items.length).toBeCloseTo(1, 9);
        expect(mass[total]! / chance ** items.length).toBeCloseTo(1, 9);
      },
    ),
  ));

it('differences that are all 0 say nothing', () =>
  expect(wilcoxonSignedRank([0, 0])).toEqual({ w: 0, n: 0, z: 0, p: 1, method: 'exact' }));
