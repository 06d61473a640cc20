import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cholesky, solveCholesky } from '../../src/stats/linear.ts';

describe('cholesky', () => {
  it('factors the textbook example', () => {
    // 4 12 -16 / 12 37 -43 / -16 -43 98 = L L' with L = 2 / 6 1 / -8 5 3.
    expect([...cholesky(Float64Array.from([4, 12, -16, 12, 37, -43, -16, -43, 98]), 3)]).toEqual([2, 0, 0, 6, 1, 0, -8, 5, 3]);
  });
  it('refuses a matrix that is not positive definite', () => {
    expect(() => cholesky(Float64Array.from([1, 2, 2, 1]), 2)).toThrow(RangeError);
  });
  it("solves A x = b for A = M M' + I", () => {
    const numbers = fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(numbers, fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { minLength: 4, maxLength: 4 }), (m, x) => {
        const a = new Float64Array(16);
        for (let i = 0; i < 4; i += 1)
          for (let j = 0; j < 4; j += 1)
            a[i * 4 + j] = [0, 1, 2, 3].reduce((sum, k) => sum + m[i * 4 + k]! * m[j * 4 + k]!, i === j ? 1 : 0);
        const b = Float64Array.from([0, 1, 2, 3], (i) => [0, 1, 2, 3].reduce((sum, k) => sum + a[i * 4 + k]! * x[k]!, 0));
        for (const [i, value] of solveCholesky(cholesky(a, 4), b, 4).entries()) expect(value).toBeCloseTo(x[i]!, 6);
      }),
    );
  });
});
