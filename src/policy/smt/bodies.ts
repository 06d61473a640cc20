import { type AstExpression, type AstTerm, isTerm } from '../ast.ts';
import { elementCases } from './arrays.ts';
import { operator, placeOf, variablesOf } from './ast-terms.ts';
import { Outside } from './formula.ts';
import { elementsOf } from './parts.ts';
import { resolveName } from './rulebook.ts';
import { callValue } from './terms.ts';
import { type Branch, type Locals, MAX_BRANCHES, type Scope, type Translation } from './translation.ts';
import { and, type Case, type Cases, constantValue, defined, not, or, type Value } from './values.ts';

/** `most`: at most so many elements of the collection are there. */
type Element = Case & { readonly key: Value; readonly most: number };

/** Every way a body can hold: its expressions one after the other, each of which may bind variables. */
export function bodyBranches(t: Translation, body: readonly AstExpression[], scope: Scope, start: Branch): readonly Branch[] {
  let branches: readonly Branch[] = start.guard === 'false' ? [] : [start];
  for (const expression of body) {
    const next: Branch[] = [];
    for (const branch of branches) {
      for (const after of expressionBranches(t, expression, scope, branch))
        if (after.guard !== 'false') next.push({ ...after, guard: t.formula.name(after.guard) });
      if (next.length > MAX_BRANCHES) return [looseBranch(t, body, scope, start, `more than ${MAX_BRANCHES} combinations`)];
    }
    branches = next;
  }
  return branches;
}

function expressionBranches(t: Translation, expression: AstExpression, scope: Scope, branch: Branch): readonly Branch[] {
  try {
    return exactBranches(t, expression, scope, branch);
  } catch (error) {
    if (!(error instanceof Outside)) throw error;
    return [looseBranch(t, [expression], scope, branch, error.construct)];
  }
}

/** The expressions may hold or not; what they would bind is anything. */
function looseBranch(t: Translation, expressions: readonly AstExpression[], scope: Scope, branch: Branch, why: string): Branch {
  const [{ guard, value }] = t.outside(why, placeOf(expressions[0]!, scope.file));
  const locals = new Map(branch.locals);
  for (const name of expressions.flatMap(variablesOf)) {
    if (locals.get(name) !== undefined) continue;
    // A name that a rule or an import has is only a variable where it was declared as one.
    if (locals.has(name) || resolveName(t.book, scope, name) === undefined) locals.set(name, [{ guard: 'true', value }]);
  }
  return { guard: and(branch.guard, guard), locals, most: Number.POSITIVE_INFINITY };
}

function exactBranches(t: Translation, expression: AstExpression, scope: Scope, branch: Branch): readonly Branch[] {
  if ('with' in expression) throw new Outside('`with`');
  const { terms } = expression;
  if (isTerm(terms)) return [condition(t, expression, t.term(terms, scope, branch.locals), scope, branch)];
  if (Array.isArray(terms)) return callBranches(t, expression, terms as AstTerm[], scope, branch);
  const declared = terms as {
    symbols?: AstTerm[];
    domain?: AstTerm;
    key?: AstTerm | null;
    value?: AstTerm;
    body?: AstExpression[];
  };
  if (declared.symbols !== undefined) return some(t, declared.symbols, scope, branch);
  if (declared.domain !== undefined) return [every(t, declared as Required<typeof declared>, scope, branch)];
  throw new Outside('this expression');
}

function callBranches(
  t: Translation,
  expression: AstExpression,
  terms: readonly AstTerm[],
  scope: Scope,
  branch: Branch,
): readonly Branch[] {
  const name = operator(terms[0]!);
  const [, left, right] = terms;
  if (terms.length === 3 && (name === 'assign' || name === 'eq') && expression.negated !== true) {
    const directions = [[left!, right!] as const, ...(name === 'eq' ? [[right!, left!] as const] : [])];
    for (const [target, source] of directions) {
      if (target.type !== 'var' || (name === 'eq' && !unbound(t, target, scope, branch.locals))) continue;
      const cases = t.term(source, scope, branch.locals);
      const locals = new Map(branch.locals).set(String(target.value), cases);
      return [{ ...branch, guard: and(branch.guard, defined(cases)), locals }];
    }
    if (name === 'assign') throw new Outside('a pattern on the left of :=');
  }
  return [condition(t, expression, callValue(t, terms, scope, branch.locals), scope, branch)];
}

function condition(t: Translation, expression: AstExpression, cases: Cases, scope: Scope, branch: Branch): Branch {
  const truth = t.formula.name(or(...cases.map((c) => and(c.guard, t.formula.truthy(c.value)))));
  if (expression.negated !== true) return { ...branch, guard: and(branch.guard, truth) };
  return { ...branch, guard: and(branch.guard, ...hoisted(t, expression.terms, scope, branch.locals), not(truth)) };
}

/**
 * OPA's compiler moves what a call takes out of `not`: `not f(input.x)` is undefined, not true, when input.x is
 * absent. Of an equality and of a plain reference it moves only nested calls and computed keys.
 */
function hoisted(t: Translation, terms: unknown, scope: Scope, locals: Locals): readonly string[] {
  const guards: string[] = [];
  const value = (term: AstTerm): void => {
    guards.push(defined(t.term(term, scope, locals)));
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

function unbound(t: Translation, term: AstTerm, scope: Scope, locals: Locals): boolean {
  const name = String(term.value);
  return locals.has(name) ? locals.get(name) === undefined : resolveName(t.book, scope, name) === undefined;
}

function some(t: Translation, symbols: readonly AstTerm[], scope: Scope, branch: Branch): readonly Branch[] {
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
  return elements(t, parts.at(-1)!, scope, branch.locals, key !== undefined).map((element) => {
    const locals = new Map(branch.locals);
    if (key !== undefined) locals.set(String(key.value), [{ guard: 'true', value: element.key }]);
    locals.set(String(value!.value), [{ guard: 'true', value: element.value }]);
    return { guard: and(branch.guard, element.guard), locals, most: (branch.most ?? 1) * element.most };
  });
}

function every(
  t: Translation,
  parts: {
    readonly domain: AstTerm;
    readonly key: AstTerm | null;
    readonly value: AstTerm;
    readonly body: readonly AstExpression[];
  },
  scope: Scope,
  branch: Branch,
): Branch {
  const loose = t.loose;
  const guards = elements(t, parts.domain, scope, branch.locals, parts.key?.type === 'var', false).map((element) => {
    const locals = new Map(branch.locals);
    if (parts.key?.type === 'var') locals.set(String(parts.key.value), [{ guard: 'true', value: element.key }]);
    locals.set(String(parts.value.value), [{ guard: 'true', value: element.value }]);
    const ways = t.body(parts.body, scope, { guard: 'true', locals });
    return or(not(t.formula.name(element.guard)), ...ways.map((w) => w.guard));
  });
  if (t.loose > loose) throw new Outside('every over what is outside the subset');
  return { ...branch, guard: and(branch.guard, defined(t.term(parts.domain, scope, branch.locals)), ...guards) };
}

/** What iteration over a collection gives; elements of the input's arrays only where they are followed. */
function elements(
  t: Translation,
  collection: AstTerm,
  scope: Scope,
  locals: Locals,
  needsKey: boolean,
  ofInput = true,
): readonly Element[] {
  return t.term(collection, scope, locals).flatMap(({ guard, value }): readonly Element[] => {
    const some = (all: readonly Omit<Element, 'most'>[], most = all.length): readonly Element[] =>
      all.map((e) => ({ ...e, guard: and(guard, e.guard), most }));
    if (value.kind === 'constant')
      return some(
        (elementsOf(value.value) ?? []).map(([key, item]) => ({
          guard: 'true',
          key: constantValue(key),
          value: constantValue(item),
        })),
      );
    if (value.kind === 'set') return some(value.members.map((m) => ({ ...m, key: m.value })));
    if (value.kind === 'any') throw new Outside('iteration over what is outside the subset');
    if (value.kind === 'input' && !ofInput) throw new Outside('iteration over an array or object of the input');
    const keys = (): Value => t.anything('the keys of what may be an object', placeOf(collection, scope.file));
    return some(elementCases(t.formula, value, needsKey, keys), value.kind === 'bag' ? value.max : undefined);
  });
}
