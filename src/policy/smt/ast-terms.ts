import type { Location } from '../../core/finding.ts';
import { type AstExpression, type AstLocation, type AstTerm, isTerm, locationOf } from '../ast.ts';
import { type Constant, RegoSet } from './values.ts';

/** The dotted name of what a call calls. */
export function operator(term: AstTerm): string {
  return term.type === 'ref' ? (term.value as AstTerm[]).map((step) => String(step.value)).join('.') : String(term.value);
}

export function placeOf(node: { readonly location?: AstLocation }, file: string): Location | undefined {
  return node.location === undefined ? undefined : locationOf(node.location, file);
}

/** A term without variables; undefined for every other. */
export function constantOf(term: AstTerm): { readonly value: Constant } | undefined {
  switch (term.type) {
    case 'null':
      return { value: null };
    case 'boolean':
    case 'number':
    case 'string':
      return { value: term.value as boolean | number | string };
    case 'array':
    case 'set': {
      const items = (term.value as AstTerm[]).map(constantOf);
      if (items.includes(undefined)) return undefined;
      const values = items.map((item) => item!.value);
      return { value: term.type === 'set' ? new RegoSet(values) : values };
    }
    case 'object': {
      const entries = (term.value as [AstTerm, AstTerm][]).map(([key, value]) => [key, constantOf(value)] as const);
      if (entries.some(([key, value]) => key.type !== 'string' || value === undefined)) return undefined;
      return { value: Object.fromEntries(entries.map(([key, value]) => [String(key.value), value!.value])) };
    }
    default:
      return undefined;
  }
}

/** Every variable named in an expression outside of calls' operators. */
export function variablesOf(expression: AstExpression): readonly string[] {
  const names: string[] = [];
  const stack: unknown[] = [expression.terms];
  while (stack.length > 0) {
    const next = stack.pop();
    if (isTerm(next) && next.type === 'var') names.push(String(next.value));
    else if (typeof next === 'object' && next !== null)
      stack.push(
        ...(Array.isArray(next)
          ? next
          : Object.entries(next)
              .filter(([key]) => key !== 'location')
              .map(([, v]) => v)),
      );
  }
  return names;
}
