import { normalQuantile, tSf } from '../../stats/distributions.ts';
import { type Dependence, estimateDependence } from '../../stats/effective-sample-size.ts';
import { conditionalRateTest, fisherExact, mcNemarExact } from '../../stats/fisher.ts';
import type { DifferenceErrors } from '../../stats/power.ts';
import { differenceInterval, pairedDifferenceInterval, rateRatioInterval } from '../../stats/proportions.ts';
import { mean, sum } from '../../stats/summary.ts';
import type { Arms } from './arms.ts';
import type { Assessment, Blocked } from './assessment.ts';
import {
  COUNT_ABSOLUTE_TOLERANCE,
  DEFAULT_MARGINS,
  DEPENDENCE_LEVEL,
  MIN_EFFECTIVE,
  MIN_POINTS,
  marginInForce,
} from './defaults.ts';
import { deflate, pairedLocation } from './location.ts';
import { ABSOLUTE_SCALE, LOG_SCALE, relativeScale, type Scale } from './scale.ts';
import type { Design, Margin } from './types.ts';

const WHOLE = { location: 1, tail: 0 } as const;

/** Rates of 0/1 outcomes: Fisher's exact test unpaired, exact McNemar paired. Effect: difference of rates, or relative when the margin is. */
export function assessBinary(arms: Arms, design: Design, margin: Margin | undefined): Assessment | Blocked {
  const { baseline, candidate } = arms;
  const n = [baseline.length, candidate.length] as const;
  const k1 = sum(baseline);
  const k2 = sum(candidate);
  const p1 = k1 / n[0];
  const frame = binaryFrame(margin, p1);
  if (typeof frame === 'string') return block(frame, n, 'binary', margin);
  if (Math.min(...n) === 0) return block('no outcomes in an arm', n, 'binary', margin);
  const delta = k2 / n[1] - p1;
  const base = { ...frame, n, notes: [], shares: WHOLE, delta };
  if (design === 'paired') {
    let worse = 0;
    let better = 0;
    for (let i = 0; i < n[0]; i++) {
      if (candidate[i]! > baseline[i]!) worse++;
      else if (candidate[i]! < baseline[i]!) better++;
    }
    return {
      ...base,
      bounds: (tail) => pairedDifferenceInterval(worse, better, n[0], tail),
      errors: pairedErrors(p1, (2 * Math.min(worse, better)) / n[0], n[0]),
      pLarger: mcNemarExact(worse, better, 'greater'),
      pSmaller: mcNemarExact(worse, better, 'less'),
      nEff: n,
      method: `exact McNemar (${worse} against ${better} discordant pairs)`,
    };
  }
  const dependence = dependenceOf(arms);
  const { inflation } = dependence;
  const table = [k2, n[1] - k2, k1, n[0] - k1] as const;
  return {
    ...base,
    dependence,
    bounds: (tail) => differenceInterval(k2, n[1], k1, n[0], tail, inflation),
    errors: rateErrors(p1, n, inflation),
    pLarger: deflate(fisherExact(...table, 'greater'), inflation),
    pSmaller: deflate(fisherExact(...table, 'less'), inflation),
    nEff: [n[0] / inflation, n[1] / inflation],
    method: `Fisher exact (${k1}/${n[0]} against ${k2}/${n[1]})${inflation > 1 ? `, n/nEff ${inflation.toFixed(1)}` : ''}`,
  };
}

/** Errors of the difference of two rates, the baseline's being `p1`. */
function rateErrors(p1: number, [n1, n2]: readonly [number, number], inflation: number): DifferenceErrors {
  const spread = (p: number): number => Math.max(0, p * (1 - p)) * inflation;
  return {
    room: [p1, 1 - p1],
    at: (delta) => ({
      none: Math.sqrt(spread((n1 * p1 + n2 * (p1 + delta)) / (n1 + n2)) * (1 / n1 + 1 / n2)),
      own: Math.sqrt(spread(p1) / n1 + spread(p1 + delta) / n2),
      step: (1 / n1 + 1 / n2) * inflation,
    }),
  };
}

/** The same of pairs: a share `balanced` of them is unequal either way, and those come on top that make the difference. */
function pairedErrors(p1: number, balanced: number, pairs: number): DifferenceErrors {
  return {
    room: [p1, 1 - p1],
    at: (delta) => {
      const share = Math.min(1, balanced + Math.abs(delta));
      return {
        none: Math.sqrt(share / pairs),
        own: Math.sqrt(Math.max(0, share - delta * delta) / pairs),
        step: 2 / pairs,
      };
    },
  };
}

function binaryFrame(margin: Margin | undefined, p1: number): { scale: Scale; margin: number; relevance: number } | string {
  if (margin?.absolute !== undefined) return { scale: ABSOLUTE_SCALE, margin: margin.absolute, relevance: margin.absolute };
  if (margin?.relative !== undefined) {
    if (!(p1 > 0)) return 'the baseline rate is 0, so a relative margin has no meaning: give an absolute one';
    return { scale: relativeScale(p1), margin: margin.relative, relevance: margin.relative };
  }
  return { scale: ABSOLUTE_SCALE, margin: DEFAULT_MARGINS.binary.tolerance, relevance: DEFAULT_MARGINS.binary.relevance };
}

/**
 * Event counts per entry (interval or request): exact conditional binomial on the totals. Counts that vary more than a Poisson process
 * (or are serially dependent) get a test on the counts' own variance instead: the binomial would cry wolf.
 */
export function assessCount(arms: Arms, design: Design, margin: Margin | undefined): Assessment | Blocked {
  const { baseline, candidate } = arms;
  const n = [baseline.length, candidate.length] as const;
  if (Math.min(...n) === 0) return block('no counts in an arm', n, 'count', margin);
  const k1 = sum(baseline);
  const k2 = sum(candidate);
  const rate1 = k1 / n[0];
  const rate2 = k2 / n[1];
  const dependence = dependenceOf(arms);
  const dispersion = Math.min(...n) >= MIN_POINTS ? dispersionIndex(baseline, candidate) : { ratio: 1, significant: false };
  const inflation = dependence.inflation * (dispersion.significant ? dispersion.ratio : 1);
  const nEff = [n[0] / dependence.inflation, n[1] / dependence.inflation] as const;
  if (dependence.detected && Math.min(...nEff) < MIN_EFFECTIVE) {
    const effective = Math.min(...nEff);
    const reason = `counts depend on each other over time: ${Math.min(...n)} entries carry about ${effective.toFixed(1)} independent ones, at least ${MIN_EFFECTIVE} are needed`;
    return { ...block(reason, n, 'count', margin), nEff, samplesNeeded: Math.ceil((Math.min(...n) * MIN_EFFECTIVE) / effective) };
  }
  const absolute = margin?.absolute;
  const relative = margin?.relative;
  const defaults = DEFAULT_MARGINS.count;
  const sizes =
    absolute !== undefined
      ? { margin: absolute, relevance: absolute }
      : relative !== undefined
        ? { margin: relative, relevance: relative }
        : { margin: defaults.tolerance, relevance: defaults.relevance };
  const differenceBounds = (tail: number): { low: number; high: number } => {
    const half = -normalQuantile(tail) * Math.sqrt(((k1 + 1) / n[0] ** 2 + (k2 + 1) / n[1] ** 2) * Math.max(1, inflation));
    return { low: rate2 - rate1 - half, high: rate2 - rate1 + half };
  };
  const common = { ...sizes, n, nEff, dependence, notes: [], shares: WHOLE };
  if (design === 'paired' && dispersion.significant && n[0] >= MIN_POINTS && absolute === undefined && rate1 > 0) {
    const location = pairedLocation(
      candidate.map((v, i) => v - baseline[i]!),
      arms.slots?.[0],
    );
    const { delta, bounds, pLarger, pSmaller } = location;
    return {
      ...common,
      scale: relativeScale(rate1),
      delta,
      bounds,
      pLarger,
      pSmaller,
      nEff: location.nEff,
      method: `${location.method} on counts`,
    };
  }
  const robust = inflation > 1;
  const df = Math.max(1, nEff[0] + nEff[1] - 2);
  const weaken = (p: number): number => (robust && p < 0.5 ? tSf(-normalQuantile(p) / Math.sqrt(inflation), df) : p);
  const pLarger = weaken(conditionalRateTest(k2, n[1], k1, n[0], 'greater'));
  const pSmaller = weaken(conditionalRateTest(k2, n[1], k1, n[0], 'less'));
  const method = `conditional binomial (${k1} against ${k2} events)${robust ? `, variance x ${inflation.toFixed(1)}` : ' exact'}`;
  if (absolute !== undefined) {
    return { ...common, scale: ABSOLUTE_SCALE, delta: rate2 - rate1, bounds: differenceBounds, pLarger, pSmaller, method };
  }
  // A zero total on one side still has a finite opposite bound; the point estimate then uses half an event.
  const delta =
    Math.log((k1 === 0 ? (k2 === 0 ? 1 : k2) : k2 === 0 ? 0.5 : k2) / n[1]) -
    Math.log((k1 === 0 ? (k2 === 0 ? 1 : 0.5) : k1) / n[0]);
  const ratioBounds = (tail: number): { low: number; high: number } => {
    const interval = rateRatioInterval(k2, n[1], k1, n[0], tail);
    const scale = Math.sqrt(Math.max(1, inflation));
    return { low: delta - (delta - Math.log(interval.low)) * scale, high: delta + (Math.log(interval.high) - delta) * scale };
  };
  const negligible = margin === undefined ? (tail: number): boolean => negligibleDifference(differenceBounds(tail)) : undefined;
  return {
    ...common,
    scale: LOG_SCALE,
    delta,
    bounds: ratioBounds,
    pLarger,
    pSmaller,
    method,
    ...(negligible === undefined ? {} : { negligible }),
  };
}

function negligibleDifference(bounds: { low: number; high: number }): boolean {
  return bounds.high <= COUNT_ABSOLUTE_TOLERANCE && bounds.low >= -COUNT_ABSOLUTE_TOLERANCE;
}

function dependenceOf({ baseline, candidate, ordered, slots }: Arms): Dependence {
  return ordered ? estimateDependence([baseline, candidate], DEPENDENCE_LEVEL, slots) : { phi: 0, detected: false, inflation: 1 };
}

/** Variance over mean within the arms (1 for Poisson), and whether it is more than chance (normal approximation of the chi-square, level 2.3 %). */
function dispersionIndex(baseline: Float64Array, candidate: Float64Array): { ratio: number; significant: boolean } {
  let chi = 0;
  let df = 0;
  for (const values of [baseline, candidate]) {
    const centre = mean(values);
    if (centre === 0) continue;
    for (const value of values) chi += (value - centre) ** 2 / centre;
    df += values.length - 1;
  }
  const ratio = df > 0 ? chi / df : 1;
  return { ratio, significant: ratio > 1 + 2 * Math.sqrt(2 / Math.max(1, df)) };
}

function block(reason: string, n: readonly [number, number], kind: 'binary' | 'count', margin: Margin | undefined): Blocked {
  return { blocked: reason, n, nEff: n, ...marginInForce(kind, margin), method: 'none' };
}
