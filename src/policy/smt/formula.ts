import type { InputPath } from '../domain.ts';
import { Lines, namesIn } from './lines.ts';
import { elementsOf, entriesOf, itemsOf, kindOf, membersOf } from './parts.ts';
import {
  and,
  type Cases,
  type Construct,
  constantValue,
  defined,
  isScalar,
  keyOf,
  literal,
  not,
  or,
  PRELUDE,
  standsFor,
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

/** A formula that grows by more than this for one question is no longer worth a solver's time. */
const MAX_DEFINITIONS = 40_000;
export class TooLarge extends Error {}

/** What a solver is asked: SMT-LIB 2.6 text, and what of the formula is in it. */
export interface Slice {
  readonly text: string;
  readonly inputs: readonly { readonly name: string; readonly path: InputPath }[];
  /** Names whose values make up an input: of `inputs`, and of the flags of arrays where it matters what they are. */
  readonly asked: readonly string[];
  /** Constructs that were taken as any value and on which the answer may depend. */
  readonly outside: readonly Construct[];
  readonly inexact: readonly string[];
}

/** The formula as it grows: named guards (so that shared parts are written once), input variables, assumptions. */
export class Formula {
  /** Where a composite value meets another, or a rule takes two values: a model in which none holds is exact. */
  readonly inexact: string[] = [];
  readonly #lines = new Lines();
  /** What each free Boolean stands in for. */
  readonly #outside = new Map<string, readonly Construct[]>();
  readonly #inputs = new Map<string, { readonly name: string; readonly path: InputPath }>();
  readonly #arrays = new Map<string, InputArray>();
  readonly #names = new Map<string, string>();
  readonly #lengths: (path: InputPath) => number | undefined;
  #count = 0;
  #limit = MAX_DEFINITIONS;

  /** @param lengths how many elements of an array of the input are followed; undefined: it is not */
  constructor(lengths: (path: InputPath) => number | undefined = () => undefined) {
    this.#lengths = lengths;
  }

  /** What comes now is for another question, which may be as large as the last. */
  nextQuestion(): void {
    this.#limit = this.#count + MAX_DEFINITIONS;
  }

  /** A short name for a guard; the same one for the same guard. */
  name(guard: string): string {
    if (guard.length < 24) return guard;
    const known = this.#names.get(guard);
    if (known !== undefined) return known;
    const name = this.#next('g');
    this.#lines.define(name, 'Bool', guard);
    this.#names.set(guard, name);
    return name;
  }

  /** A Bool that can be either; `standsFor` are the constructs that have no translation. */
  fresh(standsFor: readonly Construct[] = []): string {
    const name = this.#next('f');
    this.#lines.declare(name, 'Bool');
    if (standsFor.length > 0) this.#outside.set(name, standsFor);
    return name;
  }

  /** The guard holds; it only limits `about`, to something for every value of everything else. */
  assume(guard: string, about: string): void {
    this.#lines.assume(guard, about);
  }

  freshReal(): string {
    const name = this.#next('r');
    this.#lines.declare(name, 'Real');
    return name;
  }

  input(path: InputPath): string {
    const key = JSON.stringify(path);
    const known = this.#inputs.get(key);
    if (known !== undefined) return known.name;
    const name = this.#next('i');
    this.#lines.declare(name, 'V');
    this.#inputs.set(key, { name, path });
    return name;
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
      if (index > 0) this.assume(`(or (= ${element} absent) (not (= ${elements[index - 1]} absent)))`, element);
      this.assume(`(or (= ${element} absent) (= ${outer} other))`, element);
    }
    return array;
  }

  /** Arrays whose elements are followed. */
  arrays(): readonly InputArray[] {
    return [...this.#arrays.values()];
  }

  /** The question for an input under which all of `goals` hold, with no more of the formula than they depend on. */
  slice(goals: readonly string[]): Slice {
    const { names, lines } = this.#lines.cone(goals);
    const inputs = [...this.#inputs.values()].filter((input) => names.has(input.name));
    const nesting = inputs.flatMap((outer) =>
      inputs
        .filter((inner) => inner.path.length > outer.path.length && outer.path.every((step, i) => inner.path[i] === step))
        .map((inner) => `(assert (or (= ${inner.name} absent) (= ${outer.name} other)))`),
    );
    const flags = this.arrays().map(({ flag }) => flag);
    return {
      text: [PRELUDE, ...lines, ...nesting, ...goals.map((goal) => `(assert ${goal})`)].join('\n'),
      inputs,
      asked: [...inputs.map(({ name }) => name), ...flags.filter((flag) => names.has(flag))],
      outside: [...this.#outside].flatMap(([name, constructs]) => (names.has(name) ? constructs : [])),
      inexact: [...new Set(this.inexact)].filter((guard) => namesIn(guard).every((name) => names.has(name))),
    };
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
    if (value.kind === 'any') return this.fresh(value.standsFor);
    if (value.kind === 'constant') return value.value === false ? 'false' : 'true';
    if (value.kind === 'term' || value.kind === 'input') return `(not (= ${this.term(value)!} (bool false)))`;
    return 'true';
  }

  equal(a: Value, b: Value): string {
    if (a.kind === 'any' || b.kind === 'any') return this.fresh(standsFor(a, b));
    if (a.kind === 'constant' && b.kind === 'constant') return keyOf(a.value) === keyOf(b.value) ? 'true' : 'false';
    for (const [one, other] of [[a, b] as const, [b, a] as const])
      if (one.kind === 'term' && other.kind === 'constant' && other.value === 0) return not(one.some);
    const [x, y] = [this.term(a), this.term(b)];
    if (x !== undefined && y !== undefined) {
      if (x === y) return 'true';
      if ([a, b].some(({ kind }) => kind === 'constant' || kind === 'term')) return `(= ${x} ${y})`;
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
    if (a.kind === 'constant' && b.kind === 'constant' && typeof a.value === 'number' && typeof b.value === 'number')
      return String(a.value < b.value);
    // Counts are whole: above 0 is what most policies ask of them, and needs no arithmetic.
    if (a.kind === 'constant' && a.value === 0 && b.kind === 'term') return b.some;
    if (a.kind === 'term' && b.kind === 'constant' && b.value === 1) return not(a.some);
    if (a.kind === 'any' || b.kind === 'any') return this.fresh(standsFor(a, b));
    const [x, y] = [this.term(a), this.term(b)];
    if (x !== undefined && y !== undefined)
      return [a, b].some(({ kind }) => kind === 'constant' || kind === 'term')
        ? `(below ${x} ${y})`
        : `(ite ${this.composite(`(and (= ${x} other) (= ${y} other))`)} ${this.fresh()} (below ${x} ${y}))`;
    if (x === undefined && y === undefined) throw new Outside('the order of two composite values');
    // One side is an array, an object or a set: it is above every scalar, and of unknown order to another.
    const opaque = this.composite(`(= ${(x ?? y)!} other)`);
    return `(ite ${opaque} ${this.fresh()} ${y === undefined ? 'true' : 'false'})`;
  }

  /** `value` is an element of `collection`; of what is no collection, nothing is. */
  member(value: Value, collection: Value): string {
    if (value.kind === 'any' || collection.kind === 'any') return this.fresh(standsFor(value, collection));
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
    if (this.#count > this.#limit) throw new TooLarge();
    return `${prefix}${this.#count}`;
  }
}
