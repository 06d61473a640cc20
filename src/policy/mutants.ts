import type { Location } from '../core/finding.ts';
import { shorten } from '../core/text.ts';
import type { Modules } from '../rego/source.ts';
import { type AstExpression, type AstTerm, isTerm, locationOf, sourceText } from './ast.ts';
import type { Definition } from './definitions.ts';
import { applyEdits, type Edit, offsetOf } from './edits.ts';
import { bodyEdits } from './instrument.ts';

export type MutantKind = 'comparison' | 'arithmetic' | 'negation' | 'expression' | 'definition' | 'constant';

/** One small change of the policy that its tests should notice. */
export interface Mutant {
  readonly kind: MutantKind;
  readonly rule: string;
  readonly file: string;
  readonly location: Location;
  readonly edits: readonly Edit[];
  /** The mutated part, before and after; one line each. */
  readonly before: string;
  readonly after: string;
}

/** Operator by OPA's name: the limit moved by one step, and the opposite. */
const COMPARISONS: { readonly [name: string]: readonly string[] } = {
  lt: ['<=', '>='],
  lte: ['<', '>'],
  gt: ['>=', '<='],
  gte: ['>', '<'],
  equal: ['!='],
  neq: ['=='],
};
const ARITHMETIC: { readonly [name: string]: readonly string[] } = { plus: ['-'], minus: ['+'], mul: ['/'], div: ['*'] };
/** Expressions that give a name its value: without them the rest doesn't compile. */
const BINDING = new Set(['assign', 'eq']);

/**
 * Every mutant of the definitions, in order of file and place: operators flipped, expressions negated or left out,
 * definitions left out, constants changed. The classic operators of mutation testing (DeMillo, Lipton and Sayward, "Hints
 * on Test Data Selection", 1978; ROR, AOR, SDL and CRP in Offutt's naming), on places from OPA's own AST.
 */
export function mutantsOf(modules: Modules, definitions: readonly Definition[]): readonly Mutant[] {
  const found = new Map<string, Mutant>();
  for (const definition of definitions) {
    const source = modules.get(definition.file);
    if (source === undefined) continue;
    const add = (kind: MutantKind, edits: readonly Edit[], location: Location, before: string, after: string): void => {
      const key = JSON.stringify([definition.file, edits]);
      if (!found.has(key))
        found.set(key, {
          kind,
          rule: definition.rule,
          file: definition.file,
          location,
          edits,
          before: line(before),
          after: line(after),
        });
    };
    if (definition.kind !== 'default') {
      const edits = bodyEdits(source, definition, 'false');
      if (edits !== undefined) add('definition', edits, definition.location, definition.text, '(left out)');
      for (const expression of definition.ast.body) mutateExpression(source, definition, expression, add);
    }
    mutateTerms(
      source,
      definition,
      definition.kind === 'default' ? [definition.ast.head.value] : [definition.ast.head, definition.ast.body],
      add,
    );
  }
  return [...found.values()].sort(
    (a, b) =>
      (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) ||
      (a.location.line ?? 0) - (b.location.line ?? 0) ||
      (a.location.column ?? 0) - (b.location.column ?? 0),
  );
}

type Add = (kind: MutantKind, edits: readonly Edit[], location: Location, before: string, after: string) => void;

/** A body's own expressions: left out, negated, or their negation dropped. */
function mutateExpression(source: string, definition: Definition, expression: AstExpression, add: Add): void {
  const place = placeOf(source, expression);
  if (place === undefined) return;
  const { offset, text } = place;
  // A fact's generated body has the place of its head.
  if (definition.fact) return;
  const location = locationOf(expression.location!, definition.file);
  const operator = operatorOf(expression.terms);
  const plain = isTerm(expression.terms) || Array.isArray(expression.terms);
  if (!plain || (operator !== undefined && BINDING.has(operator))) return;
  add('expression', [{ offset, remove: text.length, text: 'true' }], location, text, '(left out)');
  if (expression.negated === true) {
    const positive = text.replace(/^not\s+/, '');
    add('negation', [{ offset, remove: text.length - positive.length, text: '' }], location, text, positive);
  } else if (operator === undefined || COMPARISONS[operator] === undefined) {
    add('negation', [{ offset, text: 'not ' }], location, text, `not ${text}`);
  }
}

/** Operators and constants anywhere below a node. Iterative: a hostile module may be nested deeply. */
function mutateTerms(source: string, definition: Definition, roots: readonly unknown[], add: Add): void {
  const stack: unknown[] = [...roots].reverse();
  const push = (children: readonly unknown[]): void => {
    for (let i = children.length - 1; i >= 0; i -= 1) stack.push(children[i]);
  };
  while (stack.length > 0) {
    const node = stack.pop();
    if (typeof node !== 'object' || node === null) continue;
    if (Array.isArray(node)) push(node);
    else if (!isTerm(node)) {
      // Links of an else chain are definitions of their own; `with` replaces things, its targets are no values.
      const {
        terms,
        with: replaced,
        ...rest
      } = node as { terms?: unknown; with?: { value?: unknown }[] } & Record<string, unknown>;
      if (Array.isArray(terms)) mutateOperator(source, definition, terms, node as AstExpression, add);
      push([
        terms,
        ...(Array.isArray(replaced) ? replaced.map((one) => one.value) : []),
        ...Object.entries(rest).flatMap(([key, child]) =>
          ['location', 'ref', 'args', 'else', 'annotations'].includes(key) ? [] : [child],
        ),
      ]);
    } else if (node.type === 'call') {
      mutateOperator(source, definition, node.value as unknown[], node, add);
      push(node.value as unknown[]);
    } else if (node.type === 'ref') {
      push((node.value as AstTerm[]).filter((part, index) => index > 0 && !['string', 'number', 'var'].includes(part.type)));
    } else if (node.type === 'object') {
      push((node.value as [AstTerm, AstTerm][]).map(([, value]) => value));
    } else if (typeof node.value === 'object') push([node.value]);
    else mutateConstant(source, definition, node, add);
  }
}

function mutateOperator(
  source: string,
  definition: Definition,
  terms: readonly unknown[],
  whole: { readonly location?: AstTerm['location'] },
  add: Add,
): void {
  const operator = terms[0];
  const name = operatorOf(terms);
  if (name === undefined || !isTerm(operator)) return;
  const [kind, replacements] =
    COMPARISONS[name] !== undefined
      ? (['comparison', COMPARISONS[name]] as const)
      : (['arithmetic', ARITHMETIC[name] ?? []] as const);
  const place = placeOf(source, operator);
  const all = placeOf(source, whole as AstTerm);
  // Written as a call (`lt(a, b)`) there is no sign to flip.
  if (place === undefined || all === undefined || !/^[^\w\s]+$/.test(place.text)) return;
  for (const text of replacements) {
    const at = place.offset - all.offset;
    add(
      kind,
      [{ offset: place.offset, remove: place.text.length, text }],
      locationOf(operator.location!, definition.file),
      all.text,
      all.text.slice(0, at) + text + all.text.slice(at + place.text.length),
    );
  }
}

function mutateConstant(source: string, definition: Definition, term: AstTerm, add: Add): void {
  const place = placeOf(source, term);
  if (place === undefined) return;
  const { offset, text } = place;
  let other: string;
  if (term.type === 'boolean' && text === String(term.value)) other = text === 'true' ? 'false' : 'true';
  else if (term.type === 'number' && /^-?[\d.]+$/.test(text)) other = String(Number(text) + 1);
  else if (term.type === 'string' && /^"(?:[^"\\]|\\.)*"$/.test(text))
    other = text === '"mixgate-mutant"' ? '""' : '"mixgate-mutant"';
  else return;
  const around = lineAround(source, offset, text.length);
  add(
    'constant',
    [{ offset, remove: text.length, text: other }],
    locationOf(term.location!, definition.file),
    around,
    lineAround(applyEdits(source, [{ offset, remove: text.length, text: other }]), offset, other.length),
  );
}

function operatorOf(terms: unknown): string | undefined {
  const first: unknown = Array.isArray(terms) ? terms[0] : undefined;
  if (!isTerm(first) || first.type !== 'ref' || !Array.isArray(first.value)) return undefined;
  return (first.value as AstTerm[]).map((part) => String(part.value)).join('.');
}

function placeOf(
  source: string,
  node: { readonly location?: AstTerm['location'] },
): { offset: number; text: string } | undefined {
  const text = sourceText(node.location);
  if (node.location === undefined || text === undefined || text === '') return undefined;
  const offset = offsetOf(source, node.location);
  return offset === undefined || !source.startsWith(text, offset) ? undefined : { offset, text };
}

function lineAround(source: string, offset: number, length: number): string {
  const start = source.lastIndexOf('\n', offset - 1) + 1;
  const end = source.indexOf('\n', offset + length);
  return source.slice(start, end < 0 ? undefined : end);
}

function line(text: string): string {
  return shorten(text.replaceAll(/\s+/g, ' ').trim(), 160);
}
