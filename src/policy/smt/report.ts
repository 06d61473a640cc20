import type { Finding, Location } from '../../core/finding.ts';
import type { Measurement, Table } from '../../core/gate.ts';
import type { Json } from '../../core/json.ts';
import { invariantFinding } from '../findings.ts';
import type { Proof } from '../prove.ts';
import { entrypointLocation, type Side } from '../side.ts';
import { constructText, NOT_ATTEMPTED, proveAll, type SmtOptions, type SmtProof } from './proof.ts';

export interface SmtReport {
  readonly findings: readonly Finding[];
  readonly tables: readonly Table[];
  readonly measurements: readonly Measurement[];
  readonly fact: Json;
  readonly inconclusive: string | undefined;
}

const MAX_CONSTRUCTS = 8;

/** The SMT proof of what the domain `proof` did not break, reported. */
export async function smtProof(side: Side, options: SmtOptions, proof: Pick<Proof, 'counterexamples'>): Promise<SmtReport> {
  const broken = new Set(proof.counterexamples.map((example) => example.invariant));
  return smtReport(
    await proveAll(side, { broken, ...options }),
    options.entrypoint,
    options.packages,
    entrypointLocation(side, options.entrypoint),
  );
}

/**
 * What the SMT proof says, in the forms of a gate's result.
 * @param place the entrypoint's rule: for what can't be put down to one line
 */
export function smtReport(proof: SmtProof, entrypoint: string, packages: readonly string[], place?: Location): SmtReport {
  if (proof.version === undefined)
    return {
      findings: [],
      tables: [
        { title: 'Every input (SMT)', columns: ['Invariant', 'Result'], rows: packages.map((name) => [name, NOT_ATTEMPTED]) },
      ],
      measurements: [],
      fact: NOT_ATTEMPTED,
      inconclusive: `The SMT proof was ${NOT_ATTEMPTED}.`,
    };
  const constructs = [...new Set(proof.results.flatMap((r) => r.outside.map(constructText)))].sort();
  const more = constructs.length > MAX_CONSTRUCTS ? `; and ${constructs.length - MAX_CONSTRUCTS} more` : '';
  return {
    findings: proof.counterexamples.map((example) =>
      invariantFinding(entrypoint, example, 'The SMT solver found the input; no point of the declared domain shows it.', place),
    ),
    tables: [
      {
        title: 'Every input (SMT)',
        columns: ['Invariant', 'Result'],
        rows: proof.results.map((r) => [nameOf(r), r.detail]),
        ...(constructs.length === 0
          ? {}
          : { note: `Outside the subset, taken as any value: ${constructs.slice(0, MAX_CONSTRUCTS).join('; ')}${more}.` }),
      },
    ],
    measurements: [
      {
        name: 'policy.smt.proved',
        value: proof.results.filter((r) => r.status === 'proved').length,
        unit: '{clause}',
        n: proof.results.length,
      },
    ],
    fact: {
      solver: `z3 ${proof.version}`,
      clauses: proof.results.map((r) => ({
        invariant: r.invariant,
        ...(r.location === undefined ? {} : { file: r.location.file, line: r.location.line ?? 1 }),
        status: r.status,
        detail: r.detail,
      })),
      outside: constructs,
    },
    inconclusive: undefined,
  };
}

/** `invariants.tenancy:7`: the package, and the line of the clause. */
function nameOf({ invariant, location }: SmtProof['results'][number]): string {
  return location === undefined ? invariant : `${invariant}:${location.line}`;
}
