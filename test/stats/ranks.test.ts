import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hodgesLehmannCentre, hodgesLehmannShift, kthDifference } from '../../src/stats/hodges-lehmann.ts';
import { mannWhitney } from '../../src/stats/mann-whitney.ts';
import { midranks } from '../../src/stats/ranks.ts';
import { wilcoxonSignedRank } from '../../src/stats/wilcoxon.ts';

const X = [210.05211, 110.19063, 307.918612];
const Y = [
  436.08811482466416, 416.37397329768191, 179.96975939463582, 197.8118754228619, 34.038757281225756, 138.54220550921517,
  128.7769351470246, 265.92721427951852, 275.6617533155341, 592.34083395416258, 448.73177590617018, 300.61495185038905,
  187.97508449019588,
];

describe('Mann-Whitney against scipy and R', () => {
  test('U', () => expect(mannWhitney(X, Y).u).toBe(16));
  test.each([
    ['asymptotic', 'two-sided', 0.6865041817876],
    ['asymptotic', 'less', 0.3432520908938],
    ['asymptotic', 'greater', 0.7047591913255],
    ['exact', 'two-sided', 0.7035714285714],
    ['exact', 'less', 0.3517857142857],
    ['exact', 'greater', 0.6946428571429],
  ] as const)('%s %s', (method, alternative, p) => expect(mannWhitney(X, Y, { method, alternative }).p).toBeCloseTo(p, 12));
  test('without continuity correction', () =>
    expect(mannWhitney(X, Y, { method: 'asymptotic', continuity: false }).p).toBeCloseTo(0.6377328900502, 12));

  const y0 = [1, 2, 3, 4, 5];
  const a = [0, 0.01, 0, 0.01, 0];
  const b = [0, 0, 0.01, 0, 0];
  test.each([
    ['y0 - .01', y0.map((v) => v - 0.01), 10, 1],
    ['y0 - a', y0.map((v, i) => v - a[i]!), 9, 0.9017048037317],
    ['y0 - b', y0.map((v, i) => v - b[i]!), 8.5, 0.804080657472],
    ['y0', y0, 8, 0.7086240584439],
    ['y0 + b', y0.map((v, i) => v + b[i]!), 7.5, 0.6197963884941],
    ['y0 + a', y0.map((v, i) => v + a[i]!), 7, 0.5368784563079],
    ['y0 + .01', y0.map((v) => v + 0.01), 6, 0.3912672792826],
  ])('ties, asymptotic: %s', (_, y, u, p) => {
    const result = mannWhitney([1, 2, 3, 4], y, { method: 'asymptotic' });
    expect(result.u).toBe(u);
    expect(result.p).toBeCloseTo(p, 12);
  });

  test.each([
    [[12, 11, 13, 15], 0, 0.0142857143, 0.0285714286, 1],
    [[0, 4, 6, 7], 5, 0.242857143, 0.485714286, 0.828571429],
    [[2, 2, 2, 2], 10, 0.857142857, 0.714285714, 0.357142857],
  ])('exact permutation, y = %j', (y, u, less, twoSided, greater) => {
    const x = [2, 1, 3, 5];
    expect(mannWhitney(x, y).u).toBe(u);
    expect(mannWhitney(x, y, { alternative: 'less' }).p).toBeCloseTo(less, 9);
    expect(mannWhitney(x, y).p).toBeCloseTo(twoSided, 9);
    expect(mannWhitney(x, y, { alternative: 'greater' }).p).toBeCloseTo(greater, 9);
  });

  test('large samples', () => {
    const x = Array.from({ length: 500 }, (_, i) => 2 * i);
    const y = Array.from({ length: 600 }, (_, i) => 2 * i - 41);
    expect(mannWhitney(x, y).u).toBe(135250);
    expect(mannWhitney(x, y, { alternative: 'less' }).p).toBeCloseTo(0.0024667680407, 12);
    expect(mannWhitney(x, y, { alternative: 'greater' }).p).toBeCloseTo(0.9975346930459, 12);
    expect(mannWhitney(x, y).p).toBeCloseTo(0.0049335360814, 12);
  });

  test('P(U <= u) for n = m = 5 is the published table', () => {
    const table = [0.004, 0.008, 0.016, 0.028, 0.048, 0.075, 0.111, 0.155, 0.21, 0.274, 0.345, 0.421, 0.5, 0.579];
    table.forEach((expected, u) => {
      const { x, y } = samplesWithU(u);
      const result = mannWhitney(x, y, { alternative: 'less', method: 'exact' });
      expect(result.u).toBe(u);
      expect(result.p).toBeCloseTo(expected, 2.9);
    });
  });

  test('exact p equals brute force over every relabelling, with ties', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 2, maxLength: 9 }), fc.nat(), (values, cut) => {
        const m = 1 + (cut % (values.length - 1));
        const p = mannWhitney(values.slice(0, m), values.slice(m), { alternative: 'greater', method: 'exact' }).p;
        expect(p).toBeCloseTo(bruteForceGreater(values, m), 10);
      }),
      { numRuns: 200 },
    );
  });
});

/** Two samples of five without ties whose U (of x) is u: y at 0..4, x pushed one rank up at a time. */
function samplesWithU(u: number): { x: number[]; y: number[] } {
  const y = [1, 2, 3, 4, 5];
  let left = u;
  const x = [0, 0, 0, 0, 0].map((_, i) => {
    const above = Math.min(5, left);
    left -= above;
    return above + 0.5 + i * 0.01;
  });
  return { x, y };
}

function bruteForceGreater(values: number[], m: number): number {
  const { ranks } = midranks(values);
  const observed = ranks.slice(0, m).reduce((a, b) => a + b, 0);
  let hits = 0;
  let all = 0;
  for (let mask = 0; mask < 1 << values.length; mask++) {
    let size = 0;
    let sum = 0;
    for (let i = 0; i < values.length; i++) {
      if ((mask >> i) & 1) {
        size++;
        sum += ranks[i]!;
      }
    }
    if (size !== m) continue;
    all++;
    if (sum >= observed) hits++;
  }
  return hits / all;
}

describe('Wilcoxon signed-rank (Hollander and Wolfe, depression scores)', () => {
  const before = [1.83, 0.5, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.3];
  const after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
  const d = before.map((v, i) => v - after[i]!);
  test('V = 40, p greater = 0.01953125', () => {
    const result = wilcoxonSignedRank(d, { alternative: 'greater' });
    expect(result.w).toBe(40);
    expect(result.p).toBeCloseTo(0.01953125, 12);
  });
  test('Hodges-Lehmann centre is 0.46', () => expect(hodgesLehmannCentre(d)).toBeCloseTo(0.46, 10));
  test('exact equals brute force over sign patterns, with ties and zeros', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 9 }), (values) => {
        const kept = values.filter((v) => v !== 0);
        const { ranks } = midranks(kept.map(Math.abs));
        const observed = kept.reduce((sum, v, i) => sum + (v > 0 ? ranks[i]! : 0), 0);
        let hits = 0;
        for (let mask = 0; mask < 1 << kept.length; mask++) {
          let sum = 0;
          for (let i = 0; i < kept.length; i++) if ((mask >> i) & 1) sum += ranks[i]!;
          if (sum >= observed) hits++;
        }
        expect(wilcoxonSignedRank(values, { alternative: 'greater' }).p).toBeCloseTo(hits / (1 << kept.length), 10);
      }),
    );
  });
  test('asymptotic agrees with exact at n = 40 to three digits', () => {
    const long = Array.from({ length: 40 }, (_, i) => (i % 3 === 0 ? -1 : 1) * (i + 1));
    const exact = wilcoxonSignedRank(long, { method: 'exact' }).p;
    expect(Math.abs(wilcoxonSignedRank(long, { method: 'asymptotic' }).p - exact)).toBeLessThan(1e-3);
  });
});

describe('Hodges-Lehmann shift', () => {
  test('order statistics of the differences equal a full sort', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 12 }),
        fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 12 }),
        fc.nat(),
        (xs, ys, at) => {
          const x = Float64Array.from(xs).sort();
          const y = Float64Array.from(ys).sort();
          const all = Array.from(y)
            .flatMap((v) => Array.from(x, (w) => v - w))
            .sort((a, b) => a - b);
          const k = 1 + (at % all.length);
          expect(kthDifference(x, y, k)).toBe(all[k - 1]);
        },
      ),
    );
  });
  test('Hollander and Wolfe permeability data: shift -0.305 (R: wilcox.test conf.int)', () => {
    const x = Float64Array.from([0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]).sort();
    const y = Float64Array.from([1.15, 0.88, 0.9, 0.74, 1.21]).sort();
    expect(hodgesLehmannShift(x, y, { tail: 0.05 }).estimate).toBeCloseTo(-0.305, 12);
  });
  test('the interval shifts and scales with the data', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.5, max: 2, noNaN: true }), { minLength: 6, maxLength: 30 }),
        fc.constantFrom(1e-9, 1e-4, 1e4, 1e9),
        (values, scale) => {
          const x = Float64Array.from(values).sort();
          const y = Float64Array.from(values, (v) => v * 1.3).sort();
          const one = hodgesLehmannShift(x, y, { tail: 0.05 });
          const two = hodgesLehmannShift(
            x.map((v) => v * scale),
            y.map((v) => v * scale),
            { tail: 0.05 },
          );
          expect(two.estimate / scale).toBeCloseTo(one.estimate, 9);
          if (Number.isFinite(one.low)) expect(two.low / scale).toBeCloseTo(one.low, 9);
        },
      ),
    );
  });
});
