/** Measures of how evenly and how differently experts are used; see each function for unit and range. Counts are non-negative. */

/** Shannon entropy of counts in bits: 0 .. log2(K). */
export function entropyBits(counts: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i]!;
  if (total === 0) return 0;
  let entropy = 0;
  for (let i = 0; i < counts.length; i++) {
    const p = counts[i]! / total;
    if (p > 0) entropy -= p * Math.log2(p);
  }
  return entropy;
}

/** Coefficient of variation: population standard deviation over mean; 0 when balanced, sqrt(K-1) when one expert takes all. */
export function coefficientOfVariation(counts: ArrayLike<number>): number {
  const { mean, m2 } = moments(counts);
  return mean > 0 ? Math.sqrt(m2) / mean : 0;
}

/** Skewness of the counts (population moments); 0 when constant. */
export function skewness(counts: ArrayLike<number>): number {
  const { m2, m3 } = moments(counts);
  return m2 > 0 ? m3 / m2 ** 1.5 : 0;
}

/** Mean over maximum: 1 when balanced, 1/K when one expert takes all, 0 for no counts. */
export function balancedness(counts: ArrayLike<number>): number {
  let total = 0;
  let top = 0;
  for (let i = 0; i < counts.length; i++) {
    total += counts[i]!;
    top = Math.max(top, counts[i]!);
  }
  return top > 0 ? total / counts.length / top : 0;
}

/** Load-balance statistic E * sum(f_i * P_i) of the Switch Transformer auxiliary loss (Fedus et al. 2021, eq. 4): 1 when balanced. */
export function loadBalance(fractions: ArrayLike<number>, probabilities: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < fractions.length; i++) total += fractions[i]! * probabilities[i]!;
  return fractions.length * total;
}

/** Jensen-Shannon divergence of two count vectors, base 2: 0 .. 1; NaN when a side is empty. */
export function jensenShannon(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let totalA = 0;
  let totalB = 0;
  for (let i = 0; i < a.length; i++) {
    totalA += a[i]!;
    totalB += b[i]!;
  }
  if (totalA === 0 || totalB === 0) return Number.NaN;
  let divergence = 0;
  for (let i = 0; i < a.length; i++) {
    const p = a[i]! / totalA;
    const q = b[i]! / totalB;
    const m = (p + q) / 2;
    if (p > 0) divergence += 0.5 * p * Math.log2(p / m);
    if (q > 0) divergence += 0.5 * q * Math.log2(q / m);
  }
  return Math.max(0, divergence);
}

/** Expected Jensen-Shannon divergence (bits) between two samples of n independent selections from one distribution over k cells: (k-1) / (4 n ln 2). */
export function jensenShannonNoiseFloor(k: number, n: number): number {
  return (k - 1) / (4 * n * Math.LN2);
}

function moments(values: ArrayLike<number>): { mean: number; m2: number; m3: number } {
  const n = values.length;
  let mean = 0;
  for (let i = 0; i < n; i++) mean += values[i]! / n;
  let m2 = 0;
  let m3 = 0;
  for (let i = 0; i < n; i++) {
    m2 += (values[i]! - mean) ** 2 / n;
    m3 += (values[i]! - mean) ** 3 / n;
  }
  return { mean, m2, m3 };
}
