import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mcNemarExact } from '../../src/stats/fisher.ts';
import { latticeSignFlip } from '../../src/stats/lattice.ts';

/** Every sign pattern of the differences: share whose sum is at least the observed one. */
function bruteForce(differences: readonly number[]): number {
  const sum = differences.reduce((a, b) => a + b, 0);
  let reached = 0;
  for (let pattern = 0; pattern < 2 ** differences.length; pattern++) {
    const total = differences.reduce((a, d, i) => a + ((pattern >> i) & 1 ? 1 : -1) * Math.abs(d), 0);
    if (total >= sum - 1e-9) reached++;
  }
  return reached / 2 ** differences.length;
}

test('the sign-flip distribution of a sum is that of all sign patterns, in any unit', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 10 }),
      fc.constantFrom(1, 1 / 3, 0.2, 1e-9, 7e9),
      (steps, unit) => {
        const result = latticeSignFlip(steps.map((step) => step * unit))!;
        expect(result.larger).toBeCloseTo(bruteForce(steps), 12);
        expect(result.smaller).toBeCloseTo(bruteForce(steps.map((step) => -step)), 12);
      },
    ),
    { seed: 6 },
  );
});

test('of ones and zeros it is the exact test of McNemar', () => {
  const result = latticeSignFlip([...new Array(9).fill(1), ...new Array(2).fill(-1), ...new Array(40).fill(0)])!;
  expect(result.larger).toBeCloseTo(mcNemarExact(9, 2), 14);
});

test('Darwin’s maize in eighths of an inch: 863 of 32768 sign patterns reach the sum of 314 (Fisher 1935, section 21)', () => {
  const eighths = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48];
  expect(latticeSignFlip(eighths)!.larger).toBeCloseTo(863 / 32768, 12);
});

test('values that are no multiples of a step have no such distribution', () => {
  expect(latticeSignFlip([1, Math.SQRT2, Math.PI])).toBeUndefined();
  expect(latticeSignFlip([0, 0])).toEqual({ larger: 1, smaller: 1 });
  // A sum of 4,000 steps is computed, one of 4,001 is not.
  expect(latticeSignFlip([3999, 1])).toEqual({ larger: 0.25, smaller: 1 });
  expect(latticeSignFlip([4000, 1])).toBeUndefined();
});
