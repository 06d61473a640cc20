import { ConfigurationError, isMixgateError, messageOf, type Problem } from '../core/errors.ts';
import { finding } from '../core/finding.ts';
import { type Provenance, REPORT_SCHEMA, type Report } from '../core/report.ts';
import { EXIT, type ExitPolicy, exitCode } from '../core/verdict.ts';

export interface Failure {
  readonly report: Report;
  readonly code: number;
}

/** What kept mixgate from judging, as a report with the verdict `error`: the same reporters show it, and it is never a pass. */
export function failureReport(error: unknown, provenance: Provenance, policy: ExitPolicy): Failure {
  const mistaken = error instanceof ConfigurationError;
  const findings = problemsOf(error).map((problem) =>
    finding({
      ruleId: mistaken ? 'input-invalid' : 'gate-error',
      level: 'error',
      message: problem.expected === undefined ? problem.message : `${problem.message} Expected ${problem.expected}.`,
      location: problem.location,
      fix: problem.fix,
    }),
  );
  const report: Report = { schema: REPORT_SCHEMA, verdict: 'error', gates: [], findings, provenance };
  // A wrong input stays wrong however often it is run: `on-error: warn` is for what fails outside.
  return { report, code: mistaken && policy.mode !== 'warn' ? EXIT.usage : exitCode('error', policy) };
}

function problemsOf(error: unknown): readonly Problem[] {
  if (isMixgateError(error)) return error.problems;
  const detail = messageOf(error);
  return [
    { message: `This is a fault of mixgate: ${detail}`, fix: 'report it; a re-run with debug logging shows the stack trace.' },
  ];
}
