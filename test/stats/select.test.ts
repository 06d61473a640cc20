import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { countBelow, mergeSorted, midranks, sortedCopy, sortedDeviations } from '../../src/stats/ranks.ts';
import { medianAndDeviation, select } from '../../src/stats/select.ts';
import { medianAbsoluteDeviation, medianSorted } from '../../src/stats/summary.ts';

/** Short and long, continuous, tied, and of wildly different sizes. */
const samples = fc
  .oneof(
    fc.array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 400 }),
    fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 400 }),
    fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e300, max: 1e300 }), { minLength: 1, maxLength: 200 }),
  )
  .map((values) => Float64Array.from(values, (v) => v + 0));

describe('selection gives what sorting gives', () => {
  test('k-th smallest, and the order it promises', () =>
    fc.assert(
      fc.property(samples, fc.nat(), (values, pick) => {
        const k = pick % values.length;
        const work = new Float64Array(values);
        expect(select(work, k)).toBe(sortedCopy(values)[k]);
        for (let i = 0; i < work.length; i++) expect(i < k ? work[i]! <= work[k]! : work[i]! >= work[k]!).toBe(true);
      }),
    ));
  test('median and deviation', () =>
    fc.assert(
      fc.property(samples, (values) => {
        const before = new Float64Array(values);
        const sorted = sortedCopy(values);
        const { median, deviation } = medianAndDeviation(values);
        expect(median).toBe(medianSorted(sorted));
        expect(deviation).toBe(medianAbsoluteDeviation(sorted, median));
        expect(values).toEqual(before);
      }),
    ));
  test('arrangements that are hard on a quickselect', () => {
    const n = 5000;
    for (const shape of [
      (i: number) => i,
      (i: number) => -i,
      (i: number) => Math.abs(i - n / 2),
      (i: number) => i % 2,
      () => 7,
    ]) {
      const values = Float64Array.from({ length: n }, (_, i) => shape(i));
      expect(select(new Float64Array(values), 1234)).toBe(sortedCopy(values)[1234]);
    }
  });
  test('no values', () => expect(medianAndDeviation(new Float64Array())).toEqual({ median: Number.NaN, deviation: Number.NaN }));
});

describe('one sort serves all', () => {
  test('merge', () =>
    fc.assert(
      fc.property(samples, samples, (x, y) => {
        expect(mergeSorted(sortedCopy(x), sortedCopy(y))).toEqual(sortedCopy([...x, ...y].map((v) => v + 0)));
      }),
    ));
  test('deviations', () =>
    fc.assert(
      fc.property(samples, fc.double({ min: -10, max: 10, noNaN: true }), (values, centre) => {
        const sorted = sortedCopy(values);
        expect(sortedDeviations(sorted, centre)).toEqual(sortedCopy(values.map((v) => Math.abs(v - centre))));
      }),
    ));
  test('ranks from buckets are those from a plain search', () =>
    fc.assert(
      fc.property(samples, (values) => {
        const sorted = sortedCopy(values);
        const { ranks } = midranks(values);
        values.forEach((value, i) => {
          const below = countBelow(sorted, value);
          const equal = sorted.filter((v) => v === value).length;
          expect(ranks[i]).toBe(below + (equal + 1) / 2);
        });
      }),
    ));
});
