import { tQuantile, tSf } from '../../stats/distributions.ts';
import { robustTrend, type Trend } from '../../stats/trend.ts';
import type { Arms } from './arms.ts';
import type { TrendAssessment } from './assessment.ts';
import { PAIRED_DEPENDENCE_LEVEL } from './defaults.ts';

/** A trend in one arm counts as shared only when it is this certain in each of the two. */
const SHARED_TREND_LEVEL = 0.001;

/** The arms' own trend lines (unpaired) and the times they were fitted at. */
export interface ArmTrends {
  readonly baseline: Trend;
  readonly candidate: Trend;
  readonly times: readonly [Float64Array, Float64Array];
}

/** Trend of each arm on the time of the whole run (0 start, 1 end). Undefined when there is no order, no time or too few points. */
export function armTrends(arms: Arms, baseline: Float64Array, candidate: Float64Array): ArmTrends | undefined {
  if (!arms.ordered) return undefined;
  const times = runTimes(arms);
  const b = robustTrend(baseline, times[0], PAIRED_DEPENDENCE_LEVEL, arms.slots?.[0]);
  const c = robustTrend(candidate, times[1], PAIRED_DEPENDENCE_LEVEL, arms.slots?.[1]);
  return b === undefined || c === undefined ? undefined : { baseline: b, candidate: c, times };
}

/**
 * Slope of a trend that both arms show beyond doubt and in the same direction (load that rises over the run); undefined otherwise. It
 * says nothing about the candidate, but read as serial dependence it would hide everything: it is taken out of both arms first. Two
 * dependent series without a trend seldom pass for one, as each must.
 */
export function sharedSlope({ baseline, candidate }: ArmTrends): number | undefined {
  const sign = Math.sign(baseline.slope);
  const certain = [baseline, candidate].every(
    ({ slope, slopeSe, nEff }) => sign * slope > 0 && tSf((sign * slope) / slopeSe, Math.max(1, nEff - 2)) <= SHARED_TREND_LEVEL,
  );
  if (!certain) return undefined;
  const weights = [1 / baseline.slopeSe ** 2, 1 / candidate.slopeSe ** 2] as const;
  const slope = (baseline.slope * weights[0] + candidate.slope * weights[1]) / (weights[0] + weights[1]);
  return Number.isFinite(slope) ? slope : undefined;
}

/** Takes a slope out of values about the middle of the run. */
export function detrended(values: Float64Array, times: Float64Array, slope: number): Float64Array {
  return values.map((value, i) => value - slope * (times[i]! - 0.5));
}

/**
 * Does the candidate drift away from the baseline during the run (a leak, a cache that fills, heat)? The slope of the paired
 * differences (`level`: of the test whether its residuals depend on each other), or the difference of the arms' slopes; a trend that both
 * arms share cancels. Undefined when there is no order, no time or too few points.
 */
export function assessTrend(
  arms: Arms,
  differences: Float64Array | undefined,
  trends: ArmTrends | undefined,
  level = PAIRED_DEPENDENCE_LEVEL,
): TrendAssessment | undefined {
  if (differences !== undefined) {
    if (!arms.ordered) return undefined;
    const fit = robustTrend(differences, runTimes(arms)[0], level, arms.slots?.[0]);
    return fit === undefined ? undefined : trendOf(fit.slope, fit.slopeSe, fit.end, fit.endSe, fit.nEff - 2);
  }
  if (trends === undefined) return undefined;
  const { baseline: b, candidate: c } = trends;
  const se = Math.hypot(b.slopeSe, c.slopeSe);
  return trendOf(c.slope - b.slope, se, c.end - b.end, Math.hypot(b.endSe, c.endSe), welch(b, c));
}

function trendOf(change: number, se: number, end: number, endSe: number, freedom: number): TrendAssessment {
  const df = Math.max(1, freedom);
  const p = (value: number): number => (se > 0 ? tSf(value / se, df) : value > 0 ? 0 : 1);
  return {
    change,
    end,
    endBounds: (tail) => {
      const half = endSe > 0 ? -tQuantile(tail, df) * endSe : 0;
      return { low: end - half, high: end + half };
    },
    pLarger: p(change),
    pSmaller: p(-change),
  };
}

/** Welch and Satterthwaite's degrees of freedom of a difference of slopes. */
function welch(b: Trend, c: Trend): number {
  const vb = b.slopeSe ** 2;
  const vc = c.slopeSe ** 2;
  const below = vb ** 2 / Math.max(1, b.nEff - 2) + vc ** 2 / Math.max(1, c.nEff - 2);
  return below > 0 ? (vb + vc) ** 2 / below : b.nEff + c.nEff - 4;
}

/** Both arms' times scaled to the run that they share; arms measured one after the other are each put on their own 0..1. */
function runTimes({ times: [b, c] }: Arms): [Float64Array, Float64Array] {
  const overlap = Math.min(b.at(-1)!, c.at(-1)!) - Math.max(b[0]!, c[0]!);
  const longest = Math.max(b.at(-1)! - b[0]!, c.at(-1)! - c[0]!);
  const start = Math.min(b[0]!, c[0]!);
  const end = Math.max(b.at(-1)!, c.at(-1)!);
  if (overlap > longest / 2) return [scaled(b, start, end), scaled(c, start, end)];
  return [scaled(b, b[0]!, b.at(-1)!), scaled(c, c[0]!, c.at(-1)!)];
}

function scaled(times: Float64Array, start: number, end: number): Float64Array {
  return times.map((time) => (end > start ? (time - start) / (end - start) : 0));
}
