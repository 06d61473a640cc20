import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Config } from '../../src/config/load.ts';
import type { GateResult } from '../../src/core/gate.ts';
import type { GateContext } from '../../src/core/gate-context.ts';
import { runPolicyGate } from '../../src/policy/gate.ts';
import { folderTree, type Tree } from '../../src/workspace/tree.ts';
import { ROOT } from '../support/cli.ts';
import { memoryTree, opaTool, run, shown } from './support.ts';

type Section = Parameters<typeof runPolicyGate>[1];

const FLEET = folderTree(join(ROOT, 'examples/fleet'), 'base');
const SECTION: Section = {
  roots: ['policies/routing'],
  entrypoints: ['routing/decision'],
  domain: 'policies/domain.yaml',
  invariants: 'policies/invariants',
  corpus: 'policies/corpus.ndjson',
  coverage: 90,
};

async function gate(base: GateContext['base'], head: GateContext['head'], section: Section = SECTION): Promise<GateResult> {
  const context: GateContext = { ...run, base, head, changed: undefined, tool: () => opaTool() };
  return runPolicyGate(context, section, {} as Config);
}

/** A tree with some files replaced or removed. */
function edited(
  tree: Pick<Tree, 'name' | 'list' | 'read' | 'readMany'>,
  files: { readonly [path: string]: string | undefined },
): GateContext['head'] {
  const gone = Object.keys(files).filter((path) => files[path] === undefined);
  const more = memoryTree(
    Object.fromEntries(Object.entries(files).flatMap(([path, text]) => (text === undefined ? [] : [[path, text]]))),
  );
  return {
    name: 'head',
    commit: undefined,
    list: async (prefix) =>
      [...new Set([...(await tree.list(prefix)), ...(await more.list(prefix))])].filter((path) => !gone.includes(path)).sort(),
    read: async (path) => (await more.read(path)) ?? (gone.includes(path) ? undefined : await tree.read(path)),
    readMany: async (paths) =>
      new Map([...(await tree.readMany(paths.filter((path) => !gone.includes(path)))), ...(await more.readMany(paths))]),
  };
}

const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const LATENCY = 'Policy evaluation latency';
/** What does not depend on a clock. */
const stable = (result: GateResult): string =>
  JSON.stringify({
    ...result,
    measurements: result.measurements.filter((m) => m.volatile !== true),
    tables: result.tables?.filter((table) => table.title !== LATENCY),
    facts: { ...result.facts, latencyRegression: undefined },
    findings: result.findings.filter((f) => !f.ruleId.startsWith('policy-latency')),
  });

test('policy.smt adds proofs for every input, and what they find fails the gate', async () => {
  const rego = (limit: string): string => `package p\n\ndefault decision := false\n\ndecision if input.load ${limit}\n`;
  const tree = (limit: string): GateContext['head'] =>
    memoryTree({
      'pol/p.rego': rego(limit),
      'pol/p_test.rego': 'package p_test\n\ntest_low if data.p.decision with input.load as 1\n',
      'inv/i.rego': 'package invariants.i\n\nviolation contains "too much" if {\n\tinput.decision\n\tinput.input.load > 9\n}\n',
      'domain.yaml': 'base: {load: 1}\nvary:\n  load: [1, 9, {absent: true}]\n',
    });
  const section: Section = { roots: ['pol'], entrypoints: ['p/decision'], domain: 'domain.yaml', invariants: 'inv', smt: true };
  const found = (result: GateResult): string[] => shown(result.findings.filter((f) => f.ruleId === 'policy-invariant-violated'));
  const good = await gate(undefined, tree('< 9'), section);
  expect(good.facts?.['smt']).toMatchObject({ clauses: [{ invariant: 'invariants.i', status: 'proved' }] });
  expect(found(good)).toEqual([]);
  const bad = await gate(undefined, tree('!= 9'), section);
  expect(bad.facts?.['proof']).toBe('proved on 3 of 3');
  expect(found(bad)).toEqual(['policy-invariant-violated pol/p.rego:5']);
  expect(bad.verdict).toBe('fail');
});

describe('the fleet', () => {
  test('the shipped policy passes, proved on every point, and its own diff is empty', async () => {
    const result = await gate(FLEET, FLEET);
    expect(result.findings.filter((f) => !f.ruleId.startsWith('policy-latency'))).toEqual([]);
    expect(result.facts).toMatchObject({
      proof: 'proved on 307200 of 307200',
      tests: expect.stringMatching(/^(\d+) of \1 passed$/),
      ruleCoverage: expect.stringMatching(/^(\d+) of \1 definitions hold in some test$/),
      decisionCoverage: expect.stringMatching(/^(\d+) of \1 values of routing\/decision /),
      'decisionDiff.corpus': '0 of 400 decisions differ',
      parity: expect.stringMatching(/^(\d+) of \1 inputs compared with OPA's own evaluator$/),
    });
  });

  test('the bad change is found: invariant, counterexample, line, and the traffic it moves', async () => {
    const files = Object.fromEntries(
      ['residency.rego', 'capacity_test.rego', 'fallback_test.rego'].map((name) => [
        `policies/routing/${name}`,
        text(`examples/fleet-changes/bad/policies/routing/${name}`),
      ]),
    );
    const result = await gate(FLEET, edited(FLEET, files));
    expect(result.verdict).toBe('fail');
    const line = 1 + files['policies/routing/residency.rego']!.split('\n').findIndex((l) => l.includes('saturated_at_home'));
    const place = `policies/routing/residency.rego:${line - 2}`;
    const broken = result.findings.filter((f) => f.ruleId === 'policy-invariant-violated');
    expect(new Set(shown(broken))).toEqual(new Set([`policy-invariant-violated ${place}`]));
    const home = broken.find((f) => f.message.includes('restricted data with origin EU is served outside the EU'));
    expect(home?.evidence).toMatchObject({
      counterexample: { request: { data_class: 'restricted', origin_region: 'eu-west-1' } },
      decision: { allow: true, target: { cluster: 'us-east' } },
    });
    expect(home?.evidence).toHaveProperty('test', expect.stringContaining('test_invariants_residency_holds if {'));
    const rerouted = result.findings.find((f) => f.ruleId === 'policy-decision-rerouted');
    expect(rerouted?.message).toMatch(
      /of replayed traffic \(\d+ of 400 requests\) is sent somewhere else\. Jurisdiction EU to US\./,
    );
    expect(rerouted?.location).toMatchObject({ file: 'policies/routing/residency.rego', line: line - 2 });
    // The change adapts its tests and they pass; base's versions warn.
    expect(result.facts?.['tests']).toMatch(/^(\d+) of \1 passed$/);
  });

  test('a limit moved in the data is a change of data, and two runs give the same bytes', async () => {
    const data = text('examples/fleet/policies/routing/data.json').replace('"saturation": 0.85', '"saturation": 0.5');
    const head = edited(FLEET, { 'policies/routing/data.json': data });
    const bare: Section = { roots: SECTION.roots, entrypoints: SECTION.entrypoints, corpus: 'policies/corpus.ndjson' };
    const [first, second] = [await gate(FLEET, head, bare), await gate(FLEET, head, bare)];
    expect(
      first.tables?.find((t) => t.title.startsWith('Decision diff'))?.rows.every((row) => row[3] === '0' && row[4] !== '0'),
    ).toBe(true);
    expect(stable(first)).toBe(stable(second));
    const latency = first.tables?.find((table) => table.title === LATENCY);
    const ratio = latency?.rows[0]?.[latency.columns.indexOf('Head / base')];
    expect(ratio).toMatch(/^\d+\.\d\d \((?:slower by more than half|not slower by half|cannot tell)\)$/);
    expect(first.facts?.['latencyRegression'] !== undefined).toBe(ratio?.includes('cannot tell'));
  });
});

const POLICY = 'package p\n\ndefault decision := false\n\ndecision if input.n < data.limit\n';
const SMALL = {
  'pol/p.rego': POLICY,
  'pol/data.json': '{"limit": 5}',
  'pol/p_test.rego':
    'package p_test\n\nimport data.p\n\ntest_low if p.decision with input as {"n": 1}\n\ntest_high if not p.decision with input as {"n": 9}\n',
  'inv/i.rego': 'package invariants\n\nviolation contains "too high" if {\n\tinput.decision\n\tinput.input.n > 7\n}\n',
  'domain.yaml': 'base: {n: 1}\nvary: {n: [1, 8, {boundaries: true}]}\n',
};
const SMALL_SECTION: Section = { roots: ['pol'], entrypoints: ['p/decision'], domain: 'domain.yaml', invariants: 'inv' };
const rules = (result: GateResult): string[] =>
  [...new Set(result.findings.filter((f) => !f.ruleId.startsWith('policy-latency')).map((f) => f.ruleId))].sort();
const change = (files: { readonly [path: string]: string | undefined }): Promise<GateResult> =>
  gate(memoryTree(SMALL, 'base'), edited(memoryTree(SMALL), files), SMALL_SECTION);

describe('a change cannot weaken its own gate', () => {
  test('nothing changed, nothing found', async () => {
    expect(rules(await change({}))).toEqual([]);
  });
  test('an invariant that is removed with the change that breaks it still judges', async () => {
    const result = await change({
      'pol/data.json': '{"limit": 50}',
      'pol/p_test.rego': SMALL['pol/p_test.rego'].replace('"n": 9', '"n": 90'),
      'inv/i.rego': 'package invariants\n\nviolation contains "never" if input.decision == "x"\n',
    });
    expect(result.verdict).toBe('fail');
    expect(rules(result)).toContain('policy-invariant-violated');
    expect(rules(result)).toContain('policy-gate-changed');
  });
  test('a domain that leaves the dangerous point out still judges', async () => {
    const result = await change({
      'pol/data.json': '{"limit": 50}',
      'pol/p_test.rego': SMALL['pol/p_test.rego'].replace('"n": 9', '"n": 90'),
      'domain.yaml': 'base: {n: 1}\nvary: {n: [1, 2]}\n',
    });
    expect(rules(result)).toEqual(expect.arrayContaining(['policy-gate-changed', 'policy-invariant-violated']));
  });
  test("head's own invariants are checked as well", async () => {
    const result = await change({
      'inv/i.rego': `${SMALL['inv/i.rego']}\nviolation contains "too low" if {\n\tinput.decision\n\tinput.input.n < 5\n}\n`,
    });
    expect(result.findings.filter((f) => f.blocking).map((f) => f.message)).toEqual([expect.stringContaining('too low')]);
  });
  test('a test that is removed with the change that breaks it blocks', async () => {
    const result = await change({
      'pol/data.json': '{"limit": 6}',
      'pol/p_test.rego': undefined,
      'pol/q_test.rego': 'package q_test\n\ntest_one if true\n',
      'pol/p.rego': POLICY.replace('<', '>='),
    });
    expect(result.findings.filter((f) => f.ruleId === 'policy-test-failed').map((f) => [f.subject, f.blocking])).toEqual([
      ['test_low on base', true],
      ['test_high on base', true],
    ]);
  });
  test('a test that is edited with the behaviour warns', async () => {
    const result = await change({
      'pol/data.json': '{"limit": 1}',
      'pol/p_test.rego': SMALL['pol/p_test.rego'].replace('{"n": 1}', '{"n": 0}'),
    });
    expect(result.findings.filter((f) => f.ruleId === 'policy-test-failed').map((f) => [f.subject, f.blocking])).toEqual([
      ['test_low on base', false],
    ]);
  });
});

describe('nor weaken what judges it from the side', () => {
  const BASE = {
    ...SMALL,
    // What is too high is said by a helper; another definition of it could only add to what is allowed.
    'inv/i.rego':
      'package invariants.limit\n\nviolation contains "too high" if {\n\tinput.decision\n\tnot fine(input.input.n)\n}\n\nfine(n) if n <= 7\n',
  };
  const HELPED = {
    ...BASE,
    'pol/p_test.rego':
      'package p_test\n\nimport data.p\n\nrefused if not p.decision with input as {"n": 9}\n\ntest_high if refused\n',
  };
  const POLICY_OPEN = { 'pol/data.json': '{"limit": 50}' };
  const on = (files: { readonly [path: string]: string | undefined }): Promise<GateResult> =>
    gate(memoryTree(BASE, 'base'), edited(memoryTree(BASE), files), SMALL_SECTION);
  test.each(['package invariants["limit"]', 'package # x\n invariants.limit'])(
    'a module of the policy written as %j adds nothing to the invariants',
    async (line) => {
      const result = await on({
        ...POLICY_OPEN,
        'pol/p_test.rego': BASE['pol/p_test.rego'].replace('"n": 9', '"n": 90'),
        'pol/evil.rego': `${line}\n\nfine(n) if n > 7\n`,
      });
      expect(result.verdict).toBe('fail');
      expect(result.findings.filter((f) => f.blocking).map((f) => f.ruleId)).toEqual(
        expect.arrayContaining([expect.stringMatching(/^policy-(?:guard-shadowed|invariant-violated|check-failed)$/)]),
      );
    },
  );
  test.each<[string, { readonly [path: string]: string }]>([
    ['a module of the policy', { 'pol/evil.rego': 'package p_test\n\nrefused if true\n' }],
    ['a module of the invariants', { 'inv/evil_test.rego': 'package p_test\n\nrefused if true\n' }],
    ['another test module', { 'pol/evil_test.rego': 'package p_test\n\nrefused if true\n' }],
  ])('%s adds no definition to what a test of base stands on', async (_name, more) => {
    const bare: Section = {
      roots: ['pol'],
      entrypoints: ['p/decision'],
      ...('inv/evil_test.rego' in more ? { invariants: 'inv' } : {}),
    };
    const result = await gate(memoryTree(HELPED, 'base'), edited(memoryTree(HELPED), { ...POLICY_OPEN, ...more }), bare);
    expect(result.findings.filter((f) => f.blocking).map((f) => f.ruleId)).toEqual(
      expect.arrayContaining([expect.stringMatching(/^policy-(?:guard-shadowed|test-failed)$/)]),
    );
  });
  test('the package of the gate is no package of a policy', async () => {
    const result = await on({ 'pol/evil.rego': 'package mixgate_gate\n\nresult := {}\n' });
    expect(result.verdict).toBe('fail');
  });
  test('the rule of `where` is that of base', async () => {
    const where = {
      ...BASE,
      'pol/where.rego': 'package p\n\nrelevant if input.n > 0\n',
      'domain.yaml': 'base: {n: 1}\nvary: {n: [1, 8, {boundaries: true}]}\nwhere: p/relevant\n',
    };
    const files = {
      ...POLICY_OPEN,
      'pol/p_test.rego': BASE['pol/p_test.rego'].replace('"n": 9', '"n": 90'),
      'pol/where.rego': 'package p\n\nrelevant if input.n == 1\n',
    };
    const result = await gate(memoryTree(where, 'base'), edited(memoryTree(where), files), SMALL_SECTION);
    expect(['fail', 'inconclusive']).toContain(result.verdict);
  });
  test('data beside the invariants are theirs', async () => {
    const files = {
      ...SMALL,
      'inv/data.json': '{"highest": 7}',
      'inv/i.rego': SMALL['inv/i.rego'].replace('> 7', '> data.highest'),
    };
    const open = {
      'inv/data.json': '{"highest": 700}',
      ...POLICY_OPEN,
      'pol/p_test.rego': SMALL['pol/p_test.rego'].replace('"n": 9', '"n": 90'),
    };
    const result = await gate(memoryTree(files, 'base'), edited(memoryTree(files), open), SMALL_SECTION);
    expect(result.findings.filter((f) => f.blocking).map((f) => `${f.ruleId} ${f.location?.file}`)).toEqual([
      'policy-guard-shadowed inv/data.json',
    ]);
  });
  test('a domain that head makes too large to prove is still proved where base was', async () => {
    const limits = Array.from({ length: 200 }, (_, i) => `decision := true if input.n == ${1000 + i * 3}\n`).join('\n');
    const head = edited(memoryTree(SMALL), { 'pol/p.rego': `${POLICY}\n${limits}\ndecision if input.n == 8\n` });
    const result = await gate(memoryTree(SMALL, 'base'), head, { ...SMALL_SECTION, maxPoints: 10 });
    expect(result.facts?.['proof']).toMatch(/^searched 10 of /);
    expect(result.facts?.['proofOnBasesDomain']).toBe('proved on 5 of 5');
    expect(rules(result)).toContain('policy-invariant-violated');
  });
  test('a policy that reads the clock is not proved by one instant', async () => {
    const result = await on({
      'pol/p.rego': `${POLICY}\ndecision if time.now_ns() > 1800000000000000000\n`,
    });
    expect(['fail', 'inconclusive']).toContain(result.verdict);
  });
});

describe('verdicts', () => {
  test.each<[string, { readonly [path: string]: string | undefined }, string]>([
    ['a module that does not compile', { 'pol/p.rego': 'package p\n\ndecision := x\n' }, 'policy-check-failed'],
    [
      'an entrypoint that is gone',
      { 'pol/p.rego': 'package p\n\nother := true\n', 'pol/p_test.rego': undefined },
      'policy-entrypoint-missing',
    ],
    ['a failing test', { 'pol/p.rego': POLICY.replace('<', '>') }, 'policy-test-failed'],
    [
      'a builtin without a host function',
      { 'pol/p.rego': POLICY.replace('input.n <', 'crypto.md5("x") != "y"\n\ndecision if input.n <') },
      'policy-builtin-not-portable',
    ],
    ['a conflict, with both sides', { 'pol/p.rego': `${POLICY}\ndecision := "x" if input.n == 1\n` }, 'policy-rule-conflict'],
  ])('%s fails', async (_name, files, rule) => {
    const result = await change(files);
    expect(result.verdict).toBe('fail');
    expect(rules(result)).toContain(rule);
  });
  test('without tests the gate warns, with a coverage threshold it fails', async () => {
    const head = edited(memoryTree(SMALL), { 'pol/p_test.rego': undefined });
    expect((await gate(undefined, head, SMALL_SECTION)).verdict).toBe('warn');
    expect((await gate(undefined, head, { ...SMALL_SECTION, coverage: 50 })).verdict).toBe('fail');
  });
  test('coverage below the threshold names the first uncovered line', async () => {
    const head = edited(memoryTree(SMALL), { 'pol/p.rego': `${POLICY}\ndecision if {\n\tinput.n == 6\n\tinput.x == 3\n}\n` });
    const result = await gate(undefined, head, { ...SMALL_SECTION, coverage: 100 });
    expect(result.findings.find((f) => f.ruleId === 'policy-coverage-low')?.location).toEqual({
      file: 'pol/p.rego',
      line: 7,
      endLine: 7,
    });
  });
  test('a base that does not compile leaves out the diff and says so', async () => {
    const result = await gate(
      edited(memoryTree(SMALL), { 'pol/p.rego': 'package p\n\nbroken' }),
      memoryTree(SMALL),
      SMALL_SECTION,
    );
    expect(result.facts?.['decisionDiff']).toContain('does not compile');
    expect(result.verdict).toBe('pass');
  });
  test('a policy that is new on head is judged without a diff', async () => {
    const result = await gate(memoryTree({ 'x.txt': '' }, 'base'), memoryTree(SMALL), SMALL_SECTION);
    expect(result.verdict).toBe('pass');
    expect(result.facts?.['proof']).toBe('proved on 5 of 5');
  });
  test('invariants without a domain prove nothing: inconclusive, never a pass', async () => {
    const { domain: _, ...section } = SMALL_SECTION;
    const result = await gate(undefined, memoryTree(SMALL), section);
    expect(result.verdict).toBe('inconclusive');
    expect(result.reason).toMatch(/^Nothing was proved: .*policy\.domain/);
  });
  test.each<[string, Section, RegExp]>([
    ['a missing root', { ...SMALL_SECTION, roots: ['nowhere'] }, /there is nothing at "nowhere"/],
    ['a missing domain', { ...SMALL_SECTION, domain: 'no.yaml' }, /no\.yaml: the file does not exist/],
    ['a missing corpus', { ...SMALL_SECTION, corpus: 'no.ndjson' }, /no\.ndjson: the file does not exist/],
    ['a missing data file', { ...SMALL_SECTION, data: ['no.json'] }, /no\.json: the data file does not exist/],
  ])('%s is a configuration error', async (_name, section, message) => {
    await expect(gate(undefined, memoryTree(SMALL), section)).rejects.toThrow(message);
  });
});
