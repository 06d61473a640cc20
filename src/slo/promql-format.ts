import { formatDuration } from './duration.ts';
import type { Expr, Selector } from './promql-expr.ts';

const PRECEDENCE: readonly (readonly string[])[] = [
  ['or'],
  ['and', 'unless'],
  ['==', '!=', '<=', '<', '>=', '>'],
  ['+', '-'],
  ['*', '/', '%', 'atan2'],
  ['^'],
];

/** Expression to text; parses back to the same expression. */
export function formatPromql(expr: Expr): string {
  switch (expr.kind) {
    case 'number':
      return Number.isNaN(expr.value)
        ? 'NaN'
        : expr.value === Infinity
          ? 'Inf'
          : expr.value === -Infinity
            ? '-Inf'
            : String(expr.value);
    case 'selector':
      return formatSelector(expr);
    case 'call':
      return `${expr.fn}(${expr.args.map(formatPromql).join(', ')})`;
    case 'aggregate': {
      const by =
        expr.grouping === undefined ? '' : ` ${expr.grouping.without ? 'without' : 'by'} (${expr.grouping.labels.join(', ')})`;
      return `${expr.op}${by}${by === '' ? '' : ' '}(${formatPromql(expr.arg)})`;
    }
    case 'binary': {
      const matching =
        expr.matching === undefined ? '' : ` ${expr.matching.on ? 'on' : 'ignoring'} (${expr.matching.labels.join(', ')})`;
      const bool = expr.bool ? ' bool' : '';
      return `${operand(expr.lhs, expr.op, false)} ${expr.op}${bool}${matching} ${operand(expr.rhs, expr.op, true)}`;
    }
    case 'negate':
      return `-${expr.arg.kind === 'binary' ? `(${formatPromql(expr.arg)})` : formatPromql(expr.arg)}`;
    case 'other':
      return expr.text;
  }
}

function operand(expr: Expr, parent: string, right: boolean): string {
  const text = formatPromql(expr);
  if (expr.kind === 'other') return `(${text})`;
  if (expr.kind !== 'binary') return text;
  const level = (op: string): number => PRECEDENCE.findIndex((ops) => ops.includes(op.toLowerCase()));
  const [own, outer] = [level(expr.op), level(parent)];
  return own > outer || (own === outer && !right && parent !== '^') ? text : `(${text})`;
}

function formatSelector(selector: Selector): string {
  const matchers = selector.matchers.map((m) => `${m.label}${m.op}${JSON.stringify(m.value)}`).join(',');
  const range = selector.rangeMs === undefined ? '' : `[${formatDuration(selector.rangeMs)}]`;
  const offset = selector.offsetMs === undefined ? '' : ` offset ${formatDuration(selector.offsetMs)}`;
  return `${selector.name}${matchers === '' && selector.name !== '' ? '' : `{${matchers}}`}${range}${offset}`;
}
