export type MatchOperator = '=' | '!=' | '=~' | '!~';

export interface Matcher {
  readonly label: string;
  readonly op: MatchOperator;
  readonly value: string;
}

export interface Selector {
  readonly kind: 'selector';
  /** Metric name; empty when only matchers are given. */
  readonly name: string;
  readonly matchers: readonly Matcher[];
  /** Range in ms of a matrix selector (`[5m]`). */
  readonly rangeMs?: number;
  readonly offsetMs?: number;
}

/** A PromQL expression, as far as this project evaluates and rewrites it; `other` keeps what it doesn't as text. */
export type Expr =
  | { readonly kind: 'number'; readonly value: number }
  | Selector
  | { readonly kind: 'call'; readonly fn: string; readonly args: readonly Expr[] }
  | {
      readonly kind: 'aggregate';
      readonly op: string;
      readonly grouping?: { readonly without: boolean; readonly labels: readonly string[] };
      readonly arg: Expr;
    }
  | {
      readonly kind: 'binary';
      readonly op: string;
      readonly bool: boolean;
      readonly lhs: Expr;
      readonly rhs: Expr;
      readonly matching?: { readonly on: boolean; readonly labels: readonly string[] };
    }
  | { readonly kind: 'negate'; readonly arg: Expr }
  | { readonly kind: 'other'; readonly text: string; readonly what: string };

/** Every selector, left to right. */
export function selectorsOf(expr: Expr): readonly Selector[] {
  switch (expr.kind) {
    case 'selector':
      return [expr];
    case 'call':
      return expr.args.flatMap(selectorsOf);
    case 'aggregate':
    case 'negate':
      return selectorsOf(expr.arg);
    case 'binary':
      return [...selectorsOf(expr.lhs), ...selectorsOf(expr.rhs)];
    default:
      return [];
  }
}

/** Constructs that can't be evaluated or rewritten here, e.g. subqueries. */
export function unsupportedOf(expr: Expr): readonly string[] {
  switch (expr.kind) {
    case 'other':
      return [expr.what];
    case 'call':
      return expr.args.flatMap(unsupportedOf);
    case 'aggregate':
    case 'negate':
      return unsupportedOf(expr.arg);
    case 'binary':
      return [...unsupportedOf(expr.lhs), ...unsupportedOf(expr.rhs)];
    default:
      return [];
  }
}

/** A copy with each selector replaced. */
export function mapSelectors(expr: Expr, change: (selector: Selector) => Expr): Expr {
  switch (expr.kind) {
    case 'selector':
      return change(expr);
    case 'call':
      return { ...expr, args: expr.args.map((arg) => mapSelectors(arg, change)) };
    case 'aggregate':
    case 'negate':
      return { ...expr, arg: mapSelectors(expr.arg, change) };
    case 'binary':
      return { ...expr, lhs: mapSelectors(expr.lhs, change), rhs: mapSelectors(expr.rhs, change) };
    default:
      return expr;
  }
}
