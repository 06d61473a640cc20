import type { Config, Section } from '../config/load.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { type GateResult, gateResult, type Measurement, type Table } from '../core/gate.ts';
import type { FileTree, GateContext } from '../core/gate-context.ts';
import type { Json } from '../core/json.ts';
import { normalise } from '../workspace/tree.ts';
import { comparisonsOf } from './boundaries.ts';
import { type Corpus, readCorpus } from './corpus.ts';
import { coverageReport, DEFAULT_VALUE_POINTS } from './coverage-report.ts';
import { type Domain, readDomain } from './domain.ts';
import { failureFinding, proofFindings, proofTable } from './findings.ts';
import { changedGuards, type Guards, judgeBaseTests, readGuards } from './guards.ts';
import { invariantPackages } from './invariants.ts';
import { DEFAULT_BUDGET_MS, judgeLatency } from './latency.ts';
import { analysedText, lintOnDomain } from './lint.ts';
import { lintStatic, withoutKnown } from './lint-static.ts';
import { DEFAULT_MUTANT_POINTS, DEFAULT_MUTATION_SECONDS, mutate } from './mutation.ts';
import { mutationReport } from './mutation-report.ts';
import { Opa } from './opa.ts';
import { compareCorpusWithOpa } from './parity.ts';
import { EvaluatorPool } from './pool.ts';
import { coverageText, DEFAULT_MAX_POINTS, prove } from './prove.ts';
import { DEFAULT_DIFF_POINTS, domainInputs, replay } from './replay.ts';
import { policyFinding } from './rules.ts';
import { checkFinding, entrypointLocation, type Prepared, prepareSide, refusedFindings, type Side, wholePolicy } from './side.ts';
import { smtProof } from './smt/report.ts';
import { loadPolicySource, type PolicySource, sourceDigest, withoutTests } from './source.ts';
import { runTests } from './tests.ts';

/** In a pull request, seconds count: lint looks at this many points before it says "not seen in M of N". */
const FAILURES: ReadonlySet<string> = new Set(['policy-evaluation-limit', 'policy-evaluation-error']);
const LINT_POINTS = 20_000;
/** The whole corpus is compared with OPA's own evaluator, which does some thousand decisions a second, as far as this goes. */
const PARITY_SECONDS = 15;
const BENCH_INPUTS = 200;
/** Unless the configuration asks for more. */
const GATE_MUTANTS = 200;
const BENCH_ROUNDS = 10_000;

interface Collected {
  readonly findings: Finding[];
  readonly measurements: Measurement[];
  readonly tables: Table[];
  readonly facts: Record<string, Json>;
  inconclusive: string | undefined;
  /** Inputs on which a proof met an error: rule analysis looks at them first. */
  readonly failing: string[];
}

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
  const out: Collected = { findings: [], measurements: [], tables: [], facts: {}, inconclusive: undefined, failing: [] };
  const prepared = await prepareSide(opa, pool, head, section.entrypoints);
  out.findings.push(...prepared.findings, ...(prepared.side === undefined ? [] : await checkGuards(opa, head)));
  const baseSide = base === undefined ? undefined : await prepareBase(opa, pool, base, section, out);
  if (prepared.side !== undefined) {
    await judgeTests(opa, head, base, section, out);
    await judgeCoverage(context, opa, section, prepared.side, out);
    if (section.mutation !== undefined) await judgeMutants(context, opa, pool, section, prepared.side, out);
    try {
      await judgeBehaviour(context, section, prepared.side, baseSide, base, out);
    } catch (error) {
      out.findings.push(...refusedFindings(error, wholePolicy(head.modules)));
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
    passReason: `${head.modules.size} modules checked${typeof proof === 'string' ? `; invariants ${proof}` : ''}`,
  });
}

async function baseSource(tree: FileTree | undefined, section: Section<'policy'>): Promise<PolicySource | undefined> {
  if (tree === undefined) return undefined;
  const files = (await Promise.all(section.roots.map((root) => tree.list(normalise(root))))).flat();
  // A policy that is new on head has nothing to be compared with.
  if (!files.some((path) => path.endsWith('.rego'))) return undefined;
  const has = async (path: string | undefined): Promise<boolean> =>
    path !== undefined && (await tree.list(normalise(path))).length > 0;
  const data = (await Promise.all((section.data ?? []).map(async (path) => ((await has(path)) ? [path] : [])))).flat();
  const roots = (await Promise.all(section.roots.map(async (root) => ((await has(root)) ? [root] : [])))).flat();
  return loadPolicySource(tree, { roots, data, ...((await has(section.invariants)) ? { invariants: section.invariants } : {}) });
}

async function prepareBase(
  opa: Opa,
  pool: EvaluatorPool,
  base: PolicySource,
  section: Section<'policy'>,
  out: Collected,
): Promise<Side | undefined> {
  let prepared: Prepared;
  try {
    prepared = await prepareSide(opa, pool, base, section.entrypoints);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    prepared = { side: undefined, findings: [] };
  }
  if (prepared.side === undefined) {
    out.facts['decisionDiff'] = 'none: the policy of base does not compile, so there is nothing to compare with';
  }
  return prepared.side;
}

/** `opa check --strict` over tests and invariants too; the policy itself has passed already. */
async function checkGuards(opa: Opa, head: PolicySource): Promise<readonly Finding[]> {
  if (head.tests.size === 0 && head.invariants.size === 0) return [];
  const problems = await opa.check(new Map([...head.modules, ...head.invariants, ...head.tests]), head.data);
  return problems.map((p) => checkFinding(p, wholePolicy(head.modules)));
}

async function judgeTests(
  opa: Opa,
  head: PolicySource,
  base: PolicySource | undefined,
  section: Section<'policy'>,
  out: Collected,
): Promise<void> {
  const tests = await runTests(opa, {
    ...head,
    threshold: section.coverage,
    demanded: section.ruleCoverage !== undefined || section.decisionCoverage !== undefined,
  });
  out.findings.push(...tests.findings);
  out.measurements.push(...tests.measurements);
  out.tables.push(...tests.tables);
  out.facts['tests'] = `${tests.passed} of ${tests.total} passed`;
  if (base === undefined) return;
  const edited = changedGuards({ modules: base.tests, what: 'the tests' }, head.tests);
  if (![...base.tests].some(([path, text]) => head.tests.get(path) !== text)) return;
  out.findings.push(...edited);
  const again = await runTests(opa, {
    modules: head.modules,
    tests: base.tests,
    invariants: head.invariants,
    data: head.data,
    threshold: undefined,
  });
  out.findings.push(...judgeBaseTests(again.findings, base.tests, head.tests));
}

/** Coverage by rule, and on the domain by decision value: of the tests that head has, when all of them pass. */
async function judgeCoverage(
  context: GateContext,
  opa: Opa,
  section: Section<'policy'>,
  head: Side,
  out: Collected,
): Promise<void> {
  if (!testsUsable(head, out)) return;
  context.progress.step('policy: coverage by rule and decision');
  const guards = await readGuards(context.head, head.source.invariants, section.domain);
  const report = await coverageReport(opa, head.source, {
    entrypoints: section.entrypoints,
    rules: section.ruleCoverage,
    decisions: section.decisionCoverage,
    against:
      guards.domain === undefined
        ? undefined
        : { side: head, domain: domainFor(guards.domain, head, undefined), maxPoints: DEFAULT_VALUE_POINTS },
  });
  out.findings.push(...report.findings);
  out.measurements.push(...report.measurements);
  out.tables.push(...report.tables);
  Object.assign(out.facts, report.facts);
  out.inconclusive ??= report.inconclusive;
}

/** What tests can be judged by: there are some, and they pass on the policy itself. */
function testsUsable(head: Side, out: Collected): boolean {
  const stop = out.findings.some((f) => f.ruleId === 'policy-test-failed' || f.ruleId === 'policy-check-failed');
  return !stop && head.source.tests.size > 0;
}

/** Mutation testing where it is configured: of the tests that head has, when all of them pass. */
async function judgeMutants(
  context: GateContext,
  opa: Opa,
  pool: EvaluatorPool,
  section: Section<'policy'>,
  head: Side,
  out: Collected,
): Promise<void> {
  if (!testsUsable(head, out)) return;
  context.progress.step('policy: mutants of the policy');
  const guards = await readGuards(context.head, head.source.invariants, section.domain);
  const domain = guards.domain === undefined ? undefined : domainFor(guards.domain, head, undefined);
  const entrypoint = section.entrypoints[0]!;
  const mutated = await mutate(opa, pool, head.source, {
    maxMutants: section.mutation?.maxMutants ?? GATE_MUTANTS,
    maxSeconds: DEFAULT_MUTATION_SECONDS,
    maxPoints: DEFAULT_MUTANT_POINTS,
    progress: context.progress,
    against: domain === undefined ? undefined : { side: head, entrypoint, domain },
  });
  const report = mutationReport(mutated, entrypoint, section.mutation?.threshold);
  out.findings.push(...report.findings);
  out.measurements.push(...report.measurements);
  out.tables.push(...report.tables);
  out.facts['mutation'] = report.summary;
  out.inconclusive ??= report.inconclusive;
}

async function judgeBehaviour(
  context: GateContext,
  section: Section<'policy'>,
  head: Side,
  base: Side | undefined,
  baseFiles: PolicySource | undefined,
  out: Collected,
): Promise<void> {
  const { progress } = context;
  const entrypoint = section.entrypoints[0]!;
  const own = await readGuards(context.head, head.source.invariants, section.domain);
  const kept =
    baseFiles === undefined || context.base === undefined
      ? undefined
      : await readGuards(context.base, baseFiles.invariants, section.domain);
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
  if (invariantsChanged)
    out.findings.push(...changedGuards({ modules: kept!.invariants, what: 'the invariants' }, own.invariants));
  if (domainChanged)
    out.findings.push(
      policyFinding({
        ruleId: 'policy-gate-changed',
        message: `The change edits the input domain ${section.domain}; base's version still judges it, and head's own version is checked as well.`,
        location: { file: section.domain!, line: 1 },
        subject: section.domain!,
      }),
    );

  const domain = guards.domain === undefined ? undefined : domainFor(guards.domain, head, base);
  const corpus = await corpusFor(context, section, entrypoint);
  const certain = await lintStatic(head);
  let onDomain: readonly Finding[] = [];
  if (domain !== undefined) {
    progress.step('policy: invariants');
    await judgeInvariants(context, section, head, base, guards, domain, '', out);
    if ((invariantsChanged || domainChanged) && own.invariants.size > 0) {
      const ownDomain = own.domain === undefined ? domain : domainFor(own.domain, head, base);
      await judgeInvariants(context, section, head, base, own, ownDomain, " (head's own)", out);
    }
    progress.step('policy: rule analysis');
    const analysed = await lintOnDomain(head, [entrypoint], domain, {
      maxPoints: LINT_POINTS,
      progress,
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
  const inputs = [
    ...(corpus?.inputs ?? []).slice(0, BENCH_INPUTS),
    ...(domain === undefined ? [] : domainInputs(domain, BENCH_INPUTS)),
  ].map((i) => i.input);
  if (corpus !== undefined) await evaluationErrors(head, entrypoint, corpus, out);
  if (base !== undefined && (corpus !== undefined || domain !== undefined)) {
    progress.step('policy: decision diff');
    const replayed = await replay(base, head, {
      entrypoint,
      corpus,
      domain,
      maxPoints: DEFAULT_DIFF_POINTS,
      blocking: section.diff?.block,
    });
    out.findings.push(...replayed.findings);
    out.tables.push(...replayed.tables);
    out.inconclusive ??= replayed.inconclusive;
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
  if (inputs.length === 0) return;
  progress.step('policy: parity and latency');
  const recorded = [...new Set((corpus?.inputs ?? []).map((i) => i.input).concat(inputs))];
  const parity = await compareCorpusWithOpa(head, entrypoint, recorded, PARITY_SECONDS);
  out.findings.push(...parity.findings);
  out.facts['parity'] = `${parity.compared} of ${recorded.length} inputs compared with OPA's own evaluator`;
  const latency = await judgeLatency(head, base, inputs, {
    budgetMs: section.latencyBudgetMs ?? DEFAULT_BUDGET_MS,
    rounds: BENCH_ROUNDS,
  });
  out.findings.push(...latency.findings);
  out.measurements.push(...latency.measurements);
  out.tables.push(...latency.tables);
  if (latency.undecided.length > 0) {
    out.facts['latencyRegression'] = {
      volatile: true,
      undecided: [...latency.undecided],
      reason: 'the blocks of base and head differ too much among themselves to tell',
    };
  }
}

async function judgeInvariants(
  context: GateContext,
  section: Section<'policy'>,
  head: Side,
  base: Side | undefined,
  guards: Guards,
  domain: Domain,
  suffix: string,
  out: Collected,
): Promise<void> {
  const invariants = withoutTests(guards.invariants);
  if (invariants.size === 0) return;
  const entrypoint = section.entrypoints[0]!;
  let packages: readonly string[];
  try {
    packages = invariantPackages(await head.opa.parse(invariants), section.invariants ?? 'invariants');
    const task = { entrypoint, domain, invariants, packages, other: base?.definitions };
    const proof = await prove(head, {
      ...task,
      maxPoints: section.maxPoints ?? DEFAULT_MAX_POINTS,
      seed: context.seed,
      progress: context.progress,
    });
    if (proof.failure?.failure.kind === 'conflict') out.failing.push(JSON.stringify(proof.failure.input));
    const smt = section.smt === true ? await smtProof(head, { ...task, signal: context.signal }, proof) : undefined;
    const findings = [...proofFindings(proof, context.seed, entrypointLocation(head, entrypoint)), ...(smt?.findings ?? [])];
    const known = new Set(out.findings.map((f) => f.id));
    out.findings.push(...findings.filter((f) => !known.has(f.id)));
    out.tables.push({ ...proofTable(proof, domain, context.seed), title: `Invariants${suffix}` });
    out.facts[suffix === '' ? 'proof' : 'proofOfHeadsOwn'] = coverageText(proof, context.seed);
    out.measurements.push({
      name: 'policy.proof.points',
      value: proof.evaluated - proof.excluded,
      unit: '{point}',
      ...(suffix === '' ? {} : { segment: 'head' }),
      n: proof.exhaustive ? proof.size - proof.excluded : proof.size,
    });
    if (smt !== undefined) {
      out.tables.push(...smt.tables.map((table) => ({ ...table, title: `${table.title}${suffix}` })));
      out.facts[suffix === '' ? 'smt' : 'smtOfHeadsOwn'] = smt.fact;
      out.measurements.push(...smt.measurements.map((m) => (suffix === '' ? m : { ...m, segment: 'head' })));
      out.inconclusive ??= smt.inconclusive;
    }
    if (proof.excluded === proof.evaluated)
      out.inconclusive ??= `No point of the domain satisfies ${domain.where ?? 'where'}: the invariants were checked on nothing.`;
  } catch (error) {
    out.findings.push(...refusedFindings(error, wholePolicy(head.source.modules)));
  }
}

/** Inputs of recorded traffic on which head ends in an error. */
async function evaluationErrors(head: Side, entrypoint: string, corpus: Corpus, out: Collected): Promise<void> {
  const outcomes = await head.pool.outcomes(
    head.plain,
    entrypoint,
    corpus.inputs.map((i) => i.input),
  );
  const failed = outcomes.flatMap((outcome, index) =>
    'failure' in outcome ? [{ failure: outcome.failure, input: corpus.inputs[index]!.input }] : [],
  );
  const first = failed[0];
  if (first !== undefined)
    out.findings.push(
      failureFinding(
        entrypoint,
        first.failure,
        JSON.parse(first.input) as Json,
        failed.length,
        entrypointLocation(head, entrypoint),
      ),
    );
}

async function corpusFor(context: GateContext, section: Section<'policy'>, entrypoint: string): Promise<Corpus | undefined> {
  if (section.corpus === undefined) return undefined;
  const file = normalise(section.corpus);
  const bytes = (await context.base?.read(file)) ?? (await context.head.read(file));
  if (bytes === undefined)
    throw new ConfigurationError({ message: 'the file does not exist (named by policy.corpus).', location: { file } });
  return readCorpus(bytes, file, entrypoint);
}

/** Boundaries are mined from both sides, so that a limit that head moves is looked at where it was and where it is. */
export function domainFor(document: SourceDocumentLike, head: Side, base: Side | undefined): Domain {
  const sides = base === undefined ? [head] : [head, base];
  return readDomain(document, {
    comparisons: sides.flatMap((side) => comparisonsOf(side.asts, side.source.data)),
    texts: sides.flatMap((side) => [...side.source.modules.values(), JSON.stringify(side.source.data)]),
    data: sides.map((side) => side.source.data),
  });
}
type SourceDocumentLike = Parameters<typeof readDomain>[0];

function differ(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size !== b.size || [...a].some(([path, text]) => b.get(path) !== text);
}
