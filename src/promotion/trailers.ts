import { VERDICTS, type Verdict } from '../core/verdict.ts';

/** What a promotion or rollback commit says about itself, as Git trailers: history alone finds the last good state. */
export interface PromotionTrailers {
  readonly environment: string;
  /** The commit that the environment runs from now on. */
  readonly promotedFrom: string;
  readonly verdict: Verdict;
  /** `sha256:` and the digest of the evidence. */
  readonly evidence: string;
  /** Commit id of the promotion that is taken back. */
  readonly rollbackOf?: string;
}

export function formatTrailers(trailers: PromotionTrailers): string {
  return [
    `Environment: ${trailers.environment}`,
    `Promoted-From: ${trailers.promotedFrom}`,
    `Gate-Verdict: ${trailers.verdict}`,
    `Gate-Evidence: ${trailers.evidence}`,
    ...(trailers.rollbackOf === undefined ? [] : [`Rollback-Of: ${trailers.rollbackOf}`]),
  ].join('\n');
}

/** Reads what `git log --format=%(trailers:only,unfold)` gives; undefined for a commit that isn't one of ours or says a thing twice. */
export function parseTrailers(text: string): PromotionTrailers | undefined {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^(?<key>Environment|Promoted-From|Gate-Verdict|Gate-Evidence|Rollback-Of): (?<value>\S+)$/.exec(line.trim());
    if (match === null) continue;
    if (values.has(match.groups!['key']!)) return undefined;
    values.set(match.groups!['key']!, match.groups!['value']!);
  }
  const [environment, promotedFrom, verdict, evidence, rollbackOf] = [
    'Environment',
    'Promoted-From',
    'Gate-Verdict',
    'Gate-Evidence',
    'Rollback-Of',
  ].map((key) => values.get(key));
  const id = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;
  if (environment === undefined || promotedFrom === undefined || verdict === undefined || evidence === undefined)
    return undefined;
  if (
    !id.test(promotedFrom) ||
    !VERDICTS.some((known) => known === verdict) ||
    !/^sha256:[0-9a-f]{64}$/.test(evidence) ||
    (rollbackOf !== undefined && !id.test(rollbackOf))
  )
    return undefined;
  return {
    environment,
    promotedFrom,
    verdict: verdict as Verdict,
    evidence,
    ...(rollbackOf === undefined ? {} : { rollbackOf }),
  };
}
