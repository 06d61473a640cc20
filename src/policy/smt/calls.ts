import { bagSize, concatenated, sliced } from './arrays.ts';
import { type Formula, Outside } from './formula.ts';
import { membersOf } from './parts.ts';
import { and, type Case, type Cases, constantValue, defined, isRecord, not, or, standsFor, type Value } from './values.ts';

type Operation = (formula: Formula, args: readonly Cases[]) => Cases;

/** A relation as a Boolean value: defined where both sides are. */
function relation(holds: (formula: Formula, a: Value, b: Value) => string): Operation {
  return (formula, [left, right]) => {
    const yes: string[] = [];
    const no: string[] = [];
    for (const a of left!)
      for (const b of right!) {
        const guard = and(a.guard, b.guard);
        const held = formula.name(holds(formula, a.value, b.value));
        yes.push(and(guard, held));
        no.push(and(guard, not(held)));
      }
    return [
      { guard: formula.name(or(...yes)), value: constantValue(true) },
      { guard: formula.name(or(...no)), value: constantValue(false) },
    ];
  };
}

function typeTest(type: 'bool' | 'num' | 'str' | 'null'): Operation {
  return relationOfOne((formula, value) => {
    if (value.kind === 'any') return formula.fresh(value.standsFor);
    const term = formula.term(value);
    if (term === undefined) return 'false';
    return type === 'null' ? `(= ${term} null)` : `((_ is ${type}) ${term})`;
  });
}

function relationOfOne(holds: (formula: Formula, value: Value) => string): Operation {
  const two = relation((formula, value) => holds(formula, value));
  return (formula, [only]) => two(formula, [only!, [{ guard: 'true', value: constantValue(true) }]]);
}

/** Of an opaque value of the input it is not known which of the two it is. */
function compositeTest(type: 'array' | 'object'): Operation {
  return relationOfOne((formula, value) => {
    if (value.kind === 'constant')
      return String(type === 'array' ? Array.isArray(value.value) : isRecord(value.value)) as 'true' | 'false';
    if (value.kind === 'object' || value.kind === 'set') return value.kind === type ? 'true' : 'false';
    if (value.kind === 'tuple' || value.kind === 'bag') return String(type === 'array') as 'true' | 'false';
    const array = value.kind === 'input' ? formula.array(value.path) : undefined;
    if (array !== undefined) return and(`(= ${formula.term(value)!} other)`, type === 'array' ? array.flag : not(array.flag));
    return and(
      value.kind === 'any' ? 'true' : formula.composite(`(= ${formula.term(value)!} other)`),
      formula.fresh(standsFor(value)),
    );
  });
}

/** Union, intersection and difference of sets of constants, member by member. */
function setOperation(combine: (a: string, b: string) => string): Operation {
  return (formula, [left, right]) =>
    left!.flatMap((a) =>
      right!.map((b): Case => {
        const [x, y] = [membersOf(a.value), membersOf(b.value)];
        if (x === undefined || y === undefined) throw new Outside('arithmetic, or sets whose members depend on the input');
        const constants = new Map([...membersWith(a.value), ...membersWith(b.value)]);
        return {
          guard: and(a.guard, b.guard),
          value: {
            kind: 'set',
            members: [...constants].map(([key, value]) => ({
              guard: formula.name(combine(x.get(key) ?? 'false', y.get(key) ?? 'false')),
              value,
            })),
          },
        };
      }),
    );
}

function membersWith(value: Value): readonly (readonly [string, Value])[] {
  const values: readonly Value[] =
    value.kind === 'set'
      ? value.members.map((m) => m.value)
      : (value as { value: { items: readonly Parameters<typeof constantValue>[0][] } }).value.items.map(constantValue);
  return values.map((one) => [[...membersOf({ kind: 'set', members: [{ guard: 'true', value: one }] })!.keys()][0]!, one]);
}

const count: Operation = (formula, [argument]) =>
  argument!.flatMap(({ guard, value }): Case[] => {
    if (value.kind === 'constant') {
      const { value: constant } = value;
      if (typeof constant === 'string') return [{ guard, value: constantValue([...constant].length) }];
      if (constant === null || typeof constant !== 'object') return [];
      const items = 'items' in constant && membersOf(value) !== undefined ? membersOf(value)!.size : Object.keys(constant).length;
      return [{ guard, value: constantValue(items) }];
    }
    if (value.kind === 'object') return [{ guard, value: constantValue(value.entries.size) }];
    if (value.kind === 'tuple') return [{ guard, value: constantValue(value.items.length) }];
    if (value.kind === 'bag') return [{ guard, value: bagSize(formula, value) }];
    if (value.kind !== 'set') throw new Outside('count of a value of the input');
    const members = membersOf(value);
    if (members !== undefined) {
      const terms = [...members.values()].map((member) => `(ite ${member} 1.0 0.0)`);
      const sum = terms.length === 0 ? '0.0' : terms.length === 1 ? terms[0]! : `(+ ${terms.join(' ')})`;
      return [{ guard, value: { kind: 'term', smt: `(num ${sum})`, some: formula.name(or(...members.values())) } }];
    }
    // Members may coincide: there are as many as are present exactly where no two of them do.
    const number = formula.freshReal();
    const some = formula.name(defined(value.members));
    const present = `(+ 0.0 ${value.members.map((m) => `(ite ${m.guard} 1.0 0.0)`).join(' ')})`;
    const same = value.members.flatMap((a, index) =>
      value.members.slice(index + 1).map((b) => and(a.guard, b.guard, formula.equal(a.value, b.value))),
    );
    formula.assume(
      `(and (<= 0.0 ${number} ${present}) (= (> ${number} 0.0) ${some}) (or (= ${number} 0.0) (>= ${number} 1.0)) (= (= ${number} ${present}) ${not(formula.name(or(...same)))}))`,
      number,
    );
    formula.inexact.push(and(`(> ${number} 1.0)`, `(< ${number} ${present})`));
    return [{ guard, value: { kind: 'term', smt: `(num ${number})`, some } }];
  });

/** Of whole numbers that the policy or its data give; sums that depend on the input round as doubles do, which reals don't. */
const plus: Operation = (_formula, [left, right]) =>
  left!.flatMap((a) =>
    right!.map((b): Case => {
      const [x, y] = [wholeNumber(a.value), wholeNumber(b.value)];
      if (x === undefined || y === undefined) throw new Outside('the builtin plus');
      return { guard: and(a.guard, b.guard), value: constantValue(x + y) };
    }),
  );

function wholeNumber(value: Value): number | undefined {
  if (value.kind !== 'constant' || typeof value.value !== 'number') return undefined;
  return Math.abs(value.value) < 2 ** 40 && Number.isInteger(value.value) ? value.value : undefined;
}

const equal = relation((formula, a, b) => formula.equal(a, b));

/** The builtins of the subset, by OPA's names. */
export const OPERATIONS: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  ['eq', equal],
  ['equal', equal],
  ['neq', relation((formula, a, b) => not(formula.name(formula.equal(a, b))))],
  ['lt', relation((formula, a, b) => formula.less(a, b))],
  ['gt', relation((formula, a, b) => formula.less(b, a))],
  ['lte', relation((formula, a, b) => not(formula.name(formula.less(b, a))))],
  ['gte', relation((formula, a, b) => not(formula.name(formula.less(a, b))))],
  ['internal.member_2', relation((formula, a, b) => formula.member(a, b))],
  ['is_number', typeTest('num')],
  ['is_string', typeTest('str')],
  ['is_boolean', typeTest('bool')],
  ['is_null', typeTest('null')],
  ['is_array', compositeTest('array')],
  ['is_object', compositeTest('object')],
  ['count', count],
  ['plus', plus],
  ['array.concat', (formula, [left, right]) => concatenated(formula, left!, right!)],
  ['array.slice', (formula, [array, start, stop]) => sliced(formula, array!, start!, stop!)],
  ['minus', setOperation((a, b) => and(a, not(b)))],
  ['or', setOperation((a, b) => or(a, b))],
  ['and', setOperation((a, b) => and(a, b))],
]);
