import type { InputPath } from '../domain.ts';
import {
  and,
  type Cases,
  type Constant,
  type Construct,
  constantValue,
  defined,
  isRecord,
  isScalar,
  keyOf,
  literal,
  not,
  or,
  PRELUDE,
  RegoSet,
  type Value,
} from './values.ts';

export type { Construct };

/** An array of the input of which so many elements are followed; `flag` says whether it is an array or an object. */
export interface InputArray {
  readonly path: InputPath;
  readonly length: number;
  readonly flag: string;
}
export class Outside extends Error {
  readonly construct: string;
  /** When the construct has a value, where that much is known. */
  readonly guard: string | undefined;
  constructor(construct: string, guard?: string) {
    super(construct);
    this.construct = construct;
    this.guard = guard;
  }
}

/** A formula larger than this is no longer worth a solver's time: the policy is outside the subset as a whole. */
const MAX_DEFINITIONS = 40_000;
export class TooLarge extends Error {}

/** The formula as it grows: named guards (so that shared parts are written once), input variables, assumptions. */
export class Formula {
  readonly outside: Construct[] = [];
  /** Where a composite value meets another, or a rule takes two values: a model in which none holds is exact. */
  readonly inexact: string[] = [];
  readonly #lines: string[] = [];
  readonly #inputs = new Map<string, { readonly name: string; readonly path: InputPath }>();
  readonly #arrays = new Map<string, InputArray>();
  readonly #lengths: (path: InputPath) => number | undefined;
  #count = 0;

  /** @param lengths how many elements of an array of the input are followed; undefined: it is not */
  constructor(lengths: (path: InputPath) => number | undefined = () => undefined) {
    this.#lengths = lengths;
  }

  /** A short name for a guard. */
  name(guard: string): string {
    if (guard.length < 24) return guard;
    const name = this.#next('g');
    this.#lines.push(`(define-fun ${name} () Bool ${guard})`);
    return name;
  }

  /** A Bool that can be either. */
  fresh(): string {
    const name = this.#next('f');
    this.#lines.push(`(declare-const ${name} Bool)`);
    return name;
  }

  assume(guard: string): void {
    this.#lines.push(`(assert ${guard})`);
  }

  freshReal(): string {
    const name = this.#next('r');
    this.#lines.push(`(declare-const ${name} Real)`);
    return name;
  }

  input(path: InputPath): string {
    const key = JSON.stringify(path);
    const known = this.#inputs.get(key);
    if (known !== undefined) return known.name;
    const name = this.#next('i');
    this.#lines.push(`(declare-const ${name} V)`);
    this.#inputs.set(key, { name, path });
    return name;
  }

  inputs(): readonly { readonly name: string; readonly path: InputPath }[] {
    return [...this.#inputs.values()];
  }

  /** The elements of an array of the input, where they are followed. */
  array(path: InputPath): InputArray | undefined {
    const key = JSON.stringify(path);
    const known = this.#arrays.get(key);
    if (known !== undefined) return known;
    const length = this.#lengths(path);
    if (length === undefined) return undefined;
    const outer = this.input(path);
    const flag = this.fresh();
    const array: InputArray = { path, length, flag };
    this.#arrays.set(key, array);
    const elements = Array.from({ length }, (_, index) => this.input([...path, index]));
    for (const [index, element] of elements.entries()) {
      // Without gaps; where there is an element there is an array or object.
      if (index > 0) this.assume(`(or (= ${element} absent) (not (= ${elements[index - 1]} absent)))`);
      this.assume(`(or (= ${element} absent) (= ${outer} other))`);
    }
    return array;
  }

  arrays(): readonly InputArray[] {
    return [...this.#arrays.values()];
  }

  /** SMT-LIB 2.6 text that asks for an input under which all of `goals` hold. */
  query(goals: readonly string[]): string {
    const inputs = this.inputs();
    const nesting = inputs.flatMap((outer) =>
      inputs
        .filter((inner) => inner.path.length > outer.path.length && outer.path.every((step, i) => inner.path[i] === step))
        .map((inner) => `(assert (or (= ${inner.name} absent) (= ${outer.name} other)))`),
    );
    return [PRELUDE, ...this.#lines, ...nesting, ...goals.map((goal) => `(assert ${goal})`)].join('\n');
  }

  /** SMT text of sort V, for a value that can be a scalar. */
  term(value: Value): string | undefined {
    if (value.kind === 'term') return value.smt;
    if (value.kind === 'input') {
      if (value.path.length === 0) throw new Outside('the whole input as a value');
      return this.input(value.path);
    }
    if (value.kind !== 'constant' || !isScalar(value.value)) return undefined;
    const text = literal(value.value);
    if (text === undefined) throw new Outside(`the literal ${JSON.stringify(value.value).slice(0, 60)}`);
    return text;
  }

  truthy(value: Value): string {
    if (value.kind === 'any') return this.fresh();
    if (value.kind === 'constant') return value.value === false ? 'false' : 'true';
    if (value.kind === 'term' || value.kind === 'input') return `(not (= ${this.term(value)!} (bool false)))`;
    return 'true';
  }

  equal(a: Value, b: Value): string {
    if (a.kind === 'any' || b.kind === 'any') return this.fresh();
    if (a.kind === 'constant' && b.kind === 'constant') return keyOf(a.value) === keyOf(b.value) ? 'true' : 'false';
    const [x, y] = [this.term(a), this.term(b)];
    if (x !== undefined && y !== undefined) {
      if (x === y) return 'true';
      if (a.kind === 'constant' || b.kind === 'constant') return `(= ${x} ${y})`;
      return `(ite ${this.composite(`(and (= ${x} other) (= ${y} other))`)} ${this.fresh()} (= ${x} ${y}))`;
    }
    if (x !== undefined || y !== undefined) {
      const scalar = x === undefined ? b : a;
      if (scalar.kind === 'constant') return 'false';
      return and(this.composite(`(= ${(x ?? y)!} other)`), this.fresh());
    }
    const [left, right] = [entriesOf(a), entriesOf(b)];
    if (left !== undefined && right !== undefined) {
      if (left.size !== right.size || [...left.keys()].some((key) => !right.has(key))) return 'false';
      return and(...[...left].map(([key, cases]) => this.equalCases(cases, right.get(key)!)));
    }
    const [some, others] = [membersOf(a), membersOf(b)];
    if (some !== undefined && others !== undefined) {
      const keys = new Set([...some.keys(), ...others.keys()]);
      return and(...[...keys].map((key) => `(= ${some.get(key) ?? 'false'} ${others.get(key) ?? 'false'})`));
    }
    if (kindOf(a) !== kindOf(b)) return 'false';
    const [these, those] = [itemsOf(a), itemsOf(b)];
    if (these !== undefined && those !== undefined)
      return these.length === those.length ? and(...these.map((item, i) => this.equalCases(item, those[i]!))) : 'false';
    for (const [array, other] of [[a, those] as const, [b, these] as const])
      if (array.kind === 'bag' && other?.length === 0) return not(this.name(defined(array.members)));
    throw new Outside('the comparison of two composite values');
  }

  equalCases(a: Cases, b: Cases): string {
    return this.name(or(...a.flatMap((x) => b.map((y) => and(x.guard, y.guard, this.equal(x.value, y.value))))));
  }

  less(a: Value, b: Value): string {
    if (a.kind === 'any' || b.kind === 'any') return this.fresh();
    const [x, y] = [this.term(a), this.term(b)];
    if (x !== undefined && y !== undefined)
      return a.kind === 'constant' || b.kind === 'constant'
        ? `(below ${x} ${y})`
        : `(ite ${this.composite(`(and (= ${x} other) (= ${y} other))`)} ${this.fresh()} (below ${x} ${y}))`;
    if (x === undefined && y === undefined) throw new Outside('the order of two composite values');
    // One side is an array, an object or a set: it is above every scalar, and of unknown order to another.
    const opaque = this.composite(`(= ${(x ?? y)!} other)`);
    return `(ite ${opaque} ${this.fresh()} ${y === undefined ? 'true' : 'false'})`;
  }

  /** `value` is an element of `collection`; of what is no collection, nothing is. */
  member(value: Value, collection: Value): string {
    if (value.kind === 'any' || collection.kind === 'any') return this.fresh();
    if (collection.kind === 'constant') {
      const items = elementsOf(collection.value)?.map(([, item]) => item) ?? [];
      return this.name(or(...items.map((item) => this.equal(value, constantValue(item)))));
    }
    if (collection.kind === 'set')
      return this.name(or(...collection.members.map((m) => and(m.guard, this.equal(value, m.value)))));
    if (collection.kind === 'object')
      return this.name(or(...[...collection.entries.values()].flat().map((c) => and(c.guard, this.equal(value, c.value)))));
    if (collection.kind === 'tuple')
      return this.name(or(...collection.items.map((item) => this.equalCases([{ guard: 'true', value }], item))));
    if (collection.kind === 'bag')
      return this.name(or(...collection.members.map((m) => and(m.guard, this.equal(value, m.value)))));
    if (collection.kind === 'input') throw new Outside('membership in an array or object of the input');
    return and(this.composite(`(= ${collection.smt} other)`), this.fresh());
  }

  /** A condition under which values are composite, so that more about them is not known. */
  composite(condition: string): string {
    const name = this.name(condition);
    this.inexact.push(name);
    return name;
  }

  #next(prefix: string): string {
    this.#count += 1;
    if (this.#count > MAX_DEFINITIONS) throw new TooLarge();
    return `${prefix}${this.#count}`;
  }
}

/** Key and value of each element; undefined for what can't be iterated. */
export function elementsOf(value: Constant): readonly (readonly [Constant, Constant])[] | undefined {
  if (value instanceof RegoSet) return value.items.map((item) => [item, item]);
  if (Array.isArray(value)) return (value as readonly Constant[]).map((item, index) => [index, item]);
  return isRecord(value) ? Object.entries(value) : undefined;
}

function entriesOf(value: Value): ReadonlyMap<string, Cases> | undefined {
  if (value.kind === 'object') return value.entries;
  if (value.kind !== 'constant' || !isRecord(value.value)) return undefined;
  return new Map(Object.entries(value.value).map(([key, item]) => [key, [{ guard: 'true', value: constantValue(item) }]]));
}

/** The elements of an array, place by place. */
function itemsOf(value: Value): readonly Cases[] | undefined {
  if (value.kind === 'tuple') return value.items;
  if (value.kind !== 'constant' || !Array.isArray(value.value)) return undefined;
  return (value.value as readonly Constant[]).map((item) => [{ guard: 'true', value: constantValue(item) }]);
}

/** The guard of each member of a set, where every member is a constant. */
export function membersOf(value: Value): ReadonlyMap<string, string> | undefined {
  const result = new Map<string, string>();
  const members: Cases | undefined =
    value.kind === 'set'
      ? value.members
      : value.kind === 'constant' && value.value instanceof RegoSet
        ? value.value.items.map((item) => ({ guard: 'true', value: constantValue(item) }))
        : undefined;
  for (const { guard, value: member } of members ?? []) {
    if (member.kind !== 'constant') return undefined;
    const key = keyOf(member.value);
    result.set(key, or(result.get(key) ?? 'false', guard));
  }
  return members === undefined ? undefined : result;
}

function kindOf(value: Value): string {
  if (value.kind === 'set') return 'set';
  if (value.kind === 'tuple' || value.kind === 'bag') return 'array';
  if (value.kind !== 'constant') return value.kind;
  if (value.value instanceof RegoSet) return 'set';
  return Array.isArray(value.value) ? 'array' : isRecord(value.value) ? 'object' : 'scalar';
}
