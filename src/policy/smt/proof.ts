import { InternalError } from '../../core/errors.ts';
import type { Location } from '../../core/finding.ts';
import type { Json } from '../../core/json.ts';
import { constant, type Definition, definitionsOf } from '../definitions.ts';
import { type InputPath, pathText, valueAt } from '../domain.ts';
import { type Counterexample, checkProgram, confirm, type ProofOptions, tracedCheck } from '../prove.ts';
import type { Side } from '../side.ts';
import { isObject } from '../source.ts';
import { decode } from './decode.ts';
import { type Construct, Formula, TooLarge } from './formula.ts';
import { type RuleBook, ruleBook } from './rulebook.ts';
import { type Answer, findZ3, solve, Z3_PACKAGE } from './solver.ts';
import { Translator } from './translate.ts';
import { and, type Case, type Cases, defined, not, or } from './values.ts';

/** What SMT can say about one clause of an invariant (one `violation` rule), over every input there is. */
export interface SmtResult {
  readonly invariant: string;
  /** Where the clause is; undefined for what is said of the whole package. */
  readonly location: Location | undefined;
  /** `bounded`: proved for arrays of the input that are not longer than the domain's base input has them. */
  readonly status: 'proved' | 'bounded' | 'broken' | 'outside' | 'unknown';
  readonly detail: string;
  /** Constructs that were taken as any value. */
  readonly outside: readonly Construct[];
}
export interface SmtProof {
  /** What z3 says it is; undefined when it isn't installed. */
  readonly version: string | undefined;
  readonly results: readonly SmtResult[];
  readonly counterexamples: readonly Counterexample[];
}

export const NOT_ATTEMPTED = `not attempted: z3-solver is not installed (npm install ${Z3_PACKAGE})`;

export interface SmtOptions extends Pick<ProofOptions, 'entrypoint' | 'invariants' | 'packages' | 'domain' | 'other'> {
  readonly signal: AbortSignal;
  /** Invariants of which a counterexample is known already. */
  readonly broken?: ReadonlySet<string>;
  /** The installed z3-solver; default: the one beside mixgate. */
  readonly z3?: string | undefined;
}

/** Questions to one z3 process. */
const BATCH = 4;
/** Elements that are followed where the arrays of the domain are too long. */
const FEW = 2;
/** Work for a question about arrays: a proof takes little of it, an order that matters would take any. */
const BOUNDED_RLIMIT = 6_000_000;

interface Clause {
  readonly invariant: string;
  readonly clause: Definition;
}
interface Question extends Clause {
  readonly formula: Formula;
  readonly goals: readonly string[];
}

/**
 * Asks z3 for an input, of any shape, on which an invariant is broken. `unsat` is a proof: what has no translation is
 * taken as any value, so the formula allows every behaviour of the policy and more. An input that z3 gives is executed
 * by the WASM module before it counts.
 */
export async function proveAll(side: Side, options: SmtOptions): Promise<SmtProof> {
  const z3 = 'z3' in options ? options.z3 : findZ3();
  if (z3 === undefined) return { version: undefined, results: [], counterexamples: [] };
  const asts = new Map([...side.asts, ...(await side.opa.parse(options.invariants))]);
  const definitions = definitionsOf(asts);
  const asking: Asking = {
    z3,
    options,
    book: ruleBook(asts, definitions, side.source.data),
    programs: new Programs(side, options),
    counterexamples: [],
  };
  const broken = options.packages.filter((name) => options.broken?.has(name) === true);
  const clauses = options.packages
    .filter((name) => !broken.includes(name))
    .flatMap((invariant) =>
      definitions.filter((d) => d.rule === `${invariant}.violation`).map((clause): Clause => ({ invariant, clause })),
    );
  const first = await ask(asking, clauses, undefined);
  // What is not proved for every input may be for arrays that are no longer than those of the domain.
  const lengths = arraysOf(options.domain.base);
  const settled = new Map(first.results);
  for (const most of lengths.size === 0 ? [] : [...new Set([Number.POSITIVE_INFINITY, FEW])]) {
    const open = clauses.filter((c) => ['outside', 'unknown'].includes(settled.get(c.clause)!.status));
    if (open.length === 0) break;
    const some = new Map([...lengths].map(([path, length]) => [path, Math.min(length, most)]));
    const { results } = await ask(asking, open, some);
    // A weaker claim takes the place of none; what stays open keeps the reason that the longest arrays gave.
    for (const [clause, result] of results)
      if (most === Number.POSITIVE_INFINITY || ['bounded', 'broken'].includes(result.status)) settled.set(clause, result);
  }
  const results = [...settled.values()];
  for (const invariant of broken)
    results.push({ invariant, location: undefined, status: 'broken', detail: 'broken on the declared domain', outside: [] });
  const order = new Map(options.packages.map((name, index) => [name, index]));
  return {
    version: first.version,
    results: results.sort(
      (a, b) =>
        order.get(a.invariant)! - order.get(b.invariant)! ||
        compare(a.location?.file ?? '', b.location?.file ?? '') ||
        (a.location?.line ?? 0) - (b.location?.line ?? 0),
    ),
    counterexamples: asking.counterexamples,
  };
}

interface Asking {
  readonly z3: string;
  readonly options: SmtOptions;
  readonly book: RuleBook;
  readonly programs: Programs;
  readonly counterexamples: Counterexample[];
}

/** Every clause as a question of its own; `lengths` are those of arrays of the input that are followed element by element. */
async function ask(
  asking: Asking,
  clauses: readonly Clause[],
  lengths: ReadonlyMap<string, number> | undefined,
): Promise<{ readonly version: string; readonly results: ReadonlyMap<Definition, SmtResult> }> {
  const { z3, options, book, programs } = asking;
  const results = new Map<Definition, SmtResult>();
  const questions: Question[] = [];
  for (const { invariant, clause } of clauses) {
    try {
      questions.push(question(new Formula((path) => lengths?.get(JSON.stringify(path))), book, { invariant, clause }, options));
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
      const detail = 'outside the subset: the formula is too large';
      results.set(clause, { invariant, location: clause.location, status: 'outside', detail, outside: [] });
    }
  }
  const limits = lengths === undefined ? {} : { rlimit: BOUNDED_RLIMIT };
  const { version, answers } = await solveAll(z3, questions, options.signal, limits);
  const retry: Question[] = [];
  const judge = async (asked: Question, answer: Answer, last: boolean): Promise<void> => {
    const { invariant, clause, formula } = asked;
    const outside = distinct(formula.outside);
    const say = (status: SmtResult['status'], detail: string): void => {
      results.set(clause, { invariant, location: clause.location, status, detail, outside });
    };
    if (answer.verdict === 'unsat' && !last) {
      const taken =
        outside.length === 0 ? '' : `; ${outside.length} construct${outside.length === 1 ? '' : 's'} taken as any value`;
      const bounds = formula.arrays().map(({ path, length }) => `${pathText(path)} of up to ${length} elements`);
      if (bounds.length === 0) return say('proved', `proved for every input (SMT, z3 ${version}${taken})`);
      return say('bounded', `proved for ${bounds.join(', ')} (SMT, z3 ${version}${taken})`);
    }
    if (answer.verdict === 'unknown') return say('unknown', `unknown: ${answer.reason}`);
    const model = answer.verdict === 'sat' ? decode(answer.values, formula.inputs(), formula.arrays()) : undefined;
    const found = model === undefined ? undefined : await programs.confirm(invariant, model.input, messageOf(clause));
    if (found !== undefined) {
      const differs = formula.inputs().flatMap(({ path }) => (valueAt(found.input, path) === undefined ? [] : [pathText(path)]));
      asking.counterexamples.push({ ...found, count: 1, differs });
      return say('broken', `broken (SMT, z3 ${version}), replayed through WASM`);
    }
    if (!last && formula.inexact.length > 0) {
      retry.push(asked);
      return;
    }
    if (outside.length > 0) return say('outside', `outside the subset: ${constructText(outside[0]!)}`);
    if (model === undefined)
      return say('unknown', 'unknown: it may be broken where rules conflict or composite values are compared');
    if (!model.exact) return say('unknown', 'unknown: only on values that JSON does not hold');
    throw new InternalError(
      `z3 and the WASM module disagree about ${invariant}; input: ${JSON.stringify(model.input).slice(0, 2000)}`,
    );
  };
  for (const [index, asked] of questions.entries()) await judge(asked, answers[index]!, false);
  if (retry.length > 0) {
    // Once more, without what makes a model inexact.
    const again = await solveAll(
      z3,
      retry.map((q) => ({ ...q, goals: [...q.goals, ...q.formula.inexact.map(not)] })),
      options.signal,
      limits,
    );
    for (const [index, asked] of retry.entries()) await judge(asked, again.answers[index]!, true);
  }
  return { version, results };
}

/** Arrays of an input, by path, with their lengths; empty ones are left out. */
function arraysOf(input: Json, path: InputPath = [], found = new Map<string, number>()): Map<string, number> {
  if (Array.isArray(input)) {
    const key = JSON.stringify(path);
    if (input.length > 0) found.set(key, Math.max(input.length, found.get(key) ?? 0));
    // Elements of a list are alike: what one has inside may any of them.
    for (const item of input as readonly Json[])
      for (let index = 0; index < input.length; index += 1) arraysOf(item, [...path, index], found);
  } else if (isObject(input)) for (const [key, value] of Object.entries(input)) arraysOf(value, [...path, key], found);
  return found;
}

/** Questions in batches, so that a process that is stopped takes few answers with it. */
async function solveAll(
  z3: string,
  questions: readonly Question[],
  signal: AbortSignal,
  limits: { readonly rlimit?: number },
): Promise<{ readonly version: string; readonly answers: readonly Answer[] }> {
  const answers: Answer[] = [];
  let version = 'unknown';
  for (let from = 0; from < questions.length; from += BATCH) {
    const part = await solve(
      z3,
      questions.slice(from, from + BATCH).map((q) => query(q)),
      signal,
      limits,
    );
    answers.push(...part.answers);
    if (part.version !== 'unknown') version = part.version;
  }
  return { version, answers };
}

function question(
  formula: Formula,
  book: ReturnType<typeof ruleBook>,
  { invariant, clause }: Clause,
  { entrypoint, domain }: SmtOptions,
): Question {
  const translator = new Translator(formula, book);
  const input: Cases = [{ guard: 'true', value: { kind: 'input', path: [] } }];
  const decision = translator.rule(entrypoint.replaceAll('/', '.'), input);
  // As the generated check module has it: {input, decision}, or {input} where nothing is decided.
  const decided = formula.name(defined(decision));
  const document = (guard: string, entries: readonly (readonly [string, Cases])[]): Case => ({
    guard,
    value: { kind: 'object', entries: new Map([['input', input], ...entries]) },
  });
  const judged: Cases = [document(decided, [['decision', decision]]), document(not(decided), [])];
  const violation = translator.clause(clause, judged);
  const goals = [violation.kind === 'set' ? defined(violation.members) : formula.fresh()];
  if (domain.where !== undefined) {
    const where = translator.path(domain.where, input);
    goals.push(or(...where.map((c) => and(c.guard, formula.equal(c.value, { kind: 'constant', value: true })))));
  }
  return { invariant, clause, formula, goals };
}

function query({ formula, goals }: Question): { readonly text: string; readonly names: readonly string[] } {
  return { text: formula.query(goals), names: [...formula.inputs().map((i) => i.name), ...formula.arrays().map((a) => a.flag)] };
}

/** Compiled on the first input that is to be executed. */
class Programs {
  readonly #side: Side;
  readonly #options: SmtOptions;
  #check: ReturnType<typeof checkProgram> | undefined;
  #traced: ReturnType<typeof tracedCheck> | undefined;

  constructor(side: Side, options: SmtOptions) {
    this.#side = side;
    this.#options = options;
  }

  async confirm(invariant: string, input: Counterexample['input'], expected: Json | undefined): ReturnType<typeof confirm> {
    this.#check ??= checkProgram(this.#side, this.#options);
    const { program, extra } = await this.#check;
    this.#traced ??= tracedCheck(this.#side, this.#options.entrypoint, extra);
    return confirm(this.#side, { program, traced: await this.#traced, extra }, this.#options, invariant, input, expected);
  }
}

/** The message of a clause, where it is written out. */
function messageOf(clause: Definition): Json | undefined {
  return clause.ast.head.key === undefined ? undefined : constant(clause.ast.head.key);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export function constructText({ construct, location }: Construct): string {
  return location === undefined ? construct : `${construct} at ${location.file}:${location.line}`;
}

function distinct(constructs: readonly Construct[]): readonly Construct[] {
  return [...new Map(constructs.map((c) => [constructText(c), c])).values()];
}
