import { join } from 'node:path';
import { ConfigurationError } from '../../core/errors.ts';
import { openPolicy } from '../../policy/locate.ts';
import { provePolicy } from '../../policy/operations.ts';
import { DEFAULT_MAX_POINTS } from '../../policy/prove.ts';
import { STRENGTHS } from '../../policy/sampling.ts';
import { DEFAULT_SMT_SECONDS } from '../../policy/smt/proof.ts';
import type { CommandSpec, Invocation } from '../framework.ts';
import { domainDocument } from './inputs.ts';
import { onPolicy } from './on-policy.ts';
import { DATA, DOMAIN, ENTRYPOINT, entrypointsOf, LIMIT, MAX_POINTS, positive, required } from './options.ts';

export const proveCommand: CommandSpec = {
  name: 'prove',
  summary: 'invariants on every point of a declared input domain',
  positionals: 'DIR',
  minPositionals: 1,
  options: {
    entrypoint: required(ENTRYPOINT),
    domain: required(DOMAIN),
    invariants: { type: 'string', value: 'DIR', description: 'folder of Rego invariants', required: true },
    data: DATA,
    'max-points': MAX_POINTS,
    strength: {
      type: 'integer',
      value: 'N',
      description: `on a larger domain: try every combination of values of any N fields, ${STRENGTHS.least} to ${STRENGTHS.most} (default: the largest N that leaves half of the points to chance)`,
    },
    smt: {
      type: 'boolean',
      description: 'also for every input there is, with z3, where the policy is in the subset; needs the package z3-solver',
    },
    'smt-seconds': {
      type: 'integer',
      value: 'S',
      description: `what z3 has not answered by then is unknown, and the verdict inconclusive (default ${DEFAULT_SMT_SECONDS})`,
    },
    limit: LIMIT,
  },
  examples: [
    {
      command:
        'mixgate policy prove policies/routing --entrypoint routing/decision --domain policies/domain.yaml --invariants policies/invariants',
      does: 'prints "proved on N of N", or a counterexample',
    },
    {
      command:
        'mixgate policy prove policies/routing --entrypoint routing/decision --domain policies/domain.yaml --invariants policies/invariants --smt',
      does: 'and which invariants hold for every input',
    },
    {
      command:
        'mixgate policy prove policies/routing --entrypoint routing/decision --domain policies/domain.yaml --invariants policies/invariants --max-points 100000 --strength 3',
      does: 'search 100000 points, every combination of values of any 3 fields among them',
    },
  ],
  run: (invocation) =>
    onPolicy(invocation, async (bench, source) => {
      const folder = invocation.options.string('invariants')!;
      const { invariants: named, modules } = await openPolicy(invocation.dir, folder);
      // Folders outside of the working directory give bare file names: routing/tenancy.rego and invariants/tenancy.rego are two.
      const invariants = new Map(
        [...named].map(([file, text]) => [source.modules.has(file) ? join(folder, file) : file, text] as const),
      );
      if (invariants.size === 0)
        throw new ConfigurationError({
          message: 'no invariant is declared here.',
          location: { file: [...modules.keys()][0] ?? folder },
          expected: 'modules of the package `invariants` or one below it, with `violation contains msg if {...}`',
        });
      return provePolicy(bench, source, {
        entrypoint: entrypointsOf(invocation)[0]!,
        document: (await domainDocument(invocation))!,
        invariants,
        folder,
        maxPoints: positive(invocation, 'max-points') ?? DEFAULT_MAX_POINTS,
        strength: strengthOf(invocation),
        smt: invocation.options.boolean('smt'),
        smtSeconds: positive(invocation, 'smt-seconds'),
      });
    }),
};

function strengthOf({ options }: Invocation): number | undefined {
  const value = options.number('strength');
  const { least, most } = STRENGTHS;
  if (value !== undefined && (value < least || value > most))
    throw new ConfigurationError({ message: `--strength is ${value}.`, expected: `a whole number from ${least} to ${most}` });
  return value;
}
