import { describe, expect, test } from 'vitest';
import { readCorpus } from '../../src/policy/corpus.ts';
import { checkPolicy, diffPolicies, evaluatePolicy, lintPolicy, provePolicy, testPolicy } from '../../src/policy/operations.ts';
import { loadPolicySource } from '../../src/rego/source.ts';
import { domainDocument, memoryTree, policy, shown, testBench } from './support.ts';

const bench = await testBench(700);
/** Time is no limit here, so that memory is, however busy the machine. */
const patient = await testBench(60_000);
const LOOP =
  'package p\n\ndecision := count([1 | some i in numbers.range(1, 3000); some j in numbers.range(1, 3000); some k in numbers.range(1, 3000); i + j + k == input.n])\n';

describe('hostile policies are stopped with a finding', () => {
  test.each([
    ['a loop without end', LOOP, { n: 1 }, 'policy-evaluation-limit'],
    [
      'a comprehension that fills the memory',
      'package p\n\ndecision := [[i, j] | some i in numbers.range(1, 9000); some j in numbers.range(1, 9000)]\n',
      {},
      'policy-evaluation-limit',
    ],
    [
      'a string that doubles',
      `package p\n\n${Array.from({ length: 40 }, (_, i) => `s${i + 1} := concat("", [s${i}, s${i}])`).join('\n\n')}\n\ns0 := "xxxxxxxx"\n\ndecision := count(s40)\n`,
      {},
      'policy-evaluation-limit',
    ],
  ])('%s', async (_name, rego, input, rule) => {
    const gate = await evaluatePolicy(bench, await policy(rego), 'p/decision', input);
    expect(gate.findings.map((f) => f.ruleId)).toEqual([rule]);
    expect(gate.verdict).toBe('fail');
  });
  test('a loop in a proof names the input', async () => {
    const { invariants } = await loadPolicySource(
      memoryTree({ 'i/i.rego': 'package invariants\n\nviolation contains "x" if input.decision == 1\n' }),
      { roots: ['i'] },
    );
    const gate = await provePolicy(bench, await policy(LOOP), {
      entrypoint: 'p/decision',
      document: domainDocument({ base: { n: 1 }, vary: { n: [1] } }),
      invariants,
      folder: 'i',
      maxPoints: 10,
    });
    expect(gate.findings.map((f) => f.ruleId)).toEqual(['policy-evaluation-limit']);
    expect(gate.findings[0]!.evidence).toMatchObject({ input: { n: 1 } });
  });
  test('a loop in head of a diff is an error class, and the rest is not tried for ever', async () => {
    const corpus = readCorpus(
      Buffer.from(Array.from({ length: 600 }, (_, n) => JSON.stringify({ input: { n } })).join('\n')),
      'c.ndjson',
      'p/decision',
    );
    const gate = await diffPolicies(bench, await policy('package p\n\ndecision := 1\n'), await policy(LOOP), {
      entrypoint: 'p/decision',
      corpus,
      document: undefined,
      maxPoints: 10,
      blocking: undefined,
    });
    expect(gate.findings.map((f) => f.ruleId)).toEqual(['policy-decision-error']);
  });
  test('recursion is refused by the compiler', async () => {
    const gate = await checkPolicy(bench, await policy('package p\n\ndecision := f(1)\n\nf(x) := f(x + 1)\n'), ['p/decision']);
    expect(shown(gate.findings)).toEqual(['policy-check-failed p.rego:5']);
  });
  test.each(['http.send({"method": "get", "url": "http://127.0.0.1/"})', 'opa.runtime()', 'net.lookup_ip_addr("localhost")'])(
    '%s is refused before anything runs',
    async (call) => {
      const source = await policy(`package p\n\ndecision := ${call}\n`);
      for (const gate of [
        await checkPolicy(bench, source, ['p/decision']),
        await evaluatePolicy(bench, source, 'p/decision', {}),
        await testPolicy(bench, source, undefined),
      ]) {
        expect(shown(gate.findings)).toEqual(['policy-builtin-not-portable p.rego:3']);
      }
    },
  );
  test('a builtin without a host function is refused, with every line that calls it', async () => {
    const gate = await checkPolicy(
      bench,
      await policy('package p\n\ndecision := time.clock(1) if input.a\n\nelse := time.clock(2)\n'),
      ['p/decision'],
    );
    expect(shown(gate.findings)).toEqual(['policy-builtin-not-portable p.rego:3', 'policy-builtin-not-portable p.rego:5']);
  });
  test('inputs that run into the limit do not hang mutation testing', async () => {
    const heavy =
      'package p\n\ndecision := count([1 | some i in numbers.range(1, input.n); some j in numbers.range(1, input.n); i + j > 0])\n';
    const source = await loadPolicySource(
      memoryTree({
        'p.rego': heavy,
        'p_test.rego': 'package p_test\n\ntest_small if data.p.decision == 4 with input as {"n": 2}\n',
      }),
      { roots: [''] },
    );
    const options = { threshold: undefined, maxMutants: 3, maxSeconds: 20, maxPoints: 10, entrypoint: 'p/decision' };
    const document = domainDocument({ base: { n: 2 }, vary: { n: [2, 3000] } });
    const gate = await testPolicy(bench, source, undefined, { ...options, document });
    expect(gate.facts?.['mutation']).toMatch(/3 of \d+ tried/);
  });
  test.each([
    ['in a function', 'decision := f(input.a)\n\nf(x) := time.clock(x)\n', [5]],
    ['in a comprehension', 'decision := [time.clock(x) | some x in input.a]\n', [3]],
    ['in an interpolated string', 'decision := $"{time.clock(input.a)}"\n', [3]],
    ['in every', 'decision if {\n\tevery x in input.a { time.clock(x) }\n}\n', [4]],
    ['in an else head', 'decision := 1 if input.a\n\nelse := time.clock(input.b)\n', [5]],
  ])('a builtin without a host function is found %s', async (_name, rego, lines) => {
    const gate = await checkPolicy(bench, await policy(`package p\n\n${rego}`), ['p/decision']);
    const calls = gate.findings.filter((f) => f.subject === 'time.clock');
    expect(shown(calls)).toEqual(lines.map((line) => `policy-builtin-not-portable p.rego:${line}`));
  });
  test('five megabytes of data still decide', async () => {
    const data = {
      rows: Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`row-${i}`, { id: i, text: 'x'.repeat(70) }])),
    };
    const gate = await evaluatePolicy(
      bench,
      await policy('package p\n\ndecision := data.rows[input.row].id\n', data),
      'p/decision',
      { row: 'row-49999' },
    );
    expect(gate.facts).toMatchObject({ decision: 49_999 });
  });
  test('data that does not fit the memory is a finding', async () => {
    const small = await policy('package p\n\ndecision := count(data.rows)\n', {
      rows: Array.from({ length: 1_200_000 }, (_, i) => [i]),
    });
    const gate = await evaluatePolicy(bench, small, 'p/decision', {});
    expect(shown(gate.findings)).toEqual(['policy-evaluation-limit p.rego:1']);
  });
  test.each([
    ['not Rego', 'this is not rego', 'policy-check-failed p.rego:1'],
    ['a half module', 'package p\n\ndecision := {', 'policy-check-failed p.rego:3'],
    ['an unused import', 'package p\n\nimport data.x\n\ndecision := 1\n', 'policy-check-failed p.rego:3'],
  ])('%s has its line', async (_name, rego, expected) => {
    expect(new Set(shown((await checkPolicy(bench, await policy(rego), [])).findings))).toEqual(new Set([expected]));
  });
  test.each([
    ['a binary module', { 'p.rego': '\0' }, 'binary'],
    ['a module of two megabytes', { 'p.rego': `package p\n# ${'x'.repeat(2_000_000)}` }, 'expected|Expected at most'],
    ['data that is a list', { 'p.rego': 'package p\n', 'data.json': '[1]' }, 'must be an object'],
    ['broken data', { 'p.rego': 'package p\n', 'data.yaml': 'a: [1' }, 'data.yaml:1'],
    [
      'data set twice',
      { 'p.rego': 'package p\n', 'data.json': '{"a":{"b":1}}', 'a/data.json': '{"b":2}' },
      'data.a.b is set twice',
    ],
    ['no module', { 'x.txt': '' }, 'holds no Rego module'],
  ])('%s is refused', async (_name, files, message) => {
    await expect(loadPolicySource(memoryTree(files as unknown as Record<string, string>), { roots: [''] })).rejects.toThrow(
      new RegExp(message),
    );
  });
});

describe('rule analysis of hostile policies', () => {
  const tree = (rego: string): ReturnType<typeof policy> => policy(`package p\n\n${rego}`);
  const small = domainDocument({ base: { n: 1, s: 'a' }, vary: { n: [1, 2] } });
  test.each([
    ['a loop without end', LOOP.slice('package p\n\n'.length)],
    ['memory without end', 'decision := [[i, j] | some i in numbers.range(1, 9000); some j in numbers.range(1, 9000)]\n'],
    [
      'a loop behind one value of the input',
      'decision := 1 if input.n == 1\n\nelse := count([1 | some i in numbers.range(1, 9000); some j in numbers.range(1, 9000); i + j == 0])\n',
    ],
  ])('%s is a finding', async (_name, rego) => {
    const gate = await lintPolicy(bench, await tree(rego), ['p/decision'], small, 100);
    expect(gate.findings.map((f) => f.ruleId)).toContain('policy-evaluation-limit');
    expect(gate.verdict).toBe('fail');
  });
  test.each<[string, string, readonly number[], RegExp]>([
    [
      'one input',
      'decision := 1 if input.n == 1\n\nelse := [[i, j] | some i in numbers.range(1, 9000); some j in numbers.range(1, 9000)]\n',
      [1, 2],
      /^Evaluating p\/decision ends in a limit: the memory limit was reached\. 2 inputs /,
    ],
    [
      'every input',
      'decision := [[i, j] | some i in numbers.range(1, 9000); some j in numbers.range(1, 9000)]\n',
      Array.from({ length: 90 }, (_, i) => i),
      /the memory limit was reached/,
    ],
  ])('memory that runs out on %s is told, and the rest is not tried for ever', async (_name, rego, n, message) => {
    const document = domainDocument({ base: { n: n[0]! }, vary: { n } });
    const gate = await lintPolicy(patient, await tree(rego), ['p/decision'], document, 100);
    expect(gate.findings.map((f) => f.ruleId)).toEqual(['policy-evaluation-limit']);
    expect(gate.findings[0]!.message).toMatch(message);
  });
  test('a regular expression that backtracks elsewhere takes linear time here', async () => {
    const rego = 'default decision := false\n\ndecision if regex.match(`^(a+)+$`, input.s)\n';
    const document = domainDocument({ base: { s: 'a' }, vary: { s: ['a', `${'a'.repeat(5000)}!`] } });
    expect((await lintPolicy(bench, await tree(rego), ['p/decision'], document, 100)).findings).toEqual([]);
  });
  test('brackets nested too deep for the parser are refused', async () => {
    const gate = await lintPolicy(
      bench,
      await tree(`decision := ${'['.repeat(200_000)}1${']'.repeat(200_000)}\n`),
      ['p/decision'],
      small,
      10,
    );
    expect(gate.findings.map((f) => f.ruleId)).toContain('policy-check-failed');
  });
  test.each<[string, unknown, RegExp]>([
    ['more values than a dimension may have', { base: { n: 1 }, vary: { n: Array.from({ length: 20_000 }, (_, i) => i) } }, /n/],
    ['a path without a place', { base: { n: 1 }, vary: { 'a.b.c': [1] } }, /a\.b\.c/],
    ['no dimension that is a list', { base: { n: 1 }, vary: { n: 1 } }, /vary/],
  ])('a domain with %s is a clear error', async (_name, value, message) => {
    await expect(
      lintPolicy(bench, await tree('decision := input.n\n'), ['p/decision'], domainDocument(value), 10),
    ).rejects.toThrow(message);
  });
  test('a domain beyond counting is searched up to the limit', async () => {
    const vary = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}`, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]));
    const base = Object.fromEntries(Object.keys(vary).map((key) => [key, 0]));
    const gate = await lintPolicy(
      bench,
      await tree('default decision := 0\n\ndecision := 1 if input.f0 == 99\n'),
      ['p/decision'],
      domainDocument({ base, vary }),
      2000,
    );
    expect(shown(gate.findings)).toContain('policy-rule-dead p.rego:5');
    expect(gate.findings[0]!.message).toContain('in 2000 of');
  });
});

describe('ten thousand rules', () => {
  const document = domainDocument({ base: { n: 1 }, vary: { n: [1, 2, 9999, { absent: true }] } });
  const rules = Array.from({ length: 10_000 }, (_, i) => `decision := ${i} if input.n == ${i}`).join('\n');
  const one = loadPolicySource(
    memoryTree({
      'p.rego': `package p\n\ndefault decision := -1\n\n${rules}\n`,
      'i/i.rego': 'package invariants\n\nviolation contains "two" if input.decision == 2\n',
    }),
    { roots: [''] },
  );
  test('are proved', async () => {
    const source = await one;
    const common = { entrypoint: 'p/decision', document, maxPoints: 100 };
    const proof = await provePolicy(patient, source, { ...common, invariants: source.invariants, folder: 'i' });
    expect(shown(proof.findings)).toEqual(['policy-invariant-violated p.rego:7']);
  }, 120_000);
  test('are analysed: every rule that the domain does not reach is named', async () => {
    const gate = await lintPolicy(patient, await one, ['p/decision'], document, 100);
    expect(gate.findings.filter((f) => f.ruleId === 'policy-rule-dead')).toHaveLength(9997);
  }, 120_000);
  test('that use up the budget before the first point are not called dead', async () => {
    const members = Array.from({ length: 5000 }, (_, i) => `hit contains ${i} if input.n != ${i + 10}`).join('\n\n');
    const source = await policy(`package p\n\ndecision := count(hit)\n\n${members}\n\nhit contains -1 if input.n == 77\n`);
    const gate = await lintPolicy(
      patient,
      source,
      ['p/decision'],
      domainDocument({ base: { n: 1, m: 1 }, vary: { n: [1, 77], m: [1, { absent: true }] } }),
      100,
    );
    expect([gate.verdict, shown(gate.findings)]).toEqual(['inconclusive', []]);
  }, 120_000);
});

test('data of a hundred thousand levels is refused before anything walks it', async () => {
  const deep = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`;
  const tree = memoryTree({ 'p.rego': 'package p\n\ndecision := 1\n', 'data.json': deep });
  await expect(loadPolicySource(tree, { roots: [''] })).rejects.toThrow(/^data\.json: the data is nested too deeply/);
});
