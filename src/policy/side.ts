import type { SourceDocument } from '../config/document.ts';
import type { Finding, Location } from '../core/finding.ts';
import type { Modules, PolicySource } from '../rego/source.ts';
import { OutputLimit } from '../tools/exec.ts';
import type { AstModule } from './ast.ts';
import { comparisonsOf } from './boundaries.ts';
import { callsOf, compileProgram, missingBuiltins, type Program } from './compile.ts';
import { type Definition, definitionsOf, type Graph, graphOf } from './definitions.ts';
import { type Domain, readDomain } from './domain.ts';
import { instrument } from './instrument.ts';
import { FORBIDDEN_BUILTINS, type Opa } from './opa.ts';
import { type OpaProblem, OpaRefused } from './opa-problems.ts';
import type { EvaluatorPool } from './pool.ts';
import { policyFinding } from './rules.ts';
import { EvaluationLimit } from './tasks.ts';
import { isLimit, PolicyLoadError } from './wasm.ts';

/** One side of a change, checked and compiled. */
export interface Side {
  readonly source: PolicySource;
  readonly asts: ReadonlyMap<string, AstModule>;
  readonly definitions: readonly Definition[];
  readonly graph: Graph;
  readonly entrypoints: readonly string[];
  /** The plain module, and its number in the pool. */
  readonly program: Program;
  readonly plain: number;
  readonly opa: Opa;
  readonly pool: EvaluatorPool;
}

export type Prepared =
  | { readonly side: Side; readonly findings: readonly Finding[] }
  | { readonly side: undefined; readonly findings: readonly Finding[] };

/**
 * Checks and compiles a policy. Nothing is evaluated before `opa check --strict` accepts it, every entrypoint exists and
 * every builtin has a host function; what is wrong comes back as findings.
 */
export async function prepareSide(
  opa: Opa,
  pool: EvaluatorPool,
  source: PolicySource,
  entrypoints: readonly string[],
): Promise<Prepared> {
  const problems = await opa.check(source.modules, source.data);
  if (problems.length > 0)
    return { side: undefined, findings: problems.map((p) => checkFinding(p, wholePolicy(source.modules))) };
  let asts: ReadonlyMap<string, AstModule>;
  try {
    asts = await opa.parse(source.modules);
  } catch (error) {
    return { side: undefined, findings: refusedFindings(error, wholePolicy(source.modules)) };
  }
  const definitions = definitionsOf(asts);
  const unknown = entrypoints.filter((entrypoint) => !definitions.some((d) => d.rule === entrypoint.replaceAll('/', '.')));
  if (unknown.length > 0) {
    const known = [...new Set(definitions.filter((d) => !d.takesArguments).map((d) => d.rule.replaceAll('.', '/')))].sort();
    return {
      side: undefined,
      findings: unknown.map((entrypoint) =>
        policyFinding('policy-entrypoint-missing', {
          message: `The entrypoint ${entrypoint} is no rule of the policy.`,
          location: wholePolicy(source.modules),
          subject: entrypoint,
          fix: `Add the rule, or name one of: ${known.slice(0, 12).join(', ')}${known.length > 12 ? ', ...' : ''}.`,
        }),
      ),
    };
  }
  const first = definitions.find((d) => d.rule === entrypoints[0]?.replaceAll('/', '.'))?.location ?? wholePolicy(source.modules);
  let program: Program;
  try {
    program = await compileProgram(opa, source.modules, source.data, entrypoints);
  } catch (error) {
    return { side: undefined, findings: refusedFindings(error, first) };
  }
  const missing = missingBuiltins(program);
  if (missing.length > 0) return { side: undefined, findings: missing.flatMap((name) => portabilityFindings(name, asts, first)) };
  const graph = graphOf(definitions, entrypoints);
  return { side: { source, asts, definitions, graph, entrypoints, program, plain: pool.add(program), opa, pool }, findings: [] };
}

/** The first definition of an entrypoint's rule: where a finding goes that concerns the whole of it. */
export function entrypointLocation(side: Side, entrypoint: string): Location | undefined {
  return side.graph.byRule.get(entrypoint.replaceAll('/', '.'))?.[0]?.location;
}

const traced = new WeakMap<Side, Promise<number | undefined>>();

/** The side with hooks in every definition, compiled once; undefined when OPA refuses the edit. */
export function tracedProgram(side: Side): Promise<number | undefined> {
  const known = traced.get(side) ?? tracedProgramWith(side, new Map(), side.entrypoints);
  traced.set(side, known);
  return known;
}

/** The same with modules that are left alone, for other entrypoints. */
export async function tracedProgramWith(side: Side, extra: Modules, entrypoints: readonly string[]): Promise<number | undefined> {
  const modules = instrument(side.source.modules, side.definitions);
  try {
    return side.pool.add(await compileProgram(side.opa, new Map([...modules, ...extra]), side.source.data, entrypoints, true));
  } catch (error) {
    // A module that reads its own package as a document, or a shape the edit doesn't know: attribution is left out.
    if (error instanceof OpaRefused || error instanceof PolicyLoadError) return undefined;
    throw error;
  }
}

function portabilityFindings(name: string, asts: ReadonlyMap<string, AstModule>, fallback: Location): Finding[] {
  const calls = callsOf(asts, name);
  const places = calls.length > 0 ? calls : [fallback];
  return places.map((location) =>
    policyFinding('policy-builtin-not-portable', {
      message: `The builtin ${name} has no function in the WASM host, so the policy would fail where it is reached.`,
      location,
      subject: name,
      fix: 'Use a builtin that WASM has, or put what it computes into input or data.',
    }),
  );
}

/** Where a finding goes that concerns every module: the top of the first. */
export function wholePolicy(modules: Modules): Location {
  return { file: [...modules.keys()].sort()[0] ?? '.', line: 1 };
}

/**
 * An error of `opa check` as a finding; a call of a builtin that is shut off becomes a portability finding.
 * @param fallback where to report what has no place of its own, such as a limit
 */
export function checkFinding(problem: OpaProblem, fallback: Location): Finding {
  const location = problem.location ?? fallback;
  const forbidden = /^undefined function (?<name>[\w.]+)$/.exec(problem.message)?.groups?.['name'];
  if (forbidden !== undefined && FORBIDDEN_BUILTINS.has(forbidden)) {
    return policyFinding('policy-builtin-not-portable', {
      message: `The builtin ${forbidden} reaches outside the policy, which neither the gate nor the WASM host allows.`,
      location,
      subject: forbidden,
      fix: 'Put what it would fetch into input or data.',
    });
  }
  if (problem.code === 'limit') return policyFinding('policy-evaluation-limit', { message: `${problem.message}.`, location });
  return policyFinding('policy-check-failed', {
    message: `opa check refuses the module: ${problem.message}.`,
    location,
    subject: problem.code,
    fix: 'Run `opa check --strict` on the folder and correct what it names.',
  });
}

/**
 * What OPA refused, what could not be loaded, and what ran into a limit, as findings; anything else is thrown on.
 * @param fallback where to report what has no place of its own
 */
export function refusedFindings(error: unknown, fallback: Location): Finding[] {
  if (error instanceof OpaRefused) return error.problems.map((p) => checkFinding(p, fallback));
  if (error instanceof OutputLimit)
    return [policyFinding('policy-evaluation-limit', { message: error.message, location: fallback })];
  if (error instanceof PolicyLoadError || error instanceof EvaluationLimit) {
    const { message } = error.failure;
    return [
      policyFinding(isLimit(error.failure) ? 'policy-evaluation-limit' : 'policy-evaluation-error', {
        message: `The policy can't be ${error instanceof PolicyLoadError || error.item < 0 ? 'loaded' : 'evaluated'}: ${message}.`,
        location: fallback,
        fix: 'Make the data document smaller, or bound what the rules iterate over.',
      }),
    ];
  }
  throw error;
}

/** `opa check --strict` of the policy together with what belongs to it (tests, invariants). */
export async function strictFindings(opa: Opa, source: PolicySource, ...more: readonly Modules[]): Promise<readonly Finding[]> {
  const modules = new Map([source.modules, ...more].flatMap((files) => [...files]));
  return (await opa.check(modules, source.data)).map((problem) => checkFinding(problem, wholePolicy(source.modules)));
}

/** Boundaries are mined from every side, so that a limit that head moves is looked at where it was and where it is. */
export function domainOf(document: SourceDocument, sides: readonly Side[]): Domain {
  return readDomain(document, {
    comparisons: sides.flatMap((side) => comparisonsOf(side.asts, side.source.data)),
    texts: sides.flatMap((side) => [...side.source.modules.values(), JSON.stringify(side.source.data)]),
    data: sides.map((side) => side.source.data),
  });
}
