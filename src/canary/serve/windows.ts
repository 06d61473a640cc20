import { judgeCase } from '../judge/judge.ts';
import type { CaseInput, CaseResult } from '../judge/types.ts';

/**
 * Judges one of `looks` windows of fixed length that move along a running system. They are not looks at growing data, for which the judge's
 * boundary is made: windows that hardly overlap are new chances of a false alarm each, and that boundary lets 11 to 16 % through over 20 of them. The
 * level is shared out by Šidák (1967), which bounds the chance over all windows whether they overlap or not.
 */
export function judgeWindow(input: CaseInput, alpha: number, looks: number): CaseResult {
  if (looks === 1) return judgeCase({ ...input, alpha });
  const judged = judgeCase({ ...input, alpha: -Math.expm1(Math.log1p(-alpha) / looks) });
  if (judged.verdict === 'error') return judged;
  const overAll = <T extends { readonly pAdjusted?: number }>(result: T): T =>
    result.pAdjusted === undefined ? result : { ...result, pAdjusted: overLooks(result.pAdjusted, looks) };
  return {
    ...judged,
    alpha,
    looks,
    metrics: judged.metrics.map(overAll),
    ...(judged.pooled === undefined ? {} : { pooled: judged.pooled.map(overAll) }),
  };
}

function overLooks(p: number, looks: number): number {
  return p >= 1 ? 1 : -Math.expm1(looks * Math.log1p(-p));
}
