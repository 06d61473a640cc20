import { normalQuantile } from './distributions.ts';
import { sum } from './summary.ts';

export interface Dependence {
  /** Bias-corrected lag-1 autocorrelation, pooled over the given series. -1 .. 1. */
  phi: number;
  /** Whether dependence was detected (one-sided test at `level`); if not, the series is treated as independent. */
  detected: boolean;
  /** Variance inflation of a mean: n / nEff, at least 1. */
  inflation: number;
}

/**
 * Autocovariances at lags 0..maxLag of a series with gaps (Parzen 1963): only points exactly `lag` slots apart make a product, so that
 * the two sides of a gap are never read as neighbours. `slots` ascends; without gaps the result is that of `autocovariances`.
 */
export function gappedAutocovariances(values: ArrayLike<number>, slots: ArrayLike<number>, maxLag: number): Float64Array {
  const n = values.length;
  const centre = sum(values) / n;
  const result = new Float64Array(maxLag + 1);
  for (let lag = 0; lag <= maxLag; lag++) {
    let total = 0;
    let products = 0;
    let earlier = 0;
    for (let i = 0; i < n; i++) {
      while (slots[earlier]! < slots[i]! - lag) earlier++;
      if (slots[earlier]! !== slots[i]! - lag) continue;
      total += (values[i]! - centre) * (values[earlier]! - centre);
      products++;
    }
    // Mean product times (n - lag) / n: the divisor n of the whole series.
    result[lag] = products > 0 ? ((total / products) * (n - lag)) / n : 0;
  }
  return result;
}

/** Autocovariances at lags 0..maxLag of values centred on their own mean (divisor n, hence positive semi-definite). */
export function autocovariances(values: ArrayLike<number>, maxLag: number): Float64Array {
  const n = values.length;
  const centre = sum(values) / n;
  const result = new Float64Array(maxLag + 1);
  for (let lag = 0; lag <= maxLag; lag++) {
    let total = 0;
    for (let i = lag; i < n; i++) total += (values[i]! - centre) * (values[i - lag]! - centre);
    result[lag] = total / n;
  }
  return result;
}

/**
 * Variance inflation of a mean by overlapping batch means (Meketon and Schmeiser 1984) with batches of `length`: length times the
 * variance of batch means over the variance of the points. Robust where the series is not AR(1).
 */
export function batchMeansInflation(values: ArrayLike<number>, length: number): number {
  const n = values.length;
  if (length < 1 || n < 2 * length) return 1;
  const centre = sum(values) / n;
  let gamma0 = 0;
  for (let i = 0; i < n; i++) gamma0 += (values[i]! - centre) ** 2;
  if (gamma0 === 0) return 1;
  gamma0 /= n - 1;
  let window = 0;
  for (let i = 0; i < length; i++) window += values[i]! - centre;
  let total = window * window;
  for (let i = length; i < n; i++) {
    window += values[i]! - values[i - length]!;
    total += window * window;
  }
  const batches = n - length + 1;
  const longRun = (total / batches / length) * (n / (n - length));
  return longRun / gamma0;
}

/**
 * Order of an autoregression chosen by AIC (Yule-Walker, up to `maxOrder`) and the variance inflation of a mean it implies: the
 * spectral density at 0 over the variance (the estimator of R's coda::effectiveSize).
 */
export function autoregressiveInflation(covariances: Float64Array, n: number): { order: number; inflation: number } {
  const maxOrder = covariances.length - 1;
  if (!(covariances[0]! > 0)) return { order: 0, inflation: 1 };
  let coefficients: number[] = [];
  let noise = covariances[0]!;
  let best = { order: 0, inflation: 1, aic: n * Math.log(noise) };
  for (let order = 1; order <= maxOrder; order++) {
    // Durbin-Levinson.
    let reflection = covariances[order]!;
    for (let j = 0; j < coefficients.length; j++) reflection -= coefficients[j]! * covariances[order - 1 - j]!;
    reflection /= noise;
    const next = coefficients.map((c, j) => c - reflection * coefficients[coefficients.length - 1 - j]!);
    next.push(reflection);
    coefficients = next;
    noise *= 1 - reflection * reflection;
    if (!(noise > 0)) break;
    const aic = n * Math.log(noise) + 2 * order;
    if (aic < best.aic) {
      const gain = 1 - coefficients.reduce((a, b) => a + b, 0);
      best = { order, inflation: gain > 0 ? noise / (gain * gain) / covariances[0]! : Number.POSITIVE_INFINITY, aic };
    }
  }
  return { order: best.order, inflation: best.inflation };
}

/**
 * Pools the serial dependence of several series (the two arms). The lag-1 autocorrelation is corrected for its small-sample bias
 * -(1 + 3 phi) / n (Marriott and Pope 1954); a one-sided test at `level` decides whether there is any dependence at all, so that
 * independent data keep their full power; then the inflation is the largest of AR(1), AR(p) by AIC and batch means.
 * Cost O(n p), p about n^(1/3). `slots`, one array a series: places on a regular grid, for series with gaps.
 */
export function estimateDependence(
  series: readonly ArrayLike<number>[],
  level: number,
  slots?: readonly ArrayLike<number>[],
): Dependence {
  const long = series.filter((values) => values.length >= 8);
  const n = long.reduce((total, values) => total + values.length, 0);
  if (n < 16) return { phi: 0, detected: false, inflation: 1 };
  const shortest = long.reduce((least, values) => Math.min(least, values.length), Number.POSITIVE_INFINITY);
  const maxLag = Math.max(1, Math.min(30, Math.floor(1.5 * Math.cbrt(shortest)), Math.floor(shortest / 4)));
  const pooled = new Float64Array(maxLag + 1);
  for (const values of long) {
    const places = slots?.[series.indexOf(values)];
    const own = places === undefined ? autocovariances(values, maxLag) : gappedAutocovariances(values, places, maxLag);
    for (let lag = 0; lag <= maxLag; lag++) pooled[lag]! += own[lag]! * (values.length / n);
  }
  if (!(pooled[0]! > 0)) return { phi: 0, detected: false, inflation: 1 };
  const raw = pooled[1]! / pooled[0]!;
  const average = n / long.length;
  const phi = Math.max(-0.99, Math.min(0.99, (raw + 1 / average) / (1 - 3 / average)));
  const first = phi * Math.sqrt(n) > -normalQuantile(level / 2);
  // Slow drifts can hide from lag 1: a Box-Pierce-like sum of the positive correlations up to maxLag is tested as well.
  let broad = 0;
  for (let lag = 1; lag <= maxLag; lag++) broad += pooled[lag]! / pooled[0]! + 1 / average;
  const slow = (broad * Math.sqrt(n)) / Math.sqrt(maxLag) > -normalQuantile(level / 2);
  if (!first && !slow) return { phi, detected: false, inflation: 1 };
  const ar1 = (1 + Math.max(0, phi)) / (1 - Math.max(0, phi));
  const arp = autoregressiveInflation(pooled, n).inflation;
  let batch = 1;
  if (shortest >= 400) {
    batch = 0;
    for (const values of long)
      batch += batchMeansInflation(values, Math.floor(Math.sqrt(values.length) * 2)) * (values.length / n);
  }
  return { phi, detected: true, inflation: Math.max(1, ar1, Math.min(arp, n), batch) };
}
