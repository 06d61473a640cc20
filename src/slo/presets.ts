import type { Location } from '../core/finding.ts';
import { DAY, HOUR, MINUTE } from './duration.ts';
import { type AlertRule, decimal } from './model.ts';

export type Preset = 'project' | 'workbook';

/** Page when the projected burn rate is above this over an hour. */
const PROJECT_BURN_RATE = 5;

/**
 * Alerts of SLOs that name none. `project`: page above 5x over 1 h (and over the last 5 m, so that it ends soon after the cause),
 * escalate when that lasts more than 2 h. `workbook`: the four multiwindow pairs of the Google SRE workbook, "Alerting on SLOs";
 * factor = budget share * period / long window.
 * @param periodMs length of the SLO's period in ms
 */
export function presetAlerts(preset: Preset, periodMs: number, location: Location): readonly AlertRule[] {
  if (preset === 'project') {
    return [
      {
        name: 'fast-burn',
        severity: 'page',
        op: 'gt',
        threshold: PROJECT_BURN_RATE,
        longMs: HOUR,
        shortMs: 5 * MINUTE,
        forMs: 0,
        escalateAfterMs: 2 * HOUR,
        location,
      },
    ];
  }
  return WORKBOOK.map(({ name, severity, longMs, shortMs, budget }) => ({
    name,
    severity,
    op: 'gt',
    threshold: decimal((budget * periodMs) / longMs),
    longMs,
    shortMs,
    forMs: 0,
    location,
  }));
}

const WORKBOOK = [
  { name: 'workbook-page-1h', severity: 'page', longMs: HOUR, shortMs: 5 * MINUTE, budget: 0.02 },
  { name: 'workbook-page-6h', severity: 'page', longMs: 6 * HOUR, shortMs: 30 * MINUTE, budget: 0.05 },
  { name: 'workbook-ticket-1d', severity: 'ticket', longMs: DAY, shortMs: 2 * HOUR, budget: 0.1 },
  { name: 'workbook-ticket-3d', severity: 'ticket', longMs: 3 * DAY, shortMs: 6 * HOUR, budget: 0.1 },
] as const;
