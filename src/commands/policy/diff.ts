import { ConfigurationError } from '../../core/errors.ts';
import { DIFF_CLASSES } from '../../policy/decision.ts';
import { openDiffSide } from '../../policy/locate.ts';
import { diffPolicies } from '../../policy/operations.ts';
import { DEFAULT_DIFF_POINTS } from '../../policy/replay.ts';
import type { CommandOutcome, CommandSpec, Invocation } from '../framework.ts';
import { corpusOf, domainDocument } from './inputs.ts';
import { withBench } from './on-policy.ts';
import { DATA, DOMAIN, ENTRYPOINT, entrypointsOf, LIMIT, MAX_POINTS, positive, required } from './options.ts';

export const diffCommand: CommandSpec = {
  name: 'diff',
  summary: 'what a change of policy or data does to decisions',
  positionals: 'BASE HEAD',
  minPositionals: 2,
  options: {
    entrypoint: required(ENTRYPOINT),
    corpus: {
      type: 'string',
      value: 'FILE',
      description:
        'replay corpus: NDJSON of {"input", "weight"?} or OPA decision-log events, one or a batch a line, may be gzipped',
    },
    domain: DOMAIN,
    'data-base': { ...DATA, description: 'data document of the base side' },
    'data-head': { ...DATA, description: 'data document of the head side' },
    'max-points': { ...MAX_POINTS, description: `domain points to compare (default ${DEFAULT_DIFF_POINTS})` },
    block: {
      type: 'string',
      value: 'CLASS',
      multiple: true,
      choices: DIFF_CLASSES.filter((name) => name !== 'error-fixed'),
      description: 'a class of change that fails; repeatable (default: became-undefined, error)',
    },
    limit: LIMIT,
  },
  details: 'BASE and HEAD are folders, REF:FOLDER, or Git refs whose mixgate.yaml names the policy roots.',
  examples: [
    {
      command:
        'mixgate policy diff main:policies/routing policies/routing --entrypoint routing/decision --corpus policies/corpus.ndjson',
      does: 'compare the working tree with main',
    },
  ],
  run: runDiff,
};

async function runDiff(invocation: Invocation): Promise<CommandOutcome> {
  const { dir, config, options, positionals } = invocation;
  const entrypoint = entrypointsOf(invocation)[0]!;
  if (options.string('corpus') === undefined && options.string('domain') === undefined) {
    throw new ConfigurationError({ message: 'there is nothing to compare on.', expected: '--corpus FILE or --domain FILE' });
  }
  const base = await openDiffSide(dir, positionals[0]!, config, options.string('data-base'));
  const head = await openDiffSide(dir, positionals[1]!, config, options.string('data-head'));
  const corpus = await corpusOf(invocation, entrypoint);
  const document = await domainDocument(invocation);
  const blocking = options.strings('block');
  return withBench(invocation, (bench) =>
    diffPolicies(bench, base, head, {
      entrypoint,
      corpus,
      document,
      maxPoints: positive(invocation, 'max-points') ?? DEFAULT_DIFF_POINTS,
      blocking: blocking.length > 0 ? blocking : undefined,
    }),
  );
}
