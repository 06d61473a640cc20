import type { SourceDocument } from '../../config/document.ts';
import type { GateResult } from '../../core/gate.ts';
import type { PolicySource } from '../../rego/source.ts';
import { type CoverageReport, coverageReport, DEFAULT_VALUE_POINTS } from '../coverage-report.ts';
import { type MutationOptions, mutate } from '../mutation.ts';
import { type MutationReport, mutationReport } from '../mutation-report.ts';
import { domainOf, prepareSide, strictFindings } from '../side.ts';
import { runTests } from '../tests.ts';
import { policyResult, type Workbench } from './workbench.ts';

export interface MutationTestOptions {
  /** Least share of mutants killed, in percent. */
  readonly threshold: number | undefined;
  readonly maxMutants: number;
  readonly maxSeconds: number;
  readonly maxPoints: number;
  /** With both, mutants that decide the same everywhere are told from survivors. */
  readonly entrypoint: string | undefined;
  readonly document: SourceDocument | undefined;
}

export interface CoverageTestOptions {
  /** Least share of definitions that a test reaches, in percent. */
  readonly rules: number | undefined;
  /** Least share of decision values that a test sees, in percent. */
  readonly decisions: number | undefined;
  /** With both, decision values that the policy can take are told from those that tests see. */
  readonly entrypoint: string | undefined;
  readonly document: SourceDocument | undefined;
}

const UNJUDGED: CoverageTestOptions = { rules: undefined, decisions: undefined, entrypoint: undefined, document: undefined };

/** Runs a policy's Rego tests; with coverage of lines (`threshold`, per cent), of rules and decisions (`wanted`) and with mutants where these are asked for. */
export async function testPolicy(
  bench: Workbench,
  source: PolicySource,
  threshold: number | undefined,
  mutation?: MutationTestOptions,
  wanted: CoverageTestOptions = UNJUDGED,
): Promise<GateResult> {
  const problems = await strictFindings(bench.opa, source, source.invariants);
  if (problems.length > 0) return policyResult(problems, source, '');
  const outcome = await runTests(bench.opa, {
    ...source,
    threshold,
    demanded: wanted.rules !== undefined || wanted.decisions !== undefined,
  });
  // Skipped tests don't stand in the way.
  const usable = outcome.total > 0 && !outcome.findings.some((f) => f.ruleId === 'policy-test-failed');
  const covered = usable ? await coverPolicy(bench, source, wanted) : undefined;
  const mutants = mutation === undefined || !usable ? undefined : await mutatePolicy(bench, source, mutation);
  const reached = Object.values(covered?.facts ?? {}).filter((fact) => typeof fact === 'string');
  return {
    ...policyResult(
      [...outcome.findings, ...(covered?.findings ?? []), ...(mutants?.findings ?? [])],
      source,
      [`${outcome.passed} of ${outcome.total} tests pass`, ...reached, ...(mutants === undefined ? [] : [mutants.summary])].join(
        '; ',
      ),
      [...outcome.tables, ...(covered?.tables ?? []), ...(mutants?.tables ?? [])],
      covered?.inconclusive ?? mutants?.inconclusive,
    ),
    measurements: [...outcome.measurements, ...(covered?.measurements ?? []), ...(mutants?.measurements ?? [])],
    facts: {
      tests: `${outcome.passed} of ${outcome.total} passed`,
      ...covered?.facts,
      ...(mutants === undefined ? {} : { mutation: mutants.summary }),
    },
  };
}

/** Coverage by rule and by decision value; the tests must have passed on the policy itself. */
async function coverPolicy(bench: Workbench, source: PolicySource, wanted: CoverageTestOptions): Promise<CoverageReport> {
  const { entrypoint, document, rules, decisions } = wanted;
  const entrypoints = entrypoint === undefined ? [] : [entrypoint];
  if (entrypoint === undefined || document === undefined)
    return coverageReport(bench.opa, source, { entrypoints, rules, decisions, against: undefined });
  const { side, findings } = await prepareSide(bench.opa, bench.pool, source, [entrypoint]);
  if (side === undefined) return { findings, measurements: [], tables: [], facts: {}, inconclusive: undefined };
  return coverageReport(bench.opa, source, {
    entrypoints,
    rules,
    decisions,
    against: { side, domain: domainOf(document, [side]), maxPoints: DEFAULT_VALUE_POINTS },
  });
}

/** Mutation testing; the tests must have passed on the policy itself. */
async function mutatePolicy(bench: Workbench, source: PolicySource, options: MutationTestOptions): Promise<MutationReport> {
  const { entrypoint, document } = options;
  let against: MutationOptions['against'];
  if (entrypoint !== undefined && document !== undefined) {
    const { side, findings } = await prepareSide(bench.opa, bench.pool, source, [entrypoint]);
    if (side === undefined)
      return {
        findings,
        measurements: [],
        tables: [],
        summary: 'no mutants: the policy does not compile',
        inconclusive: undefined,
      };
    against = { side, entrypoint, domain: domainOf(document, [side]) };
  }
  const mutated = await mutate(bench.opa, bench.pool, source, { ...options, progress: bench.run.progress, against });
  return mutationReport(mutated, entrypoint, options.threshold);
}
