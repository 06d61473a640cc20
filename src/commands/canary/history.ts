import { resolve } from 'node:path';
import type { CommandSpec } from '../framework.ts';
import { singleGateReport } from '../single-gate.ts';

export const historyCommand: CommandSpec = {
  name: 'history',
  summary: 'what releases measured, and what gets worse from one to the next',
  details: `Reads the JSON reports of \`canary run\` and \`canary judge\` in DIR, one a release, in order of their file names (r2 before r10).
Shows each metric of all prompts with its interval, and tests for a trend: errors by labels, costs, everything that was judged.
Each release may be within its margin of the one before and the tenth far from the first.`,
  positionals: 'DIR',
  minPositionals: 1,
  maxPositionals: 1,
  examples: [
    { command: 'mixgate canary history reports/', does: 'tables, and a warning for what gets worse' },
    { command: 'mixgate canary history reports/ --report html=history.html', does: 'with a line chart for each metric' },
  ],
  async run(invocation) {
    const { readReleases } = await import('../../canary/history-reports.ts');
    const { historyGate } = await import('../../canary/history.ts');
    const { openWorkspace } = await import('../open-workspace.ts');
    const [folder] = invocation.positionals;
    const workspace = await openWorkspace(invocation, { configRequired: false, gitRequired: false });
    const { releases, skipped } = await readReleases(resolve(invocation.dir, folder!), folder!);
    return { report: singleGateReport(invocation, workspace, historyGate(releases, skipped)) };
  },
};
