import type { SourceDocument } from '../../config/document.ts';
import type { GateResult } from '../../core/gate.ts';
import { type Modules, type PolicySource, withoutTests } from '../../rego/source.ts';
import { proofFindings, proofTable } from '../findings.ts';
import { invariantPackages } from '../invariants.ts';
import { coverageText, prove } from '../prove.ts';
import { domainOf, entrypointLocation, prepareSide, refusedFindings, strictFindings, wholePolicy } from '../side.ts';
import { smtProof } from '../smt/report.ts';
import { policyResult, type Workbench } from './workbench.ts';

export async function provePolicy(
  bench: Workbench,
  source: PolicySource,
  options: {
    readonly entrypoint: string;
    readonly document: SourceDocument;
    readonly invariants: Modules;
    readonly folder: string;
    readonly maxPoints: number;
    /** Strength of the covering array of a search; the largest that fits unless given. */
    readonly strength?: number | undefined;
    /** Also for every input there is, where the policy is in the subset of the SMT proof. */
    readonly smt?: boolean;
    /** Seconds that this may take. */
    readonly smtSeconds?: number | undefined;
  },
): Promise<GateResult> {
  const prepared = await prepareSide(bench.opa, bench.pool, source, [options.entrypoint]);
  if (prepared.side === undefined) return policyResult(prepared.findings, source, '');
  const invariants = withoutTests(options.invariants);
  const problems = await strictFindings(bench.opa, source, invariants);
  if (problems.length > 0) return policyResult(problems, source, '');
  const domain = domainOf(options.document, [prepared.side]);
  const { seed, progress } = bench.run;
  const packages = invariantPackages(await bench.opa.parse(invariants), options.folder);
  try {
    const task = { entrypoint: options.entrypoint, domain, invariants, packages };
    const proof = await prove(prepared.side, {
      ...task,
      maxPoints: options.maxPoints,
      strength: options.strength,
      seed,
      progress,
    });
    const smt =
      options.smt === true
        ? await smtProof(
            prepared.side,
            { ...task, seed, progress, signal: bench.run.signal, maxSeconds: options.smtSeconds },
            proof,
          )
        : undefined;
    const coverage = coverageText(proof, seed);
    const nothing = proof.evaluated > 0 && proof.excluded === proof.evaluated;
    return {
      ...policyResult(
        [...proofFindings(proof, seed, entrypointLocation(prepared.side, options.entrypoint)), ...(smt?.findings ?? [])],
        source,
        `${packages.length} invariant packages ${coverage}`,
        [proofTable(proof, domain, seed), ...(smt?.tables ?? [])],
        nothing
          ? `No point of the domain satisfies ${domain.where ?? 'where'}: the invariants were checked on nothing.`
          : smt?.inconclusive,
      ),
      measurements: [
        {
          name: 'policy.proof.points',
          value: proof.evaluated - proof.excluded,
          unit: '{point}',
          n: proof.exhaustive ? proof.size - proof.excluded : proof.size,
        },
        {
          name: 'policy.proof.rate',
          value: Math.round(proof.evaluated / Math.max(proof.seconds, 1e-9)),
          unit: '{point}/s',
          volatile: true,
        },
        ...(smt?.measurements ?? []),
      ],
      facts: {
        proof: coverage,
        excluded: proof.excluded,
        domain: domain.digest,
        ...(smt === undefined ? {} : { smt: smt.fact }),
      },
    };
  } catch (error) {
    return policyResult(refusedFindings(error, wholePolicy(source.modules)), source, '');
  }
}
