import type { GateResult } from '../core/gate.ts';
import { buildReport, type Report } from '../core/report.ts';
import { packageVersion } from '../tools/package-root.ts';
import type { Invocation } from './framework.ts';
import type { Workspace } from './open-workspace.ts';

/** The report of a command that runs one gate on the working tree. */
export function singleGateReport(invocation: Invocation, workspace: Workspace, result: GateResult): Report {
  return buildReport([result], {
    tool: { name: 'mixgate', version: packageVersion() },
    command: invocation.command,
    ...(workspace.commit === undefined ? {} : { head: { ref: 'HEAD', commit: workspace.commit } }),
    seed: workspace.context.seed,
    tools: Object.fromEntries([...workspace.tools].sort(([a], [b]) => (a < b ? -1 : 1))),
  });
}
