import { judgeCase } from '../../src/canary/judge/judge.ts';
import type { CaseInput, Design } from '../../src/canary/judge/types.ts';
import { createRng, type Rng } from '../../src/stats/rng.ts';
import { ar1, lognormal, pairs, pareto, ties } from './generate.ts';

export interface SequentialRow {
  readonly name: string;
  readonly fail: number;
  readonly medianStop: number;
  readonly horizon: number;
}

export interface Plan {
  readonly name: string;
  readonly design: Design;
  readonly horizon: number;
  readonly looks: number;
  /** Looks declared to the judge; above 50 it uses the anytime-valid boundary. */
  readonly declared: number;
  /** What the candidate's values are multiplied by. */
  readonly factor: number;
  readonly make: (rng: Rng) => { baseline: number[]; candidate: number[] };
}

const LOOKS = 20;

function plan(design: Design, what: string, horizon: number, factor: number, make: Plan['make'], declared = LOOKS): Plan {
  const often = declared === LOOKS ? `${LOOKS} looks` : 'anytime';
  const name = `${design}${what === '' ? '' : ` ${what}`} ${often} to ${horizon}, x${factor}`;
  return { name, design, horizon, looks: LOOKS, declared, factor, make };
}

/** Arms drawn one after the other, each by itself. */
function arms(make: (rng: Rng) => number[]): Plan['make'] {
  return (rng) => ({ baseline: make(rng), candidate: make(rng) });
}

const series = (horizon: number, factor: number): Plan =>
  plan('unpaired', '', horizon, factor, (rng) => ({
    baseline: lognormal(horizon, rng),
    candidate: lognormal(horizon, rng, factor),
  }));

const correlated = (correlation: number, horizon: number, factor: number, declared?: number): Plan =>
  plan('paired', `rho=${correlation}`, horizon, factor, (rng) => pairs(horizon, correlation, rng, factor), declared);

const dependent = (design: Design, phi: number, horizon: number): Plan =>
  plan(
    design,
    `AR(1) phi=${phi}`,
    horizon,
    1,
    arms((rng) => ar1(horizon, phi, rng)),
  );

export const PLANS: readonly Plan[] = [
  ...[1, 1.2].flatMap((factor) => [
    series(60, factor),
    series(120, factor),
    correlated(0, 60, factor),
    correlated(0, 120, factor),
    correlated(0.8, 60, factor),
    correlated(0.8, 60, factor, 1000),
  ]),
  ...(['unpaired', 'paired'] as const).flatMap((design) =>
    [60, 180].flatMap((horizon) => [0.15, 0.3, 0.6].map((phi) => dependent(design, phi, horizon))),
  ),
  ...(['unpaired', 'paired'] as const).flatMap((design) => [
    plan(
      design,
      'Pareto 1.5',
      60,
      1,
      arms((rng) => pareto(60, rng)),
    ),
    plan(
      design,
      'ties',
      60,
      1,
      arms((rng) => ties(60, rng)),
    ),
  ]),
];

/** Judges growing data at every look until the first fail. */
export function runSequential(plan: Plan, runs: number): SequentialRow {
  let fails = 0;
  const stops: number[] = [];
  for (let run = 0; run < runs; run++) {
    const data = plan.make(createRng(`sequential/${plan.name}/${run}`));
    let stop = plan.horizon;
    for (let look = 1; look <= plan.looks; look++) {
      const n = Math.round((plan.horizon * look) / plan.looks);
      const input: CaseInput = {
        id: 'look',
        design: plan.design,
        looks: plan.declared,
        look,
        metrics: [
          {
            name: 'm',
            kind: 'continuous',
            direction: 'lower',
            baseline: data.baseline.slice(0, n),
            candidate: data.candidate.slice(0, n),
          },
        ],
      };
      if (judgeCase(input).verdict === 'fail') {
        fails++;
        stop = n;
        break;
      }
    }
    stops.push(stop);
  }
  stops.sort((a, b) => a - b);
  return { name: plan.name, fail: fails / runs, medianStop: stops[Math.floor(runs / 2)]!, horizon: plan.horizon };
}
