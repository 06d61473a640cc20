import { describe, expect, test } from 'vitest';
import { judgeRatios, pairedBenchmark } from '../../src/policy/bench.ts';
import { policy, side, testBench } from './support.ts';

const bench = await testBench();

describe('latency against base', () => {
  const around = (ratio: number, spread: number): number[] =>
    Array.from({ length: 20 }, (_, i) => Math.log(ratio) + spread * Math.sin(7 * i + 1));
  test.each([
    ['twice as slow', around(2, 0.1), 'slower'],
    ['the same', around(1, 0.1), 'within'],
    ['noise as large as the limit', around(1.5, 0.5), 'undecided'],
    ['one block hit by other load', [...around(1, 0.05).slice(1), Math.log(50)], 'within'],
    ['a single block', [Math.log(9)], 'undecided'],
  ])('%s', (_name, ratios, verdict) => {
    expect(judgeRatios(ratios, 1.5)).toBe(verdict);
  });
  test('a loop that does hundreds of times the work is slower', async () => {
    const [base, head] = [
      await side(bench, await policy('package p\n\ndecision := input.n > 0\n')),
      await side(
        bench,
        await policy('package p\n\ndecision := count([i | some i in numbers.range(1, 2000); i > input.n]) > 0\n'),
      ),
    ];
    const result = await pairedBenchmark(base, head, 'p/decision', ['{"n": 1}'], { rounds: 400, factor: 1.5 });
    expect([result.verdict, result.base.n, result.head.n]).toEqual(['slower', 400, 400]);
  });
});
