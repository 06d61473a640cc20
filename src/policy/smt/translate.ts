import type { Location } from '../../core/finding.ts';
import { type AstExpression, type AstTerm, isTerm, locationOf } from '../ast.ts';
import type { Definition } from '../definitions.ts';
import { anyOf, bagOf, elementCases, sorted } from './arrays.ts';
import { OPERATIONS } from './calls.ts';
import { elementsOf, type Formula, Outside, TooLarge } from './formula.ts';
import { type RuleBook, resolveName } from './rulebook.ts';
import {
  ANY,
  and,
  type Case,
  type Cases,
  type Constant,
  constantValue,
  defined,
  isRecord,
  keyOf,
  not,
  or,
  RegoSet,
  type Value,
} from './values.ts';

/** Local variables; undefined for one that is declared and not bound yet. */
type Locals = ReadonlyMap<string, Cases | undefined>;
/** One way a body can hold so far. */
interface Branch {
  readonly guard: string;
  readonly locals: Locals;
}
interface Scope {
  readonly file: string;
  readonly package: string;
  /** What `input` is here: the request, or {input, decision} in an invariant. */
  readonly input: Cases;
}

const MAX_BRANCHES = 400;
const ON_COLLECTIONS = new Set(['count', 'minus', 'or', 'and', 'plus', 'array.concat', 'array.slice']);
/** Terms looked at: functions are evaluated anew at each call, which can double without end. */
const MAX_STEPS = 400_000;

/**
 * Evaluates Rego symbolically: the cases an expression can take, each under a guard over the input. What it doesn't
 * know is taken as any value, undefined included, and noted in `formula.outside`; the result then allows more
 * behaviours than the policy has, never fewer, so a proof on it is a proof.
 */
export class Translator {
  readonly #formula: Formula;
  readonly #book: RuleBook;
  readonly #rules = new Map<string, Cases>();
  readonly #scopes = new Map<Cases, number>();
  /** How often something outside the subset may have had several solutions. */
  #loose = 0;
  #steps = 0;

  constructor(formula: Formula, book: RuleBook) {
    this.#formula = formula;
    this.#book = book;
  }

  /** The value of a rule, e.g. `routing.decision`, when `input` is the given value. */
  rule(name: string, input: Cases): Cases {
    const scope = this.#scopes.get(input) ?? this.#scopes.size;
    this.#scopes.set(input, scope);
    const key = `${scope} ${name}`;
    let cases = this.#rules.get(key);
    if (cases === undefined) {
      const definitions = this.#book.byRule.get(name)!;
      try {
        cases = this.#evaluateRule(definitions, input);
      } catch (error) {
        if (!(error instanceof Outside)) throw error;
        cases = this.#outside(error.construct, definitions[0]!.location);
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
    return this.#term({ type: 'ref', value }, { file: '', package: '', input }, new Map());
  }

  #evaluateRule(definitions: readonly Definition[], input: Cases): Cases {
    const kind = definitions[0]!.kind === 'default' ? (definitions[1]?.kind ?? 'complete') : definitions[0]!.kind;
    // p[x] contains y is an object of sets.
    if (definitions.some((d) => d.ast.head.ref.slice(1).some((step) => step.type !== 'string')))
      return this.#outside(`a partial object rule (${definitions[0]!.rule})`, definitions[0]!.location);
    if (kind === 'set') return [{ guard: 'true', value: this.#set(definitions, input) }];
    if (kind === 'complete') return this.#complete(definitions, input, undefined);
    return this.#outside(`a partial object rule (${definitions[0]!.rule})`, definitions[0]!.location);
  }

  #set(definitions: readonly Definition[], input: Cases): Value {
    const members: Case[] = [];
    let unknown = false;
    for (const definition of definitions) {
      const scope = { ...definition, input };
      const before = this.#loose;
      for (const branch of this.#body(definition.ast.body, scope, { guard: 'true', locals: new Map() }))
        for (const { guard, value } of this.#term(definition.ast.head.key!, scope, branch.locals)) {
          // One member for perhaps many: enough where it is a constant, or where only one can be.
          unknown ||= value.kind !== 'constant' && this.#loose > before;
          members.push({ guard: this.#formula.name(and(branch.guard, guard)), value });
        }
    }
    return unknown ? ANY : { kind: 'set', members };
  }

  /** A complete rule, or a function on `args`. */
  #complete(definitions: readonly Definition[], input: Cases, args: readonly Cases[] | undefined): Cases {
    const found: { readonly from: Definition; readonly value: Case }[] = [];
    const fired = new Map<string, string>();
    let fallback: Definition | undefined;
    for (const definition of definitions) {
      if (definition.kind === 'default') {
        fallback = definition;
        continue;
      }
      const scope = { ...definition, input };
      const earlier = definition.chain.map((id) => not(fired.get(id)!));
      const first = definition.chain.length === 0 ? definition : this.#book.byId.get(definition.chain[0]!)!;
      const start = this.#bind(first, definition.ast.head.args ?? first.ast.head.args ?? [], scope, args);
      const own: string[] = [];
      for (const branch of this.#body(definition.ast.body, scope, { ...start, guard: and(start.guard, ...earlier) })) {
        const head = definition.ast.head.value;
        const cases: Cases =
          head === undefined ? [{ guard: 'true', value: constantValue(true) }] : this.#term(head, scope, branch.locals);
        for (const { guard, value } of cases) {
          const whole = this.#formula.name(and(branch.guard, guard));
          own.push(whole);
          found.push({ from: definition, value: { guard: whole, value } });
        }
      }
      fired.set(definition.id, this.#formula.name(or(...own)));
    }
    if (found.length > MAX_BRANCHES) throw new Outside(`a rule of more than ${MAX_BRANCHES} possible values`);
    this.#conflicts(found);
    const cases = merged(found.map((f) => f.value));
    if (fallback === undefined) return cases;
    const value = this.#term(fallback.ast.head.value!, { ...fallback, input }, new Map());
    const given = args === undefined ? 'true' : and(...args.map(defined));
    const none = this.#formula.name(and(given, not(this.#formula.name(or(...fired.values())))));
    return [...cases, ...value.map((c) => ({ guard: and(none, c.guard), value: c.value }))];
  }

  /** Where two definitions hold with different values OPA ends in an error: such a model shows nothing. */
  #conflicts(found: readonly { readonly from: Definition; readonly value: Case }[]): void {
    for (const [index, { from, value: a }] of found.entries())
      for (const { from: other, value: b } of found.slice(index + 1)) {
        if (other.chain.includes(from.id)) continue;
        if (a.value.kind === 'constant' && b.value.kind === 'constant' && keyOf(a.value.value) === keyOf(b.value.value)) continue;
        // Cases of one expression exclude each other; only of several branches of a body several can hold.
        const both = and(a.guard, b.guard);
        if (both !== 'false') this.#formula.inexact.push(this.#formula.name(both));
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
      else guards.push(this.#formula.equalCases(cases, this.#term(parameter, scope, new Map())));
    }
    return { guard: this.#formula.name(and(...guards)), locals };
  }

  #body(body: readonly AstExpression[], scope: Scope, start: Branch): readonly Branch[] {
    let branches: readonly Branch[] = start.guard === 'false' ? [] : [start];
    for (const expression of body) {
      const next: Branch[] = [];
      for (const branch of branches) {
        for (const after of this.#expression(expression, scope, branch))
          if (after.guard !== 'false') next.push({ ...after, guard: this.#formula.name(after.guard) });
        if (next.length > MAX_BRANCHES) return [this.#looseBranch(body, scope, start, `more than ${MAX_BRANCHES} combinations`)];
      }
      branches = next;
    }
    return branches;
  }

  #expression(expression: AstExpression, scope: Scope, branch: Branch): readonly Branch[] {
    try {
      return this.#exactly(expression, scope, branch);
    } catch (error) {
      if (!(error instanceof Outside)) throw error;
      return [this.#looseBranch([expression], scope, branch, error.construct)];
    }
  }

  /** The expressions may hold or not; what they would bind is anything. */
  #looseBranch(expressions: readonly AstExpression[], scope: Scope, branch: Branch, construct: string): Branch {
    const { location } = expressions[0]!;
    this.#outside(construct, location === undefined ? undefined : locationOf(location, scope.file));
    const locals = new Map(branch.locals);
    for (const name of expressions.flatMap(variablesOf)) if (locals.get(name) === undefined) this.#makeAny(locals, name, scope);
    return { guard: and(branch.guard, this.#formula.fresh()), locals };
  }

  #makeAny(locals: Map<string, Cases | undefined>, name: string, scope: Scope): void {
    // A name that a rule or an import has is only a variable where it was declared as one.
    if (!locals.has(name) && resolveName(this.#book, scope, name) !== undefined) return;
    locals.set(name, [{ guard: 'true', value: ANY }]);
  }

  #exactly(expression: AstExpression, scope: Scope, branch: Branch): readonly Branch[] {
    if ('with' in expression) throw new Outside('`with`');
    const { terms } = expression;
    if (isTerm(terms)) return [this.#condition(expression, this.#term(terms, scope, branch.locals), scope, branch)];
    if (Array.isArray(terms)) return this.#call(expression, terms as AstTerm[], scope, branch);
    const declared = terms as {
      symbols?: AstTerm[];
      domain?: AstTerm;
      key?: AstTerm | null;
      value?: AstTerm;
      body?: AstExpression[];
    };
    if (declared.symbols !== undefined) return this.#some(declared.symbols, scope, branch);
    if (declared.domain !== undefined) return [this.#every(declared as Required<typeof declared>, scope, branch)];
    throw new Outside('this expression');
  }

  #call(expression: AstExpression, terms: readonly AstTerm[], scope: Scope, branch: Branch): readonly Branch[] {
    const name = operator(terms[0]!);
    const [, left, right] = terms;
    if (terms.length === 3 && (name === 'assign' || name === 'eq') && expression.negated !== true) {
      for (const [target, source] of name === 'eq'
        ? ([
            [left!, right!],
            [right!, left!],
          ] as const)
        : [[left!, right!] as const]) {
        if (target.type !== 'var' || (name === 'eq' && !this.#unbound(target, scope, branch.locals))) continue;
        const cases = this.#term(source, scope, branch.locals);
        const locals = new Map(branch.locals).set(String(target.value), cases);
        return [{ guard: and(branch.guard, defined(cases)), locals }];
      }
      if (name === 'assign') throw new Outside('a pattern on the left of :=');
    }
    return [this.#condition(expression, this.#callValue(terms, scope, branch.locals), scope, branch)];
  }

  #condition(expression: AstExpression, cases: Cases, scope: Scope, branch: Branch): Branch {
    const truth = this.#formula.name(or(...cases.map((c) => and(c.guard, this.#formula.truthy(c.value)))));
    if (expression.negated !== true) return { ...branch, guard: and(branch.guard, truth) };
    return { ...branch, guard: and(branch.guard, ...this.#hoisted(expression.terms, scope, branch.locals), not(truth)) };
  }

  /**
   * OPA's compiler moves what a call takes out of `not`: `not f(input.x)` is undefined, not true, when input.x is
   * absent. Of an equality and of a plain reference it moves only nested calls and computed keys.
   */
  #hoisted(terms: unknown, scope: Scope, locals: Locals): readonly string[] {
    const guards: string[] = [];
    const value = (term: AstTerm): void => {
      guards.push(defined(this.#term(term, scope, locals)));
    };
    const inner = (term: AstTerm): void => {
      if (term.type === 'ref') for (const step of (term.value as AstTerm[]).slice(1)) value(step);
      else if (term.type !== 'var') value(term);
    };
    if (isTerm(terms)) inner(terms);
    else if (Array.isArray(terms)) {
      const name = operator(terms[0] as AstTerm);
      for (const argument of (terms as AstTerm[]).slice(1)) (name === 'equal' || name === 'eq' ? inner : value)(argument);
    }
    return guards;
  }

  #unbound(term: AstTerm, scope: Scope, locals: Locals): boolean {
    const name = String(term.value);
    return locals.has(name) ? locals.get(name) === undefined : resolveName(this.#book, scope, name) === undefined;
  }

  #some(symbols: readonly AstTerm[], scope: Scope, branch: Branch): readonly Branch[] {
    const [only] = symbols;
    if (only?.type !== 'call') {
      const locals = new Map(branch.locals);
      for (const symbol of symbols) locals.set(String(symbol.value), undefined);
      return [{ ...branch, locals }];
    }
    const parts = only.value as AstTerm[];
    const patterns = parts.slice(1, -1);
    if (patterns.some((p) => p.type !== 'var')) throw new Outside('a pattern after some');
    const [key, value] = patterns.length === 2 ? patterns : [undefined, patterns[0]];
    return this.#elements(parts.at(-1)!, scope, branch.locals, key !== undefined).map((element) => {
      const locals = new Map(branch.locals);
      if (key !== undefined) locals.set(String(key.value), [{ guard: 'true', value: element.key }]);
      locals.set(String(value!.value), [{ guard: 'true', value: element.value }]);
      return { guard: and(branch.guard, element.guard), locals };
    });
  }

  #every(
    every: {
      readonly domain: AstTerm;
      readonly key: AstTerm | null;
      readonly value: AstTerm;
      readonly body: readonly AstExpression[];
    },
    scope: Scope,
    branch: Branch,
  ): Branch {
    const loose = this.#loose;
    const guards = this.#elements(every.domain, scope, branch.locals, every.key?.type === 'var', false).map((element) => {
      const locals = new Map(branch.locals);
      if (every.key?.type === 'var') locals.set(String(every.key.value), [{ guard: 'true', value: element.key }]);
      locals.set(String(every.value.value), [{ guard: 'true', value: element.value }]);
      const ways = this.#body(every.body, scope, { guard: 'true', locals });
      return or(not(this.#formula.name(element.guard)), ...ways.map((w) => w.guard));
    });
    if (this.#loose > loose) throw new Outside('every over what is outside the subset');
    return { ...branch, guard: and(branch.guard, defined(this.#term(every.domain, scope, branch.locals)), ...guards) };
  }

  #elements(
    collection: AstTerm,
    scope: Scope,
    locals: Locals,
    needsKey: boolean,
    ofInput = true,
  ): readonly (Case & { readonly key: Value })[] {
    return this.#term(collection, scope, locals).flatMap(({ guard, value }) => {
      if (value.kind === 'constant')
        return (elementsOf(value.value) ?? []).map(([key, item]) => ({
          guard,
          key: constantValue(key),
          value: constantValue(item),
        }));
      if (value.kind === 'set') return value.members.map((m) => ({ guard: and(guard, m.guard), key: m.value, value: m.value }));
      if (value.kind === 'any') throw new Outside('iteration over what is outside the subset');
      if (value.kind === 'input' && !ofInput) throw new Outside('iteration over an array or object of the input');
      const loose = (): void => {
        this.#outside('the keys of what may be an object', collection.location && locationOf(collection.location, scope.file));
      };
      return elementCases(this.#formula, value, needsKey, loose).map((e) => ({ ...e, guard: and(guard, e.guard) }));
    });
  }

  /** The value of a term; what is outside the subset can be anything, or undefined. */
  #term(term: AstTerm, scope: Scope, locals: Locals): Cases {
    this.#steps += 1;
    if (this.#steps > MAX_STEPS) throw new TooLarge();
    try {
      return this.#value(term, scope, locals);
    } catch (error) {
      if (!(error instanceof Outside)) throw error;
      const location = term.location === undefined ? undefined : locationOf(term.location, scope.file);
      return this.#outside(error.construct, location, error.guard);
    }
  }

  #outside(construct: string, location: Location | undefined, guard?: string): Cases {
    this.#loose += 1;
    this.#formula.outside.push({ construct, location });
    return [{ guard: guard ?? this.#formula.fresh(), value: ANY }];
  }

  #value(term: AstTerm, scope: Scope, locals: Locals): Cases {
    const ground = constantOf(term);
    if (ground !== undefined) return [{ guard: 'true', value: constantValue(ground.value) }];
    switch (term.type) {
      case 'var':
        return this.#reference([term], scope, locals);
      case 'ref':
        return this.#reference(term.value as AstTerm[], scope, locals);
      case 'call':
        return this.#callValue(term.value as AstTerm[], scope, locals);
      case 'object': {
        const entries = new Map<string, Cases>();
        for (const [key, value] of term.value as [AstTerm, AstTerm][]) {
          if (key.type !== 'string') throw new Outside('an object with a computed key');
          entries.set(String(key.value), this.#term(value, scope, locals));
        }
        return [{ guard: this.#formula.name(and(...[...entries.values()].map(defined))), value: { kind: 'object', entries } }];
      }
      case 'set': {
        const members = (term.value as AstTerm[]).map((item) => this.#term(item, scope, locals));
        return [{ guard: this.#formula.name(and(...members.map(defined))), value: { kind: 'set', members: members.flat() } }];
      }
      case 'setcomprehension': {
        const { term: head, body } = term.value as { term: AstTerm; body: AstExpression[] };
        const before = this.#loose;
        const members = this.#body(body, scope, { guard: 'true', locals }).flatMap((branch) =>
          this.#term(head, scope, branch.locals).map((c) => ({ guard: and(branch.guard, c.guard), value: c.value })),
        );
        if (this.#loose > before && members.some((m) => m.value.kind !== 'constant')) throw new Outside('this set comprehension');
        return [{ guard: 'true', value: { kind: 'set', members } }];
      }
      case 'array': {
        const items = (term.value as AstTerm[]).map((item) => this.#term(item, scope, locals));
        return [{ guard: this.#formula.name(and(...items.map(defined))), value: { kind: 'tuple', items } }];
      }
      case 'arraycomprehension': {
        const { term: head, body } = term.value as { term: AstTerm; body: AstExpression[] };
        const before = this.#loose;
        const members = this.#body(body, scope, { guard: 'true', locals }).flatMap((branch) =>
          this.#term(head, scope, branch.locals).map((c) => ({
            guard: this.#formula.name(and(branch.guard, c.guard)),
            value: c.value,
          })),
        );
        if (this.#loose > before) throw new Outside('this array comprehension', 'true');
        const order = { construct: 'the places of this array', location: term.location && locationOf(term.location, scope.file) };
        return [{ guard: 'true', value: { kind: 'bag', members, exact: true, max: undefined, order } }];
      }
      default:
        throw new Outside(`${/^[aeiou]/.test(term.type) ? 'an' : 'a'} ${term.type.replace('comprehension', ' comprehension')}`);
    }
  }

  #callValue(terms: readonly AstTerm[], scope: Scope, locals: Locals): Cases {
    const name = operator(terms[0]!);
    const steps = name.split('.');
    const resolved = resolveName(this.#book, scope, steps[0]!);
    const path = resolved?.[0] === 'data' ? [...resolved.slice(1), ...steps.slice(1)].join('.') : undefined;
    const definitions = path === undefined ? undefined : this.#book.byRule.get(path);
    const args = terms.slice(1).map((argument) => this.#term(argument, scope, locals));
    if (definitions !== undefined) return this.#complete(definitions, scope.input, args);
    if (name === 'sort' && args[0]!.every((c) => c.value.kind !== 'any')) {
      const { location } = terms[0]!;
      const order = { construct: 'the order that sort gives', location: location && locationOf(location, scope.file) };
      return sorted(this.#formula, args[0]!, order);
    }
    const operation = OPERATIONS.get(name);
    if (operation === undefined) throw new Outside(`the builtin ${name}`);
    // An argument outside the subset makes the result so, except that it can't make a call of undefined arguments defined.
    if (ON_COLLECTIONS.has(name) && args.flat().some((c) => c.value.kind === 'any'))
      return [{ guard: and(...args.map(defined), this.#formula.fresh()), value: ANY }];
    if (name === 'internal.member_2') return operation(this.#formula, [args[0]!, args[1]!.map((c) => this.#followed(c))]);
    return operation(this.#formula, args);
  }

  /** An array of the input as its elements, where they are followed. */
  #followed(c: Case): Case {
    const bag = c.value.kind === 'input' ? bagOf(this.#formula, c.value) : undefined;
    return bag === undefined ? c : { guard: c.guard, value: bag };
  }

  #reference(steps: readonly AstTerm[], scope: Scope, locals: Locals): Cases {
    const [head, ...rest] = steps;
    if (head?.type === 'call') {
      return this.#select(this.#callValue(head.value as AstTerm[], scope, locals), rest, scope, locals);
    }
    if (head?.type !== 'var') return this.#select(this.#term(head!, scope, locals), rest, scope, locals);
    const name = String(head.value);
    if (locals.has(name)) {
      const bound = locals.get(name);
      if (bound === undefined) throw new Outside(`the variable ${name}, which is found by iteration`);
      return this.#select(bound, rest, scope, locals);
    }
    const resolved = resolveName(this.#book, scope, name);
    if (resolved === undefined)
      throw new Outside(/^[$_]/.test(name) ? 'iteration by reference' : `the variable ${name}, which is found by iteration`);
    const path = [...resolved.slice(1).map((value): AstTerm => ({ type: 'string', value })), ...rest];
    if (resolved[0] === 'input') return this.#select(scope.input, path, scope, locals);
    return this.#data(path, scope, locals);
  }

  #data(path: readonly AstTerm[], scope: Scope, locals: Locals): Cases {
    const names: string[] = [];
    for (const [index, step] of path.entries()) {
      if (step.type !== 'string') break;
      names.push(String(step.value));
      if (!this.#book.byRule.has(names.join('.'))) continue;
      const cases = this.rule(names.join('.'), scope.input);
      return this.#select(cases, path.slice(index + 1), scope, locals);
    }
    if (this.#book.isPackage(names.join('.'))) throw new Outside('a package as a document');
    return this.#select([{ guard: 'true', value: constantValue(this.#book.data as Constant) }], path, scope, locals);
  }

  #select(start: Cases, steps: readonly AstTerm[], scope: Scope, locals: Locals): Cases {
    let cases = start;
    for (const step of steps) {
      const keys = this.#value(step, scope, locals);
      cases = cases.flatMap((c) =>
        keys.flatMap((key) =>
          this.#member(c.value, key.value).map((m) => ({
            guard: this.#formula.name(and(c.guard, key.guard, m.guard)),
            value: m.value,
          })),
        ),
      );
      if (cases.length > 50) cases = merged(cases);
      if (cases.length > MAX_BRANCHES) throw new Outside(`more than ${MAX_BRANCHES} possible values`);
    }
    return cases.flatMap((c) => {
      // A node of the input is there or not; one that is only passed through on the way to a member doesn't matter.
      if (c.value.kind !== 'input' || c.value.path.length === 0 || (steps.length === 0 && start === cases)) return [c];
      return [{ guard: and(c.guard, `(not (= ${this.#formula.term(c.value)!} absent))`), value: c.value }];
    });
  }

  /** What `value[key]` can be. */
  #member(value: Value, key: Value): Cases {
    const { kind } = value;
    if (kind === 'any') return [{ guard: this.#formula.fresh(), value: ANY }];
    if (kind === 'term') return [];
    if (kind === 'set') return [{ guard: this.#formula.member(key, value), value: key }];
    if (kind === 'tuple') {
      if (key.kind !== 'constant') throw new Outside('a computed place of an array');
      return typeof key.value === 'number' ? (value.items[key.value] ?? []) : [];
    }
    if (kind === 'bag') {
      if (key.kind !== 'constant') throw new Outside('a computed place of an array');
      return Number.isInteger(key.value) && (key.value as number) >= 0 ? anyOf(this.#formula, value, key.value as number) : [];
    }
    if (kind === 'input') {
      const array = this.#formula.array(value.path);
      if (array !== undefined && key.kind === 'constant' && typeof key.value === 'number') {
        if (!Number.isInteger(key.value) || key.value < 0 || key.value >= array.length) return [];
        return [{ guard: array.flag, value: { kind, path: [...value.path, key.value] } }];
      }
      if (array !== undefined) throw new Outside('a member of what is an array in the domain');
      if (key.kind !== 'constant' || typeof key.value !== 'string')
        throw new Outside('a computed key or an array place of the input');
      return [{ guard: 'true', value: { kind, path: [...value.path, key.value] } }];
    }
    if (kind === 'object')
      return [...value.entries].flatMap(([name, cases]) => {
        const chosen = this.#formula.equal(key, constantValue(name));
        return chosen === 'false' ? [] : cases.map((c) => ({ guard: and(chosen, c.guard), value: c.value }));
      });
    const constant = value.value;
    if (constant instanceof RegoSet) return [{ guard: this.#formula.member(key, value), value: key }];
    if (key.kind === 'constant' && isRecord(constant)) {
      const known = typeof key.value === 'string' && Object.hasOwn(constant, key.value) ? constant[key.value] : undefined;
      return known === undefined ? [] : [{ guard: 'true', value: constantValue(known) }];
    }
    return (elementsOf(constant) ?? []).flatMap(([name, item]) => {
      const guard = this.#formula.equal(key, constantValue(name));
      return guard === 'false' ? [] : [{ guard, value: constantValue(item) }];
    });
  }
}

/** Cases of the same constant become one. */
function merged(cases: Cases): Cases {
  const result = new Map<string, Case>();
  for (const [index, c] of cases.entries()) {
    const key = c.value.kind === 'constant' ? keyOf(c.value.value) : `#${index}`;
    const known = result.get(key);
    result.set(key, known === undefined ? c : { guard: or(known.guard, c.guard), value: c.value });
  }
  return [...result.values()];
}

function operator(term: AstTerm): string {
  return term.type === 'ref' ? (term.value as AstTerm[]).map((step) => String(step.value)).join('.') : String(term.value);
}

/** A term without variables; undefined for every other. */
function constantOf(term: AstTerm): { readonly value: Constant } | undefined {
  switch (term.type) {
    case 'null':
      return { value: null };
    case 'boolean':
    case 'number':
    case 'string':
      return { value: term.value as boolean | number | string };
    case 'array':
    case 'set': {
      const items = (term.value as AstTerm[]).map(constantOf);
      if (items.includes(undefined)) return undefined;
      const values = items.map((item) => item!.value);
      return { value: term.type === 'set' ? new RegoSet(values) : values };
    }
    case 'object': {
      const entries = (term.value as [AstTerm, AstTerm][]).map(([key, value]) => [key, constantOf(value)] as const);
      if (entries.some(([key, value]) => key.type !== 'string' || value === undefined)) return undefined;
      return { value: Object.fromEntries(entries.map(([key, value]) => [String(key.value), value!.value])) };
    }
    default:
      return undefined;
  }
}

/** Every variable named in an expression outside of calls' operators. */
function variablesOf(expression: AstExpression): readonly string[] {
  const names: string[] = [];
  const stack: unknown[] = [expression.terms];
  while (stack.length > 0) {
    const next = stack.pop();
    if (isTerm(next) && next.type === 'var') names.push(String(next.value));
    else if (typeof next === 'object' && next !== null)
      stack.push(
        ...(Array.isArray(next)
          ? next
          : Object.entries(next)
              .filter(([key]) => key !== 'location')
              .map(([, v]) => v)),
      );
  }
  return names;
}
