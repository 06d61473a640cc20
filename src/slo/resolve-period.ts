import { isScalar } from 'yaml';
import type { Finding, Location } from '../core/finding.ts';
import type { OpensloSloDocument } from '../generated/schemas.ts';
import { isTimeZone, parseLocalTime } from './calendar.ts';
import { parseOpensloDuration } from './duration.ts';
import type { Period } from './model.ts';
import type { Loaded } from './openslo.ts';
import { sloFinding } from './rules.ts';

/** The period of an SLO's budget; what is odd about its window is a finding. */
export function periodOf({ value, source }: Loaded<OpensloSloDocument>, findings: Finding[]): Period {
  const name = value.metadata.name;
  const at = (...path: (string | number)[]): Location => source.locate(path);
  const incomplete = (message: string, location: Location, fix: string): void => {
    findings.push(sloFinding('slo-incomplete', { message, location, fix, subject: name }));
  };
  const window = value.spec.timeWindow[0];
  const duration = parseOpensloDuration(window.duration)!;
  const period: Period = {
    text: window.duration,
    rolling: window.calendar === undefined,
    ms: duration.ms,
    location: at('spec', 'timeWindow', 0, 'duration'),
    ...(window.calendar === undefined ? {} : { calendar: window.calendar }),
  };
  if (window.isRolling === true && window.calendar !== undefined)
    incomplete(
      `${name} is both rolling and calendar-aligned.`,
      at('spec', 'timeWindow', 0, 'isRolling'),
      'Keep isRolling: true, or the calendar with isRolling: false.',
    );
  if (window.isRolling === false && window.calendar === undefined)
    incomplete(
      `${name} is calendar-aligned but has no calendar.`,
      at('spec', 'timeWindow', 0, 'isRolling'),
      'Add calendar with startTime and timeZone.',
    );
  if (window.calendar !== undefined) {
    const { startTime, timeZone } = window.calendar;
    if (parseLocalTime(startTime) === undefined)
      incomplete(
        `The calendar start of ${name} is ${JSON.stringify(startTime)}.`,
        at('spec', 'timeWindow', 0, 'calendar', 'startTime'),
        'Write a local time such as "2026-01-01 00:00:00".',
      );
    if (!isTimeZone(timeZone))
      incomplete(
        `The time zone of ${name} is ${JSON.stringify(timeZone)}.`,
        at('spec', 'timeWindow', 0, 'calendar', 'timeZone'),
        'Write an IANA time zone such as Europe/Berlin.',
      );
    if (/[mh]$/.test(window.duration))
      incomplete(
        `${name} has a calendar window of ${window.duration}.`,
        at('spec', 'timeWindow', 0, 'duration'),
        'Use days, weeks, months, quarters or years for a calendar window.',
      );
    const node = source.yaml.getIn(['spec', 'timeWindow', 0, 'calendar', 'startTime'], true);
    if (isScalar(node) && node.type === 'PLAIN') {
      findings.push(
        sloFinding('slo-timestamp-unquoted', {
          message: `The calendar start of ${name} is written without quotes.`,
          location: at('spec', 'timeWindow', 0, 'calendar', 'startTime'),
          fix: `Write startTime: "${window.calendar.startTime}": YAML 1.1 readers turn the plain form into a UTC date, and the specification means local time.`,
          subject: name,
        }),
      );
    }
  }
  return period;
}
