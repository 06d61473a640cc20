import type { Config, Section } from '../config/load.ts';
import { ExternalError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { type GateResult, gateResult, type Measurement, type Table } from '../core/gate.ts';
import type { FileTree, GateContext } from '../core/gate-context.ts';
import { plural } from '../core/text.ts';
import { type RegoUse, regoUses } from '../rego/uses.ts';
import { glob, materialize, type Tree } from '../workspace/tree.ts';
import { checkCardinality, DEFAULT_SERIES_LIMIT } from './cardinality.ts';
import type { Change } from './diff/change.ts';
import { diffRegistries } from './diff/registry.ts';
import {
  cardinalityTable,
  changeTable,
  coverageTable,
  explainedNames,
  goneMetrics,
  judgeChanges,
  registryMeasurements,
} from './evaluate.ts';
import { diffEventSchemas } from './events/diff.ts';
import { type EventSchema, loadEventSchemas } from './events/load.ts';
import { loadQueryConsumers } from './impact/consumers.ts';
import { type Consumers, checkConsumers } from './impact/index.ts';
import { lintRegistry } from './lint.ts';
import type { Registry } from './model.ts';
import { checkFleet } from './otlp/fleet.ts';
import { MAX_REQUEST_BYTES } from './otlp/json-lines.ts';
import { checkSamples } from './otlp/samples.ts';
import { loadRegistries } from './registry/load.ts';
import { telemetryFinding } from './rules.ts';

/** Data points below which samples are inconclusive when nothing is configured. */
const DEFAULT_MIN_SAMPLES = 1;
const CONFIG = 'mixgate.yaml';

/** Registries, event schemas, samples and consumers of head, and what changed since base. */
export async function runTelemetryGate(context: GateContext, section: Section<'telemetry'>, config: Config): Promise<GateResult> {
  const head = await loadRegistries(context.head, section.registries);
  const findings: Finding[] = [...head.findings, ...lintRegistry(head.registry)];
  const options = section.cardinality ?? {};
  const limit = options.limit ?? DEFAULT_SERIES_LIMIT;
  const cardinality = checkCardinality(head.registry, options);
  findings.push(...cardinality.findings);
  const events = await headEvents(context.head, section.events, findings);
  const { changes, base } = await changesSince(context, section, head.registry, events);
  const consumers = await loadConsumers(context, section, config, findings);
  const judged = judgeChanges(changes, consumers, section.compatibility ?? 'FULL');
  findings.push(...judged.map((item) => item.finding), ...checkConsumers(head.registry, consumers, explainedNames(changes)));
  const tables: Table[] = [...(changes.length > 0 ? [changeTable(judged)] : []), cardinalityTable(cardinality.estimates, limit)];
  const measurements: Measurement[] = [
    ...registryMeasurements(head.registry, cardinality.estimates),
    { name: 'changes', value: changes.length, unit: '{change}' },
    { name: 'consumers.queries', value: consumers.queries.length, unit: '{query}' },
  ];
  const sampled = await judgeSamples(context, section, config, head.registry, events, goneMetrics(base, head.registry, changes));
  findings.push(...sampled.findings);
  tables.push(...sampled.tables);
  measurements.push(...sampled.measurements);
  return gateResult({
    id: 'telemetry',
    findings,
    measurements,
    tables,
    subjects: [{ name: 'telemetry/registry', digest: { sha256: head.digest } }],
    facts: {
      registries: section.registries.map((registry) => registry.path),
      compatibility: section.compatibility ?? 'FULL',
      compared: context.base !== undefined,
      changes: changes.length,
      samples: sampled.state,
    },
    passReason: `${plural(head.registry.metrics.size, 'metric')} and ${plural(head.registry.attributes.size, 'attribute')} are sound${context.base === undefined ? '' : `, ${changes.length === 0 ? 'nothing changed' : `${plural(changes.length, 'change')} ${changes.length === 1 ? 'breaks' : 'break'} nobody`}`}; samples: ${sampled.state}.`,
    inconclusive: sampled.inconclusive,
  });
}

async function headEvents(
  tree: FileTree,
  folder: string | undefined,
  findings: Finding[],
): Promise<ReadonlyMap<string, EventSchema>> {
  if (folder === undefined) return new Map();
  const events = await loadEventSchemas(tree, folder, findings);
  if (events.size === 0 && !findings.some((finding) => finding.ruleId === 'telemetry-event-schema-invalid')) {
    findings.push(
      telemetryFinding('telemetry-event-schema-invalid', {
        message: `The folder ${folder} has no *.schema.json.`,
        location: { file: folder },
        subject: folder,
        fix: 'Correct `telemetry.events`, or add the schemas.',
      }),
    );
  }
  return events;
}

async function changesSince(
  context: GateContext,
  section: Section<'telemetry'>,
  head: Registry,
  events: ReadonlyMap<string, EventSchema>,
): Promise<{ changes: Change[]; base: Registry | undefined }> {
  if (context.base === undefined) return { changes: [], base: undefined };
  // What is wrong with base is not this change's fault: its findings are dropped.
  const present = [];
  for (const source of section.registries) if ((await context.base.list(source.path)).length > 0) present.push(source);
  const base = (await loadRegistries(context.base, present)).registry;
  const baseEvents =
    section.events === undefined ? new Map<string, EventSchema>() : await loadEventSchemas(context.base, section.events, []);
  // A schema that head has but cannot be read is reported as that, not as removed.
  const headFiles = section.events === undefined ? [] : await context.head.list(section.events);
  const readable = new Map(
    [...baseEvents].filter(([name, schema]) => events.has(name) || !headFiles.includes(schema.document.file)),
  );
  return { changes: [...diffRegistries(base, head, section.cardinality ?? {}), ...diffEventSchemas(readable, events)], base };
}

/** SLO files are always read; alert rules, dashboards and Rego as `telemetry.consumers` names them. */
async function loadConsumers(
  context: GateContext,
  section: Section<'telemetry'>,
  config: Config,
  findings: Finding[],
): Promise<Consumers> {
  const tree = context.head;
  const paths = new Set([
    ...(config.slo === undefined ? [] : await glob(tree, config.slo.files)),
    ...(section.consumers === undefined ? [] : await glob(tree, section.consumers)),
  ]);
  const queries = await loadQueryConsumers(
    tree,
    [...paths].filter((path) => /\.(?:ya?ml|json)$/.test(path)),
    findings,
  );
  const rego = [...paths].filter((path) => path.endsWith('.rego'));
  return { queries, rego: rego.length === 0 ? [] : await loadRego(context, tree, rego, findings) };
}

async function loadRego(
  context: GateContext,
  tree: Tree,
  paths: readonly string[],
  findings: Finding[],
): Promise<readonly RegoUse[]> {
  const opa = await context.tool('opa');
  await using files = await materialize(tree, paths);
  const uses: RegoUse[] = [];
  for (const path of paths) {
    const found = await regoUses(opa.path, files.dir, path);
    if (found === undefined)
      findings.push(
        telemetryFinding('telemetry-consumer-unreadable', {
          message: 'OPA cannot parse the policy, so what it uses is unknown.',
          location: { file: path },
          subject: path,
          fix: 'Run `opa check` on it.',
        }),
      );
    else uses.push(...found);
  }
  return uses;
}

interface SampledPart {
  readonly findings: readonly Finding[];
  readonly tables: readonly Table[];
  readonly measurements: readonly Measurement[];
  readonly state: string;
  readonly inconclusive?: string | undefined;
}

async function judgeSamples(
  context: GateContext,
  section: Section<'telemetry'>,
  config: Config,
  registry: Registry,
  events: ReadonlyMap<string, EventSchema>,
  gone: ReadonlyMap<string, string | undefined>,
): Promise<SampledPart> {
  if (section.samples === undefined && section.coverage === undefined)
    return { findings: [], tables: [], measurements: [], state: 'not configured' };
  const tree = context.head;
  const patterns = section.samples ?? [];
  const paths = patterns.length === 0 ? [] : await glob(tree, patterns);
  if (paths.length === 0) {
    const missing = `No sample file matches ${patterns.join(', ') || 'telemetry.samples'}; record OTLP/JSON of each cluster there.`;
    return {
      findings: [
        telemetryFinding('telemetry-samples-insufficient', { message: missing, location: { file: CONFIG }, subject: 'samples' }),
      ],
      tables: [],
      measurements: [],
      state: 'none',
      inconclusive: missing,
    };
  }
  const files = paths.map((path) => ({ path, chunks: readTree(tree, path) }));
  const result = await checkSamples(files, {
    registry,
    events,
    clusters: (config.clusters ?? []).map((cluster) => cluster.name),
    gone,
  });
  const fleet = checkFleet(result.observed, {
    registry,
    ...(section.cardinality?.limit === undefined ? {} : { limit: section.cardinality.limit }),
    coverage: section.coverage ?? [],
    minSamples: section.minSamples ?? DEFAULT_MIN_SAMPLES,
    configFile: CONFIG,
  });
  const points = [...result.observed.metrics.values()].reduce((sum, metric) => sum + metric.points, 0);
  const covered = new Set(
    [...result.observed.metrics.values()].filter((metric) => registry.metrics.has(metric.name)).map((metric) => metric.name),
  ).size;
  return {
    findings: [...result.findings, ...fleet.findings],
    tables: fleet.coverage.length > 0 ? [coverageTable(fleet)] : [],
    measurements: [
      { name: 'samples.files', value: result.files, unit: '{file}' },
      { name: 'samples.points', value: points, unit: '{point}' },
      { name: 'samples.spans', value: result.observed.spans.count, unit: '{span}' },
      { name: 'samples.logs', value: result.observed.logs.count, unit: '{record}' },
      { name: 'samples.registry.coverage', value: registry.metrics.size === 0 ? 0 : covered / registry.metrics.size, unit: '1' },
    ],
    state: `${result.files} files, ${points} points, ${result.observed.spans.count} spans, ${result.observed.logs.count} log records`,
    inconclusive: fleet.inconclusive,
  };
}

/** One file at a time, read only when its turn comes. A tree holds whole files, so they are capped like a request. */
async function* readTree(tree: FileTree, path: string): AsyncGenerator<Uint8Array> {
  const bytes = await tree.read(path);
  if (bytes === undefined)
    throw new ExternalError({ message: 'the sample file disappeared while it was read.', location: { file: path } });
  if (bytes.byteLength > MAX_REQUEST_BYTES * 4) {
    // One byte past the reader's limit makes it report the file as too large, with its name.
    yield bytes.subarray(0, MAX_REQUEST_BYTES + 1);
    return;
  }
  yield bytes;
}
