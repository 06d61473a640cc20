import type { GateResult } from '../core/gate.ts';
import { buildReport, type Report } from '../core/report.ts';
import type { Invocation } from './framework.ts';
import type { Workspace } from './open-workspace.ts';
import { provenanceOf } from './provenance.ts';

/** The report of a command that runs one gate on the working tree. */
export function singleGateReport(invocation: Invocation, workspace: Workspace, result: GateResult): Report {
  return buildReport(
    [result],
    provenanceOf(invocation, {
      ...(workspace.commit === undefined ? {} : { head: { ref: 'HEAD', commit: workspace.commit } }),
      seed: workspace.context.seed,
      tools: workspace.toolVersions(),
    }),
  );
}
