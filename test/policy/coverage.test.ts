import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { GateResult } from '../../src/core/gate.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { decisionValues, MAX_VALUES, ValueTally } from '../../src/policy/decision-values.ts';
import { runPolicyGate } from '../../src/policy/gate.ts';
import { type CoverageTestOptions, testPolicy } from '../../src/policy/operations.ts';
import { loadPolicySource, type PolicySource } from '../../src/rego/source.ts';
import { domainDocument, memoryTree, opaTool, run, shown, testBench } from './support.ts';

const bench = await testBench();

function source(rego: string, tests: string, files: { readonly [path: string]: string } = {}): Promise<PolicySource> {
  const modules = { 'p.rego': rego, 'p_test.rego': `package p_test\n\nimport data.p\n\n${tests}` };
  return loadPolicySource(memoryTree({ ...modules, ...files }), { roots: [''] });
}

const RULES: CoverageTestOptions = { rules: 100, decisions: undefined, entrypoint: undefined, document: undefined };

async function cover(
  rego: string,
  tests: string,
  options: Partial<CoverageTestOptions> = {},
  files?: { readonly [path: string]: string },
): Promise<GateResult> {
  return testPolicy(bench, await source(rego, tests, files), undefined, undefined, { ...RULES, ...options });
}

/** Lines of the definitions that no test reaches. */
async function unreached(rego: string, tests: string, files?: { readonly [path: string]: string }): Promise<string[]> {
  const gate = await cover(rego, tests, {}, files);
  expect(gate.verdict, gate.reason).not.toBe('inconclusive');
  expect(gate.findings.every((f) => f.ruleId === 'policy-rule-coverage-low')).toBe(true);
  const found = gate.findings.flatMap((f) => (f.evidence as { unreached: string[] }).unreached);
  expect(gate.tables?.find((t) => t.title === 'Rules that no test reaches')?.rows.map((row) => row[1]) ?? []).toEqual(found);
  if (found.length > 0) expect(`${gate.findings[0]!.location!.file}:${gate.findings[0]!.location!.line}`).toBe(found[0]);
  return found;
}

const percent = (gate: GateResult, name: string): number | undefined =>
  gate.measurements.find((m) => m.name === `policy.tests.${name}`)?.value;

describe('coverage by rule', () => {
  test.each<[string, string, string, string[]]>([
    [
      'a body of several that no test makes true',
      'package p\n\nallow if input.a\n\nallow if input.b\n',
      'test_a if p.allow with input.a as true\n',
      ['p.rego:5'],
    ],
    [
      'a body that would agree with one that held is looked at too',
      'package p\n\nallow if input.a\n\nallow if input.b\n',
      'test_a if p.allow with input as {"a": true, "b": true}\n',
      [],
    ],
    [
      'links of an else chain',
      'package p\n\nd := 1 if input.x == 1\n\nelse := 2 if input.x == 2\n\nelse := 3 if input.x == 3\n\nelse := 4\n',
      'test_first if p.d == 1 with input.x as 1\n\ntest_last if p.d == 4 with input.x as 9\n',
      ['p.rego:5', 'p.rego:7'],
    ],
    [
      'a default that no test uses',
      'package p\n\ndefault allow := false\n\nallow if input.a\n',
      'test_a if p.allow with input.a as true\n',
      ['p.rego:3'],
    ],
    [
      'a default that one of two evaluations in a test uses',
      'package p\n\ndefault allow := false\n\nallow if input.a\n',
      'test_a if {\n\tp.allow with input.a as true\n\tnot p.allow with input.a as false\n}\n',
      [],
    ],
    [
      'a default used inside of another evaluation of its rule',
      'package p\n\ndefault allow := false\n\nallow if input.a\n\nallow if input.b\n',
      'test_a if {\n\tp.allow with input as {"a": true, "b": true}\n\tp.allow == false with input as {}\n}\n',
      [],
    ],
    [
      'the default of a function, and its bodies',
      'package p\n\ndefault f(_) := 0\n\nf(x) := 1 if x > 1\n\nf(x) := 2 if x < 0\n\nd := f(input.x)\n',
      'test_f if p.d == 1 with input.x as 2\n',
      ['p.rego:3', 'p.rego:7'],
    ],
    [
      'members of a set, a fact among them',
      'package p\n\ns contains "a" if input.a\n\ns contains "b"\n\ns contains x if some x in input.xs\n\ns contains y if { y := input.y; y > 3 }\n',
      'test_s if p.s == {"b", "x"} with input.xs as ["x"]\n',
      ['p.rego:3', 'p.rego:9'],
    ],
    [
      'keys of an object, and heads with dots',
      'package p\n\nm[k] := v if some k, v in input.o\n\nm["z"] := 1 if input.z\n\na.b := 1 if input.x\n\na.c := 2\n',
      'test_m if count(p.m) == 1 with input.o as {"k": 1}\n\ntest_a if p.a.c == 2\n',
      ['p.rego:5', 'p.rego:7'],
    ],
    [
      'a body that holds where the value is undefined',
      'package p\n\nd := data.none[input.x] if input.x\n\nd := 2 if not input.x\n',
      'test_d if not p.d with input.x as "a"\n\ntest_two if p.d == 2\n',
      ['p.rego:3'],
    ],
    [
      'tests that are skipped do not count',
      'package p\n\nallow if input.a\n',
      'todo_test_a if p.allow with input.a as true\n\ntest_b if not p.allow\n',
      ['p.rego:3'],
    ],
    [
      'tables of cases count case by case',
      'package p\n\nallow if input.a == 1\n\nallow if input.a == 2\n\nallow if input.a == 3\n',
      'test_a[name] if {\n\tsome name, a in {"one": 1, "two": 2}\n\tp.allow with input.a as a\n}\n',
      ['p.rego:7'],
    ],
    [
      'annotations, comments and imports after the package',
      'package p # the policy\n\n# why\nimport data.lib\n\n# METADATA\n# title: x\ndefault allow := false\n\n# METADATA\n# title: y\nallow if lib.ok\n',
      'test_a if not p.allow\n',
      ['p.rego:12'],
    ],
  ])('%s', async (_name, rego, tests, expected) => {
    expect(await unreached(rego, tests)).toEqual(expected);
  });

  test('a rule over several modules, and names that need quotes', async () => {
    const files = {
      'a.rego': 'package q["x-y"]\n\ndefault allow := false\n\nallow if input.a\n',
      'b.rego': 'package q["x-y"]\n\nallow if input.b\n',
    };
    const used = 'test_a if data.q["x-y"].allow with input.a as true\n';
    expect(await unreached('package p\n', used, files)).toEqual(['a.rego:3', 'b.rego:3']);
    expect(await unreached('package p\n', `${used}\ntest_d if data.q["x-y"].allow == false\n`, files)).toEqual(['b.rego:3']);
  });

  const MOCKED = [
    'package p',
    'import data.lib',
    'default allow := false',
    'allow if lib.ok(input.x)',
    'allow if data.limits.open',
    'allow if time.now_ns() == 5',
    'allow if http_ok',
    'http_ok if input.body == 7',
    'allow if base64.encode(input.s) == "mock"',
  ].join('\n\n');
  const LIB = { 'lib.rego': 'package lib\n\nok(x) if x == 1\n', 'data.json': '{"limits": {"open": false}}' };
  test.each<[string, string, string[]]>([
    [
      'input',
      'test_x if p.allow with input as {"x": 1}\n',
      ['p.rego:5', 'p.rego:9', 'p.rego:11', 'p.rego:13', 'p.rego:15', 'p.rego:17'],
    ],
    [
      'a part of input',
      'test_x if p.allow with input.x as 1\n',
      ['p.rego:5', 'p.rego:9', 'p.rego:11', 'p.rego:13', 'p.rego:15', 'p.rego:17'],
    ],
    [
      'data',
      'test_x if p.allow with data.limits.open as true\n',
      ['lib.rego:3', 'p.rego:5', 'p.rego:7', 'p.rego:11', 'p.rego:13', 'p.rego:15', 'p.rego:17'],
    ],
    [
      'a rule',
      'test_x if p.allow with p.http_ok as true\n',
      ['lib.rego:3', 'p.rego:5', 'p.rego:7', 'p.rego:9', 'p.rego:11', 'p.rego:15', 'p.rego:17'],
    ],
    [
      'a function by a value',
      'test_x if p.allow with data.lib.ok as true with input.x as 0\n',
      ['lib.rego:3', 'p.rego:5', 'p.rego:9', 'p.rego:11', 'p.rego:13', 'p.rego:15', 'p.rego:17'],
    ],
    [
      'a function by a function',
      'yes(_) := true\n\ntest_x if p.allow with data.lib.ok as yes with input.x as 0\n',
      ['lib.rego:3', 'p.rego:5', 'p.rego:9', 'p.rego:11', 'p.rego:13', 'p.rego:15', 'p.rego:17'],
    ],
    [
      'a builtin by a value',
      'test_x if p.allow with time.now_ns as 5\n',
      ['lib.rego:3', 'p.rego:5', 'p.rego:7', 'p.rego:9', 'p.rego:13', 'p.rego:15', 'p.rego:17'],
    ],
    [
      'a builtin by a function',
      'enc(_) := "mock"\n\ntest_x if p.allow with base64.encode as enc with input.s as "s"\n',
      ['lib.rego:3', 'p.rego:5', 'p.rego:7', 'p.rego:9', 'p.rego:11', 'p.rego:13', 'p.rego:15'],
    ],
  ])('`with` of %s counts as in opa test', async (_name, tests, expected) => {
    expect(await unreached(MOCKED, tests, LIB)).toEqual(expected);
  });

  test('what a test prints is no evidence', async () => {
    const gate = await cover(
      'package p\n\nallow if input.a\n\nallow if input.b\n',
      'test_a if {\n\tp.allow with input.a as true\n\tprint("mixgate-0000000000000000 + r1")\n\tprint("r1\\nr1")\n}\n',
    );
    expect(percent(gate, 'rule_coverage')).toBe(50);
  });

  test('a package that is read as a document looks the same', async () => {
    const tests = 'test_doc if data.p == {"a": set(), "b": 2}\n';
    expect(await unreached('package p\n\na contains 1 if input.x\n\ndefault b := 2\n', tests)).toEqual(['p.rego:3']);
  });
  test('a function in a loop', async () => {
    const rego =
      'package p\n\nf(x) := x + 1\n\nd := count([1 | some i in numbers.range(1, 40); some j in numbers.range(1, 40); f(i) == j])\n';
    expect(await unreached(rego, 'test_d if p.d == 39\n')).toEqual([]);
  });
  test('where it can not be measured the gate says why, and is inconclusive when a threshold is set', async () => {
    const rego = 'package p\n\nprint(x) := x\n\nallow if print(input.a)\n';
    const tests = 'test_a if p.allow with input.a as true\n';
    const asked = await cover(rego, tests);
    expect([asked.verdict, asked.reason]).toEqual([
      'inconclusive',
      'Coverage by rule could not be measured: the rule p.print hides a builtin of OPA that the measurement needs.',
    ]);
    expect((await cover(rego, tests, { rules: undefined })).verdict).toBe('pass');
  });

  test('without a threshold nothing is judged; without tests a threshold is not met', async () => {
    const rego = 'package p\n\nallow if input.a\n';
    const open = await cover(rego, 'test_b if not p.allow\n', { rules: undefined });
    expect([open.verdict, percent(open, 'rule_coverage'), open.facts?.['ruleCoverage']]).toEqual([
      'pass',
      0,
      '0 of 1 definitions hold in some test',
    ]);
    const none = await cover(rego, '');
    expect(none.findings.map((f) => [f.ruleId, f.blocking])).toEqual([['policy-test-missing', true]]);
  });
});

/** A rule as conditions on flags of the input; `Layout` says how it is written. */
interface Shape {
  readonly bodies: readonly (readonly number[])[];
  readonly chain: boolean;
}
interface Layout {
  readonly braces: boolean;
  readonly breaks: boolean;
  readonly blank: number;
  readonly comment: boolean;
}

/** Source of rules `r0`, `r1`, ...: the same rules whatever the layouts. */
function written(shapes: readonly Shape[], layouts: readonly Layout[]): string {
  let next = 0;
  const layout = (): Layout => layouts[next++ % layouts.length]!;
  const body = (flags: readonly number[]): string => {
    const { braces, breaks, blank, comment } = layout();
    const conditions = flags.map((flag) => `input.f${flag}`);
    const gap = `${comment ? ' # } else := 1' : ''}${'\n'.repeat(blank + 1)}`;
    if (conditions.length === 1 && !braces) return conditions[0]!;
    if (breaks) return `{${gap}\t${conditions.join(`${gap}\t`)}${gap}}`;
    return `{ ${conditions.join('; ')} }`;
  };
  const rules = shapes.map(({ bodies, chain }, r) => {
    const [head, link] = chain ? [`r${r} := 0`, (i: number) => `else := ${i}`] : [`r${r} := 1`, () => `r${r} := 1`];
    return `default r${r} := -1\n\n${bodies
      .map((flags, i) => `${i === 0 ? head : link(i)} if ${body(flags)}`)
      .join('\n'.repeat(layout().blank + 1))}`;
  });
  return `package p\n\n${rules.join('\n'.repeat(layout().blank + 1))}\n`;
}

const shapeOf = fc.record({
  bodies: fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 3 }), {
    minLength: 1,
    maxLength: 3,
  }),
  chain: fc.boolean(),
});
const layoutOf = fc.record({ braces: fc.boolean(), breaks: fc.boolean(), blank: fc.nat({ max: 2 }), comment: fc.boolean() });

describe('formatting', () => {
  test('has no say in the number, unlike in line coverage', async () => {
    const lineCoverage = new Set<number | undefined>();
    await fc.assert(
      fc.asyncProperty(
        fc.array(shapeOf, { minLength: 1, maxLength: 3 }),
        fc.array(fc.array(layoutOf, { minLength: 1, maxLength: 7 }), { minLength: 2, maxLength: 2 }),
        fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }), { minLength: 1, maxLength: 3 }),
        async (shapes, layouts, inputs) => {
          const tests = inputs
            .map((flags, i) => {
              const input = Object.fromEntries(flags.map((flag) => [`f${flag}`, true]));
              return `test_${i} if {\n${shapes.map((_, r) => `\tp.r${r} > -2 with input as ${JSON.stringify(input)}`).join('\n')}\n}\n`;
            })
            .join('\n');
          const gates = await Promise.all(
            layouts.map(async (layout) => cover(written(shapes, layout), tests, { rules: undefined })),
          );
          for (const gate of gates) lineCoverage.add(percent(gate, 'coverage'));
          const [a, b] = gates.map((gate) => [percent(gate, 'rule_coverage'), gate.facts?.['ruleCoverage']]);
          expect(b).toEqual(a);
          expect(a![0]).toBe(expectedShare(shapes, inputs));
        },
      ),
      { numRuns: 15, seed: 7 },
    );
    expect(lineCoverage.size).toBeGreaterThan(1);
  });
  test('the same rule split over lines moves line coverage and not the number', async () => {
    const tests = 'test_a if p.allow with input as {"a": 1}\n';
    const flat = await cover('package p\n\nallow if { input.a }\n\nallow if { input.b; input.c; input.d }\n', tests, {
      rules: undefined,
    });
    const long = await cover('package p\n\nallow if { input.a }\n\nallow if {\n\tinput.b\n\tinput.c\n\tinput.d\n}\n', tests, {
      rules: undefined,
    });
    expect([percent(flat, 'rule_coverage'), percent(long, 'rule_coverage')]).toEqual([50, 50]);
    expect(percent(flat, 'coverage')).not.toBe(percent(long, 'coverage'));
  });
});

/** What must come out, from the rules themselves. */
function expectedShare(shapes: readonly Shape[], inputs: readonly (readonly number[])[]): number {
  let all = 0;
  let held = 0;
  for (const { bodies, chain } of shapes) {
    const seen = new Set<number>();
    for (const flags of inputs) {
      const holding = bodies.flatMap((body, i) => (body.every((flag) => flags.includes(flag)) ? [i] : []));
      if (holding.length === 0) seen.add(-1);
      for (const i of chain ? holding.slice(0, 1) : holding) seen.add(i);
    }
    all += bodies.length + 1;
    held += seen.size;
  }
  return Math.floor((10_000 * held) / all) / 100;
}

const ROUTES = `package p

default decision := {"allow": false, "reasons": ["NOBODY"]}

decision := {"allow": false, "reasons": sort(why)} if count(why) > 0

decision := {"allow": true, "target": {"pool": pool, "cluster": "c"}, "trace": input.n > 5} if { count(why) == 0; pool }

why contains "SMALL" if input.n < 3

why contains "LARGE" if input.n > 8

pool := "gpu" if input.kind == "big"

pool := "cpu" if input.kind == "small"
`;
const ASKED: Partial<CoverageTestOptions> = {
  rules: undefined,
  decisions: 100,
  entrypoint: 'p/decision',
  document: domainDocument({ base: { n: 4, kind: 'big' }, vary: { n: [1, 4, 7, 9], kind: ['big', 'small', { unknown: true }] } }),
};
const missing = (gate: GateResult): string[] =>
  gate.findings.flatMap((f) =>
    (f.evidence as { unseen: { what: string; value: string }[] }).unseen.map((v) => `${v.what} ${v.value}`),
  );

describe('coverage by decision value', () => {
  test('values that the domain reaches and no test sees, each with a test that sees it', async () => {
    const tests = 'test_gpu if p.decision.allow with input as {"n": 4, "kind": "big"}\n';
    const gate = await cover(ROUTES, tests, ASKED);
    expect(shown(gate.findings)).toEqual(['policy-decision-coverage-low p.rego:3']);
    expect(missing(gate)).toEqual([
      'outcome deny',
      'reason LARGE',
      'reason NOBODY',
      'reason SMALL',
      'target.pool cpu',
      'trace true',
    ]);
    const rows = gate.tables!.find((t) => t.title === 'Decision values that no test sees')!.rows;
    expect(rows.find((row) => row[1] === 'cpu')).toEqual(['target.pool', 'cpu', 'kind = "small"']);
    const { unseen } = gate.findings[0]!.evidence as { unseen: { test: string }[] };
    const pasted = Object.fromEntries(unseen.map((v, i) => [`v${i}_test.rego`, v.test]));
    const after = await cover(ROUTES, tests, ASKED, pasted);
    expect([after.verdict, after.facts?.['tests'], percent(after, 'decision_coverage')]).toEqual(['pass', '7 of 7 passed', 100]);
  });
  test('tests of other rules see nothing of the decision, and a mocked decision is none', async () => {
    const inner = await cover(ROUTES, 'test_pool if p.pool == "gpu" with input.kind as "big"\n', ASKED);
    expect(percent(inner, 'decision_coverage')).toBe(0);
    const mocked = await cover(ROUTES, 'test_m if p.decision.allow with p.decision as {"allow": true}\n', ASKED);
    expect(percent(mocked, 'decision_coverage')).toBe(0);
  });
  test.each<[string, string, string, string[]]>([
    ['a boolean', 'decision if input.n > 4', 'test_t if p.decision with input.n as 9\n', ['outcome undefined']],
    [
      'a default',
      'default decision := false\n\ndecision if input.n > 4',
      'test_t if p.decision with input.n as 9\n',
      ['outcome deny'],
    ],
    [
      'a set',
      'decision contains "low" if input.n < 4',
      'test_t if count(p.decision) == 1 with input.n as 1\n',
      ['decision empty'],
    ],
    [
      'an empty set',
      'decision contains "low" if input.n < 4',
      'test_t if count(p.decision) == 0 with input.n as 9\n',
      ['member low'],
    ],
    [
      'a name',
      'decision := "a" if input.n < 4\n\nelse := "b"',
      'test_t if p.decision == "a" with input.n as 1\n',
      ['decision b'],
    ],
  ])('%s', async (_name, rego, tests, expected) => {
    expect(missing(await cover(`package p\n\n${rego}\n`, tests, ASKED))).toEqual(expected);
  });
  test('without a domain the values are counted, and a threshold can not be judged', async () => {
    const gate = await cover(ROUTES, 'test_gpu if p.decision.allow with input as {"n": 4, "kind": "big"}\n', {
      ...ASKED,
      document: undefined,
    });
    expect(gate.verdict).toBe('inconclusive');
    expect(gate.facts?.['decisionCoverage']).toContain('no domain');
  });
  test('classes of a decision', () => {
    const of = (decision: Parameters<typeof decisionValues>[0], data: JsonObject = {}): string[] =>
      decisionValues(decision, data).map((v) => `${v.what} ${v.value}`);
    expect(of(undefined)).toEqual(['outcome undefined']);
    expect(of(true)).toEqual(['outcome allow']);
    expect(of(7)).toEqual(['decision 7']);
    expect(of([])).toEqual(['decision empty']);
    expect(
      of(
        {
          allow: true,
          target: { cluster: 'c1', pool: 'p1' },
          reasons: ['A', 'B'],
          rule: 'x',
          message: 'free text',
          quota: { n: 1 },
        },
        { fleet: { clusters: { c1: { jurisdiction: 'EU' } } } },
      ).sort(),
    ).toEqual([
      'outcome allow',
      'reason A',
      'reason B',
      'rule x',
      'target.cluster c1',
      'target.jurisdiction EU',
      'target.pool p1',
    ]);
  });
  test('a kind with too many values is data, not a class', () => {
    const tally = new ValueTally<number>();
    for (let i = 0; i <= MAX_VALUES; i += 1)
      tally.add(
        [
          { what: 'id', value: `r${i}` },
          { what: 'outcome', value: 'allow' },
        ],
        i,
      );
    expect(tally.open).toEqual(['id']);
    expect(tally.entries()).toEqual([{ what: 'outcome', value: 'allow', evidence: 0 }]);
  });
});

test('the gate measures both, and judges them where mixgate.yaml asks for it', async () => {
  const tree = memoryTree({
    'pol/p.rego': ROUTES,
    'pol/p_test.rego': 'package p_test\n\nimport data.p\n\ntest_gpu if p.decision.allow with input as {"n": 4, "kind": "big"}\n',
    'domain.yaml': 'base: {n: 4, kind: big}\nvary: {n: [1, 4, 7, 9], kind: [big, small, {unknown: true}]}\n',
  });
  const context = { ...run, base: undefined, head: tree, changed: undefined, tool: () => opaTool() };
  const section: Parameters<typeof runPolicyGate>[1] = { roots: ['pol'], entrypoints: ['p/decision'], domain: 'domain.yaml' };
  const gate = async (more: object): Promise<GateResult> => runPolicyGate(context, { ...section, ...more }, {} as never);
  const open = await gate({});
  expect(open.facts).toMatchObject({
    ruleCoverage: expect.stringContaining(' of 7 '),
    decisionCoverage: expect.stringContaining('all 12 points'),
  });
  expect(open.findings.filter((f) => f.ruleId.includes('coverage'))).toEqual([]);
  const judged = await gate({ ruleCoverage: 90, decisionCoverage: 90 });
  expect(shown(judged.findings.filter((f) => f.ruleId.includes('coverage')))).toEqual(
    ['policy-decision-coverage-low p.rego:3', 'policy-rule-coverage-low p.rego:3'].map((line) =>
      line.replace('p.rego', 'pol/p.rego'),
    ),
  );
  expect(await gate({ decisionCoverage: 90, domain: undefined })).toMatchObject({
    verdict: 'inconclusive',
    reason: expect.stringContaining('needs an input domain'),
  });
});
