import { DEFAULT_LINT_POINTS } from '../../policy/lint.ts';
import { lintPolicy } from '../../policy/operations.ts';
import type { CommandSpec } from '../framework.ts';
import { domainDocument } from './inputs.ts';
import { onPolicy } from './on-policy.ts';
import { DATA, DOMAIN, ENTRYPOINT, entrypointsOf, LIMIT, MAX_POINTS, positive } from './options.ts';

export const lintCommand: CommandSpec = {
  name: 'lint',
  summary: 'dead, shadowed, redundant, unused and conflicting rules, and fields that fail open',
  positionals: 'DIR',
  minPositionals: 1,
  options: {
    entrypoint: { ...ENTRYPOINT, multiple: true },
    domain: DOMAIN,
    data: DATA,
    'max-points': { ...MAX_POINTS, description: `points to trace (default ${DEFAULT_LINT_POINTS})` },
    limit: LIMIT,
  },
  details: 'Without --domain only what the source proves by itself is reported.',
  examples: [
    {
      command: 'mixgate policy lint policies/routing --entrypoint routing/decision --domain policies/domain.yaml',
      does: 'rule analysis on the domain',
    },
  ],
  run: (invocation) =>
    onPolicy(invocation, async (bench, source) =>
      lintPolicy(
        bench,
        source,
        entrypointsOf(invocation),
        await domainDocument(invocation),
        positive(invocation, 'max-points') ?? DEFAULT_LINT_POINTS,
      ),
    ),
};
