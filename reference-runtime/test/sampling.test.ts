// Sampling at its edges: where a draw falls on a boundary, and what rounding would take away.
import { describe, expect, it } from 'vitest';
import { logProbability, pick } from '../src/engine/sampling.ts';

describe('a pick', () => {
  const three = new Map([
    [7, 0.5],
    [3, 0.25],
    [9, 0.25],
  ]);
  it.each([
    [1, 0, 7],
    [1, 0.5, 3],
    [1, 0.75, 9],
    // A nucleus holds at least one token, and the token that reaches its mass is the last one in it.
    [0, 0.99, 7],
    [0.5, 0.99, 7],
    [0.75, 0.99, 3],
  ])('with topP %d and a draw of %d is token %i', (topP, draw, token) => expect(pick(three, 1, topP, () => draw)).toBe(token));

  it('among many equals stays uniform at a temperature where powers of their probability underflow', () => {
    const equal = new Map(Array.from({ length: 1000 }, (_, token) => [token, 0.001]));
    expect(pick(equal, 0.001, 1, () => 0.5)).toBe(500);
  });

  it('never is a token of probability 0', () => {
    const certain = new Map([
      [1, 1],
      [2, 0],
    ]);
    for (const draw of [0, 0.5, 1 - 2 ** -53]) expect(pick(certain, 2, 1, () => draw)).toBe(1);
  });

  it('of nothing is an error', () => expect(() => pick(new Map(), 1, 1, () => 0)).toThrow(RangeError));
});

// The smallest normal float32 is 2^-126 (IEEE 754-2019, table 3.5: emin of binary32).
it.each([
  [1, 0],
  [0.5, -Math.LN2],
  [0, -126 * Math.LN2],
  [2 ** -149, -126 * Math.LN2],
])('the log of probability %d is %d', (probability, expected) => expect(logProbability(probability)).toBeCloseTo(expected, 9));
