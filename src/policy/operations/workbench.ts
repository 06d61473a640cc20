import type { RunContext } from '../../core/context.ts';
import type { Finding } from '../../core/finding.ts';
import { type GateResult, gateResult, type Table } from '../../core/gate.ts';
import type { Tool } from '../../core/gate-context.ts';
import { type PolicySource, sourceDigest } from '../../rego/source.ts';
import { Opa } from '../opa.ts';
import { EvaluatorPool } from '../pool.ts';
import { refusedFindings, wholePolicy } from '../side.ts';

/** What every operation runs on. */
export interface Workbench extends AsyncDisposable {
  readonly opa: Opa;
  readonly pool: EvaluatorPool;
  readonly run: RunContext;
}

export function openWorkbench(tool: Tool, run: RunContext, limitMs?: number): Workbench {
  const opa = new Opa(tool, run.signal);
  const pool = new EvaluatorPool({ limitMs, signal: run.signal });
  return {
    opa,
    pool,
    run,
    async [Symbol.asyncDispose]() {
      await pool[Symbol.asyncDispose]();
      await opa[Symbol.asyncDispose]();
    },
  };
}

/** A policy that can't be loaded, or runs into a limit, is a finding of every operation. */
export async function guarded(source: PolicySource, work: () => Promise<GateResult>): Promise<GateResult> {
  try {
    return await work();
  } catch (error) {
    return policyResult(refusedFindings(error, wholePolicy(source.modules)), source, '');
  }
}

/** The gate of a policy command: its subject is the source. */
export function policyResult(
  findings: readonly Finding[],
  source: PolicySource,
  passReason: string,
  tables: readonly Table[] = [],
  inconclusive?: string,
): GateResult {
  return gateResult({
    id: 'policy',
    findings,
    passReason,
    tables,
    inconclusive,
    subjects: [{ name: 'policy', digest: { sha256: sourceDigest(source) } }],
  });
}
