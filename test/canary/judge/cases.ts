import type { CaseInput, CaseResult, MetricInput } from '../../../src/canary/judge/types.ts';
import { judgeSampleCase } from '../../../src/canary/samples.ts';
import { createRng } from '../../../src/stats/rng.ts';

/** Lognormal values with sigma 0.3 around `median`, from a seed. */
export function lognormal(n: number, seed: string, median = 100): number[] {
  const rng = createRng(seed);
  return Array.from({ length: n }, () => median * Math.exp(0.3 * rng.normal()));
}

export function bernoulli(n: number, p: number, seed: string): number[] {
  const rng = createRng(seed);
  return Array.from({ length: n }, () => (rng.uniform() < p ? 1 : 0));
}

export function ar1(n: number, phi: number, seed: string, factor = 1): number[] {
  const rng = createRng(seed);
  let z = rng.normal();
  return Array.from({ length: n }, () => {
    z = phi * z + Math.sqrt(1 - phi * phi) * rng.normal();
    return 100 * factor * Math.exp(0.3 * z);
  });
}

/** A case with one continuous, lower-is-better metric unless told otherwise. */
export function caseOf(
  baseline: (number | null)[],
  candidate: (number | null)[],
  metric: Partial<MetricInput> = {},
  rest: Partial<CaseInput> = {},
): CaseInput {
  return {
    id: 't',
    design: 'unpaired',
    metrics: [{ name: 'latency', kind: 'continuous', direction: 'lower', baseline, candidate, ...metric }],
    ...rest,
  };
}

/** What the judge says of sample files. */
export function judgeSamples(...sides: Parameters<typeof judgeSampleCase>): CaseResult {
  return judgeSampleCase(...sides).judged;
}
