import type { Rng } from '../../src/stats/rng.ts';

/** Lognormal latency, sigma 0.3, median 100 ms: the workload of the power table. */
export const SIGMA = 0.3;
const MEDIAN = 100;

export function lognormal(n: number, rng: Rng, factor = 1, sigma = SIGMA): number[] {
  return Array.from({ length: n }, () => MEDIAN * factor * Math.exp(sigma * rng.normal()));
}

/** Stationary AR(1) log-latency with the same marginal distribution. */
export function ar1(n: number, phi: number, rng: Rng, factor = 1): number[] {
  let z = rng.normal();
  const step = Math.sqrt(1 - phi * phi);
  return Array.from({ length: n }, () => {
    z = phi * z + step * rng.normal();
    return MEDIAN * factor * Math.exp(SIGMA * z);
  });
}

/** Pareto with shape 1.5: infinite variance. */
export function pareto(n: number, rng: Rng): number[] {
  return Array.from({ length: n }, () => MEDIAN * (1 - rng.uniform()) ** (-1 / 1.5));
}

/** Zero with chance 0.7, else lognormal, those times `factor`. */
export function zeroInflated(n: number, rng: Rng, factor = 1): number[] {
  return Array.from({ length: n }, () => (rng.uniform() < 0.7 ? 0 : MEDIAN * factor * Math.exp(SIGMA * rng.normal())));
}

/** Share of yes in `polls` answers of a judge model; of every ten prompts seven are easy, the others open. Pairs share the prompt. */
export function pollScores(n: number, polls: number, rng: Rng): { baseline: number[]; candidate: number[] } {
  const chance = Array.from({ length: n }, () => (rng.uniform() < 0.7 ? 0.97 : rng.uniform() < 0.5 ? 0.5 : 0.1));
  const score = (p: number): number => {
    let yes = 0;
    for (let poll = 0; poll < polls; poll++) if (rng.uniform() < p) yes++;
    return yes / polls;
  };
  return { baseline: chance.map(score), candidate: chance.map(score) };
}

/** End to end of a small model in ms, and the same where a share of the candidate's requests waits 400 ms more. */
export function stalls(n: number, share: number, rng: Rng): { baseline: number[]; candidate: number[] } {
  const own = (): number => 12 * Math.exp(0.25 * rng.normal());
  const baseline = Array.from({ length: n }, own);
  return { baseline, candidate: Array.from({ length: n }, () => own() + (rng.uniform() < share ? 400 : 0)) };
}

/** Lognormal rounded to 50 ms steps: a handful of distinct values. */
export function ties(n: number, rng: Rng): number[] {
  return lognormal(n, rng).map((v) => Math.max(50, Math.round(v / 50) * 50));
}

/** Each point is multiplied by `factor` with chance `share`. */
export function withTail(values: number[], share: number, factor: number, rng: Rng): number[] {
  return values.map((v) => (rng.uniform() < share ? v * factor : v));
}

/** Pairs of log-latencies with the given correlation; the candidate is multiplied by `factor`. */
export function pairs(n: number, correlation: number, rng: Rng, factor = 1): { baseline: number[]; candidate: number[] } {
  const baseline: number[] = [];
  const candidate: number[] = [];
  for (let i = 0; i < n; i++) {
    const shared = rng.normal();
    const arm = (): number => Math.sqrt(correlation) * shared + Math.sqrt(1 - correlation) * rng.normal();
    baseline.push(MEDIAN * Math.exp(SIGMA * arm()));
    candidate.push(MEDIAN * factor * Math.exp(SIGMA * arm()));
  }
  return { baseline, candidate };
}

export function bernoulli(n: number, p: number, rng: Rng): number[] {
  return Array.from({ length: n }, () => (rng.uniform() < p ? 1 : 0));
}

export function poisson(n: number, rate: number, rng: Rng): number[] {
  const limit = Math.exp(-rate);
  return Array.from({ length: n }, () => {
    let k = 0;
    for (let p = rng.uniform(); p > limit; p *= rng.uniform()) k++;
    return k;
  });
}
