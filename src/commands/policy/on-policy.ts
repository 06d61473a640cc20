import type { GateResult } from '../../core/gate.ts';
import { buildReport } from '../../core/report.ts';
import { openPolicy } from '../../policy/locate.ts';
import { openWorkbench, type Workbench } from '../../policy/operations.ts';
import type { CommandOutcome, Invocation } from '../framework.ts';
import { provenanceOf, toolBox } from '../provenance.ts';
import { positive } from './options.ts';

type Work = (bench: Workbench, source: Awaited<ReturnType<typeof openPolicy>>) => Promise<GateResult>;

/** A verb whose one argument is the policy's folder. */
export async function onPolicy(
  invocation: Invocation,
  work: Work,
  text?: (gate: GateResult) => string | undefined,
): Promise<CommandOutcome> {
  const source = await openPolicy(invocation.dir, invocation.positionals[0]!, invocation.options.string('data'));
  return withBench(invocation, (bench) => work(bench, source), text);
}

/** Work with OPA at hand; its gate as a report. */
export async function withBench(
  invocation: Invocation,
  work: (bench: Workbench) => Promise<GateResult>,
  text?: (gate: GateResult) => string | undefined,
): Promise<CommandOutcome> {
  const limit = positive(invocation, 'limit');
  const tools = toolBox(invocation);
  await using bench = openWorkbench(await tools.tool('opa'), invocation, limit);
  const gate = await work(bench);
  const report = buildReport([gate], provenanceOf(invocation, { tools: tools.versions() }));
  const shown = text?.(gate);
  return shown === undefined ? { report } : { report, text: shown };
}
