import { describe, expect, test } from 'vitest';
import { counterIncrements } from '../../../src/canary/judge/counters.ts';
import { judgeCase } from '../../../src/canary/judge/judge.ts';
import { gappedAutocovariances } from '../../../src/stats/effective-sample-size.ts';
import { robustTrend } from '../../../src/stats/trend.ts';
import { ar1, caseOf, lognormal } from './cases.ts';

const N = 180;
const leak = (values: number[], from: number, to: number): number[] =>
  values.map((value, i) => value * (from + ((to - from) * i) / (values.length - 1)));

describe('trends within the run', () => {
  test('a candidate that starts faster and ends slower fails although the centre moved little', () => {
    const result = judgeCase(caseOf(lognormal(N, 'b'), leak(lognormal(N, 'c'), 0.6, 1.5)));
    expect(result.verdict).toBe('fail');
    expect(result.reason).toContain('gets worse during the run');
    const trend = result.metrics[0]!.subTests!.find((one) => one.name === 'trend')!;
    expect(trend.effect).toBeGreaterThan(0.25);
    expect(trend.pValue).toBeLessThan(0.001);
  });
  test('a trend that both arms share is none', () => {
    const result = judgeCase(caseOf(leak(lognormal(N, 'b'), 0.8, 1.2), leak(lognormal(N, 'c'), 0.8, 1.2)));
    expect(result.verdict).not.toBe('fail');
    expect(result.metrics[0]!.subTests!.find((one) => one.name === 'trend')!.pValue).toBeGreaterThan(0.05);
  });
  test('a strong trend that both arms share is taken out of both: it decides, and says so', () => {
    const ramped = (seed: string, factor = 1): number[] => leak(lognormal(N, seed, 100 * factor), 0.6, 1.5);
    const same = judgeCase(caseOf(ramped('b'), ramped('c'))).metrics[0]!;
    expect(same).toMatchObject({ verdict: 'pass', dependence: { detected: false } });
    expect(same.reason).toMatch(/both arms moved \+1\d\d(\.\d+)? % during the run/);
    const slower = judgeCase(caseOf(ramped('b'), ramped('c', 1.2))).metrics[0]!;
    expect(slower.verdict).toBe('fail');
    expect(slower.effect).toBeGreaterThan(0.1);
    expect(slower.effect).toBeLessThan(0.3);
  });
  test('opposite trends, or a trend of one arm alone, are not shared', () => {
    for (const baseline of [lognormal(N, 'b'), leak(lognormal(N, 'b'), 1.5, 0.6)])
      expect(judgeCase(caseOf(baseline, leak(lognormal(N, 'c'), 0.6, 1.5))).reason).not.toContain('both arms moved');
  });
  test('a trend that stays within the margin warns', () => {
    const margin = { relative: 0.9 };
    expect(judgeCase(caseOf(lognormal(N, 'b'), leak(lognormal(N, 'c'), 0.6, 1.5), { margin })).metrics[0]).toMatchObject({
      verdict: 'warn',
      reason: expect.stringContaining('gets worse during the run'),
    });
  });
  test('paired: the slope of the differences', () => {
    const result = judgeCase(
      caseOf(lognormal(N, 'b'), leak(lognormal(N, 'c'), 0.6, 1.5), {}, { design: 'paired', id: 'paired' }),
    );
    expect(result.reason).toContain('gets worse during the run');
  });
  test('the line of exact data, with and without an outlier', () => {
    const times = Float64Array.from({ length: 40 }, (_, i) => i / 39);
    const values = times.map((t, i) => 2 + 3 * t + (i % 2 === 0 ? 0.1 : -0.1));
    expect(robustTrend(values, times, 0.05)!.slope).toBeCloseTo(3, 1);
    values[39] = 1000;
    expect(Math.abs(robustTrend(values, times, 0.05)!.slope - 3)).toBeLessThan(0.2);
  });
});

describe('gaps and counters', () => {
  test('the two sides of a gap are not neighbours', () => {
    const values = [1, -1, 1, -1, 1, -1];
    // 0 1 2 . 4 5 6: lag 1 only within the halves.
    expect(gappedAutocovariances(values, [0, 1, 2, 4, 5, 6], 1)[1]).toBeCloseTo(-5 / 6, 12);
    expect(gappedAutocovariances(values, [0, 10, 20, 30, 40, 50], 1)[1]).toBe(0);
    expect(gappedAutocovariances(values, [0, 1, 2, 3, 4, 5], 1)[1]).toBeCloseTo(-5 / 6, 12);
  });
  test('a sampled series with every other point missing shows its dependence at lag 2, not at lag 1', () => {
    const whole = ar1(360, 0.9, 'gap');
    const other = ar1(360, 0.9, 'gap2');
    const keep = (_: number, i: number): boolean => i % 60 < 40;
    const times = whole.map((_, i) => i * 15).filter(keep);
    const gapped = judgeCase(caseOf(whole.filter(keep), other.filter(keep), { times })).metrics[0]!;
    expect(gapped.dependence!.detected).toBe(true);
    expect(gapped.dependence!.blockLength).toBeGreaterThan(4);
    expect(gapped.nEff[0]).toBeLessThan(gapped.n[0] / 4);
  });
  test('increments: resets count from zero, a missing sample leaves its intervals out', () => {
    expect(counterIncrements([5, 8, 8, 2, null, 4, 9])).toEqual([3, 0, 2, null, null, 5]);
  });
  test('a counter with a reset and a gap is judged by its increments', () => {
    const counter = (step: number): number[] => {
      let total = 1000;
      return Array.from({ length: 60 }, (_, i) => {
        total = i === 30 ? step : total + step;
        return total;
      });
    };
    const times = Array.from({ length: 60 }, (_, i) => (i < 45 ? i * 15 : i * 15 + 600));
    const extra = { kind: 'count', cumulative: true, times } as const;
    expect(judgeCase(caseOf(counter(20), counter(20), extra)).verdict).toBe('pass');
    const worse = judgeCase(caseOf(counter(20), counter(30), extra)).metrics[0]!;
    expect(worse.verdict).toBe('fail');
    expect(worse.effect).toBeCloseTo(0.5, 6);
    expect(worse.n).toEqual([58, 58]);
  });
  test('a counter cannot be paired', () => {
    const paired = caseOf([1, 2, 3], [1, 2, 3], { cumulative: true }, { design: 'paired' });
    expect(judgeCase(paired).verdict).toBe('error');
  });
});

describe('no data', () => {
  test.each([
    [undefined, 'inconclusive'],
    ['inconclusive', 'inconclusive'],
    ['fail', 'fail'],
  ] as const)('policy %s', (noData, verdict) => {
    expect(judgeCase(caseOf([1, 2, 3], [], noData === undefined ? {} : { noData })).verdict).toBe(verdict);
  });
  test('an ignored metric decides nothing, and alone it is no pass', () => {
    const empty = { name: 'gone', kind: 'count', direction: 'lower', baseline: [], candidate: [], noData: 'ignore' } as const;
    const one = caseOf(lognormal(60, 'b'), lognormal(60, 'b'));
    expect(judgeCase({ ...one, metrics: [...one.metrics, empty] }).verdict).toBe('pass');
    expect(judgeCase({ ...one, metrics: [empty] }).verdict).toBe('inconclusive');
  });
});

test('a metric that is blocked by dependence still says what it could have found', () => {
  const blocked = judgeCase(caseOf(ar1(60, 0.8, 'x'), ar1(60, 0.8, 'y'))).metrics[0]!;
  expect(blocked.verdict).toBe('inconclusive');
  expect(blocked.mde).toBeGreaterThan(0);
  expect(blocked.samplesNeeded).toBeGreaterThan(60);
});

test('repeated looks at a series too short to show dependence cannot stop', () => {
  const early = judgeCase(caseOf(lognormal(12, 'b'), lognormal(12, 'c', 400), {}, { looks: 20 }));
  expect(early.verdict).toBe('inconclusive');
});

test('20 looks at pairs that depend on time stop no more often than they may', () => {
  let stopped = 0;
  for (let run = 0; run < 100; run++) {
    const [baseline, candidate] = [ar1(60, 0.6, `looks/${run}/b`), ar1(60, 0.6, `looks/${run}/c`)];
    const fails = (look: number): boolean => {
      const [one, other] = [baseline.slice(0, 3 * look), candidate.slice(0, 3 * look)];
      return judgeCase(caseOf(one, other, {}, { design: 'paired', looks: 20, look })).verdict === 'fail';
    };
    if (Array.from({ length: 20 }, (_, i) => i + 1).some(fails)) stopped++;
  }
  // 19 % without the rules for repeated looks at pairs; three standard errors above 5 % are 11.5.
  expect(stopped).toBeLessThanOrEqual(11);
});

test('few pairs are judged before the horizon when the arms show no correlation in time', () => {
  const zigzag = Array.from({ length: 20 }, (_, i) => 100 + (i % 2 === 0 ? 1 : -1) * (1 + i / 20));
  const slower = zigzag.map((value, i) => value * (2 + 0.05 * Math.sin(i)));
  const paired = (values: number[], other: number[]) => judgeCase(caseOf(values, other, {}, { design: 'paired', looks: 20 }));
  expect(paired(zigzag, slower).verdict).toBe('fail');
  const sorted = [...zigzag].sort((a, b) => a - b);
  expect(
    paired(
      sorted,
      [...slower].sort((a, b) => a - b),
    ),
  ).toMatchObject({
    verdict: 'inconclusive',
    metrics: [{ reason: expect.stringContaining('too few to rule out that they depend on each other'), samplesNeeded: 30 }],
  });
});
