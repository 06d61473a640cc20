import { describe, expect, test } from 'vitest';
import { adjustForLooks, nominalLevel, planLooks, pointsBeforeStop } from '../../../src/canary/judge/error-control.ts';
import { normalQuantile } from '../../../src/stats/distributions.ts';
import { crossingProbability } from '../../../src/stats/group-sequential.ts';

/** 20 looks at 60 pairs. */
const twenty = (look: number) => planLooks(20, look, 0.05, pointsBeforeStop('continuous', 'paired', 20), 3 * look);

describe('repeated looks', () => {
  test.each([2, 5, 20, 50])('%d looks: the nominal level adjusts back to alpha', (looks) => {
    expect(adjustForLooks(nominalLevel(0.05, { looks }, 60), { looks }, 60, 0.05)).toBeCloseTo(0.05, 4);
  });
  test.each([6, 10, 20])('look %d of 20, where it is known: the same', (look) => {
    const plan = twenty(look);
    expect(adjustForLooks(nominalLevel(0.05, plan, 60), plan, 60, 0.05)).toBeCloseTo(0.05, 4);
    expect(adjustForLooks(nominalLevel(0.0005, plan, 60), plan, 60, 0.05)).toBeCloseTo(0.0005, 6);
  });
  test('unlimited looks: the nominal level adjusts back to alpha at any size', () => {
    const plan = { looks: 1000 };
    for (const n of [5, 60, 1000]) expect(adjustForLooks(nominalLevel(0.05, plan, n), plan, n, 0.05)).toBeCloseTo(0.05, 9);
  });
  test('interpolation agrees with the recursion', () => {
    for (const p of [0.3, 0.0471, 0.0033, 1e-6]) {
      const exact = crossingProbability(-normalQuantile(p), { looks: 20 });
      expect(Math.abs(adjustForLooks(p, { looks: 20 }, 60, 0.05) / exact - 1)).toBeLessThan(2e-4);
    }
  });
  test('one look changes nothing; more looks never help', () => {
    for (const p of [0.4, 0.05, 1e-4, 1e-15, 0]) {
      expect(adjustForLooks(p, { looks: 1 }, 60, 0.05)).toBe(p);
      for (const plan of [{ looks: 20 }, twenty(6), twenty(13), twenty(20)])
        expect(adjustForLooks(p, plan, 60, 0.05)).toBeGreaterThanOrEqual(p);
    }
  });
});

describe('which look it is', () => {
  test('pairs pay for the looks that can stop: from 16 pairs on', () => {
    expect(twenty(10)).toMatchObject({ looks: 20, first: 6, look: 10 });
    for (const look of [6, 10, 20]) expect(twenty(look).first).toBe(6);
  });
  test('no look is stricter than where it is not known, and the earliest is much less so', () => {
    const unknown = nominalLevel(0.05, { looks: 20 }, 60);
    for (const look of [6, 10, 15, 20]) expect(nominalLevel(0.05, twenty(look), 60)).toBeGreaterThanOrEqual(unknown - 1e-9);
    expect(nominalLevel(0.05, twenty(6), 60)).toBeGreaterThan(2 * unknown);
  });
  test('stronger evidence gives a smaller p, across the end of the table as well', () => {
    const ps = [0.2, 0.01, 1e-6, 1e-9, 1e-11, 1e-13, 1e-16].map((p) => adjustForLooks(p, twenty(8), 60, 0.05));
    expect(ps).toEqual([...ps].sort((a, b) => b - a));
  });
  test('series, counts and rates pay for all looks', () => {
    expect(pointsBeforeStop('continuous', 'unpaired', 20)).toBe(1);
    expect(pointsBeforeStop('binary', 'paired', 20)).toBe(1);
    expect(planLooks(20, 10, 0.05, 1, 30)).toMatchObject({ first: 1, delta: 0.5 });
  });
  test('without it, with one look, and above 50 looks nothing changes', () => {
    expect([planLooks(20, undefined, 0.05, 16, 30), planLooks(1, 1, 0.05, 16, 30), planLooks(51, 7, 0.05, 16, 30)]).toEqual([
      { looks: 20 },
      { looks: 1 },
      { looks: 51 },
    ]);
  });
});
