import { ConfigurationError } from '../../core/errors.ts';
import type { CommandOutcome, CommandSpec } from '../framework.ts';
import { judgeBatchFile } from './judge-batch.ts';
import { judgeLabels } from './judge-kept.ts';
import { judgeLive } from './judge-live.ts';
import { judgeFiles } from './judge-samples.ts';
import { PROFILE } from './options.ts';

const LIVE = ['baseline-query', 'candidate-query', 'start', 'end', 'step', 'metric', 'kind', 'direction'] as const;
const NOT_WITH_BATCH = ['baseline', 'prometheus', ...LIVE, 'candidate', 'profile', 'alpha', 'looks', 'look', 'k6-exit-code'];

export const judgeCommand: CommandSpec = {
  name: 'judge',
  summary: 'judge samples alone: k6 NDJSON, CSV, or a batch of cases',
  details: `--baseline and --candidate name sample files: k6 \`--out json\` or CSV with the header metric,value[,arm][,segment][,time][,pair]
or with a column for each metric (one file with an \`arm\` column serves as both), or the saved answer of a Prometheus range query. With --prometheus URL the two
queries are asked instead (bearer token in MIXGATE_PROMETHEUS_TOKEN); segments come from the label \`segment\`. Segments (clusters, say) are
judged each, and together where nothing else covers them all. Samples with pair ids are judged as pairs, others as two series.
A run that \`canary run --samples\` kept is judged as the run was: its pairs, by the names of its profile. With --labels, each line of which is
{prompt_id or pair, arm, label: "good"|"bad" or score: 0..1, source, at}, it is judged with what people said since.
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
    look: {
      type: 'integer',
      value: 'N',
      description: 'which of the --looks this one is (pairs): looks too early to stop then cost nothing',
    },
    'k6-exit-code': { type: 'integer', value: 'N', description: 'exit code of the k6 run, when known' },
  },
  examples: [
    { command: 'mixgate canary judge --baseline old.csv --candidate new.csv', does: 'two series of latencies' },
    {
      command: 'mixgate canary judge --baseline run.ndjson --candidate run.ndjson --profile canary/profile.yaml',
      does: 'a kept run again; or any k6 file whose samples carry an `arm` tag',
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
          fix: 'each case carries its own data, metrics, alpha, looks and look.',
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
