import type { Section } from '../../config/load.ts';
import type { GateContext } from '../../core/gate-context.ts';
import type { PolicySource } from '../../rego/source.ts';
import { coverageReport, DEFAULT_VALUE_POINTS } from '../coverage-report.ts';
import { changedGuards, judgeBaseTests, readGuards } from '../guards.ts';
import { DEFAULT_MUTANT_POINTS, DEFAULT_MUTATION_SECONDS, mutate } from '../mutation.ts';
import { mutationReport } from '../mutation-report.ts';
import type { Opa } from '../opa.ts';
import type { EvaluatorPool } from '../pool.ts';
import { domainOf, type Side } from '../side.ts';
import { runTests } from '../tests.ts';
import { type Collected, collect } from './collected.ts';
import { differ } from './modules.ts';

/** Unless the configuration asks for more. */
const GATE_MUTANTS = 200;

/** Head's tests, and base's version of those that head changes, on head's policy. */
export async function judgeTests(
  opa: Opa,
  head: PolicySource,
  base: PolicySource | undefined,
  section: Section<'policy'>,
  out: Collected,
): Promise<void> {
  const tests = await runTests(opa, {
    ...head,
    threshold: section.coverage,
    demanded: section.ruleCoverage !== undefined || section.decisionCoverage !== undefined,
  });
  collect(out, tests);
  out.facts['tests'] = `${tests.passed} of ${tests.total} passed`;
  if (base === undefined) return;
  const edited = changedGuards({ modules: base.tests, what: 'the tests' }, head.tests);
  // A module that is new can define what a test of base stands on as well as an edited one.
  if (!differ(base.tests, head.tests) && !differ(base.invariants, head.invariants)) return;
  out.findings.push(...edited);
  const again = await runTests(opa, {
    modules: head.modules,
    tests: base.tests,
    invariants: base.invariants,
    data: head.data,
    threshold: undefined,
  });
  out.findings.push(...judgeBaseTests(again.findings, { base: base.tests, head: head.tests, reported: tests.findings }));
}

/** Coverage by rule, and on the domain by decision value: of the tests that head has, when all of them pass. */
export async function judgeCoverage(
  context: GateContext,
  opa: Opa,
  section: Section<'policy'>,
  head: Side,
  out: Collected,
): Promise<void> {
  if (!testsUsable(head, out)) return;
  context.progress.step('policy: coverage by rule and decision');
  const guards = await readGuards(context.head, head.source.invariants, section.domain);
  const report = await coverageReport(opa, head.source, {
    entrypoints: section.entrypoints,
    rules: section.ruleCoverage,
    decisions: section.decisionCoverage,
    against:
      guards.domain === undefined
        ? undefined
        : { side: head, domain: domainOf(guards.domain, [head]), maxPoints: DEFAULT_VALUE_POINTS },
  });
  collect(out, report);
  Object.assign(out.facts, report.facts);
}

/** Mutation testing where it is configured: of the tests that head has, when all of them pass. */
export async function judgeMutants(
  context: GateContext,
  opa: Opa,
  pool: EvaluatorPool,
  section: Section<'policy'>,
  head: Side,
  out: Collected,
): Promise<void> {
  if (!testsUsable(head, out)) return;
  context.progress.step('policy: mutants of the policy');
  const guards = await readGuards(context.head, head.source.invariants, section.domain);
  const domain = guards.domain === undefined ? undefined : domainOf(guards.domain, [head]);
  const entrypoint = section.entrypoints[0]!;
  const mutated = await mutate(opa, pool, head.source, {
    maxMutants: section.mutation?.maxMutants ?? GATE_MUTANTS,
    maxSeconds: DEFAULT_MUTATION_SECONDS,
    maxPoints: DEFAULT_MUTANT_POINTS,
    progress: context.progress,
    against: domain === undefined ? undefined : { side: head, entrypoint, domain },
  });
  const report = mutationReport(mutated, entrypoint, section.mutation?.threshold);
  collect(out, report);
  out.facts['mutation'] = report.summary;
}

/** What tests can be judged by: there are some, and they pass on the policy itself. */
function testsUsable(head: Side, out: Collected): boolean {
  const stop = out.findings.some((f) => f.ruleId === 'policy-test-failed' || f.ruleId === 'policy-check-failed');
  return !stop && head.source.tests.size > 0;
}
