import type { CommandSpec } from './framework.ts';

const REGISTRY_OPTION = {
  type: 'string',
  value: 'DIR',
  description: 'registry folder inside each side (default: from mixgate.yaml, else the folder itself)',
} as const;

export const command: CommandSpec = {
  name: 'telemetry',
  summary: 'check telemetry schemas, compare two of them, judge OTLP/JSON samples',
  subcommands: [
    {
      name: 'check',
      positionals: 'DIR',
      minPositionals: 1,
      maxPositionals: 1,
      summary: 'lint a registry, or everything the telemetry section of DIR/mixgate.yaml names',
      details: 'DIR is a repository with a mixgate.yaml, or a folder of semantic-convention files (*.yaml).',
      examples: [
        {
          command: 'mixgate telemetry check examples/fleet',
          does: 'registry, event schemas, samples and consumers of a repository',
        },
        { command: 'mixgate telemetry check examples/fleet/telemetry/registry', does: 'one registry' },
      ],
      run: async (invocation) => (await import('./telemetry-run.ts')).runCheck(invocation),
    },
    {
      name: 'diff',
      positionals: 'BASE HEAD',
      minPositionals: 2,
      maxPositionals: 2,
      summary: 'field-level changes between two registries, who breaks, and which SLOs use them',
      details:
        'BASE and HEAD are two folders, or two Git refs. A side with a mixgate.yaml is read as it says; the configuration comes from BASE.',
      options: {
        registry: REGISTRY_OPTION,
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
      run: async (invocation) => (await import('./telemetry-run.ts')).runDiff(invocation),
    },
    {
      name: 'samples',
      positionals: 'FILE...',
      minPositionals: 1,
      maxPositionals: 1000,
      summary: 'judge OTLP/JSON files: encoding, then values against a registry',
      options: {
        registry: { ...REGISTRY_OPTION, required: true, description: 'registry folder; repeatable', multiple: true },
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
      run: async (invocation) => (await import('./telemetry-run.ts')).runSamples(invocation),
    },
  ],
};
