import type { Config, Section } from '../config/load.ts';
import { type GateResult, gateResult } from '../core/gate.ts';
import type { GateContext } from '../core/gate-context.ts';
import { plural } from '../core/text.ts';
import { loadPolicySource, sourceDigest } from '../rego/source.ts';
import { judgeBehaviour } from './gate/behaviour.ts';
import { nothingCollected } from './gate/collected.ts';
import { baseSource, prepareBase } from './gate/sides.ts';
import { judgeCoverage, judgeMutants, judgeTests } from './gate/tests.ts';
import { Opa } from './opa.ts';
import { EvaluatorPool } from './pool.ts';
import { prepareSide, refusedFindings, strictFindings, wholePolicy } from './side.ts';

/**
 * The policy gate on base..head. Policies come from head; the tests, invariants, domain and replay corpus that judge
 * them from base wherever base has them, and head's own are checked as well when it changes them.
 */
export async function runPolicyGate(context: GateContext, section: Section<'policy'>, _config: Config): Promise<GateResult> {
  await using opa = new Opa(await context.tool('opa'), context.signal);
  await using pool = new EvaluatorPool({ limitMs: section.evaluationLimitMs, signal: context.signal });
  const { progress } = context;
  progress.step('policy: check and compile');
  const head = await loadPolicySource(context.head, section);
  const base = await baseSource(context.base, section);
  const out = nothingCollected();
  const prepared = await prepareSide(opa, pool, head, section.entrypoints);
  out.findings.push(...prepared.findings);
  // The policy itself has passed already.
  if (prepared.side !== undefined && head.tests.size + head.invariants.size > 0)
    out.findings.push(...(await strictFindings(opa, head, head.invariants, head.tests)));
  const baseSide = base === undefined ? undefined : await prepareBase(opa, pool, base, section, out);
  if (prepared.side !== undefined) {
    await judgeTests(opa, head, base, section, out);
    await judgeCoverage(context, opa, section, prepared.side, out);
    if (section.mutation !== undefined) await judgeMutants(context, opa, pool, section, prepared.side, out);
    try {
      await judgeBehaviour(context, section, prepared.side, baseSide, base, out);
    } catch (error) {
      out.findings.push(...refusedFindings(error, wholePolicy(head.modules)));
    }
  }
  const proof = out.facts['proof'];
  return gateResult({
    id: 'policy',
    findings: out.findings,
    // What the policy may never do outranks a test that noticed it.
    headline: out.findings.find((f) => f.ruleId === 'policy-invariant-violated' && f.blocking),
    measurements: out.measurements,
    tables: out.tables,
    subjects: [
      { name: 'policy', digest: { sha256: sourceDigest(head) } },
      ...(prepared.side === undefined ? [] : [{ name: 'policy.wasm', digest: { sha256: prepared.side.program.digest } }]),
    ],
    facts: out.facts,
    inconclusive: out.inconclusive,
    passReason: `${plural(head.modules.size, 'module')} checked${typeof proof === 'string' ? `; invariants ${proof}` : ''}`,
  });
}
