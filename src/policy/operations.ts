import type { RunContext } from '../core/context.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { type GateResult, gateResult, type Table } from '../core/gate.ts';
import type { Tool } from '../core/gate-context.ts';
import { canonicalJson, type Json } from '../core/json.ts';
import { attribute, describeDefinition, sameOutcome } from './attribution.ts';
import { comparisonsOf } from './boundaries.ts';
import type { Corpus } from './corpus.ts';
import { type CoverageReport, coverageReport, DEFAULT_VALUE_POINTS } from './coverage-report.ts';
import { decisionOf } from './decision.ts';
import { definitionsOf, reaches } from './definitions.ts';
import { type Domain, readDomain } from './domain.ts';
import { absentFields, counterfactual, unfiredOf } from './explain.ts';
import { explainFacts, explainTables } from './explain-report.ts';
import { failureFinding, proofFindings, proofTable } from './findings.ts';
import { type GrowthOptions, type GrowthReport, growthReport, measureGrowth } from './growth.ts';
import { invariantPackages } from './invariants.ts';
import { judgeLatency } from './latency.ts';
import { analysedText, lintOnDomain } from './lint.ts';
import { lintStatic, withoutKnown } from './lint-static.ts';
import { type MutationOptions, mutate } from './mutation.ts';
import { type MutationReport, mutationReport } from './mutation-report.ts';
import { Opa } from './opa.ts';
import { EvaluatorPool } from './pool.ts';
import { coverageText, prove } from './prove.ts';
import { domainInputs, replay } from './replay.ts';
import { checkFinding, entrypointLocation, prepareSide, refusedFindings, type Side, tracedProgram, wholePolicy } from './side.ts';
import { smtProof } from './smt/report.ts';
import { type Modules, type PolicySource, sourceDigest, withoutTests } from './source.ts';
import { runTests } from './tests.ts';

/** What every operation runs on. */
export interface Workbench extends AsyncDisposable {
  readonly opa: Opa;
  readonly pool: EvaluatorPool;
  readonly run: RunContext;
}

export function openWorkbench(tool: Tool, run: RunContext, limitMs?: number): Workbench {
  const opa = new Opa(tool, run.signal);
  const pool = new EvaluatorPool({ limitMs, signal: run.signal });
  return {
    opa,
    pool,
    run,
    async [Symbol.asyncDispose]() {
      await pool[Symbol.asyncDispose]();
      await opa[Symbol.asyncDispose]();
    },
  };
}

export type DomainDocument = Parameters<typeof readDomain>[0];

/** `opa check --strict`, compilation and the builtin gate; without entrypoints every rule that takes no arguments is compiled. */
export async function checkPolicy(bench: Workbench, source: PolicySource, entrypoints: readonly string[]): Promise<GateResult> {
  const all: Modules = new Map([...source.modules, ...source.invariants, ...source.tests]);
  const findings: Finding[] = (await bench.opa.check(all, source.data)).map((p) => checkFinding(p, wholePolicy(source.modules)));
  if (findings.length === 0) {
    const wanted = entrypoints.length > 0 ? entrypoints : await everyRule(bench, source);
    if (wanted.length > 0) findings.push(...(await prepareSide(bench.opa, bench.pool, source, wanted)).findings);
  }
  return result(findings, source, `${all.size} modules pass opa check --strict and use only builtins that the WASM host has`);
}

async function everyRule(bench: Workbench, source: PolicySource): Promise<readonly string[]> {
  const definitions = definitionsOf(await bench.opa.parse(source.modules));
  const names = definitions.filter((d) => !d.takesArguments && /^[\w.]+$/.test(d.rule)).map((d) => d.rule.replaceAll('.', '/'));
  return [...new Set(names)].sort();
}

export interface MutationTestOptions {
  /** Least share of mutants killed, in percent. */
  readonly threshold: number | undefined;
  readonly maxMutants: number;
  readonly maxSeconds: number;
  readonly maxPoints: number;
  /** With both, mutants that decide the same everywhere are told from survivors. */
  readonly entrypoint: string | undefined;
  readonly document: DomainDocument | undefined;
}

export interface CoverageTestOptions {
  /** Least share of definitions that a test reaches, in percent. */
  readonly rules: number | undefined;
  /** Least share of decision values that a test sees, in percent. */
  readonly decisions: number | undefined;
  /** With both, decision values that the policy can take are told from those that tests see. */
  readonly entrypoint: string | undefined;
  readonly document: DomainDocument | undefined;
}

const UNJUDGED: CoverageTestOptions = { rules: undefined, decisions: undefined, entrypoint: undefined, document: undefined };

export async function testPolicy(
  bench: Workbench,
  source: PolicySource,
  threshold: number | undefined,
  mutation?: MutationTestOptions,
  wanted: CoverageTestOptions = UNJUDGED,
): Promise<GateResult> {
  const problems = (await bench.opa.check(new Map([...source.modules, ...source.invariants]), source.data)).map((p) =>
    checkFinding(p, wholePolicy(source.modules)),
  );
  if (problems.length > 0) return result(problems, source, '');
  const outcome = await runTests(bench.opa, {
    ...source,
    threshold,
    demanded: wanted.rules !== undefined || wanted.decisions !== undefined,
  });
  // Skipped tests don't stand in the way.
  const usable = outcome.total > 0 && !outcome.findings.some((f) => f.ruleId === 'policy-test-failed');
  const covered = usable ? await coverPolicy(bench, source, wanted) : undefined;
  const mutants = mutation === undefined || !usable ? undefined : await mutatePolicy(bench, source, mutation);
  const reached = Object.values(covered?.facts ?? {}).filter((fact) => typeof fact === 'string');
  return {
    ...result(
      [...outcome.findings, ...(covered?.findings ?? []), ...(mutants?.findings ?? [])],
      source,
      [`${outcome.passed} of ${outcome.total} tests pass`, ...reached, ...(mutants === undefined ? [] : [mutants.summary])].join(
        '; ',
      ),
      [...outcome.tables, ...(covered?.tables ?? []), ...(mutants?.tables ?? [])],
      covered?.inconclusive ?? mutants?.inconclusive,
    ),
    measurements: [...outcome.measurements, ...(covered?.measurements ?? []), ...(mutants?.measurements ?? [])],
    facts: {
      tests: `${outcome.passed} of ${outcome.total} passed`,
      ...covered?.facts,
      ...(mutants === undefined ? {} : { mutation: mutants.summary }),
    },
  };
}

/** Coverage by rule and by decision value; the tests must have passed on the policy itself. */
async function coverPolicy(bench: Workbench, source: PolicySource, wanted: CoverageTestOptions): Promise<CoverageReport> {
  const { entrypoint, document, rules, decisions } = wanted;
  const entrypoints = entrypoint === undefined ? [] : [entrypoint];
  if (entrypoint === undefined || document === undefined)
    return coverageReport(bench.opa, source, { entrypoints, rules, decisions, against: undefined });
  const { side, findings } = await prepareSide(bench.opa, bench.pool, source, [entrypoint]);
  if (side === undefined) return { findings, measurements: [], tables: [], facts: {}, inconclusive: undefined };
  return coverageReport(bench.opa, source, {
    entrypoints,
    rules,
    decisions,
    against: { side, domain: domainOf(document, [side]), maxPoints: DEFAULT_VALUE_POINTS },
  });
}

/** Mutation testing; the tests must have passed on the policy itself. */
async function mutatePolicy(bench: Workbench, source: PolicySource, options: MutationTestOptions): Promise<MutationReport> {
  const { entrypoint, document } = options;
  let against: MutationOptions['against'];
  if (entrypoint !== undefined && document !== undefined) {
    const { side, findings } = await prepareSide(bench.opa, bench.pool, source, [entrypoint]);
    if (side === undefined)
      return {
        findings,
        measurements: [],
        tables: [],
        summary: 'no mutants: the policy does not compile',
        inconclusive: undefined,
      };
    against = { side, entrypoint, domain: domainOf(document, [side]) };
  }
  const mutated = await mutate(bench.opa, bench.pool, source, { ...options, progress: bench.run.progress, against });
  return mutationReport(mutated, entrypoint, options.threshold);
}

export async function lintPolicy(
  bench: Workbench,
  source: PolicySource,
  entrypoints: readonly string[],
  document: DomainDocument | undefined,
  maxPoints: number,
): Promise<GateResult> {
  return guarded(source, async () => {
    const prepared = await prepareSide(
      bench.opa,
      bench.pool,
      source,
      entrypoints.length > 0 ? entrypoints : await everyRuleOrNone(bench, source),
    );
    if (prepared.side === undefined) return result(prepared.findings, source, '');
    const { side } = prepared;
    const certain = await lintStatic(side);
    if (document === undefined) {
      const note =
        entrypoints.length === 0
          ? 'Every rule counts as an entrypoint: name yours with --entrypoint to find unused rules.'
          : 'No domain given: dead, shadowed and fail-open rules can only be found on one (--domain).';
      return {
        ...result(
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
      ...result(findings, source, `every definition matters on the domain of ${domain.size} points`, [], refused),
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

export async function provePolicy(
  bench: Workbench,
  source: PolicySource,
  options: {
    readonly entrypoint: string;
    readonly document: DomainDocument;
    readonly invariants: Modules;
    readonly folder: string;
    readonly maxPoints: number;
    /** Strength of the covering array of a search; the largest that fits unless given. */
    readonly strength?: number | undefined;
    /** Also for every input there is, where the policy is in the subset of the SMT proof. */
    readonly smt?: boolean;
  },
): Promise<GateResult> {
  const prepared = await prepareSide(bench.opa, bench.pool, source, [options.entrypoint]);
  if (prepared.side === undefined) return result(prepared.findings, source, '');
  const invariants = withoutTests(options.invariants);
  const problems = (await bench.opa.check(new Map([...source.modules, ...invariants]), source.data)).map((p) =>
    checkFinding(p, wholePolicy(source.modules)),
  );
  if (problems.length > 0) return result(problems, source, '');
  const domain = domainOf(options.document, [prepared.side]);
  const { seed, progress } = bench.run;
  const packages = invariantPackages(await bench.opa.parse(invariants), options.folder);
  try {
    const task = { entrypoint: options.entrypoint, domain, invariants, packages };
    const proof = await prove(prepared.side, {
      ...task,
      maxPoints: options.maxPoints,
      strength: options.strength,
      seed,
      progress,
    });
    const smt = options.smt === true ? await smtProof(prepared.side, { ...task, signal: bench.run.signal }, proof) : undefined;
    const coverage = coverageText(proof, seed);
    const nothing = proof.evaluated > 0 && proof.excluded === proof.evaluated;
    return {
      ...result(
        [...proofFindings(proof, seed, entrypointLocation(prepared.side, options.entrypoint)), ...(smt?.findings ?? [])],
        source,
        `${packages.length} invariant packages ${coverage}`,
        [proofTable(proof, domain, seed), ...(smt?.tables ?? [])],
        nothing
          ? `No point of the domain satisfies ${domain.where ?? 'where'}: the invariants were checked on nothing.`
          : smt?.inconclusive,
      ),
      measurements: [
        {
          name: 'policy.proof.points',
          value: proof.evaluated - proof.excluded,
          unit: '{point}',
          n: proof.exhaustive ? proof.size - proof.excluded : proof.size,
        },
        {
          name: 'policy.proof.rate',
          value: Math.round(proof.evaluated / Math.max(proof.seconds, 1e-9)),
          unit: '{point}/s',
          volatile: true,
        },
        ...(smt?.measurements ?? []),
      ],
      facts: {
        proof: coverage,
        excluded: proof.excluded,
        domain: domain.digest,
        ...(smt === undefined ? {} : { smt: smt.fact }),
      },
    };
  } catch (error) {
    return result(refusedFindings(error, wholePolicy(source.modules)), source, '');
  }
}

export async function diffPolicies(
  bench: Workbench,
  base: PolicySource,
  head: PolicySource,
  options: {
    readonly entrypoint: string;
    readonly corpus: Corpus | undefined;
    readonly document: DomainDocument | undefined;
    readonly maxPoints: number;
    readonly blocking: readonly string[] | undefined;
  },
): Promise<GateResult> {
  return guarded(head, async () => {
    const [before, after] = [
      await prepareSide(bench.opa, bench.pool, base, [options.entrypoint]),
      await prepareSide(bench.opa, bench.pool, head, [options.entrypoint]),
    ];
    if (before.side === undefined) {
      throw new ConfigurationError(
        before.findings.map((f) => ({
          message: `the base policy can't be evaluated: ${f.message}`,
          ...(f.location === undefined ? {} : { location: f.location }),
        })),
      );
    }
    if (after.side === undefined) return result(after.findings, head, '');
    const domain = options.document === undefined ? undefined : domainOf(options.document, [after.side, before.side]);
    const replayed = await replay(before.side, after.side, { ...options, domain });
    const changed = replayed.diffs.reduce((sum, d) => sum + d.diff.changed, 0);
    const total = replayed.diffs.reduce((sum, d) => sum + d.diff.replayed, 0);
    return {
      ...result(
        replayed.findings,
        head,
        changed === 0
          ? `no decision differs in ${total} inputs`
          : `${changed} of ${total} decisions differ, none in a class that blocks`,
        replayed.tables,
        replayed.inconclusive,
      ),
      measurements: replayed.diffs.flatMap(({ what, diff, skipped }) => [
        { name: 'policy.diff.changed', value: diff.changed, unit: '{request}', segment: what, n: diff.replayed },
        { name: 'policy.diff.not_replayed', value: skipped, unit: '{request}', segment: what },
        { name: 'policy.diff.duration', value: Math.round(diff.seconds * 1000) / 1000, unit: 's', segment: what, volatile: true },
      ]),
      facts: Object.fromEntries(
        replayed.diffs.map(({ what, diff }) => [
          what,
          {
            replayed: diff.replayed,
            changed: diff.changed,
            classes: Object.fromEntries(
              diff.groups.map((g) => [
                g.class,
                {
                  count: g.count,
                  share: Math.round(g.share * 1e6) / 1e6,
                  causes: { ...g.causes },
                  transitions: g.transitions.map((t) => ({ ...t })),
                },
              ]),
            ),
          } as Json,
        ]),
      ),
    };
  });
}

/** Evaluations at each size of the growth measurement; there are up to nine sizes. */
const GROWTH_ROUNDS = 2000;

export async function benchPolicy(
  bench: Workbench,
  source: PolicySource,
  options: {
    readonly entrypoints: readonly string[];
    readonly inputs: readonly string[];
    readonly document: DomainDocument | undefined;
    readonly budgetMs: number;
    readonly rounds: number;
    /** Also measure at several sizes. */
    readonly growth?: Pick<GrowthOptions, 'inputPath' | 'dataPath'> | undefined;
  },
): Promise<GateResult> {
  return guarded(source, async () => {
    const prepared = await prepareSide(bench.opa, bench.pool, source, options.entrypoints);
    if (prepared.side === undefined) return result(prepared.findings, source, '');
    const inputs =
      options.document === undefined
        ? options.inputs
        : [...options.inputs, ...domainInputs(domainOf(options.document, [prepared.side]), 1000).map((i) => i.input)];
    const latency = await judgeLatency(prepared.side, undefined, inputs.length > 0 ? inputs : ['{}'], {
      budgetMs: options.budgetMs,
      rounds: options.rounds,
    });
    const reports: GrowthReport[] = [];
    for (const entrypoint of options.growth === undefined ? [] : options.entrypoints) {
      bench.run.progress.step(`policy: growth of ${entrypoint}`);
      const rounds = Math.min(options.rounds, GROWTH_ROUNDS);
      const wanted = { ...options.growth!, entrypoint, inputs, rounds, budgetMs: options.budgetMs };
      reports.push(growthReport(entrypoint, await measureGrowth(prepared.side, wanted), options.budgetMs));
    }
    // An empty input ends at the first field that it lacks: a number, but hardly the one that is wanted.
    const on = inputs.length > 0 ? '' : ', on an empty input only: give --corpus, --domain or --input';
    return {
      ...result(latency.findings, source, `every entrypoint is within ${options.budgetMs} ms at p99${on}`, [
        ...latency.tables,
        ...reports.flatMap((r) => r.tables),
      ]),
      measurements: [...latency.measurements, ...reports.flatMap((r) => r.measurements)],
      ...(reports.length === 0 ? {} : { charts: reports.flatMap((r) => r.charts) }),
    };
  });
}

/**
 * One decision, and the rules that made it. `explain` adds the rules that did not hold and why, the input fields that
 * are absent, and on a domain the smallest changes of the input that flip the decision.
 */
export async function evaluatePolicy(
  bench: Workbench,
  source: PolicySource,
  entrypoint: string,
  input: Json,
  explain?: { readonly document: DomainDocument | undefined },
): Promise<GateResult> {
  return guarded(source, async () => {
    const prepared = await prepareSide(bench.opa, bench.pool, source, [entrypoint]);
    if (prepared.side === undefined) return result(prepared.findings, source, '');
    const { side } = prepared;
    const text = JSON.stringify(input);
    const [outcome] = await bench.pool.outcomes(side.plain, entrypoint, [text]);
    if ('failure' in outcome!)
      return result([failureFinding(entrypoint, outcome.failure, input, 1, entrypointLocation(side, entrypoint))], source, '');
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
      ...result([], source, decision === undefined ? `${entrypoint} is undefined for this input` : `${entrypoint} decides`, [
        ...(attribution === undefined ? [] : [rulesTable(attribution.fired, because)]),
        ...(why === undefined ? [] : explainTables(why)),
      ]),
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

/** A policy that can't be loaded, or runs into a limit, is a finding of every operation. */
async function guarded(source: PolicySource, work: () => Promise<GateResult>): Promise<GateResult> {
  try {
    return await work();
  } catch (error) {
    return result(refusedFindings(error, wholePolicy(source.modules)), source, '');
  }
}

function domainOf(document: DomainDocument, sides: readonly Side[]): Domain {
  return readDomain(document, {
    comparisons: sides.flatMap((side) => comparisonsOf(side.asts, side.source.data)),
    texts: sides.flatMap((side) => [...side.source.modules.values(), JSON.stringify(side.source.data)]),
    data: sides.map((side) => side.source.data),
  });
}

function result(
  findings: readonly Finding[],
  source: PolicySource,
  passReason: string,
  tables: readonly Table[] = [],
  inconclusive?: string,
): GateResult {
  return gateResult({
    id: 'policy',
    findings,
    passReason,
    tables,
    inconclusive,
    subjects: [{ name: 'policy', digest: { sha256: sourceDigest(source) } }],
  });
}
