// The PromQL that counts the events of a window.
import { describe, expect, it } from 'vitest';
import { MINUTE } from '../../src/slo/duration.ts';
import { type EventOptions, eventQueries, overWindow, withMatch } from '../../src/slo/events.ts';
import { parsePromql } from '../../src/slo/promql.ts';
import type { Expr, Matcher } from '../../src/slo/promql-expr.ts';
import { formatPromql } from '../../src/slo/promql-format.ts';

function parsed(query: string): Expr {
  const result = parsePromql(query);
  if (!result.ok) throw new Error(result.problem.message);
  return result.expr;
}
const over = (query: string, counter = true, options?: EventOptions): string =>
  formatPromql(overWindow(parsed(query), 5 * MINUTE, counter, options));
const canary: Matcher = { label: 'track', op: '=', value: 'canary' };

describe('a query over a window', () => {
  it.each([
    ['m', 'increase(m[5m])'],
    ['sum(rate(m[1m]))', 'sum(increase(m[5m]))'],
    ['sum by (a) (increase(m{b="1"}[1h]) + irate(n[1m]))', 'sum by (a) (increase(m{b="1"}[5m]) + increase(n[5m]))'],
    ['-m', '-increase(m[5m])'],
    ['m - m{code=~"5.."} or vector(0)', 'increase(m[5m]) - increase(m{code=~"5.."}[5m]) or vector(0)'],
    ['clamp_min(m, 2)', 'clamp_min(increase(m[5m]), 2)'],
    ['m offset 1h', 'increase(m[5m] offset 1h)'],
    ['h_bucket{le="1"}', 'increase(h_bucket{le=~"1(\\\\.0)?"}[5m])'],
    ['h_bucket{le="1.0"}', 'increase(h_bucket{le=~"1(\\\\.0)?"}[5m])'],
    ['h_bucket{le="0.5"}', 'increase(h_bucket{le="0.5"}[5m])'],
    ['h_bucket{le!="1"}', 'increase(h_bucket{le!="1"}[5m])'],
    ['m{code="1"}', 'increase(m{code="1"}[5m])'],
  ])('%s becomes %s', (query, expected) => expect(over(query)).toBe(formatPromql(parsed(expected))));

  it('of a gauge adds its samples', () => expect(over('m', false)).toBe('sum_over_time(m[5m])'));

  it('counts a counter that was born in it from zero, where that is asked for', () => {
    const born = 'last_over_time(m[5m]) unless m offset 5m unless resets(m[5m]) > 0 or increase(m[5m])';
    expect(over('m', true, { fromBirth: true })).toBe(formatPromql(parsed(born)));
    expect(over('m offset 1h', true, { fromBirth: true })).toContain('unless m offset 1h5m unless');
    expect(over('m', true, { fromBirth: false })).toBe('increase(m[5m])');
    expect(over('m', false, { fromBirth: true })).toBe('sum_over_time(m[5m])');
  });

  it('takes matchers, and none twice', () => {
    const match = { match: [canary] };
    expect(over('m{a="1"}', true, match)).toBe('increase(m{a="1",track="canary"}[5m])');
    expect(over('m{track="canary"}', true, match)).toBe('increase(m{track="canary"}[5m])');
    expect(over('m{track="stable"}', true, match)).toBe('increase(m{track="stable",track="canary"}[5m])');
    expect(over('m{track!="canary"}', true, match)).toBe('increase(m{track!="canary",track="canary"}[5m])');
    expect(over('m{other="canary"}', true, match)).toBe('increase(m{other="canary",track="canary"}[5m])');
    expect(formatPromql(withMatch(parsed('rate(m[1m]) / n'), [canary]))).toBe('rate(m{track="canary"}[1m]) / n{track="canary"}');
    expect(formatPromql(withMatch(parsed('rate(m[1m])')))).toBe('rate(m[1m])');
  });
});

it('a ratio has queries where both of its sides are known', () => {
  const query = (expr?: string) => (expr === undefined ? { text: '' } : { text: expr, expr: parsed(expr) });
  const sli = (part?: string, total?: string) =>
    ({ kind: 'ratio', counts: 'bad', counter: true, part: query(part), total: query(total) }) as unknown as Parameters<
      typeof eventQueries
    >[0];
  expect(eventQueries(sli('e'), MINUTE)).toBeUndefined();
  expect(eventQueries(sli(undefined, 't'), MINUTE)).toBeUndefined();
  const both = eventQueries(sli('e', 't'), MINUTE)!;
  expect([both.part, both.total].map(formatPromql)).toEqual(['increase(e[1m])', 'increase(t[1m])']);
});
