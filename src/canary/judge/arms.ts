import { MAX_MISSING } from './defaults.ts';
import type { Design, MetricInput } from './types.ts';

/** Both arms with missing points removed, in order of time. */
export interface Arms {
  readonly baseline: Float64Array;
  readonly candidate: Float64Array;
  readonly missing: readonly [number, number];
  /** So many points are missing that a pass would be a guess. */
  readonly tooManyMissing: boolean;
  /** The order of arrival is meaningful (false for arrays that come sorted by value and without times). */
  readonly ordered: boolean;
}

/** Drops missing points (whole pairs in the paired design) and puts series in time order. */
export function prepareArms(metric: MetricInput, design: Design): Arms {
  const { baseline, candidate, times } = metric;
  if (design === 'paired') {
    const order = timeOrder(baseline.length, times, 0);
    const b: number[] = [];
    const c: number[] = [];
    for (const i of order) {
      const x = baseline[i];
      const y = candidate[i];
      if (isPresent(x) && isPresent(y)) {
        b.push(x);
        c.push(y);
      }
    }
    const missing = baseline.length - b.length;
    return finish(b, c, [missing, missing], [baseline.length, candidate.length], true);
  }
  const b = present(baseline, timeOrder(baseline.length, times, 0));
  const offset =
    times !== undefined && times.length === baseline.length + candidate.length && candidate.length > 0 ? baseline.length : 0;
  const c = present(candidate, timeOrder(candidate.length, times, offset));
  const ordered = times !== undefined || !(isMonotone(b) && isMonotone(c));
  return finish(b, c, [baseline.length - b.length, candidate.length - c.length], [baseline.length, candidate.length], ordered);
}

function finish(b: number[], c: number[], missing: [number, number], sizes: [number, number], ordered: boolean): Arms {
  const tooManyMissing = missing.some((count, arm) => count > MAX_MISSING * sizes[arm]!);
  return { baseline: Float64Array.from(b), candidate: Float64Array.from(c), missing, tooManyMissing, ordered };
}

function isPresent(value: number | null | undefined): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function present(values: ArrayLike<number | null>, order: ArrayLike<number>): number[] {
  const kept: number[] = [];
  for (let i = 0; i < order.length; i++) {
    const value = values[order[i]!];
    if (isPresent(value)) kept.push(value);
  }
  return kept;
}

function timeOrder(n: number, times: ArrayLike<number> | undefined, offset: number): Uint32Array {
  const order = new Uint32Array(n);
  let sorted = true;
  for (let i = 0; i < n; i++) {
    order[i] = i;
    if (times !== undefined && i > 0 && times[offset + i]! < times[offset + i - 1]!) sorted = false;
  }
  if (times === undefined || sorted) return order;
  return order.sort((i, j) => times[offset + i]! - times[offset + j]! || i - j);
}

function isMonotone(values: readonly number[]): boolean {
  let up = true;
  let down = true;
  for (let i = 1; i < values.length; i++) {
    if (values[i]! < values[i - 1]!) up = false;
    if (values[i]! > values[i - 1]!) down = false;
  }
  return up || down;
}
