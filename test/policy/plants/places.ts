import type { Finding } from '../../../src/core/finding.ts';
import { readCorpus } from '../../../src/policy/corpus.ts';
import { clockFindings, shadowedGuards } from '../../../src/policy/gate/guarded.ts';
import { changedGuards } from '../../../src/policy/guards.ts';
import { judgeLatency } from '../../../src/policy/latency.ts';
import {
  checkPolicy,
  evaluatePolicy,
  lintPolicy,
  provePolicy,
  testPolicy,
  type Workbench,
} from '../../../src/policy/operations.ts';
import { compareWithOpa } from '../../../src/policy/parity.ts';
import { replay } from '../../../src/policy/replay.ts';
import type { PolicyRule } from '../../../src/policy/rules.ts';
import { loadPolicySource } from '../../../src/rego/source.ts';
import { domainDocument, memoryTree, policy, side } from '../support.ts';
import { BASE_DATA, DIFF_INPUTS, DIFF_PLANTS, HEAD_DATA } from './diff.ts';
import { LINT_DOMAIN, LINT_PLANTS } from './lint.ts';
import { CHECK_PLANTS, ERROR_PLANTS, FORBIDDEN, LIMIT_PLANTS, PROVE_DOMAIN, PROVE_INVARIANTS, PROVE_POLICY } from './runs.ts';

/** A defect and how the gate comes to find it; `# <- rule-id` in a file marks the lines, `at` where a file can't carry marks. */
export interface Placed {
  readonly files: { readonly [file: string]: string };
  readonly at?: readonly string[];
  readonly find: (bench: Workbench, files: Placed['files']) => Promise<readonly Finding[]>;
}

const ENTRYPOINT = 'p/decision';
const one = (text: string, find: Placed['find']): Placed => ({ files: { 'p.rego': `package p\n\n${text}` }, find });
const ran = async (result: Promise<{ readonly findings: readonly Finding[] }>): Promise<readonly Finding[]> =>
  (await result).findings;

/** One of each class of defect in the rules themselves. */
const lint = (ruleId: string): Placed => {
  const [text] = LINT_PLANTS[ruleId]!;
  const bodies = typeof text === 'string' ? [text] : text!;
  return {
    files: Object.fromEntries(bodies.map((body, index) => [`${index + 1}.rego`, `package p\n${body}`])),
    find: async (bench, files) => ran(lintPolicy(bench, await policy(files), [ENTRYPOINT], domainDocument(LINT_DOMAIN), 1000)),
  };
};

/** One of each class of changed decision. */
const diff = (ruleId: string): Placed => {
  const [plant] = DIFF_PLANTS[ruleId]!;
  const lines = DIFF_INPUTS.map((input) => JSON.stringify({ input })).join('\n');
  return {
    files: { 'p.rego': `package p\n${plant!.head}` },
    find: async (bench, files) =>
      ran(
        replay(
          await side(bench, await policy(`package p\n${plant!.base}`, BASE_DATA)),
          await side(bench, await policy(files, HEAD_DATA)),
          {
            entrypoint: ENTRYPOINT,
            corpus: readCorpus(Buffer.from(lines), 'corpus.ndjson', ENTRYPOINT),
            domain: undefined,
            maxPoints: 1,
          },
        ),
      ),
  };
};

const evaluated = (input: object, text: string): Placed =>
  one(text, async (bench, files) => ran(evaluatePolicy(bench, await policy(files), ENTRYPOINT, { ...input })));
const checked = (files: Placed['files'], entrypoint = ENTRYPOINT): Placed => ({
  files,
  find: async (bench, all) => ran(checkPolicy(bench, await policy(all), [entrypoint])),
});

/** Tests that see one of the two decisions. */
const HALF_TESTED = (mark: { readonly default?: PolicyRule; readonly rule?: PolicyRule }): Placed['files'] => ({
  'p.rego': `package p

default decision := false${mark.default === undefined ? '' : ` # <- ${mark.default}`}

decision if {${mark.rule === undefined ? '' : ` # <- ${mark.rule}`}
	input.n > 5
}
`,
  'p_test.rego': 'package p_test\n\ntest_low if not data.p.decision with input as {"n": 1}\n',
});
const tested = (
  files: Placed['files'],
  demands: { lines?: number; rules?: number; decisions?: number; mutants?: number },
): Placed => ({
  files,
  find: async (bench, all) => {
    const document = domainDocument({ base: { n: 1 }, vary: { n: [1, 9] } });
    const against = { entrypoint: ENTRYPOINT, document };
    return ran(
      testPolicy(
        bench,
        await loadPolicySource(memoryTree(all), { roots: [''] }),
        demands.lines,
        demands.mutants === undefined
          ? undefined
          : { threshold: demands.mutants, maxMutants: 20, maxSeconds: 60, maxPoints: 10, ...against },
        { rules: demands.rules, decisions: demands.decisions, ...against },
      ),
    );
  },
});

const LOOP = 'decision := count([i | some i in numbers.range(1, 2000); i > input.n]) > 0';

/** A case for every rule of the policy gate: the type asks for one of each. */
export const PLACES: { readonly [Id in PolicyRule]: Placed } = {
  'policy-check-failed': checked({ 'p.rego': CHECK_PLANTS[2]! }),
  'policy-entrypoint-missing': checked(
    { 'p.rego': 'package p # <- policy-entrypoint-missing\n\nother := 1\n', 'q.rego': 'package q\n\nx := 1\n' },
    ENTRYPOINT,
  ),
  'policy-test-failed': tested(
    {
      'p.rego': 'package p\n\ndecision := 1\n',
      'p_test.rego': 'package p_test\n\ntest_two if data.p.decision == 2 # <- policy-test-failed\n',
    },
    {},
  ),
  'policy-test-missing': tested({ 'p.rego': 'package p # <- policy-test-missing\n\ndecision := 1\n' }, {}),
  'policy-coverage-low': tested(HALF_TESTED({ rule: 'policy-coverage-low' }), { lines: 100 }),
  'policy-rule-coverage-low': tested(HALF_TESTED({ rule: 'policy-rule-coverage-low' }), { rules: 100 }),
  'policy-decision-coverage-low': tested(HALF_TESTED({ default: 'policy-decision-coverage-low' }), { decisions: 100 }),
  'policy-mutant-survived': tested(HALF_TESTED({ rule: 'policy-mutant-survived' }), { mutants: 100 }),
  'policy-mutation-score-low': tested(HALF_TESTED({ rule: 'policy-mutation-score-low' }), { mutants: 100 }),
  'policy-builtin-not-portable': checked({ 'p.rego': FORBIDDEN }),
  'policy-invariant-violated': {
    files: { 'p.rego': PROVE_POLICY },
    find: async (bench, files) => {
      const { invariants } = await loadPolicySource(memoryTree(PROVE_INVARIANTS), { roots: ['i'] });
      const document = domainDocument(PROVE_DOMAIN);
      return ran(
        provePolicy(bench, await policy(files), { entrypoint: ENTRYPOINT, document, invariants, folder: 'i', maxPoints: 1000 }),
      );
    },
  },
  'policy-evaluation-error': evaluated(...ERROR_PLANTS[0]!),
  'policy-evaluation-limit': evaluated({}, LIMIT_PLANTS[0]!),
  'policy-decision-widened': diff('policy-decision-widened'),
  'policy-decision-narrowed': diff('policy-decision-narrowed'),
  'policy-decision-rerouted': diff('policy-decision-rerouted'),
  'policy-decision-obligation-changed': diff('policy-decision-obligation-changed'),
  'policy-decision-reason-changed': diff('policy-decision-reason-changed'),
  'policy-decision-became-defined': diff('policy-decision-became-defined'),
  'policy-decision-became-undefined': diff('policy-decision-became-undefined'),
  'policy-decision-error': diff('policy-decision-error'),
  'policy-replay-incomplete': {
    files: { 'p.rego': 'package p\n\ndecision := 1\n', 'corpus.ndjson': '{"input": {}}\n{"input": {}}\nnot JSON\n' },
    at: ['corpus.ndjson:3'],
    find: async (bench, files) => {
      const same = await side(bench, await policy({ 'p.rego': files['p.rego']! }));
      const corpus = readCorpus(Buffer.from(files['corpus.ndjson']!), 'corpus.ndjson', ENTRYPOINT);
      return ran(replay(same, same, { entrypoint: ENTRYPOINT, corpus, domain: undefined, maxPoints: 1 }));
    },
  },
  'policy-gate-changed': {
    files: { 'i/i.rego': 'package invariants # <- policy-gate-changed\n\nviolation contains "x" if input.decision\n' },
    find: async (_bench, files) =>
      changedGuards(
        { modules: new Map(Object.keys(files).map((file) => [file, 'package invariants\n'])), what: 'the invariants' },
        new Map(Object.entries(files)),
      ),
  },
  'policy-guard-shadowed': {
    files: {
      'p.rego': 'package p\n\ndecision := 1\n',
      'q.rego': 'package invariants["x"]\n\nfine := 1 # <- policy-guard-shadowed\n',
    },
    find: async (bench, files) => shadowedGuards(bench.opa, await side(bench, await policy(files)), undefined),
  },
  'policy-clock-read': one('decision if time.now_ns() > 5 # <- policy-clock-read\n', async (bench, files) =>
    clockFindings(await side(bench, await policy(files)), undefined),
  ),
  'policy-rule-dead': lint('policy-rule-dead'),
  'policy-rule-shadowed': lint('policy-rule-shadowed'),
  'policy-rule-redundant': lint('policy-rule-redundant'),
  'policy-rule-unused': lint('policy-rule-unused'),
  'policy-rule-conflict': lint('policy-rule-conflict'),
  'policy-rule-overlap': lint('policy-rule-overlap'),
  'policy-rule-constant': lint('policy-rule-constant'),
  'policy-entrypoint-constant': lint('policy-entrypoint-constant'),
  'policy-fail-open': lint('policy-fail-open'),
  // No evaluation is done in no time, so a budget of 0 is always exceeded.
  'policy-latency-over-budget': one('decision := input.n > 0 # <- policy-latency-over-budget\n', async (bench, files) =>
    ran(judgeLatency(await side(bench, await policy(files)), undefined, ['{"n": 1}'], { budgetMs: 0, rounds: 20 })),
  ),
  // Hundreds of times the work of base.
  'policy-latency-regressed': one(`${LOOP} # <- policy-latency-regressed\n`, async (bench, files) =>
    ran(
      judgeLatency(
        await side(bench, await policy(files)),
        await side(bench, await policy('package p\n\ndecision := input.n > 0\n')),
        ['{"n": 1}'],
        { budgetMs: 60_000, rounds: 400 },
      ),
    ),
  ),
  // The host function of the SDK prints objects as JavaScript does.
  'policy-parity-mismatch': one('decision := sprintf("%v", [input]) # <- policy-parity-mismatch\n', async (bench, files) =>
    ran(compareWithOpa(await side(bench, await policy(files)), ENTRYPOINT, ['{"n": {"m": 1}}'])),
  ),
};
