import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { lintPolicy } from '../../src/policy/operations.ts';
import { domainDocument, policy, shown, testBench } from './support.ts';

const bench = await testBench();
const DOMAIN = domainDocument({ base: { a: 1, b: 'x' }, vary: { a: [1, 2, 3, { absent: true }], b: ['x', 'y'] } });

async function lint(rego: string, withDomain = true): Promise<string[]> {
  const gate = await lintPolicy(
    bench,
    await policy(`package p\n\n${rego}`),
    ['p/decision'],
    withDomain ? DOMAIN : undefined,
    1000,
  );
  return shown(gate.findings);
}

describe('planted defects', () => {
  test.each<[string, string, string[]]>([
    [
      'dead: a value outside the domain',
      'default decision := 0\n\ndecision := 1 if input.a == 9\n\ndecision := 2 if input.b == "y"\n',
      ['policy-rule-dead p.rego:5'],
    ],
    [
      'dead: a contradiction',
      'default decision := 0\n\ndecision := 1 if {\n\tinput.a == 1\n\tinput.a == 2\n}\n\ndecision := 2 if input.a == 3\n',
      ['policy-rule-dead p.rego:5'],
    ],
    [
      'dead: an else that is never reached',
      'decision := 1 if input.b == "x"\n\nelse := 2 if input.b != "x"\n\nelse := 3 if input.b\n\nelse := 4\n',
      ['policy-rule-dead p.rego:7'],
    ],
    [
      'dead: a member of a set',
      'decision := s\n\ns contains 1 if input.a == 1\n\ns contains 2 if input.b == "z"\n',
      ['policy-rule-dead p.rego:7'],
    ],
    [
      'dead: a function for other arguments',
      'decision := f(input.b)\n\nf("x") := 1\n\nf("y") := 2\n\nf("q") := 3\n',
      ['policy-rule-dead p.rego:9'],
    ],
    [
      'shadowed: a narrower condition with the same value',
      'default decision := 0\n\ndecision := 1 if input.a == 1\n\ndecision := 1 if {\n\tinput.a == 1\n\tinput.b == "x"\n}\n',
      ['policy-rule-shadowed p.rego:7'],
    ],
    [
      'shadowed: the same member twice',
      'decision := s\n\ns contains 1 if input.a\n\ns contains 1 if input.a == 2\n',
      ['policy-rule-shadowed p.rego:7'],
    ],
    [
      'redundant: a helper that changes nothing',
      'decision := {"n": n, "always": true} if h >= 0\n\nn := input.b\n\ndefault h := 0\n\nh := 5 if input.a == 1\n',
      ['policy-rule-constant p.rego:3', 'policy-rule-redundant p.rego:9'],
    ],
    ['unused: nobody refers to it', 'decision := input.b\n\nspare := 1\n', ['policy-rule-unused p.rego:5']],
    [
      'unused: only another unused rule does',
      'decision := input.b\n\nspare := extra\n\nextra := 1\n',
      ['policy-rule-unused p.rego:5', 'policy-rule-unused p.rego:7'],
    ],
    [
      'conflict: overlapping conditions',
      'default decision := 0\n\ndecision := 1 if input.a == 1\n\ndecision := 2 if input.b == "x"\n',
      ['policy-rule-conflict p.rego:7'],
    ],
    [
      'conflict: in a rule below the entrypoint',
      'decision := {"r": r}\n\ndefault r := 0\n\nr := 1 if input.a > 1\n\nr := 2 if input.a > 2\n',
      ['policy-rule-conflict p.rego:9'],
    ],
    [
      'conflict: in a function',
      'decision := f(input.a)\n\nf(x) := "low" if x < 3\n\nf(x) := "high" if x > 1\n',
      ['policy-rule-conflict p.rego:7'],
    ],
    ['constant entrypoint', 'default decision := false\n', ['policy-entrypoint-constant p.rego:3']],
    [
      'fail-open: a refusal that needs the field',
      'default decision := {"allow": true}\n\ndecision := {"allow": false} if input.a > 1\n',
      ['policy-fail-open p.rego:3'],
    ],
    [
      'fail-open: not of a call on the field',
      'default decision := false\n\ndecision if not bad\n\nbad if {\n\tinput.b == "y"\n}\n',
      ['policy-fail-open p.rego:5'],
    ],
  ])('%s', async (_name, rego, expected) => {
    expect(
      (await lint(rego)).filter(
        (line) => !line.startsWith('policy-fail-open') || expected.some((e) => e.startsWith('policy-fail-open')),
      ),
    ).toEqual(expected);
  });
  test('both sides of a conflict are named, with the smallest input', async () => {
    const gate = await lintPolicy(
      bench,
      await policy('package p\n\ndefault decision := 0\n\ndecision := 1 if input.a == 1\n\ndecision := 2 if input.b == "x"\n'),
      ['p/decision'],
      DOMAIN,
      1000,
    );
    const [found] = gate.findings;
    expect([found!.location?.line, found!.related?.[0]?.line]).toEqual([7, 5]);
    expect(found!.evidence).toMatchObject({ input: { a: 1, b: 'x' }, values: ['1', '2'] });
  });
});

describe('several entrypoints', () => {
  const TWO = 'default first := false\n\nfirst if input.a == 1\n\ndefault second := false\n\nsecond if input.b == "y"\n';
  async function lintAll(rego: string, entrypoints: readonly string[]): Promise<string[]> {
    return shown((await lintPolicy(bench, await policy(`package p\n\n${rego}`), entrypoints, DOMAIN, 1000)).findings);
  }
  test('what only the other one reaches is not dead', async () => {
    expect(await lintAll(TWO, ['p/first', 'p/second'])).toEqual([]);
  });
  test('without a name every rule counts, and helpers are no decisions', async () => {
    const helper = 'default decision := true\n\ndecision := false if missing\n\nmissing if not input.a\n';
    expect(await lintAll(`${TWO}\n${helper}`, [])).toEqual([]);
  });
  test('a helper that matters to one of them is not redundant', async () => {
    const rego = 'first := {"a": 1} if h >= 0\n\nsecond := h\n\ndefault h := 0\n\nh := 5 if input.a == 1\n';
    expect((await lintAll(rego, ['p/first', 'p/second'])).filter((line) => line.includes('redundant'))).toEqual([]);
    expect(await lintAll(rego, ['p/first', 'p/second'])).toEqual([
      'policy-entrypoint-constant p.rego:3',
      'policy-rule-constant p.rego:3',
    ]);
  });
  test('what is dead for both is reported once', async () => {
    expect(
      await lintAll(`${TWO}\nfirst if shared\n\nsecond if shared\n\nshared if input.a == 9\n`, ['p/first', 'p/second']),
    ).toEqual(['policy-rule-dead p.rego:11', 'policy-rule-dead p.rego:13', 'policy-rule-dead p.rego:15']);
  });
});

describe('without a domain', () => {
  test.each<[string, string, string[]]>([
    ['two constants', 'decision := 1\n\ndecision := 2\n', ['policy-rule-conflict p.rego:5']],
    ['a constant beside a condition', 'decision := 1\n\ndecision := 2 if input.a\n', ['policy-rule-conflict p.rego:5']],
    ['the same body, white space apart', 'decision := 1 if input.a == 1\n\ndecision := 2 if {\n\tinput.a == 1\n}\n', []],
    ['the same body, same form', 'decision := "a" if input.a\n\ndecision := "b" if input.a\n', ['policy-rule-conflict p.rego:5']],
    ['an unused function', 'decision := 1\n\nf(x) := x\n', ['policy-rule-unused p.rego:5']],
    ['a dead rule is not claimed', 'default decision := 0\n\ndecision := 1 if input.a == 9\n', []],
  ])('%s', async (_name, rego, expected) => {
    expect(await lint(rego, false)).toEqual(expected);
  });
  test.each<[string, string, unknown]>([
    ['two constants', 'decision := 1\n\ndecision := 2\n', {}],
    ['a field', 'decision := 1\n\ndecision := 2 if input.a\n', { a: true }],
    ['a field that is absent', 'decision := 1\n\ndecision := 2 if not input.a\n', {}],
    [
      'comparisons, one turned round',
      'decision := 1\n\ndecision := 2 if {\n\tinput.a.b == "x"\n\t5 < input.a.n\n\tinput.c >= 3\n\tinput.d != "y"\n}\n',
      { a: { b: 'x', n: 6 }, c: 3, d: '' },
    ],
    ['a rule below the entrypoint', 'decision := {"t": t}\n\nt := "a" if input.x < 4\n\nt := "b" if input.x < 4\n', { x: 3 }],
  ])('a conflict has an input that ends in it: %s', async (_name, rego, input) => {
    const source = await policy(`package p\n\n${rego}`);
    const gate = await lintPolicy(bench, source, ['p/decision'], undefined, 10);
    const evidence = gate.findings.find((f) => f.ruleId === 'policy-rule-conflict')!.evidence as JsonObject;
    expect(evidence['input']).toEqual(input);
    await expect(bench.opa.evaluateAll(source.modules, source.data, 'p/decision', [JSON.stringify(input)])).rejects.toThrow(
      /conflict|multiple outputs/,
    );
  });
  test.each([
    ['conditions that no input meets', 'decision := 1\n\ndecision := 2 if {\n\tinput.a == 1\n\tinput.a == 2\n}\n'],
    ['another rule', 'decision := 1\n\ndecision := 2 if other\n\nother if input.a\n'],
    ['a text where an object is asked for', 'decision := 1\n\ndecision := 2 if {\n\tinput.a == "x"\n\tinput.a.b == 1\n}\n'],
  ])('a conflict without one says so: %s', async (_name, rego) => {
    const gate = await lintPolicy(bench, await policy(`package p\n\n${rego}`), ['p/decision'], undefined, 10);
    const evidence = gate.findings.find((f) => f.ruleId === 'policy-rule-conflict')!.evidence as JsonObject;
    expect(evidence['input']).toBeUndefined();
    expect(evidence['witness']).toMatch(/^none: /);
  });
  test('the reason says what was not looked at', async () => {
    const gate = await lintPolicy(bench, await policy('package p\n\ndecision := input.a\n'), ['p/decision'], undefined, 10);
    expect(gate.reason).toContain('can only be found on one (--domain)');
  });
});

describe('clean policies', () => {
  test.each([
    ['one rule', 'decision := input.b\n'],
    ['disjoint definitions', 'default decision := 0\n\ndecision := 1 if input.a == 1\n\ndecision := 2 if input.a == 2\n'],
    ['an else chain', 'decision := 1 if input.a == 1\n\nelse := 2 if input.b == "x"\n\nelse := 3\n'],
    ['sets', 'decision := s\n\ns contains "a" if input.a == 1\n\ns contains "b" if input.b == "y"\n'],
    ['functions', 'decision := f(input.b)\n\nf("x") := 1\n\nf("y") := 2\n'],
    ['helpers', 'default decision := false\n\ndecision if {\n\tok\n\tinput.b == "x"\n}\n\nok if input.a == 1\n'],
    ['defaults', 'default n := 0\n\nn := input.a\n\ndecision := n + 1\n'],
    ['negation', 'decision := 1 if not flag\n\nelse := 2\n\nflag if input.b == "x"\n'],
    ['comprehensions', 'decision := [x | some x in [1, 2, 3]; x == input.a]\n'],
    ['objects', 'decision := m\n\nm[k] := v if some k, v in input\n'],
    ['dotted heads', 'decision := r\n\nr.one := input.b\n\nr.two := 2 if input.a == 2\n'],
  ])('%s: no finding', async (_name, rego) => {
    expect(await lint(rego)).toEqual([]);
  });
});
