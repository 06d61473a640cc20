const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  y: 31_536_000_000,
};

export const MINUTE = 60_000;
export const HOUR = 3_600_000;
export const DAY = 86_400_000;

/** A Prometheus duration (`1h30m`, `5m`, `90` = seconds) in ms; undefined when it isn't one. Units: prometheus.io, "Time durations". */
export function parsePromDuration(text: string): number | undefined {
  const trimmed = text.trim();
  if (/^\d+(?:\.\d+)?$/.test(trimmed)) return Number(trimmed) * 1000;
  const match = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(trimmed);
  if (match === null || trimmed === '') return undefined;
  const units = ['y', 'w', 'd', 'h', 'm', 's', 'ms'];
  return units.reduce((sum, unit, index) => sum + Number(match[index + 1] ?? 0) * UNIT_MS[unit]!, 0);
}

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
