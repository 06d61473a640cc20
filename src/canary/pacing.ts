import { sortedCopy } from '../stats/ranks.ts';
import { quantileSorted } from '../stats/summary.ts';

/** One start in ten may be this late before the generator counts as saturated: ms, and as a share of a median request. */
const LATE_MS = 50;
const LATE_SHARE = 0.5;

/** Requests below which lateness is not looked at. */
const FEWEST = 20;

/**
 * Whether a load generator sent its requests late: one without time to send has none to measure either. `lags`: ms from when a request was
 * due to when it went out; `answers`: ms that answers of the baseline took. A sentence, or undefined when it kept pace or nothing is known.
 */
export function latePacing(lags: readonly number[], answers: readonly number[]): string | undefined {
  if (lags.length < FEWEST || answers.length === 0) return undefined;
  const late = quantileSorted(sortedCopy(lags), 0.9);
  const median = quantileSorted(sortedCopy(answers), 0.5);
  if (late <= Math.max(LATE_MS, LATE_SHARE * median)) return undefined;
  return `the load generator was saturated: one request in ten was sent ${late.toFixed(0)} ms late or later, against ${median.toFixed(0)} ms for a median answer`;
}
