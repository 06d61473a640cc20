import type { Finding } from '../core/finding.ts';
import type { Measurement, Table } from '../core/gate.ts';
import { canonicalJson, type Json } from '../core/json.ts';
import type { Judged, MutantState, MutationResult } from './mutation.ts';
import { policyFinding } from './rules.ts';

/** Findings for the mutants that are printed; the table counts all of them. */
const MAX_SURVIVORS = 50;

export interface MutationReport {
  readonly findings: readonly Finding[];
  readonly measurements: readonly Measurement[];
  readonly tables: readonly Table[];
  readonly summary: string;
  readonly inconclusive: string | undefined;
}

/** Survivors on their lines, the score against its threshold (percent), and a table by module. */
export function mutationReport(
  result: MutationResult,
  entrypoint: string | undefined,
  threshold: number | undefined,
): MutationReport {
  const of = (state: MutantState): readonly Judged[] => result.judged.filter((j) => j.state === state);
  const [killed, survived] = [of('killed'), of('survived')];
  const untested = of('untested').length;
  const judgeable = killed.length + survived.length;
  const summary = `${killed.length} of ${judgeable} mutants killed${leftOut(result)}`;
  const findings: Finding[] = survived.slice(0, MAX_SURVIVORS).map((j) => survivorFinding(j, entrypoint));
  const percent = result.score === undefined ? undefined : Math.round(result.score * 10_000) / 100;
  if (threshold !== undefined && percent !== undefined && percent < threshold) {
    const [worst] = survived;
    findings.push(
      policyFinding('policy-mutation-score-low', {
        message: `The tests kill ${percent} % of the mutants of the policy, less than the ${threshold} % asked for.`,
        location: worst?.mutant.location,
        related: survived.slice(1, 20).map((j) => ({ ...j.mutant.location, message: `survives: ${j.mutant.after}` })),
        evidence: { percent, threshold, killed: killed.length, survived: survived.length },
        fix: 'Add a test for each surviving mutant; where one has an input that shows it, the test is in its finding.',
      }),
    );
  }
  return {
    findings,
    summary,
    measurements: [
      ...(percent === undefined
        ? []
        : [
            {
              name: 'policy.tests.mutation_score',
              value: percent,
              unit: '%',
              n: judgeable,
              ...(threshold === undefined ? {} : { limit: threshold }),
            },
          ]),
      { name: 'policy.tests.mutants_survived', value: survived.length, unit: '{mutant}', n: judgeable },
    ],
    tables: [moduleTable(result)],
    inconclusive:
      untested > 0
        ? `${untested} of ${result.judged.length} mutants were not tested: the time was up. Raise the limit, or look at fewer mutants.`
        : judgeable === 0 && threshold !== undefined
          ? 'The policy has no mutant that could be judged.'
          : undefined,
  };
}

function leftOut(result: MutationResult): string {
  const parts: string[] = [];
  const add = (state: MutantState, text: string): void => {
    const count = result.judged.filter((j) => j.state === state).length;
    if (count > 0) parts.push(`${count} ${text}`);
  };
  add('equivalent', `equivalent on all ${result.points?.size} points`);
  add('undecided', `not told apart on ${result.points?.examined} of ${result.points?.size} points`);
  add('invalid', 'do not compile');
  add('untested', 'not tested');
  if (result.all > result.judged.length) parts.push(`${result.judged.length} of ${result.all} tried`);
  return parts.length === 0 ? '' : ` (left out: ${parts.join(', ')})`;
}

function survivorFinding({ mutant, witness }: Judged, entrypoint: string | undefined): Finding {
  const { before, after, rule, location, kind } = mutant;
  return policyFinding('policy-mutant-survived', {
    message: `No test fails when \`${before}\` in ${rule} ${after === '(left out)' ? 'is left out' : `becomes \`${after}\``}.`,
    location,
    // The column tells two places of one line apart.
    subject: `${rule} ${kind} ${location.line}:${location.column}`,
    evidence: {
      kind,
      before,
      after,
      ...(witness === undefined
        ? {}
        : {
            input: witness.input,
            decision: witness.before ?? null,
            mutantDecision: witness.after ?? null,
            ...(entrypoint === undefined ? {} : { test: killingTest(entrypoint, mutant, witness) }),
          }),
    },
    fix:
      witness === undefined
        ? 'Add a test that holds with the one and fails with the other; with a domain (--domain and --entrypoint) an input that shows the difference is looked for.'
        : 'Paste the test in the evidence into a *_test.rego file, if that is the decision you want.',
  });
}

/** A test that passes on the policy and fails on the mutant. */
function killingTest(
  entrypoint: string,
  mutant: Judged['mutant'],
  witness: { readonly input: Json; readonly before: Json | undefined },
): string {
  const path = `data.${entrypoint.replaceAll('/', '.')}`;
  const { before } = witness;
  const expected = before === undefined ? '' : canonicalJson(before);
  // Sets reach us as arrays; through JSON they compare as such.
  const decision = expected.includes('[') ? 'json.unmarshal(json.marshal(decision))' : 'decision';
  return [
    `package ${entrypoint.split('/').slice(0, -1).join('.')}_mutants_test`,
    '',
    `test_${mutant.rule.replaceAll(/\W+/g, '_')}_line_${mutant.location.line}_${mutant.location.column} if {`,
    `\tsample := ${JSON.stringify(witness.input)}`,
    ...(before === undefined
      ? [`\tnot ${path} with input as sample`]
      : [`\tdecision := ${path} with input as sample`, `\t${decision} == ${expected}`]),
    '}',
    '',
  ].join('\n');
}

function moduleTable(result: MutationResult): Table {
  const files = [...new Set(result.judged.map((j) => j.mutant.file))].sort();
  const count = (file: string, state: MutantState): number =>
    result.judged.filter((j) => j.mutant.file === file && j.state === state).length;
  return {
    title: 'Mutants of the policy',
    columns: ['Module', 'Killed', 'Survived', 'Equivalent', 'Undecided', 'Invalid', 'First survivor'],
    rows: files.map((file) => [
      file,
      ...(['killed', 'survived', 'equivalent', 'undecided', 'invalid'] as const).map((state) => String(count(file, state))),
      String(result.judged.find((j) => j.mutant.file === file && j.state === 'survived')?.mutant.location.line ?? ''),
    ]),
    note: 'Killed: a test fails. Survived: none does. Equivalent: it decides the same on the whole domain.',
  };
}
