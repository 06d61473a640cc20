import type { SyntaxNode } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';
import { parsePromDuration } from '../prometheus/duration.ts';
import { unquote } from '../prometheus/string-literal.ts';
import type { Expr, Matcher, MatchOperator, Selector } from './promql-expr.ts';

export interface PromqlProblem {
  readonly message: string;
  /** Offset in the query. */
  readonly offset: number;
}

export type ParsedQuery = { readonly ok: true; readonly expr: Expr } | { readonly ok: false; readonly problem: PromqlProblem };

/** Longer queries are refused: nobody writes them by hand. */
const MAX_QUERY = 20_000;
const MAX_DEPTH = 60;

/** Parses with Prometheus' own grammar (@prometheus-io/lezer-promql). */
export function parsePromql(query: string): ParsedQuery {
  if (query.length > MAX_QUERY)
    return {
      ok: false,
      problem: { message: `the query is ${query.length} characters long; at most ${MAX_QUERY} are read`, offset: 0 },
    };
  if (query.trim() === '') return { ok: false, problem: { message: 'the query is empty', offset: 0 } };
  const tree = parser.parse(query);
  let problem: PromqlProblem | undefined;
  let deepest = 0;
  let depth = 0;
  tree.iterate({
    enter(node) {
      depth += 1;
      deepest = Math.max(deepest, depth);
      if (!node.type.isError || problem !== undefined) return;
      const rest = query.slice(node.from, node.from + 20);
      problem = {
        message: rest === '' ? 'the query ends too early' : `not valid PromQL at ${JSON.stringify(rest)}`,
        offset: node.from,
      };
    },
    leave() {
      depth -= 1;
    },
  });
  if (problem !== undefined) return { ok: false, problem };
  if (deepest > MAX_DEPTH * 3) return { ok: false, problem: { message: 'the query is nested too deeply', offset: 0 } };
  const top = children(tree.topNode).find((node) => node.name !== 'LineComment');
  if (top === undefined) return { ok: false, problem: { message: 'the query is empty', offset: 0 } };
  return { ok: true, expr: convert(top, query) };
}

function children(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling)
    if (child.name !== 'LineComment') found.push(child);
  return found;
}

function convert(node: SyntaxNode, query: string): Expr {
  const text = (n: SyntaxNode): string => query.slice(n.from, n.to);
  const other = (what: string): Expr => ({ kind: 'other', text: text(node), what });
  const parts = children(node);
  switch (node.name) {
    case 'NumberDurationLiteral': {
      const value = numberOf(text(node));
      return value === undefined ? other('duration as a number') : { kind: 'number', value };
    }
    case 'ParenExpr':
      return parts.length === 1 ? convert(parts[0]!, query) : other('parentheses');
    case 'VectorSelector':
      return selectorOf(node, query) ?? other('quoted metric name');
    case 'MatrixSelector': {
      const inner = convert(parts[0]!, query);
      const rangeMs = parsePromDuration(text(parts[1]!));
      return inner.kind === 'selector' && rangeMs !== undefined ? { ...inner, rangeMs } : other('range selector');
    }
    case 'OffsetExpr': {
      const offsetMs = parsePromDuration(text(parts.at(-1)!));
      return offsetMs === undefined
        ? other('offset')
        : (withOffset(convert(parts[0]!, query), parts[0]!, offsetMs) ?? other('offset'));
    }
    case 'FunctionCall': {
      const body = parts.find((part) => part.name === 'FunctionCallBody');
      return {
        kind: 'call',
        fn: text(parts[0]!),
        args: body === undefined ? [] : children(body).map((arg) => convert(arg, query)),
      };
    }
    case 'AggregateExpr': {
      const body = children(parts.find((part) => part.name === 'FunctionCallBody')!);
      if (body.length !== 1) return other(text(parts[0]!));
      const modifier = parts.find((part) => part.name === 'AggregateModifier');
      const labels =
        modifier === undefined ? [] : children(children(modifier).find((part) => part.name === 'GroupingLabels')!).map(text);
      const grouping = modifier === undefined ? undefined : { without: children(modifier)[0]!.name === 'Without', labels };
      return {
        kind: 'aggregate',
        op: text(parts[0]!),
        arg: convert(body[0]!, query),
        ...(grouping === undefined ? {} : { grouping }),
      };
    }
    case 'UnaryExpr':
      return text(parts[0]!) === '-' ? { kind: 'negate', arg: convert(parts[1]!, query) } : convert(parts[1]!, query);
    case 'BinaryExpr':
      return binaryOf(parts, query) ?? other('many-to-one matching');
    default:
      return other(node.name);
  }
}

/** The grammar hangs `a + b offset 1h` onto the sum; Prometheus means the right-most selector. */
function withOffset(expr: Expr, node: SyntaxNode, offsetMs: number): Expr | undefined {
  if (expr.kind === 'selector') return { ...expr, offsetMs };
  if (expr.kind !== 'binary' || node.name !== 'BinaryExpr') return undefined;
  const rhs = withOffset(expr.rhs, children(node).at(-1)!, offsetMs);
  return rhs === undefined ? undefined : { ...expr, rhs };
}

function binaryOf(parts: readonly SyntaxNode[], query: string): Expr | undefined {
  const text = (n: SyntaxNode): string => query.slice(n.from, n.to);
  const middle = parts.slice(1, -1);
  const clause = middle.find((part) => part.name === 'MatchingModifierClause');
  const bool = middle.some((part) => part.name === 'BoolModifier' || children(part).some((inner) => inner.name === 'Bool'));
  let matching: { on: boolean; labels: string[] } | undefined;
  if (clause !== undefined) {
    const inner = children(clause);
    if (inner.some((part) => part.name === 'GroupLeft' || part.name === 'GroupRight')) return undefined;
    const kind = inner.find((part) => part.name === 'On' || part.name === 'Ignoring');
    const labels = inner.find((part) => part.name === 'GroupingLabels');
    if (kind !== undefined && labels !== undefined) matching = { on: kind.name === 'On', labels: children(labels).map(text) };
  }
  return {
    kind: 'binary',
    op: text(middle[0]!),
    bool,
    lhs: convert(parts[0]!, query),
    rhs: convert(parts.at(-1)!, query),
    ...(matching === undefined ? {} : { matching }),
  };
}

function selectorOf(node: SyntaxNode, query: string): Selector | undefined {
  let name = '';
  const matchers: Matcher[] = [];
  for (const part of children(node)) {
    if (part.name === 'Identifier') name = query.slice(part.from, part.to);
    else if (part.name === 'LabelMatchers') {
      for (const matcher of children(part)) {
        const pieces = children(matcher).map((piece) => query.slice(piece.from, piece.to));
        if (matcher.name === 'QuotedLabelName') return undefined;
        if (pieces.length !== 3) return undefined;
        const label = pieces[0]!.startsWith('"') ? unquote(pieces[0]!) : pieces[0]!;
        matchers.push({ label, op: pieces[1] as MatchOperator, value: unquote(pieces[2]!) });
      }
    }
  }
  const named = name === '' ? matchers.find((m) => m.label === '__name__' && m.op === '=') : undefined;
  if (named !== undefined) return { kind: 'selector', name: named.value, matchers: matchers.filter((m) => m !== named) };
  return { kind: 'selector', name, matchers };
}

function numberOf(text: string): number | undefined {
  if (/^[+-]?inf$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  if (/^nan$/i.test(text)) return Number.NaN;
  const value = Number(text.replaceAll('_', ''));
  return Number.isNaN(value) ? undefined : value;
}
