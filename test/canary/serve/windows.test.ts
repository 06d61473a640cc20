import { expect, test } from 'vitest';
import { judgeCase } from '../../../src/canary/judge/judge.ts';
import type { CaseInput } from '../../../src/canary/judge/types.ts';
import { judgeWindow } from '../../../src/canary/serve/windows.ts';
import { createRng } from '../../../src/stats/rng.ts';

const LOOKS = 20;
const SERIES = 250;
const POINTS = 60;

/** A case of one window: `POINTS` of both arms from `from` on. */
const windowOf = (series: readonly [number[], number[]], from: number): CaseInput => ({
  id: 'w',
  design: 'unpaired',
  metrics: [
    {
      name: 'latency',
      kind: 'continuous',
      direction: 'lower',
      baseline: series[0].slice(from, from + POINTS),
      candidate: series[1].slice(from, from + POINTS),
    },
  ],
});

/** Share of series with nothing wrong in which some window fails; windows move on by `step` points. */
function falseAlarms(step: number, judge: (input: CaseInput) => { verdict: string }): number {
  const rng = createRng(`windows ${step}`);
  let alarms = 0;
  for (let i = 0; i < SERIES; i++) {
    const draw = (): number[] => Array.from({ length: POINTS + step * (LOOKS - 1) }, () => 100 * Math.exp(0.3 * rng.normal()));
    const series = [draw(), draw()] as const;
    if (
      Array.from({ length: LOOKS }, (_, look) => judge(windowOf(series, look * step))).some(({ verdict }) => verdict === 'fail')
    )
      alarms++;
  }
  return alarms / SERIES;
}

test('windows that move along keep the level over all of them, which a boundary for growing data does not', () => {
  const growing = (input: CaseInput): { verdict: string } => judgeCase({ ...input, looks: LOOKS });
  const moving = (input: CaseInput): { verdict: string } => judgeWindow(input, 0.05, LOOKS);
  // Three Monte Carlo errors of 5 % in 250 series are 4.1 points.
  expect(falseAlarms(POINTS, growing)).toBeGreaterThan(0.1);
  expect(falseAlarms(POINTS, moving)).toBeLessThan(0.09);
  expect(falseAlarms(POINTS / 3, moving)).toBeLessThan(0.09);
});

test('a window says the level and p over all looks; one look is the plain judge', () => {
  const rng = createRng('window');
  const draw = (factor: number): number[] => Array.from({ length: POINTS }, () => factor * Math.exp(0.3 * rng.normal()));
  const input = windowOf([draw(100), draw(115)], 0);
  const [one, many] = [judgeWindow(input, 0.05, 1), judgeWindow(input, 0.05, LOOKS)];
  expect(one).toEqual(judgeCase({ ...input, alpha: 0.05 }));
  expect(many).toMatchObject({ alpha: 0.05, looks: LOOKS });
  const [p, all] = [one.metrics[0]!.pAdjusted!, many.metrics[0]!.pAdjusted!];
  expect(all).toBeCloseTo(1 - (1 - p) ** LOOKS, 10);
  expect(many.metrics[0]!.verdict === 'fail').toBe(all <= 0.05);
});
