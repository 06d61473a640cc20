import type { RunContext } from '../core/context.ts';
import type { Finding } from '../core/finding.ts';
import type { Measurement, Table } from '../core/gate.ts';
import type { Json } from '../core/json.ts';
import { proofFindings, proofTable } from './findings.ts';
import { invariantPackages } from './invariants.ts';
import { coverageText, type Proof, type ProofOptions, prove } from './prove.ts';
import { entrypointLocation, type Side } from './side.ts';
import { smtProof } from './smt/report.ts';

export interface ProofTask extends Omit<ProofOptions, 'packages' | 'seed' | 'progress'> {
  /** What the user calls the folder of invariants. */
  readonly folder: string;
  /** Also for every input there is, where the policy is in the subset of the SMT proof. */
  readonly smt?: boolean | undefined;
  /** Seconds that the SMT proof may take. */
  readonly smtSeconds?: number | undefined;
}

/** What a proof found, in the parts of a gate's result. */
export interface ProofReport {
  readonly proof: Proof;
  readonly findings: readonly Finding[];
  readonly measurements: readonly Measurement[];
  readonly tables: readonly Table[];
  /** How far the proof on the domain, and the SMT proof, went. */
  readonly facts: { readonly proof: string; readonly smt?: Json };
  readonly inconclusive: string | undefined;
}

/** Proves the invariants on the domain, and for every input where that is asked for. @throws ConfigurationError when none is declared */
export async function proveInvariants(
  side: Side,
  { folder, smt, smtSeconds, ...task }: ProofTask,
  run: RunContext,
): Promise<ProofReport> {
  const { seed, progress, signal } = run;
  const packages = invariantPackages(await side.opa.parse(task.invariants), folder);
  const options = { ...task, packages, seed, progress };
  const proof = await prove(side, options);
  const everywhere = smt === true ? await smtProof(side, { ...options, signal, maxSeconds: smtSeconds }, proof) : undefined;
  const nothing = proof.evaluated > 0 && proof.excluded === proof.evaluated;
  return {
    proof,
    findings: [...proofFindings(proof, seed, entrypointLocation(side, task.entrypoint)), ...(everywhere?.findings ?? [])],
    measurements: [
      {
        name: 'policy.proof.points',
        value: proof.evaluated - proof.excluded,
        unit: '{point}',
        n: proof.exhaustive ? proof.size - proof.excluded : proof.size,
      },
      ...(everywhere?.measurements ?? []),
    ],
    tables: [proofTable(proof, task.domain, seed), ...(everywhere?.tables ?? [])],
    facts: { proof: coverageText(proof, seed), ...(everywhere === undefined ? {} : { smt: everywhere.fact }) },
    inconclusive: nothing
      ? `No point of the domain satisfies ${task.domain.where ?? 'where'}: the invariants were checked on nothing.`
      : everywhere?.inconclusive,
  };
}
