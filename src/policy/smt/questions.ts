import { isObject, type Json } from '../../core/json.ts';
import type { Definition } from '../definitions.ts';
import type { Domain, InputPath } from '../domain.ts';
import { Formula, type InputArray, type Slice, TooLarge } from './formula.ts';
import type { RuleBook } from './rulebook.ts';
import { Translator } from './translate.ts';
import { and, type Case, type Cases, type Construct, defined, not, or } from './values.ts';

/** How many elements of each array of the input are followed, by path; none where the question is for every input. */
type Lengths = ReadonlyMap<string, number>;

/** Whether a clause of an invariant (one `violation` rule) can be broken. */
export interface Question {
  readonly slice: Slice;
  /** The same for models that are exact: no rules conflict, no composite values meet. Narrow first, then in the whole policy. */
  readonly exactly: readonly (() => Slice)[];
  /** Everything that was taken as any value, also where the answer does not depend on it. */
  readonly constructs: readonly Construct[];
  /** Arrays of which so many elements were followed: what a proof is limited to. */
  readonly arrays: readonly InputArray[];
}

/**
 * The questions to one policy at the same lengths. They share one formula: the decision is translated once, and each question
 * is what its clause depends on.
 */
export class Questions {
  readonly #formula: Formula;
  readonly #translator: Translator;
  readonly #entrypoint: string;
  readonly #where: string | undefined;
  readonly #input: Cases = [{ guard: 'true', value: { kind: 'input', path: [] } }];
  readonly #asked = new Map<Definition, Question | undefined>();
  #judged: Cases | undefined;
  #ofDecision = 0;
  #tooLarge = false;

  constructor(book: RuleBook, entrypoint: string, domain: Pick<Domain, 'where'>, lengths: Lengths) {
    this.#formula = new Formula((path) => lengths.get(JSON.stringify(path)));
    this.#translator = new Translator(this.#formula, book);
    this.#entrypoint = entrypoint.replaceAll('/', '.');
    this.#where = domain.where;
  }

  /** undefined: the formula is too large. */
  of(clause: Definition): Question | undefined {
    if (this.#tooLarge) return undefined;
    if (!this.#asked.has(clause)) {
      let question: Question | undefined;
      try {
        question = this.#question(clause);
      } catch (error) {
        if (!(error instanceof TooLarge)) throw error;
        // The decision is part of every question.
        this.#tooLarge = this.#judged === undefined;
      }
      this.#asked.set(clause, question);
    }
    return this.#asked.get(clause);
  }

  #question(clause: Definition): Question {
    const formula = this.#formula;
    const translator = this.#translator;
    translator.nextQuestion();
    this.#judged ??= this.#documents();
    translator.nextQuestion();
    const before = formula.inexact.length;
    const violation = translator.clause(clause, this.#judged);
    const goals = [violation.kind === 'set' ? defined(violation.members) : formula.truthy(violation)];
    if (this.#where !== undefined) {
      const where = translator.path(this.#where, this.#input);
      goals.push(or(...where.map((c) => and(c.guard, formula.equal(c.value, { kind: 'constant', value: true })))));
    }
    const slice = formula.slice(goals);
    const mine = [...formula.inexact.slice(0, this.#ofDecision), ...formula.inexact.slice(before)];
    const narrow = slice.inexact;
    const wide = [...new Set([...narrow, ...mine])];
    return {
      slice,
      exactly: [narrow, wide]
        .filter((guards, index) => guards.length > (index === 0 ? 0 : narrow.length))
        .map((guards) => () => formula.slice([...goals, ...guards.map(not)])),
      constructs: [...translator.constructs],
      arrays: formula.arrays(),
    };
  }

  /** What an invariant judges, as the generated check module has it: {input, decision}, or {input} where nothing is decided. */
  #documents(): Cases {
    const decision = this.#translator.rule(this.#entrypoint, this.#input);
    const decided = this.#formula.name(defined(decision));
    const document = (guard: string, entries: readonly (readonly [string, Cases])[]): Case => ({
      guard,
      value: { kind: 'object', entries: new Map([['input', this.#input], ...entries]) },
    });
    this.#ofDecision = this.#formula.inexact.length;
    return [document(decided, [['decision', decision]]), document(not(decided), [])];
  }
}

/** Arrays of an input, by path, with their lengths; empty ones are left out. */
export function arraysOf(input: Json, path: InputPath = [], found = new Map<string, number>()): Map<string, number> {
  if (Array.isArray(input)) {
    const key = JSON.stringify(path);
    if (input.length > 0) found.set(key, Math.max(input.length, found.get(key) ?? 0));
    // Elements of a list are alike: what one has inside may any of them.
    for (const item of input as readonly Json[])
      for (let index = 0; index < input.length; index += 1) arraysOf(item, [...path, index], found);
  } else if (isObject(input)) for (const [key, value] of Object.entries(input)) arraysOf(value, [...path, key], found);
  return found;
}
