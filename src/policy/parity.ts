import type { Finding } from '../core/finding.ts';
import { canonicalJson, type Json } from '../core/json.ts';
import { decisionOf } from './decision.ts';
import { OpaRefused } from './opa-problems.ts';
import { policyFinding } from './rules.ts';
import type { Side } from './side.ts';

export interface Parity {
  readonly compared: number;
  readonly findings: readonly Finding[];
}

/** Inputs in one `opa eval`: enough to hide its start, few enough to stop in time. */
const CHUNK = 2000;

/**
 * The comparison over a whole corpus, chunk by chunk until `seconds` are used up: `compared` says how far it came. It
 * ends with the first chunk that differs.
 */
export async function compareCorpusWithOpa(
  side: Side,
  entrypoint: string,
  inputs: readonly string[],
  seconds: number,
): Promise<Parity> {
  const start = performance.now();
  let compared = 0;
  for (let from = 0; from < inputs.length; from += CHUNK) {
    if (performance.now() - start > seconds * 1000) break;
    const part = await compareWithOpa(side, entrypoint, inputs.slice(from, from + CHUNK));
    compared += part.compared;
    if (part.findings.length > 0) return { compared, findings: part.findings };
  }
  return { compared, findings: [] };
}

/** Decisions of the WASM module against OPA's own evaluator, on the same inputs in one `opa eval`. Inputs that fail in WASM are left out. */
export async function compareWithOpa(side: Side, entrypoint: string, inputs: readonly string[]): Promise<Parity> {
  const outcomes = await side.pool.outcomes(side.plain, entrypoint, inputs);
  const usable = inputs
    .map((input, index) => ({ input, outcome: outcomes[index]! }))
    .filter(({ outcome }) => !('failure' in outcome));
  if (usable.length === 0) return { compared: 0, findings: [] };
  let reference: ReadonlyMap<number, unknown>;
  try {
    reference = await side.opa.evaluateAll(
      side.source.modules,
      side.source.data,
      entrypoint,
      usable.map((u) => u.input),
    );
  } catch (error) {
    if (!(error instanceof OpaRefused)) throw error;
    return {
      compared: 0,
      findings: [
        policyFinding('policy-parity-mismatch', {
          message: `OPA's own evaluator fails where the WASM module decides: ${error.message.slice(0, 300)}.`,
          location: side.graph.byRule.get(entrypoint.replaceAll('/', '.'))?.[0]?.location,
          subject: entrypoint,
        }),
      ],
    };
  }
  const wrong = usable.flatMap(({ input, outcome }, index) => {
    const [wasm, opa] = [decisionOf(outcome), reference.get(index) as Json | undefined];
    const same = wasm === undefined || opa === undefined ? wasm === opa : canonicalJson(wasm) === canonicalJson(opa);
    return same ? [] : [{ input, wasm, opa }];
  });
  if (wrong.length === 0) return { compared: usable.length, findings: [] };
  const smallest = wrong.reduce((best, one) => (one.input.length < best.input.length ? one : best));
  return {
    compared: usable.length,
    findings: [
      policyFinding('policy-parity-mismatch', {
        message: `The WASM module and OPA's own evaluator decide differently on ${wrong.length} of ${usable.length} inputs.`,
        location: side.graph.byRule.get(entrypoint.replaceAll('/', '.'))?.[0]?.location,
        subject: entrypoint,
        evidence: { input: JSON.parse(smallest.input) as Json, wasm: smallest.wasm ?? null, opa: smallest.opa ?? null },
        fix: 'Avoid builtins whose host function differs from OPA (sprintf of composites or large numbers, for one).',
      }),
    ],
  };
}
