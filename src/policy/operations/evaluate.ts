import type { SourceDocument } from '../../config/document.ts';
import type { GateResult, Table } from '../../core/gate.ts';
import { canonicalJson, type Json } from '../../core/json.ts';
import type { PolicySource } from '../../rego/source.ts';
import { attribute, describeDefinition, sameOutcome } from '../attribution.ts';
import { decisionOf } from '../decision.ts';
import { absentFields, counterfactual, unfiredOf } from '../explain.ts';
import { explainFacts, explainTables } from '../explain-report.ts';
import { failureFinding } from '../findings.ts';
import { domainOf, entrypointLocation, prepareSide, tracedProgram } from '../side.ts';
import { guarded, policyResult, type Workbench } from './workbench.ts';

/**
 * One decision, and the rules that made it. `explain` adds the rules that did not hold and why, the input fields that
 * are absent, and on a domain the smallest changes of the input that flip the decision.
 */
export async function evaluatePolicy(
  bench: Workbench,
  source: PolicySource,
  entrypoint: string,
  input: Json,
  explain?: { readonly document: SourceDocument | undefined },
): Promise<GateResult> {
  return guarded(source, async () => {
    const prepared = await prepareSide(bench.opa, bench.pool, source, [entrypoint]);
    if (prepared.side === undefined) return policyResult(prepared.findings, source, '');
    const { side } = prepared;
    const text = JSON.stringify(input);
    const [outcome] = await bench.pool.outcomes(side.plain, entrypoint, [text]);
    if ('failure' in outcome!)
      return policyResult(
        [failureFinding(entrypoint, outcome.failure, input, 1, entrypointLocation(side, entrypoint))],
        source,
        '',
      );
    const traced = await tracedProgram(side);
    const attribution =
      traced === undefined
        ? undefined
        : await attribute(side, traced, { entrypoint, input: text, holds: (o) => sameOutcome(o, outcome!) });
    const decision = decisionOf(outcome!);
    const because = new Set((attribution?.because ?? []).map((d) => d.id));
    const why =
      explain === undefined
        ? undefined
        : {
            unfired: attribution === undefined ? undefined : await unfiredOf(side, input, attribution.fired),
            absent: absentFields(side, input),
            counterfactual:
              explain.document === undefined
                ? undefined
                : await counterfactual(side, entrypoint, input, outcome!, domainOf(explain.document, [side])),
          };
    const facts: Record<string, Json> = {
      entrypoint,
      defined: decision !== undefined,
      decision: decision === undefined ? null : (JSON.parse(canonicalJson(decision)) as Json),
      ...(attribution?.decided === undefined ? {} : { decidedBy: { ...describeDefinition(attribution.decided) } }),
      rules: (attribution?.fired ?? []).map((d) => ({ ...describeDefinition(d), decisive: because.has(d.id) })),
      ...(why === undefined ? {} : explainFacts(why)),
    };
    return {
      ...policyResult(
        [],
        source,
        decision === undefined ? `${entrypoint} is undefined for this input` : `${entrypoint} decides`,
        [
          ...(attribution === undefined ? [] : [rulesTable(attribution.fired, because)]),
          ...(why === undefined ? [] : explainTables(why)),
        ],
      ),
      facts,
    };
  });
}

function rulesTable(fired: Awaited<ReturnType<typeof attribute>>['fired'], because: ReadonlySet<string>): Table {
  return {
    title: 'Rules that held',
    columns: ['Rule', 'Line', 'Without it the decision changes'],
    rows: fired.map((d) => [d.rule, `${d.location.file}:${d.location.line}`, because.has(d.id) ? 'yes' : 'no']),
  };
}
