import type { Finding } from '../core/finding.ts';
import { canonicalJson } from '../core/json.ts';
import { tidy } from './lint-candidates.ts';
import { conflictFinding } from './lint-findings.ts';
import { policyFinding } from './rules.ts';
import type { Side } from './side.ts';

/** What is provable from the source alone: unreachable rules, and definitions that contradict each other whatever the input. */
export function lintStatic(side: Side): readonly Finding[] {
  return [...unusedRules(side), ...certainConflicts(side)];
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
      policyFinding({
        ruleId: 'policy-rule-unused',
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

/** Two definitions with different constants, of which one always holds or both have the same body. */
function certainConflicts(side: Side): Finding[] {
  const findings: Finding[] = [];
  for (const definitions of side.graph.byRule.values()) {
    const candidates = definitions.filter((d) => d.kind === 'complete' && d.chain.length === 0 && d.literal !== undefined);
    for (const [index, b] of candidates.entries()) {
      const a = candidates
        .slice(0, index)
        .find(
          (one) =>
            canonicalJson(one.literal) !== canonicalJson(b.literal) && (one.fact || b.fact || tidy(one.body) === tidy(b.body)),
        );
      if (a !== undefined) findings.push(conflictFinding(a, b, [canonicalJson(a.literal), canonicalJson(b.literal)], undefined));
    }
  }
  return findings;
}
