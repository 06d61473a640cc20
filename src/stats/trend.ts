import { estimateDependence } from './effective-sample-size.ts';
import { medianAndDeviation } from './select.ts';
import { MAD_TO_SD } from './summary.ts';

export interface Trend {
  /** Change per unit of time. */
  readonly slope: number;
  readonly slopeSe: number;
  /** Fitted value at time 1 and its standard error. */
  readonly end: number;
  readonly endSe: number;
  /** Independent points that the residuals are worth. */
  readonly nEff: number;
}

/** Residuals further out than this many robust standard deviations are pulled in: an outlier at the end makes no trend. */
const WINSOR = 3;

const ROUNDS = 20;

/**
 * Straight line through `values` at `times` (0 is the start of the run, 1 its end) by Huber's regression with winsorised residuals
 * (Huber 1981, 7.8). The standard errors are widened by the serial dependence of the residuals, as the regressor varies slowly
 * (Grenander and Rosenblatt 1957). Undefined when the times do not vary or fewer than `least` points are given.
 */
export function robustTrend(
  values: Float64Array,
  times: Float64Array,
  level: number,
  slots?: ArrayLike<number>,
  least = 20,
): Trend | undefined {
  const n = values.length;
  if (n < least) return undefined;
  const centre = average(times);
  let spread = 0;
  for (const time of times) spread += (time - centre) ** 2;
  if (!(spread > 0)) return undefined;
  // Starts from values winsorised about their median, so that a wild outlier never sets the first line.
  const { median, deviation } = medianAndDeviation(values);
  const wide = WINSOR * MAD_TO_SD * deviation;
  let target = wide > 0 ? values.map((v) => Math.max(median - wide, Math.min(median + wide, v))) : Float64Array.from(values);
  let slope = 0;
  let middle = 0;
  let residuals = new Float64Array(n);
  let inner = n;
  let clip = Number.POSITIVE_INFINITY;
  let before: readonly [number, number] = [Number.NaN, Number.NaN];
  for (let round = 0; round < ROUNDS; round++) {
    middle = average(target);
    slope = 0;
    for (let i = 0; i < n; i++) slope += ((times[i]! - centre) * (target[i]! - middle)) / spread;
    const raw = values.map((value, i) => value - middle - slope * (times[i]! - centre));
    // The scale settles soon; estimating it in every round would cost more than all the rest.
    if (round < 2) {
      const scale = MAD_TO_SD * medianAndDeviation(raw).deviation;
      clip = scale > 0 ? WINSOR * scale : Number.POSITIVE_INFINITY;
    }
    residuals = raw.map((r) => Math.max(-clip, Math.min(clip, r)));
    inner = residuals.reduce((count, r, i) => count + (r === raw[i]! ? 1 : 0), 0);
    const moved = Math.abs(middle - before[0]) + Math.abs(slope - before[1]);
    if ((inner === n && round > 0) || moved <= 1e-3 * clip) break;
    before = [middle, slope];
    target = values.map((value, i) => value - raw[i]! + residuals[i]!);
  }
  let squares = 0;
  for (const r of residuals) squares += r * r;
  const dependence = estimateDependence([residuals], level, slots === undefined ? undefined : [slots]);
  // Dependence that was not found still widens by its estimate: one series says too little to be called independent.
  const phi = Math.max(0, dependence.phi);
  const inflation = Math.max(dependence.inflation, (1 + phi) / (1 - phi));
  // Huber 1981, 7.6: variance = mean(psi^2) / mean(psi')^2, with n - 2 for the two fitted numbers.
  const variance = ((squares / (n - 2)) * inflation) / Math.max(1e-9, inner / n) ** 2;
  return {
    slope,
    slopeSe: Math.sqrt(variance / spread),
    end: middle + slope * (1 - centre),
    endSe: Math.sqrt(variance * (1 / n + (1 - centre) ** 2 / spread)),
    nEff: n / inflation,
  };
}

function average(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total / values.length;
}
