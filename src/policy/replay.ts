import type { Finding } from '../core/finding.ts';
import type { Table } from '../core/gate.ts';
import type { Corpus, ReplayInput } from './corpus.ts';
import { type DecisionDiff, decisionDiff } from './diff.ts';
import { type Domain, inputOf } from './domain.ts';
import { diffFindings, diffTable, replayFindings } from './findings.ts';
import { pointsOf } from './sampling.ts';
import type { Side } from './side.ts';

/** Points of a domain that a decision diff looks at. */
export const DEFAULT_DIFF_POINTS = 50_000;

/** Inputs generated from a domain: every point, or as many spread over it. */
export function domainInputs(domain: Domain, limit: number): readonly ReplayInput[] {
  return [...pointsOf(domain, limit)].map((digits) => ({ input: JSON.stringify(inputOf(domain, digits)), weight: 1, line: 0 }));
}

export interface ReplayResult {
  readonly findings: readonly Finding[];
  readonly tables: readonly Table[];
  readonly inconclusive: string | undefined;
  readonly diffs: readonly { readonly what: string; readonly diff: DecisionDiff; readonly skipped: number }[];
}

export interface ReplayOptions {
  readonly entrypoint: string;
  readonly corpus: Corpus | undefined;
  readonly domain: Domain | undefined;
  readonly maxPoints: number;
  readonly blocking?: readonly string[] | undefined;
}

/**
 * The decision diff over recorded traffic, and over the domain. What the domain shows beyond the traffic is reported
 * too: a class of change that no recorded request meets can still be the dangerous one.
 */
export async function replay(base: Side, head: Side, options: ReplayOptions): Promise<ReplayResult> {
  const { entrypoint, corpus, domain, blocking } = options;
  const findings: Finding[] = [];
  const tables: Table[] = [];
  const diffs: { what: string; diff: DecisionDiff; skipped: number }[] = [];
  let inconclusive: string | undefined;
  if (corpus !== undefined) {
    const diff = await decisionDiff(base, head, entrypoint, corpus.inputs);
    const skipped = replayFindings(corpus);
    inconclusive = skipped.inconclusive;
    findings.push(...skipped.findings, ...diffFindings(diff, 'replayed traffic', blocking, head.definitions, base.definitions));
    tables.push(diffTable(diff, `Decision diff over ${corpus.file}`));
    diffs.push({ what: 'corpus', diff, skipped: corpus.skipped.reduce((sum, s) => sum + s.count, 0) });
  }
  if (domain !== undefined) {
    const diff = await decisionDiff(base, head, entrypoint, domainInputs(domain, options.maxPoints));
    const shown = new Set(diffs.flatMap((d) => d.diff.groups.map((g) => g.class)));
    const fresh = { ...diff, groups: diff.groups.filter((g) => !shown.has(g.class)) };
    findings.push(...diffFindings(fresh, 'the input domain', blocking, head.definitions, base.definitions));
    tables.push(diffTable(diff, `Decision diff over ${domain.location.file}`));
    diffs.push({ what: 'domain', diff, skipped: 0 });
  }
  return { findings, tables, inconclusive, diffs };
}
