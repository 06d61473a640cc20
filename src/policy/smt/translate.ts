import type { Location } from '../../core/finding.ts';
import type { AstExpression, AstTerm } from '../ast.ts';
import type { Definition } from '../definitions.ts';
import { constantOf, placeOf } from './ast-terms.ts';
import { bodyBranches } from './bodies.ts';
import { type Formula, Outside, TooLarge } from './formula.ts';
import type { RuleBook } from './rulebook.ts';
import { termCases } from './terms.ts';
import { type Branch, type Locals, MAX_BRANCHES, type Scope, type Translation } from './translation.ts';
import {
  and,
  anyValue,
  type Case,
  type Cases,
  type Construct,
  constantValue,
  defined,
  identity,
  merged,
  not,
  or,
  type Value,
} from './values.ts';

/** Terms looked at for one question: functions are evaluated anew at each call, which can double without end. */
const MAX_STEPS = 400_000;

interface Found {
  readonly from: Definition;
  readonly value: Case;
}

/**
 * Evaluates Rego symbolically: the cases an expression can take, each under a guard over the input. What it doesn't
 * know is taken as any value, undefined included, and noted in `constructs`; the result then allows more
 * behaviours than the policy has, never fewer, so a proof on it is a proof.
 */
export class Translator implements Translation {
  readonly formula: Formula;
  readonly book: RuleBook;
  /** Everything that was taken as any value so far. */
  readonly constructs: Construct[] = [];
  readonly #rules = new Map<string, Cases>();
  readonly #scopes = new Map<Cases, number>();
  #steps = 0;

  constructor(formula: Formula, book: RuleBook) {
    this.formula = formula;
    this.book = book;
  }

  get loose(): number {
    return this.constructs.length;
  }

  /** What comes now is for another question; what the last one translated stays known. */
  nextQuestion(): void {
    this.#steps = 0;
    this.formula.nextQuestion();
  }

  rule(name: string, input: Cases): Cases {
    const scope = this.#scopes.get(input) ?? this.#scopes.size;
    this.#scopes.set(input, scope);
    const key = `${scope} ${name}`;
    let cases = this.#rules.get(key);
    if (cases === undefined) {
      const definitions = this.book.byRule.get(name)!;
      try {
        cases = this.#evaluateRule(definitions, input);
      } catch (error) {
        if (!(error instanceof Outside)) throw error;
        cases = this.outside(error.construct, definitions[0]!.location);
      }
      this.#rules.set(key, cases);
    }
    return cases;
  }

  /** Each member that one definition of a set rule gives, e.g. one clause of an invariant. */
  clause(definition: Definition, input: Cases): Value {
    return this.#set([definition], input);
  }

  /** The value of a data path, e.g. `routing.usual` or a member of a rule's value. */
  path(path: string, input: Cases): Cases {
    const value = ['data', ...path.split('.')].map((step, i): AstTerm => ({ type: i === 0 ? 'var' : 'string', value: step }));
    return this.term({ type: 'ref', value }, { file: '', package: '', input }, new Map());
  }

  complete(definitions: readonly Definition[], input: Cases, args: readonly Cases[] | undefined): Cases {
    const found: Found[] = [];
    const fired = new Map<string, string>();
    let fallback: Definition | undefined;
    for (const definition of definitions) {
      if (definition.kind === 'default') {
        fallback = definition;
        continue;
      }
      const earlier = definition.chain.map((id) => not(fired.get(id)!));
      const own = this.#definition(definition, input, args, earlier);
      found.push(...own.map((value) => ({ from: definition, value })));
      fired.set(definition.id, this.formula.name(defined(own)));
    }
    if (found.length > MAX_BRANCHES) throw new Outside(`a rule of more than ${MAX_BRANCHES} possible values`);
    this.#conflicts(found);
    const cases = merged(found.map((f) => f.value));
    if (fallback === undefined) return cases;
    const value = this.term(fallback.ast.head.value!, { ...fallback, input }, new Map());
    const given = args === undefined ? 'true' : and(...args.map(defined));
    const none = this.formula.name(and(given, not(this.formula.name(or(...fired.values())))));
    return [...cases, ...value.map((c) => ({ guard: and(none, c.guard), value: c.value }))];
  }

  body(body: readonly AstExpression[], scope: Scope, start: Branch): readonly Branch[] {
    return bodyBranches(this, body, scope, start);
  }

  term(term: AstTerm, scope: Scope, locals: Locals): Cases {
    this.#steps += 1;
    if (this.#steps > MAX_STEPS) throw new TooLarge();
    try {
      return termCases(this, term, scope, locals);
    } catch (error) {
      if (!(error instanceof Outside)) throw error;
      return this.outside(error.construct, placeOf(term, scope.file), error.guard);
    }
  }

  outside(construct: string, location: Location | undefined, guard?: string): readonly [Case] {
    const value = this.anything(construct, location);
    return [{ guard: guard ?? this.formula.fresh([{ construct, location }]), value }];
  }

  anything(construct: string, location: Location | undefined): Value {
    this.constructs.push({ construct, location });
    return anyValue({ construct, location });
  }

  #evaluateRule(definitions: readonly Definition[], input: Cases): Cases {
    const kind = definitions[0]!.kind === 'default' ? (definitions[1]?.kind ?? 'complete') : definitions[0]!.kind;
    // p[x] contains y is an object of sets.
    const ofObjects = definitions.some((d) => d.ast.head.ref.slice(1).some((step) => step.type !== 'string'));
    if (kind === 'set' && !ofObjects) return [{ guard: 'true', value: this.#set(definitions, input) }];
    if (kind === 'complete' && !ofObjects) return this.complete(definitions, input, undefined);
    return this.outside(`a partial object rule (${definitions[0]!.rule})`, definitions[0]!.location);
  }

  #set(definitions: readonly Definition[], input: Cases): Value {
    const members: Case[] = [];
    const unknown: Construct[] = [];
    for (const definition of definitions) {
      const scope = { ...definition, input };
      const before = this.loose;
      for (const branch of this.body(definition.ast.body, scope, { guard: 'true', locals: new Map() }))
        for (const { guard, value } of this.term(definition.ast.head.key!, scope, branch.locals)) {
          // One member for perhaps many: enough where it is a constant, or where only one can be.
          if (value.kind !== 'constant') unknown.push(...this.constructs.slice(before));
          members.push({ guard: this.formula.name(and(branch.guard, guard)), value });
        }
    }
    return unknown.length > 0 ? anyValue(...new Set(unknown)) : { kind: 'set', members };
  }

  /** Each value that one definition can give, where none `earlier` in its chain does. */
  #definition(definition: Definition, input: Cases, args: readonly Cases[] | undefined, earlier: readonly string[]): Case[] {
    const scope = { ...definition, input };
    const first = definition.chain.length === 0 ? definition : this.book.byId.get(definition.chain[0]!)!;
    const start = this.#bind(first, definition.ast.head.args ?? first.ast.head.args ?? [], scope, args);
    const own: Case[] = [];
    for (const branch of this.body(definition.ast.body, scope, { ...start, guard: and(start.guard, ...earlier) })) {
      const head = definition.ast.head.value;
      const cases: Cases =
        head === undefined ? [{ guard: 'true', value: constantValue(true) }] : this.term(head, scope, branch.locals);
      for (const { guard, value } of cases) own.push({ guard: this.formula.name(and(branch.guard, guard)), value });
    }
    return own;
  }

  /** Where two definitions hold with different values OPA ends in an error: such a model shows nothing. */
  #conflicts(found: readonly Found[]): void {
    for (const [index, { from, value: a }] of found.entries())
      for (const { from: other, value: b } of found.slice(index + 1)) {
        if (other.chain.includes(from.id)) continue;
        const same = identity(a.value);
        if (same !== undefined && same === identity(b.value)) continue;
        // Cases of one expression exclude each other; only of several branches of a body several can hold.
        const both = and(a.guard, b.guard);
        if (both !== 'false') this.formula.inexact.push(this.formula.name(both));
      }
  }

  #bind(definition: Definition, parameters: readonly AstTerm[], scope: Scope, args: readonly Cases[] | undefined): Branch {
    if (args === undefined) return { guard: 'true', locals: new Map() };
    if (parameters.length !== args.length) throw new Outside(`a call of ${definition.rule} with an output argument`);
    const locals = new Map<string, Cases>();
    const guards: string[] = [];
    for (const [index, parameter] of parameters.entries()) {
      const cases = args[index]!;
      guards.push(defined(cases));
      if (parameter.type === 'var') locals.set(String(parameter.value), cases);
      else if (['array', 'object'].includes(parameter.type) && constantOf(parameter) === undefined)
        throw new Outside('a pattern as a parameter');
      else guards.push(this.formula.equalCases(cases, this.term(parameter, scope, new Map())));
    }
    return { guard: this.formula.name(and(...guards)), locals };
  }
}
