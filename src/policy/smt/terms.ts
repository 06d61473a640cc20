import type { AstExpression, AstTerm } from '../ast.ts';
import { bagOf, sorted } from './arrays.ts';
import { constantOf, operator, placeOf } from './ast-terms.ts';
import { OPERATIONS } from './calls.ts';
import { Outside } from './formula.ts';
import { memberCases } from './members.ts';
import { resolveName } from './rulebook.ts';
import { type Locals, MAX_BRANCHES, type Scope, type Translation } from './translation.ts';
import { and, anyValue, type Case, type Cases, type Constant, constantValue, defined, merged, standsFor } from './values.ts';

const ON_COLLECTIONS = new Set(['count', 'minus', 'or', 'and', 'plus', 'array.concat', 'array.slice']);

/** The value of a term. @throws Outside */
export function termCases(t: Translation, term: AstTerm, scope: Scope, locals: Locals): Cases {
  const ground = constantOf(term);
  if (ground !== undefined) return [{ guard: 'true', value: constantValue(ground.value) }];
  switch (term.type) {
    case 'var':
      return reference(t, [term], scope, locals);
    case 'ref':
      return reference(t, term.value as AstTerm[], scope, locals);
    case 'call':
      return callValue(t, term.value as AstTerm[], scope, locals);
    case 'object': {
      const entries = new Map<string, Cases>();
      for (const [key, value] of term.value as [AstTerm, AstTerm][]) {
        if (key.type !== 'string') throw new Outside('an object with a computed key');
        entries.set(String(key.value), t.term(value, scope, locals));
      }
      return [{ guard: t.formula.name(and(...[...entries.values()].map(defined))), value: { kind: 'object', entries } }];
    }
    case 'set': {
      const members = (term.value as AstTerm[]).map((item) => t.term(item, scope, locals));
      return [{ guard: t.formula.name(and(...members.map(defined))), value: { kind: 'set', members: members.flat() } }];
    }
    case 'array': {
      const items = (term.value as AstTerm[]).map((item) => t.term(item, scope, locals));
      return [{ guard: t.formula.name(and(...items.map(defined))), value: { kind: 'tuple', items } }];
    }
    case 'setcomprehension': {
      const before = t.loose;
      const { members } = comprehended(t, term, scope, locals);
      if (t.loose > before && members.some((m) => m.value.kind !== 'constant')) throw new Outside('this set comprehension');
      return [{ guard: 'true', value: { kind: 'set', members } }];
    }
    case 'arraycomprehension': {
      const before = t.loose;
      const { members, most } = comprehended(t, term, scope, locals);
      if (t.loose > before) throw new Outside('this array comprehension', 'true');
      const order = { construct: 'the places of this array', location: placeOf(term, scope.file) };
      return [{ guard: 'true', value: { kind: 'bag', members, exact: true, max: most, order } }];
    }
    default:
      throw new Outside(`${/^[aeiou]/.test(term.type) ? 'an' : 'a'} ${term.type.replace('comprehension', ' comprehension')}`);
  }
}

/** What a comprehension gives, and how many of it at most. */
function comprehended(t: Translation, term: AstTerm, scope: Scope, locals: Locals): { members: Cases; most: number } {
  const { term: head, body } = term.value as { readonly term: AstTerm; readonly body: readonly AstExpression[] };
  const branches = t.body(body, scope, { guard: 'true', locals });
  const members = branches.flatMap((branch) =>
    t.term(head, scope, branch.locals).map((c) => ({ guard: t.formula.name(and(branch.guard, c.guard)), value: c.value })),
  );
  return { members, most: Math.max(0, ...branches.map((branch) => branch.most ?? 1)) };
}

/** The value of a call: of a function of the policy, or of a builtin of the subset. @throws Outside */
export function callValue(t: Translation, terms: readonly AstTerm[], scope: Scope, locals: Locals): Cases {
  const name = operator(terms[0]!);
  const steps = name.split('.');
  const resolved = resolveName(t.book, scope, steps[0]!);
  const path = resolved?.[0] === 'data' ? [...resolved.slice(1), ...steps.slice(1)].join('.') : undefined;
  const definitions = path === undefined ? undefined : t.book.byRule.get(path);
  const args = terms.slice(1).map((argument) => t.term(argument, scope, locals));
  if (definitions !== undefined) return t.complete(definitions, scope.input, args);
  if (name === 'sort' && args[0]!.every((c) => c.value.kind !== 'any')) {
    const order = { construct: 'the order that sort gives', location: placeOf(terms[0]!, scope.file) };
    return sorted(t.formula, args[0]!, order);
  }
  const operation = OPERATIONS.get(name);
  if (operation === undefined) throw new Outside(`the builtin ${name}`);
  // An argument outside the subset makes the result so, except that it can't make a call of undefined arguments defined.
  if (ON_COLLECTIONS.has(name) && args.flat().some((c) => c.value.kind === 'any')) {
    const because = standsFor(...args.flat().map((c) => c.value));
    return [{ guard: and(...args.map(defined), t.formula.fresh(because)), value: anyValue(...because) }];
  }
  if (name === 'internal.member_2') return operation(t.formula, [args[0]!, args[1]!.map((c) => followed(t, c))]);
  return operation(t.formula, args);
}

/** An array of the input as its elements, where they are followed. */
function followed(t: Translation, c: Case): Case {
  const bag = c.value.kind === 'input' ? bagOf(t.formula, c.value) : undefined;
  return bag === undefined ? c : { guard: c.guard, value: bag };
}

function reference(t: Translation, steps: readonly AstTerm[], scope: Scope, locals: Locals): Cases {
  const [head, ...rest] = steps;
  if (head?.type === 'call') return select(t, callValue(t, head.value as AstTerm[], scope, locals), rest, scope, locals);
  if (head?.type !== 'var') return select(t, t.term(head!, scope, locals), rest, scope, locals);
  const name = String(head.value);
  if (locals.has(name)) {
    const bound = locals.get(name);
    if (bound === undefined) throw new Outside(`the variable ${name}, which is found by iteration`);
    return select(t, bound, rest, scope, locals);
  }
  const resolved = resolveName(t.book, scope, name);
  if (resolved === undefined)
    throw new Outside(/^[$_]/.test(name) ? 'iteration by reference' : `the variable ${name}, which is found by iteration`);
  const path = [...resolved.slice(1).map((value): AstTerm => ({ type: 'string', value })), ...rest];
  if (resolved[0] === 'input') return select(t, scope.input, path, scope, locals);
  return dataValue(t, path, scope, locals);
}

/** What lies at a data path: a rule's value, or a part of the data document. */
function dataValue(t: Translation, path: readonly AstTerm[], scope: Scope, locals: Locals): Cases {
  const names: string[] = [];
  for (const [index, step] of path.entries()) {
    if (step.type !== 'string') break;
    names.push(String(step.value));
    if (!t.book.byRule.has(names.join('.'))) continue;
    return select(t, t.rule(names.join('.'), scope.input), path.slice(index + 1), scope, locals);
  }
  if (t.book.isPackage(names.join('.'))) throw new Outside('a package as a document');
  return select(t, [{ guard: 'true', value: constantValue(t.book.data as Constant) }], path, scope, locals);
}

function select(t: Translation, start: Cases, steps: readonly AstTerm[], scope: Scope, locals: Locals): Cases {
  let cases = start;
  for (const step of steps) {
    const keys = termCases(t, step, scope, locals);
    cases = merged(
      cases.flatMap((c) =>
        keys.flatMap((key) =>
          memberCases(t.formula, c.value, key.value).map((m) => ({
            guard: t.formula.name(and(c.guard, key.guard, m.guard)),
            value: m.value,
          })),
        ),
      ),
    );
    if (cases.length > MAX_BRANCHES) throw new Outside(`more than ${MAX_BRANCHES} possible values`);
  }
  return cases.flatMap((c) => {
    // A node of the input is there or not; one that is only passed through on the way to a member doesn't matter.
    if (c.value.kind !== 'input' || c.value.path.length === 0 || steps.length === 0) return [c];
    return [{ guard: and(c.guard, `(not (= ${t.formula.term(c.value)!} absent))`), value: c.value }];
  });
}
