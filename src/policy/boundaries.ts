import type { Json, JsonObject } from '../core/json.ts';
import type { AstModule, AstTerm } from './ast.ts';
import { refPath } from './ast.ts';
import { importsOf } from './definitions.ts';
import { isObject } from './source.ts';

/** A number that the policy compares a named field with. */
export interface Comparison {
  /** Last name of the compared reference, e.g. `saturation` of `pool.saturation`. */
  readonly field: string;
  readonly value: number;
}

const OPERATORS = new Set(['lt', 'lte', 'gt', 'gte', 'equal', 'eq', 'neq']);

/** Numbers in the policy's comparisons: literals, and references that lead to a number in data. */
export function comparisonsOf(asts: ReadonlyMap<string, AstModule>, data: JsonObject): readonly Comparison[] {
  const found = new Map<string, Comparison>();
  for (const ast of asts.values()) {
    const scope = importsOf(ast);
    const visitCall = (terms: readonly AstTerm[]): void => {
      const operator = terms[0];
      const name = operator === undefined ? undefined : operatorName(operator);
      if (name === undefined || !OPERATORS.has(name) || terms.length !== 3) return;
      for (const [field, other] of [
        [terms[1]!, terms[2]!],
        [terms[2]!, terms[1]!],
      ] as const) {
        const last = lastName(field);
        if (last === undefined) continue;
        for (const value of numbersOf(other, scope, data)) found.set(`${last} ${value}`, { field: last, value });
      }
    };
    const stack: unknown[] = [ast.rules];
    while (stack.length > 0) {
      const node = stack.pop();
      if (typeof node !== 'object' || node === null) continue;
      const terms = (node as { terms?: unknown }).terms;
      if (Array.isArray(terms)) visitCall(terms as AstTerm[]);
      if ((node as AstTerm).type === 'call' && Array.isArray((node as AstTerm).value))
        visitCall((node as AstTerm).value as AstTerm[]);
      stack.push(...Object.values(node));
    }
  }
  return [...found.values()].sort((a, b) => (a.field < b.field ? -1 : a.field > b.field ? 1 : a.value - b.value));
}

/** Each compared number of the path's last name, one step below and one above it, ascending. */
export function boundariesOf(comparisons: readonly Comparison[], path: readonly (string | number)[]): readonly number[] {
  const field = String(path.findLast((step) => typeof step === 'string') ?? '');
  const numbers = new Set<number>();
  for (const { field: name, value } of comparisons) {
    if (name !== field) continue;
    const decimals = Number.isInteger(value) ? 0 : (String(value).split('.')[1]?.length ?? 0);
    const step = 10 ** -decimals;
    for (const n of [value - step, value, value + step]) numbers.add(Number(n.toFixed(decimals)));
  }
  return [...numbers].sort((a, b) => a - b);
}

/** A string that occurs in none of the texts. */
export function unknownString(texts: readonly string[]): string {
  for (let n = 0; ; n += 1) {
    const candidate = n === 0 ? 'mixgate-unknown' : `mixgate-unknown-${n}`;
    if (!texts.some((text) => text.includes(candidate))) return candidate;
  }
}

function operatorName(term: AstTerm): string | undefined {
  return term.type === 'ref' && Array.isArray(term.value)
    ? (term.value as AstTerm[]).map((part) => String(part.value)).join('.')
    : undefined;
}

function lastName(term: AstTerm): string | undefined {
  if (term.type === 'var') return String(term.value);
  if (term.type !== 'ref') return undefined;
  const last = (term.value as AstTerm[]).at(-1);
  return last?.type === 'string' ? String(last.value) : undefined;
}

function numbersOf(term: AstTerm, scope: ReadonlyMap<string, readonly string[]>, data: JsonObject): readonly number[] {
  if (term.type === 'number') return [Number(term.value)];
  const ref = refPath(term);
  if (ref === undefined) return [];
  const full =
    ref.head === 'data'
      ? ref.path
      : scope.get(ref.head)?.[0] === 'data'
        ? [...scope.get(ref.head)!.slice(1), ...ref.path]
        : undefined;
  if (full === undefined) return [];
  // Variables in the reference stand for every key below it: all numbers with the same last name.
  let nodes: Json[] = [data];
  const steps = term.type === 'ref' ? [...full, ...restAfterPath(term, ref.path.length)] : full;
  for (const step of steps) {
    nodes = nodes.flatMap((node) => {
      if (step === undefined)
        return isObject(node) ? Object.values(node) : Array.isArray(node) ? [...(node as readonly Json[])] : [];
      return isObject(node) && Object.hasOwn(node, step) ? [node[step]!] : [];
    });
    if (nodes.length > 1000) return [];
  }
  return nodes.filter((node) => typeof node === 'number');
}

/** The steps of a ref after its constant prefix: a name, or undefined for a variable. */
function restAfterPath(term: AstTerm, constantSteps: number): (string | undefined)[] {
  return (term.value as AstTerm[])
    .slice(1 + constantSteps)
    .map((part) => (part.type === 'string' ? String(part.value) : undefined));
}
