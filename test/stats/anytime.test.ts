import { describe, expect, test } from 'vitest';
import { mixtureBoundaryZ, mixturePValue } from '../../src/stats/anytime.ts';
import { crossingProbability } from '../../src/stats/group-sequential.ts';
import { createRng } from '../../src/stats/rng.ts';

describe('group-sequential boundary (Pocock constants, Jennison and Turnbull table 2.1)', () => {
  test.each([
    [2, 1.875, 0.05],
    [5, 2.122, 0.05],
    [10, 2.27, 0.05],
    [20, 2.392, 0.05],
    [5, 2.413, 0.025],
    [20, 2.672, 0.025],
  ])('%d looks at %d', (looks, c, alpha) => expect(Math.abs(crossingProbability(c, looks) - alpha)).toBeLessThan(4e-4));
  test('one look is the plain tail', () => expect(crossingProbability(1.6448536269514722, 1)).toBeCloseTo(0.05, 12));
});

describe('mixture boundary', () => {
  test('p-value equals alpha on the boundary', () => {
    for (const v of [1, 7, 60, 1000]) expect(mixturePValue(mixtureBoundaryZ(v, 60, 0.05), v, 60, 0.05)).toBeCloseTo(0.05, 10);
  });
  test('a random walk looked at after each of 300 steps crosses in at most 5 % of runs', () => {
    const rng = createRng('mixture');
    let crossed = 0;
    for (let run = 0; run < 1000; run++) {
      let s = 0;
      for (let n = 1; n <= 300; n++) {
        s += rng.normal();
        if (s / Math.sqrt(n) > mixtureBoundaryZ(n, 60, 0.05)) {
          crossed++;
          break;
        }
      }
    }
    expect(crossed).toBeLessThanOrEqual(50);
    expect(crossed).toBeGreaterThan(5);
  });
});
