// How two series become arms: what is missing, what comes first, and where gaps are.
import { describe, expect, it } from 'vitest';
import { type Arms, prepareArms } from '../../../src/canary/judge/arms.ts';
import type { MetricInput } from '../../../src/canary/judge/types.ts';

const arms = (baseline: (number | null)[], candidate: (number | null)[], design: 'paired' | 'unpaired', times?: number[]): Arms =>
  prepareArms(
    { name: 'm', direction: 'lower', baseline, candidate, ...(times === undefined ? {} : { times }) } as unknown as MetricInput,
    design,
  );
const shown = ({ baseline, candidate, missing, times }: Arms) => ({
  baseline: [...baseline],
  candidate: [...candidate],
  missing,
  times: times.map((each) => [...each]),
});

describe('missing points', () => {
  it('go alone, and with their partner from pairs', () => {
    const [b, c] = [
      [1, null, 3, 4],
      [5, 6, Number.NaN, 8],
    ];
    expect(shown(arms(b!, c!, 'unpaired'))).toEqual({
      baseline: [1, 3, 4],
      candidate: [5, 6, 8],
      missing: [1, 1],
      times: [
        [0, 2 / 3, 1],
        [0, 1 / 3, 1],
      ],
    });
    expect(shown(arms(b!, c!, 'paired'))).toEqual({
      baseline: [1, 4],
      candidate: [5, 8],
      missing: [2, 2],
      times: [
        [0, 1],
        [0, 1],
      ],
    });
    expect(shown(arms([Number.POSITIVE_INFINITY, 1], [1, 2], 'unpaired')).baseline).toEqual([1]);
  });
  it('are too many beyond a fifth of an arm', () => {
    const holes = (count: number): (number | null)[] => Array.from({ length: 10 }, (_, index) => (index < count ? null : index));
    const whole = holes(0);
    expect([2, 3].map((count) => arms(holes(count), whole, 'unpaired').tooManyMissing)).toEqual([false, true]);
    expect([2, 3].map((count) => arms(whole, holes(count), 'unpaired').tooManyMissing)).toEqual([false, true]);
  });
});

describe('order', () => {
  it('is that of time, equal times as they came', () => {
    expect(shown(arms([1, 2, 3], [4, 5, 6], 'paired', [30, 10, 20]))).toMatchObject({
      baseline: [2, 3, 1],
      candidate: [5, 6, 4],
      times: [
        [10, 20, 30],
        [10, 20, 30],
      ],
    });
    expect(shown(arms([1, 2, 3], [4, 5], 'unpaired', [3, 1, 2, 9, 8]))).toMatchObject({
      baseline: [2, 3, 1],
      candidate: [5, 4],
      times: [
        [1, 2, 3],
        [8, 9],
      ],
    });
    expect(shown(arms([1, 2, 3], [4, 5, 6], 'unpaired', [2, 1, 1]))).toMatchObject({ baseline: [2, 3, 1], candidate: [5, 6, 4] });
  });
  it('means nothing where values come sorted and without times', () => {
    const [up, down, mixed] = [
      [1, 2, 2, 3],
      [3, 2, 2, 1],
      [1, 3, 2, 4],
    ];
    expect(arms(up!, down!, 'unpaired').ordered).toBe(false);
    expect(arms(up!, mixed!, 'unpaired').ordered).toBe(true);
    expect(arms(mixed!, up!, 'unpaired').ordered).toBe(true);
    expect(arms(up!, up!, 'paired').ordered).toBe(true);
    expect(arms(up!, up!, 'unpaired', [1, 2, 3, 4]).ordered).toBe(true);
  });
});

describe('places on a grid', () => {
  const slots = (times: number[] | undefined, values: (number | null)[]): number[][] | undefined =>
    arms(values, values, 'paired', times).slots?.map((each) => [...each]);
  const values = [1, 5, 2, 4, 3, 9];
  it.each<[string, number[] | undefined, (number | null)[], number[] | undefined]>([
    ['without gaps there is no need for them', [0, 10, 20, 30, 40, 50], values, undefined],
    ['a scrape that failed leaves its place', [0, 10, 20, 50, 60, 70], values, [0, 1, 2, 5, 6, 7]],
    ['a little late is no gap', [0, 11, 20, 29, 40, 51], values, undefined],
    ['requests have neighbours whatever the time between them', [0, 1, 40, 42, 90, 91], values, undefined],
    ['a point without a value leaves its place', undefined, [1, 5, null, 4, 3, 9], [0, 1, 3, 4, 5]],
    ['a point without a value leaves its place in time', [0, 10, 20, 30, 40, 50], [1, 5, null, 4, 3, 9], [0, 1, 3, 4, 5]],
    ['two times are no grid', [0, 30], [1, 2], undefined],
    ['equal times have no step', [5, 5, 5, 5, 5, 5], values, undefined],
  ])('%s', (_title, times, list, expected) =>
    expect(slots(times, list)).toEqual(expected === undefined ? undefined : [expected, expected]),
  );
});
