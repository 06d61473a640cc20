import { describe, expect, it } from 'vitest';
import { judgeCase } from '../../../src/canary/judge/judge.ts';
import type { CaseInput, MetricInput } from '../../../src/canary/judge/types.ts';
import { distributionCharts, forestCharts } from '../../../src/canary/metric-charts.ts';
import type { Chart, LineChart } from '../../../src/core/gate.ts';
import { normalQuantile } from '../../../src/stats/distributions.ts';
import { createRng } from '../../../src/stats/rng.ts';

/** Lognormal with sigma 0.2 in random order, times `factor`. */
function latencies(seed: number, n: number, factor = 1): number[] {
  const random = createRng(seed);
  return Array.from({ length: n }, () => factor * 100 * Math.exp(0.2 * random.normal()));
}

function metric(name: string, factor: number, n: number, more: Partial<MetricInput> = {}): MetricInput {
  return {
    name,
    kind: 'continuous',
    direction: 'lower',
    baseline: latencies(1, n),
    candidate: latencies(2, n, factor),
    ...more,
  };
}

function drawn(input: CaseInput): { charts: Chart[]; lines: LineChart[]; judged: ReturnType<typeof judgeCase> } {
  const judged = judgeCase(input);
  const charts = [...forestCharts(judged), ...distributionCharts(input, judged)];
  return { charts, judged, lines: charts.filter((chart) => chart.kind === 'line') };
}

const find = (lines: LineChart[], title: RegExp): LineChart => lines.find((chart) => title.test(chart.title))!;

describe('charts of a judged case', () => {
  it('the distributions end at 1, keep their ends and have at most 202 points of 20,000', () => {
    const small = drawn({ id: 'a', design: 'unpaired', metrics: [metric('ttft_ms', 1.5, 20_000)] });
    const ecdf = find(small.lines, /^Distribution/);
    for (const [index, values] of [latencies(1, 20_000), latencies(2, 20_000, 1.5)].entries()) {
      const { points } = ecdf.series[index]!;
      expect(points.length).toBeLessThanOrEqual(202);
      expect(points.at(-1)![1]).toBe(1);
      expect([points[0]![0], points.at(-1)![0]]).toEqual([
        Number(Math.min(...values).toPrecision(6)),
        Number(Math.max(...values).toPrecision(6)),
      ]);
    }
  });

  it('the quantile ratio of a candidate that is 1.5 times slower is 1.5 throughout, inside its band', () => {
    const { lines } = drawn({
      id: 'a',
      design: 'unpaired',
      metrics: [metric('ttft_ms', 1.5, 400, { candidate: latencies(1, 400, 1.5) })],
    });
    const chart = find(lines, /^Quantile ratio/);
    for (const [, ratio] of chart.series[0]!.points) expect(ratio).toBeCloseTo(1.5, 6);
    for (const [, low, high] of chart.band!.points) {
      expect(low).toBeLessThan(1.5);
      expect(high).toBeGreaterThan(1.5);
    }
    expect(chart.limits).toEqual([
      { name: 'no change', value: 1, quiet: true },
      { name: 'margin', value: 1.25 },
    ]);
  });

  it('the band of each quantile holds the true ratio in about 95 % of runs', () => {
    let [inside, all] = [0, 0];
    for (let run = 0; run < 100; run += 1) {
      const input: CaseInput = {
        id: 'a',
        design: 'unpaired',
        metrics: [metric('m', 1, 200, { baseline: latencies(1_000 + run, 200), candidate: latencies(5_000 + run, 200, 1.3) })],
      };
      for (const [q, low, high] of find(drawn(input).lines, /^Quantile ratio/).band!.points) {
        if (![0.1, 0.5, 0.9].includes(q)) continue;
        all += 1;
        if (low <= 1.3 && 1.3 <= high) inside += 1;
      }
    }
    expect(all).toBe(300);
    // 95 % of 300 with four standard errors (quantiles of one run go together a little).
    expect(inside / all).toBeGreaterThan(0.9);
  });

  it('values with zeros get differences, not ratios', () => {
    const zeros = Array.from({ length: 100 }, (_, i) => i % 10);
    const { lines } = drawn({
      id: 'a',
      design: 'unpaired',
      metrics: [metric('queue_ms', 1, 0, { margin: { absolute: 2 }, baseline: zeros, candidate: zeros.map((v) => v + 3) })],
    });
    const chart = find(lines, /^Quantile difference of the queue time/);
    for (const [, change] of chart.series[0]!.points) expect(change).toBeCloseTo(3, 6);
  });

  it.each([2, 10, 60])(
    'the statistic is beyond the boundary at the last of %i looks just where the judge is certain',
    (looks) => {
      for (const [seed, factor] of [
        [1, 1],
        [3, 1.05],
        [5, 1.2],
      ] as const) {
        const input: CaseInput = {
          id: 'a',
          design: 'unpaired',
          looks,
          metrics: [metric('ttft_ms', 1, 300, { baseline: latencies(seed, 300), candidate: latencies(seed + 1, 300, factor) })],
        };
        const { lines, judged } = drawn(input);
        const chart = find(lines, /^Sequential boundary/);
        const series = chart.series.find((one) => one.name === 'time to first token')!;
        const [look, statistic] = series.points.at(-1)!;
        const boundary = chart.limits?.[0]?.value ?? chart.series.find((one) => one.name === 'boundary')!.points.at(-1)![1];
        const { pValue, pAdjusted } = judged.metrics[0]!;
        expect(look).toBe(looks);
        expect(statistic).toBeCloseTo(Math.max(-2, Math.min(12, -normalQuantile(pValue!))), 3);
        expect(statistic >= boundary).toBe(pAdjusted! <= judged.alpha);
      }
    },
  );

  it('a run that knows which look this is draws the looks so far, and the boundary from the first that can stop', () => {
    const pairs = Array.from({ length: 30 }, (_, i) => 100 + (i % 2 === 0 ? 1 : -1) * (1 + i / 30));
    const noise = latencies(7, 30, 0.012);
    const one = metric('ttft_ms', 1, 30, { baseline: pairs, candidate: pairs.map((v, i) => v * noise[i]!) });
    const { lines, judged } = drawn({ id: 'a', design: 'paired', looks: 20, look: 10, metrics: [one] });
    const { series } = find(lines, /^Sequential boundary/);
    const boundary = series.find(({ name }) => name === 'boundary')!.points;
    expect(boundary.map(([look]) => look)).toEqual([6, 7, 8, 9, 10]);
    // Lower at the earlier looks, and nowhere above Pocock's for 20 looks.
    expect(boundary.map(([, z]) => z)).toEqual(boundary.map(([, z]) => z).sort((a, b) => a - b));
    expect(boundary.at(-1)![1]).toBeLessThan(2.392);
    const statistic = series.find(({ name }) => name !== 'boundary')!.points.at(-1)!;
    expect(statistic[0]).toBe(10);
    expect(statistic[1] >= boundary.at(-1)![1]).toBe(judged.metrics[0]!.pAdjusted! <= judged.alpha);
  });

  it('data judged once has no boundary; a series that came sorted has no looks to cut at', () => {
    const sorted = metric('m', 1.2, 200);
    const input = {
      id: 'a',
      design: 'unpaired',
      looks: 5,
      metrics: [
        { ...sorted, baseline: latencies(1, 200).sort((a, b) => a - b), candidate: latencies(2, 200).sort((a, b) => a - b) },
      ],
    } as const;
    expect(find(drawn(input).lines, /^Sequential/)).toBeUndefined();
    expect(find(drawn({ ...input, looks: 1, metrics: [sorted] }).lines, /^Sequential/)).toBeUndefined();
  });

  it('segments are rows of one forest plot with the margin; at most six metrics have their distributions drawn', () => {
    const metrics = Array.from({ length: 20 }, (_, i) => metric('ttft_ms', 1.6, 80, { segment: `s${i}` }));
    const { charts, lines } = drawn({ id: 'a', design: 'unpaired', metrics });
    const [forest] = charts;
    expect(forest).toMatchObject({ kind: 'forest', title: 'Segments: change of time to first token', margin: 25 });
    expect(forest?.kind === 'forest' && forest.rows.map((row) => row.label)).toEqual([
      ...metrics.map((one) => one.segment),
      'pooled, I² 0 %',
    ]);
    expect(lines.filter((chart) => chart.title.startsWith('Distribution'))).toHaveLength(6);
  });

  it('an arm without data or without variation has nothing to draw', () => {
    const { lines } = drawn({
      id: 'a',
      design: 'paired',
      metrics: [
        metric('kld', 1, 0, { baseline: [0, 0, 0, 0], candidate: [0.1, 0.2, 0.1, 0.3] }),
        metric('gone', 1, 0, { baseline: [], candidate: [] }),
      ],
    });
    expect(lines).toEqual([]);
  });
});
