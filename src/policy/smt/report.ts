import type { Finding, Location } from '../../core/finding.ts';
import type { Measurement, Table } from '../../core/gate.ts';
import type { Json } from '../../core/json.ts';
import { invariantFinding } from '../findings.ts';
import { coverageText, type Proof } from '../prove.ts';
import { entrypointLocation, type Side } from '../side.ts';
import { constructText } from './judge.ts';
import { NOT_ATTEMPTED, proveAll, type SmtOptions, type SmtProof, type SmtResult } from './proof.ts';

export interface SmtReport {
  readonly findings: readonly Finding[];
  readonly tables: readonly Table[];
  readonly measurements: readonly Measurement[];
  readonly fact: Json;
  readonly inconclusive: string | undefined;
}

const MAX_CONSTRUCTS = 8;
const MAX_NAMED = 5;

/** The SMT proof of what the domain `proof` did not break, reported. */
export async function smtProof(side: Side, options: SmtOptions & { readonly seed: number }, proof: Proof): Promise<SmtReport> {
  const broken = new Set(proof.counterexamples.map((example) => example.invariant));
  const onDomain = proof.failures === 0 ? coverageText(proof, options.seed) : undefined;
  return smtReport(
    await proveAll(side, { broken, onDomain, ...options }),
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
  const unknown = proof.results.filter((r) => r.status === 'unknown');
  const constructs = [...new Set(proof.results.flatMap((r) => r.outside.map(constructText)))].sort();
  const more = constructs.length > MAX_CONSTRUCTS ? `; and ${constructs.length - MAX_CONSTRUCTS} more` : '';
  const notes = [
    ...(constructs.length === 0
      ? []
      : [`Outside the subset, taken as any value: ${constructs.slice(0, MAX_CONSTRUCTS).join('; ')}${more}.`]),
    ...(proof.results.some((r) => r.cut) ? ['Where a time limit is named, more may be proved on another machine.'] : []),
  ];
  return {
    findings: proof.counterexamples.map((example) =>
      invariantFinding(entrypoint, example, 'The SMT solver found the input; no point of the declared domain shows it.', place),
    ),
    tables: [
      {
        title: 'Every input (SMT)',
        columns: ['Invariant', 'Result'],
        rows: proof.results.map((r) => [nameOf(r), r.detail]),
        ...(notes.length === 0 ? {} : { note: notes.join(' ') }),
      },
    ],
    measurements: [
      {
        name: 'policy.smt.proved',
        value: proof.results.filter((r) => r.status === 'proved').length,
        unit: '{clause}',
        n: proof.results.length,
        ...(proof.results.some((r) => r.cut) ? { volatile: true } : {}),
      },
    ],
    fact: {
      solver: `z3 ${proof.version}`,
      clauses: proof.results.map((r) => ({
        invariant: r.invariant,
        ...(r.location === undefined ? {} : { file: r.location.file, line: r.location.line ?? 1 }),
        status: r.status,
        detail: r.detail,
        ...(r.cut ? { timeLimited: true } : {}),
      })),
      outside: constructs,
    },
    inconclusive: unknown.length === 0 ? undefined : unknownText(unknown, proof.results.length),
  };
}

function unknownText(unknown: readonly SmtResult[], all: number): string {
  const named = unknown.slice(0, MAX_NAMED).map((r) => `${nameOf(r)} (${r.detail.replace('unknown: ', '')})`);
  const more = unknown.length > named.length ? `; and ${unknown.length - named.length} more` : '';
  const time = unknown.some((r) => r.cut) ? ' More time: --smt-seconds or policy.smtSeconds.' : '';
  return `Of ${all} clauses ${unknown.length} ${unknown.length === 1 ? 'is' : 'are'} unknown for every input: ${named.join('; ')}${more}.${time}`;
}

/** `invariants.tenancy:7`: the package, and the line of the clause. */
function nameOf({ invariant, location }: SmtResult): string {
  return location === undefined ? invariant : `${invariant}:${location.line}`;
}
