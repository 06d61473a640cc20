import { parseYaml } from '../config/document.ts';
import { checked } from '../config/schema.ts';
import { requireOrder } from './spans.ts';

/** Planned maintenance: alerts inside it are reported as suppressed. Times in ms. */
export interface MaintenanceWindow {
  readonly start: number;
  readonly end: number;
  readonly reason: string;
  readonly owner: string;
  readonly slos?: readonly string[];
}

/** Reads a file of maintenance windows. @throws ConfigurationError with every bad window */
export function parseMaintenance(text: string, file: string): readonly MaintenanceWindow[] {
  const source = parseYaml(text, file);
  const { windows } = checked('slo-maintenance', source);
  requireOrder(source, 'windows', 'maintenance window', windows);
  return windows.map(({ start, end, reason, owner, slos }) => ({
    start: Date.parse(start),
    end: Date.parse(end),
    reason,
    owner,
    ...(slos === undefined ? {} : { slos }),
  }));
}

/** The window that covers an SLO at a time, the one that ends last. */
export function maintenanceAt(windows: readonly MaintenanceWindow[], slo: string, time: number): MaintenanceWindow | undefined {
  return windows
    .filter((window) => window.start <= time && time < window.end && (window.slos === undefined || window.slos.includes(slo)))
    .sort((a, b) => b.end - a.end)[0];
}
