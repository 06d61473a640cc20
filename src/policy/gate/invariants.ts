import type { Section } from '../../config/load.ts';
import type { GateContext } from '../../core/gate-context.ts';
import { withoutTests } from '../../rego/source.ts';
import type { Domain } from '../domain.ts';
import { proofFindings, proofTable } from '../findings.ts';
import type { Guards } from '../guards.ts';
import { invariantPackages } from '../invariants.ts';
import { coverageText, DEFAULT_MAX_POINTS, prove } from '../prove.ts';
import { entrypointLocation, refusedFindings, type Side, wholePolicy } from '../side.ts';
import { smtProof } from '../smt/report.ts';
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
  const entrypoint = section.entrypoints[0]!;
  let packages: readonly string[];
  try {
    packages = invariantPackages(await head.opa.parse(invariants), section.invariants ?? 'invariants');
    const task = { entrypoint, domain, invariants, packages, other: base?.definitions };
    const proof = await prove(head, {
      ...task,
      maxPoints: section.maxPoints ?? DEFAULT_MAX_POINTS,
      seed: context.seed,
      progress: context.progress,
    });
    if (proof.failure?.failure.kind === 'conflict') out.failing.push(JSON.stringify(proof.failure.input));
    const { seed, progress, signal } = context;
    const smt =
      section.smt === true
        ? await smtProof(head, { ...task, seed, progress, signal, maxSeconds: section.smtSeconds }, proof)
        : undefined;
    const findings = [...proofFindings(proof, context.seed, entrypointLocation(head, entrypoint)), ...(smt?.findings ?? [])];
    const known = new Set(out.findings.map((f) => f.id));
    out.findings.push(...findings.filter((f) => !known.has(f.id)));
    out.tables.push({ ...proofTable(proof, domain, context.seed), title: `Invariants${suffix}` });
    out.facts[suffix === '' ? 'proof' : 'proofOfHeadsOwn'] = coverageText(proof, context.seed);
    out.measurements.push({
      name: 'policy.proof.points',
      value: proof.evaluated - proof.excluded,
      unit: '{point}',
      ...(suffix === '' ? {} : { segment: 'head' }),
      n: proof.exhaustive ? proof.size - proof.excluded : proof.size,
    });
    if (smt !== undefined) {
      out.tables.push(...smt.tables.map((table) => ({ ...table, title: `${table.title}${suffix}` })));
      out.facts[suffix === '' ? 'smt' : 'smtOfHeadsOwn'] = smt.fact;
      out.measurements.push(...smt.measurements.map((m) => (suffix === '' ? m : { ...m, segment: 'head' })));
      out.inconclusive ??= smt.inconclusive;
    }
    if (proof.excluded === proof.evaluated)
      out.inconclusive ??= `No point of the domain satisfies ${domain.where ?? 'where'}: the invariants were checked on nothing.`;
  } catch (error) {
    out.findings.push(...refusedFindings(error, wholePolicy(head.source.modules)));
  }
}
