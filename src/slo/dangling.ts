import type { Finding, Location } from '../core/finding.ts';
import { sloFinding } from './rules.ts';

/** Reports a reference that leads nowhere. */
export function dangling(findings: Finding[], kind: string, ref: string, location: Location, subject: string): void {
  findings.push(
    sloFinding('slo-dangling-reference', {
      message: `No file defines the ${kind} ${ref}.`,
      location,
      fix: `Add it, or correct the name; \`slo.files\` in mixgate.yaml says which files are read.`,
      subject,
    }),
  );
}
