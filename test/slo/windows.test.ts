// Windows of budgets and of maintenance, what a change weakens, and how alerts did against incidents.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scoreSpells } from '../../src/slo/backtest.ts';
import { calendarWindow, parseLocalTime } from '../../src/slo/calendar.ts';
import { compareObjectives } from '../../src/slo/changes.ts';
import { DAY, formatDuration, HOUR, MINUTE, parseOpensloDuration } from '../../src/slo/duration.ts';
import { maintenanceAt } from '../../src/slo/maintenance.ts';
import type { AlertRule, Objective } from '../../src/slo/model.ts';

describe('calendar windows', () => {
  const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', 'Pacific/Apia');
  const unit = fc.constantFrom('d', 'w', 'M', 'Q', 'Y');
  const start = fc.constantFrom(
    '2024-01-01',
    '2024-02-29 12:30:00',
    '2023-10-31T02:30:00',
    '2025-03-30 02:30:00',
    '2024-08-31 23:59:59',
  );
  const instant = fc.integer({ min: Date.UTC(2015, 0), max: Date.UTC(2035, 0) });
  it('follow each other without gap or overlap, and every instant is in one', () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), unit, start, zone, instant, (count, letter, from, timeZone, at) => {
        const window = (time: number) => calendarWindow(`${count}${letter}`, from, timeZone, time)!;
        const { start: first, end } = window(at);
        expect(first <= at && at < end).toBe(true);
        expect(window(first)).toEqual({ start: first, end });
        expect(window(end - 1)).toEqual({ start: first, end });
        expect(window(end).start).toBe(end);
        // No further from the average than clocks, leap days and the lengths of months go.
        const length = parseOpensloDuration(`${count}${letter}`)!.ms;
        expect(Math.abs(end - first - length)).toBeLessThan(
          letter === 'd' || letter === 'w' ? 2 * HOUR + (timeZone === 'Pacific/Apia' ? DAY : 0) : 3.5 * DAY,
        );
      }),
    ));
  it.each([
    ['2026-01-31', { year: 2026, month: 1, day: 31, hour: 0, minute: 0, second: 0 }],
    ['2026-01-31T23:59', { year: 2026, month: 1, day: 31, hour: 23, minute: 59, second: 0 }],
    [' 2026-12-01 00:00:59 ', { year: 2026, month: 12, day: 1, hour: 0, minute: 0, second: 59 }],
    ['2026-00-01', undefined],
    ['2026-13-01', undefined],
    ['2026-01-00', undefined],
    ['2026-01-32', undefined],
    ['2026-01-01 24:00', undefined],
    ['2026-01-01 00:60', undefined],
    ['2026-01-01 00:00:60', undefined],
    ['2026-01-01Z', undefined],
  ])('the local time %j', (text, expected) => expect(parseLocalTime(text)).toEqual(expected));
});

it('durations are written in the largest units that divide them, and read back', () => {
  expect([0, 1, 90_000, 5 * MINUTE, 90 * MINUTE, 28 * DAY, DAY + HOUR + MINUTE + 1001].map(formatDuration)).toEqual([
    '0s',
    '1ms',
    '1m30s',
    '5m',
    '1h30m',
    '28d',
    '1d1h1m1s1ms',
  ]);
  expect(
    ['5m', '2h', '3d', '1w', ' 1Q ', '1y', '', '1', '-1d', '1234567d'].map((text) => parseOpensloDuration(text)?.ms),
  ).toEqual([
    5 * MINUTE,
    2 * HOUR,
    3 * DAY,
    7 * DAY,
    (365.2425 * DAY) / 4,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

it('maintenance covers its SLOs from its start until before its end, the window that ends last', () => {
  const window = (start: number, end: number, slos?: string[]) => ({
    start,
    end,
    reason: `${start}-${end}`,
    owner: 'o',
    ...(slos === undefined ? {} : { slos }),
  });
  const windows = [window(10, 20), window(15, 40, ['a']), window(12, 30)];
  const at = (slo: string, time: number) => maintenanceAt(windows, slo, time)?.reason;
  expect([9, 10, 15, 19, 20, 29, 30, 39, 40].map((time) => at('a', time))).toEqual([
    undefined,
    '10-20',
    '15-40',
    '15-40',
    '15-40',
    '15-40',
    '15-40',
    '15-40',
    undefined,
  ]);
  expect([11, 15, 29, 30].map((time) => at('b', time))).toEqual(['10-20', '12-30', '12-30', undefined]);
});

describe('what a change weakens', () => {
  const alert = (severity: 'page' | 'ticket', threshold: number): AlertRule => ({
    name: 'a',
    severity,
    op: 'gt',
    threshold,
    longMs: HOUR,
    shortMs: MINUTE,
    forMs: 0,
    location: { file: 'x' },
  });
  const objective = (target: number, alerts: AlertRule[] = [], id = 'svc/a'): Objective =>
    ({ id, slo: 'a', target, alerts, location: { file: 'a.yaml', line: 3 } }) as unknown as Objective;
  it.each<[string, Objective[], Objective[], RegExp[]]>([
    ['nothing', [objective(0.99)], [objective(0.99)], []],
    ['a higher target', [objective(0.99)], [objective(0.999)], []],
    ['a lower target', [objective(0.999)], [objective(0.99)], [/lowers the target of svc\/a from 99.9 % to 99 %/]],
    ['an objective gone', [objective(0.99)], [], [/removes the objective svc\/a/]],
    ['a new objective', [], [objective(0.9)], []],
    [
      'a later page',
      [objective(0.9, [alert('page', 6), alert('page', 14.4)])],
      [objective(0.9, [alert('page', 14.4)])],
      [/pages from 6x to 14.4x/],
    ],
    ['an earlier page', [objective(0.9, [alert('page', 14.4)])], [objective(0.9, [alert('page', 6)])], []],
    [
      'no page any more',
      [objective(0.9, [alert('page', 6)])],
      [objective(0.9, [alert('ticket', 1)])],
      [/pages from 6x to never/],
    ],
    ['a later ticket', [objective(0.9, [alert('ticket', 1)])], [objective(0.9, [alert('ticket', 3)])], []],
    ['a first page', [objective(0.9)], [objective(0.9, [alert('page', 6)])], []],
    ['both', [objective(0.99, [alert('page', 6)])], [objective(0.9)], [/lowers the target/, /to never/]],
  ])('%s', (_title, base, head, expected) => {
    const messages = compareObjectives(base, head, 'slo.yaml').map(({ message }) => message);
    expect(messages).toHaveLength(expected.length);
    for (const [index, text] of expected.entries()) expect(messages[index]).toMatch(text);
  });
  it('is not what head refuses by itself', () =>
    expect(compareObjectives([objective(0.99)], [], 'slo.yaml', new Set(['a']))).toEqual([]));
});

describe('alerts against incidents', () => {
  const spell = (start: number, end: number) => ({ start, end });
  const incident = (start: number, end: number) => ({ start, end, name: 'i' });
  it.each([
    ['nothing at all', [], [], { precision: undefined, recall: undefined, detectionMs: undefined }],
    ['false alarms only', [spell(0, 1)], [], { precision: 0, recall: undefined, detectionMs: undefined }],
    ['a miss', [], [incident(0, 1)], { precision: undefined, recall: 0, detectionMs: undefined }],
    ['found late', [spell(15, 30)], [incident(10, 20)], { precision: 1, recall: 1, detectionMs: 5 }],
    ['found before it was declared', [spell(5, 12)], [incident(10, 20)], { precision: 1, recall: 1, detectionMs: 0 }],
    ['touched at its last moment', [spell(20, 30)], [incident(10, 20)], { precision: 1, recall: 1, detectionMs: 10 }],
    ['touched at its first', [spell(0, 10)], [incident(10, 20)], { precision: 1, recall: 1, detectionMs: 0 }],
    ['just missed', [spell(21, 30), spell(0, 9)], [incident(10, 20)], { precision: 0, recall: 0, detectionMs: undefined }],
    [
      'one of two, twice',
      [spell(12, 13), spell(16, 17), spell(50, 51)],
      [incident(10, 20), incident(30, 40)],
      { precision: 2 / 3, recall: 1 / 2, detectionMs: 2 },
    ],
  ])('%s', (_title, spells, incidents, expected) => expect(scoreSpells(spells, incidents)).toEqual(expected));
});
