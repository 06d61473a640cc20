/** The five verdicts, from best to worst. `inconclusive`: not enough evidence. `error`: the gate itself could not run. */
export const VERDICTS = ['pass', 'warn', 'inconclusive', 'fail', 'error'] as const;
export type Verdict = (typeof VERDICTS)[number];

/**
 * The verdict of several: the worst one. A proven failure outranks missing evidence, and a gate that could not run
 * outranks both, because nothing is known about what it would have found. No verdicts at all is `inconclusive`:
 * missing evidence is never a pass.
 */
export function worstVerdict(verdicts: Iterable<Verdict>): Verdict {
  let worst = -1;
  for (const verdict of verdicts) worst = Math.max(worst, VERDICTS.indexOf(verdict));
  return VERDICTS[worst] ?? 'inconclusive';
}

/** What to do with a verdict that is neither good nor bad. */
export type OnUndecided = 'fail' | 'warn';

export interface ExitPolicy {
  readonly onError?: OnUndecided;
  readonly onInconclusive?: OnUndecided;
  /** `warn` reports everything and never blocks: for rolling mixgate out. */
  readonly mode?: 'enforce' | 'warn';
}

/** Process exit codes; the one table that every command and the Action follow. */
export const EXIT = { ok: 0, fail: 1, usage: 2, error: 3, inconclusive: 4 } as const;

/** The process's exit code of a verdict. */
export function exitCode(verdict: Verdict, policy: ExitPolicy = {}): number {
  if (policy.mode === 'warn') return EXIT.ok;
  switch (verdict) {
    case 'pass':
    case 'warn':
      return EXIT.ok;
    case 'fail':
      return EXIT.fail;
    case 'error':
      return policy.onError === 'warn' ? EXIT.ok : EXIT.error;
    case 'inconclusive':
      return policy.onInconclusive === 'warn' ? EXIT.ok : EXIT.inconclusive;
  }
}
