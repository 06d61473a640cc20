import type { SyntaxNode } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';
import { unquote } from '../../prometheus/string-literal.ts';

export interface LabelMatcher {
  readonly label: string;
  readonly op: string;
  readonly value: string;
}

/** One vector selector of a query. */
export interface Selector {
  /** Series name; undefined for `{__name__=~"..."}`. */
  readonly metric: string | undefined;
  readonly matchers: readonly LabelMatcher[];
  /** Labels that `by`, `on`, ... name around the selector; `without` and `ignoring` don't need the label. */
  readonly grouping: readonly string[];
}

export interface ParsedQuery {
  readonly selectors: readonly Selector[];
  /** Offset of the first syntax error, if any. */
  readonly errorAt?: number;
}

/** Longer queries are refused; generated ones of tens of kilobytes exist. */
const MAX_QUERY_LENGTH = 100_000;

/**
 * Metric names, label matchers and grouping labels of a PromQL query, by Prometheus' own grammar. Templates of alerting tools
 * (`$__rate_interval`, `{{.window}}`) are replaced by a duration first.
 */
export function parsePromql(query: string): ParsedQuery {
  if (query.length > MAX_QUERY_LENGTH) return { selectors: [], errorAt: MAX_QUERY_LENGTH };
  const text = query.replace(
    /\{\{[^{}]*\}\}|\$\{?__?[A-Za-z_]+\}?|\$\{[A-Za-z_]\w*(?::\w+)?\}|\[\$[A-Za-z_]\w*\]/g,
    (template) => {
      const filled = template.startsWith('[') ? '[5m]' : '5m';
      return filled.length <= template.length ? filled.padEnd(template.length) : filled;
    },
  );
  const selectors: Selector[] = [];
  let errorAt: number | undefined;
  const textOf = (node: SyntaxNode): string => text.slice(node.from, node.to);
  const tree = parser.parse(text);
  tree.iterate({
    enter(ref) {
      if (ref.type.isError) errorAt ??= ref.from;
      if (ref.name !== 'VectorSelector') return;
      selectors.push(readSelector(ref.node, textOf));
    },
  });
  return { selectors, ...(errorAt === undefined ? {} : { errorAt }) };
}

function readSelector(node: SyntaxNode, textOf: (node: SyntaxNode) => string): Selector {
  const matchers: LabelMatcher[] = [];
  let metric = childText(node, 'Identifier', textOf);
  for (const matcher of descendants(node, ['UnquotedLabelMatcher', 'QuotedLabelMatcher', 'QuotedLabelName'])) {
    if (matcher.name === 'QuotedLabelName') {
      // `{"my.metric", ...}`: a UTF-8 metric name inside the braces.
      if (matcher.parent?.name === 'LabelMatchers') metric ??= plainText(textOf(matcher));
      continue;
    }
    const label = childText(matcher, matcher.name === 'QuotedLabelMatcher' ? 'QuotedLabelName' : 'LabelName', textOf);
    const op = childText(matcher, 'MatchOp', textOf) ?? '=';
    const value = childText(matcher, 'StringLiteral', textOf);
    if (label === undefined || value === undefined) continue;
    const plain = plainText(label);
    if (plain === '__name__' && op === '=') metric ??= plainText(value);
    else matchers.push({ label: plain, op, value: plainText(value) });
  }
  return { metric, matchers, grouping: groupingAround(node, textOf) };
}

function groupingAround(node: SyntaxNode, textOf: (node: SyntaxNode) => string): readonly string[] {
  const labels = new Set<string>();
  for (let up = node.parent; up !== null; up = up.parent) {
    const modifiers =
      up.name === 'AggregateExpr'
        ? up.getChildren('AggregateModifier')
        : up.name === 'BinaryExpr'
          ? descendants(up, ['MatchingModifierClause'], 2)
          : [];
    for (const modifier of modifiers) {
      const word = textOf(modifier).trimStart().toLowerCase();
      if (word.startsWith('without') || word.startsWith('ignoring')) continue;
      for (const label of descendants(modifier, ['LabelName', 'QuotedLabelName'])) labels.add(plainText(textOf(label)));
    }
  }
  return [...labels];
}

function childText(node: SyntaxNode, name: string, textOf: (node: SyntaxNode) => string): string | undefined {
  const child = node.getChild(name);
  return child === null ? undefined : textOf(child);
}

function descendants(node: SyntaxNode, names: readonly string[], depth = 8): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  const visit = (current: SyntaxNode, left: number): void => {
    for (let child = current.firstChild; child !== null; child = child.nextSibling) {
      if (names.includes(child.name)) found.push(child);
      else if (left > 0) visit(child, left - 1);
    }
  };
  visit(node, depth);
  return found;
}

/** A name may stand with or without quotes. */
function plainText(text: string): string {
  return /^["'`]/.test(text) ? unquote(text) : text;
}
