import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { boundariesOf, unknownString } from '../../src/policy/boundaries.ts';
import { digitsOf, inputOf, parsePath, pathText, readDomain } from '../../src/policy/domain.ts';
import { PointEncoder } from '../../src/policy/encode.ts';
import { coveringSize, coveringStrength, pointsOf, samplePoints, spreadIndices } from '../../src/policy/sampling.ts';
import { domainDocument } from './support.ts';

const none = { comparisons: [], texts: [] };

describe('paths', () => {
  test.each([
    ['a', ['a']],
    ['a.b[0].c', ['a', 'b', 0, 'c']],
    ['a["x.y"][2]', ['a', 'x.y', 2]],
  ])('%s is read', (text, path) => {
    expect(parsePath(text)).toEqual(path);
    expect(pathText(path)).toBe(text);
  });
  test.each(['', '.', 'a..b', 'a[', 'a[-1]', 'a.b.', '[x]', 'a b'])('%j is no path', (text) => {
    expect(parsePath(text)).toBeUndefined();
  });
});

describe('domain documents', () => {
  test('the product counts every combination, absent and unknown included', () => {
    const domain = readDomain(
      domainDocument({ base: { a: 1, b: { c: 'x' } }, vary: { a: [1, 2, { absent: true }], 'b.c': ['x', { unknown: true }] } }),
      none,
    );
    expect(domain.size).toBe(6);
    const inputs = Array.from({ length: 6 }, (_, i) => inputOf(domain, digitsOf(domain, i)));
    expect(inputs[0]).toEqual({ a: 1, b: { c: 'x' } });
    expect(inputs[5]).toEqual({ b: { c: 'mixgate-unknown' } });
    expect(new Set(inputs.map((i) => JSON.stringify(i))).size).toBe(6);
  });
  test('boundaries are mined around each compared number', () => {
    const comparisons = [
      { field: 'load', value: 0.85 },
      { field: 'load', value: 3 },
      { field: 'other', value: 7 },
    ];
    expect(boundariesOf(comparisons, ['pools', 0, 'load'])).toEqual([0.84, 0.85, 0.86, 2, 3, 4]);
  });
  test('names and values come from the data document, each once and in its order; base takes the first', () => {
    const data = {
      tenants: { a: { models: ['m', 'n'], wl: ['w1', 'w2'] }, b: { models: ['n'], wl: ['w3'] } },
      regions: { r1: 'EU', r2: 'EU', r3: 'US' },
      limits: { load: 0.5 },
    };
    const domain = readDomain(
      domainDocument({
        base: {
          tenant: { keysOf: 'tenants' },
          model: { valuesOf: 'tenants.*.models.*' },
          region: null,
          wl: null,
          pools: [{ id: { eachKeyOf: 'tenants' }, load: 0 }, { id: 'own' }],
        },
        vary: {
          tenant: [{ keysOf: 'tenants' }, { unknown: true }],
          model: [{ valuesOf: 'tenants.*.models.*' }],
          region: [{ keysOf: 'regions', distinct: true }],
          wl: [{ valuesOf: 'tenants.*.wl.0' }],
          'pools[1].load': [0, { valuesOf: 'limits.load' }],
        },
      }),
      { ...none, data: [data, { tenants: { gone: {} } }] },
    );
    expect(domain.base).toEqual({
      tenant: 'a',
      model: 'm',
      region: null,
      wl: null,
      pools: [{ id: 'a', load: 0 }, { id: 'b', load: 0 }, { id: 'gone', load: 0 }, { id: 'own' }],
    });
    expect(domain.dimensions.map((d) => d.choices.map((c) => c.json))).toEqual([
      ['a', 'b', 'gone', 'mixgate-unknown'],
      ['m', 'n'],
      ['r1', 'r3'],
      ['w1', 'w3'],
      [0, 0.5],
    ]);
  });
  test('an unknown text occurs nowhere', () => {
    expect(unknownString(['mixgate-unknown', 'x mixgate-unknown-1'])).toBe('mixgate-unknown-2');
  });
  test.each([
    ['no place in the base', { base: {}, vary: { 'a.b': [1] } }, 'has no place in the base input'],
    ['a path that is none', { base: { a: 1 }, vary: { 'a..b': [1] } }, 'is no path'],
    ['paths inside each other', { base: { a: { b: 1 } }, vary: { a: [1], 'a.b': [2] } }, 'lies inside'],
    ['boundaries without a comparison', { base: { a: 1 }, vary: { a: [{ boundaries: true }] } }, 'no boundaries'],
    ['no vary', { base: {} }, 'lacks the key `vary`'],
    ['names that the data lacks', { base: { a: 1 }, vary: { a: [{ keysOf: 'tenants' }] } }, 'finds nothing in the data'],
    ['a base value that the data lacks', { base: { a: { valuesOf: 'x.*' } }, vary: { a: [1] } }, 'finds nothing in the data'],
    ['items that the data lacks', { base: { a: [{ b: { eachKeyOf: 'x' } }] }, vary: { a: [1] } }, 'finds nothing in the data'],
    ['an empty list', { base: { a: 1 }, vary: { a: [] } }, 'fewer than 1'],
    ['an unknown key', { base: { a: 1 }, vary: { a: [1] }, wher: 'x/y' }, 'did you mean `where`'],
    ['where that is no rule', { base: { a: 1 }, vary: { a: [1] }, where: 'x y' }, 'where'],
  ])('%s is refused with its place', (_name, document, message) => {
    expect(() => readDomain(domainDocument(document), none)).toThrow(message);
    expect(() => readDomain(domainDocument(document), none)).toThrow(/domain\.yaml:\d+/);
  });
});

describe('encoding', () => {
  const value = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.constant(null), fc.array(fc.integer(), { maxLength: 3 }));
  test('a point is written as the JSON of its input, whatever is absent', () => {
    fc.assert(
      fc.property(
        fc.record({
          a: value,
          list: fc.array(fc.record({ x: value, y: value }), { minLength: 2, maxLength: 3 }),
          o: fc.record({ p: value }),
        }),
        fc.array(value, { minLength: 1, maxLength: 3 }),
        fc.nat(),
        (base, values, pick) => {
          const choices = [...values, { absent: true }];
          const document = {
            base,
            vary: { a: choices, 'o.p': choices, 'list[0].x': choices, 'list[1]': choices, extra: choices },
          };
          const domain = readDomain(domainDocument(document), none);
          const digits = digitsOf(domain, pick % domain.size);
          const bytes = new PointEncoder(domain).encode(digits);
          expect(JSON.parse(new TextDecoder().decode(bytes))).toEqual(inputOf(domain, digits));
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('sampling', () => {
  const domain = readDomain(
    domainDocument({ base: { a: 0, b: 0, c: 0 }, vary: { a: [0, 1, 2], b: [0, 1, 2], c: [0, 1] } }),
    none,
  );
  test('spread indices visit each point once', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 5000 }), (size) => new Set(spreadIndices(size)).size === size));
  });
  test('a limit that covers the domain gives every point once', () => {
    expect(new Set([...pointsOf(domain, 100)].map(String)).size).toBe(18);
    expect([...pointsOf(domain, 100)]).toHaveLength(18);
  });
  test('a search sees every pair of values', () => {
    const points = [...samplePoints(domain, 40, 1)];
    for (const [i, j] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const) {
      const pairs = new Set(points.map((p) => `${p[i]},${p[j]}`));
      expect(pairs.size).toBe(domain.dimensions[i]!.choices.length * domain.dimensions[j]!.choices.length);
    }
  });
  test('a search begins with a covering array of its strength, each point of it once', () => {
    const radices = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(radices, fc.nat(), fc.integer({ min: 1, max: 400 }), (sizes, from, limit) => {
        const dimensions = sizes.map((size, d) => ({
          text: `d${d}`,
          path: [`d${d}`],
          choices: Array.from({ length: size }, (_, json) => ({ json })),
          base: from % size,
        }));
        const strength = coveringStrength({ dimensions }, limit);
        const size = coveringSize({ dimensions }, strength);
        const points = [...samplePoints({ dimensions }, limit, 1)];
        expect(points).toHaveLength(limit);
        expect(size).toBeLessThanOrEqual(limit);
        const first = points.slice(0, size);
        expect(new Set(first.map(String)).size).toBe(size);
        for (const places of combinations(sizes.length, strength)) {
          const seen = new Set(first.map((point) => places.map((place) => point[place]).join()));
          expect(seen.size).toBe(places.reduce((product, place) => product * sizes[place]!, 1));
        }
      }),
    );
  });
  test('the strength is the largest that leaves half of the search to chance, pairs may take it all', () => {
    const dimensions = domain.dimensions;
    expect([0, 1, 2, 3].map((strength) => coveringSize({ dimensions }, strength))).toEqual([1, 6, 14, 18]);
    expect([5, 6, 14, 35, 36].map((limit) => coveringStrength({ dimensions }, limit))).toEqual([0, 1, 2, 2, 3]);
  });
  test('one seed gives one sequence', () => {
    expect([...samplePoints(domain, 60, 7)]).toEqual([...samplePoints(domain, 60, 7)]);
    expect([...samplePoints(domain, 60, 7)]).not.toEqual([...samplePoints(domain, 60, 8)]);
  });
});

/** Every choice of `count` of the numbers below `n`. */
function combinations(n: number, count: number, from = 0): number[][] {
  if (count === 0) return [[]];
  return Array.from({ length: Math.max(0, n - from) }, (_, i) => from + i).flatMap((first) =>
    combinations(n, count - 1, first + 1).map((rest) => [first, ...rest]),
  );
}
