import type { Finding } from '../../core/finding.ts';
import type { Measurement, Table } from '../../core/gate.ts';
import type { Json } from '../../core/json.ts';

/** What the parts of the gate have found so far. */
export interface Collected {
  readonly findings: Finding[];
  readonly measurements: Measurement[];
  readonly tables: Table[];
  readonly facts: Record<string, Json>;
  inconclusive: string | undefined;
  /** Inputs on which a proof met an error: rule analysis looks at them first. */
  readonly failing: string[];
}

/** What one part of the gate found. */
interface Part {
  readonly findings: readonly Finding[];
  readonly measurements: readonly Measurement[];
  readonly tables: readonly Table[];
  readonly inconclusive?: string | undefined;
}

export function nothingCollected(): Collected {
  return { findings: [], measurements: [], tables: [], facts: {}, inconclusive: undefined, failing: [] };
}

/** The first part that cannot tell says why. */
export function collect(out: Collected, part: Part): void {
  out.findings.push(...part.findings);
  out.measurements.push(...part.measurements);
  out.tables.push(...part.tables);
  out.inconclusive ??= part.inconclusive;
}
