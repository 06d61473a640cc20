import type { GateResult } from '../core/gate.ts';
import type { Report } from '../core/report.ts';

/**
 * The report as JSON after schemas/report.schema.json: gates refer to findings by id, so that each is written once;
 * NaN and infinities, which JSON has no form for, become null.
 */
export function renderJson(report: Report): string {
  const document = {
    schema: report.schema,
    verdict: report.verdict,
    gates: report.gates.map(gateJson),
    findings: report.findings,
    provenance: report.provenance,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function gateJson(gate: GateResult): object {
  const { id, verdict, reason, findings, ...rest } = gate;
  return { id, verdict, reason, findings: [...new Set(findings.map((finding) => finding.id))], ...rest };
}
