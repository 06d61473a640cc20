import { describe, expect, test } from 'vitest';
import { mixtureBoundaryZ, mixturePValue } from '../../src/stats/anytime.ts';
import { normalSf } from '../../src/stats/distributions.ts';
import {
  boundaryAt,
  boundaryConstant,
  constantThrough,
  crossingProbability,
  earlyShape,
} from '../../src/stats/group-sequential.ts';
import { createRng } from '../../src/stats/rng.ts';

describe('group-sequential boundary (Pocock constants, Jennison and Turnbull table 2.1)', () => {
  test.each([
    [2, 1.875, 0.05],
    [5, 2.122, 0.05],
    [10, 2.27, 0.05],
    [20, 2.392, 0.05],
    [5, 2.413, 0.025],
    [20, 2.672, 0.025],
  ])('%d looks at %d', (looks, c, alpha) => expect(Math.abs(crossingProbability(c, { looks }) - alpha)).toBeLessThan(4e-4));
  test('one look is the plain tail', () => expect(crossingProbability(1.6448536269514722, { looks: 1 })).toBeCloseTo(0.05, 12));
});

describe('group-sequential boundary of other shapes', () => {
  // O'Brien and Fleming: Jennison and Turnbull 2000, table 2.3; Wang and Tsiatis 1987 (two-sided 5 %).
  test.each([
    [2, 0, 1.977],
    [3, 0, 2.004],
    [4, 0, 2.024],
    [5, 0, 2.04],
    [10, 0, 2.087],
    [2, 0.1, 1.994],
    [2, 0.25, 2.038],
    [2, 0.4, 2.111],
  ])('%d looks with delta %d: %d', (looks, delta, c) =>
    expect(Math.abs(boundaryConstant(0.025, { looks, delta }) - c)).toBeLessThan(6e-4),
  );
  test("O'Brien and Fleming's three looks as rpact prints them", () => {
    const c = boundaryConstant(0.025, { looks: 3, delta: 0 });
    [3.4710914, 2.4544323, 2.0040356].forEach((z, i) => {
      expect(boundaryAt(c, i + 1, { looks: 3, delta: 0 })).toBeCloseTo(z, 3);
    });
  });
  test.each([2, 5, 20, 50])('only the last two of %d looks test: two correlated normals, in closed form', (looks) => {
    const correlation = Math.sqrt((looks - 1) / looks);
    const both = 1 / 4 + Math.asin(correlation) / (2 * Math.PI);
    expect(crossingProbability(0, { looks, first: looks - 1 })).toBeCloseTo(1 - both, 3);
  });
  test('looks that do not test: as often crossed as by simulated paths', () => {
    const plan = { looks: 20, first: 6, delta: 0.62 };
    const rng = createRng('delayed');
    const runs = 20_000;
    let crossed = 0;
    for (let run = 0; run < runs; run++) {
      let s = 0;
      for (let k = 1; k <= plan.looks; k++) {
        s += rng.normal();
        if (k < plan.first || s / Math.sqrt(k) < boundaryAt(2.35, k, plan)) continue;
        crossed++;
        break;
      }
    }
    const expected = crossingProbability(2.35, plan);
    expect(Math.abs(crossed / runs - expected)).toBeLessThan(4 * Math.sqrt((expected * (1 - expected)) / runs));
  });
  test('one look that tests is the plain tail', () => expect(crossingProbability(2, { looks: 20, first: 20 })).toBe(normalSf(2)));
});

test('a boundary is found again from any of its points', () => {
  for (const delta of [0, 0.25, 0.5, 0.65])
    for (const k of [1, 7, 20]) {
      const plan = { looks: 20, delta };
      expect(constantThrough(boundaryAt(2.3, k, plan), k, plan)).toBeCloseTo(2.3, 12);
    }
  // O'Brien and Fleming: sqrt(K / k) times the last look's.
  expect(boundaryAt(2, 5, { looks: 20, delta: 0 })).toBeCloseTo(4, 12);
});

describe('what looks too early to stop leave', () => {
  test('is nothing where all looks test, or only the last; else as much as the level has room for', () => {
    expect([earlyShape(0.05, 20, 1), earlyShape(0.05, 20, 20), earlyShape(0.05, 20, 0)]).toEqual([0.5, 0.5, 0.5]);
    const constant = boundaryConstant(0.05, { looks: 20 });
    const delta = earlyShape(0.05, 20, 6);
    expect(delta).toBeGreaterThan(0.55);
    expect(crossingProbability(constant, { looks: 20, first: 6, delta })).toBeLessThanOrEqual(0.05);
    if (delta < 0.65) expect(crossingProbability(constant, { looks: 20, first: 6, delta: delta + 0.01 })).toBeGreaterThan(0.05);
  });
  test.each([
    [2, 2],
    [5, 2],
    [20, 1],
    [20, 2],
    [20, 6],
    [20, 19],
  ])('of %d looks, from look %d on: the level is kept, and no look asks for more than Pocock', (looks, first) => {
    const delta = earlyShape(0.05, looks, first);
    const plan = { looks, first, delta };
    const c = boundaryConstant(0.05, plan);
    expect(crossingProbability(c, plan)).toBeCloseTo(0.05, 5);
    const pocock = boundaryConstant(0.05, { looks });
    for (let k = first; k <= looks; k++) expect(boundaryAt(c, k, plan)).toBeLessThanOrEqual(pocock + 1e-6);
    expect(delta).toBeGreaterThanOrEqual(0.5);
    expect(delta).toBeLessThanOrEqual(0.65);
  });
});

describe('mixture boundary', () => {
  test('p-value equals alpha on the boundary', () => {
    for (const v of [1, 7, 60, 1000]) expect(mixturePValue(mixtureBoundaryZ(v, 60, 0.05), v, 60, 0.05)).toBeCloseTo(0.05, 10);
  });
  test('is tightest near the size that it is made for', () => {
    const at = (v: number, optimum: number) => mixtureBoundaryZ(v, optimum, 0.05);
    for (const v of [10, 60, 400]) {
      // Howard and others 2021, section 3.6: made for v it asks for less there than one made for 4 times as much or as little.
      expect(at(v, v)).toBeLessThan(at(v, 4 * v));
      expect(at(v, v)).toBeLessThan(at(v, v / 4));
      for (const factor of [0.8, 1.25]) expect(at(v, v)).toBeLessThan(at(v, factor * v) + 1e-3);
    }
  });
  test('nothing against the candidate is no evidence, and no p is above 1', () => {
    for (const z of [Number.NaN, -3, 0, 1e-9]) expect(mixturePValue(z, 100, 60, 0.05)).toBe(1);
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
