import type { Finding } from '../../core/finding.ts';
import type { GateResult } from '../../core/gate.ts';
import type { Modules, PolicySource } from '../../rego/source.ts';
import { definitionsOf } from '../definitions.ts';
import { prepareSide, strictFindings } from '../side.ts';
import { policyResult, type Workbench } from './workbench.ts';

/** `opa check --strict`, compilation and the builtin gate; without entrypoints every rule that takes no arguments is compiled. */
export async function checkPolicy(bench: Workbench, source: PolicySource, entrypoints: readonly string[]): Promise<GateResult> {
  const all: Modules = new Map([...source.modules, ...source.invariants, ...source.tests]);
  const findings: Finding[] = [...(await strictFindings(bench.opa, source, source.invariants, source.tests))];
  if (findings.length === 0) {
    const wanted = entrypoints.length > 0 ? entrypoints : await everyRule(bench, source);
    if (wanted.length > 0) findings.push(...(await prepareSide(bench.opa, bench.pool, source, wanted)).findings);
  }
  return policyResult(
    findings,
    source,
    `${all.size} modules pass opa check --strict and use only builtins that the WASM host has`,
  );
}

/** Every rule that takes no arguments. @throws OpaRefused */
export async function everyRule(bench: Workbench, source: PolicySource): Promise<readonly string[]> {
  const definitions = definitionsOf(await bench.opa.parse(source.modules));
  const names = definitions.filter((d) => !d.takesArguments && /^[\w.]+$/.test(d.rule)).map((d) => d.rule.replaceAll('.', '/'));
  return [...new Set(names)].sort();
}
