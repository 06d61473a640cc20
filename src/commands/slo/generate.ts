import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ConfigurationError } from '../../core/errors.ts';
import { readNamedFiles } from '../../slo/files.ts';
import { grafanaDashboard } from '../../slo/generate-grafana.ts';
import { prometheusDocument, prometheusFiles } from '../../slo/generated.ts';
import { loadSlos } from '../../slo/load.ts';
import { writeWhole } from '../../workspace/write-whole.ts';
import type { CommandSpec } from '../framework.ts';
import { PRESET, presetOf } from './options.ts';

export const generateCommand: CommandSpec = {
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
