import type { Progress } from '../core/context.ts';
import { ConfigurationError, InternalError } from '../core/errors.ts';
import { isObject, type Json, type JsonObject } from '../core/json.ts';
import type { Modules } from '../rego/source.ts';
import { type Attribution, attribute } from './attribution.ts';
import { compileProgram } from './compile.ts';
import { decisionOf } from './decision.ts';
import { type Definition, definitionsOf } from './definitions.ts';
import { type Domain, digitsOf, inputOf, valueAt } from './domain.ts';
import { CHECK_ENTRYPOINT, checkModule } from './invariants.ts';
import { OpaRefused } from './opa-problems.ts';
import { coveringStrength, requireStrength, samplePoints, take } from './sampling.ts';
import { shrink } from './shrink.ts';
import { type Side, tracedProgramWith } from './side.ts';
import type { ProveResult, TaskDomain, Violation } from './tasks.ts';
import { EvaluationLimit } from './tasks.ts';
import type { EvaluationFailure, Outcome } from './wasm.ts';

/** Above this many points a domain is searched instead of enumerated. About 15 s a million points on one slow core. */
export const DEFAULT_MAX_POINTS = 2_000_000;
const CHUNK = 4096;

export interface ProofOptions {
  readonly entrypoint: string;
  readonly domain: Domain;
  readonly invariants: Modules;
  readonly packages: readonly string[];
  readonly maxPoints: number;
  /** Strength of the covering array that a search begins with; the largest that fits unless given. */
  readonly strength?: number | undefined;
  readonly seed: number;
  readonly progress: Progress;
  /** Definitions of the base side, for pointing at what changed. */
  readonly other?: readonly Definition[] | undefined;
}

export interface Counterexample {
  readonly invariant: string;
  readonly message: string;
  /** Points of the domain that break it in this way. */
  readonly count: number;
  readonly input: JsonObject;
  readonly decision: Json | undefined;
  /** Paths in which the input differs from the domain's base. */
  readonly differs: readonly string[];
  readonly attribution: Attribution | undefined;
}

export interface Proof {
  readonly entrypoint: string;
  /** Points that were evaluated, `where` applied or not. */
  readonly evaluated: number;
  /** Points of the whole domain. */
  readonly size: number;
  readonly excluded: number;
  readonly exhaustive: boolean;
  /**
   * Every combination of values of this many dimensions was evaluated. Absent of a full enumeration, of a search that was
   * cut short or is too small for it, and where `where` leaves points (and so combinations) out.
   */
  readonly strength: number | undefined;
  readonly counterexamples: readonly Counterexample[];
  readonly failures: number;
  readonly failure: { readonly input: JsonObject; readonly failure: EvaluationFailure } | undefined;
  readonly packages: readonly string[];
  readonly seconds: number;
}

/**
 * "proved on 124416 of 124416" or "searched 2000000 of 8000000 (every 4-way combination, seed 1)". Points that `where`
 * leaves out prove nothing and don't count.
 */
export function coverageText(
  proof: Pick<Proof, 'exhaustive' | 'evaluated' | 'size' | 'excluded' | 'strength'>,
  seed: number,
): string {
  if (proof.exhaustive) return `proved on ${proof.evaluated - proof.excluded} of ${proof.size - proof.excluded}`;
  const covered = proof.strength === undefined ? '' : `every ${proof.strength}-way combination, `;
  return `searched ${proof.evaluated} of ${proof.size} (${covered}seed ${seed})`;
}

/** A `where` that names nothing would leave every point out: a mistake in the domain file, not a lack of evidence. */
async function requireWhere(side: Side, { domain, invariants }: ProofOptions): Promise<void> {
  const { where } = domain;
  if (where === undefined) return;
  const rules = [...side.definitions, ...definitionsOf(await side.opa.parse(invariants))].map((d) => d.rule);
  if (rules.some((rule) => rule === where || where.startsWith(`${rule}.`))) return;
  if (valueAt(side.source.data, where.split('.')) !== undefined) return;
  throw new ConfigurationError({
    message: `where is \`${where.replaceAll('.', '/')}\`, which is no rule of the policy or its invariants.`,
    location: domain.whereLocation ?? domain.location,
    expected: 'PACKAGE/RULE',
  });
}

/** Evaluates decision and invariants on the domain: every point where it is small enough, else a seeded search. */
export async function prove(side: Side, options: ProofOptions): Promise<Proof> {
  const { domain, entrypoint, maxPoints, seed, packages, progress } = options;
  const exhaustive = domain.size <= maxPoints;
  if (!exhaustive && options.strength !== undefined) requireStrength(domain, maxPoints, options.strength);
  await requireWhere(side, options);
  const { program, extra } = await checkProgram(side, options);
  const task: TaskDomain = { base: domain.base, dimensions: domain.dimensions, digest: domain.digest };
  const start = performance.now();
  const parts: ProveResult[] = [];
  const strength = options.strength ?? coveringStrength(domain, maxPoints);
  const search = exhaustive ? undefined : samplePoints(domain, maxPoints, seed, strength);
  const total = exhaustive ? domain.size : maxPoints;
  let next = 0;
  let done = 0;
  let stopped: Proof['failure'];
  // Two chunks in flight a worker: a large domain never makes a large queue, nor many points in memory.
  const lane = async (): Promise<void> => {
    while (stopped === undefined && next < total) {
      const from = next;
      const digits = search === undefined ? undefined : take(search, Math.min(CHUNK, total - from));
      if (digits?.length === 0) return;
      const to = from + (digits?.length ?? Math.min(CHUNK, total - from));
      next = to;
      try {
        parts.push(
          await side.pool.run({
            kind: 'prove',
            program,
            entrypoint: CHECK_ENTRYPOINT,
            domain: task,
            from,
            to,
            ...(digits === undefined ? {} : { digits }),
          }),
        );
      } catch (error) {
        if (!(error instanceof EvaluationLimit)) throw error;
        const item = Math.max(0, error.item);
        stopped ??= { input: inputOf(domain, digits?.[item] ?? digitsOf(domain, from + item)), failure: error.failure };
      }
      done += to - from;
      progress.fraction(done, total, 'domain points');
    }
  };
  await Promise.all(Array.from({ length: side.pool.workers * 2 }, lane));
  const seconds = (performance.now() - start) / 1000;
  const merged = mergeViolations(parts.flatMap((part) => part.violations));
  const failures = parts.reduce((sum, part) => sum + part.failures, 0) + (stopped === undefined ? 0 : 1);
  const failed = parts
    .flatMap((part) => (part.failure === undefined ? [] : [part.failure]))
    .sort((a, b) => compareDigits(a.digits, b.digits))[0];
  const traced = merged.length === 0 ? undefined : await tracedCheck(side, entrypoint, extra);
  const counterexamples: Counterexample[] = [];
  for (const violation of merged)
    counterexamples.push(await counterexample(side, program, traced, violation, options, task, extra));
  const excluded = parts.reduce((sum, part) => sum + part.excluded, 0);
  return {
    entrypoint,
    evaluated: parts.reduce((sum, part) => sum + part.evaluated, 0),
    size: domain.size,
    excluded,
    exhaustive: exhaustive && stopped === undefined,
    strength: exhaustive || stopped !== undefined || excluded > 0 || strength === 0 ? undefined : strength,
    counterexamples,
    failures,
    failure: stopped ?? (failed === undefined ? undefined : { input: inputOf(domain, failed.digits), failure: failed.failure }),
    packages,
    seconds,
  };
}

/** At most this many ways of breaking one invariant are reported; the rest is counted with the last. */
const MAX_EXAMPLES = 5;

function mergeViolations(all: readonly Violation[]): readonly Violation[] {
  const byKey = new Map<string, Violation>();
  for (const v of all) {
    const key = `${v.invariant}\0${v.message}`;
    const known = byKey.get(key);
    if (known === undefined) byKey.set(key, v);
    else {
      const better =
        v.distance < known.distance || (v.distance === known.distance && compareDigits(v.digits, known.digits) < 0) ? v : known;
      byKey.set(key, { ...better, count: known.count + v.count });
    }
  }
  const sorted = [...byKey.values()].sort((a, b) =>
    a.invariant < b.invariant
      ? -1
      : a.invariant > b.invariant
        ? 1
        : a.distance - b.distance || b.count - a.count || (a.message < b.message ? -1 : 1),
  );
  const perInvariant = new Map<string, number>();
  return sorted.filter((v) => {
    const n = (perInvariant.get(v.invariant) ?? 0) + 1;
    perInvariant.set(v.invariant, n);
    return n <= MAX_EXAMPLES;
  });
}

async function counterexample(
  side: Side,
  program: number,
  traced: number | undefined,
  violation: Violation,
  options: ProofOptions,
  task: TaskDomain,
  extra: Modules,
): Promise<Counterexample> {
  const { domain } = options;
  const digits = await shrink(side.pool, program, violation, domain, task);
  const confirmed = await confirm(side, { program, traced, extra }, options, violation.invariant, inputOf(domain, digits));
  if (confirmed === undefined) throw new InternalError('a counterexample did not hold when it was executed again.');
  return {
    ...confirmed,
    message: violation.message,
    count: violation.count,
    differs: domain.dimensions.filter((d, index) => digits[index] !== d.base).map((d) => d.text),
  };
}

/** The compiled check of every invariant, and the same with hooks in every definition. */
export interface CheckPrograms {
  readonly program: number;
  readonly traced: number | undefined;
  readonly extra: Modules;
}

/** The check of every invariant, compiled without hooks. */
export async function checkProgram(
  side: Side,
  options: Pick<ProofOptions, 'entrypoint' | 'invariants' | 'packages' | 'domain'>,
): Promise<{ readonly program: number; readonly extra: Modules }> {
  const { entrypoint, packages, domain } = options;
  const extra: Modules = new Map([...options.invariants, ...checkModule(entrypoint, packages, domain.where)]);
  const program = side.pool.add(
    await compileProgram(side.opa, new Map([...side.source.modules, ...extra]), side.source.data, [CHECK_ENTRYPOINT]),
  );
  return { program, extra };
}

/** The same with hooks in every definition; undefined where OPA refuses the edit. */
export function tracedCheck(side: Side, entrypoint: string, extra: Modules): Promise<number | undefined> {
  return tracedProgramWith(side, extra, [...new Set([...side.entrypoints, entrypoint, CHECK_ENTRYPOINT])]);
}

/**
 * Executes an input by the WASM module and by OPA's own evaluator, and finds the rules that decided; undefined where the
 * WASM module keeps the invariant on it (`expected` names the message that has to be there): a spurious counterexample
 * never gets out.
 * @throws InternalError where OPA's own evaluator disagrees with the module
 */
export async function confirm(
  side: Side,
  { program, traced, extra }: CheckPrograms,
  options: Pick<ProofOptions, 'entrypoint' | 'other'>,
  invariant: string,
  input: JsonObject,
  expected?: Json,
): Promise<Omit<Counterexample, 'count' | 'differs'> | undefined> {
  const text = JSON.stringify(input);
  const messagesOf = (outcome: Outcome): Json | undefined => {
    const value = decisionOf(outcome);
    return isObject(value) && Object.hasOwn(value, invariant) ? value[invariant] : undefined;
  };
  const holds = (outcome: Outcome): boolean => {
    const messages = messagesOf(outcome);
    return Array.isArray(messages) && (expected === undefined || messages.includes(expected));
  };
  const [again, decision] = await Promise.all([
    side.pool.outcomes(program, CHECK_ENTRYPOINT, [text]),
    side.pool.outcomes(side.plain, options.entrypoint, [text]),
  ]);
  const messages = messagesOf(again[0]!);
  if (!holds(again[0]!)) return undefined;
  await confirmWithOpa(side, invariant, text, extra);
  const attribution =
    traced === undefined
      ? undefined
      : await attribute(side, traced, {
          entrypoint: CHECK_ENTRYPOINT,
          input: text,
          holds,
          decision: options.entrypoint,
          other: options.other,
        });
  const message = expected ?? (messages as readonly Json[])[0];
  return {
    invariant,
    message: typeof message === 'string' ? message : JSON.stringify(message),
    input,
    decision: decisionOf(decision[0]!),
    attribution,
  };
}

async function confirmWithOpa(side: Side, invariant: string, text: string, extra: Modules): Promise<void> {
  let results: ReadonlyMap<number, unknown>;
  try {
    results = await side.opa.evaluateAll(new Map([...side.source.modules, ...extra]), side.source.data, CHECK_ENTRYPOINT, [text]);
  } catch (error) {
    if (error instanceof OpaRefused) throw new InternalError(`OPA's own evaluator fails on a counterexample: ${error.message}`);
    throw error;
  }
  const value = results.get(0);
  if (typeof value !== 'object' || value === null || !(invariant in value)) {
    throw new InternalError(`the WASM module and OPA's own evaluator disagree about ${invariant}; input: ${text.slice(0, 2000)}`);
  }
}

function compareDigits(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}

/** The counterexample as a Rego test to paste: it fails until the policy (or the invariant) is corrected. */
export function regoTest(example: Pick<Counterexample, 'invariant' | 'input' | 'decision'>, entrypoint: string): string {
  const name = `test_${example.invariant.replaceAll(/\W+/g, '_')}_holds`;
  const decided = example.decision !== undefined;
  return [
    `package ${entrypoint.split('/').slice(0, -1).join('.')}_counterexample_test`,
    '',
    `${name} if {`,
    `\tsample := ${JSON.stringify(example.input)}`,
    ...(decided ? [`\tdecision := data.${entrypoint.replaceAll('/', '.')} with input as sample`] : []),
    `\tviolations := data.${example.invariant}.violation with input as {"input": sample${decided ? ', "decision": decision' : ''}}`,
    '\tcount(violations) == 0',
    '}',
    '',
  ].join('\n');
}
