/** What a cell of the tables must reach. Shares are 0..1. */
export interface Bar {
  /** Largest share of `fail`; two Monte Carlo standard errors at that rate are allowed on top. */
  readonly failAtMost?: number;
  /** Smallest share of `fail`. */
  readonly failAtLeast?: number;
  /** `fail` may trail the classical test on the same data by this much. */
  readonly withinOfPeer?: number;
  /** Largest share of `inconclusive`, where the data suffice to decide. */
  readonly inconclusiveAtMost?: number;
}

export interface Shares {
  readonly runs: number;
  readonly fail: number;
  readonly inconclusive: number;
  readonly peer?: number;
}

/** Monte Carlo standard error of a share. */
export function monteCarloError(share: number, runs: number): number {
  return Math.sqrt((share * (1 - share)) / runs);
}

export function barText(bar: Bar): string {
  const parts: string[] = [];
  if (bar.failAtMost !== undefined) parts.push(`fail <= ${percentText(bar.failAtMost)}`);
  if (bar.failAtLeast !== undefined) parts.push(`fail >= ${percentText(bar.failAtLeast)}`);
  if (bar.withinOfPeer !== undefined) parts.push(`classical - ${(100 * bar.withinOfPeer).toFixed(0)} points`);
  if (bar.inconclusiveAtMost !== undefined) parts.push(`inconclusive <= ${percentText(bar.inconclusiveAtMost)}`);
  return parts.join(', ');
}

/** `met`, `NOT MET`, or nothing where no bar is set. */
export function barState(bar: Bar, shares: Shares): '' | 'met' | 'NOT MET' {
  const checks: boolean[] = [];
  const { failAtMost, failAtLeast, withinOfPeer, inconclusiveAtMost } = bar;
  if (failAtMost !== undefined) checks.push(shares.fail <= failAtMost + 2 * monteCarloError(failAtMost, shares.runs));
  if (failAtLeast !== undefined) checks.push(shares.fail >= failAtLeast);
  if (withinOfPeer !== undefined) checks.push(shares.fail >= (shares.peer ?? 1) - withinOfPeer);
  if (inconclusiveAtMost !== undefined) checks.push(shares.inconclusive <= inconclusiveAtMost);
  if (checks.length === 0) return '';
  return checks.every(Boolean) ? 'met' : 'NOT MET';
}

function percentText(share: number): string {
  return `${Number((100 * share).toFixed(1))} %`;
}
