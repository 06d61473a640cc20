import type { Finding } from '../core/finding.ts';
import type { Measurement, Table } from '../core/gate.ts';
import type { JsonObject } from '../core/json.ts';
import type { Modules } from '../rego/source.ts';
import type { Coverage, Opa, TestResult } from './opa.ts';
import { OpaRefused } from './opa-problems.ts';
import { policyFinding } from './rules.ts';
import { refusedFindings, wholePolicy } from './side.ts';

export interface TestOutcome {
  readonly findings: readonly Finding[];
  readonly measurements: readonly Measurement[];
  readonly tables: readonly Table[];
  readonly passed: number;
  readonly total: number;
}

export interface TestInput {
  readonly modules: Modules;
  readonly tests: Modules;
  readonly invariants: Modules;
  readonly data: JsonObject;
  /** Least line coverage in percent; undefined: measured, not judged. */
  readonly threshold: number | undefined;
  /** Some other share of the tests is judged: without tests none of it is met. */
  readonly demanded?: boolean;
}

/** Runs the policy's unit tests and measures which lines of the policy they reach. */
export async function runTests(opa: Opa, input: TestInput): Promise<TestOutcome> {
  const all: Modules = new Map([...input.modules, ...input.invariants, ...input.tests]);
  let results: readonly TestResult[];
  let coverage: Coverage;
  try {
    results = await opa.test(all, input.data);
    if (results.length === 0) {
      const finding = policyFinding('policy-test-missing', {
        level: input.threshold === undefined && input.demanded !== true ? 'warning' : 'error',
        message: 'The policy has no unit tests.',
        location: wholePolicy(input.modules),
        fix: 'Add `*_test.rego` modules with `test_` rules.',
      });
      return { findings: [finding], measurements: [], tables: [], passed: 0, total: 0 };
    }
    // OPA prints no coverage when a test fails.
    if (results.some((r) => r.outcome === 'fail' || r.outcome === 'error')) {
      const passed = results.filter((r) => r.outcome === 'pass').length;
      return {
        findings: results.filter((r) => r.outcome === 'fail' || r.outcome === 'error').map(failedFinding),
        measurements: [{ name: 'policy.tests.passed', value: passed, unit: '{test}', n: results.length }],
        tables: [],
        passed,
        total: results.length,
      };
    }
    coverage = await opa.coverage(all, input.data, new Set(input.modules.keys()));
  } catch (error) {
    if (!(error instanceof OpaRefused)) throw error;
    return { findings: refusedFindings(error, wholePolicy(input.modules)), measurements: [], tables: [], passed: 0, total: 0 };
  }
  const findings = coverageFindings(coverage, input.threshold);
  const passed = results.filter((r) => r.outcome === 'pass').length;
  return {
    findings,
    passed,
    total: results.length,
    measurements: [
      { name: 'policy.tests.passed', value: passed, unit: '{test}', n: results.length },
      {
        name: 'policy.tests.coverage',
        value: Math.round(coverage.percent * 100) / 100,
        unit: '%',
        ...(input.threshold === undefined ? {} : { limit: input.threshold }),
      },
    ],
    tables: [
      {
        title: 'Policy test coverage',
        columns: ['Module', 'Covered lines', 'Lines', 'Percent', 'First uncovered line'],
        rows: coverage.files.map((f) => [
          f.file,
          String(f.covered),
          String(f.covered + f.notCovered),
          percent(f.covered, f.covered + f.notCovered),
          f.missing[0]?.line === undefined ? '' : String(f.missing[0].line),
        ]),
      },
    ],
  };
}

function failedFinding(result: TestResult): Finding {
  return policyFinding('policy-test-failed', {
    message: `The test ${result.package.replace(/^data\./, '')}.${result.name} ${result.outcome === 'error' ? 'ends in an error' : 'fails'}${result.message === undefined ? '' : `: ${result.message}`}.`,
    location: result.location,
    subject: result.name,
    fix: 'Correct the policy, or the test when the change is meant.',
  });
}

function coverageFindings(coverage: Coverage, threshold: number | undefined): Finding[] {
  if (threshold === undefined || coverage.percent >= threshold) return [];
  const worst = coverage.files.filter((f) => f.missing.length > 0);
  return [
    policyFinding('policy-coverage-low', {
      message: `The tests cover ${coverage.percent.toFixed(1)} % of the policy's lines, less than the ${threshold} % asked for.`,
      location: worst[0]?.missing[0],
      related: worst.flatMap((f) => f.missing).slice(1, 20),
      evidence: {
        percent: Math.round(coverage.percent * 100) / 100,
        threshold,
        uncovered: Object.fromEntries(worst.map((f) => [f.file, f.missing.map((m) => m.line ?? 0)])),
      },
      fix: 'Add tests for the lines named here.',
    }),
  ];
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '' : `${((100 * part) / whole).toFixed(1)} %`;
}
