import { createReadStream, fstatSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import type { SampleSet } from '../canary/sample-set.ts';
import type { MetricSetting } from '../canary/samples.ts';
import { ConfigurationError } from '../core/errors.ts';
import { EXIT } from '../core/verdict.ts';
import type { Tree } from '../workspace/tree.ts';
import type { CommandOutcome, CommandSpec, Invocation } from './framework.ts';
import type { Workspace } from './open-workspace.ts';
import { singleGateReport } from './single-gate.ts';

const PROFILE = { type: 'string', value: 'FILE', description: 'analysis profile: metrics and margins' } as const;

const run: CommandSpec = {
  name: 'run',
  summary: 'drive baseline and candidate with k6, pair by pair, and judge what was measured',
  details: `Sends each prompt of the corpus to both endpoints in random order, one request at a time, after an A/A block of the
baseline with itself. Endpoints speak the OpenAI API; quality needs \`echo\` on /v1/completions (the reference runtime, vLLM).
A token in MIXGATE_CANARY_TOKEN is sent as bearer token and never reported.
A profile with \`judge\` sends prompts and answers to that address, with a key: in a pull request it must come from the base (--base).`,
  options: {
    baseline: { type: 'string', value: 'URL', description: 'what serves now (default canary.baseline of mixgate.yaml)' },
    candidate: { type: 'string', value: 'URL', description: 'what may serve next (default canary.candidate)' },
    profile: PROFILE,
    corpus: {
      type: 'string',
      value: 'GLOB',
      multiple: true,
      description: 'prompt files (NDJSON); default canary.corpus, else the shipped corpus',
    },
    samples: { type: 'string', value: 'FILE', description: "keep k6's samples in FILE" },
    base: { type: 'string', value: 'REF', description: 'read mixgate.yaml and the profile as the merge base with REF has them' },
  },
  examples: [
    {
      command: 'mixgate canary run --baseline http://127.0.0.1:8081 --candidate http://127.0.0.1:8082',
      does: 'with the profile named in mixgate.yaml',
    },
    {
      command:
        'mixgate canary run --baseline http://a:8081 --candidate http://b:8081 --evidence evidence/ --report html=canary.html',
      does: 'keep evidence for promotion, and a report with charts',
    },
  ],
  async run(invocation) {
    const { openWorkspace } = await import('./open-workspace.ts');
    const { runCanaryGate } = await import('../canary/gate.ts');
    const { options } = invocation;
    const workspace = await openWorkspace(invocation, { configRequired: options.string('profile') === undefined });
    const base = options.string('base');
    const trusted = base === undefined ? undefined : await trustedTree(invocation, workspace, base);
    const section = {
      ...(trusted === undefined ? workspace.config.canary : trusted.canary),
      ...(options.string('profile') === undefined ? {} : { profile: options.string('profile')! }),
      ...(options.strings('corpus').length === 0 ? {} : { corpus: [...options.strings('corpus')] as [string, ...string[]] }),
    };
    const { profile } = section;
    if (profile === undefined)
      throw new ConfigurationError({
        message: 'no canary profile is named.',
        fix: 'add `canary: {profile: ...}` to mixgate.yaml, or give --profile FILE.',
      });
    const [baseline, candidate] = [
      options.string('baseline') ?? section.baseline,
      options.string('candidate') ?? section.candidate,
    ];
    if (baseline === undefined || candidate === undefined) {
      throw new ConfigurationError({
        message: `no ${baseline === undefined ? 'baseline' : 'candidate'} endpoint is given.`,
        fix: 'give --baseline URL and --candidate URL, or set canary.baseline and canary.candidate in mixgate.yaml.',
      });
    }
    const samples = options.string('samples');
    const result = await runCanaryGate(
      workspace.context,
      { ...section, profile },
      {
        baseline,
        candidate,
        token: invocation.env['MIXGATE_CANARY_TOKEN'],
        profileFrom: options.string('profile') === undefined ? undefined : '--profile',
        env: invocation.env,
        profileTree: trusted?.tree,
        keepSamples: samples === undefined ? undefined : resolve(invocation.dir, samples),
      },
    );
    return { report: singleGateReport(invocation, workspace, result) };
  },
};

/** What the change cannot touch: the gate's configuration at the merge base. */
async function trustedTree(
  invocation: Invocation,
  workspace: Workspace,
  ref: string,
): Promise<{ readonly tree: Tree; readonly canary: Workspace['config']['canary'] }> {
  const { openSides } = await import('./check-run.ts');
  const { loadConfig } = await import('../config/load.ts');
  if (workspace.git === undefined) throw new ConfigurationError({ message: '--base needs a Git repository.' });
  const { base } = await openSides(workspace.git, { dir: invocation.dir, base: ref });
  const hasConfig = (await base!.read(invocation.config)) !== undefined;
  return { tree: base!, canary: hasConfig ? (await loadConfig(base!, invocation.config)).config.canary : undefined };
}

const LIVE = ['baseline-query', 'candidate-query', 'start', 'end', 'step', 'metric', 'kind', 'direction'] as const;
const NOT_WITH_BATCH = ['baseline', 'prometheus', ...LIVE, 'candidate', 'profile', 'alpha', 'looks', 'k6-exit-code'];

const judge: CommandSpec = {
  name: 'judge',
  summary: 'judge samples alone: k6 NDJSON, CSV, or a batch of cases',
  details: `--baseline and --candidate name sample files: k6 \`--out json\` or CSV with the header metric,value[,arm][,segment][,time][,pair]
(one file with an \`arm\` column serves as both), or the saved answer of a Prometheus range query. With --prometheus URL the two
queries are asked instead (bearer token in MIXGATE_PROMETHEUS_TOKEN); segments come from the label \`segment\`. Segments (clusters, say) are
judged each, and together where nothing else covers them all. Samples with pair ids are judged as pairs, others as two series.
With --labels both arms are one kept run, and each line is {prompt_id or pair, arm, label: "good"|"bad" or score: 0..1, source, at}.
--batch answers one line of JSON per line of cases; its exit code is 0 when every case was judged, whatever the verdicts.`,
  options: {
    baseline: { type: 'string', value: 'FILE', description: 'samples of what serves now' },
    candidate: { type: 'string', value: 'FILE', description: 'samples of what may serve next' },
    profile: PROFILE,
    prometheus: { type: 'string', value: 'URL', description: 'base URL of a Prometheus to query both arms from' },
    'baseline-query': { type: 'string', value: 'PROMQL', description: 'series of what serves now' },
    'candidate-query': { type: 'string', value: 'PROMQL', description: 'series of what may serve next' },
    start: { type: 'string', value: 'TIME', description: 'ISO 8601 (default: 30 minutes before the end)' },
    end: { type: 'string', value: 'TIME', description: 'ISO 8601 (default now)' },
    step: { type: 'string', value: 'DURATION', description: 'step of the queries (default 15s)' },
    metric: { type: 'string', value: 'NAME', description: 'what the queries measure, as the profile names it (default value)' },
    kind: {
      type: 'string',
      value: 'KIND',
      choices: ['continuous', 'count', 'binary', 'counter'],
      description: 'what the queries give; counter: cumulative, its growth per step is judged',
    },
    direction: { type: 'string', value: 'WAY', choices: ['lower', 'higher', 'either'], description: 'which way is better' },
    labels: {
      type: 'string',
      value: 'FILE',
      multiple: true,
      description:
        'labels of the answers of a run that `canary run --samples` kept (NDJSON): judged with it as label_bad, label_score',
    },
    batch: { type: 'string', value: 'FILE', description: 'cases, one a line of NDJSON; - reads standard input' },
    alpha: { type: 'number', value: 'P', description: 'chance of a false fail over the whole case (default 0.05)' },
    looks: { type: 'integer', value: 'N', description: 'how often the growing data is judged, this time included (default 1)' },
    'k6-exit-code': { type: 'integer', value: 'N', description: 'exit code of the k6 run, when known' },
  },
  examples: [
    { command: 'mixgate canary judge --baseline old.csv --candidate new.csv', does: 'two series of latencies' },
    {
      command: 'mixgate canary judge --baseline run.ndjson --candidate run.ndjson --profile canary/profile.yaml',
      does: 'one k6 file whose samples carry an `arm` tag',
    },
    {
      command:
        'mixgate canary judge --prometheus http://127.0.0.1:9090 --baseline-query \'ttft{version="1"}\' --candidate-query \'ttft{version="2"}\'',
      does: 'the last half hour of a live canary',
    },
    {
      command: 'mixgate canary judge --baseline run.ndjson --candidate run.ndjson --labels thumbs.ndjson --labels experts.ndjson',
      does: 'a kept run again, with what people said about its answers since',
    },
    { command: 'mixgate canary judge --batch cases.ndjson > verdicts.ndjson', does: 'many cases at once' },
  ],
  async run(invocation): Promise<CommandOutcome> {
    const { options } = invocation;
    const batch = options.string('batch');
    if (batch !== undefined) {
      const unused = NOT_WITH_BATCH.find((name) => options.string(name) !== undefined || options.number(name) !== undefined);
      if (unused !== undefined || options.strings('labels').length > 0) {
        throw new ConfigurationError({
          message: `--${unused ?? 'labels'} does not go with --batch.`,
          fix: 'each case carries its own data, metrics, alpha and looks.',
        });
      }
      return judgeBatchFile(invocation, batch);
    }
    const [baseline, candidate] = [options.string('baseline'), options.string('candidate')];
    const url = options.string('prometheus');
    if (url !== undefined) {
      if (options.strings('labels').length > 0)
        throw new ConfigurationError({ message: '--labels does not go with --prometheus.', fix: 'give the file of a kept run.' });
      if (baseline !== undefined || candidate !== undefined)
        throw new ConfigurationError({ message: 'sample files do not go with --prometheus.', fix: 'give queries, or files.' });
      return judgeLive(invocation, url);
    }
    const stray = LIVE.find((name) => options.string(name) !== undefined);
    if (stray !== undefined)
      throw new ConfigurationError({ message: `--${stray} goes with --prometheus only.`, fix: 'give --prometheus URL as well.' });
    if (baseline === undefined || candidate === undefined) {
      throw new ConfigurationError({
        message: `--${baseline === undefined ? 'baseline' : 'candidate'} FILE is missing.`,
        expected: '--baseline FILE --candidate FILE, or --batch FILE',
        fix: 'see `mixgate canary judge --help`.',
      });
    }
    if (options.strings('labels').length > 0) return judgeLabels(invocation, baseline, candidate);
    return judgeFiles(invocation, baseline, candidate);
  },
};

function checkRange(flag: string, value: number | undefined, expected: string, valid: (value: number) => boolean): void {
  if (value !== undefined && !valid(value)) throw new ConfigurationError({ message: `--${flag} is ${value}.`, expected });
}

async function judgeFiles(invocation: Invocation, baseline: string, candidate: string): Promise<CommandOutcome> {
  const { readSamples } = await import('../canary/samples.ts');
  const left = await readSamples(resolve(invocation.dir, baseline));
  const right = candidate === baseline ? left : await readSamples(resolve(invocation.dir, candidate));
  return judgeSets(invocation, left, right, candidate);
}

/** A kept run with labels that came later. */
async function judgeLabels(invocation: Invocation, baseline: string, candidate: string): Promise<CommandOutcome> {
  const { options, dir } = invocation;
  if (resolve(dir, baseline) !== resolve(dir, candidate))
    throw new ConfigurationError({
      message: '--labels needs both arms in one file.',
      expected: 'the file that `mixgate canary run --samples FILE` keeps, as --baseline and as --candidate',
    });
  const stray = (['looks', 'k6-exit-code'] as const).find((name) => options.number(name) !== undefined);
  if (stray !== undefined) throw new ConfigurationError({ message: `--${stray} does not go with --labels.` });
  const alpha = options.number('alpha');
  checkRange('alpha', alpha, 'a number between 0 and 0.5', (value) => value > 0 && value < 0.5);
  const { rejudgeRun } = await import('../canary/rejudge.ts');
  const { loadProfile } = await import('../canary/gate.ts');
  const { openWorkspace } = await import('./open-workspace.ts');
  const workspace = await openWorkspace(invocation, { configRequired: false, gitRequired: false });
  const profile = options.string('profile');
  const result = await rejudgeRun({
    run: { path: resolve(dir, baseline), name: baseline },
    labels: options.strings('labels').map((name) => ({ path: resolve(dir, name), name })),
    loaded: profile === undefined ? undefined : await loadProfile(workspace.context.head, profile, '--profile'),
    alpha,
    seed: workspace.context.seed,
    now: workspace.context.now,
  });
  return { report: singleGateReport(invocation, workspace, result) };
}

/** Both arms from a live Prometheus: closed by default, an arm without series is missing data. */
async function judgeLive(invocation: Invocation, url: string): Promise<CommandOutcome> {
  const { queryRange } = await import('../canary/prometheus-samples.ts');
  const { parsePromDuration } = await import('../prometheus/duration.ts');
  const { options } = invocation;
  const need = (flag: string): string => {
    const value = options.string(flag);
    if (value === undefined)
      throw new ConfigurationError({ message: `--${flag} is missing.`, expected: 'a PromQL query for each arm' });
    return value;
  };
  const queries = [need('baseline-query'), need('candidate-query')] as const;
  const time = (flag: string, fallback: number): number => {
    const text = options.string(flag);
    const at = text === undefined ? fallback : Date.parse(text);
    if (Number.isNaN(at))
      throw new ConfigurationError({
        message: `--${flag} is ${JSON.stringify(text)}.`,
        expected: 'an instant such as 2026-01-31T12:00:00Z',
      });
    return at;
  };
  const end = time('end', Date.parse(invocation.now));
  const start = time('start', end - 30 * 60_000);
  const step = parsePromDuration(options.string('step') ?? '15s');
  if (step === undefined || !(step > 0))
    throw new ConfigurationError({
      message: `--step is ${JSON.stringify(options.string('step'))}.`,
      expected: 'a duration such as 15s',
    });
  const metric = options.string('metric') ?? 'value';
  const token = invocation.env['MIXGATE_PROMETHEUS_TOKEN'];
  const ask = (query: string): Promise<SampleSet> =>
    queryRange(
      url,
      { query, start, end, step, metric },
      {
        signal: invocation.signal,
        warn: (message) => invocation.progress.warn(message),
        ...(token === undefined ? {} : { token }),
      },
    );
  const [kind, direction] = [options.string('kind'), options.string('direction')];
  return judgeSets(invocation, await ask(queries[0]), await ask(queries[1]), undefined, {
    name: metric,
    ...(kind === undefined ? {} : { kind: kind as NonNullable<MetricSetting['kind']> }),
    ...(direction === undefined ? {} : { direction: direction as NonNullable<MetricSetting['direction']> }),
  });
}

/** @param live the one metric of a live judgement: the profile adds what the flags leave open */
async function judgeSets(
  invocation: Invocation,
  left: SampleSet,
  right: SampleSet,
  file: string | undefined,
  live?: MetricSetting,
): Promise<CommandOutcome> {
  const { judgeSampleCase } = await import('../canary/samples.ts');
  const { judgedGate } = await import('../canary/judge-gate.ts');
  const { MAX_LOOKS } = await import('../canary/judge/validate.ts');
  const { openWorkspace } = await import('./open-workspace.ts');
  const { options } = invocation;
  const workspace = await openWorkspace(invocation, { configRequired: false, gitRequired: false });
  const profileFile = options.string('profile');
  const profile =
    profileFile === undefined
      ? undefined
      : (await (await import('../canary/gate.ts')).loadProfile(workspace.context.head, profileFile, '--profile')).profile;
  const [alpha, looks, code] = [
    options.number('alpha') ?? profile?.alpha,
    options.number('looks'),
    options.number('k6-exit-code'),
  ];
  checkRange('alpha', alpha, 'a number between 0 and 0.5', (value) => value > 0 && value < 0.5);
  checkRange('looks', looks, 'a whole number of at least 1', (value) => value >= 1 && value <= MAX_LOOKS);
  const metrics =
    live === undefined ? profile?.metrics : [{ ...profile?.metrics.find((metric) => metric.name === live.name), ...live }];
  const judged = judgeSampleCase(left, right, {
    seed: invocation.seed,
    ...(alpha === undefined ? {} : { alpha }),
    ...(looks === undefined ? {} : { looks }),
    ...(code === undefined ? {} : { k6ExitCode: code }),
    ...(metrics === undefined ? {} : { metrics }),
    ...(live === undefined ? {} : { design: 'unpaired' as const }),
  });
  return { report: singleGateReport(invocation, workspace, judgedGate(judged, file)) };
}

function unreadable(cause: NodeJS.ErrnoException): string {
  return cause.code === 'ENOENT' ? 'there is no such file' : cause.message;
}

async function judgeBatchFile(invocation: Invocation, batch: string): Promise<CommandOutcome> {
  const { judgeStream } = await import('../canary/batch.ts');
  const input = batch === '-' ? (invocation.stdin as Readable) : createReadStream(resolve(invocation.dir, batch));
  await new Promise<void>((done, fail) => {
    if (batch === '-') done();
    else {
      // A folder opens like a file and fails at the first read.
      input.once('open', (fd: number) => (fstatSync(fd).isDirectory() ? input.destroy(new Error('it is a folder')) : done()));
      input.once('error', (cause: NodeJS.ErrnoException) =>
        fail(
          new ConfigurationError(
            {
              message: `cannot be read: ${unreadable(cause)}.`,
              location: { file: batch },
              expected: 'NDJSON, a case a line',
            },
            { cause },
          ),
        ),
      );
    }
  });
  return {
    stream: async (write) => {
      const summary = await judgeStream(input, write);
      if (summary.cases === 0)
        throw new ConfigurationError({
          message: 'there are no cases.',
          location: { file: batch },
          expected: 'NDJSON, a case a line',
        });
      const counts = Object.entries(summary.verdicts).filter(([, count]) => count > 0);
      invocation.progress.step(`${summary.cases} cases: ${counts.map(([verdict, count]) => `${count} ${verdict}`).join(', ')}`);
      return summary.verdicts.error > 0 ? EXIT.error : EXIT.ok;
    },
  };
}

const history: CommandSpec = {
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
    const { readReleases } = await import('../canary/history-reports.ts');
    const { historyGate } = await import('../canary/history.ts');
    const { openWorkspace } = await import('./open-workspace.ts');
    const [folder] = invocation.positionals;
    const workspace = await openWorkspace(invocation, { configRequired: false, gitRequired: false });
    const { releases, skipped } = await readReleases(resolve(invocation.dir, folder!), folder!);
    return { report: singleGateReport(invocation, workspace, historyGate(releases, skipped)) };
  },
};

const serve: CommandSpec = {
  name: 'serve',
  summary: 'answer judgements over HTTP, for Argo Rollouts, Flagger, Spinnaker and others',
  details: `POST /api/v1/judge takes a case as \`judge --batch\` does; POST /judge is a remote judge of Kayenta; /api/v1/analysis (GET, POST) and
POST /api/v1/flagger query the Prometheus of --prometheus, and no other (bearer token in MIXGATE_PROMETHEUS_TOKEN).
GET /healthz and /metrics tell how it is. There is no authentication: it listens on loopback unless --host says otherwise.`,
  options: {
    port: { type: 'integer', value: 'N', description: 'port; 0 takes a free one (default 8085)' },
    host: { type: 'string', value: 'HOST', description: 'address to listen on (default 127.0.0.1)' },
    profile: PROFILE,
    prometheus: { type: 'string', value: 'URL', description: 'base URL of the Prometheus that live analyses query' },
  },
  examples: [
    { command: 'mixgate canary serve', does: 'judge samples that clients send' },
    { command: 'mixgate canary serve --prometheus http://127.0.0.1:9090 --profile canary/profile.yaml', does: 'live analyses' },
  ],
  async run(invocation): Promise<CommandOutcome> {
    const { options } = invocation;
    const [port, host] = [options.number('port') ?? 8085, options.string('host') ?? '127.0.0.1'];
    checkRange('port', port, 'a whole number from 0 to 65535', (value) => value >= 0 && value <= 65_535);
    const { judgeServer } = await import('../canary/serve/server.ts');
    const { listen } = await import('../canary/serve/listen.ts');
    const { baseUrl } = await import('../prometheus/api.ts');
    const { openWorkspace } = await import('./open-workspace.ts');
    const workspace = await openWorkspace(invocation, { configRequired: false, gitRequired: false });
    const file = options.string('profile');
    const profile =
      file === undefined
        ? undefined
        : (await (await import('../canary/gate.ts')).loadProfile(workspace.context.head, file, '--profile')).profile;
    const prometheus = options.string('prometheus');
    if (prometheus !== undefined) baseUrl(prometheus);
    const server = judgeServer({
      prometheus,
      token: invocation.env['MIXGATE_PROMETHEUS_TOKEN'],
      metrics: profile?.metrics ?? [],
      alpha: profile?.alpha,
      maxBodyBytes: 16 * 1024 * 1024,
      maxConcurrent: 8,
      now: Date.now,
    });
    return {
      stream: async (write) => {
        await listen(server, { host, port, signal: invocation.signal, ready: (url) => write(`listening on ${url}\n`) });
        return EXIT.ok;
      },
    };
  },
};

export const command: CommandSpec = {
  name: 'canary',
  summary: 'compare a candidate with what serves now, and judge',
  subcommands: [run, judge, history, serve],
};
