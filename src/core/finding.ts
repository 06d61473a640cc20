import { digestJson, type Json } from './json.ts';
import { compareText } from './text.ts';

export type Level = 'error' | 'warning' | 'note';

/** A place in a file; `file` is relative to the repository root, with forward slashes. Lines and columns start at 1. */
export interface Location {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  readonly endLine?: number;
  readonly endColumn?: number;
}

/** Set by the waiver pass when a waiver in the repository covers the finding. */
export interface WaivedBy {
  readonly reason: string;
  readonly owner: string;
  /** ISO date, the last day on which the waiver holds. */
  readonly expires: string;
}

export interface Finding {
  /** Stable id `ruleId#hash`; equal for the same problem at the same place in two runs. */
  readonly id: string;
  /** kebab-case with the gate in front, e.g. `policy-invariant-violated`; `mixgate explain RULE` prints its page. */
  readonly ruleId: string;
  readonly level: Level;
  /** Whether this finding makes the verdict `fail`. */
  readonly blocking: boolean;
  readonly waived: WaivedBy | false;
  /** The first sentence stands alone. */
  readonly message: string;
  readonly location?: Location;
  /** Other places that belong to the finding, e.g. the second side of a conflict. */
  readonly related?: readonly (Location & { readonly message?: string })[];
  /** The counterexample or the numbers. */
  readonly evidence?: Json;
  /** How to fix it: one or two sentences, or code to paste. */
  readonly fix?: string;
  /** The cluster, pool, model, segment or file the finding is about, for waivers by scope. */
  readonly subject?: string;
}

export interface FindingInput {
  readonly ruleId: string;
  readonly level: Level;
  /** Default: true for `error`, false otherwise. */
  readonly blocking?: boolean;
  readonly message: string;
  readonly location?: Location | undefined;
  readonly related?: readonly (Location & { readonly message?: string })[] | undefined;
  readonly evidence?: Json | undefined;
  readonly fix?: string | undefined;
  readonly subject?: string | undefined;
}

/** Builds a finding with its stable id: the hash covers rule, file, subject and message, not the line, so that moved code keeps it. */
export function finding(input: FindingInput): Finding {
  const { ruleId, level, message, location, related, evidence, fix, subject } = input;
  const hash = digestJson([ruleId, location?.file ?? null, subject ?? null, message]).slice(0, 12);
  return {
    id: `${ruleId}#${hash}`,
    ruleId,
    level,
    blocking: input.blocking ?? level === 'error',
    waived: false,
    message,
    ...(location === undefined ? {} : { location }),
    ...(related === undefined ? {} : { related }),
    ...(evidence === undefined ? {} : { evidence }),
    ...(fix === undefined ? {} : { fix }),
    ...(subject === undefined ? {} : { subject }),
  };
}

const LEVEL_ORDER: Record<Level, number> = { error: 0, warning: 1, note: 2 };

/** Blocking first, then by level, file, line, rule and id: one stable order for every report. */
export function compareFindings(a: Finding, b: Finding): number {
  const blocks = (f: Finding): number => (f.blocking && f.waived === false ? 0 : 1);
  return (
    blocks(a) - blocks(b) ||
    LEVEL_ORDER[a.level] - LEVEL_ORDER[b.level] ||
    compareText(a.location?.file ?? '', b.location?.file ?? '') ||
    (a.location?.line ?? 0) - (b.location?.line ?? 0) ||
    compareText(a.ruleId, b.ruleId) ||
    compareText(a.id, b.id)
  );
}
