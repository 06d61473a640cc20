import { describe, expect, test } from 'vitest';
import { judgeCase } from '../../../src/canary/judge/judge.ts';
import type { CaseInput, MetricInput } from '../../../src/canary/judge/types.ts';
import { judgeKayenta } from '../../../src/canary/serve/kayenta.ts';
import { bernoulli, lognormal } from './cases.ts';

/** One latency in several clusters, each at its own level, with its own change. */
function clusters(factors: readonly number[], n = 60, more: Partial<MetricInput> = {}, unit = 1): CaseInput {
  return {
    id: 'clusters',
    design: 'unpaired',
    metrics: factors.map((factor, i) => ({
      name: 'latency',
      segment: `cluster-${i}`,
      kind: 'continuous',
      direction: 'lower',
      baseline: lognormal(n, `pool/b/${i}`, 100 * (i + 1) * unit),
      candidate: lognormal(n, `pool/c/${i}`, 100 * (i + 1) * factor * unit),
      ...more,
    })),
  };
}

describe('one metric over its clusters', () => {
  test('a change too small for each cluster is certain over all of them', () => {
    const result = judgeCase(clusters(Array<number>(8).fill(1.05), 60, { margin: { relative: 0.05 } }));
    expect(result.metrics.every((metric) => metric.verdict !== 'fail')).toBe(true);
    expect(result).toMatchObject({ verdict: 'fail', family: { size: 9 } });
    expect(result.reason).toMatch(/^latency \(all segments\): worse by \+\d+\.\d % \[.*\] over 8 segments, beyond \+5\.0 %/);
    const [pooled] = result.pooled!;
    expect(pooled!.segments.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12);
    expect(pooled!.heterogeneity).toMatchObject({ df: 7, iSquared: expect.any(Number) });
  });

  test('one bad cluster fails by itself, and the others do not hide it: they differ', () => {
    const result = judgeCase(clusters([1, 1, 1.6, 1, 1]));
    expect(result.metrics.map((metric) => metric.verdict)).toEqual(['pass', 'pass', 'fail', 'pass', 'pass']);
    const [pooled] = result.pooled!;
    expect(pooled!.heterogeneity.pValue).toBeLessThan(0.001);
    expect(pooled!.heterogeneity.iSquared).toBeGreaterThan(0.75);
    expect(pooled!.reason).toMatch(/segments differ: I² \d+ %, Q \d+\.\d at 4 degrees of freedom/);
    expect(pooled!.verdict).not.toBe('pass');
    // Clusters that differ leave their mean less certain than a common effect would be.
    const width = ([low, high]: readonly [number, number]): number => high - low;
    expect(width(pooled!.random.interval)).toBeGreaterThan(width(pooled!.interval));
  });

  test('clusters that are all well pass together', () => {
    expect(judgeCase(clusters([1, 1, 1, 1], 120))).toMatchObject({ verdict: 'pass', pooled: [{ verdict: 'pass' }] });
  });

  test('where everything is judged as a whole, the pool asks only whether the segments agree', () => {
    const { metrics, ...rest } = clusters([1, 1.6, 1]);
    const whole = { ...metrics[0]!, baseline: lognormal(180, 'w/b'), candidate: lognormal(180, 'w/c') };
    const { segment: _, ...overall } = whole;
    const result = judgeCase({ ...rest, metrics: [overall, ...metrics] });
    expect(result.family.size).toBe(4);
    expect(result.pooled).toHaveLength(1);
    expect(result.pooled![0]).not.toHaveProperty('verdict');
    expect(result.pooled![0]!.reason).toMatch(/^segments differ/);
  });

  test('rates, and nothing to pool', () => {
    const rates = (p: number): CaseInput =>
      clusters([1, 1, 1], 400, { kind: 'binary', baseline: bernoulli(400, 0.01, 'e/b'), candidate: bernoulli(400, p, 'e/c') });
    expect(judgeCase(rates(0.06)).pooled![0]).toMatchObject({ verdict: 'fail', effectUnit: 'absolute' });
    expect(judgeCase(clusters([1])).pooled).toBeUndefined();
    const overlapping = clusters([1, 1]);
    const named = overlapping.metrics.map((metric, i) => ({ ...metric, segment: `language=${i}` }));
    expect(judgeCase({ ...overlapping, metrics: named }).pooled).toBeUndefined();
  });

  test('Kayenta hears of it: no pair is High, and the canary fails', () => {
    const { metrics } = clusters(Array<number>(8).fill(1.05));
    const answer = judgeKayenta({
      canaryConfig: {
        metrics: [
          {
            name: 'latency',
            groups: ['speed'],
            analysisConfigurations: { canary: { direction: 'increase', effectSize: { allowedIncrease: 1.05 } } },
          },
        ],
      },
      scoreThresholds: { pass: 95, marginal: 75 },
      metricSetPairList: metrics.map(({ baseline, candidate }, i) => ({
        name: 'latency',
        id: `pair-${i}`,
        tags: {},
        values: { control: baseline, experiment: candidate },
      })),
    });
    expect(answer.results.some(({ classification }) => classification === 'High')).toBe(false);
    expect(answer.score).toMatchObject({
      classification: 'Fail',
      classificationReason: expect.stringMatching(/^latency over all segments: worse by \+/),
    });
  });

  test('neither the unit nor the order of the clusters matters', () => {
    const base = judgeCase(clusters([1.1, 1.3, 1.05])).pooled![0]!;
    for (const unit of [1e-9, 1e9]) {
      const scaled = judgeCase(clusters([1.1, 1.3, 1.05], 60, {}, unit)).pooled![0]!;
      expect(scaled.verdict).toBe(base.verdict);
      expect(scaled.effect).toBeCloseTo(base.effect, 9);
      expect(scaled.heterogeneity.q).toBeCloseTo(base.heterogeneity.q, 6);
    }
    const input = clusters([1.1, 1.3, 1.05]);
    const turned = judgeCase({ ...input, metrics: [...input.metrics].reverse() }).pooled![0]!;
    expect(turned.effect).toBeCloseTo(base.effect, 12);
    expect(turned.pValue!).toBeCloseTo(base.pValue!, 12);
  });
});
