import { parseYaml } from '../config/document.ts';
import { checked } from '../config/schema.ts';
import { ConfigurationError, type Problem } from '../core/errors.ts';

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
  const document = checked('slo-maintenance', source);
  const problems: Problem[] = [];
  const windows = document.windows.map(({ start, end, reason, owner, slos }, index) => {
    if (Date.parse(end) <= Date.parse(start))
      problems.push({
        message: `the maintenance window ends at ${end}, not after its start.`,
        location: source.locate(['windows', index, 'end']),
        expected: `an instant after ${start}`,
      });
    return { start: Date.parse(start), end: Date.parse(end), reason, owner, ...(slos === undefined ? {} : { slos }) };
  });
  if (problems.length > 0) throw new ConfigurationError(problems);
  return windows;
}

/** The window that covers an SLO at a time, the one that ends last. */
export function maintenanceAt(windows: readonly MaintenanceWindow[], slo: string, time: number): MaintenanceWindow | undefined {
  return windows
    .filter((window) => window.start <= time && time < window.end && (window.slos === undefined || window.slos.includes(slo)))
    .sort((a, b) => b.end - a.end)[0];
}
