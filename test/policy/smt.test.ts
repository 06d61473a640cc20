import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseYaml } from '../../src/config/document.ts';
import { silentProgress } from '../../src/core/context.ts';
import type { GateResult } from '../../src/core/gate.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { readDomain } from '../../src/policy/domain.ts';
import { invariantPackages } from '../../src/policy/invariants.ts';
import { provePolicy } from '../../src/policy/operations.ts';
import { decode } from '../../src/policy/smt/decode.ts';
import { NOT_ATTEMPTED, proveAll, type SmtProof } from '../../src/policy/smt/proof.ts';
import { smtReport } from '../../src/policy/smt/report.ts';
import { findZ3, Z3 } from '../../src/policy/smt/solver.ts';
import { loadPolicySource, withoutTests } from '../../src/rego/source.ts';
import { runCli } from '../support/cli.ts';
import { domainDocument, memoryTree, policy, shown, side, signal, testBench } from './support.ts';

const bench = await testBench();
const DOMAIN = { base: { class: 'public', load: 1 }, vary: { class: ['public', 'secret'], load: [1, 2] } };

async function smt(
  rego: string,
  clauses: string,
  options: { data?: JsonObject; z3?: string | undefined; where?: string } = {},
): Promise<SmtProof> {
  const on = await side(bench, await policy(rego, options.data ?? {}));
  const invariants = new Map([['inv/i.rego', `package invariants.i\n\n${clauses}`]]);
  const document = domainDocument({ ...DOMAIN, ...(options.where === undefined ? {} : { where: options.where }) });
  return proveAll(on, {
    entrypoint: 'p/decision',
    invariants,
    packages: invariantPackages(await bench.opa.parse(invariants), 'inv'),
    domain: readDomain(document, { comparisons: [], texts: [] }),
    signal,
    progress: silentProgress,
    ...('z3' in options ? { z3: options.z3 } : {}),
  });
}

const statuses = (proof: SmtProof): string[] => proof.results.map((r) => r.status);
const details = (proof: SmtProof): string[] => proof.results.map((r) => r.detail);

const RESIDENCY = `package p

default decision := {"allow": false}

decision := {"allow": true, "target": {"jurisdiction": jurisdiction}} if {
	tenant := data.tenants[input.tenant]
	some jurisdiction in tenant.jurisdictions
	jurisdiction == home
	within(input.tokens, tenant.quota)
}

home := data.regions[input.region]

within(tokens, quota) if {
	is_number(tokens)
	tokens <= quota
}
`;
const FLEET = {
  tenants: { a: { jurisdictions: ['EU'], quota: 100 }, b: { jurisdictions: ['US', 'IN'], quota: 7.5 } },
  regions: { 'eu-1': 'EU', 'us-1': 'US', 'in-1': 'IN' },
};

describe('invariants for every input', () => {
  test('residency, unknown values, absent fields and quotas are proved', async () => {
    const proof = await smt(
      RESIDENCY,
      `violation contains "leaves home" if input.decision.target.jurisdiction != data.regions[input.input.region]

violation contains "unknown region" if {
	input.decision.allow
	not data.regions[input.input.region]
}

violation contains "above the quota" if {
	input.decision.allow
	input.input.tokens > data.tenants[input.input.tenant].quota
}

violation contains "no tenant" if {
	input.decision.allow
	not input.input.tenant
}

violation contains "no decision" if not is_boolean(input.decision.allow)
`,
      { data: FLEET },
    );
    expect(proof.results.map((r) => [r.status, r.outside])).toEqual(Array.from({ length: 5 }, () => ['proved', []]));
    expect(proof.results[0]!.detail).toMatch(/^proved for every input \(SMT, z3 \d+\.\d+\.\d+\)$/);
  });

  test('a violation that the domain misses is found, replayed, and on the line that decided', async () => {
    const source = await policy(
      'package p\n\ndefault decision := {"allow": false}\n\ndecision := {"allow": true} if input.load < 5\n\ndecision := {"allow": true} if {\n\tinput.class == "secret"\n\tinput.load > 1234.5\n}\n',
    );
    const { invariants } = await loadPolicySource(
      memoryTree({
        'inv/i.rego':
          'package invariants.i\n\nviolation contains "secret data under load" if {\n\tinput.decision.allow\n\tinput.input.class == "secret"\n\tinput.input.load >= 5\n}\n',
      }),
      { roots: ['inv'] },
    );
    const prove = (withSmt: boolean): Promise<GateResult> =>
      provePolicy(bench, source, {
        entrypoint: 'p/decision',
        document: domainDocument(DOMAIN),
        invariants,
        folder: 'inv',
        maxPoints: 100,
        smt: withSmt,
      });
    const without = await prove(false);
    expect([without.verdict, without.facts?.['proof'], without.facts?.['smt']]).toEqual(['pass', 'proved on 4 of 4', undefined]);
    const gate = await prove(true);
    expect(shown(gate.findings)).toEqual(['policy-invariant-violated p.rego:7']);
    const { counterexample, test: pasted } = gate.findings[0]!.evidence as { counterexample: JsonObject; test: string };
    expect(counterexample['class']).toBe('secret');
    expect(gate.facts?.['smt']).toMatchObject({ clauses: [{ invariant: 'invariants.i', line: 3, status: 'broken' }] });
    const results = await bench.opa.test(new Map([...source.modules, ...invariants, ['x_test.rego', pasted]]), source.data);
    expect(results.map((r) => r.outcome)).toEqual(['fail']);
  });

  test.each([
    ['a value of another type', 'input.load > 5', 'not is_number(input.input.load)'],
    ['a string after all numbers', 'input.load > 5', 'is_string(input.input.load)'],
    ['an absent field under not', 'not input.load', 'not input.input.class'],
    ['an else link', 'k == "c"', 'input.input.load == "z"'],
    ['a default of a function', 'f(input.load) == 0', 'is_null(input.input.load)'],
    ['a count', 'count(problems) == 2', 'input.input.load == 9'],
    ['a difference of sets', 'count({"x", "y", "z"} - problems) == 1', 'input.input.load == 9'],
    ['a member of a partial set', '"x" in problems', 'input.input.load == 8.25'],
    ['every', 'every n in [3, 4] { n < input.load }', 'input.input.load < 4.5'],
  ])('%s is found', async (_name, condition, wanted) => {
    const proof = await smt(
      `package p

default decision := false

decision if ${condition}

k := "a" if input.load == 1

else := "b" if input.load == 2

else := "c"

default f(_) := 0

f(x) := 1 if x > 3

problems contains "x" if input.load > 8

problems contains "y" if input.load > 8.5
`,
      `violation contains "reached" if {\n\tinput.decision\n\t${wanted}\n}\n`,
    );
    expect(details(proof)).toEqual([expect.stringContaining('replayed through WASM')]);
  });

  test('`not` keeps what OPA makes of absent arguments', async () => {
    // `not input.load < 5` is undefined, not true, where load is absent; `not input.load == 5` is true.
    const proof = await smt(
      'package p\n\ndecision contains "call" if not input.load < 5\n\ndecision contains "equality" if not input.load == 5\n',
      'violation contains "call" if {\n\t"call" in input.decision\n\tnot input.input.load\n\tinput.input.load != false\n}\n\nviolation contains "equality" if {\n\t"equality" in input.decision\n\tnot input.input.load\n}\n\nviolation contains "absent" if {\n\t"call" in input.decision\n\tnot present\n}\n\npresent if is_number(input.input.load) in {true, false}\n',
    );
    expect(statuses(proof)).toEqual(['proved', 'broken', 'proved']);
  });

  test('where leaves inputs out', async () => {
    const rego = 'package p\n\ndecision := input.load\n\nusual if input.load < 5\n';
    const clause = 'violation contains "high" if input.decision >= 5\n';
    expect(statuses(await smt(rego, clause))).toEqual(['broken']);
    expect(statuses(await smt(rego, clause, { where: 'p/usual' }))).toEqual(['proved']);
  });

  test('rules that conflict show nothing and are no disagreement', async () => {
    const proof = await smt(
      'package p\n\ndecision := 1 if input.load > 3\n\ndecision := 2 if input.class == "a"\n',
      'violation contains "both" if {\n\tinput.decision == 2\n\tinput.input.load > 3\n\tinput.input.class == "a"\n}\n',
    );
    expect(details(proof)).toEqual(['unknown: it may be broken where rules conflict or composite values are compared']);
  });

  test.each([
    ['startswith(input.class, "s")', 'the builtin startswith'],
    ['some x in input.pools', 'iteration over an array or object of the input'],
    ['data.list[_] == input.class', 'iteration by reference'],
    ['input.load + 1 > 4', 'the builtin plus'],
    ['input[input.class] == 1', 'a computed key or an array place of the input'],
    ['regex.match("a", input.class)', 'the builtin regex.match'],
    ['q[input.class]', 'a partial object rule (p.q)', 'q[x] contains y if {\n\tx := "a"\n\ty := input.load\n}\n', 10],
  ])('%s is outside the subset, with its line', async (condition, construct, more = '', line = 7) => {
    const proof = await smt(
      `package p\n\ndefault decision := false\n\ndecision if {\n\tinput.load == 77\n\t${condition}\n}\n\n${more}`,
      'violation contains "held" if {\n\tinput.decision\n\tinput.input.class == 1\n}\n\nviolation contains "load" if {\n\tinput.decision\n\tinput.input.load != 77\n}\n',
      { data: { list: ['a'] } },
    );
    // What doesn't depend on the construct is proved all the same.
    expect(proof.results[1]!.status).toBe('proved');
    expect(proof.results[1]!.detail).toContain('1 construct taken as any value');
    if (proof.results[0]!.status !== 'broken')
      expect(proof.results[0]!.detail).toBe(`outside the subset: ${construct} at p.rego:${line}`);
    expect(proof.results[0]!.outside[0]!.construct).toBe(construct);
  });
});

describe('the shipped library', () => {
  const root = join(import.meta.dirname, '../../policies');
  const read = (folder: string): { readonly [file: string]: string } =>
    Object.fromEntries(readdirSync(join(root, folder)).map((name) => [name, readFileSync(join(root, folder, name), 'utf8')]));

  test('tenancy holds for every input, and where it depends on the pools for as many as the domain has', async () => {
    const source = await loadPolicySource(memoryTree(read('routing')), { roots: [''] });
    const on = await side(bench, source, 'routing/decision');
    const document = parseYaml(readFileSync(join(root, 'domain.yaml'), 'utf8'), 'domain.yaml');
    const proof = await proveAll(on, {
      entrypoint: 'routing/decision',
      invariants: withoutTests(new Map([['inv/tenancy.rego', read('invariants')['tenancy.rego']!]])),
      packages: ['invariants.tenancy'],
      domain: readDomain(document, { comparisons: [], texts: [], data: [source.data] }),
      signal,
      progress: silentProgress,
      maxSeconds: 600,
    });
    expect(statuses(proof)).toEqual(['proved', 'proved', 'proved', 'bounded', 'bounded', 'proved']);
    expect(details(proof)[3]).toMatch(
      /^proved for fleet\.pools of up to 9 elements \(SMT, z3 [\d.]+; \d+ constructs? taken as any value\)$/,
    );
    expect(proof.counterexamples).toEqual([]);
  });

  test('a time limit ends the proof: what was proved by then is kept, the rest is unknown, and the verdict inconclusive', async () => {
    const ran = await runCli(
      [
        ...['policy', 'prove', 'routing', '--entrypoint', 'routing/decision', '--domain', 'domain.yaml'],
        ...['--invariants', 'invariants', '--max-points', '2000', '--smt', '--smt-seconds', '1', '--format', 'json'],
      ],
      { cwd: root },
    );
    expect(ran.code).toBe(4);
    const { gates } = JSON.parse(ran.stdout) as {
      gates: { verdict: string; missing: string; facts: { smt: { clauses: Clause[] } } }[];
    };
    const { clauses } = gates[0]!.facts.smt;
    const said = (c: Clause): string => c.detail.replace(/ \(SMT.*/, '').replace(/ of \d+ \(.*/, '');
    const whole = new Set([
      'proved for every input',
      'proved for fleet.pools of up to 2 elements',
      'proved for fleet.pools of up to 9 elements',
    ]);
    const cut = clauses.filter((c) => c.status === 'unknown');
    expect(new Set(cut.map(said))).toEqual(new Set(['unknown: time limit; on the domain searched 2000']));
    expect(cut.every((c) => c.timeLimited === true)).toBe(true);
    expect(clauses.filter((c) => !cut.includes(c) && c.status !== 'outside').every((c) => whole.has(said(c)))).toBe(true);
    expect(gates[0]!.verdict).toBe('inconclusive');
    expect(gates[0]!.missing).toMatch(/^Of \d+ clauses \d+ (?:is|are) unknown for every input: invariants\./);
    expect(gates[0]!.missing).toContain('--smt-seconds');
    expect(ran.stderr).toContain('policy: SMT, ');
  });
});

interface Clause {
  readonly status: string;
  readonly detail: string;
  readonly timeLimited?: boolean;
}

describe('the solver', () => {
  test('without z3-solver nothing is claimed, and the verdict is inconclusive', async () => {
    const proof = await smt('package p\n\ndecision := 1\n', 'violation contains "x" if input.decision == 2\n', { z3: undefined });
    const report = smtReport(proof, 'p/decision', ['invariants.i']);
    expect(report.tables[0]!.rows).toEqual([['invariants.i', NOT_ATTEMPTED]]);
    expect(report.inconclusive).toBe(
      'The SMT proof was not attempted: z3-solver is not installed (npm install z3-solver@5.2.0).',
    );
    expect(findZ3('file:///nowhere/at/all.js')).toBeUndefined();
  });
  const HARD = `(declare-const a String)(declare-const b String)(declare-const x Int)(declare-const y Int)(declare-const z Int)
(assert (and (> x 2) (> y 2) (> z 2) (= (+ (* x x x) (* y y y)) (* z z z)) (= (str.++ a b "x") (str.++ b "x" a))))`;
  const hard = { text: HARD, names: [] };
  const easy = { text: '(declare-const a Bool)(assert a)', names: ['a'] };
  const minute = { rlimit: 0, limitMs: 60_000 };
  test('answers one question after the other; work that runs into the limit is unknown, not proved', async () => {
    await using z3 = new Z3(findZ3()!, signal);
    expect(await z3.ask(hard, { rlimit: 20_000, limitMs: 60_000 })).toEqual({ verdict: 'unknown', limit: 'work' });
    const { pid } = z3;
    expect(await z3.ask(easy, minute)).toEqual({ verdict: 'sat', values: '((a true))' });
    expect(await z3.ask({ text: `${easy.text}(assert (not a))`, names: ['a'] }, minute)).toEqual({ verdict: 'unsat' });
    expect(z3.pid).toBe(pid);
  });
  test('a question that takes too long costs the process, which is gone then; the next one is answered by another', async () => {
    await using z3 = new Z3(findZ3()!, signal);
    await z3.ask(easy, minute);
    const pid = z3.pid!;
    expect(await z3.ask(hard, { rlimit: 0, limitMs: 300 })).toEqual({ verdict: 'unknown', limit: 'time' });
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(await z3.ask(easy, minute)).toMatchObject({ verdict: 'sat' });
  });
  test('no process is left behind', async () => {
    const z3 = new Z3(findZ3()!, signal);
    await z3.ask(easy, minute);
    const pid = z3.pid!;
    await z3[Symbol.asyncDispose]();
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });
  test('an interrupted run stops a question at once', async () => {
    const control = new AbortController();
    await using z3 = new Z3(findZ3()!, control.signal);
    await z3.ask(easy, minute);
    const asked = z3.ask(hard, minute);
    control.abort();
    expect(await asked).toEqual({ verdict: 'unknown', limit: 'interrupted' });
  });
  test('memory is bounded', async () => {
    // A product of wide bit vectors becomes a circuit of millions of gates.
    const vectors = ['a', 'b', 'c'].map((name) => `(declare-const ${name} (_ BitVec 2048))`).join('');
    const text = `${vectors}(assert (= (bvmul a b) c))`;
    await using z3 = new Z3(findZ3()!, signal, 48);
    const answer = await z3.ask({ text, names: [] }, minute);
    // z3 says so, or ends.
    expect(['memory', 'lost']).toContain(answer.verdict === 'unknown' ? answer.limit : answer.verdict);
    expect(await z3.ask(easy, minute)).toMatchObject({ verdict: 'sat' });
  });
  test('a file that is no z3 is no answer', async () => {
    await using z3 = new Z3('/nowhere/z3.js', signal);
    expect(await z3.ask(easy, minute)).toEqual({ verdict: 'unknown', limit: 'lost' });
  });
  test('a model becomes an input; what JSON does not hold is inexact', () => {
    const names = ['a', 'b', 'c'].map((name) => ({ name, path: ['x', name] }));
    const read = (text: string): unknown => decode(text, names);
    expect(read('((a (num (/ 7.0 2.0)))\n (b (str "q\\u{2d3}""")) (c absent))')).toEqual({
      input: { x: { a: 3.5, b: 'q\u02d3"' } },
      exact: true,
    });
    expect(read('((a (num (- 3.0))) (b other) (c (bool true)))')).toEqual({
      input: { x: { a: -3, b: {}, c: true } },
      exact: true,
    });
    expect(read('((a (num (/ 1.0 3.0))) (b null) (c absent))')).toMatchObject({ exact: false });
  });
});

describe('arrays of the input', () => {
  const LIST = { base: { xs: [1, 2], class: 'a' }, vary: { class: ['a'] } };
  const over = async (rego: string, clauses: string): Promise<SmtProof> => {
    const on = await side(bench, await policy(rego));
    const invariants = new Map([['inv/i.rego', `package invariants.i\n\n${clauses}`]]);
    return proveAll(on, {
      entrypoint: 'p/decision',
      invariants,
      packages: ['invariants.i'],
      domain: readDomain(domainDocument(LIST), { comparisons: [], texts: [] }),
      signal,
      progress: silentProgress,
    });
  };
  test('are followed up to the length of the base input, and that is what is claimed', async () => {
    const proof = await over(
      'package p\n\ndecision := sort([x.id | some x in input.xs; x.ok == true])\n',
      'violation contains "not ok" if {\n\tsome id in input.decision\n\tnot ok(id)\n}\n\nok(id) if {\n\tsome x in input.input.xs\n\tx.id == id\n\tx.ok == true\n}\n',
    );
    expect(details(proof)).toEqual([expect.stringMatching(/^proved for xs of up to 2 elements \(SMT, z3 [\d.]+\)$/)]);
    expect(statuses(proof)).toEqual(['bounded']);
  });
  test('a counterexample has the array, and is replayed', async () => {
    const proof = await over(
      'package p\n\ndecision := [x.id | some x in input.xs; x.ok == true][0]\n',
      'violation contains "class" if input.decision == "secret"\n',
    );
    expect(statuses(proof)).toEqual(['broken']);
    // An array, or an object with the same members.
    expect(Object.values(proof.counterexamples[0]!.input['xs'] as JsonObject)).toContainEqual({ id: 'secret', ok: true });
  });
  test('where the order decides, the line that gives it is named', async () => {
    const proof = await over(
      'package p\n\ndecision := sort([x | some x in input.xs; is_number(x)])[0]\n',
      'violation contains "not least" if {\n\tsome x in input.input.xs\n\tis_number(x)\n\tx < input.decision\n}\n',
    );
    expect(details(proof)).toEqual(['outside the subset: the order that sort gives at p.rego:3']);
  });
});

/** Random conditions of the subset over input.a, input.b and input.o.c. */
const path = fc.constantFrom('input.a', 'input.b', 'input.o.c');
const scalar = fc.constantFrom('null', 'false', 'true', '0', '1', '2.5', '"k"', '"m"');
const loose = fc.oneof(path, fc.constantFrom('data.t[input.a]', 'data.n'));
const operand = fc.oneof(loose, scalar, fc.constantFrom('h', 'g(input.b)', 'count(s)'));
const comparison = fc.constantFrom('==', '!=', '<', '<=', '>', '>=');
// One side is always of unknown type, so that OPA's type checker has nothing to refuse.
const atom = fc.oneof(
  fc.tuple(loose, comparison, operand).map((parts) => parts.join(' ')),
  fc.tuple(operand, comparison, loose).map((parts) => parts.join(' ')),
  fc.tuple(comparison, fc.constantFrom('0', '1', '2')).map(([sign, n]) => `count(s) ${sign} ${n}`),
  path.map((p) => `${p} in {1, "k", false}`),
  loose.map((p) => `${p} in s`),
  fc.constantFrom('input.a', 'input.o.c', 'h', 'data.t[input.b]', 'is_number(input.a)', 'is_string(input.o.c)', 'g(input.a)'),
);
const condition = fc.tuple(fc.boolean(), atom).map(([negated, text]) => (negated ? `not ${text}` : text));
/** Conditions over input.xs, an array or object of scalars and of objects with `id`. */
const element = fc.constantFrom('x', 'x.id', 'input.a');
const listAtom = fc.oneof(
  fc.tuple(element, comparison, fc.oneof(scalar, element)).map(([a, sign, b]) => `some x in input.xs\n\t${a} ${sign} ${b}`),
  fc.tuple(comparison, fc.constantFrom('0', '1', '2')).map(([sign, n]) => `count(kept) ${sign} ${n}`),
  fc.tuple(comparison, fc.constantFrom('0', '1', '2')).map(([sign, n]) => `count(names) ${sign} ${n}`),
  fc.constantFrom(
    'is_array(input.xs)',
    'is_object(input.xs)',
    'input.a in input.xs',
    'input.a in kept',
    'count(kept) == count(names)',
    'some i, x in input.xs\n\ti == 1\n\tx == input.a',
    'kept == []',
    'sort(kept)[0] == input.a',
    'array.concat(kept, [input.a])[0] == 1',
    'some x in array.slice(kept, 1, 2)\n\tx == input.a',
    'input.xs[1] == input.a',
    '[input.a, 1] == [1, input.a]',
    'some x in kept\n\tx == input.a',
    'some x in array.slice(ordered, 1, 3)\n\tx == ordered[0]',
    'count([x | some x in array.slice(ordered, 1, 2); x != null]) > 1',
    'ordered[0] == ordered[1]',
    'ordered[0] == input.xs[0]',
  ),
);
const negatable = fc.constantFrom(
  'is_array(input.xs)',
  'input.a in input.xs',
  'input.a in kept',
  'held',
  'kept == []',
  'count(names) > 1',
);
const listCondition = fc.oneof(
  listAtom,
  negatable.map((text) => `not ${text}`),
);
const listBodies = fc.array(fc.array(listCondition, { minLength: 1, maxLength: 2 }), { minLength: 12, maxLength: 12 });

const bodies = fc.array(fc.array(condition, { minLength: 1, maxLength: 3 }), { minLength: 14, maxLength: 14 });

describe('random policies of the subset', () => {
  test('what is proved has no counterexample on a full enumeration, and a counterexample is real', {
    timeout: 600_000,
  }, async () => {
    const values = [undefined, null, false, true, 0, 1, 2.5, 3, 'k', 'm', 'z', {}, []];
    const inputs = values.flatMap((a) => values.flatMap((b) => values.map((c) => JSON.stringify({ a, b, o: { c } }))));
    await fc.assert(
      fc.asyncProperty(bodies, async (all) => {
        const rego = `package p\n\n${all.map((body, i) => `decision contains "r${i}" if {\n\t${body.join('\n\t')}\n}\n`).join('\n')}
h := 1 if input.a == "k"

else := input.b if input.b

default g(_) := "m"

g(x) := 2.5 if x > 0

s contains "k" if input.b == 1

s contains 1 if not input.a == 2.5
`;
        const clauses = all.map((_, i) => `violation contains "r${i}" if "r${i}" in input.decision\n`).join('\n');
        const data = { t: { k: 1, m: false }, n: 2.5 };
        const proof = await smt(rego, clauses, { data });
        const on = await side(bench, await policy(rego, data));
        const held = new Set<string>();
        for (const outcome of await bench.pool.outcomes(on.plain, 'p/decision', inputs))
          for (const name of 'value' in outcome ? (JSON.parse(outcome.value) as string[]) : []) held.add(name);
        for (const [i, result] of proof.results.entries()) {
          expect(result.outside, `r${i}: ${all[i]!.join('; ')}`).toEqual([]);
          // A counterexample was executed by WASM and OPA before it got here; a proof must not have one.
          expect(held.has(`r${i}`) && result.status === 'proved', `r${i} is proved: ${all[i]!.join('; ')}`).toBe(false);
        }
      }),
      { numRuns: 4, seed: 20_261_125, endOnFailure: true },
    );
  });
  test('arrays of up to two elements: what is proved has no counterexample, and a counterexample is real', {
    timeout: 600_000,
  }, async () => {
    const items = [null, false, 0, 1, 'k', {}, { id: 1 }, { id: 'k' }];
    const lists = [undefined, 1, [], {}, ...items.map((a) => [a]), ...items.flatMap((a) => items.map((b) => [a, b]))];
    const objects = items.flatMap((a) => [{ p: a }, ...items.map((b) => ({ p: a, q: b }))]);
    const inputs = [undefined, null, false, 0, 1, 2, 'k', {}].flatMap((a) =>
      [...lists, ...objects].map((xs) => JSON.stringify({ a, xs })),
    );
    await fc.assert(
      fc.asyncProperty(listBodies, async (all) => {
        // A body of two conditions with one variable: each in a rule of its own.
        const rules = all.flatMap((body, i) => body.map((text, k) => `c${i}_${k} if {\n\t${text}\n}\n`));
        const rego = `package p\n\n${all.map((body, i) => `decision contains "r${i}" if {\n\t${body.map((_, k) => `c${i}_${k}`).join('\n\t')}\n}\n`).join('\n')}
${rules.join('\n')}
kept := [x | some x in input.xs; x != false]

names contains x.id if some x in input.xs

ordered := sort(kept)

held if {
	some x in input.xs
	x.id == input.a
}
`;
        const clauses = all.map((_, i) => `violation contains "r${i}" if "r${i}" in input.decision\n`).join('\n');
        const on = await side(bench, await policy(rego));
        const proof = await proveAll(on, {
          entrypoint: 'p/decision',
          invariants: new Map([['inv/i.rego', `package invariants.i\n\n${clauses}`]]),
          packages: ['invariants.i'],
          domain: readDomain(domainDocument({ base: { a: 1, xs: [1, 2] }, vary: { a: [1] } }), { comparisons: [], texts: [] }),
          signal,
          progress: silentProgress,
        });
        const held = new Set<string>();
        for (const outcome of await bench.pool.outcomes(on.plain, 'p/decision', inputs))
          for (const name of 'value' in outcome ? (JSON.parse(outcome.value) as string[]) : []) held.add(name);
        for (const [i, result] of proof.results.entries()) {
          const proved = result.status === 'proved' || result.status === 'bounded';
          expect(held.has(`r${i}`) && proved, `r${i} is proved: ${all[i]!.join('; ')}`).toBe(false);
        }
      }),
      { numRuns: 4, seed: 20_261_125, endOnFailure: true },
    );
  });
});
