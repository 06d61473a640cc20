import type { Finding } from '../core/finding.ts';
import type { Json } from '../core/json.ts';
import type { Definition } from './definitions.ts';
import type { LintState } from './lint-state.ts';
import { policyFinding } from './rules.ts';
import type { Side } from './side.ts';

/** What the evaluated points say about each definition, as findings. */
export function ruleFindings(
  side: Side,
  mine: readonly Definition[],
  state: LintState,
  {
    whole,
    seen,
    examined,
    traced,
  }: {
    readonly whole: boolean;
    readonly seen: string;
    /** Points of the domain that were looked at for every definition. */
    readonly examined: number;
    readonly traced: number;
  },
): Finding[] {
  const findings: Finding[] = [];
  for (const { a, b, input, values } of state.conflicts.values())
    findings.push(conflictFinding(a, b, values, JSON.parse(input) as Json));
  const conflicting = new Set([...state.conflicts.values()].flatMap(({ a, b }) => [a.id, b.id]));
  const reported = new Set(conflicting);
  // A policy too large for its budget may end before the first point: what then didn't happen tells nothing.
  for (const d of examined === 0 ? [] : mine) {
    if (state.effective.has(d.id) || conflicting.has(d.id)) continue;
    reported.add(d.id);
    const hits = state.fired.get(d.id) ?? 0;
    const witness = state.witness.get(d.id);
    const evidence = {
      rule: d.rule,
      definition: d.text.slice(0, 300),
      fired: hits,
      seen,
      ...(witness === undefined ? {} : { input: JSON.parse(witness) as Json }),
    };
    if (state.unjudged.has(d.id)) continue;
    if (hits === 0) {
      // On a part of the domain this is a guess; a fact or a helper that short-cuts never runs would be noise then.
      if (!whole && d.fact) continue;
      findings.push(
        policyFinding('policy-rule-dead', {
          message: whole
            ? `This definition of ${d.rule} never holds ${seen}.`
            : `This definition of ${d.rule} was not seen to hold ${seen}.`,
          location: d.location,
          subject: d.rule,
          evidence,
          fix: 'Delete it, correct its condition, or add the values to the domain for which it should hold.',
        }),
      );
      continue;
    }
    const twin = [...(state.twins.get(d.id) ?? [])].map((id) => side.graph.byId.get(id)!)[0];
    if (twin !== undefined) {
      findings.push(
        policyFinding('policy-rule-shadowed', {
          message: `This definition of ${d.rule} only holds where another one gives the same value (${seen}).`,
          location: d.location,
          related: [{ ...twin.location, message: 'decides the same' }],
          subject: d.rule,
          evidence,
          fix: 'Delete one of the two, or narrow the other one.',
        }),
      );
    } else {
      findings.push(
        policyFinding('policy-rule-redundant', {
          message: `Removing this definition of ${d.rule} changes no decision ${seen}.`,
          location: d.location,
          subject: d.rule,
          evidence,
          fix: 'Delete it, or correct what should depend on it.',
        }),
      );
    }
  }
  for (const { a, b, value, input } of state.overlaps.values())
    if (!reported.has(a.id) && !reported.has(b.id)) findings.push(overlapFinding(a, b, value, input));
  if (whole) {
    for (const d of mine)
      if (state.always.has(d.id) && !reported.has(d.id)) findings.push(constantFinding(d, state.witness.get(d.id)!, traced));
  }
  return findings;
}

export function conflictFinding(
  a: Definition,
  b: Definition,
  values: readonly [string, string],
  input: Json | undefined,
): Finding {
  return policyFinding('policy-rule-conflict', {
    message: `Two definitions of ${b.rule} give different values for the same input: ${values[0].slice(0, 80)} and ${values[1].slice(0, 80)}.`,
    location: b.location,
    related: [{ ...a.location, message: `gives ${values[0].slice(0, 80)}` }],
    subject: b.rule,
    evidence: {
      values: values.map((v) => v.slice(0, 500)),
      ...(input === undefined
        ? { witness: 'none: the conditions alone do not show an input that ends in the conflict; a domain may' }
        : { input }),
    },
    fix: 'Make the bodies exclude each other, or write the precedence down with else.',
  });
}

/** Two definitions that happen to agree: an edit of either makes it a conflict, which ends evaluation with an error. */
function overlapFinding(a: Definition, b: Definition, value: string, input: string): Finding {
  return policyFinding('policy-rule-overlap', {
    message: `Two definitions of ${b.rule} hold for the same input and only happen to give the same value, ${value.slice(0, 80)}.`,
    location: b.location,
    related: [{ ...a.location, message: 'holds too' }],
    subject: b.rule,
    evidence: { value: value.slice(0, 500), input: JSON.parse(input) as Json },
    blocking: false,
    fix: 'Make the bodies exclude each other, or write the precedence down with else.',
  });
}

function constantFinding(d: Definition, input: string, points: number): Finding {
  return policyFinding('policy-rule-constant', {
    message: `The conditions of this definition of ${d.rule} are always true: on ${points} of ${points} points.`,
    location: d.location,
    subject: d.rule,
    evidence: { rule: d.rule, definition: d.text.slice(0, 300), input: JSON.parse(input) as Json },
    fix: 'Delete the conditions, correct them, or add the values to the domain for which they should not hold.',
  });
}
