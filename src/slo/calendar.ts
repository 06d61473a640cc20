import { parseOpensloDuration } from './duration.ts';

/** A local time without a zone. */
interface LocalTime {
  readonly year: number;
  /** 1 to 12; may be more, counted on into later years. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

export interface CalendarWindow {
  /** Unix times in ms; end is exclusive. */
  readonly start: number;
  readonly end: number;
}

/** Offset of a zone from UTC at an instant, in ms. @throws RangeError for an unknown zone */
function offsetAt(timeZone: string, instant: number): number {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  }).formatToParts(instant);
  const get = (type: string): number => Number(parts.find((part) => part.type === type)!.value);
  return (
    Date.UTC(get('year'), get('month') - 1, get('day'), get('hour'), get('minute'), get('second')) -
    Math.floor(instant / 1000) * 1000
  );
}

/** The instant of a local time; one that a clock change skips counts as the moment of the change, an ambiguous one as the earlier. */
function toInstant(local: LocalTime, timeZone: string): number {
  const guess = Date.UTC(local.year, local.month - 1, local.day, local.hour, local.minute, local.second);
  const candidates = [guess - offsetAt(timeZone, guess - 86_400_000), guess - offsetAt(timeZone, guess + 86_400_000)].sort(
    (a, b) => a - b,
  );
  return candidates.find((instant) => instant + offsetAt(timeZone, instant) === guess) ?? candidates.at(-1)!;
}

/** `2026-01-01 00:00:00` (also with T, also without a time). */
export function parseLocalTime(text: string): LocalTime | undefined {
  const match = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}))?)?$/.exec(text.trim());
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59
    ? undefined
    : { year, month, day, hour, minute, second };
}

export function isTimeZone(timeZone: string): boolean {
  try {
    offsetAt(timeZone, 0);
    return true;
  } catch {
    return false;
  }
}

/**
 * The calendar window that holds an instant: windows follow each other from startTime in the zone's own days, so that a day in
 * New York is 23, 24 or 25 hours and a month has its actual length.
 * @param duration OpenSLO shorthand; undefined result for hours and minutes or bad text
 */
export function calendarWindow(
  duration: string,
  startTime: string,
  timeZone: string,
  instant: number,
): CalendarWindow | undefined {
  const parsed = parseOpensloDuration(duration);
  const origin = parseLocalTime(startTime);
  if (parsed === undefined || parsed.count === 0 || origin === undefined || !isTimeZone(timeZone)) return undefined;
  const step = { d: [0, 1], w: [0, 7], M: [1, 0], Q: [3, 0], Y: [12, 0], h: undefined, m: undefined }[parsed.unit];
  if (step === undefined) return undefined;
  const [months, days] = [step[0]! * parsed.count, step[1]! * parsed.count];
  const boundary = (index: number): number => {
    const month = origin.month + months * index;
    // 31 January plus a month is the last day of February, not 3 March.
    const last = new Date(Date.UTC(origin.year, month, 0)).getUTCDate();
    return toInstant({ ...origin, month, day: months > 0 ? Math.min(origin.day, last) : origin.day + days * index }, timeZone);
  };
  let index = Math.floor((instant - boundary(0)) / parsed.ms);
  while (boundary(index) > instant) index -= 1;
  while (boundary(index + 1) <= instant) index += 1;
  return { start: boundary(index), end: boundary(index + 1) };
}
