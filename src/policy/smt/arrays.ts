import { type Formula, Outside } from './formula.ts';
import { elementsOf, membersOf } from './parts.ts';
import {
  and,
  anyValue,
  type Case,
  type Cases,
  type Construct,
  constantValue,
  defined,
  not,
  or,
  RegoSet,
  type Value,
} from './values.ts';

/** What is said where an element is taken from a place that is not followed. */
const PLACES: Construct = { construct: 'the places of an array', location: undefined };

/**
 * Arrays whose length or order depends on the input. A `tuple` has its elements at their places; a `bag` has elements
 * that may be there, in an order that is not known: reading a place of it gives any of them, which allows every order
 * that OPA could give and more.
 */
type Bag = Extract<Value, { readonly kind: 'bag' }>;

/** What iterates: the elements that may be there, each with its key. */
export function elementCases(
  formula: Formula,
  value: Value,
  needsKey: boolean,
  anyKey: () => Value,
): readonly (Case & { readonly key: Value })[] {
  if (value.kind === 'input') return inputElements(formula, value.path, needsKey, anyKey);
  if (value.kind === 'tuple') return value.items.flatMap((item, index) => item.map((c) => ({ ...c, key: constantValue(index) })));
  if (value.kind !== 'bag') throw new Outside('iteration over a computed value');
  if (needsKey) throw new Outside('the places of an array whose order is not known');
  return value.members.map((m) => ({ ...m, key: constantValue(null) }));
}

function inputElements(
  formula: Formula,
  path: readonly (string | number)[],
  needsKey: boolean,
  anyKey: () => Value,
): readonly (Case & { readonly key: Value })[] {
  const array = formula.array(path);
  if (array === undefined) throw new Outside('iteration over an array or object of the input');
  const elements = Array.from({ length: array.length }, (_, index) => {
    const value: Value = { kind: 'input', path: [...path, index] };
    return { guard: `(not (= ${formula.term(value)!} absent))`, key: constantValue(index), value };
  });
  if (!needsKey) return elements;
  // An object of as many members gives the same values, under keys of which nothing is known.
  const key = anyKey();
  return elements.flatMap((e) => [
    { ...e, guard: and(e.guard, array.flag) },
    { ...e, guard: and(e.guard, not(array.flag)), key },
  ]);
}

/** A value as a bag; undefined for what is no array of known elements. */
export function bagOf(formula: Formula, value: Value): Bag | undefined {
  if (value.kind === 'bag') return value;
  if (value.kind === 'tuple')
    return { kind: 'bag', members: value.items.flat(), exact: true, max: value.items.length, order: undefined };
  if (value.kind === 'set') return { kind: 'bag', members: value.members, exact: false, max: undefined, order: undefined };
  if (value.kind === 'constant') {
    const items = Array.isArray(value.value) || value.value instanceof RegoSet ? elementsOf(value.value) : undefined;
    if (items === undefined) return undefined;
    const members = items.map(([, item]) => ({ guard: 'true', value: constantValue(item) }));
    return { kind: 'bag', members, exact: true, max: items.length, order: undefined };
  }
  if (value.kind !== 'input') return undefined;
  const array = formula.array(value.path);
  if (array === undefined) return undefined;
  const members = inputElements(formula, value.path, false, () => anyValue(PLACES));
  return { kind: 'bag', members, exact: true, max: array.length, order: undefined };
}

/** `sort`: the elements stay, the order that it gives is not followed. */
export function sorted(formula: Formula, argument: Cases, order: Construct): Cases {
  return argument.flatMap((c): Cases => {
    // Of the input and other unknown values it is not even known whether they can be sorted.
    const bag = c.value.kind === 'input' ? undefined : bagOf(formula, c.value);
    if (bag === undefined) throw new Outside('the builtin sort');
    return [{ guard: c.guard, value: { ...bag, order } }];
  });
}

/** `array.concat` of two arrays. */
export function concatenated(formula: Formula, left: Cases, right: Cases): Cases {
  return left.flatMap((a) =>
    right.flatMap((b): Cases => {
      if (isScalar(a.value) || isScalar(b.value)) return [];
      const guard = formula.name(and(a.guard, b.guard));
      if (guard === 'false') return [];
      if (a.value.kind === 'tuple' && b.value.kind === 'tuple')
        return [{ guard, value: { kind: 'tuple', items: [...a.value.items, ...b.value.items] } }];
      const [x, y] = [arrayBag(formula, a.value), arrayBag(formula, b.value)];
      return [
        {
          guard,
          value: {
            kind: 'bag',
            members: [...x.members, ...y.members],
            exact: x.exact && y.exact,
            max: x.max === undefined || y.max === undefined ? undefined : x.max + y.max,
            order: x.order ?? y.order,
          },
        },
      ];
    }),
  );
}

/** `array.slice`: some of the elements, at most as many as the bounds leave. */
export function sliced(formula: Formula, array: Cases, start: Cases, stop: Cases): Cases {
  const [from, to] = [constantNumber(start), constantNumber(stop)];
  const max = from === undefined || to === undefined ? undefined : Math.max(0, to - Math.max(0, from));
  return array.flatMap((c): Cases => {
    if (isScalar(c.value)) return [];
    const bag = arrayBag(formula, c.value);
    // What is at the first place is not in what comes after it, where each member is one element.
    const first = bag.exact && from !== undefined && from > 0 ? anyOf(formula, bag, 0) : [];
    const members = bag.members.map((m, index) => ({
      guard: formula.name(and(m.guard, not(first[index]?.guard ?? 'false'), formula.fresh([bag.order ?? PLACES]))),
      value: m.value,
    }));
    const limit = max === undefined ? bag.max : Math.min(max, bag.max ?? max);
    const guard = and(c.guard, defined(start), defined(stop));
    return [{ guard, value: { kind: 'bag', members, exact: false, max: limit, order: bag.order } }];
  });
}

function isScalar(value: Value): boolean {
  if (value.kind === 'constant') return !Array.isArray(value.value);
  return value.kind === 'term' || value.kind === 'object' || value.kind === 'set';
}

/** Of an input value nothing says that it is an array: the builtin would be undefined on another. */
function arrayBag(formula: Formula, value: Value): Bag {
  const bag = value.kind === 'input' ? undefined : bagOf(formula, value);
  if (bag === undefined) throw new Outside('an array of the input as an argument');
  return bag;
}

function constantNumber(cases: Cases): number | undefined {
  const [only, ...more] = cases;
  if (only === undefined || more.length > 0 || only.value.kind !== 'constant') return undefined;
  return Number.isSafeInteger(only.value.value) ? (only.value.value as number) : undefined;
}

/** Elements that were chosen: each place of an array has one, however often it is read. */
const choices = new WeakMap<Bag, Map<number, Cases>>();

/** One element of a bag, the same for the same place. */
export function anyOf(formula: Formula, bag: Bag, place: number): Cases {
  const known = choices.get(bag) ?? new Map<number, Cases>();
  choices.set(bag, known);
  const chosen = known.get(place) ?? choose(formula, bag, place);
  known.set(place, chosen);
  return chosen;
}

/**
 * Whichever element: defined where one is there; past the first place perhaps not even then. Each member is
 * taken where none before it was, if a free Boolean says so, or if it is the last that could be.
 */
function choose(formula: Formula, bag: Bag, place: number): Cases {
  if (bag.max !== undefined && place >= bag.max) return [];
  const { members } = bag;
  // Members that can't be told apart from outside may be several or none, so only the first place is sure to be taken.
  const later = members.map(() => 'true');
  if (place === 0)
    for (let index = members.length - 1, any = 'false'; index >= 0; index -= 1) {
      later[index] = any;
      any = formula.name(or(members[index]!.guard, any));
    }
  let none = 'true';
  return members.map(({ guard, value }, index) => {
    const chance = formula.fresh([bag.order ?? PLACES]);
    const chosen = formula.name(and(guard, none, or(chance, not(later[index]!))));
    none = formula.name(and(none, not(chosen)));
    return { guard: chosen, value };
  });
}

/** `count` of an array. */
export function bagSize(formula: Formula, bag: Bag): Value {
  if (bag.members.length === 0) return constantValue(0);
  const present = `(+ 0.0 ${bag.members.map((m) => `(ite ${m.guard} 1.0 0.0)`).join(' ')})`;
  const exclusive = bag.members.every((m) => membersOf({ kind: 'set', members: [m] }) !== undefined);
  // A tuple's place may have several cases of which one holds, and members of a set may coincide.
  const some = formula.name(defined(bag.members));
  if (bag.exact && bag.max !== undefined && bag.max < bag.members.length) {
    // That there are no more of them is known of the array, and would be hard to see from its members.
    const number = formula.freshReal();
    formula.assume(`(and (= ${number} ${present}) (<= ${number} ${bag.max}.0))`, number);
    return { kind: 'term', smt: `(num ${number})`, some };
  }
  if (bag.exact) return { kind: 'term', smt: `(num ${present})`, some };
  const number = formula.freshReal();
  formula.assume(
    `(and (<= ${number} ${present}) (= (> ${number} 0.0) ${some}) (or (= ${number} 0.0) (>= ${number} 1.0))${bag.max === undefined ? '' : ` (<= ${number} ${bag.max}.0)`})`,
    number,
  );
  if (!exclusive) formula.inexact.push(`(> ${number} 1.0)`);
  return { kind: 'term', smt: `(num ${number})`, some };
}
