import { type Finding, type FindingInput, finding, type Level } from './finding.ts';

/** A rule that a gate may report; its page is docs/rules/<id>.md. */
export interface RuleInfo {
  readonly id: string;
  readonly level: Level;
  /** One sentence. */
  readonly summary: string;
}

/** What a finding says beside its rule. */
export type RuleFinding = Omit<FindingInput, 'ruleId' | 'level'> & { readonly level?: Level };

/** Makes the findings of a gate: the level is the rule's unless one is given; a rule that the gate doesn't have doesn't compile. */
export function findingsOf<Rule extends RuleInfo>(rules: readonly Rule[]): (ruleId: Rule['id'], input: RuleFinding) => Finding {
  const levels = new Map<string, Level>(rules.map((rule) => [rule.id, rule.level]));
  return (ruleId, input) => finding({ ...input, ruleId, level: input.level ?? levels.get(ruleId)! });
}
