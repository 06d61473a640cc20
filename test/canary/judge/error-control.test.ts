import { describe, expect, test } from 'vitest';
import { adjustForLooks, nominalLevel } from '../../../src/canary/judge/error-control.ts';
import { normalQuantile } from '../../../src/stats/distributions.ts';
import { crossingProbability } from '../../../src/stats/group-sequential.ts';

describe('repeated looks', () => {
  test.each([2, 5, 20, 50])('%d looks: the nominal level adjusts back to alpha', (looks) => {
    expect(adjustForLooks(nominalLevel(0.05, looks, 60), looks, 60, 0.05)).toBeCloseTo(0.05, 4);
  });
  test('unlimited looks: the nominal level adjusts back to alpha at any size', () => {
    for (const n of [5, 60, 1000]) expect(adjustForLooks(nominalLevel(0.05, 1000, n), 1000, n, 0.05)).toBeCloseTo(0.05, 9);
  });
  test('interpolation agrees with the recursion', () => {
    for (const p of [0.3, 0.0471, 0.0033, 1e-6]) {
      const exact = crossingProbability(-normalQuantile(p), 20);
      expect(Math.abs(adjustForLooks(p, 20, 60, 0.05) / exact - 1)).toBeLessThan(2e-4);
    }
  });
  test('one look changes nothing; more looks never help', () => {
    for (const p of [0.4, 0.05, 1e-4, 1e-15, 0]) {
      expect(adjustForLooks(p, 1, 60, 0.05)).toBe(p);
      expect(adjustForLooks(p, 20, 60, 0.05)).toBeGreaterThanOrEqual(p);
    }
  });
});
