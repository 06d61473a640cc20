import { buildReport } from '../../core/report.ts';
import { runTelemetryGate } from '../../telemetry/gate.ts';
import type { CommandOutcome, CommandSpec, Invocation } from '../framework.ts';
import { provenanceOf, toolBox } from '../provenance.ts';
import { gateContext, openFolder, placed, prefixOf, sectionOf } from './sides.ts';

export const checkCommand: CommandSpec = {
  name: 'check',
  positionals: 'DIR',
  minPositionals: 1,
  maxPositionals: 1,
  summary: 'lint a registry, or everything the telemetry section of DIR/mixgate.yaml names',
  details: 'DIR is a repository with a mixgate.yaml, or a folder of semantic-convention files (*.yaml).',
  examples: [
    {
      command: 'mixgate telemetry check examples/fleet',
      does: 'registry, event schemas, samples and consumers of a repository',
    },
    { command: 'mixgate telemetry check examples/fleet/telemetry/registry', does: 'one registry' },
  ],
  run: runCheck,
};

async function runCheck(invocation: Invocation): Promise<CommandOutcome> {
  const tree = await openFolder(invocation, invocation.positionals[0]!);
  const { section, config } = await sectionOf(tree, invocation);
  const tools = toolBox(invocation);
  const result = await runTelemetryGate(gateContext(invocation, tools, undefined, tree), section, config);
  const prefix = prefixOf(invocation, invocation.positionals[0]!);
  return { report: buildReport([placed(result, prefix, prefix)], provenanceOf(invocation, { tools: tools.versions() })) };
}
