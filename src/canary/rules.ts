import { findingsOf, type RuleInfo } from '../core/rules.ts';

export const RULES = [
  {
    id: 'canary-metric-regressed',
    level: 'error',
    summary: 'A metric of the candidate is worse than the baseline by more than its margin.',
  },
  { id: 'canary-expert-degraded', level: 'error', summary: 'The loss of quality points at one expert of one layer.' },
  {
    id: 'canary-routing-drift',
    level: 'warning',
    summary: 'The candidate routes tokens to other experts than the baseline does.',
  },
  {
    id: 'canary-tokenizer-changed',
    level: 'error',
    summary: 'Baseline and candidate split the same prompt into different tokens.',
  },
  {
    id: 'canary-run-invalid',
    level: 'error',
    summary: 'The run cannot be judged: samples are missing or the machine was not steady.',
  },
  { id: 'canary-price-stale', level: 'warning', summary: 'The prices that costs are computed from are old.' },
  { id: 'canary-labels-unmatched', level: 'note', summary: 'Labels are of answers that are not in the run.' },
  { id: 'canary-trend-worse', level: 'warning', summary: 'A metric gets worse from release to release.' },
] as const satisfies readonly RuleInfo[];

/** A finding of this gate. */
export const canaryFinding = findingsOf(RULES);
