import { ConfigurationError } from '../../core/errors.ts';
import { DEFAULT_MAX_MUTANTS, DEFAULT_MUTANT_POINTS, DEFAULT_MUTATION_SECONDS } from '../../policy/mutation.ts';
import { testPolicy } from '../../policy/operations.ts';
import type { CommandSpec } from '../framework.ts';
import { domainDocument } from './inputs.ts';
import { onPolicy } from './on-policy.ts';
import { DATA, DOMAIN, ENTRYPOINT, entrypointsOf, percentage, positive } from './options.ts';

export const testCommand: CommandSpec = {
  name: 'test',
  summary: 'run the unit tests and measure their coverage',
  positionals: 'DIR',
  minPositionals: 1,
  options: {
    threshold: { type: 'number', value: 'PERCENT', description: 'least line coverage' },
    'rule-threshold': {
      type: 'number',
      value: 'PERCENT',
      description: 'least share of rule definitions (bodies, links of else, defaults) that a test reaches',
    },
    'decision-threshold': {
      type: 'number',
      value: 'PERCENT',
      description: 'with --domain: least share of the values of the decision that a test sees',
    },
    mutation: { type: 'boolean', description: 'also change the policy in small ways, each of which some test should notice' },
    'mutation-threshold': { type: 'number', value: 'PERCENT', description: 'least share of mutants that a test must notice' },
    'max-mutants': { type: 'integer', value: 'N', description: `mutants to try (default ${DEFAULT_MAX_MUTANTS})` },
    'mutation-seconds': {
      type: 'integer',
      value: 'S',
      description: `no further mutant after this (default ${DEFAULT_MUTATION_SECONDS})`,
    },
    entrypoint: { ...ENTRYPOINT, description: 'with --domain: the rule whose decisions count' },
    domain: {
      ...DOMAIN,
      description:
        'with --entrypoint: decision values that no test sees are looked for on it, and mutants that decide the same on it are equivalent',
    },
    data: DATA,
  },
  examples: [
    { command: 'mixgate policy test policies/routing --rule-threshold 100', does: 'fail when a rule holds in no test' },
    {
      command:
        'mixgate policy test policies/routing --decision-threshold 90 --entrypoint routing/decision --domain policies/domain.yaml',
      does: 'and when the tests see less than 90 % of the reasons, pools ... that it can decide',
    },
    {
      command: 'mixgate policy test policies/routing --mutation --entrypoint routing/decision --domain policies/domain.yaml',
      does: 'surviving mutants, each with a test that kills it',
    },
  ],
  run: (invocation) =>
    onPolicy(invocation, async (bench, source) => {
      const mutation = invocation.options.boolean('mutation') || invocation.options.number('mutation-threshold') !== undefined;
      const entrypoint = entrypointsOf(invocation)[0];
      const document = await domainDocument(invocation);
      if ((entrypoint === undefined) !== (document === undefined))
        throw new ConfigurationError({
          message: `--${entrypoint === undefined ? 'domain' : 'entrypoint'} is given alone.`,
          expected: 'both --entrypoint and --domain, or neither',
        });
      const decisions = percentage(invocation, 'decision-threshold');
      if (decisions !== undefined && document === undefined)
        throw new ConfigurationError({
          message: '--decision-threshold is given without a domain.',
          expected: '--entrypoint PKG/RULE and --domain FILE: the values of the decision are looked for there',
        });
      return testPolicy(
        bench,
        source,
        percentage(invocation, 'threshold'),
        mutation
          ? {
              threshold: percentage(invocation, 'mutation-threshold'),
              maxMutants: positive(invocation, 'max-mutants') ?? DEFAULT_MAX_MUTANTS,
              maxSeconds: positive(invocation, 'mutation-seconds') ?? DEFAULT_MUTATION_SECONDS,
              maxPoints: DEFAULT_MUTANT_POINTS,
              entrypoint,
              document,
            }
          : undefined,
        { rules: percentage(invocation, 'rule-threshold'), decisions, entrypoint, document },
      );
    }),
};
