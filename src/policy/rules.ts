import { findingsOf, type RuleInfo } from '../core/rules.ts';

/** Every rule the policy gate can report; each has a page in docs/rules/. */
export const RULES = [
  {
    id: 'policy-check-failed',
    level: 'error',
    summary: '`opa check --strict` refuses a module, so nothing about the policy can be proved.',
  },
  { id: 'policy-entrypoint-missing', level: 'error', summary: 'A configured entrypoint is no rule of the policy.' },
  { id: 'policy-test-failed', level: 'error', summary: "One of the policy's own unit tests fails." },
  { id: 'policy-test-missing', level: 'warning', summary: 'The policy has no unit tests.' },
  {
    id: 'policy-coverage-low',
    level: 'error',
    summary: 'The unit tests reach fewer lines of the policy than the configured share.',
  },
  {
    id: 'policy-rule-coverage-low',
    level: 'error',
    summary: 'The unit tests reach a smaller share of the rule definitions than configured.',
  },
  {
    id: 'policy-decision-coverage-low',
    level: 'error',
    summary: 'The unit tests see a smaller share of the values that the decision can take than configured.',
  },
  {
    id: 'policy-mutant-survived',
    level: 'warning',
    summary: 'A small change of the policy makes none of its tests fail.',
  },
  {
    id: 'policy-mutation-score-low',
    level: 'error',
    summary: 'The unit tests notice a smaller share of changes to the policy than configured.',
  },
  {
    id: 'policy-builtin-not-portable',
    level: 'error',
    summary: 'The policy calls a builtin that the WASM host does not have, or must not have.',
  },
  { id: 'policy-invariant-violated', level: 'error', summary: 'An input of the declared domain breaks an invariant.' },
  { id: 'policy-evaluation-error', level: 'error', summary: 'Evaluating the policy ends in an error on an input.' },
  { id: 'policy-evaluation-limit', level: 'error', summary: 'Evaluating the policy runs into the time or memory limit.' },
  { id: 'policy-decision-widened', level: 'warning', summary: 'Requests that base refuses are allowed by head.' },
  { id: 'policy-decision-narrowed', level: 'warning', summary: 'Requests that base allows are refused by head.' },
  {
    id: 'policy-decision-rerouted',
    level: 'warning',
    summary: 'Allowed requests go to another cluster, pool, jurisdiction or model.',
  },
  {
    id: 'policy-decision-obligation-changed',
    level: 'warning',
    summary: 'The target stays, but fallbacks, priority, quota or tracing change.',
  },
  { id: 'policy-decision-reason-changed', level: 'note', summary: 'Only the rule or reasons of a decision change.' },
  { id: 'policy-decision-became-defined', level: 'warning', summary: 'Head decides where base had no decision.' },
  { id: 'policy-decision-became-undefined', level: 'error', summary: 'Head has no decision where base had one.' },
  { id: 'policy-decision-error', level: 'error', summary: 'Head ends in an error where base decides.' },
  { id: 'policy-replay-incomplete', level: 'warning', summary: 'A part of the replay corpus could not be replayed.' },
  {
    id: 'policy-gate-changed',
    level: 'note',
    summary: 'The change edits what judges it: the domain, the invariants, the tests or the replay corpus.',
  },
  {
    id: 'policy-guard-shadowed',
    level: 'error',
    summary: 'A rule of the policy lies where its tests or invariants are, and could change what they say.',
  },
  {
    id: 'policy-clock-read',
    level: 'error',
    summary: 'The policy reads the clock, and is judged at one instant.',
  },
  { id: 'policy-rule-dead', level: 'warning', summary: 'The body of a rule is never true on the domain.' },
  { id: 'policy-rule-shadowed', level: 'warning', summary: 'A rule only fires where another definition of it decides the same.' },
  { id: 'policy-rule-redundant', level: 'warning', summary: 'A rule fires, but removing it changes no decision on the domain.' },
  { id: 'policy-rule-unused', level: 'warning', summary: 'A rule cannot be reached from any entrypoint.' },
  {
    id: 'policy-rule-conflict',
    level: 'error',
    summary: 'Two definitions of one rule give different values for the same input.',
  },
  {
    id: 'policy-rule-overlap',
    level: 'note',
    summary: 'Two definitions of one rule hold for the same input and only happen to give the same value.',
  },
  { id: 'policy-rule-constant', level: 'warning', summary: 'The conditions of a rule are true on the whole domain.' },
  { id: 'policy-entrypoint-constant', level: 'warning', summary: 'An entrypoint gives the same decision on the whole domain.' },
  { id: 'policy-fail-open', level: 'warning', summary: 'Leaving a field out turns a refusal into an allow.' },
  {
    id: 'policy-latency-over-budget',
    level: 'error',
    summary: 'The p99 evaluation latency of an entrypoint is over the budget.',
  },
  { id: 'policy-latency-regressed', level: 'warning', summary: 'An entrypoint is clearly slower than on base.' },
  { id: 'policy-parity-mismatch', level: 'error', summary: "The WASM module and OPA's own evaluator decide differently." },
] as const satisfies readonly RuleInfo[];

export type PolicyRule = (typeof RULES)[number]['id'];

/** A finding of this gate. */
export const policyFinding = findingsOf(RULES);
