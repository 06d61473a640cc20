import type { Level } from './finding.ts';

/** A rule that a gate may report; its page is docs/rules/<id>.md. */
export interface RuleInfo {
  readonly id: string;
  readonly level: Level;
  /** One sentence. */
  readonly summary: string;
}
