import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { alertHistory, budgetRemaining, burnRate, eventFloor, exhaustionRange, judgeAlert } from '../../src/slo/burn.ts';
import { DAY, HOUR, MINUTE } from '../../src/slo/duration.ts';
import { countsFrom } from '../../src/slo/events.ts';
import { type AlertRule, errorBudget } from '../../src/slo/model.ts';

const rule = (threshold: number): AlertRule => ({
  name: 'burn',
  severity: 'page',
  op: 'gt',
  threshold,
  longMs: HOUR,
  shortMs: 5 * MINUTE,
  forMs: 0,
  location: { file: 'x' },
});

describe('arithmetic', () => {
  it.each([
    [14.4, 0.999, 209],
    [6, 0.999, 500],
    [5, 0.999, 600],
    [3, 0.999, 1000],
    [1, 0.999, 3000],
    [14.4, 0.995, 42],
    [5, 0.995, 120],
    [14.4, 0.99, 21],
    [5, 0.99, 60],
    [1, 0.99, 300],
  ])('%sx at %s needs %s events', (factor, target, events) => expect(eventFloor(factor, target)).toBe(events));
  it('needs what is configured where the threshold asks for nothing', () =>
    expect([eventFloor(0, 0.99), eventFloor(0, 0.99, 50), eventFloor(1, 0.99, 50)]).toEqual([1, 50, 300]));
  it('has its whole budget before there were events, and less than none when it is overspent', () =>
    expect(
      [
        { bad: 0, total: 0 },
        { bad: 3, total: 100 },
      ].map((counts) => budgetRemaining(counts, 0.99)),
    ).toEqual([1, -2]));
  it('one error of 10 requests an hour at 99.9 % is a 100x burn', () => expect(burnRate({ bad: 1, total: 10 }, 0.999)).toBe(100));
  it('has no binary noise', () =>
    expect([errorBudget(0.999), errorBudget(0.9), budgetRemaining({ bad: 1, total: 7200 }, 0.999)]).toEqual([
      0.001, 0.1, 0.861111111111,
    ]));
  it('forecasts a range, and never at no burn', () => {
    expect(exhaustionRange(1, 30 * DAY, [5, 10])).toEqual([3 * DAY, 6 * DAY]);
    expect(exhaustionRange(0.5, 30 * DAY, [0, undefined])).toEqual([Infinity, Infinity]);
    expect(exhaustionRange(-0.1, 30 * DAY, [1])).toEqual([0, 0]);
    expect(exhaustionRange(0, 30 * DAY, [0])).toEqual([0, 0]);
    expect(exhaustionRange(1, DAY, [undefined])).toBeUndefined();
  });
});

describe('judgeAlert', () => {
  it.each([
    ['no traffic', { bad: 0, total: 0 }, { bad: 0, total: 0 }, 'inconclusive'],
    ['too few events, none bad', { bad: 0, total: 20 }, { bad: 0, total: 2 }, 'inconclusive'],
    ['enough events, none bad', { bad: 0, total: 60 }, { bad: 0, total: 5 }, 'quiet'],
    ['one night error', { bad: 1, total: 10 }, { bad: 1, total: 1 }, 'inconclusive'],
    ['a total outage below the floor', { bad: 20, total: 20 }, { bad: 3, total: 3 }, 'firing'],
    ['a burn of 10x', { bad: 10, total: 100 }, { bad: 1, total: 10 }, 'firing'],
    ['a burn that has ended', { bad: 10, total: 100 }, { bad: 0, total: 10 }, 'quiet'],
    ['a burn after which all traffic stopped', { bad: 10, total: 100 }, { bad: 0, total: 0 }, 'inconclusive'],
    ['exactly the threshold', { bad: 5, total: 100 }, { bad: 5, total: 100 }, 'quiet'],
    ['a burn of 6x, which only enough events carry', { bad: 6, total: 100 }, { bad: 1, total: 10 }, 'firing'],
    ['a burn of 10x and no short window', { bad: 10, total: 100 }, undefined, 'firing'],
  ] as const)('%s', (_title, long, short, condition) => expect(judgeAlert(rule(5), 0.99, long, short).condition).toBe(condition));
  it('says how many events are missing', () =>
    expect(judgeAlert(rule(5), 0.999, { bad: 0, total: 40 }, undefined)).toMatchObject({ floor: 600, needed: 560 }));
  it('asks for no fewer events than configured', () =>
    expect(judgeAlert(rule(5), 0.99, { bad: 0, total: 60 }, undefined, 1000)).toMatchObject({ floor: 1000, needed: 940 }));
  // Clopper and Pearson 1934, one-sided 95 %: no bad event of n bounds the ratio by 1 - 0.05^(1/n), n bad of n by 0.05^(1/n) from below.
  it.each([
    ['none bad of 59, below 0.05', { bad: 0, total: 59 }, 'quiet'],
    ['none bad of 58, not below 0.05', { bad: 0, total: 58 }, 'inconclusive'],
    ['one of two is at least 0.0253', { bad: 1, total: 2 }, 'inconclusive'],
    ['two of two are at least 0.22', { bad: 2, total: 2 }, 'firing'],
  ] as const)('decides below the floor where the exact bound does: %s', (_title, long, condition) =>
    expect(judgeAlert(rule(5), 0.99, long, undefined, 1000).condition).toBe(condition),
  );
  it('takes what extrapolation left of two events for two', () =>
    // Two of two are at least 0.22, one of one 0.05.
    expect(judgeAlert(rule(20), 0.99, { bad: 1.9, total: 1.9 }, undefined).condition).toBe('firing'));
  it('counts a part of an event that is missing as one', () =>
    expect(judgeAlert(rule(5), 0.999, { bad: 0, total: 599.5 }, undefined).needed).toBe(1));
  it('never fires without a burn above the threshold, and never passes above it', () => {
    const counts = fc.tuple(fc.nat(5000), fc.nat(5000)).map(([a, b]) => ({ bad: Math.min(a, b), total: Math.max(a, b) }));
    fc.assert(
      fc.property(counts, counts, fc.constantFrom(0.9, 0.99, 0.999), (long, short, target) => {
        const { condition, burnLong = 0, burnShort = 0 } = judgeAlert(rule(5), target, long, short);
        if (condition === 'firing') return burnLong > 5 && burnShort > 5;
        return condition !== 'quiet' || !(burnLong > 5 && burnShort > 5);
      }),
    );
  });
});

describe('countsFrom', () => {
  it.each([
    ['good events', 'good', 95, 100, { ok: true, counts: { bad: 5, total: 100 } }],
    ['bad events', 'bad', 5, 100, { ok: true, counts: { bad: 5, total: 100 } }],
    ['no bad series yet', 'bad', undefined, 100, { ok: true, counts: { bad: 0, total: 100 } }],
    ['no good series', 'good', undefined, 100, { ok: true, counts: { bad: 100, total: 100 } }],
    ['no total', 'good', 1, undefined, { ok: false, problem: 'no-data' }],
    ['NaN', 'good', Number.NaN, 1, { ok: false, problem: 'not-a-number' }],
    ['more good than total', 'good', 150, 100, { ok: false, problem: 'more-good-than-total' }],
    ['NaN as the total', 'bad', 1, Number.NaN, { ok: false, problem: 'not-a-number' }],
    ['one more good than total of few', 'good', 11, 10, { ok: true, counts: { bad: 0, total: 10 } }],
    ['two more good than total of few', 'good', 12, 10, { ok: false, problem: 'more-good-than-total' }],
    ['1 % more good than total of many', 'good', 1010, 1000, { ok: true, counts: { bad: 0, total: 1000 } }],
    ['more bad than total', 'bad', 12, 10, { ok: false, problem: 'more-good-than-total' }],
    ['one more bad than total', 'bad', 11, 10, { ok: true, counts: { bad: 10, total: 10 } }],
    ['extrapolation noise', 'good', 100.4, 100, { ok: true, counts: { bad: 0, total: 100 } }],
  ] as const)('reads %s', (_title, counts, part, total, expected) => expect(countsFrom(counts, part, total)).toEqual(expected));
});

describe('alertHistory', () => {
  const points = (pattern: string) =>
    [...pattern].map((sign, index) => ({
      time: index * MINUTE,
      condition: sign === 'x' ? ('firing' as const) : sign === '?' ? ('inconclusive' as const) : ('quiet' as const),
    }));
  it.each([
    ['', 0, undefined, 'inactive', 0],
    ['xx', 0, undefined, 'firing', 1],
    ['..xx', 3, undefined, 'pending', 0],
    ['xxxx', 3, undefined, 'firing', 1],
    ['xxx.x', 2, undefined, 'pending', 1],
    ['xx?xx', 0, undefined, 'firing', 2],
    ['xxxx', 0, 2, 'escalated', 1],
    ['xxx', 0, 2, 'firing', 1],
    ['xxxxx.', 0, 2, 'inactive', 1],
    ['xx?', 0, undefined, 'inconclusive', 1],
  ] as const)('%j for %s min escalates after %s: %s, %s spells', (pattern, hold, escalate, state, spells) => {
    const history = alertHistory(points(pattern), hold * MINUTE, escalate === undefined ? undefined : escalate * MINUTE);
    expect([history.state, history.spells.length]).toEqual([state, spells]);
  });
  it('says when each spell began, ended and escalated', () =>
    expect(alertHistory(points('xxxxxx.xxx?x'), 2 * MINUTE, 2 * MINUTE).spells).toEqual([
      { start: 2 * MINUTE, end: 5 * MINUTE, escalatedAt: 5 * MINUTE },
      { start: 9 * MINUTE, end: 9 * MINUTE },
    ]));
});
