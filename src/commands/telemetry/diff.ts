import { ConfigurationError } from '../../core/errors.ts';
import { buildReport } from '../../core/report.ts';
import type { CompatibilityMode } from '../../telemetry/diff/change.ts';
import { runTelemetryGate } from '../../telemetry/gate.ts';
import type { CommandOutcome, CommandSpec, Invocation } from '../framework.ts';
import { provenanceOf, toolBox } from '../provenance.ts';
import { gateContext, isFolder, openFolder, openRefs, placed, prefixOf, REGISTRY, sectionOf } from './sides.ts';

export const diffCommand: CommandSpec = {
  name: 'diff',
  positionals: 'BASE HEAD',
  minPositionals: 2,
  maxPositionals: 2,
  summary: 'field-level changes between two registries, who breaks, and which SLOs use them',
  details:
    'BASE and HEAD are two folders, or two Git refs. A side with a mixgate.yaml is read as it says; the configuration comes from BASE.',
  options: {
    registry: REGISTRY,
    compatibility: {
      type: 'string',
      value: 'MODE',
      choices: ['FULL', 'FORWARD', 'BACKWARD', 'NONE'],
      description: 'direction that a change must keep (default FULL)',
    },
  },
  examples: [
    { command: 'mixgate telemetry diff main HEAD', does: 'what your branch changes' },
    { command: 'mixgate telemetry diff semconv/v1.28.0 semconv/v1.41.1 --registry model', does: 'two folders' },
  ],
  run: runDiff,
};

async function runDiff(invocation: Invocation): Promise<CommandOutcome> {
  const [first, second] = [invocation.positionals[0]!, invocation.positionals[1]!];
  const [baseIsFolder, headIsFolder] = [await isFolder(invocation, first), await isFolder(invocation, second)];
  if (baseIsFolder !== headIsFolder) {
    const missing = baseIsFolder ? second : first;
    throw new ConfigurationError({
      message: `${JSON.stringify(missing)} is not a folder, the other side is.`,
      expected: 'two folders, or two Git refs',
    });
  }
  const [base, head] = baseIsFolder
    ? [await openFolder(invocation, first), await openFolder(invocation, second)]
    : await openRefs(invocation, first, second);
  const mode = invocation.options.string('compatibility') as CompatibilityMode | undefined;
  const { section, config } = await sectionOf(base, invocation);
  // Samples and coverage are no part of a comparison.
  const { samples: _samples, coverage: _coverage, minSamples: _minSamples, ...rest } = section;
  const tools = toolBox(invocation);
  const result = await runTelemetryGate(
    gateContext(invocation, tools, base, head),
    { ...rest, ...(mode === undefined ? {} : { compatibility: mode }) },
    config,
  );
  const shown = baseIsFolder ? placed(result, prefixOf(invocation, first), prefixOf(invocation, second)) : result;
  return { report: buildReport([shown], provenanceOf(invocation, { tools: tools.versions() })) };
}
