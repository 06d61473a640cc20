import type { Section } from '../../config/load.ts';
import type { GateContext } from '../../core/gate-context.ts';
import { withoutTests } from '../../rego/source.ts';
import type { Domain } from '../domain.ts';
import type { Guards } from '../guards.ts';
import { proveInvariants } from '../proof-report.ts';
import { DEFAULT_MAX_POINTS } from '../prove.ts';
import { refusedFindings, type Side, wholePolicy } from '../side.ts';
import type { Collected } from './collected.ts';

/** @param suffix what tells head's own invariants from those of base */
export async function judgeInvariants(
  context: GateContext,
  section: Section<'policy'>,
  head: Side,
  base: Side | undefined,
  guards: Guards,
  domain: Domain,
  suffix: string,
  out: Collected,
): Promise<void> {
  const invariants = withoutTests(guards.invariants);
  if (invariants.size === 0) return;
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
    out.tables.push(...tables.map((table) => ({ ...table, title: `${table.title}${suffix}` })));
    out.measurements.push(...measurements.map((m) => (suffix === '' ? m : { ...m, segment: 'head' })));
    for (const [name, fact] of Object.entries(facts)) out.facts[suffix === '' ? name : `${name}OfHeadsOwn`] = fact;
    out.inconclusive ??= inconclusive;
  } catch (error) {
    out.findings.push(...refusedFindings(error, wholePolicy(head.source.modules)));
  }
}
