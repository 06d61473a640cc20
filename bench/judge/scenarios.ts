import type { CaseInput, Design, MetricInput, MetricKind } from '../../src/canary/judge/types.ts';
import { tSf } from '../../src/stats/distributions.ts';
import { mannWhitney } from '../../src/stats/mann-whitney.ts';
import type { Rng } from '../../src/stats/rng.ts';
import { mean, variance } from '../../src/stats/summary.ts';
import type { Bar } from './bars.ts';
import {
  ar1,
  bernoulli,
  lognormal,
  pairs,
  pareto,
  poisson,
  pollScores,
  stalls,
  ties,
  withTail,
  zeroInflated,
} from './generate.ts';

/** One row of the table: how a case is made, what it is for, and (for power rows) a classical test on the same data. */
export interface Scenario {
  readonly name: string;
  readonly group: 'false-alarm' | 'power';
  readonly make: (rng: Rng, run: number) => CaseInput;
  /** Whether the reference test rejects on the same data, at the same level. */
  readonly peer?: (input: CaseInput) => boolean;
  readonly bar: Bar;
}

const ALPHA = 0.05;

/** Nothing is wrong: false alarms stay at the level. */
const CALM: Bar = { failAtMost: ALPHA };

/** The same where the data suffice to decide. */
const CALM_AND_DECIDED: Bar = { ...CALM, inconclusiveAtMost: 0.1 };

/** Share of +5, +10 and +20 % at n = 60 that the strongest existing judge catches (Kayenta's algorithm, measured on the same workload). */
const EXISTING: Readonly<Record<number, number>> = { 0.05: 0.016, 0.1: 0.088, 0.2: 0.516 };

function metric(kind: MetricKind, baseline: number[], candidate: number[], extra: Partial<MetricInput> = {}): MetricInput {
  return { name: 'm', kind, direction: 'lower', baseline, candidate, ...extra };
}

function one(design: Design, input: MetricInput): CaseInput {
  return { id: 'sim', design, alpha: ALPHA, metrics: [input] };
}

function rankSum(input: CaseInput): boolean {
  const { baseline, candidate } = input.metrics[0]!;
  return mannWhitney(candidate as number[], baseline as number[], { alternative: 'greater', method: 'asymptotic' }).p <= ALPHA;
}

function pairedT(input: CaseInput): boolean {
  const { baseline, candidate } = input.metrics[0]!;
  const d = Array.from(candidate as number[], (v, i) => Math.log(v) - Math.log((baseline as number[])[i]!));
  return tSf((mean(d) * Math.sqrt(d.length)) / Math.sqrt(variance(d)), d.length - 1) <= ALPHA;
}

function unpaired(
  name: string,
  make: (rng: Rng) => [number[], number[]],
  group: Scenario['group'],
  bar: Bar,
  kind: MetricKind = 'continuous',
): Scenario {
  return {
    name,
    group,
    bar,
    make: (rng) => one('unpaired', metric(kind, ...make(rng))),
    ...(group === 'power' && kind === 'continuous' ? { peer: rankSum } : {}),
  };
}

function familyCase(design: Design, n: number, rng: Rng): CaseInput {
  const metrics: MetricInput[] = [];
  for (let m = 0; m < 20; m++) {
    for (let s = 0; s < 8; s++) {
      const data = design === 'paired' ? pairs(n, 0.8, rng) : { baseline: lognormal(n, rng), candidate: lognormal(n, rng) };
      metrics.push({ name: `m${m}`, segment: `s${s}`, kind: 'continuous', direction: 'lower', ...data });
    }
  }
  return { id: 'family', design, alpha: ALPHA, metrics };
}

/** One metric in several clusters, each with its own level and its own change. */
function clusters(n: number, factors: readonly number[], rng: Rng): CaseInput {
  return {
    id: 'clusters',
    design: 'unpaired',
    alpha: ALPHA,
    metrics: factors.map((factor, cluster) => ({
      name: 'm',
      segment: `cluster-${cluster}`,
      kind: 'continuous',
      direction: 'lower',
      baseline: lognormal(n, rng, 1 + cluster),
      candidate: lognormal(n, rng, (1 + cluster) * factor),
    })),
  };
}

/** Whether any cluster fails by itself, each at its share of the level. */
function anyCluster(input: CaseInput): boolean {
  const { metrics } = input;
  return metrics.some(
    ({ baseline, candidate }) =>
      mannWhitney(candidate as number[], baseline as number[], { alternative: 'greater', method: 'asymptotic' }).p <=
      ALPHA / metrics.length,
  );
}

const FALSE_ALARMS: Scenario[] = [
  ...[10, 30, 60, 180, 600].map((n) =>
    unpaired(`iid n=${n}`, (rng) => [lognormal(n, rng), lognormal(n, rng)], 'false-alarm', CALM),
  ),
  ...[60, 180].flatMap((n) =>
    [0.3, 0.6, 0.8, 0.9].map((phi) =>
      unpaired(
        `AR(1) phi=${phi} n=${n}`,
        (rng) => [ar1(n, phi, rng), ar1(n, phi, rng)],
        'false-alarm',
        n === 180 && phi <= 0.6 ? CALM_AND_DECIDED : CALM,
      ),
    ),
  ),
  unpaired('AR(1) phi=0.6 n=1000', (rng) => [ar1(1000, 0.6, rng), ar1(1000, 0.6, rng)], 'false-alarm', CALM),
  ...[60, 180].map((n) => unpaired(`Pareto 1.5 n=${n}`, (rng) => [pareto(n, rng), pareto(n, rng)], 'false-alarm', CALM)),
  ...[60, 180].map((n) =>
    unpaired(`zero-inflated n=${n}`, (rng) => [zeroInflated(n, rng), zeroInflated(n, rng)], 'false-alarm', CALM),
  ),
  ...[60, 180].map((n) => unpaired(`ties n=${n}`, (rng) => [ties(n, rng), ties(n, rng)], 'false-alarm', CALM)),
  unpaired('unequal 30 / 300', (rng) => [lognormal(300, rng), lognormal(30, rng)], 'false-alarm', CALM),
  unpaired('unequal 300 / 30', (rng) => [lognormal(30, rng), lognormal(300, rng)], 'false-alarm', CALM),
  ...[10, 60, 180].map(
    (n): Scenario => ({
      name: `paired rho=0.8 n=${n}`,
      group: 'false-alarm',
      bar: CALM,
      make: (rng) => one('paired', metric('continuous', ...arms(pairs(n, 0.8, rng)))),
    }),
  ),
  ...[60, 180].flatMap((n) =>
    [0.3, 0.6, 0.8, 0.9].map(
      (phi): Scenario => ({
        name: `paired AR(1) phi=${phi} n=${n}`,
        group: 'false-alarm',
        bar: n === 180 && phi <= 0.6 ? CALM_AND_DECIDED : CALM,
        make: (rng) => one('paired', metric('continuous', ar1(n, phi, rng), ar1(n, phi, rng))),
      }),
    ),
  ),
  unpaired('unequal 60 / 180 AR(1) phi=0.6', (rng) => [ar1(180, 0.6, rng), ar1(60, 0.6, rng)], 'false-alarm', CALM),
  unpaired(
    'common trend x0.6 to x1.5 n=180',
    (rng) => [ramp(lognormal(180, rng), 0.6, 1.5), ramp(lognormal(180, rng), 0.6, 1.5)],
    'false-alarm',
    CALM_AND_DECIDED,
  ),
  unpaired(
    'common trend, AR(1) phi=0.6 n=180',
    (rng) => [ramp(ar1(180, 0.6, rng), 0.6, 1.5), ramp(ar1(180, 0.6, rng), 0.6, 1.5)],
    'false-alarm',
    CALM,
  ),
  {
    name: 'gaps, AR(1) phi=0.6 n=180',
    group: 'false-alarm',
    bar: CALM,
    make: (rng) => {
      const kept = (_: number, i: number): boolean => i % 40 < 30;
      const times = Array.from({ length: 240 }, (_, i) => 15 * i).filter(kept);
      return one('unpaired', metric('continuous', ar1(240, 0.6, rng).filter(kept), ar1(240, 0.6, rng).filter(kept), { times }));
    },
  },
  {
    name: 'counter series with a reset n=60',
    group: 'false-alarm',
    bar: CALM,
    make: (rng) =>
      one('unpaired', metric('count', counter(poisson(60, 20, rng)), counter(poisson(60, 20, rng)), { cumulative: true })),
  },
  {
    name: 'either direction n=60',
    group: 'false-alarm',
    bar: CALM,
    make: (rng) => one('unpaired', metric('continuous', lognormal(60, rng), lognormal(60, rng), { direction: 'either' })),
  },
  {
    name: 'paired Pareto n=60',
    group: 'false-alarm',
    bar: CALM,
    make: (rng) => one('paired', metric('continuous', pareto(60, rng), pareto(60, rng))),
  },
  ...[20, 60, 180].flatMap((n) =>
    [1, 3, 5].map(
      (polls): Scenario => ({
        name: `paired scores of ${polls} polls n=${n}`,
        group: 'false-alarm',
        bar: CALM,
        make: (rng) => one('paired', metric('continuous', ...arms(pollScores(n, polls, rng)), { direction: 'higher' })),
      }),
    ),
  ),
  ...[60, 180].map(
    (n): Scenario => ({
      name: `unpaired scores of 1 poll n=${n}`,
      group: 'false-alarm',
      bar: CALM,
      make: (rng) =>
        one(
          'unpaired',
          metric('continuous', pollScores(n, 1, rng).baseline, pollScores(n, 1, rng).baseline, { direction: 'higher' }),
        ),
    }),
  ),
  unpaired('errors 1 % n=6000', (rng) => [bernoulli(6000, 0.01, rng), bernoulli(6000, 0.01, rng)], 'false-alarm', CALM, 'binary'),
  unpaired(
    'errors 0.1 % n=1000',
    (rng) => [bernoulli(1000, 0.001, rng), bernoulli(1000, 0.001, rng)],
    'false-alarm',
    CALM,
    'binary',
  ),
  unpaired('Poisson counts 2 n=60', (rng) => [poisson(60, 2, rng), poisson(60, 2, rng)], 'false-alarm', CALM, 'count'),
  unpaired('overdispersed counts n=60', (rng) => [mixed(60, rng), mixed(60, rng)], 'false-alarm', CALM, 'count'),
  {
    name: '5 clusters and their pool n=60',
    group: 'false-alarm',
    bar: CALM,
    make: (rng) => clusters(60, [1, 1, 1, 1, 1], rng),
  },
  { name: 'family 20 x 8 unpaired n=60', group: 'false-alarm', bar: CALM, make: (rng) => familyCase('unpaired', 60, rng) },
  { name: 'family 20 x 8 paired n=60', group: 'false-alarm', bar: CALM, make: (rng) => familyCase('paired', 60, rng) },
];

/** Poisson with a lognormal rate: more variance than a Poisson process. */
function mixed(n: number, rng: Rng): number[] {
  return Array.from({ length: n }, () => poisson(1, 5 * Math.exp(0.7 * rng.normal()), rng)[0]!);
}

function arms(data: { baseline: number[]; candidate: number[] }): [number[], number[]] {
  return [data.baseline, data.candidate];
}

const POWER: Scenario[] = [
  ...[0.05, 0.1, 0.2].map((shift) =>
    unpaired(`+${shift * 100} % n=60`, (rng) => [lognormal(60, rng), lognormal(60, rng, 1 + shift)], 'power', {
      withinOfPeer: 0.03,
      failAtLeast: EXISTING[shift]!,
    }),
  ),
  ...[0.05, 0.1].map((shift) =>
    unpaired(`+${shift * 100} % n=180`, (rng) => [lognormal(180, rng), lognormal(180, rng, 1 + shift)], 'power', {}),
  ),
  ...[60, 180, 600].map((n) =>
    unpaired(
      `tail 5 % x3 n=${n}`,
      (rng) => [lognormal(n, rng), withTail(lognormal(n, rng), 0.05, 3, rng)],
      'power',
      n === 180 ? { failAtLeast: 0.8 } : {},
    ),
  ),
  unpaired('tail 10 % x10 n=60', (rng) => [lognormal(60, rng), withTail(lognormal(60, rng), 0.1, 10, rng)], 'power', {}),
  unpaired('spread x1.7 n=180', (rng) => [lognormal(180, rng), lognormal(180, rng, 1, SIGMA_WIDE)], 'power', {}),
  unpaired(
    'errors 1 -> 2 % n=6000',
    (rng) => [bernoulli(6000, 0.01, rng), bernoulli(6000, 0.02, rng)],
    'power',
    { failAtLeast: 0.95 },
    'binary',
  ),
  unpaired(
    'errors 0.1 -> 0.3 % n=6000',
    (rng) => [bernoulli(6000, 0.001, rng), bernoulli(6000, 0.003, rng)],
    'power',
    {},
    'binary',
  ),
  ...[0.05, 0.1, 0.2].flatMap((shift) =>
    [0, 0.8].map(
      (rho): Scenario => ({
        name: `paired +${shift * 100} % rho=${rho} n=60`,
        group: 'power',
        bar: { withinOfPeer: 0.03, ...(shift === 0.1 && rho === 0.8 ? { failAtLeast: 0.95 } : {}) },
        make: (rng) => one('paired', metric('continuous', ...arms(pairs(60, rho, rng, 1 + shift)))),
        peer: pairedT,
      }),
    ),
  ),
  {
    name: 'paired tail 5 % x3 n=180',
    group: 'power',
    bar: {},
    make: (rng) => one('paired', metric('continuous', ...pairedTail(180, rng))),
    peer: pairedT,
  },
  ...[
    { n: 60, share: 0.1 },
    { n: 60, share: 0.25 },
    { n: 120, share: 0.1 },
  ].map(
    ({ n, share }): Scenario => ({
      name: `paired stalls ${100 * share} % n=${n}, 1/24 of alpha`,
      group: 'power',
      bar: {},
      make: (rng) => ({
        ...one('paired', metric('continuous', ...arms(stalls(n, share, rng)), { margin: { relative: 0.25 } })),
        alpha: ALPHA / 24,
      }),
    }),
  ),
  ...[60, 180].map((n) =>
    unpaired(`zero-inflated, rest +50 % n=${n}`, (rng) => [zeroInflated(n, rng), zeroInflated(n, rng, 1.5)], 'power', {}),
  ),
  {
    name: '5 clusters, +8 % in each n=60',
    group: 'power',
    bar: {},
    make: (rng) => clusters(60, [1.08, 1.08, 1.08, 1.08, 1.08], rng),
    peer: anyCluster,
  },
  {
    name: '5 clusters, +25 % in one n=60',
    group: 'power',
    bar: {},
    make: (rng) => clusters(60, [1, 1, 1.25, 1, 1], rng),
    peer: anyCluster,
  },
  unpaired('leak x0.7 to x1.4 n=180', (rng) => [lognormal(180, rng), ramp(lognormal(180, rng), 0.7, 1.4)], 'power', {}),
  unpaired(
    'common trend +20 % n=180',
    (rng) => [ramp(lognormal(180, rng), 0.6, 1.5), ramp(lognormal(180, rng, 1.2), 0.6, 1.5)],
    'power',
    {},
  ),
  unpaired('AR(1) phi=0.6 +20 % n=180', (rng) => [ar1(180, 0.6, rng), ar1(180, 0.6, rng, 1.2)], 'power', {}),
];

/** Multiplied along a straight line from the first point to the last. */
function ramp(values: number[], from: number, to: number): number[] {
  return values.map((value, i) => value * (from + ((to - from) * i) / (values.length - 1)));
}

/** Running total of increments, begun again at 0 halfway. */
function counter(increments: number[]): number[] {
  let total = 0;
  return increments.map((step, i) => {
    total = i === Math.floor(increments.length / 2) ? step : total + step;
    return total;
  });
}

const SIGMA_WIDE = 0.3 * 1.7;

function pairedTail(n: number, rng: Rng): [number[], number[]] {
  const data = pairs(n, 0.8, rng);
  return [data.baseline, withTail(data.candidate, 0.05, 3, rng)];
}

export const SCENARIOS: readonly Scenario[] = [...FALSE_ALARMS, ...POWER];
