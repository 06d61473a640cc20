import type { Location } from '../core/finding.ts';

/** The part of `opa parse --format json --json-include locations` that we read. */
export interface AstModule {
  readonly package: { readonly path: readonly AstTerm[]; readonly location?: AstLocation };
  readonly imports?: readonly { readonly path: AstTerm; readonly alias?: string }[];
  readonly rules?: readonly AstRule[];
}
export interface AstLocation {
  readonly file: string;
  readonly row: number;
  readonly col: number;
  /** Base64 of the node's source. */
  readonly text?: string;
}
export interface AstRule {
  readonly default?: boolean;
  readonly head: AstHead;
  readonly body: readonly AstExpression[];
  readonly else?: AstRule;
  readonly location: AstLocation;
}
export interface AstHead {
  readonly name?: string;
  readonly ref: readonly AstTerm[];
  readonly args?: readonly AstTerm[];
  readonly key?: AstTerm;
  readonly value?: AstTerm;
  readonly location: AstLocation;
}
export interface AstExpression {
  readonly location?: AstLocation;
  readonly terms: unknown;
  readonly negated?: boolean;
}
export interface AstTerm {
  readonly type: string;
  readonly value: unknown;
  readonly location?: AstLocation;
}

export function sourceText(location: AstLocation | undefined): string | undefined {
  return location?.text === undefined ? undefined : Buffer.from(location.text, 'base64').toString('utf8');
}

export function isTerm(node: unknown): node is AstTerm {
  return typeof node === 'object' && node !== null && typeof (node as AstTerm).type === 'string' && 'value' in node;
}

/** Calls `visit` on every term below a node, parents first. Iterative: a hostile module may be nested deeply. */
export function walkTerms(node: unknown, visit: (term: AstTerm) => void): void {
  const stack: unknown[] = [node];
  while (stack.length > 0) {
    const next = stack.pop();
    if (typeof next !== 'object' || next === null) continue;
    if (isTerm(next)) visit(next);
    const children = Array.isArray(next)
      ? next
      : Object.entries(next).flatMap(([key, child]) => (key === 'location' ? [] : [child]));
    for (let i = children.length - 1; i >= 0; i -= 1) stack.push(children[i]);
  }
}

/** `data.a.b` of a ref's leading constant part; the rest (variables, calls) ends it. */
export function refPath(term: AstTerm): { readonly head: string; readonly path: readonly string[] } | undefined {
  if (term.type === 'var') return { head: String(term.value), path: [] };
  if (term.type !== 'ref' || !Array.isArray(term.value)) return undefined;
  const [head, ...rest] = term.value as AstTerm[];
  if (head?.type !== 'var') return undefined;
  const path: string[] = [];
  for (const step of rest) {
    if (step.type !== 'string') break;
    path.push(String(step.value));
  }
  return { head: String(head.value), path };
}

export function locationOf(location: AstLocation, file: string): Location {
  const text = sourceText(location) ?? '';
  const lines = text.split('\n');
  const endLine = location.row + lines.length - 1;
  return {
    file,
    line: Math.max(1, location.row),
    column: Math.max(1, location.col),
    ...(text === '' ? {} : { endLine, endColumn: (lines.length === 1 ? location.col : 1) + [...lines.at(-1)!].length }),
  };
}
