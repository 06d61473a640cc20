import { describe, expect, test } from 'vitest';
import { judgeCase } from '../../../src/canary/judge/judge.ts';
import type { Direction, MetricInput, MetricResult } from '../../../src/canary/judge/types.ts';
import { createRng, type Rng } from '../../../src/stats/rng.ts';

interface Plan {
  readonly design: 'paired' | 'unpaired';
  readonly kind: 'continuous' | 'binary';
  readonly n: number;
  /** Metrics of the case; one of them is worse. */
  readonly family: number;
  readonly direction?: Direction;
  readonly margin?: MetricInput['margin'];
}

const RUNS = 500;

/** Lognormal times around 100 (pairs correlate by 0.5), or outcomes of which 2 % are 1; the candidate's changed by `effect`. */
function metricOf(rng: Rng, name: string, { design, kind, n, direction = 'lower', margin }: Plan, effect: number): MetricInput {
  const [baseline, candidate]: [number[], number[]] = [[], []];
  for (let i = 0; i < n; i++) {
    if (kind === 'binary') {
      baseline.push(rng.uniform() < 0.02 ? 1 : 0);
      candidate.push(rng.uniform() < 0.02 + effect ? 1 : 0);
      continue;
    }
    const [own, other] = [rng.normal(), rng.normal()];
    baseline.push(100 * Math.exp(0.3 * own));
    candidate.push(100 * (1 + effect) * Math.exp(0.3 * (design === 'paired' ? 0.5 * own + Math.sqrt(0.75) * other : other)));
  }
  return { name, kind, direction, ...(margin === undefined ? {} : { margin }), baseline, candidate };
}

function judged(rng: Rng, plan: Plan, effect: number): MetricResult {
  const metrics = Array.from({ length: plan.family }, (_, i) => metricOf(rng, `m${i}`, plan, i === 0 ? effect : 0));
  return judgeCase({ id: 'd', design: plan.design, metrics }).metrics[0]!;
}

describe('the smallest detectable effect is found by 80 % of runs', () => {
  test.each<[string, Plan]>([
    ['two series', { design: 'unpaired', kind: 'continuous', n: 60, family: 1 }],
    ['pairs', { design: 'paired', kind: 'continuous', n: 60, family: 1 }],
    ['one bad metric of 12', { design: 'unpaired', kind: 'continuous', n: 60, family: 12 }],
    ['a metric that may move neither way', { design: 'unpaired', kind: 'continuous', n: 180, family: 1, direction: 'either' }],
    [
      'below a margin: certain, and no fail',
      { design: 'unpaired', kind: 'continuous', n: 600, family: 1, margin: { relative: 0.2 } },
    ],
    ['rates', { design: 'unpaired', kind: 'binary', n: 3000, family: 1 }],
    ['paired rates', { design: 'paired', kind: 'binary', n: 600, family: 1 }],
  ])('%s', (name, plan) => {
    const rng = createRng(name);
    const smallest = Array.from({ length: 60 }, () => judged(rng, plan, 0).mde!).reduce((sum, mde) => sum + mde, 0) / 60;
    let found = 0;
    let failed = 0;
    for (let run = 0; run < RUNS; run++) {
      const { pAdjusted, verdict } = judged(rng, plan, smallest);
      if (pAdjusted! <= 0.05) found++;
      if (verdict === 'fail') failed++;
    }
    // Three Monte Carlo errors of 80 % in 500 runs are 5.4 points; the effect itself is the mean of 60 runs.
    expect(found / RUNS).toBeGreaterThan(0.74);
    expect(found / RUNS).toBeLessThan(0.86);
    if (plan.margin !== undefined) expect(failed / RUNS).toBeLessThan(0.05);
  });

  test('a rate that has nowhere to go has none', () => {
    const none = Array.from({ length: 60 }, () => 0);
    const [metric] = judgeCase({
      id: 'd',
      design: 'unpaired',
      metrics: [{ name: 'check', kind: 'binary', direction: 'higher', baseline: none, candidate: none }],
    }).metrics;
    expect(metric!.mde).toBeNull();
  });
});
