import { isObject, type Json, type JsonObject } from '../core/json.ts';
import type { AstModule, AstRule, AstTerm } from './ast.ts';
import { refPath } from './ast.ts';
import { importsOf, packageName } from './definitions.ts';

/** A number that the policy compares a named field with. */
export interface Comparison {
  /** Last name of the compared reference, e.g. `saturation` of `pool.saturation`. */
  readonly field: string;
  readonly value: number;
}

const OPERATORS = new Set(['lt', 'lte', 'gt', 'gte', 'equal', 'eq', 'neq']);

/** How far a value is followed through assignments, rules and function arguments. */
const MAX_HOPS = 6;

/** Where a term stands: what its names mean there. */
interface Scope {
  readonly owner: string;
  readonly imports: ReadonlyMap<string, readonly string[]>;
  /** Terms that the rule's body assigns to a variable. */
  readonly assigned: ReadonlyMap<string, readonly AstTerm[]>;
  /** Parameters of the rule when it is a function: its path, and the place of each. */
  readonly path: string;
  readonly parameters: ReadonlyMap<string, number>;
}
interface Call {
  readonly args: readonly AstTerm[];
  readonly scope: Scope;
}
/** What the whole policy says, by full rule path. */
interface Flow {
  readonly data: JsonObject;
  readonly values: ReadonlyMap<string, readonly { readonly term: AstTerm; readonly scope: Scope }[]>;
  readonly calls: ReadonlyMap<string, readonly Call[]>;
}

/**
 * Numbers in the policy's comparisons: literals, and what leads to a number through data, rules with a value
 * (`max_load := 0.9`), assignments in the body and arguments of functions. The compared field is followed the same way.
 */
export function comparisonsOf(asts: ReadonlyMap<string, AstModule>, data: JsonObject): readonly Comparison[] {
  const found = new Map<string, Comparison>();
  const values = new Map<string, { term: AstTerm; scope: Scope }[]>();
  const calls = new Map<string, Call[]>();
  const compared: Call[] = [];
  for (const ast of asts.values()) {
    const imports = importsOf(ast);
    const owner = packageName(ast);
    for (const first of ast.rules ?? []) {
      const path = [owner, ...first.head.ref.map((term) => String(term.value))].join('.');
      for (let rule: AstRule | undefined = first; rule !== undefined; rule = rule.else) {
        const args = first.head.args ?? [];
        const parameters = new Map(args.flatMap((term, i) => (term.type === 'var' ? [[String(term.value), i] as const] : [])));
        const assigned = new Map<string, AstTerm[]>();
        const scope: Scope = { owner, imports, assigned, path, parameters };
        if (rule.head.value !== undefined && args.length === 0) push(values, path, { term: rule.head.value, scope });
        visitCalls([rule.head, rule.body], (operator, terms) => {
          if ((operator === 'assign' || operator === 'eq') && terms.length === 2 && terms[0]!.type === 'var')
            push(assigned, String(terms[0]!.value), terms[1]!);
          if (OPERATORS.has(operator) && terms.length === 2) compared.push({ args: terms, scope });
          else for (const callee of pathsOf(operator.split('.'), scope)) push(calls, callee, { args: terms, scope });
        });
      }
    }
  }
  const flow: Flow = { data, values, calls };
  for (const { args, scope } of compared) {
    for (const [field, other] of [args, [args[1]!, args[0]!]] as const) {
      const names = namesOf(field!, scope, flow, MAX_HOPS);
      if (names.length === 0) continue;
      for (const value of numbersOf(other!, scope, flow, MAX_HOPS))
        for (const name of names) found.set(`${name} ${value}`, { field: name, value });
    }
  }
  return [...found.values()].sort((a, b) => (a.field < b.field ? -1 : a.field > b.field ? 1 : a.value - b.value));
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  // A name used more often than this is no limit of anything; hostile modules stay cheap.
  else if (list.length < 200) list.push(value);
}

/** Every call below a node, expressions included. */
function visitCalls(root: unknown, visit: (operator: string, args: readonly AstTerm[]) => void): void {
  const stack: unknown[] = [root];
  while (stack.length > 0) {
    const node = stack.pop();
    if (typeof node !== 'object' || node === null) continue;
    const terms = (node as { terms?: unknown }).terms;
    const call = Array.isArray(terms) ? terms : (node as AstTerm).type === 'call' ? (node as AstTerm).value : undefined;
    if (Array.isArray(call)) {
      const [operator, ...args] = call as AstTerm[];
      const name = operator === undefined ? undefined : operatorName(operator);
      if (name !== undefined) visit(name, args);
    }
    stack.push(...Object.values(node));
  }
}

/** Rule paths that a name may mean in a scope: its own package's, an import's, or `data`'s. */
function pathsOf([head, ...rest]: readonly string[], { owner, imports }: Scope): readonly string[] {
  if (head === undefined) return [];
  if (head === 'data') return [rest.join('.')];
  const imported = imports.get(head);
  if (imported !== undefined) return imported[0] === 'data' ? [[...imported.slice(1), ...rest].join('.')] : [];
  return [[owner, head, ...rest].join('.')];
}

/** Arguments that callers give for a parameter. */
function argumentsFor(name: string, scope: Scope, flow: Flow): readonly { readonly term: AstTerm; readonly scope: Scope }[] {
  const place = scope.parameters.get(name);
  if (place === undefined) return [];
  return (flow.calls.get(scope.path) ?? []).flatMap((call) => {
    const term = call.args[place];
    return term === undefined ? [] : [{ term, scope: call.scope }];
  });
}

/** Names of the fields that a compared term may hold. */
function namesOf(term: AstTerm, scope: Scope, flow: Flow, hops: number): readonly string[] {
  const last = lastName(term);
  if (last === undefined) return [];
  if (term.type !== 'var' || hops === 0) return [last];
  const sources = [
    ...(scope.assigned.get(last) ?? []).map((source) => ({ term: source, scope })),
    ...argumentsFor(last, scope, flow),
    ...pathsOf([last], scope).flatMap((path) => flow.values.get(path) ?? []),
  ];
  return [...new Set([last, ...sources.flatMap((source) => namesOf(source.term, source.scope, flow, hops - 1))])];
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

export function operatorName(term: AstTerm): string | undefined {
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

function numbersOf(term: AstTerm, scope: Scope, flow: Flow, hops: number): readonly number[] {
  if (term.type === 'number') return [Number(term.value)];
  const ref = refPath(term);
  if (ref === undefined) return [];
  const imported = scope.imports.get(ref.head);
  const full = ref.head === 'data' ? ref.path : imported?.[0] === 'data' ? [...imported.slice(1), ...ref.path] : undefined;
  const sources =
    hops === 0
      ? []
      : [
          ...(term.type === 'var' ? (scope.assigned.get(ref.head) ?? []).map((source) => ({ term: source, scope })) : []),
          ...(term.type === 'var' ? argumentsFor(ref.head, scope, flow) : []),
          ...pathsOf([ref.head, ...ref.path], scope).flatMap((path) => flow.values.get(path) ?? []),
        ];
  const followed = sources.flatMap((source) => numbersOf(source.term, source.scope, flow, hops - 1)).slice(0, 1000);
  return full === undefined ? followed : [...followed, ...numbersInData(term, full, ref.path.length, flow.data)];
}

function numbersInData(term: AstTerm, full: readonly string[], constantSteps: number, data: JsonObject): readonly number[] {
  // Variables in the reference stand for every key below it: all numbers with the same last name.
  let nodes: Json[] = [data];
  const steps = term.type === 'ref' ? [...full, ...restAfterPath(term, constantSteps)] : full;
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
