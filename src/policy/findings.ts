import type { Finding, Location } from '../core/finding.ts';
import type { Table } from '../core/gate.ts';
import type { Json } from '../core/json.ts';
import { type Attribution, describeDefinition, isChanged } from './attribution.ts';
import type { Corpus } from './corpus.ts';
import { skippedCount } from './corpus.ts';
import type { DiffClass } from './decision.ts';
import { type Definition, reaches } from './definitions.ts';
import type { DecisionDiff, DiffGroup, DiffSide } from './diff.ts';
import type { Domain } from './domain.ts';
import { type Counterexample, coverageText, type Proof, regoTest } from './prove.ts';
import { type PolicyRule, policyFinding } from './rules.ts';
import { type EvaluationFailure, isLimit } from './wasm.ts';

const CLASS_RULES: { readonly [C in Exclude<DiffClass, 'error-fixed'>]: PolicyRule } = {
  widened: 'policy-decision-widened',
  error: 'policy-decision-error',
  rerouted: 'policy-decision-rerouted',
  'became-undefined': 'policy-decision-became-undefined',
  'became-defined': 'policy-decision-became-defined',
  narrowed: 'policy-decision-narrowed',
  'obligation-changed': 'policy-decision-obligation-changed',
  'reason-changed': 'policy-decision-reason-changed',
};

const CLASS_TEXT: { readonly [C in DiffClass]: string } = {
  widened: 'refused on base and allowed on head',
  error: 'decided on base and an error on head',
  rerouted: 'sent somewhere else',
  'became-undefined': 'decided on base and undefined on head',
  'became-defined': 'undefined on base and decided on head',
  narrowed: 'allowed on base and refused on head',
  'obligation-changed': 'served by the same target with other fallbacks, priority, quota or tracing',
  'reason-changed': 'decided the same for another reason',
  'error-fixed': 'an error on base and decided on head',
};

/** Classes that fail the gate unless the configuration says otherwise. */
const DEFAULT_BLOCKING: readonly DiffClass[] = ['became-undefined', 'error'];

/** One finding a class of changed decisions, on the line that decided on head. */
export function diffFindings(
  diff: DecisionDiff,
  what: string,
  blocking: readonly string[] = DEFAULT_BLOCKING,
  headDefinitions?: readonly Definition[],
  baseDefinitions?: readonly Definition[],
): readonly Finding[] {
  return diff.groups.flatMap((group) => {
    if (group.class === 'error-fixed') return [];
    const { head, base } = group.example;
    const removed =
      headDefinitions === undefined ? undefined : base.attribution?.because.find((d) => isChanged(d, headDefinitions));
    const added =
      baseDefinitions === undefined ? undefined : head.attribution?.because.find((d) => isChanged(d, baseDefinitions));
    const place =
      added ??
      successor(removed, headDefinitions, baseDefinitions) ??
      changedDefault(head, headDefinitions, baseDefinitions) ??
      decidingLine(head) ??
      counterpart(decidingLine(base), headDefinitions) ??
      headDefinitions?.find((d) => d.rule === diff.entrypoint.replaceAll('/', '.'));
    const from = removed ?? decidingLine(base);
    return [
      policyFinding(CLASS_RULES[group.class], {
        ...(blocking.includes(group.class)
          ? { level: 'error' as const, blocking: true }
          : { blocking: false, level: group.class === 'reason-changed' ? ('note' as const) : ('warning' as const) }),
        message: `${share(group.share)} of ${what} (${group.count} of ${diff.replayed} requests) is ${CLASS_TEXT[group.class]}.${sentence(group)}`,
        location: place?.location,
        related: from === undefined ? undefined : [{ ...from.location, message: `decided on base: ${from.rule}` }],
        subject: `${diff.entrypoint} ${what}`,
        evidence: groupEvidence(group),
        fix: 'If the change is meant, say so in the pull request; otherwise correct the rule named here.',
      }),
    ];
  });
}

function sentence(group: DiffGroup): string {
  const moved =
    group.fields.includes('jurisdiction') && group.example.base.jurisdiction !== group.example.head.jurisdiction
      ? ` Jurisdiction ${group.example.base.jurisdiction ?? 'none'} to ${group.example.head.jurisdiction ?? 'none'}.`
      : '';
  const data = group.causes.data > 0 ? ` ${group.causes.data} of them by the data document.` : '';
  return `${moved}${data}`;
}

/**
 * What head has in place of a definition that it no longer has: a condition that got narrower no longer fires, so only
 * base's attribution knows of it. The changed definitions of the rule are matched in order.
 */
function successor(
  removed: Definition | undefined,
  head: readonly Definition[] | undefined,
  base: readonly Definition[] | undefined,
): Definition | undefined {
  if (removed === undefined || head === undefined || base === undefined) return undefined;
  const gone = base.filter((d) => d.rule === removed.rule && isChanged(d, head));
  const fresh = head.filter((d) => d.rule === removed.rule && isChanged(d, base));
  return fresh[Math.min(gone.indexOf(removed), fresh.length - 1)];
}

/** A changed default that decided: nothing of its rule fired, and something that fired asks for it. Defaults can't be switched off. */
function changedDefault(
  side: DiffSide,
  head: readonly Definition[] | undefined,
  base: readonly Definition[] | undefined,
): Definition | undefined {
  const fired = side.attribution?.fired ?? [];
  return head?.find(
    (d) =>
      d.kind === 'default' &&
      isChanged(d, base ?? head) &&
      !fired.some((one) => one.rule === d.rule) &&
      fired.some((one) => one.refs.some((ref) => reaches(ref, d.rule))),
  );
}

/** The entrypoint's own line says most when nothing on this side changed. */
function decidingLine(side: DiffSide): Definition | undefined {
  return side.attribution?.decided ?? side.attribution?.because[0];
}

/** The same definition on head, which may stand on another line there: nothing of head fired, so only base says which. */
function counterpart(definition: Definition | undefined, head: readonly Definition[] | undefined): Definition | undefined {
  return definition === undefined ? undefined : head?.find((d) => d.rule === definition.rule && d.text === definition.text);
}

function groupEvidence(group: DiffGroup): Json {
  const { example } = group;
  const side = (s: DiffSide): Json => ({
    decision: s.decision ?? null,
    ...(s.failure === undefined ? {} : { error: s.failure.message }),
    ...(s.jurisdiction === undefined ? {} : { jurisdiction: s.jurisdiction }),
    ...attributionEvidence(s.attribution),
  });
  return {
    class: group.class,
    count: group.count,
    share: round(group.share),
    causes: { ...group.causes },
    fields: [...group.fields],
    example: {
      ...(example.line === 0 ? {} : { line: example.line }),
      input: example.input,
      base: side(example.base),
      head: side(example.head),
    },
  };
}

function attributionEvidence(attribution: Attribution | undefined): { [key: string]: Json } {
  if (attribution === undefined) return {};
  return {
    ...(attribution.decided === undefined ? {} : { decidedBy: { ...describeDefinition(attribution.decided) } }),
    because: attribution.because.slice(0, 5).map((d) => ({ ...describeDefinition(d) })),
  };
}

/** The table of the decision diff that people read first. */
export function diffTable(diff: DecisionDiff, title: string): Table {
  return {
    title,
    columns: ['Class', 'Requests', 'Share', 'By policy', 'By data', 'Base', 'Head', 'Rules'],
    rows: diff.groups.map((g) => [
      g.class,
      String(g.count),
      share(g.share),
      String(g.causes.policy + g.causes.both),
      String(g.causes.data + g.causes.both),
      shortDecision(g.example.base),
      shortDecision(g.example.head),
      g.transitions
        .slice(0, 3)
        .map((t) => (t.from === t.to ? t.from : `${t.from} → ${t.to}`))
        .join(', '),
    ]),
    note: `${diff.changed} of ${diff.replayed} decisions differ.`,
  };
}

function shortDecision(side: DiffSide): string {
  if (side.failure !== undefined) return `error: ${side.failure.kind}`;
  const decision = side.decision;
  if (decision === undefined) return 'undefined';
  if (typeof decision !== 'object' || decision === null || Array.isArray(decision)) return JSON.stringify(decision).slice(0, 60);
  const { allow, target } = decision as { allow?: Json; target?: Json };
  if (allow === false) return 'refused';
  const pool = typeof target === 'object' && target !== null && 'pool' in target ? `${String(target['pool'])}` : 'allowed';
  return side.jurisdiction === undefined ? pool : `${pool} (${side.jurisdiction})`;
}

/**
 * One finding a counterexample, on the line of the policy that decided.
 * @param entrypoint where the entrypoint's rule is: for what can't be put down to one line
 */
export function proofFindings(proof: Proof, seed: number, entrypoint?: Location): readonly Finding[] {
  const findings = proof.counterexamples.map((example) =>
    invariantFinding(
      proof.entrypoint,
      example,
      `${example.count} of ${proof.evaluated - proof.excluded} points of the domain do it (${coverageText(proof, seed)}).`,
      entrypoint,
    ),
  );
  if (proof.failure !== undefined)
    findings.push(failureFinding(proof.entrypoint, proof.failure.failure, proof.failure.input, proof.failures, entrypoint));
  return findings;
}

/**
 * A counterexample on the line of the policy that decided; `extent` says how it was found.
 * @param fallback where to report what no line can be blamed for: usually the entrypoint's rule
 */
export function invariantFinding(
  entrypoint: string,
  example: Counterexample,
  extent: string,
  fallback: Location | undefined,
): Finding {
  const blamed = example.attribution?.because[0] ?? example.attribution?.decided;
  const related: (Location & { message?: string })[] = (example.attribution?.because ?? [])
    .filter((d) => d !== blamed)
    .slice(0, 4)
    .map((d) => ({ ...d.location, message: d.rule }));
  return policyFinding('policy-invariant-violated', {
    message: `The invariant ${example.invariant} is broken: ${example.message.replace(/\.$/, '')}. ${extent}`,
    location: blamed?.location ?? fallback,
    ...(related.length === 0 ? {} : { related }),
    subject: `${example.invariant}`,
    evidence: {
      counterexample: example.input,
      decision: example.decision ?? null,
      differs: [...example.differs],
      points: example.count,
      ...attributionEvidence(example.attribution),
      test: regoTest(example, entrypoint),
    },
    fix: `Correct ${blamed === undefined ? 'the policy' : `${blamed.rule} (${blamed.location.file}:${blamed.location.line})`} so that the counterexample no longer breaks the invariant; the JSON and HTML reports have it as a test to paste into a *_test.rego file.`,
  });
}

/** @param fallback where to report what has no place of its own (limits): usually the entrypoint's rule */
export function failureFinding(
  entrypoint: string,
  failure: EvaluationFailure,
  input: Json,
  count: number,
  fallback?: Location,
): Finding {
  const limit = isLimit(failure);
  const [file, line, column] = (failure.place ?? '').split(':');
  return policyFinding(limit ? 'policy-evaluation-limit' : 'policy-evaluation-error', {
    message: `Evaluating ${entrypoint} ends in ${limit ? 'a limit' : 'an error'}: ${failure.message}. ${count} input${count === 1 ? '' : 's'} of those looked at.`,
    location: failure.place === undefined ? fallback : { file: file!, line: Number(line), column: Number(column) },
    subject: entrypoint,
    evidence: { input: shorten(input), kind: failure.kind },
    fix:
      failure.kind === 'conflict'
        ? 'Run `mixgate policy lint` for both sides of the conflict.'
        : limit
          ? 'Bound what the rule iterates over, or move topology from input to data.'
          : 'Correct the rule for this input.',
  });
}

function shorten(input: Json): Json {
  const text = JSON.stringify(input);
  return text.length > 20_000 ? `${text.slice(0, 20_000)}...` : input;
}

/** Says what of a corpus was not replayed; `inconclusive` when it is too much of it. */
export function replayFindings(corpus: Corpus): {
  readonly findings: readonly Finding[];
  readonly inconclusive: string | undefined;
} {
  const skipped = skippedCount(corpus);
  if (skipped === 0) return { findings: [], inconclusive: undefined };
  const all = skipped + corpus.inputs.length;
  const findings = corpus.skipped.map((s) =>
    policyFinding('policy-replay-incomplete', {
      message: `${s.count} of ${all} lines of the replay corpus could not be replayed: ${s.reason}.`,
      location: { file: corpus.file, line: s.line },
      subject: s.reason,
      fix: 'Record decision logs with their inputs, or remove the lines.',
    }),
  );
  return {
    findings,
    inconclusive:
      skipped / all > MAX_SKIPPED_SHARE
        ? `Only ${corpus.inputs.length} of ${all} lines of ${corpus.file} could be replayed; at least ${Math.round((1 - MAX_SKIPPED_SHARE) * 100)} % are needed.`
        : undefined,
  };
}

/** A corpus of which more than a fifth can't be replayed says too little about traffic. */
const MAX_SKIPPED_SHARE = 0.2;

/** Each invariant: whether it holds, and on how many points of the domain. */
export function proofTable(proof: Proof, domain: Domain, seed: number): Table {
  return {
    title: 'Invariants',
    columns: ['Invariant', 'Result', 'Points'],
    rows: proof.packages.map((name) => {
      const broken = proof.counterexamples.filter((c) => c.invariant === name);
      return [
        name,
        broken.length === 0
          ? proof.failures > 0
            ? 'not decided'
            : proof.exhaustive
              ? 'holds'
              : 'not broken in the search'
          : 'broken',
        broken.length === 0
          ? proof.failures > 0
            ? `errors on ${proof.failures} of ${proof.evaluated}`
            : coverageText(proof, seed)
          : broken.map((c) => String(c.count)).join(', '),
      ];
    }),
    note: `Domain ${domain.location.file}: ${domain.dimensions.map((d) => `${d.text} (${d.choices.length})`).join(' × ')} = ${domain.size} points${proof.excluded > 0 ? `, ${proof.excluded} left out by where` : ''}.`,
  };
}

function share(value: number): string {
  return `${(100 * value).toFixed(value > 0 && value < 0.001 ? 3 : 1)} %`;
}

function round(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
