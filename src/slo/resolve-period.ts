import { isScalar } from 'yaml';
import type { OpensloSloDocument } from '../generated/schemas.ts';
import { isTimeZone, parseLocalTime } from './calendar.ts';
import { parseOpensloDuration } from './duration.ts';
import type { Period } from './model.ts';
import { below, incomplete, locationOf, type Place } from './place.ts';
import { sloFinding } from './rules.ts';

/** The period of an SLO's budget; what is odd about its window is a finding. */
export function periodOf(spec: OpensloSloDocument['spec'], place: Place): Period {
  const { slo: name, source } = place;
  const at = below(place, 'timeWindow', 0);
  const window = spec.timeWindow[0];
  const duration = parseOpensloDuration(window.duration)!;
  const period: Period = {
    text: window.duration,
    rolling: window.calendar === undefined,
    ms: duration.ms,
    location: locationOf(below(at, 'duration')),
    ...(window.calendar === undefined ? {} : { calendar: window.calendar }),
  };
  if (window.isRolling === true && window.calendar !== undefined)
    incomplete(
      below(at, 'isRolling'),
      `${name} is both rolling and calendar-aligned.`,
      'Keep isRolling: true, or the calendar with isRolling: false.',
    );
  if (window.isRolling === false && window.calendar === undefined)
    incomplete(
      below(at, 'isRolling'),
      `${name} is calendar-aligned but has no calendar.`,
      'Add calendar with startTime and timeZone.',
    );
  if (window.calendar !== undefined) {
    const { startTime, timeZone } = window.calendar;
    if (parseLocalTime(startTime) === undefined)
      incomplete(
        below(at, 'calendar', 'startTime'),
        `The calendar start of ${name} is ${JSON.stringify(startTime)}.`,
        'Write a local time such as "2026-01-01 00:00:00".',
      );
    if (!isTimeZone(timeZone))
      incomplete(
        below(at, 'calendar', 'timeZone'),
        `The time zone of ${name} is ${JSON.stringify(timeZone)}.`,
        'Write an IANA time zone such as Europe/Berlin.',
      );
    if (/[mh]$/.test(window.duration))
      incomplete(
        below(at, 'duration'),
        `${name} has a calendar window of ${window.duration}.`,
        'Use days, weeks, months, quarters or years for a calendar window.',
      );
    const written = below(at, 'calendar', 'startTime');
    const node = source.yaml.getIn([...written.path], true);
    if (isScalar(node) && node.type === 'PLAIN') {
      place.findings.push(
        sloFinding('slo-timestamp-unquoted', {
          message: `The calendar start of ${name} is written without quotes.`,
          location: locationOf(written),
          fix: `Write startTime: "${window.calendar.startTime}": YAML 1.1 readers turn the plain form into a UTC date, and the specification means local time.`,
          subject: name,
        }),
      );
    }
  }
  return period;
}
