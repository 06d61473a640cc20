import { judgeCase } from '../../src/canary/judge/judge.ts';
import type { CaseInput } from '../../src/canary/judge/types.ts';
import { createRng, type Rng } from '../../src/stats/rng.ts';
import { ar1, lognormal, pairs } from './generate.ts';

export interface SequentialRow {
  readonly name: string;
  readonly fail: number;
  readonly medianStop: number;
  readonly horizon: number;
}

interface Plan {
  readonly name: string;
  readonly horizon: number;
  readonly looks: number;
  /** Looks declared to the judge; above 50 it uses the anytime-valid boundary. */
  readonly declared: number;
  readonly design: 'paired' | 'unpaired';
  readonly correlation: number;
  readonly factor: number;
  /** Serial correlation of each arm. */
  readonly phi?: number;
}

export const PLANS: readonly Plan[] = [1, 1.2]
  .flatMap((factor): Plan[] => [
    {
      name: `unpaired 20 looks to 60, x${factor}`,
      horizon: 60,
      looks: 20,
      declared: 20,
      design: 'unpaired',
      correlation: 0,
      factor,
    },
    {
      name: `unpaired 20 looks to 120, x${factor}`,
      horizon: 120,
      looks: 20,
      declared: 20,
      design: 'unpaired',
      correlation: 0,
      factor,
    },
    {
      name: `paired rho=0 20 looks to 60, x${factor}`,
      horizon: 60,
      looks: 20,
      declared: 20,
      design: 'paired',
      correlation: 0,
      factor,
    },
    {
      name: `paired rho=0 20 looks to 120, x${factor}`,
      horizon: 120,
      looks: 20,
      declared: 20,
      design: 'paired',
      correlation: 0,
      factor,
    },
    {
      name: `paired rho=0.8 20 looks to 60, x${factor}`,
      horizon: 60,
      looks: 20,
      declared: 20,
      design: 'paired',
      correlation: 0.8,
      factor,
    },
    {
      name: `paired rho=0.8 anytime to 60, x${factor}`,
      horizon: 60,
      looks: 20,
      declared: 1000,
      design: 'paired',
      correlation: 0.8,
      factor,
    },
  ])
  .concat(
    [0.3, 0.6].map((phi) => ({
      name: `unpaired AR(1) phi=${phi} 20 looks to 180, x1`,
      horizon: 180,
      looks: 20,
      declared: 20,
      design: 'unpaired',
      correlation: 0,
      factor: 1,
      phi,
    })),
  )
  .concat(
    [60, 180].flatMap((horizon) =>
      [0.3, 0.6].map((phi) => ({
        name: `paired AR(1) phi=${phi} 20 looks to ${horizon}, x1`,
        horizon,
        looks: 20,
        declared: 20,
        design: 'paired' as const,
        correlation: 0,
        factor: 1,
        phi,
      })),
    ),
  );

function series(plan: Plan, rng: Rng): { baseline: number[]; candidate: number[] } {
  const { horizon, factor, phi } = plan;
  if (phi === undefined) return { baseline: lognormal(horizon, rng), candidate: lognormal(horizon, rng, factor) };
  return { baseline: ar1(horizon, phi, rng), candidate: ar1(horizon, phi, rng, factor) };
}

/** Judges growing data at every look until the first fail. */
export function runSequential(plan: Plan, runs: number): SequentialRow {
  let fails = 0;
  const stops: number[] = [];
  for (let run = 0; run < runs; run++) {
    const rng = createRng(`sequential/${plan.name}/${run}`);
    const data =
      plan.design === 'paired' && plan.phi === undefined
        ? pairs(plan.horizon, plan.correlation, rng, plan.factor)
        : series(plan, rng);
    let stop = plan.horizon;
    for (let look = 1; look <= plan.looks; look++) {
      const n = Math.round((plan.horizon * look) / plan.looks);
      const input: CaseInput = {
        id: 'look',
        design: plan.design,
        looks: plan.declared,
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
