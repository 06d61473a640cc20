import { describe, expect, test } from 'vitest';
import { runPolicyGate } from '../../src/policy/gate.ts';
import type { MutationTestOptions } from '../../src/policy/operations.ts';
import { testPolicy } from '../../src/policy/operations.ts';
import { loadPolicySource, type PolicySource } from '../../src/rego/source.ts';
import { domainDocument, memoryTree, opaTool, run, shown, testBench } from './support.ts';

const bench = await testBench();
const OPTIONS: MutationTestOptions = {
  threshold: undefined,
  maxMutants: 100,
  maxSeconds: 60,
  maxPoints: 1000,
  entrypoint: 'p/decision',
  document: domainDocument({
    base: { load: 4, tier: 'gold' },
    vary: { load: [4, 5, 6, { absent: true }], tier: ['gold', 'free'] },
  }),
};

function source(rego: string, tests: string, files: { readonly [path: string]: string } = {}): Promise<PolicySource> {
  const modules = { 'p.rego': `package p\n\n${rego}`, 'p_test.rego': `package p_test\n\nimport data.p\n\n${tests}` };
  return loadPolicySource(memoryTree({ ...modules, ...files }), { roots: [''] });
}

/** `line: before -> after` of each survivor. */
async function survivors(rego: string, tests: string, options: Partial<MutationTestOptions> = {}): Promise<string[]> {
  const gate = await testPolicy(bench, await source(rego, tests), undefined, { ...OPTIONS, ...options });
  return gate.findings.map((f) => {
    const { before, after } = f.evidence as { before: string; after: string };
    return `${f.ruleId} ${f.location?.line}: ${before} -> ${after}`;
  });
}

const LIMIT = 'default decision := false\n\ndecision if {\n\tinput.load < 5\n\tinput.tier == "gold"\n}\n';
const t = (name: string, expectation: string, input: object): string =>
  `test_${name} if ${expectation} with input as ${JSON.stringify(input)}\n`;
const COMPLETE = [
  t('low', 'p.decision', { load: 4, tier: 'gold' }),
  t('limit', 'not p.decision', { load: 5, tier: 'gold' }),
  t('tier', 'not p.decision', { load: 4, tier: 'free' }),
  t('default', 'p.decision == false', {}),
].join('\n');
const S = 'policy-mutant-survived';

describe('surviving mutants', () => {
  test('a suite that looks at every boundary leaves none', async () => {
    expect(await survivors(LIMIT, COMPLETE)).toEqual([]);
  });
  test.each<[string, string, string, string[]]>([
    [
      'the boundary is not tested',
      LIMIT,
      COMPLETE.replace('"load":5', '"load":6'),
      [`${S} 6: input.load < 5 -> input.load <= 5`, `${S} 6: input.load < 5 -> input.load < 6`],
    ],
    [
      'one condition is not tested',
      LIMIT,
      COMPLETE.replace('"load":4,"tier":"free"', '"load":6,"tier":"free"'),
      [`${S} 7: input.tier == "gold" -> (left out)`],
    ],
    [
      'a negation is not tested',
      'default decision := false\n\ndecision if {\n\tinput.load < 5\n\tnot free\n}\n\nfree if input.tier == "free"\n',
      [COMPLETE.replace('"load":4,"tier":"free"', '"load":6,"tier":"free"')].join('\n'),
      [`${S} 7: not free -> (left out)`, `${S} 10: free if input.tier == "free" -> (left out)`],
    ],
    [
      'a member of a set is not tested',
      'decision := reasons\n\nreasons contains "low" if input.load < 5\n\nreasons contains "free" if input.tier == "free"\n',
      [
        t('low', 'p.decision == {"low"}', { load: 4, tier: 'gold' }),
        t('high', 'p.decision == set()', { load: 5, tier: 'gold' }),
      ].join('\n'),
      [],
    ],
    [
      'an arithmetic term is not tested',
      'default decision := 0\n\ndecision := input.load + 1\n',
      t('some', 'p.decision > 2', { load: 4, tier: 'gold' }),
      [],
    ],
  ])('%s', async (_name, rego, tests, expected) => {
    const found = await survivors(rego, tests);
    if (expected.length === 0) expect(found.length).toBeGreaterThan(0);
    for (const one of expected) expect(found).toContain(one);
    expect(found.every((line) => line.startsWith(S))).toBe(true);
  });
  test('every printed test passes on the policy and kills its mutant', async () => {
    const rego = `${LIMIT}\nreasons contains "low" if input.load < 5\n`.replace(
      'default decision := false',
      'default decision := false\n\nnames := reasons',
    );
    const tests = t('low', 'p.decision', { load: 4, tier: 'gold' });
    const before = await testPolicy(bench, await source(rego, tests), undefined, OPTIONS);
    const pasted = Object.fromEntries(
      before.findings.map((f, i) => [`m${i}_test.rego`, String((f.evidence as { test: string }).test)]),
    );
    expect(Object.keys(pasted).length).toBeGreaterThan(2);
    const after = await testPolicy(bench, await source(rego, tests, pasted), undefined, OPTIONS);
    expect(shown(after.findings)).toEqual([]);
    expect(after.facts?.['tests']).toBe(`${1 + Object.keys(pasted).length} of ${1 + Object.keys(pasted).length} passed`);
  });
  test('a mutant that decides the same on the whole domain leaves the score; on a part of it the report says so', async () => {
    const rego = LIMIT.replace('input.load < 5', 'input.load < 5.5');
    const tests = COMPLETE.replace('"load":5', '"load":6');
    const whole = await testPolicy(bench, await source(rego, tests), undefined, { ...OPTIONS, threshold: 100 });
    expect(whole.findings.filter((f) => f.message.includes('<= 5.5'))).toEqual([]);
    expect(whole.facts?.['mutation']).toContain('equivalent on all 8 points');
    const part = await testPolicy(bench, await source(rego, tests), undefined, { ...OPTIONS, maxPoints: 3 });
    expect(part.facts?.['mutation']).toContain('not told apart on 3 of 8 points');
    const none = await testPolicy(bench, await source(rego, tests), undefined, {
      ...OPTIONS,
      entrypoint: undefined,
      document: undefined,
    });
    expect(none.findings.some((f) => f.message.includes('<= 5.5'))).toBe(true);
  });
  test('the score against a threshold', async () => {
    const weak = await source(LIMIT, t('low', 'p.decision', { load: 4, tier: 'gold' }));
    const gate = await testPolicy(bench, weak, undefined, { ...OPTIONS, threshold: 90 });
    expect(gate.verdict).toBe('fail');
    expect(gate.findings.filter((f) => f.ruleId === 'policy-mutation-score-low')).toHaveLength(1);
    expect(gate.measurements.find((m) => m.name === 'policy.tests.mutation_score')).toMatchObject({ limit: 90 });
  });
  test('data, imports and other packages follow their copy', async () => {
    const gate = await testPolicy(
      bench,
      await source(
        'import data.lib\n\ndefault decision := false\n\ndecision if lib.low(input.load)\n',
        COMPLETE.replace(/test_tier.*\n/, ''),
        {
          'lib.rego': 'package lib\n\nlow(x) if x < data.limits.load\n',
          'data.json': '{"limits": {"load": 5}}',
        },
      ),
      undefined,
      OPTIONS,
    );
    expect(shown(gate.findings)).toEqual([]);
  });
  test.each([
    [
      'input',
      'p.decision with input.load as 4 with input.tier as "gold"',
      'not p.decision with input as {"load": 5, "tier": "gold"}',
    ],
    ['a rule', 'p.decision with p.low as true', 'not p.decision with p.low as false'],
    ['data', 'p.decision with data.limits.load as 9', 'not p.decision with data.limits.load as 1'],
    [
      'a function',
      'p.decision with data.lib.f as true with input.load as 1',
      'not p.decision with data.lib.f as false with input.load as 1',
    ],
    ['a builtin', 'p.decision with time.now_ns as 5', 'not p.decision with time.now_ns as 6'],
  ])('tests that mock %s notice mutants', async (what, yes, no) => {
    const body: { readonly [what: string]: string } = {
      input: 'input.load < 5\n\tinput.tier == "gold"',
      'a rule': 'low',
      data: 'data.limits.load > 5',
      'a function': 'lib.f(input.load)',
      'a builtin': 'time.now_ns() == 5',
    };
    const gate = await testPolicy(
      bench,
      await source(
        `import data.lib\n\ndefault decision := false\n\ndecision if {\n\t${body[what]!}\n}\n\nlow if lib.f(1)\n`,
        `test_yes if ${yes}\n\ntest_no if ${no}\n`,
        { 'lib.rego': 'package lib\n\nf(x) if x == 99\n', 'data.json': '{"limits": {"load": 0}}' },
      ),
      undefined,
      { ...OPTIONS, entrypoint: undefined, document: undefined },
    );
    expect(gate.facts?.['tests']).toBe('2 of 2 passed');
    // The whole body, left out, is a mutant that the second test sees.
    const survived = gate.findings.filter((f) => f.location?.file === 'p.rego' && f.location.line === 7);
    expect(survived.map((f) => (f.evidence as { after: string }).after)).not.toContain('(left out)');
    expect(gate.facts?.['mutation']).toMatch(/^[1-9]\d* of \d+ mutants killed/);
  });
  test('a module that reads its own package by name is tested one process a mutant', async () => {
    const gate = await testPolicy(
      bench,
      await source(
        LIMIT,
        `${COMPLETE}\nnames := ["p"]\n\ntest_root if [value | value := data[names[0]].decision] == [false] with input as {}\n`,
      ),
      undefined,
      OPTIONS,
    );
    expect(shown(gate.findings)).toEqual([]);
  });
  test('two runs give the same bytes', async () => {
    const weak = await source(LIMIT, t('low', 'p.decision', { load: 4, tier: 'gold' }));
    const [a, b] = [await testPolicy(bench, weak, undefined, OPTIONS), await testPolicy(bench, weak, undefined, OPTIONS)];
    expect(JSON.stringify(a)).toBe(JSON.stringify(b));
  });
  test('no time left is inconclusive, and failing tests come first', async () => {
    const out = await testPolicy(bench, await source(LIMIT, COMPLETE), undefined, { ...OPTIONS, maxSeconds: 0 });
    expect(out.verdict).toBe('inconclusive');
    const failing = await testPolicy(bench, await source(LIMIT, 'test_no if p.decision == true\n'), undefined, OPTIONS);
    expect(shown(failing.findings)).toEqual(['policy-test-failed p_test.rego:5']);
  });
});

test('the gate runs it where mixgate.yaml asks for it', async () => {
  const tree = memoryTree({
    'pol/p.rego': `package p\n\n${LIMIT}`,
    'pol/p_test.rego': `package p_test\n\nimport data.p\n\n${t('low', 'p.decision', { load: 4, tier: 'gold' })}`,
  });
  const context = { ...run, base: undefined, head: tree, changed: undefined, tool: () => opaTool() };
  const section: Parameters<typeof runPolicyGate>[1] = { roots: ['pol'], entrypoints: ['p/decision'] };
  const ids = async (more: object): Promise<string[]> => [
    ...new Set((await runPolicyGate(context, { ...section, ...more }, {} as never)).findings.map((f) => f.ruleId)),
  ];
  expect(await ids({})).toEqual([]);
  expect(await ids({ mutation: { threshold: 90 } })).toEqual(['policy-mutation-score-low', 'policy-mutant-survived']);
});
