// The tails of two arms by counting who could have had which point, and by what must not matter to them.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pairedTails, unpairedTails } from '../../../src/canary/judge/tail.ts';
import { createRng } from '../../../src/stats/rng.ts';

const sorted = (values: readonly number[]): Float64Array => new Float64Array(values).sort();
const unpaired = (baseline: readonly number[], candidate: readonly number[]) =>
  unpairedTails(new Float64Array(baseline), new Float64Array(candidate), sorted(baseline), sorted(candidate));
const paired = (differences: readonly number[]) => pairedTails(new Float64Array(differences));
/** Values of 0 .. 19 around a centre, so that the spread is known, and no tail. */
const body = Array.from({ length: 20 }, (_, index) => index / 10);

describe('paired tails', () => {
  // Differences of +-1: the robust standard deviation is 1.4826. Scores are 0 at 2 to 3 of them and full 2.2 further out.
  const centre = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? 1 : -1));
  it.each([
    ['one far up', [50], { pUpper: 1 / 2, pLower: 1, least: 1 / 2 }],
    ['three far up', [50, 60, 9e9], { pUpper: 1 / 8, pLower: 1, least: 1 / 8 }],
    ['two up, one down, all as far as counts', [50, 60, -70], { pUpper: 1 / 2, pLower: 7 / 8, least: 1 / 8 }],
    ['none', [], { pUpper: 1, pLower: 1, least: 1 }],
    ['one that is not far', [2.5], { pUpper: 1, pLower: 1, least: 1 }],
  ])('%s', (_title, far, expected) => {
    const { pUpper, pLower, least } = paired([...centre, ...far]);
    expect(pUpper).toBeCloseTo(expected.pUpper, 12);
    expect(pLower).toBeCloseTo(expected.pLower, 12);
    expect(least).toBeCloseTo(expected.least, 12);
  });
  it('mirror, do not depend on the unit, and say nothing where most differences are 0', () => {
    const differences = fc.array(fc.integer({ min: -100, max: 100 }), { minLength: 5, maxLength: 40 });
    fc.assert(
      fc.property(differences, fc.constantFrom(0.5, 2, 1024), (d, unit) => {
        const one = paired(d);
        const mirrored = paired(d.map((value) => -value));
        expect(mirrored.pUpper).toBeCloseTo(one.pLower, 12);
        expect(mirrored.pLower).toBeCloseTo(one.pUpper, 12);
        expect(paired(d.map((value) => unit * value))).toEqual(one);
        for (const p of [one.pUpper, one.pLower]) expect(p >= one.least - 1e-12 && p <= 1).toBe(true);
      }),
    );
    expect(paired([0, 0, 0, 0, 99])).toEqual({ pUpper: 1, pLower: 1, least: 1 });
  });
});

describe('unpaired tails', () => {
  it.each([
    ['three points far up of the candidate', body, [...body, 100, 200, 300], { upper: (23 / 43) ** 3 }],
    ['three points far up of the baseline', [...body, 100, 200, 300], body, { upper: 1 }],
    ['one each', [...body, 100], [...body, 100], { upper: 3 / 4 }],
  ])('%s', (_title, baseline, candidate, { upper }) => {
    const { pUpper, pLower } = unpaired(baseline, candidate);
    expect(pUpper).toBeCloseTo(upper, 12);
    expect(pLower).toBe(1);
  });
  it('mirror, and depend neither on unit, origin nor order', () => {
    const arm = fc.array(fc.integer({ min: -60, max: 60 }), { minLength: 4, maxLength: 30 });
    fc.assert(
      fc.property(arm, arm, fc.constantFrom(0.5, 8), fc.integer({ min: -64, max: 64 }), (x, y, unit, origin) => {
        const one = unpaired(x, y);
        const mirrored = unpaired(
          x.map((value) => -value),
          y.map((value) => -value),
        );
        expect(mirrored.pUpper).toBeCloseTo(one.pLower, 12);
        expect(mirrored.pLower).toBeCloseTo(one.pUpper, 12);
        expect(
          unpaired(
            x.toReversed().map((value) => unit * value + origin),
            y.toReversed().map((value) => unit * value + origin),
          ),
        ).toEqual(one);
      }),
    );
  });
  it('are found where half of all points are the same, and not where all are', () => {
    const same = new Array<number>(20).fill(1);
    expect(unpaired(same, same)).toEqual({ pUpper: 1, pLower: 1, least: 1 });
    // The spread is read off the 95th percentile, 85.5 here: 999 and 9999 are beyond two of it.
    expect(unpaired(same, [...same, 9, 99, 999, 9999]).pUpper).toBeCloseTo((24 / 44) ** 2, 12);
  });
});

it('of two arms alike are rarely found, with few points in them and with many', () => {
  for (const points of [60, 3000]) {
    const rng = createRng(`tails ${points}`);
    const runs = points === 60 ? 2000 : 200;
    let [upper, one] = [0, 0];
    for (let run = 0; run < runs; run++) {
      const draw = (): number[] => Array.from({ length: points }, () => Math.exp(rng.normal()));
      if (unpaired(draw(), draw()).pUpper <= 0.05) upper++;
      if (paired(draw().map((value) => value - Math.exp(rng.normal()))).pUpper <= 0.05) one++;
    }
    // 5 % and four standard errors.
    const most = 0.05 * runs + 4 * Math.sqrt(0.05 * 0.95 * runs);
    expect(upper).toBeLessThan(most);
    expect(one).toBeLessThan(most);
  }
});
