import { describe, expect, test } from 'vitest';
import { errorShares } from '../../../src/canary/judge/defaults.ts';
import { judgeCase } from '../../../src/canary/judge/judge.ts';
import type { CaseInput } from '../../../src/canary/judge/types.ts';
import { fisherExact } from '../../../src/stats/fisher.ts';
import { ar1, bernoulli, caseOf, lognormal } from './cases.ts';

const A = lognormal(180, 'a');
const B = lognormal(180, 'b');
const times = (values: number[], factor: number): number[] => values.map((v) => v * factor);
const repeat = (n: number, value: number): number[] => new Array<number>(n).fill(value);
const outages = (n: number, bad: number): number[] =>
  Array.from({ length: n }, (_, i) => (i < bad ? 1 : 0)).sort((x, y) => Math.sin(x) - Math.sin(y));

describe('verdicts', () => {
  const table: [string, CaseInput, string][] = [
    ['same distribution, 180 points', caseOf(A, B), 'pass'],
    ['+30 %', caseOf(A, times(B, 1.3)), 'fail'],
    ['-30 % where lower is better', caseOf(A, times(B, 0.7)), 'pass'],
    ['-30 % where higher is better', caseOf(A, times(B, 0.7), { direction: 'higher' }), 'fail'],
    ['+30 % where higher is better', caseOf(A, times(B, 1.3), { direction: 'higher' }), 'pass'],
    ['+30 % where any change is bad', caseOf(A, times(B, 1.3), { direction: 'either' }), 'fail'],
    ['-30 % where any change is bad', caseOf(A, times(B, 0.7), { direction: 'either' }), 'fail'],
    [
      '+1 % of a very steady metric is certain but trivial',
      caseOf(
        A.map((v) => 100 + v / 1e4),
        B.map((v) => 101 + v / 1e4),
      ),
      'pass',
    ],
    ['+30 % with a margin of 50 %', caseOf(A, times(B, 1.3), { margin: { relative: 0.5 } }), 'pass'],
    ['A/A with a margin too tight for the data', caseOf(A, B, { margin: { relative: 0.001 } }), 'inconclusive'],
    [
      'absolute margin of 10 ms against +30 ms',
      caseOf(
        A,
        B.map((v) => v + 30),
        { margin: { absolute: 10 } },
      ),
      'fail',
    ],
    [
      'absolute margin of 60 ms against +30 ms',
      caseOf(
        A,
        B.map((v) => v + 30),
        { margin: { absolute: 60 } },
      ),
      'pass',
    ],
    [
      '5 % of points x3',
      caseOf(
        A,
        B.map((v, i) => (i % 18 === 0 ? 3 * v : v)),
      ),
      'fail',
    ],
    [
      'spread twice as wide fails through the tail',
      caseOf(
        A,
        B.map((v) => 100 * (v / 100) ** 2),
      ),
      'fail',
    ],
    [
      'sums and differences: negative values +1 sd',
      caseOf(
        A.map((v) => v - 100),
        B.map((v) => v - 70),
      ),
      'fail',
    ],
    [
      'negative values, no change, 180 points',
      caseOf(
        A.map((v) => v - 100),
        B.map((v) => v - 100),
      ),
      'pass',
    ],
    ['empty candidate', caseOf(A, []), 'inconclusive'],
    ['empty baseline', caseOf([], B), 'inconclusive'],
    ['both empty', caseOf([], []), 'inconclusive'],
    [
      'all missing',
      caseOf(
        A,
        B.map(() => null),
      ),
      'inconclusive',
    ],
    [
      'a third missing never passes',
      caseOf(
        A,
        B.map((v, i) => (i % 3 === 0 ? null : v)),
      ),
      'inconclusive',
    ],
    [
      'a third missing may still fail',
      caseOf(
        A,
        B.map((v, i) => (i % 3 === 0 ? null : 2 * v)),
      ),
      'fail',
    ],
    [
      'a twentieth missing passes',
      caseOf(
        A,
        B.map((v, i) => (i % 20 === 0 ? null : v)),
      ),
      'pass',
    ],
    ['four points an arm say nothing', caseOf([1, 2, 3, 4], [11, 12, 13, 14]), 'inconclusive'],
    ['five clearly worse points suffice', caseOf([1, 2, 3, 4, 5], [11, 12, 13, 14, 15]), 'fail'],
    ['constant and equal', caseOf(repeat(30, 7), repeat(30, 7)), 'pass'],
    ['constant and +10 %', caseOf(repeat(30, 10), repeat(30, 11)), 'fail'],
    ['constant and -10 %', caseOf(repeat(30, 10), repeat(30, 9)), 'pass'],
    ['all zero', caseOf(repeat(30, 0), repeat(30, 0)), 'pass'],
    ['zero before, positive now', caseOf(repeat(30, 0), repeat(30, 1)), 'fail'],
    ['unequal sizes, +40 %', caseOf(A, times(B, 1.4).slice(0, 30)), 'fail'],
    ['strong dependence in 60 points', caseOf(ar1(60, 0.95, 'p'), ar1(60, 0.95, 'q')), 'inconclusive'],
    ['no metrics', { id: 't', design: 'paired', metrics: [] }, 'inconclusive'],
    [
      'paired: +4 % within pairs of wide spread',
      caseOf(
        A,
        A.map((v, i) => v * 1.04 * (1 + 0.02 * Math.sin(i))),
        {},
        { design: 'paired' },
      ),
      'fail',
    ],
    [
      'paired: no change',
      caseOf(
        A,
        A.map((v, i) => v * (1 + 0.05 * Math.sin(i * i))),
        {},
        { design: 'paired' },
      ),
      'pass',
    ],
    ['paired: identical', caseOf(A, A, {}, { design: 'paired' }), 'pass'],
    ['errors 1 % to 2 % of 6000', caseOf(bernoulli(6000, 0.01, 'x'), bernoulli(6000, 0.02, 'y'), { kind: 'binary' }), 'fail'],
    ['errors 1 % on both sides', caseOf(bernoulli(6000, 0.01, 'x'), bernoulli(6000, 0.01, 'z'), { kind: 'binary' }), 'pass'],
    ['no errors in 60 on both sides', caseOf(repeat(60, 0), repeat(60, 0), { kind: 'binary' }), 'pass'],
    ['no errors in 20 is too little', caseOf(repeat(20, 0), repeat(20, 0), { kind: 'binary' }), 'inconclusive'],
    [
      'answers right 95 % to 80 % (higher is better)',
      caseOf(bernoulli(400, 0.95, 'g'), bernoulli(400, 0.8, 'h'), { kind: 'binary', direction: 'higher' }),
      'fail',
    ],
    [
      'paired outcomes: 12 get worse, 1 better',
      caseOf(
        [...repeat(12, 0), 1, ...repeat(87, 0)],
        [...repeat(12, 1), 0, ...repeat(87, 0)],
        { kind: 'binary' },
        { design: 'paired' },
      ),
      'fail',
    ],
    ['counts double', caseOf(repeat(60, 2), repeat(60, 4), { kind: 'count' }), 'fail'],
    ['single totals of counts: 100 against 160', caseOf([100], [160], { kind: 'count' }), 'fail'],
    ['no events in 120 intervals', caseOf(repeat(120, 0), repeat(120, 0), { kind: 'count' }), 'pass'],
    ['counts 3 against 4 decide nothing', caseOf(outages(20, 3), outages(20, 4), { kind: 'count' }), 'inconclusive'],
    [
      'relative margin on a baseline without errors',
      caseOf(repeat(60, 0), repeat(60, 0), { kind: 'binary', margin: { relative: 0.1 } }),
      'inconclusive',
    ],
    [
      'relative margin on negative values',
      caseOf(
        A.map((v) => v - 100),
        B.map((v) => v - 100),
        { margin: { relative: 0.1 } },
      ),
      'inconclusive',
    ],
  ];
  test.each(table)('%s', (_, input, verdict) => {
    const result = judgeCase(input);
    expect(`${result.verdict}: ${result.reason}`).toMatch(new RegExp(`^${verdict}: .`));
  });
});

describe('what a result says', () => {
  test('a fail carries effect, interval, margins, method and sizes', () => {
    const metric = judgeCase(caseOf(A, times(B, 1.3))).metrics[0]!;
    expect(metric.effectUnit).toBe('relative');
    expect(metric.effect).toBeGreaterThan(0.2);
    expect(metric.interval[0]).toBeGreaterThan(0.1);
    expect(metric.interval[1]).toBeGreaterThan(metric.effect!);
    expect(metric.pAdjusted).toBeLessThan(0.05);
    expect(metric.mde).toBeGreaterThan(0.02);
    expect(metric).toMatchObject({
      name: 'latency',
      verdict: 'fail',
      margin: 0.25,
      relevance: 0.02,
      n: [180, 180],
      method: 'Mann-Whitney, Hodges-Lehmann',
    });
    expect(metric.reason).toMatch(/^worse by \+\d+\.\d % \[/);
  });
  test('inconclusive says how many samples would decide, and that many do', () => {
    const metric = judgeCase(caseOf(A.slice(0, 15), B.slice(0, 15), { margin: { relative: 0.15 } })).metrics[0]!;
    expect(metric.verdict).toBe('inconclusive');
    expect(metric.samplesNeeded).toBeGreaterThan(15);
    let decided = 0;
    for (let i = 0; i < 20; i++) {
      const n = metric.samplesNeeded!;
      if (
        judgeCase(caseOf(lognormal(n, `s${i}`), lognormal(n, `t${i}`), { margin: { relative: 0.15 } })).verdict !== 'inconclusive'
      )
        decided++;
    }
    expect(decided).toBeGreaterThanOrEqual(10);
  });
  test('a tail regression names the quantile', () => {
    const result = judgeCase(
      caseOf(
        A,
        B.map((v, i) => (i % 15 === 0 ? 4 * v : v)),
      ),
    );
    expect(result.reason).toMatch(/^latency: tail is worse: p9[59] \+/);
    expect(result.metrics[0]!.subTests!.map((s) => s.name)).toEqual(['location', 'tail', 'spread', 'trend']);
  });
  test('a fifth of 60 requests stalls: the 90th percentile is itself a stall, and the tail is seen', () => {
    const [b, c] = [lognormal(60, 'stall/b'), lognormal(60, 'stall/c')];
    const stalled = c.map((v, i) => (i % 5 === 0 ? v + 4000 : v));
    const input = caseOf(b, stalled, { margin: { relative: 0.5 } }, { design: 'paired' });
    expect(judgeCase(input)).toMatchObject({
      verdict: 'fail',
      metrics: [{ reason: expect.stringMatching(/^tail is worse: p9[59]/) }],
    });
  });

  test('few tail points take nothing from the centre: no arrangement of seven in pairs could be certain', () => {
    expect(errorShares(60, 'paired', 2 ** -7).location).toBe(0.98);
    expect(errorShares(60, 'paired', 2 ** -8).tail).toBe(0.5);
  });

  test('a queue that is mostly empty: waits that grew are seen among the zeros, and a share of waits too', () => {
    const waits = (seed: string, every: number, factor: number): number[] =>
      lognormal(120, seed).map((v, i) => (i % 10 < every ? factor * v : 0));
    const longer = judgeCase(caseOf(waits('wait/b', 3, 1), waits('wait/c', 3, 1.6)));
    expect(longer.reason).toMatch(/^latency: worse (where it is not zero: \+|by \+)/);
    expect(longer.metrics[0]!.subTests!.find((one) => one.name === 'nonzero')).toMatchObject({ effect: expect.closeTo(0.6, 0) });
    expect(judgeCase(caseOf(waits('wait/b', 3, 1), waits('wait/c', 3, 0.6))).verdict).not.toBe('fail');
    expect(judgeCase(caseOf(waits('wait/b', 3, 1), waits('wait/c', 7, 1))).verdict).toBe('fail');
    const pairs = judgeCase(caseOf(waits('wait/b', 3, 1), waits('wait/c', 3, 1.6), {}, { design: 'paired' }));
    expect(pairs.verdict).toBe('fail');
  });

  test('scores of few values: pairs by the exact sign-flip distribution, series by Fisher', () => {
    // 8 of 60 prompts got worse and none better: 2^-8, whatever t says; the other 52 are equal.
    const ones = repeat(60, 1);
    const worse = ones.map((v, i) => (i % 8 === 3 ? 0 : v));
    const paired = judgeCase(caseOf(ones, worse, { direction: 'higher' }, { design: 'paired' })).metrics[0]!;
    expect(worse.filter((v) => v === 0)).toHaveLength(8);
    expect(paired.subTests![0]!.pValue).toBeCloseTo(2 ** -8, 12);
    expect(paired.method).toBe('paired sign flips (exact)');
    const series = judgeCase(caseOf(ones, worse, { direction: 'higher' })).metrics[0]!;
    expect(series.subTests![0]!.pValue).toBeCloseTo(fisherExact(8, 52, 0, 60, 'greater'), 12);
  });

  test('dependent series report fewer effective points', () => {
    const metric = judgeCase(caseOf(ar1(300, 0.6, 'm'), ar1(300, 0.6, 'n'))).metrics[0]!;
    expect(metric.nEff[0]).toBeLessThan(150);
    expect(metric.method).toMatch(/n\/nEff \d/);
  });
  test('one bad segment is not hidden by seven good ones', () => {
    const segments = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const metrics = segments.map((segment) => ({
      name: 'nll',
      segment,
      kind: 'continuous' as const,
      direction: 'lower' as const,
      baseline: lognormal(120, `b${segment}`),
      candidate: times(lognormal(120, `c${segment}`), segment === 'e' ? 1.4 : 1),
    }));
    const result = judgeCase({ id: 's', design: 'unpaired', metrics });
    expect(result.verdict).toBe('fail');
    expect(result.reason).toMatch(/^nll \(e\): worse/);
    expect(result.metrics.filter((m) => m.verdict === 'fail').map((m) => m.segment)).toEqual(['e']);
    expect(result.family).toEqual({ method: 'holm', size: 9, over: 'metrics x segments, and each metric over its segments' });
  });
  test('spread alone warns', () => {
    const steady = lognormal(60, 'steady');
    const wide = lognormal(60, 'wide').map((v) => 100 * (v / 100) ** 1.7);
    expect(judgeCase(caseOf(steady, wide, { direction: 'lower' })).verdict).toMatch(/warn|fail/);
  });
  test('more looks ask for stronger evidence', () => {
    const input = caseOf(A.slice(0, 60), times(B, 1.12).slice(0, 60));
    const once = judgeCase(input).metrics[0]!;
    const often = judgeCase({ ...input, looks: 20 }).metrics[0]!;
    const always = judgeCase({ ...input, looks: 1000 }).metrics[0]!;
    expect(once.pAdjusted!).toBeLessThan(often.pAdjusted!);
    expect(often.pAdjusted!).toBeLessThan(always.pAdjusted!);
    expect(once.interval[0]!).toBeGreaterThan(often.interval[0]!);
  });
});

describe('bad input is collected, never thrown', () => {
  const good = { name: 'm', kind: 'continuous', direction: 'lower', baseline: [1, 2, 3], candidate: [1, 2, 3] };
  const one = (metric: unknown, rest: object = {}): unknown => ({ id: 'x', design: 'unpaired', metrics: [metric], ...rest });
  test.each<[string, unknown, string]>([
    ['not an object', 7, 'a case must be a JSON object'],
    ['null', null, 'a case must be a JSON object'],
    ['no id', { design: 'paired', metrics: [] }, 'id: expected a non-empty text'],
    ['unknown design', { id: 'x', design: 'cross-over', metrics: [] }, 'design: expected paired or unpaired'],
    ['metrics missing', { id: 'x', design: 'paired' }, 'metrics: expected a list'],
    ['alpha out of range', one(good, { alpha: 2 }), 'alpha: expected a number between 0 and 0.5, got 2'],
    ['looks of zero', one(good, { looks: 0 }), 'looks: expected a whole number'],
    ['look without looks', one(good, { look: 2 }), 'look: expected a whole number from 1 to looks'],
    ['a look past the last', one(good, { looks: 3, look: 4 }), 'look: expected a whole number from 1 to looks'],
    ['unknown key', one({ ...good, colour: 'red' }), 'unknown key "colour" (known: name, segment'],
    ['unknown kind', one({ ...good, kind: 'histogram' }), 'kind: expected one of continuous, count, binary'],
    ['unknown direction', one({ ...good, direction: 'up' }), 'direction: expected one of lower, higher, either'],
    [
      'text among numbers',
      one({ ...good, baseline: [1, 'two', 3] }),
      'metrics[0].baseline[1]: expected a finite number or null, got "two"',
    ],
    [
      'infinite value',
      one({ ...good, candidate: [1, Number.POSITIVE_INFINITY] }),
      'metrics[0].candidate[1]: expected a finite number',
    ],
    ['binary with a 2', one({ ...good, kind: 'binary', baseline: [0, 2] }), 'expected 0 or 1, got 2'],
    ['negative count', one({ ...good, kind: 'count', baseline: [-1] }), 'expected a whole number of at least 0, got -1'],
    [
      'paired of unequal length',
      one({ ...good, baseline: [1] }, { design: 'paired' }),
      'paired arms must be equally long, got 1 and 3',
    ],
    ['two margins', one({ ...good, margin: { relative: 1, absolute: 1 } }), 'expected exactly one of relative and absolute'],
    ['negative margin', one({ ...good, margin: { relative: -1 } }), 'margin.relative: expected a number of at least 0'],
    ['times of the wrong length', one({ ...good, times: [1, 2] }), 'times: expected one time per point'],
    ['same metric twice', { id: 'x', design: 'unpaired', metrics: [good, good] }, '"m" appears twice'],
  ])('%s', (_, input, message) => {
    const result = judgeCase(input as CaseInput);
    expect(result.verdict).toBe('error');
    expect(result.reason).toContain(message);
    expect(result.metrics).toEqual([]);
  });
  test('every problem is named', () => {
    const { reason } = judgeCase({ id: '', design: 'no', metrics: [{ ...good, kind: 1 }] } as unknown as CaseInput);
    expect(reason).toMatch(/id: .*design: .*metrics\[0\]\.kind: /);
  });
});
