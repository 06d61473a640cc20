import type { SourceDocument } from '../../config/document.ts';
import type { GateResult } from '../../core/gate.ts';
import { type PolicySource, withoutTests } from '../../rego/source.ts';
import { type ProofTask, proveInvariants } from '../proof-report.ts';
import { domainOf, prepareSide, strictFindings } from '../side.ts';
import { guarded, policyResult, type Workbench } from './workbench.ts';

/** Proves a policy's invariants on a domain, and for every input where that is asked for. */
export async function provePolicy(
  bench: Workbench,
  source: PolicySource,
  options: Omit<ProofTask, 'domain' | 'other'> & { readonly document: SourceDocument },
): Promise<GateResult> {
  const { document, ...task } = options;
  return guarded(source, async () => {
    const prepared = await prepareSide(bench.opa, bench.pool, source, [task.entrypoint]);
    if (prepared.side === undefined) return policyResult(prepared.findings, source, '');
    const invariants = withoutTests(task.invariants);
    const problems = await strictFindings(bench.opa, source, invariants);
    if (problems.length > 0) return policyResult(problems, source, '');
    const domain = domainOf(document, [prepared.side]);
    const { proof, findings, measurements, tables, facts, inconclusive } = await proveInvariants(
      prepared.side,
      { ...task, domain, invariants },
      bench.run,
    );
    const rate = Math.round(proof.evaluated / Math.max(proof.seconds, 1e-9));
    return {
      ...policyResult(findings, source, `${proof.packages.length} invariant packages ${facts.proof}`, tables, inconclusive),
      measurements: [...measurements, { name: 'policy.proof.rate', value: rate, unit: '{point}/s', volatile: true }],
      facts: { ...facts, excluded: proof.excluded, domain: domain.digest },
    };
  });
}
