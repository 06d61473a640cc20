import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { ConfigurationError } from '../../core/errors.ts';
import { gateResult } from '../../core/gate.ts';
import { buildReport } from '../../core/report.ts';
import { coverageTable, registryMeasurements } from '../../telemetry/evaluate.ts';
import { checkFleet } from '../../telemetry/otlp/fleet.ts';
import { checkSamples } from '../../telemetry/otlp/samples.ts';
import { loadRegistries } from '../../telemetry/registry/load.ts';
import { folderTree } from '../../workspace/tree.ts';
import type { CommandOutcome, CommandSpec, Invocation } from '../framework.ts';
import { provenanceOf } from '../provenance.ts';
import { REGISTRY } from './sides.ts';

export const samplesCommand: CommandSpec = {
  name: 'samples',
  positionals: 'FILE...',
  minPositionals: 1,
  maxPositionals: 1000,
  summary: 'judge OTLP/JSON files: encoding, then values against a registry',
  options: {
    registry: { ...REGISTRY, required: true, description: 'registry folder; repeatable', multiple: true },
    'min-samples': {
      type: 'integer',
      value: 'N',
      description: 'data points below which the answer is inconclusive (default 1)',
    },
  },
  examples: [
    {
      command: 'mixgate telemetry samples eu-west.json us-east.json --registry telemetry/registry',
      does: 'two clusters, checked and compared',
    },
  ],
  run: runSamples,
};

async function runSamples(invocation: Invocation): Promise<CommandOutcome> {
  const tree = folderTree(invocation.dir);
  const registries = invocation.options.strings('registry').map((path) => ({ path: inside(invocation, path), owned: true }));
  const { registry, findings, digest } = await loadRegistries(tree, registries);
  if (registry.metrics.size === 0 && registry.attributes.size === 0) {
    throw new ConfigurationError({
      message: `--registry ${registries.map(({ path }) => path).join(', ')} has no usable definition${findings.length === 0 ? '' : `: ${findings[0]!.message}`}`,
      expected: 'a folder of semantic-convention YAML files',
    });
  }
  const files = [];
  const missing = [];
  for (const name of invocation.positionals) {
    const full = resolve(invocation.dir, name);
    const info = await stat(full).catch(() => undefined);
    if (info?.isFile() !== true)
      missing.push({
        message: info === undefined ? 'the sample file does not exist.' : 'the sample is not a file.',
        location: { file: name },
        fix: 'name OTLP/JSON files.',
      });
    else files.push({ path: relative(invocation.dir, full).replaceAll('\\', '/'), chunks: createReadStream(full) });
  }
  if (missing.length > 0) throw new ConfigurationError(missing);
  const least = invocation.options.number('min-samples') ?? 1;
  if (least < 1) throw new ConfigurationError({ message: `--min-samples is ${least}.`, expected: 'a whole number from 1' });
  const result = await checkSamples(files, { registry, events: new Map(), clusters: [] });
  const fleet = checkFleet(result.observed, { registry, coverage: [], minSamples: least, configFile: files[0]!.path });
  const points = [...result.observed.metrics.values()].reduce((sum, metric) => sum + metric.points, 0);
  const { spans, logs, metrics } = result.observed;
  const judgedNothing =
    metrics.size > 0 &&
    spans.count === 0 &&
    logs.count === 0 &&
    [...metrics.values()].every(({ name }) => !registry.metrics.has(name));
  const gate = gateResult({
    id: 'telemetry',
    findings: [...findings.filter((finding) => finding.level === 'error'), ...result.findings, ...fleet.findings],
    measurements: [
      ...registryMeasurements(registry, []).slice(0, 2),
      { name: 'samples.files', value: result.files, unit: '{file}' },
      { name: 'samples.points', value: points, unit: '{point}' },
      { name: 'samples.spans', value: result.observed.spans.count, unit: '{span}' },
      { name: 'samples.logs', value: result.observed.logs.count, unit: '{record}' },
    ],
    tables: fleet.coverage.length > 0 ? [coverageTable(fleet)] : [],
    subjects: [{ name: 'telemetry/registry', digest: { sha256: digest } }],
    passReason: `${points} points, ${result.observed.spans.count} spans and ${result.observed.logs.count} log records fit the registry.`,
    inconclusive:
      fleet.inconclusive ?? (judgedNothing ? 'No metric of the samples is in the registry, so nothing was judged.' : undefined),
  });
  return { report: buildReport([gate], provenanceOf(invocation)) };
}

function inside(invocation: Invocation, path: string): string {
  const found = relative(invocation.dir, resolve(invocation.dir, path)).replaceAll('\\', '/');
  if (found.startsWith('..'))
    throw new ConfigurationError({
      message: `--registry ${JSON.stringify(path)} lies outside ${invocation.dir}.`,
      fix: 'start mixgate higher up, with -C DIR.',
    });
  return found;
}
