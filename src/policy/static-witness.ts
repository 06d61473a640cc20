import { isObject, type Json, type JsonObject } from '../core/json.ts';
import { type AstExpression, type AstTerm, isTerm } from './ast.ts';
import { operatorName } from './boundaries.ts';
import { type Definition, graphOf } from './definitions.ts';
import { valueAt, withValue } from './domain.ts';
import type { Side } from './side.ts';
import { EvaluationLimit } from './tasks.ts';

/** Conflicts that get an input; a policy with more has other worries. */
const MAX_WITNESSES = 100;
/** Entrypoints that are tried for one of them. */
const MAX_ENTRYPOINTS = 4;
/** Steps of an input path that is set; deeper ones are left out. */
const MAX_DEPTH = 32;

/**
 * For each pair of definitions an input on which the plain module ends with a conflict of their rule: the least that the
 * conditions of both bodies on the input ask for, executed before it is handed out. Undefined where such an input can't
 * be read off the bodies (other rules, calls, iteration) or the execution shows no conflict there.
 */
export async function witnessesOf(
  side: Side,
  pairs: readonly { readonly a: Definition; readonly b: Definition }[],
): Promise<readonly (JsonObject | undefined)[]> {
  if (pairs.length === 0) return [];
  const reached = side.entrypoints.slice(0, MAX_WITNESSES).map((entrypoint) => ({
    entrypoint,
    rules: graphOf(side.definitions, [entrypoint]).depth,
  }));
  const found: (JsonObject | undefined)[] = [];
  for (const { a, b } of pairs.slice(0, MAX_WITNESSES)) {
    const input = inputFor([...a.ast.body, ...b.ast.body]);
    const own = b.rule.replaceAll('.', '/');
    const asked = reached.filter((r) => r.rules.has(b.rule)).map((r) => r.entrypoint);
    const entrypoints = (asked.includes(own) ? [own] : asked).slice(0, MAX_ENTRYPOINTS);
    found.push(input !== undefined && (await conflicts(side, entrypoints, input, b.rule)) ? input : undefined);
  }
  return pairs.map((_, index) => found[index]);
}

async function conflicts(side: Side, entrypoints: readonly string[], input: JsonObject, rule: string): Promise<boolean> {
  const places = new Set((side.graph.byRule.get(rule) ?? []).map((d) => `${d.location.file}:${d.location.line}`));
  try {
    for (const entrypoint of entrypoints) {
      const [outcome] = await side.pool.outcomes(side.plain, entrypoint, [JSON.stringify(input)]);
      if (outcome === undefined || !('failure' in outcome) || outcome.failure.kind !== 'conflict') continue;
      const [file, line] = (outcome.failure.place ?? '').split(':');
      if (places.has(`${file}:${line}`)) return true;
    }
  } catch (error) {
    if (!(error instanceof EvaluationLimit)) throw error;
  }
  return false;
}

/** The least input that the conditions ask for, as far as they compare one path of the input with a scalar. */
function inputFor(body: readonly AstExpression[]): JsonObject | undefined {
  let input: JsonObject | undefined = {};
  for (const { terms, negated } of body) {
    // What a negated condition asks of an absent field holds.
    if (negated === true || input === undefined) continue;
    const wish = Array.isArray(terms)
      ? wishOf(terms as readonly AstTerm[])
      : isTerm(terms)
        ? { term: terms, value: true }
        : undefined;
    const path = wish === undefined ? undefined : inputPath(wish.term);
    if (wish !== undefined && path !== undefined) input = put(input, path, wish.value);
  }
  return input;
}

function wishOf([operator, left, right]: readonly AstTerm[]): { readonly term: AstTerm; readonly value: Json } | undefined {
  if (operator === undefined || left === undefined || right === undefined) return undefined;
  const name = operatorName(operator);
  const turned = inputPath(left) === undefined;
  const [term, other] = turned ? [right, left] : [left, right];
  if (!['string', 'number', 'boolean', 'null'].includes(other.type)) return undefined;
  const value = other.value as Json;
  const step = turned ? -1 : 1;
  switch (name) {
    case 'equal':
    case 'eq':
    case 'gte':
    case 'lte':
      return { term, value };
    case 'neq':
      return { term, value: value === '' ? 'x' : '' };
    case 'gt':
      return typeof value === 'number' ? { term, value: value + step } : undefined;
    case 'lt':
      return typeof value === 'number' ? { term, value: value - step } : undefined;
    default:
      return undefined;
  }
}

function inputPath(term: AstTerm): readonly string[] | undefined {
  if (term.type !== 'ref' || !Array.isArray(term.value)) return undefined;
  const [head, ...steps] = term.value as readonly AstTerm[];
  if (head?.type !== 'var' || head.value !== 'input' || steps.length === 0 || steps.length > MAX_DEPTH) return undefined;
  return steps.every((step) => step.type === 'string') ? steps.map((step) => String(step.value)) : undefined;
}

/** With the parents that are missing; undefined where a parent is no object already. A value that is there stays. */
function put(input: JsonObject, path: readonly string[], value: Json): JsonObject | undefined {
  let all: Json = input;
  for (let depth = 1; depth < path.length; depth += 1) {
    const parent = valueAt(all, path.slice(0, depth));
    if (parent === undefined) all = withValue(all, path.slice(0, depth), {});
    else if (!isObject(parent)) return undefined;
  }
  return (valueAt(all, path) === undefined ? withValue(all, path, value) : all) as JsonObject;
}
