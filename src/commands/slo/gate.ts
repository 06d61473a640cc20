import { ConfigurationError } from '../../core/errors.ts';
import { parsePromDuration } from '../../prometheus/duration.ts';
import { formatDuration } from '../../slo/duration.ts';
import { readNamedFiles } from '../../slo/files.ts';
import { subjectsOf } from '../../slo/gate.ts';
import { type LoadedSlos, loadSlos, readSloFiles } from '../../slo/load.ts';
import { parseMaintenance } from '../../slo/maintenance.ts';
import type { Preset } from '../../slo/presets.ts';
import type { Matcher } from '../../slo/promql-expr.ts';
import { runBurnGate } from '../../slo/run.ts';
import { folderTree } from '../../workspace/tree.ts';
import type { CommandSpec, Invocation } from '../framework.ts';
import { PRESET, presetOf } from './options.ts';
import { configuration, reportOf } from './report.ts';
import { sourceOf } from './source.ts';

export const gateCommand: CommandSpec = {
  name: 'gate',
  summary: 'judge burn rates and error budgets from Prometheus or from recorded samples',
  positionals: '[FILE...]',
  maxPositionals: 1000,
  details: `Without FILE the SLOs, the source and the floors come from mixgate.yaml. Windows end at --at: now for a Prometheus, the newest
sample for a file. A window that reaches further back than the samples, or holds too few events, is inconclusive and says what is
missing. A canary has minutes of data and not a month: --window judges its page alerts over that one window (or over all samples
there are), counts series that are born in it from zero, and says nothing about the period's budget.
Samples: NDJSON (schemas/slo-samples.schema.json), CSV (time,series,value), or Prometheus text with times; a line
\`# scrape <unix seconds>\` gives the time of the samples below it.`,
  options: {
    prometheus: {
      type: 'string',
      value: 'URL',
      description: 'base URL of a Prometheus (bearer token in MIXGATE_PROMETHEUS_TOKEN)',
    },
    samples: {
      type: 'string',
      value: 'FILE',
      multiple: true,
      description: 'recorded samples instead of a Prometheus; repeatable',
    },
    at: { type: 'string', value: 'TIME', description: 'end of the windows: RFC 3339 or Unix seconds' },
    window: {
      type: 'string',
      value: 'DURATION|available',
      description: 'canary mode: judge over this window only, or over all samples there are',
    },
    canary: { type: 'boolean', description: 'canary mode with window and labels of `slo.canary` in mixgate.yaml' },
    match: { type: 'string', value: 'LABEL=VALUE', multiple: true, description: 'only series with this label; repeatable' },
    by: { type: 'string', value: 'LABEL', description: 'also judge each value of this label, e.g. cluster' },
    maintenance: {
      type: 'string',
      value: 'FILE',
      description: 'maintenance windows: alerts inside them are reported as suppressed',
    },
    'min-events': { type: 'integer', value: 'N', description: 'events below which a window is inconclusive' },
    'min-budget': { type: 'number', value: 'SHARE', description: 'share of the error budget that must be left (0 to 1)' },
    preset: PRESET,
  },
  examples: [
    { command: 'mixgate slo gate --prometheus http://localhost:9090', does: 'all SLOs of mixgate.yaml, now' },
    {
      command: 'mixgate slo gate --samples metrics.prom --window available --match role=candidate',
      does: 'a canary, over all it recorded',
    },
    {
      command: 'mixgate slo gate slo/availability.yaml --prometheus http://localhost:9090 --by cluster',
      does: 'one file, the fleet and each cluster',
    },
  ],
  async run(invocation) {
    const { options } = invocation;
    const { config } = (await configuration(invocation, invocation.positionals.length === 0)) ?? {};
    const section = config?.slo;
    const slos = await slosOf(invocation, section?.files, section?.preset);
    const source = await sourceOf(invocation, section);
    const canary = options.boolean('canary') ? section?.canary : undefined;
    if (options.boolean('canary') && canary === undefined)
      throw new ConfigurationError({
        message: `--canary needs slo.canary in ${invocation.config}.`,
        fix: 'add it (window, match), or use --window and --match.',
      });
    const maintenanceFile = options.string('maintenance') ?? section?.maintenance;
    const maintenance = maintenanceFile === undefined ? undefined : await readNamedFiles(invocation.dir, [maintenanceFile]);
    const share = options.number('min-budget') ?? section?.minBudget;
    if (share !== undefined && (share < 0 || share > 1))
      throw new ConfigurationError({ message: `--min-budget is ${share}.`, expected: 'a share from 0 to 1' });
    const minEvents = options.number('min-events') ?? section?.minEvents;
    if (minEvents !== undefined && minEvents < 1)
      throw new ConfigurationError({ message: `--min-events is ${minEvents}.`, expected: '1 or more' });
    const result = await runBurnGate({
      objectives: slos.objectives,
      lints: slos.findings,
      source: source.source,
      at: atOf(options.string('at')) ?? source.source.latest ?? Date.parse(invocation.now),
      live: source.live,
      match: [
        ...options.strings('match').map(matcherOf),
        ...Object.entries(canary?.match ?? {}).map(([label, value]): Matcher => ({ label, op: '=', value })),
      ],
      window: windowOf(options.string('window') ?? canary?.window),
      by: options.string('by') ?? section?.by,
      minEvents,
      minBudget: share,
      ...(maintenance === undefined
        ? {}
        : { maintenance: maintenance.flatMap(({ file, text }) => parseMaintenance(text, file)) }),
      subjects: [...subjectsOf(slos.files), ...subjectsOf(source.files)],
      progress: invocation.progress,
    });
    return { report: await reportOf(invocation, result) };
  },
};

async function slosOf(
  invocation: Invocation,
  patterns: readonly string[] | undefined,
  preset: Preset | undefined,
): Promise<LoadedSlos> {
  const files =
    invocation.positionals.length > 0
      ? await readNamedFiles(invocation.dir, invocation.positionals)
      : await readSloFiles(folderTree(invocation.dir), patterns ?? []);
  return loadSlos(files, presetOf(invocation) ?? preset);
}

function atOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  if (!Number.isFinite(time))
    throw new ConfigurationError({
      message: `--at is ${JSON.stringify(text)}.`,
      expected: 'RFC 3339 (2026-01-31T12:00:00Z) or Unix seconds',
    });
  return time;
}

function windowOf(text: string | undefined): number | 'available' | undefined {
  if (text === undefined || text === 'available') return text;
  const ms = parsePromDuration(text);
  if (ms === undefined || ms < 10_000)
    throw new ConfigurationError({
      message: `the canary window is ${JSON.stringify(text)}.`,
      expected: `a Prometheus duration of ${formatDuration(10_000)} or more, or \`available\``,
    });
  return ms;
}

function matcherOf(text: string): Matcher {
  const match = /^(?<label>[a-zA-Z_][a-zA-Z0-9_]*)=(?<value>.*)$/s.exec(text);
  if (match === null) throw new ConfigurationError({ message: `--match is ${JSON.stringify(text)}.`, expected: 'LABEL=VALUE' });
  return { label: match.groups!['label']!, op: '=', value: match.groups!['value']! };
}
