import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { type Config, loadConfig, type Section } from '../config/load.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { Location } from '../core/finding.ts';
import { type GateResult, gateResult } from '../core/gate.ts';
import type { GateContext, Tool } from '../core/gate-context.ts';
import { buildReport, type Provenance } from '../core/report.ts';
import type { CompatibilityMode } from '../telemetry/diff/change.ts';
import { coverageTable, registryMeasurements } from '../telemetry/evaluate.ts';
import { runTelemetryGate } from '../telemetry/gate.ts';
import { checkFleet } from '../telemetry/otlp/fleet.ts';
import { checkSamples } from '../telemetry/otlp/samples.ts';
import { loadRegistries } from '../telemetry/registry/load.ts';
import { packageVersion } from '../tools/package-root.ts';
import { resolveTool } from '../tools/resolve.ts';
import { openGit } from '../workspace/git.ts';
import { commitTree, folderTree, subtree, type Tree } from '../workspace/tree.ts';
import type { CommandOutcome, Invocation } from './framework.ts';

/** `mixgate telemetry check`. */
export async function runCheck(invocation: Invocation): Promise<CommandOutcome> {
  const tree = await openFolder(invocation, invocation.positionals[0]!);
  const { section, config } = await sectionOf(tree, invocation);
  const context = gateContext(invocation, undefined, tree);
  const result = await runTelemetryGate(context.context, section, config);
  const prefix = prefixOf(invocation, invocation.positionals[0]!);
  return finish(invocation, placed(result, prefix, prefix), context.tools);
}

/** `mixgate telemetry diff`. */
export async function runDiff(invocation: Invocation): Promise<CommandOutcome> {
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
  const context = gateContext(invocation, base, head);
  const result = await runTelemetryGate(
    context.context,
    { ...rest, ...(mode === undefined ? {} : { compatibility: mode }) },
    config,
  );
  const shown = baseIsFolder ? placed(result, prefixOf(invocation, first), prefixOf(invocation, second)) : result;
  return finish(invocation, shown, context.tools);
}

/** How files of a folder on the command line are named: from where mixgate runs, absolute when they lie outside. */
function prefixOf(invocation: Invocation, folder: string): string {
  const full = resolve(invocation.dir, folder);
  const path = relative(invocation.dir, full).replaceAll('\\', '/');
  return path === '..' || path.startsWith('../') ? full : path;
}

/** Findings name files inside the folder that was judged; people and SARIF readers open them from where mixgate runs. */
function placed(gate: GateResult, base: string, head: string): GateResult {
  const place = <T extends Location>(location: T, prefix: string): T =>
    prefix === '' ? location : { ...location, file: location.file === '' ? prefix : `${prefix}/${location.file}` };
  return {
    ...gate,
    findings: gate.findings.map((finding) => {
      const inBase = (finding.evidence as { side?: unknown } | undefined)?.side === 'base';
      return {
        ...finding,
        ...(finding.location === undefined ? {} : { location: place(finding.location, inBase ? base : head) }),
        ...(finding.related === undefined ? {} : { related: finding.related.map((location) => place(location, head)) }),
      };
    }),
  };
}

/** `mixgate telemetry samples`. */
export async function runSamples(invocation: Invocation): Promise<CommandOutcome> {
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
  return finish(invocation, gate, new Map());
}

function finish(invocation: Invocation, gate: GateResult, tools: ReadonlyMap<string, string>): CommandOutcome {
  const provenance: Provenance = {
    tool: { name: 'mixgate', version: packageVersion() },
    command: invocation.command,
    seed: invocation.seed,
    tools: Object.fromEntries([...tools].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
  return { report: buildReport([gate], provenance) };
}

function gateContext(
  invocation: Invocation,
  base: Tree | undefined,
  head: Tree,
): { context: GateContext; tools: Map<string, string> } {
  const tools = new Map<string, string>();
  const context: GateContext = {
    seed: invocation.seed,
    now: invocation.now,
    progress: invocation.progress,
    signal: invocation.signal,
    base,
    head,
    changed: undefined,
    tool: async (name): Promise<Tool> => {
      const tool = await resolveTool(name, { progress: invocation.progress, signal: invocation.signal });
      tools.set(name, tool.version);
      return tool;
    },
  };
  return { context, tools };
}

/** The telemetry section of a side's mixgate.yaml; without one, the whole folder is one registry of ours. */
async function sectionOf(tree: Tree, invocation: Invocation): Promise<{ section: Section<'telemetry'>; config: Config }> {
  const path = invocation.options.string('registry');
  if (path !== undefined) return { section: { registries: [{ path, owned: true }] }, config: { version: 1 } };
  if ((await tree.read(invocation.config)) !== undefined) {
    const { config } = await loadConfig(tree, invocation.config);
    if (config.telemetry === undefined)
      throw new ConfigurationError({
        message: `${invocation.config} has no telemetry section.`,
        fix: 'add one, or name a registry folder.',
      });
    return { section: config.telemetry, config };
  }
  return { section: { registries: [{ path: '', owned: true }] }, config: { version: 1 } };
}

async function isFolder(invocation: Invocation, name: string): Promise<boolean> {
  return (await stat(resolve(invocation.dir, name)).catch(() => undefined))?.isDirectory() === true;
}

async function openFolder(invocation: Invocation, name: string): Promise<Tree> {
  if (!(await isFolder(invocation, name)))
    throw new ConfigurationError({
      message:
        (await stat(resolve(invocation.dir, name)).catch(() => undefined)) === undefined
          ? `the folder ${JSON.stringify(name)} does not exist.`
          : `${JSON.stringify(name)} is a file, not a folder.`,
      fix: 'name a repository or a registry folder.',
    });
  return folderTree(resolve(invocation.dir, name), name);
}

async function openRefs(invocation: Invocation, base: string, head: string): Promise<[Tree, Tree]> {
  const git = await openGit(invocation.dir);
  const prefix = relative(await realpath(git.root), await realpath(invocation.dir)).replaceAll('\\', '/');
  return [subtree(await commitTree(git, base), prefix), subtree(await commitTree(git, head), prefix)];
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
