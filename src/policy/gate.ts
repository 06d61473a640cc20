import type { Config, Section } from '../config/load.ts';
import { ConfigurationError, isMixgateError } from '../core/errors.ts';
import { type Finding, finding } from '../core/finding.ts';
import { type GateResult, gateResult } from '../core/gate.ts';
import type { GateContext } from '../core/gate-context.ts';
import { plural } from '../core/text.ts';
import { loadPolicySource, type Modules, sourceDigest } from '../rego/source.ts';
import { judgeBehaviour } from './gate/behaviour.ts';
import { nothingCollected } from './gate/collected.ts';
import { clockFindings, editedGuardData, shadowedGuards } from './gate/guarded.ts';
import { differ } from './gate/modules.ts';
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
  // The newest tests and invariants judge, also a branch that began before them.
  const guards =
    context.guards === undefined || context.guards === context.base ? base : await baseSource(context.guards, section);
  const out = nothingCollected();
  const prepared = await prepareSide(opa, pool, head, section.entrypoints);
  out.findings.push(...prepared.findings);
  // The policy itself has passed already.
  if (prepared.side !== undefined && head.tests.size + head.invariants.size > 0)
    out.findings.push(...(await strictFindings(opa, head, head.invariants, head.tests)));
  const baseSide = base === undefined ? undefined : await prepareBase(opa, pool, base, section, out);
  if (prepared.side !== undefined) {
    const { side } = prepared;
    const moved = base === undefined || differ(base.modules, head.modules);
    out.findings.push(
      ...(await shadowedGuards(opa, side, moved ? (guards ?? head).tests : undefined)),
      ...clockFindings(side, baseSide),
      ...(await editedGuardData({ guards: context.guards ?? context.base, head: context.head }, section.invariants, [
        ...(guards?.dataFiles ?? []),
        ...head.dataFiles,
      ])),
    );
    try {
      await judgeTests(opa, head, guards, section, out);
      await judgeCoverage(context, opa, section, side, out);
      if (section.mutation !== undefined) await judgeMutants(context, opa, pool, section, side, out);
      await judgeBehaviour(context, section, side, baseSide, guards, out);
    } catch (error) {
      out.findings.push(...stoppedFindings(error, out.findings, head.modules));
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

/**
 * What ended the judging of a policy. An error that is nobody's fault is thrown on, unless the policy has failed already: the
 * failure stands, whatever stumbled afterwards.
 */
function stoppedFindings(error: unknown, found: readonly Finding[], modules: Modules): readonly Finding[] {
  try {
    return refusedFindings(error, wholePolicy(modules));
  } catch {
    if (!isMixgateError(error) || !found.some((f) => f.blocking)) throw error;
    return error.problems.map((problem) =>
      finding({
        ruleId: error instanceof ConfigurationError ? 'input-invalid' : 'gate-error',
        level: 'error',
        message: problem.message,
        location: problem.location,
        fix: problem.fix,
        subject: 'policy',
      }),
    );
  }
}
