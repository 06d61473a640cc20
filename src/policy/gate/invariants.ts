import type { Section } from '../../config/load.ts';
import type { GateContext } from '../../core/gate-context.ts';
import { withoutTests } from '../../rego/source.ts';
import type { Domain } from '../domain.ts';
import type { Guards } from '../guards.ts';
import { proveInvariants } from '../proof-report.ts';
import { DEFAULT_MAX_POINTS } from '../prove.ts';
import { refusedFindings, type Side, wholePolicy } from '../side.ts';
import type { Collected } from './collected.ts';

/** Which proof this is: the gate's, that of head's own invariants, or one on what the domain was before head made it larger. */
export type Proving = 'gate' | 'own' | 'base';

const TITLES: { readonly [P in Proving]: string } = { gate: '', own: " (head's own)", base: " (base's domain)" };
const FACTS: { readonly [P in Proving]: string } = { gate: '', own: 'OfHeadsOwn', base: 'OnBasesDomain' };
const SEGMENTS: { readonly [P in Proving]: string | undefined } = { gate: undefined, own: 'head', base: 'base domain' };

export async function judgeInvariants(
  context: GateContext,
  section: Section<'policy'>,
  head: Side,
  base: Side | undefined,
  guards: Guards,
  domain: Domain,
  proving: Proving,
  out: Collected,
): Promise<void> {
  const invariants = withoutTests(guards.invariants);
  if (invariants.size === 0) return;
  const segment = SEGMENTS[proving];
  try {
    const { proof, findings, measurements, tables, facts, inconclusive } = await proveInvariants(
      head,
      {
        entrypoint: section.entrypoints[0]!,
        domain,
        invariants,
        folder: section.invariants ?? 'invariants',
        maxPoints: section.maxPoints ?? DEFAULT_MAX_POINTS,
        smt: section.smt,
        smtSeconds: section.smtSeconds,
        other: base?.definitions,
      },
      context,
    );
    if (proof.failure?.failure.kind === 'conflict') out.failing.push(JSON.stringify(proof.failure.input));
    const known = new Set(out.findings.map((f) => f.id));
    out.findings.push(...findings.filter((f) => !known.has(f.id)));
    out.tables.push(...tables.map((table) => ({ ...table, title: `${table.title}${TITLES[proving]}` })));
    out.measurements.push(...measurements.map((m) => (segment === undefined ? m : { ...m, segment })));
    for (const [name, fact] of Object.entries(facts)) out.facts[`${name}${FACTS[proving]}`] = fact;
    out.inconclusive ??= inconclusive;
  } catch (error) {
    out.findings.push(...refusedFindings(error, wholePolicy(head.source.modules)));
  }
}
