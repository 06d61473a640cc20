import type { Location } from '../../core/finding.ts';
import { isObject, type Json } from '../../core/json.ts';
import type { InputPath } from '../domain.ts';

/** A ground Rego value. Sets exist only in policies, never in JSON. */
export type Constant = null | boolean | number | string | readonly Constant[] | RegoSet | { readonly [key: string]: Constant };
export class RegoSet {
  readonly items: readonly Constant[];
  constructor(items: readonly Constant[]) {
    this.items = [...new Map(items.map((item) => [keyOf(item), item])).values()];
  }
}

/** A construct that has no exact translation: it is taken as any value, so what is proved still holds. */
export interface Construct {
  readonly construct: string;
  readonly location: Location | undefined;
}

/**
 * A Rego value that depends on the input: `term` is a count; `input` a node of the input, whose members can
 * still be read; `tuple` and `bag` are arrays (see arrays.ts); `any` stands for every value there is, where a construct is outside the subset.
 */
export type Value =
  | { readonly kind: 'constant'; readonly value: Constant }
  /** A number, as SMT text; `some` says when it is above 0, of one that counts. */
  | { readonly kind: 'term'; readonly smt: string; readonly some: string }
  | { readonly kind: 'input'; readonly path: InputPath }
  | { readonly kind: 'object'; readonly entries: ReadonlyMap<string, Cases> }
  | { readonly kind: 'set'; readonly members: Cases }
  | { readonly kind: 'tuple'; readonly items: readonly Cases[] }
  | {
      readonly kind: 'bag';
      readonly members: Cases;
      /** Each member whose guard holds is one element. */
      readonly exact: boolean;
      /** At most so many elements. */
      readonly max: number | undefined;
      /** What ordered them. */
      readonly order: Construct | undefined;
    }
  | { readonly kind: 'any'; readonly standsFor: readonly Construct[] };
/** What an expression can be: under `guard` (SMT text of sort Bool) it is `value`; under none of them it is undefined. */
export type Cases = readonly Case[];
export interface Case {
  readonly guard: string;
  readonly value: Value;
}

export const constantValue = (value: Constant): Value => ({ kind: 'constant', value });
export const anyValue = (...standsFor: readonly Construct[]): Value => ({ kind: 'any', standsFor });

/** The constructs for which any of the values is taken. */
export function standsFor(...values: readonly Value[]): readonly Construct[] {
  return [...new Set(values.flatMap((value) => (value.kind === 'any' ? value.standsFor : [])))];
}

const keys = new WeakMap<object, string>();

/** Equal text exactly for equal values. */
export function keyOf(value: Constant): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  let key = keys.get(value);
  if (key === undefined) {
    key = compositeKey(value);
    keys.set(value, key);
  }
  return key;
}

function compositeKey(value: Constant): string {
  if (value instanceof RegoSet) return `{${value.items.map(keyOf).sort().join(',')}}`;
  if (Array.isArray(value)) return `[${(value as readonly Constant[]).map(keyOf).join(',')}]`;
  if (isRecord(value))
    return `{${Object.keys(value)
      .sort()
      .map((key) => `${JSON.stringify(key)}:${keyOf(value[key]!)}`)
      .join(',')}}o`;
  return JSON.stringify(value);
}

export function isRecord(value: Constant): value is { readonly [key: string]: Constant } {
  return !(value instanceof RegoSet) && isObject(value as Json);
}

export function isScalar(value: Constant): value is null | boolean | number | string {
  return value === null || typeof value !== 'object';
}

/**
 * Scalars of JSON as one SMT sort. `other` is every array and object; two of them are never known to be equal. Rego
 * orders values by type first: null < boolean < number < string < the rest (policy reference, comparison).
 */
export const PRELUDE = `(declare-datatypes ((V 0)) (((absent) (null) (bool (b Bool)) (num (n Real)) (str (s String)) (other))))
(define-fun rank ((v V)) Int (ite (= v null) 0 (ite ((_ is bool) v) 1 (ite ((_ is num) v) 2 (ite ((_ is str) v) 3 4)))))
(define-fun below ((x V) (y V)) Bool (or (< (rank x) (rank y)) (and (= (rank x) (rank y))
  (ite ((_ is bool) x) (and (not (b x)) (b y)) (ite ((_ is num) x) (< (n x) (n y)) (and ((_ is str) x) (str.< (s x) (s y))))))))`;

/** SMT text of a scalar; undefined where it has no exact one (z3 characters end at U+2FFFF, doubles at 15 digits). */
export function literal(value: null | boolean | number | string): string | undefined {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return `(bool ${value})`;
  if (typeof value === 'string') return stringLiteral(value);
  const [, sign, digits] = /^(-?)(\d+(?:\.\d+)?)$/.exec(String(value)) ?? [];
  if (digits === undefined || digits.replace('.', '').length > 15) return undefined;
  const real = digits.includes('.') ? digits : `${digits}.0`;
  return `(num ${sign === '-' ? `(- ${real})` : real})`;
}

function stringLiteral(value: string): string | undefined {
  let text = '';
  for (const character of value) {
    const code = character.codePointAt(0)!;
    // The last character of z3's alphabet stands in for those beyond it, so a policy must not name it.
    if (code >= 0x2ffff) return undefined;
    text += code >= 0x20 && code < 0x7f && character !== '\\' && character !== '"' ? character : `\\u{${code.toString(16)}}`;
  }
  return `(str "${text}")`;
}

export function and(...guards: readonly string[]): string {
  const rest = new Set(guards);
  rest.delete('true');
  if (rest.has('false') || contradicts(rest)) return 'false';
  return rest.size === 0 ? 'true' : rest.size === 1 ? [...rest][0]! : `(and ${[...rest].join(' ')})`;
}

export function or(...guards: readonly string[]): string {
  const rest = new Set(guards);
  rest.delete('false');
  if (rest.has('true') || contradicts(rest)) return 'true';
  return rest.size === 0 ? 'false' : rest.size === 1 ? [...rest][0]! : `(or ${[...rest].join(' ')})`;
}

/** One of the guards is the opposite of another. */
function contradicts(guards: ReadonlySet<string>): boolean {
  for (const guard of guards) if (guard.startsWith('(not ') && guards.has(guard.slice(5, -1))) return true;
  return false;
}

export function not(guard: string): string {
  if (guard === 'true') return 'false';
  if (guard === 'false') return 'true';
  const inner = /^\(not ([^\s()]+)\)$/.exec(guard)?.[1];
  return inner ?? `(not ${guard})`;
}

/** The expression has a value. */
export const defined = (cases: Cases): string => or(...cases.map((c) => c.guard));

/** Cases of the same value become one, where that is plain to see: of constants, and of the same term or node of the input. */
export function merged(cases: Cases): Cases {
  if (cases.length < 2) return cases;
  const result = new Map<string, { readonly guards: string[]; readonly value: Value }>();
  for (const [index, { guard, value }] of cases.entries()) {
    const key = identity(value) ?? `#${index}`;
    const known = result.get(key);
    if (known === undefined) result.set(key, { guards: [guard], value });
    else known.guards.push(guard);
  }
  return [...result.values()].map(({ guards, value }) => ({ guard: or(...guards), value }));
}

/** Equal text only for values that are equal on every input. */
export function identity(value: Value): string | undefined {
  if (value.kind === 'constant') return `constant ${keyOf(value.value)}`;
  if (value.kind === 'term') return `term ${value.smt}`;
  return value.kind === 'input' ? `input ${JSON.stringify(value.path)}` : undefined;
}
