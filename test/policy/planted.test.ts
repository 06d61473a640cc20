import { beforeAll, describe, expect, test } from 'vitest';
import type { Finding } from '../../src/core/finding.ts';
import type { Json, JsonObject } from '../../src/core/json.ts';
import { readCorpus } from '../../src/policy/corpus.ts';
import { allows } from '../../src/policy/decision.ts';
import { checkPolicy, evaluatePolicy, lintPolicy, provePolicy, testPolicy } from '../../src/policy/operations.ts';
import { replay } from '../../src/policy/replay.ts';
import { prepareSide, type Side, tracedProgram } from '../../src/policy/side.ts';
import { loadPolicySource } from '../../src/rego/source.ts';
import { BASE_DATA, DIFF_INPUTS, DIFF_PLANTS, HEAD_DATA } from './plants/diff.ts';
import { LINT_DOMAIN, LINT_PLANTS } from './plants/lint.ts';
import { marksIn } from './plants/marks.ts';
import {
  BUILTINS,
  CHECK_PLANTS,
  ERROR_PLANTS,
  FAILING_TESTS,
  FORBIDDEN,
  LIMIT_PLANTS,
  MUTATION_DOMAIN,
  PROVE_DOMAIN,
  PROVE_INVARIANTS,
  PROVE_POLICY,
  TESTED,
  WEAK_TESTS,
  WEAKLY_TESTED,
} from './plants/runs.ts';
import { domainDocument, memoryTree, policy, shown, testBench } from './support.ts';

const bench = await testBench();
/** For what never ends. */
const impatient = await testBench(300);
/** The least number of ways in which each class of defect is planted. */
const WAYS = 5;

describe('rule analysis', () => {
  const plants = Object.entries(LINT_PLANTS).flatMap(([ruleId, texts]) =>
    texts.map((text, index) => {
      const name = `${ruleId.replace('policy-', '').replaceAll('-', '_')}_${index + 1}`;
      const modules = (typeof text === 'string' ? [text] : text).map((body) => `package ${name}\n${body}`);
      return { ruleId, name, files: Object.fromEntries(modules.map((module, at) => [`${name}/${at + 1}.rego`, module])) };
    }),
  );
  let findings: readonly Finding[] = [];
  let found: readonly string[] = [];
  // Each plant is an entrypoint of one policy: compiled once, analysed together.
  beforeAll(async () => {
    const source = await policy(Object.assign({}, ...plants.map((p) => p.files)) as Record<string, string>);
    const entrypoints = plants.map((p) => `${p.name}/decision`);
    findings = (await lintPolicy(bench, source, entrypoints, domainDocument(LINT_DOMAIN), 1000)).findings;
    found = shown(findings);
  }, 60_000);
  test.each(Object.entries(LINT_PLANTS))(`%s is planted in at least ${WAYS} ways`, (_ruleId, texts) => {
    expect(texts.length).toBeGreaterThanOrEqual(WAYS);
  });
  test.each(plants.map((p) => [p.name, p] as const))('%s', (name, { ruleId, files }) => {
    const marks = marksIn(files);
    expect(marks.some((mark) => mark.startsWith(`${ruleId} `))).toBe(true);
    expect(found.filter((line) => line.includes(` ${name}/`))).toEqual(marks);
  });
  test('every finding that an input can show has one, and the input shows it', async () => {
    // Nothing shows what never holds, what nobody asks for, or two constants that clash whatever the input.
    const without = new Set(['policy-rule-dead', 'policy-rule-unused']);
    for (const finding of findings) {
      const evidence = finding.evidence as { input?: unknown } | undefined;
      expect([finding.ruleId, finding.location?.file, evidence?.input !== undefined]).toEqual([
        finding.ruleId,
        finding.location?.file,
        !without.has(finding.ruleId),
      ]);
    }
    expect(new Set(findings.map((f) => f.ruleId))).toEqual(new Set(Object.keys(LINT_PLANTS)));
  });
  test('the witness of a shadowed or redundant definition makes it fire', async () => {
    const files = Object.assign({}, ...plants.map((p) => p.files)) as Record<string, string>;
    const whole = await prepareSide(
      bench.opa,
      bench.pool,
      await policy(files),
      plants.map((p) => `${p.name}/decision`),
    );
    const traced = (await tracedProgram(whole.side!))!;
    const claims = findings.filter((f) =>
      ['policy-rule-shadowed', 'policy-rule-redundant', 'policy-rule-constant'].includes(f.ruleId),
    );
    expect(claims.length).toBeGreaterThan(3 * WAYS - 1);
    for (const { location, evidence } of claims) {
      const entrypoint = `${location!.file.split('/')[0]}/decision`;
      const input = JSON.stringify((evidence as { input: unknown }).input);
      const [trace] = await bench.pool.traces(traced, entrypoint, [{ input }], false);
      const lines = trace!.fired.map(([id]) => whole.side!.graph.byId.get(id)!.location).map((l) => `${l.file}:${l.line}`);
      expect(lines).toContain(`${location!.file}:${location!.line}`);
    }
  });
  test('a fail-open finding has the input with the field, refused, and without it, allowed', async () => {
    const opened = findings.filter((f) => f.ruleId === 'policy-fail-open');
    for (const { evidence } of opened) {
      const { input, without, path, before, after } = evidence as Record<string, Json>;
      expect(Object.keys(input as object)).toContain(path);
      expect(Object.keys(without as object)).not.toContain(path);
      expect([allows(before), allows(after)]).not.toEqual([true, true]);
      expect(allows(after)).toBe(true);
    }
  });
});

describe('decision diff', () => {
  const plants = Object.entries(DIFF_PLANTS).flatMap(([ruleId, list]) =>
    list.map((plant, index) => ({
      ruleId,
      name: `${ruleId.replace('policy-decision-', '').replaceAll('-', '_')}_${index + 1}`,
      ...plant,
    })),
  );
  const module = (name: string, text: string): string => `package ${name}\n${text}`;
  const corpus = readCorpus(Buffer.from(DIFF_INPUTS.map((input) => JSON.stringify({ input })).join('\n')), 'corpus.ndjson', 'x');
  let base: Side;
  let head: Side;
  beforeAll(async () => {
    const entrypoints = plants.map((p) => `${p.name}/decision`);
    const prepare = async (which: 'base' | 'head', data: JsonObject): Promise<Side> => {
      const files = Object.fromEntries(plants.map((p) => [`${p.name}.rego`, module(p.name, p[which])]));
      const { side, findings } = await prepareSide(bench.opa, bench.pool, await policy(files, data), entrypoints);
      if (side === undefined)
        throw new Error(findings.map((f) => `${f.location?.file}:${f.location?.line}: ${f.message}`).join('\n'));
      return side;
    };
    [base, head] = [await prepare('base', BASE_DATA), await prepare('head', HEAD_DATA)];
  }, 60_000);
  test.each(Object.entries(DIFF_PLANTS))(`%s is planted in at least ${WAYS} ways`, (_ruleId, list) => {
    expect(list.length).toBeGreaterThanOrEqual(WAYS);
  });
  test.each(plants.map((p) => [p.name, p] as const))('%s', async (name, { ruleId, head: text }) => {
    const { findings } = await replay(base, head, { entrypoint: `${name}/decision`, corpus, domain: undefined, maxPoints: 1 });
    const marks = marksIn({ [`${name}.rego`]: module(name, text) });
    expect(marks.some((mark) => mark.startsWith(`${ruleId} `))).toBe(true);
    expect(shown(findings)).toEqual(marks);
  });
});

describe('proof', () => {
  test('each broken invariant on the line that breaks it', async () => {
    const { invariants } = await loadPolicySource(memoryTree(PROVE_INVARIANTS), { roots: ['i'] });
    const gate = await provePolicy(bench, await policy(PROVE_POLICY), {
      entrypoint: 'p/decision',
      document: domainDocument(PROVE_DOMAIN),
      invariants,
      folder: 'i',
      maxPoints: 1000,
    });
    expect(shown(gate.findings)).toEqual(marksIn({ 'p.rego': PROVE_POLICY }));
  });
});

describe('check', () => {
  test.each([
    ['builtins without a host function', BUILTINS],
    ['builtins that reach outside', FORBIDDEN],
  ])('%s', async (_name, text) => {
    expect(shown((await checkPolicy(bench, await policy(text), ['p/decision'])).findings)).toEqual(marksIn({ 'p.rego': text }));
  });
  test.each(CHECK_PLANTS)('refused: %j', async (text) => {
    const found = shown((await checkPolicy(bench, await policy(text), ['p/decision'])).findings);
    expect([...new Set(found)]).toEqual(marksIn({ 'p.rego': text }));
  });
});

describe('tests', () => {
  test('each failing test on its line', async () => {
    const files = { 'p.rego': TESTED, 'p_test.rego': FAILING_TESTS };
    const gate = await testPolicy(bench, await loadPolicySource(memoryTree(files), { roots: [''] }), undefined);
    expect(shown(gate.findings)).toEqual(marksIn(files));
  });
  test('each mutant that no test kills on its line', async () => {
    const files = { 'p.rego': WEAKLY_TESTED, 'p_test.rego': WEAK_TESTS };
    const gate = await testPolicy(bench, await loadPolicySource(memoryTree(files), { roots: [''] }), undefined, {
      threshold: undefined,
      maxMutants: 200,
      maxSeconds: 60,
      maxPoints: 1000,
      entrypoint: 'p/decision',
      document: domainDocument(MUTATION_DOMAIN),
    });
    // Several mutants of one line may survive.
    expect([...new Set(shown(gate.findings))]).toEqual(marksIn(files));
  }, 90_000);
});

describe('evaluation', () => {
  test.each(ERROR_PLANTS.map(([input, text]) => [text, input] as const))('error: %j', async (text, input) => {
    const module = `package p\n\n${text}`;
    const gate = await evaluatePolicy(bench, await policy(module), 'p/decision', input as Json);
    expect(shown(gate.findings)).toEqual(marksIn({ 'p.rego': module }));
  });
  test.each(LIMIT_PLANTS)('limit: %j', async (text) => {
    const module = `package p\n\n${text}`;
    const gate = await evaluatePolicy(impatient, await policy(module), 'p/decision', {});
    expect(shown(gate.findings)).toEqual(marksIn({ 'p.rego': module }));
  });
});
