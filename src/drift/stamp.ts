import { instantMs } from './time.ts';

/**
 * A snapshot with another capture time: every mention of the old instant (the header, and policy engines' last contact at
 * that moment) becomes the new one. For tools that replay a recorded snapshot.
 * @param now RFC 3339 instant
 */
export function restampSnapshot(text: string, now: string): string {
  if (instantMs(now) === undefined) throw new RangeError(`not an RFC 3339 instant: ${now}`);
  const old = /^capturedAt: *["']?(?<time>[0-9TZ:.+-]+)["']?$/m.exec(text)?.groups?.['time'];
  return old === undefined ? text : text.replaceAll(old, now);
}
