import type { Finding } from '../../core/finding.ts';
import type { FileTree } from '../../core/gate-context.ts';
import type { Modules } from '../../rego/source.ts';
import { below, normalise } from '../../workspace/tree.ts';
import { callsOf } from '../compile.ts';
import { type Definition, definitionsOf, graphOf, reaches } from '../definitions.ts';
import { GATE_PACKAGE, INVARIANTS_PACKAGE } from '../invariants.ts';
import type { Opa } from '../opa.ts';
import { OpaRefused } from '../opa-problems.ts';
import { policyFinding } from '../rules.ts';
import { entrypointLocation, type Side, wholePolicy } from '../side.ts';

/**
 * Rules of the policy that lie where its judges are: in the package of an invariant or of the gate, or in the place of a
 * rule that a test module defines. Rego joins definitions, so such a rule could make a helper of a test or of an invariant
 * true where it was not.
 * @param tests the test modules that judge; undefined where the policy is as it was, so that nothing can have moved there
 */
export async function shadowedGuards(opa: Opa, head: Side, tests: Modules | undefined): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const report = ({ rule, location }: Definition, what: string): void => {
    findings.push(
      policyFinding('policy-guard-shadowed', {
        message: `The rule ${rule} of the policy lies in ${what}.`,
        location,
        subject: rule,
        fix: 'Put it in a package of its own.',
      }),
    );
  };
  for (const definition of head.definitions) {
    for (const reserved of [GATE_PACKAGE, INVARIANTS_PACKAGE])
      if (definition.rule.startsWith(`${reserved}.`)) report(definition, `the package ${reserved}, which judges it`);
  }
  if (tests === undefined || tests.size === 0) return findings;
  let judging: readonly Definition[];
  try {
    judging = definitionsOf(await opa.parse(tests));
  } catch (error) {
    // Modules that don't parse are reported by the run of the tests.
    if (error instanceof OpaRefused) return findings;
    throw error;
  }
  for (const definition of head.definitions) {
    const same = judging.find(({ rule }) => reaches(definition.rule, rule));
    if (same !== undefined) report(definition, `the place of a rule of the test module ${same.file}`);
  }
  return findings;
}

/**
 * Data files in the folder of the invariants that head does not have as the guards do. All data are the policy's, and so head's, but these
 * are there for the invariants.
 */
export async function editedGuardData(
  trees: { readonly guards: FileTree | undefined; readonly head: FileTree },
  folder: string | undefined,
  files: readonly string[],
): Promise<readonly Finding[]> {
  const { guards, head } = trees;
  if (guards === undefined || folder === undefined || (await guards.list(normalise(folder))).length === 0) return [];
  const inside = below(folder);
  const findings: Finding[] = [];
  for (const file of [...new Set(files)].filter(inside).sort()) {
    const [before, now] = [await guards.read(file), await head.read(file)];
    if (before !== undefined && now !== undefined && before.equals(now)) continue;
    findings.push(
      policyFinding('policy-guard-shadowed', {
        message: `The change ${before === undefined ? 'adds' : now === undefined ? 'removes' : 'edits'} data that lie with the invariants.`,
        location: { file, line: 1 },
        subject: file,
        fix: 'Have an owner waive it, or keep limits of invariants in the invariants themselves.',
      }),
    );
  }
  return findings;
}

/**
 * Where the policy reads the clock. Everything here is evaluated at one pinned instant, and a server at its own time: a rule
 * that waits for a date would be seen by nobody. Blocks where the change brings or edits it.
 */
export function clockFindings(head: Side, base: Side | undefined): readonly Finding[] {
  if (!head.program.builtins.includes('time.now_ns')) return [];
  const known = new Set(base?.definitions.map(signature));
  const places = callsOf(head.asts, 'time.now_ns');
  return (places.length > 0 ? places : [wholePolicy(head.source.modules)]).map((location) => {
    const around = head.definitions.filter(
      (d) => d.file === location.file && (d.location.line ?? 0) <= location.line! && location.line! <= (d.location.endLine ?? 0),
    );
    const old = base !== undefined && around.length > 0 && around.every((d) => known.has(signature(d)));
    const inPast = base === undefined || old;
    return policyFinding('policy-clock-read', {
      ...(inPast ? { level: 'warning' as const, blocking: false } : {}),
      message: 'The policy reads the clock, and everything shown about it holds at one pinned instant only.',
      location,
      subject: around[0]?.rule ?? 'time.now_ns',
      fix: 'Take the time from the input, where the domain can vary it; or waive this with a reason.',
    });
  });
}

/** Whether head changed the rule of the policy that picks the points of base's domain, or what that rule reads. */
export function whereChanged(where: string | undefined, head: Side, base: Side | undefined): boolean {
  if (where === undefined || base === undefined) return false;
  const [now, before] = [picked(head, where), picked(base, where)];
  // Only rules of invariants: those are base's own.
  if (now.rules.length === 0 && before.rules.length === 0) return false;
  if (now.rules.join('\n') !== before.rules.join('\n')) return true;
  return now.readsData && JSON.stringify(head.source.data) !== JSON.stringify(base.source.data);
}

function picked(side: Side, where: string): { readonly rules: readonly string[]; readonly readsData: boolean } {
  const graph = graphOf(side.definitions, [where]);
  const reached = [...graph.depth.keys()].flatMap((rule) => graph.byRule.get(rule) ?? []);
  return {
    rules: reached.map(signature).sort(),
    readsData: reached.some((d) => d.refs.some((ref) => ![...graph.byRule.keys()].some((rule) => reaches(ref, rule)))),
  };
}

/** With what its names stand for: an edited import changes a rule whose text stays. */
function signature(definition: Definition): string {
  return `${definition.rule} ${definition.text} ${definition.refs.join(' ')}`;
}

/** What keeps the proof from being one, when `where` is not what it was. */
export function whereText(where: string, head: Side): string {
  const place = entrypointLocation(head, where);
  const at = place?.line === undefined ? '' : ` (${place.file}:${place.line})`;
  return `The change edits ${where}${at}, which picks the points of the domain, so points that base looks at may be left out; change it in a pull request of its own.`;
}
