import { decimal, type Objective, type Sli } from './model.ts';
import { type Expr, type Matcher, mapSelectors, type Selector } from './promql-expr.ts';

export interface EventOptions {
  /**
   * Count a counter that was born inside the window from zero. PromQL's increase() can't see the first value of a new series, so
   * on a minute of canary traffic it would lose the first errors of every kind. Only for windows inside one process's life.
   */
  readonly fromBirth?: boolean;
  /** Matchers added to every selector. */
  readonly match?: readonly Matcher[];
}

/** Event counts of a ratio over a window, as PromQL. */
export interface EventQueries {
  readonly part: Expr;
  readonly total: Expr;
}

const RANGE_CALLS = ['rate', 'increase', 'irate'];

/** Each counter of the query becomes its increase over the window; rate() and increase() with a fixed range are replaced. */
export function overWindow(expr: Expr, windowMs: number, counter: boolean, options: EventOptions = {}): Expr {
  const events = (selector: Selector): Expr => eventsOf(selector, windowMs, counter, options);
  const walk = (node: Expr): Expr => {
    if (node.kind === 'call' && RANGE_CALLS.includes(node.fn) && node.args.length === 1 && node.args[0]!.kind === 'selector')
      return events(node.args[0]!);
    switch (node.kind) {
      case 'selector':
        return events(node);
      case 'call':
        return { ...node, args: node.args.map(walk) };
      case 'aggregate':
      case 'negate':
        return { ...node, arg: walk(node.arg) };
      case 'binary':
        return { ...node, lhs: walk(node.lhs), rhs: walk(node.rhs) };
      default:
        return node;
    }
  };
  return walk(expr);
}

function eventsOf(selector: Selector, windowMs: number, counter: boolean, options: EventOptions): Expr {
  const plain = prepare(selector, options.match);
  const ranged: Selector = { ...plain, rangeMs: windowMs };
  if (!counter) return { kind: 'call', fn: 'sum_over_time', args: [ranged] };
  const increase: Expr = { kind: 'call', fn: 'increase', args: [ranged] };
  if (options.fromBirth !== true) return increase;
  // Born in the window and never reset: its value is its count. Everything else: increase().
  const before: Selector = { ...plain, offsetMs: (plain.offsetMs ?? 0) + windowMs };
  const resets: Expr = {
    kind: 'binary',
    op: '>',
    bool: false,
    lhs: { kind: 'call', fn: 'resets', args: [ranged] },
    rhs: { kind: 'number', value: 0 },
  };
  const born: Expr = {
    kind: 'binary',
    op: 'unless',
    bool: false,
    lhs: { kind: 'binary', op: 'unless', bool: false, lhs: lastValue(ranged), rhs: before },
    rhs: resets,
  };
  return { kind: 'binary', op: 'or', bool: false, lhs: born, rhs: increase };
}

function lastValue(ranged: Selector): Expr {
  return { kind: 'call', fn: 'last_over_time', args: [ranged] };
}

/** Drops the range, adds matchers, and reads whole bucket bounds in both spellings (`1` and `1.0`; Prometheus 3 stores the latter). */
function prepare(selector: Selector, match: readonly Matcher[] = []): Selector {
  const { rangeMs: _, ...plain } = selector;
  const matchers = plain.matchers.map((m): Matcher => {
    const whole = m.label === 'le' && m.op === '=' ? /^(?<digits>\d+)(?:\.0)?$/.exec(m.value) : null;
    return whole === null ? m : { label: 'le', op: '=~', value: `${whole.groups!['digits']}(\\.0)?` };
  });
  return {
    ...plain,
    matchers: [
      ...matchers,
      ...match.filter((m) => !matchers.some((own) => own.label === m.label && own.op === m.op && own.value === m.value)),
    ],
  };
}

/** PromQL that counts part and total of a ratio over a window; undefined when a query of the SLO could not be parsed. */
export function eventQueries(
  sli: Extract<Sli, { kind: 'ratio' }>,
  windowMs: number,
  options: EventOptions = {},
): EventQueries | undefined {
  if (sli.part.expr === undefined || sli.total.expr === undefined) return undefined;
  return {
    part: overWindow(sli.part.expr, windowMs, sli.counter, options),
    total: overWindow(sli.total.expr, windowMs, sli.counter, options),
  };
}

/** The query with matchers added, as it is: for thresholds and raw ratios. */
export function withMatch(expr: Expr, match: readonly Matcher[] = []): Expr {
  return mapSelectors(expr, (selector) => ({
    ...prepare(selector, match),
    ...(selector.rangeMs === undefined ? {} : { rangeMs: selector.rangeMs }),
  }));
}

/** Events of a window. */
export interface Counts {
  readonly bad: number;
  readonly total: number;
}

export type CountProblem = 'no-data' | 'not-a-number' | 'several-series' | 'more-good-than-total';

export type Counted = { readonly ok: true; readonly counts: Counts } | { readonly ok: false; readonly problem: CountProblem };

/**
 * Part and total to bad and total. Fewer good events than none, or more good than total beyond what extrapolation does to two
 * counters (1 % and one event), is not an error rate.
 * @param part undefined when no series matched
 */
export function countsFrom(counts: 'good' | 'bad', part: number | undefined, total: number | undefined): Counted {
  if (total === undefined) return { ok: false, problem: 'no-data' };
  if (Number.isNaN(total) || Number.isNaN(part ?? 0)) return { ok: false, problem: 'not-a-number' };
  const bad = counts === 'bad' ? (part ?? 0) : total - (part ?? 0);
  const slack = Math.max(1, total * 0.01);
  if (bad < -slack || bad > total + slack) return { ok: false, problem: 'more-good-than-total' };
  // Ten digits: what is left of extrapolation's rounding is not an event.
  return { ok: true, counts: { bad: Math.min(Math.max(0, round(bad)), round(total)), total: round(total) } };
}

function round(value: number): number {
  return Number(value.toPrecision(10));
}

export function describeObjective(objective: Objective): string {
  return `${decimal(objective.target * 100)} % over ${objective.period.text}${objective.period.rolling ? '' : ' (calendar)'}`;
}
