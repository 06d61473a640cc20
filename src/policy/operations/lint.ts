import type { SourceDocument } from '../../config/document.ts';
import type { GateResult } from '../../core/gate.ts';
import type { PolicySource } from '../../rego/source.ts';
import { reaches } from '../definitions.ts';
import { analysedText, lintOnDomain } from '../lint.ts';
import { lintStatic, withoutKnown } from '../lint-static.ts';
import { domainOf, prepareSide, type Side } from '../side.ts';
import { everyRule } from './check.ts';
import { guarded, policyResult, type Workbench } from './workbench.ts';

/** Rule analysis: from the source alone, and on a domain where there is one (at most `maxPoints` of it). Without entrypoints every rule is one. */
export async function lintPolicy(
  bench: Workbench,
  source: PolicySource,
  entrypoints: readonly string[],
  document: SourceDocument | undefined,
  maxPoints: number,
): Promise<GateResult> {
  return guarded(source, async () => {
    const prepared = await prepareSide(
      bench.opa,
      bench.pool,
      source,
      entrypoints.length > 0 ? entrypoints : await everyRuleOrNone(bench, source),
    );
    if (prepared.side === undefined) return policyResult(prepared.findings, source, '');
    const { side } = prepared;
    const certain = await lintStatic(side);
    if (document === undefined) {
      const note =
        entrypoints.length === 0
          ? 'Every rule counts as an entrypoint: name yours with --entrypoint to find unused rules.'
          : 'No domain given: dead, shadowed and fail-open rules can only be found on one (--domain).';
      return {
        ...policyResult(
          certain,
          source,
          `nothing provable without a domain: no certain conflict, no unused rule, no builtin that WASM lacks. ${note}`,
        ),
        facts: { analysed: 'from the source alone', note },
      };
    }
    const domain = domainOf(document, [side]);
    const analysed = await lintOnDomain(side, side.entrypoints, domain, {
      maxPoints,
      progress: bench.run.progress,
      sweep: true,
      ...(entrypoints.length > 0 ? {} : { deciding: outermost(side) }),
    });
    const findings = withoutKnown(certain, analysed.findings);
    const facts = Object.fromEntries(analysed.entrypoints.map((a) => [a.entrypoint, analysedText(a)]));
    const refused =
      analysed.entrypoints.length === 0
        ? 'The policy could not be instrumented, so no rule was analysed on the domain.'
        : analysed.exhausted
          ? `The policy has ${side.definitions.length} definitions, too many to look at every one of them on every point: what is not reported may still be there.`
          : undefined;
    return {
      ...policyResult(findings, source, `every definition matters on the domain of ${domain.size} points`, [], refused),
      facts,
    };
  });
}

/** Entrypoints that no other rule refers to: what a policy decides when nobody names its entrypoints. */
function outermost(side: Side): readonly string[] {
  return side.entrypoints.filter((entrypoint) => {
    const rule = entrypoint.replaceAll('/', '.');
    return !side.definitions.some((d) => d.rule !== rule && d.refs.some((ref) => reaches(ref, rule)));
  });
}

async function everyRuleOrNone(bench: Workbench, source: PolicySource): Promise<readonly string[]> {
  try {
    return await everyRule(bench, source);
  } catch {
    // What doesn't parse is reported by the check that follows.
    return [];
  }
}
