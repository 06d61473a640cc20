import { judgeCase } from '../../src/canary/judge/judge.ts';
import type { CaseInput } from '../../src/canary/judge/types.ts';
import { createRng } from '../../src/stats/rng.ts';
import { lognormal, pairs } from './generate.ts';

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
}

export const PLANS: readonly Plan[] = [1, 1.2].flatMap((factor) => [
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
]);

/** Judges growing data at every look until the first fail. */
export function runSequential(plan: Plan, runs: number): SequentialRow {
  let fails = 0;
  const stops: number[] = [];
  for (let run = 0; run < runs; run++) {
    const rng = createRng(`sequential/${plan.name}/${run}`);
    const data =
      plan.design === 'paired'
        ? pairs(plan.horizon, plan.correlation, rng, plan.factor)
        : { baseline: lognormal(plan.horizon, rng), candidate: lognormal(plan.horizon, rng, plan.factor) };
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
