import { normalCdf, normalQuantile } from './distributions.ts';
import { autocovariances } from './effective-sample-size.ts';
import type { Interval } from './proportions.ts';
import type { Rng } from './rng.ts';
import { mean, quantileSorted } from './summary.ts';

export type Statistic = (values: Float64Array) => number;

/** Bootstrap replicates of a statistic under independent resampling. */
export function bootstrap(values: Float64Array, statistic: Statistic, replicates: number, rng: Rng): Float64Array {
  const n = values.length;
  const sample = new Float64Array(n);
  const result = new Float64Array(replicates);
  for (let r = 0; r < replicates; r++) {
    for (let i = 0; i < n; i++) sample[i] = values[rng.int(n)]!;
    result[r] = statistic(sample);
  }
  return result;
}

/** Stationary bootstrap replicates (Politis and Romano 1994): blocks of geometric length with the given mean, circular. */
export function stationaryBootstrap(
  values: Float64Array,
  statistic: Statistic,
  replicates: number,
  meanLength: number,
  rng: Rng,
): Float64Array {
  const n = values.length;
  const sample = new Float64Array(n);
  const result = new Float64Array(replicates);
  const restart = 1 / Math.max(1, meanLength);
  for (let r = 0; r < replicates; r++) {
    let at = 0;
    for (let i = 0; i < n; i++) {
      at = i === 0 || rng.uniform() < restart ? rng.int(n) : (at + 1) % n;
      sample[i] = values[at]!;
    }
    result[r] = statistic(sample);
  }
  return result;
}

/** Circular block bootstrap replicates (Politis and Romano 1992) with a fixed block length. */
export function circularBlockBootstrap(
  values: Float64Array,
  statistic: Statistic,
  replicates: number,
  length: number,
  rng: Rng,
): Float64Array {
  const n = values.length;
  const sample = new Float64Array(n);
  const result = new Float64Array(replicates);
  for (let r = 0; r < replicates; r++) {
    let start = 0;
    for (let i = 0; i < n; i++) {
      if (i % length === 0) start = rng.int(n);
      sample[i] = values[(start + (i % length)) % n]!;
    }
    result[r] = statistic(sample);
  }
  return result;
}

/** Percentile interval from replicates, one-sided error `tail` per bound. */
export function percentileInterval(replicates: Float64Array, tail: number): Interval {
  const sorted = Float64Array.from(replicates).sort();
  return { low: quantileSorted(sorted, tail), high: quantileSorted(sorted, 1 - tail) };
}

/** Bias-corrected and accelerated interval (Efron 1987); the acceleration comes from the jackknife of `values`. */
export function bcaInterval(values: Float64Array, statistic: Statistic, replicates: Float64Array, tail: number): Interval {
  const observed = statistic(values);
  const sorted = Float64Array.from(replicates).sort();
  let below = 0;
  for (const value of sorted) below += value < observed ? 1 : value === observed ? 0.5 : 0;
  const share = Math.min(Math.max(below / sorted.length, 0.5 / sorted.length), 1 - 0.5 / sorted.length);
  const bias = normalQuantile(share);
  const jackknife = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const rest = new Float64Array(values.length - 1);
    rest.set(values.subarray(0, i), 0);
    rest.set(values.subarray(i + 1), i);
    jackknife[i] = statistic(rest);
  }
  const centre = mean(jackknife);
  let second = 0;
  let third = 0;
  for (const value of jackknife) {
    second += (centre - value) ** 2;
    third += (centre - value) ** 3;
  }
  const acceleration = second > 0 ? third / (6 * second ** 1.5) : 0;
  const level = (z: number): number => normalCdf(bias + (bias + z) / (1 - acceleration * (bias + z)));
  const z = -normalQuantile(tail);
  return { low: quantileSorted(sorted, level(-z)), high: quantileSorted(sorted, level(z)) };
}

export interface BlockLength {
  stationary: number;
  circular: number;
}

/**
 * Automatic block length for the stationary and circular block bootstrap (Politis and White 2004, corrected by Patton, Politis
 * and White 2009): flat-top kernel, bandwidth twice the first lag after which K_n correlations stay insignificant.
 */
export function automaticBlockLength(values: ArrayLike<number>): BlockLength {
  const n = values.length;
  if (n < 8) return { stationary: 1, circular: 1 };
  const run = Math.max(5, Math.ceil(Math.sqrt(Math.log10(n))));
  const maxLag = Math.min(n - 1, Math.ceil(Math.sqrt(n)) + run);
  const covariance = autocovariances(values, maxLag);
  if (!(covariance[0]! > 0)) return { stationary: 1, circular: 1 };
  const limit = 2 * Math.sqrt(Math.log10(n) / n);
  let bandwidth = 0;
  for (let m = 0; m <= maxLag - run; m++) {
    let quiet = true;
    for (let k = 1; k <= run; k++) if (Math.abs(covariance[m + k]! / covariance[0]!) >= limit) quiet = false;
    if (quiet) {
      bandwidth = m;
      break;
    }
    bandwidth = m + 1;
  }
  const window = Math.min(2 * Math.max(bandwidth, 1), maxLag);
  let g = 0;
  let spectrum = covariance[0]!;
  for (let k = 1; k <= window; k++) {
    const ratio = k / window;
    const weight = ratio <= 0.5 ? 1 : 2 * (1 - ratio);
    g += 2 * weight * k * covariance[k]!;
    spectrum += 2 * weight * covariance[k]!;
  }
  const cap = Math.ceil(Math.min(3 * Math.sqrt(n), n / 3));
  const size = (d: number): number => Math.min(cap, Math.max(1, ((2 * g * g) / d) ** (1 / 3) * Math.cbrt(n)));
  return { stationary: size(2 * spectrum * spectrum), circular: size((4 / 3) * spectrum * spectrum) };
}
