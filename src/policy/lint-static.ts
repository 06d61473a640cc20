import type { Finding } from '../core/finding.ts';
import { canonicalJson } from '../core/json.ts';
import type { Definition } from './definitions.ts';
import { tidy } from './lint-candidates.ts';
import { conflictFinding } from './lint-findings.ts';
import { policyFinding } from './rules.ts';
import type { Side } from './side.ts';
import { witnessesOf } from './static-witness.ts';

/** What is provable from the source alone: unreachable rules, and definitions that contradict each other whatever the input. */
export async function lintStatic(side: Side): Promise<readonly Finding[]> {
  const conflicts = certainConflicts(side);
  const witnesses = await witnessesOf(side, conflicts);
  return [...unusedRules(side), ...conflicts.map(({ a, b, values }, index) => conflictFinding(a, b, values, witnesses[index]))];
}

/** Both kinds of findings, each once: what was seen on a domain has a witness, so it stands for what the source proves. */
export function withoutKnown(certain: readonly Finding[], onDomain: readonly Finding[]): readonly Finding[] {
  const seen = new Set(onDomain.map((f) => `${f.ruleId} ${f.subject}`));
  return [...certain.filter((f) => !seen.has(`${f.ruleId} ${f.subject}`)), ...onDomain];
}

function unusedRules(side: Side): Finding[] {
  const findings: Finding[] = [];
  for (const [rule, definitions] of side.graph.byRule) {
    if (side.graph.depth.has(rule)) continue;
    const [first, ...rest] = definitions;
    findings.push(
      policyFinding('policy-rule-unused', {
        message: `The rule ${rule} can't be reached from ${shortList(side.entrypoints)}.`,
        location: first!.location,
        ...(rest.length === 0 ? {} : { related: rest.map((d) => ({ ...d.location, message: 'also defined here' })) }),
        subject: rule,
        fix: 'Delete it, or name the entrypoint that uses it.',
      }),
    );
  }
  return findings;
}

function shortList(names: readonly string[]): string {
  return names.length > 4 ? `any of the ${names.length} entrypoints` : names.join(', ');
}

interface Conflict {
  readonly a: Definition;
  readonly b: Definition;
  readonly values: readonly [string, string];
}

/** Two definitions with different constants, of which one always holds or both have the same body. */
function certainConflicts(side: Side): Conflict[] {
  const found: Conflict[] = [];
  for (const definitions of side.graph.byRule.values()) {
    const candidates = definitions.filter((d) => d.kind === 'complete' && d.chain.length === 0 && d.literal !== undefined);
    // Of those before: all, those that always hold, and those with one body.
    const [all, facts] = [new Earliest(), new Earliest()];
    const byBody = new Map<string, Earliest>();
    for (const b of candidates) {
      const value = canonicalJson(b.literal);
      const body = byBody.get(tidy(b.body)) ?? new Earliest();
      byBody.set(tidy(b.body), body);
      const groups = b.fact ? [all] : [facts, body];
      const [a] = groups
        .map((group) => group.otherThan(value))
        .filter((one) => one !== undefined)
        .sort((x, y) => Number(x.id.slice(1)) - Number(y.id.slice(1)));
      if (a !== undefined) found.push({ a, b, values: [canonicalJson(a.literal), value] });
      for (const group of b.fact ? [all, facts, body] : [all, body]) group.add(b, value);
    }
  }
  return found;
}

/** The first definition of a group that has another value than a given one: the very first, or the first that differs from it. */
class Earliest {
  #first: { readonly definition: Definition; readonly value: string } | undefined;
  #second: Definition | undefined;

  add(definition: Definition, value: string): void {
    this.#first ??= { definition, value };
    if (value !== this.#first.value) this.#second ??= definition;
  }

  otherThan(value: string): Definition | undefined {
    return this.#first === undefined || this.#first.value !== value ? this.#first?.definition : this.#second;
  }
}
