import type { GateResult } from '../../core/gate.ts';

/** The decision of `eval` as people read it: the value, the rule that made it, every rule that held. */
export function decisionText(gate: GateResult): string {
  const facts = gate.facts ?? {};
  const rules = (facts['rules'] ?? []) as readonly { rule: string; file: string; line: number; decisive: boolean }[];
  const by = facts['decidedBy'] as { rule: string; file: string; line: number } | undefined;
  const width = Math.max(0, ...rules.map((r) => r.rule.length));
  return [
    facts['defined'] === true ? JSON.stringify(facts['decision'], null, 2) : 'undefined',
    '',
    ...(by === undefined ? [] : [`decided by ${by.rule} (${by.file}:${by.line})`, '']),
    ...(rules.length === 0
      ? []
      : [
          'rules that held (* the decision would be another one without it):',
          ...rules.map((r) => `  ${r.decisive ? '*' : ' '} ${r.rule.padEnd(width)}  ${r.file}:${r.line}`),
        ]),
    '',
  ].join('\n');
}
