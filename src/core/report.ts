import { compareFindings, type Finding } from './finding.ts';
import type { GateResult } from './gate.ts';
import { EXIT, type ExitPolicy, exitCode, type Verdict, worstVerdict } from './verdict.ts';

export const REPORT_SCHEMA = 'https://mixgate.dev/schemas/report.schema.json#v1';

export interface Provenance {
  readonly tool: { readonly name: 'mixgate'; readonly version: string };
  readonly command: string;
  /** Full commit ids; absent where the command has no such side. */
  readonly base?: { readonly ref: string; readonly commit: string };
  readonly head?: { readonly ref: string; readonly commit: string };
  /** Where gate configuration and policies of the gate were read from. */
  readonly configFrom?: string;
  readonly seed: number;
  /** Versions of the external programs that were used. */
  readonly tools: { readonly [name: string]: string };
}

export interface Report {
  readonly schema: typeof REPORT_SCHEMA;
  readonly verdict: Verdict;
  readonly gates: readonly GateResult[];
  readonly findings: readonly Finding[];
  readonly provenance: Provenance;
}

/** Joins gate results into a report: the verdict is the worst one, computed here once, before any reporting. */
export function buildReport(gates: readonly GateResult[], provenance: Provenance, extra: readonly Finding[] = []): Report {
  const findings = [...gates.flatMap((gate) => gate.findings), ...extra].sort(compareFindings);
  const fromExtra: Verdict[] = extra.some((f) => f.blocking && f.waived === false) ? ['fail'] : [];
  return {
    schema: REPORT_SCHEMA,
    verdict: worstVerdict([...gates.map((gate) => gate.verdict), ...fromExtra]),
    gates,
    findings,
    provenance,
  };
}

/**
 * The exit code of a report. `onError: warn` forgives gates that could not run, and nothing else: what the other gates
 * found still counts, or a change that fails one gate could pass by making another one stumble.
 */
export function reportExitCode(report: Pick<Report, 'verdict' | 'gates' | 'findings'>, policy: ExitPolicy): number {
  if (report.verdict !== 'error' || policy.onError !== 'warn') return exitCode(report.verdict, policy);
  const ran = report.gates.filter((gate) => gate.verdict !== 'error');
  const forgiven = new Set(report.gates.filter((gate) => gate.verdict === 'error').flatMap((g) => g.findings.map((f) => f.id)));
  const blocked = report.findings.some((f) => f.blocking && f.waived === false && !forgiven.has(f.id));
  const rest: readonly Verdict[] = [...ran.map((gate) => gate.verdict), ...(blocked ? (['fail'] as const) : [])];
  return rest.length === 0 ? EXIT.ok : exitCode(worstVerdict(rest), policy);
}
