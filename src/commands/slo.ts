import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import { ConfigurationError, ExternalError, isMixgateError } from '../core/errors.ts';
import { type GateResult, gateResult } from '../core/gate.ts';
import { buildReport, type Report } from '../core/report.ts';
import { applyWaivers } from '../core/waiver.ts';
import { parseIncidents, runBacktest } from '../slo/backtest.ts';
import { formatDuration, parsePromDuration } from '../slo/duration.ts';
import { readNamedFiles, type TextFile } from '../slo/files.ts';
import { objectiveTable, subjectsOf } from '../slo/gate.ts';
import { grafanaDashboard } from '../slo/generate-grafana.ts';
import { prometheusDocument, prometheusFiles } from '../slo/generated.ts';
import { type LoadedSlos, loadSlos, readSloFiles } from '../slo/load.ts';
import { parseMaintenance } from '../slo/maintenance.ts';
import type { Preset } from '../slo/presets.ts';
import { prometheusSource } from '../slo/prometheus.ts';
import type { Matcher } from '../slo/promql.ts';
import { runBurnGate } from '../slo/run.ts';
import { MAX_SAMPLES_BYTES, parseSamples } from '../slo/samples.ts';
import { type MetricSource, samplesSource } from '../slo/source.ts';
import { packageVersion } from '../tools/package-root.ts';
import { openGit } from '../workspace/git.ts';
import { folderTree } from '../workspace/tree.ts';
import type { CommandSpec, Invocation, OptionSpec } from './framework.ts';
import { writeWhole } from './main.ts';

const PRESET: OptionSpec = {
  type: 'string',
  value: 'NAME',
  choices: ['project', 'workbook'],
  description:
    'alert policies of SLOs that name none: project (page above 5x over 1 h, escalate after 2 h; default) or workbook (four pairs)',
};

const check: CommandSpec = {
  name: 'check',
  summary: 'lint OpenSLO files: alerts that cannot fire, queries that count the wrong events',
  positionals: 'FILE...',
  minPositionals: 1,
  maxPositionals: 1000,
  options: { preset: PRESET },
  examples: [
    { command: 'mixgate slo check slo/*.yaml', does: 'every OpenSLO v1 document of the files; references may cross files' },
    { command: 'mixgate slo check slo', does: 'every YAML file below a folder' },
  ],
  async run(invocation) {
    const slos = loadSlos(await readNamedFiles(invocation.dir, invocation.positionals), presetOf(invocation));
    return { report: await reportOf(invocation, checkResult(slos)) };
  },
};

function checkResult(slos: LoadedSlos): GateResult {
  return gateResult({
    id: 'slo',
    findings: slos.findings,
    measurements: [{ name: 'slo.objectives', value: slos.objectives.length, unit: '{objective}' }],
    tables: [objectiveTable(slos)],
    subjects: subjectsOf(slos.files),
    passReason: `${slos.objectives.length} objectives in ${slos.files.length} files are sound`,
  });
}

const gate: CommandSpec = {
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

const generate: CommandSpec = {
  name: 'generate',
  summary: 'write Prometheus rules with promtool tests, or a Grafana dashboard',
  positionals: 'FILE...',
  minPositionals: 1,
  maxPositionals: 1000,
  options: {
    to: { type: 'string', value: 'TARGET', choices: ['prometheus', 'grafana'], required: true, description: 'what to write' },
    output: {
      type: 'string',
      value: 'DIR',
      description: 'write files to a folder: a rule file and a promtool test an objective (default: stdout)',
    },
    preset: PRESET,
  },
  examples: [
    {
      command: 'mixgate slo generate slo --to prometheus --output prometheus/rules',
      does: 'rule files, and tests for `promtool test rules prometheus/rules/*.test.yaml`',
    },
    { command: 'mixgate slo generate slo --to grafana > dashboard.json', does: 'a dashboard with budgets and burn rates' },
  ],
  async run(invocation) {
    const slos = loadSlos(await readNamedFiles(invocation.dir, invocation.positionals), presetOf(invocation));
    const blocking = slos.findings.filter((f) => f.blocking);
    // Rules from unsound SLOs would page never or always.
    if (blocking.length > 0)
      throw new ConfigurationError(
        blocking.map((f) => ({
          message: f.message,
          ...(f.location === undefined ? {} : { location: f.location }),
          ...(f.fix === undefined ? {} : { fix: f.fix }),
        })),
      );
    const grafana = invocation.options.string('to') === 'grafana';
    const output = invocation.options.string('output');
    if (output === undefined) return { text: grafana ? grafanaDashboard(slos.objectives) : prometheusDocument(slos.objectives) };
    const folder = resolve(invocation.dir, output);
    await mkdir(folder, { recursive: true });
    const files = grafana
      ? [{ name: 'mixgate-slo.dashboard.json', text: grafanaDashboard(slos.objectives) }]
      : prometheusFiles(slos.objectives);
    for (const { name, text } of files) await writeWhole(join(folder, name), text);
    return { text: `${files.map(({ name }) => join(output, name)).join('\n')}\n` };
  },
};

const backtest: CommandSpec = {
  name: 'backtest',
  summary: 'replay the alerts over recorded samples: when would they have fired',
  positionals: 'FILE...',
  minPositionals: 1,
  maxPositionals: 1000,
  options: {
    samples: { type: 'string', value: 'FILE', multiple: true, required: true, description: 'recorded samples; repeatable' },
    incidents: { type: 'string', value: 'FILE', description: 'declared incidents: adds precision, recall and detection time' },
    step: { type: 'string', value: 'DURATION', description: 'evaluation interval (default 1m)' },
    'min-events': { type: 'integer', value: 'N', description: 'events below which a window is inconclusive' },
    preset: PRESET,
  },
  examples: [
    {
      command: 'mixgate slo backtest slo/availability.yaml --samples july.ndjson --incidents incidents.yaml',
      does: 'spells of every alert, against what really happened',
    },
  ],
  async run(invocation) {
    const { options } = invocation;
    const slos = loadSlos(await readNamedFiles(invocation.dir, invocation.positionals), presetOf(invocation));
    const files = await readNamedFiles(invocation.dir, options.strings('samples'), MAX_SAMPLES_BYTES);
    const incidents = options.string('incidents');
    const step = options.string('step');
    const stepMs = step === undefined ? undefined : parsePromDuration(step);
    if (step !== undefined && (stepMs === undefined || stepMs < 1000))
      throw new ConfigurationError({
        message: `--step is ${JSON.stringify(step)}.`,
        expected: 'a Prometheus duration of 1s or more',
      });
    const result = await runBacktest({
      objectives: slos.objectives,
      source: samplesSource(parseSamples(files), files.map(({ file }) => file).join(', ')),
      ...(stepMs === undefined ? {} : { step: stepMs }),
      ...(incidents === undefined
        ? {}
        : {
            incidents: (await readNamedFiles(invocation.dir, [incidents])).flatMap(({ file, text }) =>
              parseIncidents(text, file),
            ),
          }),
      minEvents: options.number('min-events'),
      subjects: subjectsOf([...slos.files, ...files]),
    });
    return { report: await reportOf(invocation, { ...result, findings: [...result.findings] }) };
  },
};

export const command: CommandSpec = {
  name: 'slo',
  summary: 'SLO files, burn rates, error budgets, alert rules',
  subcommands: [check, gate, generate, backtest],
};

function presetOf(invocation: Invocation): Preset | undefined {
  return invocation.options.string('preset') as Preset | undefined;
}

async function configuration(invocation: Invocation, needed: boolean): Promise<LoadedConfig | undefined> {
  const tree = folderTree(invocation.dir);
  if (!needed && (await tree.read(invocation.config)) === undefined) return undefined;
  const loaded = await loadConfig(tree, invocation.config);
  if (needed && loaded.config.slo === undefined)
    throw new ConfigurationError({
      message: `${invocation.config} has no slo section.`,
      location: { file: invocation.config },
      fix: 'add `slo: {files: [slo/*.yaml]}`, or name OpenSLO files on the command line.',
    });
  return loaded;
}

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

async function sourceOf(
  invocation: Invocation,
  section: { readonly prometheus?: string; readonly samples?: string } | undefined,
): Promise<{ source: MetricSource; live: boolean; files: readonly TextFile[] }> {
  const { options } = invocation;
  const url = options.string('prometheus');
  const named = options.strings('samples');
  if (url !== undefined && named.length > 0)
    throw new ConfigurationError({ message: '--prometheus and --samples are both given.', fix: 'choose one source.' });
  const samples = named.length > 0 ? named : url === undefined && section?.samples !== undefined ? [section.samples] : [];
  if (samples.length > 0) {
    const files = await readNamedFiles(invocation.dir, samples, MAX_SAMPLES_BYTES);
    return { source: samplesSource(parseSamples(files), samples.join(', ')), live: false, files };
  }
  const target = url ?? section?.prometheus;
  if (target === undefined)
    throw new ConfigurationError({
      message: 'there is no source of samples.',
      fix: 'give --prometheus URL or --samples FILE, or set slo.prometheus in mixgate.yaml.',
    });
  const token = invocation.env['MIXGATE_PROMETHEUS_TOKEN'];
  return {
    source: prometheusSource(target, {
      signal: invocation.signal,
      token: token === '' ? undefined : token,
      warn: (message) => invocation.progress.warn(message),
    }),
    live: true,
    files: [],
  };
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

/** With the waivers of mixgate.yaml where there is one. */
async function reportOf(invocation: Invocation, result: GateResult): Promise<Report> {
  const waivers = (await configuration(invocation, false))?.waivers.filter((waiver) => waiver.rule.startsWith('slo-')) ?? [];
  const outcome = applyWaivers([result], waivers, invocation.now.slice(0, 10));
  const commit = await headCommit(invocation);
  return buildReport(
    outcome.gates,
    {
      tool: { name: 'mixgate', version: packageVersion() },
      command: invocation.command,
      ...(commit === undefined ? {} : { head: { ref: 'HEAD', commit } }),
      seed: invocation.seed,
      tools: {},
    },
    outcome.findings.filter((f) => f.ruleId !== 'waiver-unused'),
  );
}

/** The commit the evidence is about; none outside a repository. */
async function headCommit(invocation: Invocation): Promise<string | undefined> {
  try {
    return await (await openGit(invocation.dir)).cleanHead();
  } catch (error) {
    if (isMixgateError(error) && !(error instanceof ExternalError)) return undefined;
    throw error;
  }
}
