import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { provePolicy } from '../../src/policy/operations.ts';
import { loadPolicySource } from '../../src/rego/source.ts';
import { domainDocument, memoryTree, policy, shown, testBench } from './support.ts';

const bench = await testBench();

const POLICY = `package p

default decision := {"allow": false}

decision := {"allow": true, "region": region} if {
	input.class in {"public", "secret"}
	region != "none"
}

region := "us" if input.load > data.limit

else := "eu" if input.load

else := "none"
`;
const INVARIANT = `package invariants.home

violation contains "secret data leaves the EU" if {
	input.input.class == "secret"
	input.decision.region != "eu"
}
`;
const DOMAIN = {
  base: { class: 'public', load: 1, other: 'a' },
  vary: {
    class: ['public', 'secret', { unknown: true }, { absent: true }],
    load: [1, { boundaries: true }, { absent: true }],
    other: ['a', 'b'],
  },
};

async function proof(
  options: {
    rego?: string;
    invariants?: string;
    domain?: unknown;
    maxPoints?: number;
    strength?: number;
    data?: JsonObject;
  } = {},
): Promise<Awaited<ReturnType<typeof provePolicy>>> {
  const source = await policy(options.rego ?? POLICY, options.data ?? { limit: 5 });
  const { invariants } = await loadPolicySource(memoryTree({ 'inv/home.rego': options.invariants ?? INVARIANT }), {
    roots: ['inv'],
  });
  return provePolicy(bench, source, {
    entrypoint: 'p/decision',
    document: domainDocument(options.domain ?? DOMAIN),
    invariants,
    folder: 'inv',
    maxPoints: options.maxPoints ?? 10_000,
    strength: options.strength,
  });
}

describe('invariants on a domain', () => {
  test('a policy that keeps them is proved on every point', async () => {
    const gate = await proof({
      rego: POLICY.replace('input.load > data.limit', 'input.load > data.limit\n\tinput.class == "public"')
        .replace('"us" if input.load', '"us" if {\n\tinput.load')
        .replace('\n\nelse := "eu"', '\n}\n\nelse := "eu"'),
    });
    expect(gate.findings).toEqual([]);
    expect(gate.facts?.['proof']).toBe('proved on 40 of 40');
    expect(gate.verdict).toBe('pass');
  });
  test('a broken one gives the smallest counterexample, on the line that decided', async () => {
    const gate = await proof();
    expect(shown(gate.findings)).toEqual(['policy-invariant-violated p.rego:10']);
    const [found] = gate.findings;
    expect(found!.message).toBe(
      'The invariant invariants.home is broken: secret data leaves the EU. 2 of 40 points of the domain do it (proved on 40 of 40).',
    );
    expect(found!.evidence).toMatchObject({
      counterexample: { class: 'secret', load: 6, other: 'a' },
      decision: { allow: true, region: 'us' },
      differs: ['class', 'load'],
      points: 2,
    });
  });
  test('the printed test fails on the policy, as the counterexample says', async () => {
    const gate = await proof();
    const text = (gate.findings[0]!.evidence as { test: string }).test;
    const source = await policy(POLICY, { limit: 5 });
    const results = await bench.opa.test(
      new Map([...source.modules, ['home.rego', INVARIANT], ['x_test.rego', text]]),
      source.data,
    );
    expect(results.map((r) => [r.name, r.outcome])).toEqual([['test_invariants_home_holds', 'fail']]);
  });
  test('a domain above the limit is searched, and says so', async () => {
    const gate = await proof({ maxPoints: 30 });
    expect(gate.facts?.['proof']).toBe('searched 30 of 40 (every 2-way combination, seed 1)');
    expect(shown(gate.findings)).toEqual(['policy-invariant-violated p.rego:10']);
  });
  test.each([
    ['a rule with a value', 'max_load := 5\n\nlow if input.load < max_load\n'],
    ['a rule of another definition order', 'low if max_load > input.load\n\nmax_load := 5\n'],
    ['an assignment of the field', 'low if {\n\tx := input.load\n\tx < 5\n}\n'],
    ['an assignment of the limit', 'low if {\n\tlimit := data.limit\n\tinput.load < limit\n}\n'],
    ['an argument of a function', 'low if below(input.load)\n\nbelow(x) if x < 5\n'],
    ['both as arguments', 'low if below(input.load, data.limit)\n\nbelow(x, y) if x < y\n'],
    ['a rule that is recursive in its names', 'low if {\n\tload := input.load\n\tload < 5\n}\n'],
  ])('boundaries are found behind %s', async (_name, rego) => {
    const gate = await proof({
      rego: `package p\n\ndefault decision := {"allow": false}\n\ndecision := {"allow": true} if low\n\n${rego}`,
      domain: { base: { load: 1 }, vary: { load: [{ boundaries: true }] } },
      invariants:
        'package invariants\n\nviolation contains "4 is too high" if {\n\tinput.decision.allow\n\tinput.input.load >= 4\n}\n',
    });
    expect(gate.facts?.['proof']).toBe('proved on 3 of 3');
    expect(gate.findings[0]!.evidence).toMatchObject({ counterexample: { load: 4 } });
  });
  test('ten million points are searched within the limit', async () => {
    const digits = Array.from({ length: 10 }, (_, i) => i);
    const base = Object.fromEntries('abcdefg'.split('').map((k) => [k, 0]));
    const gate = await proof({
      domain: {
        base: { class: 'public', load: 1, ...base },
        vary: { class: ['public', 'secret'], load: [1, 6], ...Object.fromEntries(Object.keys(base).map((k) => [k, digits])) },
      },
      maxPoints: 2000,
    });
    expect(gate.facts?.['proof']).toBe('searched 2000 of 40000000 (every 2-way combination, seed 1)');
    expect(gate.findings[0]!.evidence).toMatchObject({ differs: ['class', 'load'] });
  });
  test('a search that where leaves points out of claims no combinations', async () => {
    const gate = await proof({
      rego: `${POLICY}\nusual if input.class == "public"\n`,
      domain: { ...DOMAIN, where: 'p/usual' },
      maxPoints: 30,
    });
    expect(gate.facts?.['proof']).toBe('searched 30 of 40 (seed 1)');
  });
  test('what only the random part of a search finds is shrunk until no dimension can go back to the base', async () => {
    const names = 'abcdef'.split('');
    const gate = await proof({
      rego: 'package p\n\ndefault decision := {"allow": false}\n\ndecision := {"allow": true} if {\n\tinput.a == 3\n\tinput.b == 3\n\tinput.c == 3\n}\n',
      invariants: 'package invariants\n\nviolation contains "it is served" if input.decision.allow\n',
      domain: {
        base: Object.fromEntries(names.map((k) => [k, 0])),
        vary: Object.fromEntries(names.map((k) => [k, [0, 1, 2, 3]])),
      },
      maxPoints: 1000,
    });
    // Three fields have to meet: a covering array of strength 2 misses it.
    expect(gate.facts?.['proof']).toBe('searched 1000 of 4096 (every 2-way combination, seed 1)');
    expect(gate.findings[0]!.evidence).toMatchObject({
      counterexample: { a: 3, b: 3, c: 3, d: 0, e: 0, f: 0 },
      differs: ['a', 'b', 'c'],
    });
  });
  test('a search of the wanted strength finds what the strength that fits by itself leaves to chance', async () => {
    const names = 'abcdef'.split('');
    const domain = {
      base: Object.fromEntries(names.map((k) => [k, 0])),
      vary: Object.fromEntries(names.map((k) => [k, [0, 1, 2, 3]])),
    };
    const rego = `package p\n\ndecision := {"allow": input.a + input.b + input.c == 9}\n`;
    const invariants = 'package invariants\n\nviolation contains "it is served" if input.decision.allow\n';
    // 1 + 6×3 + 15×9 + 20×27 = 694 points differ from the base in at most three fields.
    const gate = await proof({ rego, invariants, domain, maxPoints: 694, strength: 3 });
    expect(gate.facts?.['proof']).toBe('searched 694 of 4096 (every 3-way combination, seed 1)');
    expect(gate.findings[0]!.evidence).toMatchObject({ differs: ['a', 'b', 'c'] });
    await expect(proof({ rego, invariants, domain, maxPoints: 693, strength: 3 })).rejects.toThrow(
      /domain\.yaml:1: every 3-way combination of this domain takes 694 points, and the search has 693\. .*--max-points 694, or --strength 2/s,
    );
    await expect(proof({ rego, invariants, domain, maxPoints: 10, strength: 2 })).rejects.toThrow(/--max-points 154\.$/);
    // Every combination there is includes those of any strength.
    expect((await proof({ rego, invariants, domain, strength: 6 })).facts?.['proof']).toBe('proved on 4096 of 4096');
  });
  test('two searches give the same report, byte for byte', async () => {
    const stable = async (): Promise<string> => {
      const gate = await proof({ maxPoints: 30 });
      return JSON.stringify({ ...gate, measurements: gate.measurements?.filter((m) => m.volatile !== true) });
    };
    expect(await stable()).toBe(await stable());
  });
  test('the printed test passes once the policy is corrected', async () => {
    const text = ((await proof()).findings[0]!.evidence as { test: string }).test;
    const source = await policy(POLICY.replace('input.load > data.limit', 'false'), { limit: 5 });
    const results = await bench.opa.test(
      new Map([...source.modules, ['home.rego', INVARIANT], ['x_test.rego', text]]),
      source.data,
    );
    expect(results.map((r) => r.outcome)).toEqual(['pass']);
  });
  test('where leaves points out and counts them', async () => {
    const gate = await proof({ rego: `${POLICY}\nusual if input.class == "public"\n`, domain: { ...DOMAIN, where: 'p/usual' } });
    expect(gate.verdict).toBe('pass');
    // Points left out prove nothing: N of N counts the others.
    expect(gate.facts).toMatchObject({ excluded: 30, proof: 'proved on 10 of 10' });
    expect(gate.measurements?.[0]).toMatchObject({ value: 10, n: 10 });
  });
  test('a where that names no rule is refused with its line, one of the invariants counts', async () => {
    await expect(proof({ domain: { ...DOMAIN, where: 'p/usul' } })).rejects.toThrow(
      /domain\.yaml:1:\d+: where is `p\/usul`, which is no rule/,
    );
    const invariants = `${INVARIANT}\nusual if input.class == "public"\n`;
    const gate = await proof({ invariants, domain: { ...DOMAIN, where: 'invariants/home/usual' } });
    expect(gate.facts).toMatchObject({ excluded: 30 });
  });
  test('a where that nothing satisfies is inconclusive', async () => {
    const gate = await proof({ rego: `${POLICY}\nusual if input.class == "never"\n`, domain: { ...DOMAIN, where: 'p/usual' } });
    expect(gate.verdict).toBe('inconclusive');
  });
  test('an undefined decision is absent in the invariant', async () => {
    const gate = await proof({
      rego: POLICY.replace('default decision := {"allow": false}', ''),
      invariants:
        'package invariants\n\nviolation contains "no decision" if not decided\n\ndecided if is_boolean(input.decision.allow)\n',
    });
    expect(gate.findings[0]!.evidence).toMatchObject({
      counterexample: { class: 'public', other: 'a' },
      differs: ['load'],
      decision: null,
    });
  });
  test('a conflict on a point is an evaluation error with its place', async () => {
    const gate = await proof({ rego: `${POLICY}\ndecision := {"allow": false} if input.load == 6\n` });
    expect(shown(gate.findings)).toContain('policy-evaluation-error p.rego:16');
  });
  test.each([
    ['another package', 'package other\n\nviolation contains "x" if input.x\n', 'no invariant is declared|the package is other'],
    ['no violation rule', 'package invariants\n\nx := 1\n', 'no invariant is declared here'],
  ])('%s is refused', async (_name, invariants, message) => {
    await expect(proof({ invariants })).rejects.toThrow(new RegExp(message));
  });
  test('an invariant that does not compile is named with its line', async () => {
    expect(shown((await proof({ invariants: 'package invariants\n\nviolation contains "x" if y\n' })).findings)).toEqual([
      'policy-check-failed inv/home.rego:3',
    ]);
  });
  test('two runs give the same bytes', async () => {
    const strip = (gate: Awaited<ReturnType<typeof proof>>): string =>
      JSON.stringify({ ...gate, measurements: gate.measurements.filter((m) => m.volatile !== true) });
    expect(strip(await proof({ maxPoints: 25 }))).toBe(strip(await proof({ maxPoints: 25 })));
  });
});

describe('the rule that is blamed', () => {
  const REGO = `package p

zone := "north" if input.zone == "north"

zone := "south" if input.zone == "south"

default allow := false

allow if input.region == "eu"

allow if trusted

trusted if input.customer == "acme"

decision := {"allow": allow, "zone": zone}
`;
  const invariants =
    'package invariants\n\nviolation contains "served outside the EU" if {\n\tinput.decision.allow\n\tinput.input.region != "eu"\n}\n';
  const domain = {
    base: { zone: 'north', region: 'eu', customer: 'none' },
    vary: { zone: ['north', 'south'], region: ['eu', 'us'], customer: ['none', 'acme'] },
  };
  test('is one without which another decision is made, before one without which there is none', async () => {
    const gate = await proof({ rego: REGO, invariants, domain });
    // Without the zone (line 3) or the decision (line 15) nothing is decided, so nothing is broken: true of any invariant.
    const because = (gate.findings[0]!.evidence as JsonObject)['because'] as readonly { readonly line: number }[];
    expect(because.map((d) => d.line)).toEqual([11, 13, 3, 15]);
    expect(shown(gate.findings)).toEqual(['policy-invariant-violated p.rego:11']);
  });
  test('is the one that changes least of the decision', async () => {
    // Without line 5 the decision is a refusal with no pool; without line 15 it only names another pool.
    const gate = await proof({
      rego: `package p

default decision := {"allow": false, "reason": "class"}

decision := {"allow": true, "pool": pool} if {
	known
	pool != "none"
}

known if input.class == "public"

known if input.class == "secret"

default pool := "home"

pool := "cheap" if input.load > 5
`,
      invariants: 'package invariants\n\nviolation contains "not at home" if input.decision.pool == "cheap"\n',
      domain: { base: { class: 'public', load: 1 }, vary: { load: [1, { boundaries: true }] } },
    });
    const because = (gate.findings[0]!.evidence as JsonObject)['because'] as readonly { readonly line: number }[];
    expect(because.map((d) => d.line)).toEqual([16, 10, 5]);
  });
});

describe('a printed counterexample is as simple as can be', () => {
  const numbers = [7, 0, 3, -2, 1];
  const words = ['b', 'a', 'c', 'd'];
  test('fields go back to the base first, then to smaller numbers and earlier values', async () => {
    const gate = await proof({
      rego: 'package p\n\ndecision := {"allow": true}\n',
      invariants: 'package invariants\n\nviolation contains "x" if {\n\tinput.input.n >= 2\n\tinput.input.w != "b"\n}\n',
      domain: { base: { n: -2, w: 'b', v: 'c' }, vary: { n: [7, 5, 3, -2], w: words, v: words } },
    });
    expect(gate.findings[0]!.evidence).toMatchObject({ counterexample: { n: 3, w: 'a', v: 'c' }, differs: ['n', 'w'] });
  });
  test('no change of one field to the base, a smaller number or an earlier value breaks the invariant too', async () => {
    type Point = readonly [n: number, w: string, m: number];
    const anyPoint = fc.tuple(fc.constantFrom(...numbers), fc.constantFrom(...words), fc.constantFrom(...numbers));
    const key = (point: Point): string => JSON.stringify(point);
    await fc.assert(
      fc.asyncProperty(
        anyPoint,
        fc.array(fc.uniqueArray(anyPoint, { minLength: 1, maxLength: 60, selector: key }), { minLength: 1, maxLength: 4 }),
        fc.constantFrom(100, 40),
        async (base, sets, maxPoints) => {
          const [n, w, m] = base;
          const gate = await proof({
            rego: 'package p\n\ndecision := {"allow": true}\n',
            data: { broken: Object.fromEntries(sets.map((points, i) => [`set ${i}`, points.map((point) => [...point])])) },
            invariants:
              'package invariants\n\nviolation contains name if {\n\tsome name, points in data.broken\n\t[input.input.n, input.input.w, input.input.m] in points\n}\n',
            domain: { base: { n, w, m }, vary: { n: numbers, w: words, m: numbers } },
            maxPoints,
          });
          // Of a whole domain each set has its counterexample; of a search those that it met.
          if (maxPoints === 100) expect(gate.findings).toHaveLength(sets.length);
          for (const finding of gate.findings) {
            const found = (finding.evidence as JsonObject)['counterexample'] as {
              readonly n: number;
              readonly w: string;
              readonly m: number;
            };
            const name = /set (?<set>\d)/.exec(finding.message)!.groups!['set'];
            const broken = new Set(sets[Number(name)]!.map(key));
            const point: Point = [found.n, found.w, found.m];
            expect(broken).toContain(key(point));
            const smaller = (value: number, own: number): readonly number[] =>
              value === own ? [] : [own, ...numbers.filter((one) => Math.abs(one) < Math.abs(value))];
            const simpler: readonly Point[] = [
              ...smaller(point[0], n).map((one): Point => [one, point[1], point[2]]),
              ...(point[1] === w ? [] : [w, ...words.slice(0, words.indexOf(point[1]))]).map(
                (one): Point => [point[0], one, point[2]],
              ),
              ...smaller(point[2], m).map((one): Point => [point[0], point[1], one]),
            ];
            expect(simpler.filter((one) => broken.has(key(one)))).toEqual([]);
          }
        },
      ),
      { numRuns: 12 },
    );
  });
});
