import { ConfigurationError } from '../../core/errors.ts';
import { parsePromDuration } from '../../prometheus/duration.ts';
import { parseIncidents, runBacktest } from '../../slo/backtest.ts';
import { readNamedFiles } from '../../slo/files.ts';
import { subjectsOf } from '../../slo/gate.ts';
import { loadSlos } from '../../slo/load.ts';
import { MAX_SAMPLES_BYTES, parseSamples } from '../../slo/samples.ts';
import { samplesSource } from '../../slo/source.ts';
import type { CommandSpec } from '../framework.ts';
import { PRESET, presetOf } from './options.ts';
import { reportOf } from './report.ts';

export const backtestCommand: CommandSpec = {
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
