import { UNIT_MS } from '../prometheus/duration.ts';

export const MINUTE = 60_000;
export const HOUR = 3_600_000;
export const DAY = 86_400_000;

/** As Prometheus writes it: `1h30m`, `5m`, `28d`. @param ms a non-negative whole number */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  let rest = Math.round(ms);
  // 28 d reads better than 4w, and is what rule names carry.
  const units = ['d', 'h', 'm', 's', 'ms'] as const;
  let text = '';
  for (const unit of units) {
    const count = Math.floor(rest / UNIT_MS[unit]!);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * UNIT_MS[unit]!;
  }
  return text;
}

export type OpensloUnit = 'm' | 'h' | 'd' | 'w' | 'M' | 'Q' | 'Y';

/** OpenSLO's duration shorthand: a number and one of m h d w M Q Y (specification, "DurationShorthand"). */
export interface OpensloDuration {
  readonly count: number;
  readonly unit: OpensloUnit;
  /** Length in ms for m, h, d, w; for M, Q, Y the average (365.2425-day year), because the real one depends on the date. */
  readonly ms: number;
}

const YEAR_MS = 365.2425 * DAY;
const OPENSLO_MS: Readonly<Record<OpensloUnit, number>> = {
  m: MINUTE,
  h: HOUR,
  d: DAY,
  w: 7 * DAY,
  M: YEAR_MS / 12,
  Q: YEAR_MS / 4,
  Y: YEAR_MS,
};

export function parseOpensloDuration(text: string): OpensloDuration | undefined {
  const match = /^(?<count>\d{1,6})(?<unit>[mhdwMQY])$/.exec(text.trim());
  if (match === null) return undefined;
  const unit = match.groups!['unit'] as OpensloUnit;
  const count = Number(match.groups!['count']);
  return { count, unit, ms: count * OPENSLO_MS[unit] };
}
