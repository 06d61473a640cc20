import { findingsOf, type RuleInfo } from '../core/rules.ts';

/** Every rule the SLO gate may report. Checklist for a new one: an entry here, a page in docs/rules, a test. */
export const RULES = [
  { id: 'slo-promql-invalid', level: 'error', summary: 'A query of an SLO is not valid PromQL.' },
  { id: 'slo-dangling-reference', level: 'error', summary: 'An SLO refers to an object that no file defines.' },
  { id: 'slo-duplicate', level: 'error', summary: 'Two objects of one kind have the same name.' },
  { id: 'slo-target-out-of-range', level: 'error', summary: 'A target leaves no error budget, or is not a share.' },
  {
    id: 'slo-threshold-unreachable',
    level: 'error',
    summary: 'A burn-rate threshold is above the largest burn rate there can be.',
  },
  { id: 'slo-threshold-unit', level: 'error', summary: 'A burn-rate threshold looks like a latency.' },
  { id: 'slo-operator-inverted', level: 'error', summary: 'A burn-rate alert fires when all is well.' },
  { id: 'slo-factor-below-one', level: 'note', summary: 'A burn-rate alert fires although the budget would last.' },
  { id: 'slo-period-minutes', level: 'error', summary: 'The period of an SLO is minutes where months were meant.' },
  { id: 'slo-selector-mismatch', level: 'error', summary: 'Numerator and denominator count different things.' },
  { id: 'slo-queries-identical', level: 'error', summary: 'Numerator and denominator are the same query.' },
  {
    id: 'slo-stray-threshold',
    level: 'error',
    summary: 'op and value stand where nothing reads them, or are missing where they are needed.',
  },
  { id: 'slo-bucket-bound', level: 'error', summary: 'A latency threshold is not a bucket bound of its histogram.' },
  { id: 'slo-success-only-latency', level: 'warning', summary: 'A latency SLO leaves failed requests out.' },
  { id: 'slo-fixed-range', level: 'note', summary: 'A query fixes a range that each window replaces.' },
  { id: 'slo-timestamp-unquoted', level: 'warning', summary: 'A calendar start is written without quotes.' },
  { id: 'slo-incomplete', level: 'error', summary: 'An SLO lacks what its kind needs.' },
  { id: 'slo-unsupported', level: 'warning', summary: 'A document is recognised but not evaluated.' },
  { id: 'slo-weakened', level: 'warning', summary: 'A change loosens or removes an objective.' },
  { id: 'slo-rules-stale', level: 'error', summary: 'Generated Prometheus rules are not current.' },
  { id: 'slo-burn-rate-page', level: 'error', summary: 'The error budget burns fast enough to page.' },
  { id: 'slo-burn-rate-ticket', level: 'warning', summary: 'The error budget burns fast enough for a ticket.' },
  { id: 'slo-budget-exhausted', level: 'error', summary: 'The error budget of the period is spent.' },
  { id: 'slo-budget-low', level: 'error', summary: 'Less error budget is left than a promotion needs.' },
  { id: 'slo-alert-suppressed', level: 'warning', summary: 'An alert fires inside a maintenance window.' },
  { id: 'slo-evidence-missing', level: 'note', summary: 'A window can not be judged on the samples there are.' },
] as const satisfies readonly RuleInfo[];

/** A finding of this gate. */
export const sloFinding = findingsOf(RULES);
