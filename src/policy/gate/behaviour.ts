import type { Section } from '../../config/load.ts';
import { ConfigurationError } from '../../core/errors.ts';
import type { Finding } from '../../core/finding.ts';
import type { GateContext } from '../../core/gate-context.ts';
import type { Json } from '../../core/json.ts';
import type { PolicySource } from '../../rego/source.ts';
import { normalise } from '../../workspace/tree.ts';
import { type Corpus, readCorpus } from '../corpus.ts';
import type { Domain } from '../domain.ts';
import { failureFinding } from '../findings.ts';
import { changedGuards, type Guards, readGuards } from '../guards.ts';
import { DEFAULT_BUDGET_MS, judgeLatency } from '../latency.ts';
import { analysedText, lintOnDomain } from '../lint.ts';
import { lintStatic, withoutKnown } from '../lint-static.ts';
import { compareCorpusWithOpa } from '../parity.ts';
import { DEFAULT_MAX_POINTS } from '../prove.ts';
import { DEFAULT_DIFF_POINTS, domainInputs, replay } from '../replay.ts';
import { policyFinding } from '../rules.ts';
import { domainOf, entrypointLocation, type Side } from '../side.ts';
import { type Collected, collect } from './collected.ts';
import { whereChanged, whereText } from './guarded.ts';
import { judgeInvariants } from './invariants.ts';
import { differ } from './modules.ts';

const FAILURES: ReadonlySet<string> = new Set(['policy-evaluation-limit', 'policy-evaluation-error']);
/** In a pull request, seconds count: lint looks at this many points before it says "not seen in M of N". */
const LINT_POINTS = 20_000;
/** The whole corpus is compared with OPA's own evaluator, which does some thousand decisions a second, as far as this goes. */
const PARITY_SECONDS = 15;
const BENCH_INPUTS = 200;
const BENCH_ROUNDS = 10_000;

/** What head decides: invariants, rule analysis, recorded traffic, the difference to base, parity with OPA, latency. */
export async function judgeBehaviour(
  context: GateContext,
  section: Section<'policy'>,
  head: Side,
  base: Side | undefined,
  guardFiles: PolicySource | undefined,
  out: Collected,
): Promise<void> {
  const entrypoint = section.entrypoints[0]!;
  const guarded = await guardsOf(context, section, head, guardFiles);
  out.findings.push(...guarded.findings);
  const sides = base === undefined ? [head] : [head, base];
  const domain = guarded.guards.domain === undefined ? undefined : domainOf(guarded.guards.domain, sides);
  const corpus = await corpusFor(context, section, entrypoint);
  if (domain !== undefined) {
    context.progress.step('policy: invariants');
    if (whereChanged(domain.where, head, base)) out.inconclusive ??= whereText(domain.where!, head);
    await judgeInvariants(context, section, head, base, guarded.guards, domain, 'gate', out);
    await judgeBefore(context, section, head, base, guarded.guards, domain, out);
    if (guarded.own !== undefined) {
      const ownDomain = guarded.own.domain === undefined ? domain : domainOf(guarded.own.domain, sides);
      await judgeInvariants(context, section, head, base, guarded.own, ownDomain, 'own', out);
    }
  }
  if (domain === undefined && guarded.guards.invariants.size > 0)
    out.inconclusive ??= `Nothing was proved: there are invariants (${section.invariants}), and no policy.domain declares the inputs to evaluate them on.`;
  await judgeRules(context, head, entrypoint, domain, out);
  if (corpus !== undefined) out.findings.push(...(await evaluationErrors(head, entrypoint, corpus)));
  if (base !== undefined && (corpus !== undefined || domain !== undefined))
    await judgeChange(context, section, [base, head], { entrypoint, corpus, domain }, out);
  const inputs = [
    ...(corpus?.inputs ?? []).slice(0, BENCH_INPUTS),
    ...(domain === undefined ? [] : domainInputs(domain, BENCH_INPUTS)),
  ].map((i) => i.input);
  if (inputs.length === 0) return;
  context.progress.step('policy: parity and latency');
  await judgeParity(head, entrypoint, [...new Set((corpus?.inputs ?? []).map((i) => i.input).concat(inputs))], out);
  await judgeBudget(head, base, inputs, section.latencyBudgetMs ?? DEFAULT_BUDGET_MS, out);
}

/**
 * Limits and names that head brings make the domain larger, and past the limit a proof becomes a search, which may miss what the
 * proof would have met: the points that base has are then proved as well.
 */
async function judgeBefore(
  context: GateContext,
  section: Section<'policy'>,
  head: Side,
  base: Side | undefined,
  guards: Guards,
  domain: Domain,
  out: Collected,
): Promise<void> {
  const max = section.maxPoints ?? DEFAULT_MAX_POINTS;
  if (base === undefined || domain.size <= max) return;
  const before = domainOf(guards.domain!, [base]);
  if (before.size <= max) await judgeInvariants(context, section, head, base, guards, before, 'base', out);
}

interface GuardsOfChange {
  /** Base's wherever base has them. */
  readonly guards: Guards;
  /** Head's own, where the change edits them: they are checked as well. */
  readonly own: Guards | undefined;
  readonly findings: readonly Finding[];
}

async function guardsOf(
  context: GateContext,
  section: Section<'policy'>,
  head: Side,
  guardFiles: PolicySource | undefined,
): Promise<GuardsOfChange> {
  const own = await readGuards(context.head, head.source.invariants, section.domain);
  const from = context.guards ?? context.base;
  const kept =
    guardFiles === undefined || from === undefined ? undefined : await readGuards(from, guardFiles.invariants, section.domain);
  const guards: Guards = {
    from: kept?.domain === undefined ? own.from : kept.from,
    invariants: kept !== undefined && kept.invariants.size > 0 ? kept.invariants : own.invariants,
    domain: kept?.domain ?? own.domain,
  };
  if (section.domain !== undefined && guards.domain === undefined)
    throw new ConfigurationError({
      message: 'the file does not exist (named by policy.domain).',
      location: { file: section.domain },
    });
  const invariantsChanged = kept !== undefined && kept.invariants.size > 0 && differ(kept.invariants, own.invariants);
  const domainChanged =
    kept?.domain !== undefined && JSON.stringify(kept.domain.value) !== JSON.stringify(own.domain?.value ?? null);
  return {
    guards,
    own: (invariantsChanged || domainChanged) && own.invariants.size > 0 ? own : undefined,
    findings: [
      ...(invariantsChanged ? changedGuards({ modules: kept.invariants, what: 'the invariants' }, own.invariants) : []),
      ...(domainChanged
        ? [
            policyFinding('policy-gate-changed', {
              message: `The change edits the input domain ${section.domain}; base's version still judges it, and head's own version is checked as well.`,
              location: { file: section.domain!, line: 1 },
              subject: section.domain!,
            }),
          ]
        : []),
    ],
  };
}

/** What the source proves by itself, and on the domain what never matters or fails open. */
async function judgeRules(
  context: GateContext,
  head: Side,
  entrypoint: string,
  domain: Domain | undefined,
  out: Collected,
): Promise<void> {
  const certain = await lintStatic(head);
  let onDomain: readonly Finding[] = [];
  if (domain !== undefined) {
    context.progress.step('policy: rule analysis');
    const analysed = await lintOnDomain(head, [entrypoint], domain, {
      maxPoints: LINT_POINTS,
      progress: context.progress,
      sweep: false,
      inputs: out.failing,
    });
    // A proof that met a failing evaluation has reported it already.
    const reported = new Set(out.findings.map((f) => `${f.ruleId} ${f.subject}`));
    onDomain = analysed.findings.filter((f) => !FAILURES.has(f.ruleId) || !reported.has(`${f.ruleId} ${f.subject}`));
    const [first] = analysed.entrypoints;
    out.facts['ruleAnalysis'] =
      first === undefined
        ? 'none: the policy could not be instrumented'
        : `${analysedText(first)}${analysed.exhausted ? '; stopped there, because the policy is so large' : ''}`;
  }
  out.findings.push(...withoutKnown(certain, onDomain));
}

/** Inputs of recorded traffic on which head ends in an error. */
async function evaluationErrors(head: Side, entrypoint: string, corpus: Corpus): Promise<readonly Finding[]> {
  const outcomes = await head.pool.outcomes(
    head.plain,
    entrypoint,
    corpus.inputs.map((i) => i.input),
  );
  const failed = outcomes.flatMap((outcome, index) =>
    'failure' in outcome ? [{ failure: outcome.failure, input: corpus.inputs[index]!.input }] : [],
  );
  const first = failed[0];
  if (first === undefined) return [];
  const input = JSON.parse(first.input) as Json;
  return [failureFinding(entrypoint, first.failure, input, failed.length, entrypointLocation(head, entrypoint))];
}

/** Decisions that differ between base and head. */
async function judgeChange(
  context: GateContext,
  section: Section<'policy'>,
  [base, head]: readonly [Side, Side],
  on: { readonly entrypoint: string; readonly corpus: Corpus | undefined; readonly domain: Domain | undefined },
  out: Collected,
): Promise<void> {
  context.progress.step('policy: decision diff');
  const replayed = await replay(base, head, { ...on, maxPoints: DEFAULT_DIFF_POINTS, blocking: section.diff?.block });
  collect(out, { ...replayed, measurements: [] });
  for (const { what, diff, skipped } of replayed.diffs) {
    out.facts[`decisionDiff.${what}`] = `${diff.changed} of ${diff.replayed} decisions differ`;
    out.measurements.push({
      name: 'policy.diff.changed',
      value: diff.changed,
      unit: '{request}',
      segment: what,
      n: diff.replayed,
    });
    if (skipped > 0)
      out.measurements.push({ name: 'policy.diff.not_replayed', value: skipped, unit: '{request}', segment: what });
  }
}

async function judgeParity(head: Side, entrypoint: string, recorded: readonly string[], out: Collected): Promise<void> {
  const parity = await compareCorpusWithOpa(head, entrypoint, recorded, PARITY_SECONDS);
  out.findings.push(...parity.findings);
  out.facts['parity'] = `${parity.compared} of ${recorded.length} inputs compared with OPA's own evaluator`;
}

async function judgeBudget(
  head: Side,
  base: Side | undefined,
  inputs: readonly string[],
  budgetMs: number,
  out: Collected,
): Promise<void> {
  const latency = await judgeLatency(head, base, inputs, { budgetMs, rounds: BENCH_ROUNDS });
  collect(out, latency);
  if (latency.undecided.length > 0) {
    out.facts['latencyRegression'] = {
      volatile: true,
      undecided: [...latency.undecided],
      reason: 'the blocks of base and head differ too much among themselves to tell',
    };
  }
}

async function corpusFor(context: GateContext, section: Section<'policy'>, entrypoint: string): Promise<Corpus | undefined> {
  if (section.corpus === undefined) return undefined;
  const file = normalise(section.corpus);
  const bytes = (await (context.guards ?? context.base)?.read(file)) ?? (await context.head.read(file));
  if (bytes === undefined)
    throw new ConfigurationError({ message: 'the file does not exist (named by policy.corpus).', location: { file } });
  return readCorpus(bytes, file, entrypoint);
}
