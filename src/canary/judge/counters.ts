import type { MetricInput } from './types.ts';

/**
 * Increments of a counter that only grows, one for each pair of neighbouring samples. A value below the one before is a reset: the
 * counter began again at 0, so the increment is the new value (PromQL `increase`, without its extrapolation to the window's edges).
 * A missing sample makes the increment that would span it missing: it belongs to no single interval. One element shorter than the input.
 */
export function counterIncrements(values: ArrayLike<number | null>): (number | null)[] {
  const result: (number | null)[] = [];
  for (let i = 1; i < values.length; i++) {
    const [before, now] = [values[i - 1], values[i]];
    if (!isNumber(before) || !isNumber(now)) result.push(null);
    else result.push(now >= before ? now - before : now);
  }
  return result;
}

/** How much longer than usual an interval may be before the increment over it is left out. */
const LONG_INTERVAL = 1.5;

/** A cumulative metric as a metric of increments; samples are put in time order first, and increments over a gap are left out. */
export function countedIncrements(metric: MetricInput): MetricInput {
  const { baseline, candidate, times } = metric;
  const split = times !== undefined && times.length === baseline.length + candidate.length && candidate.length > 0;
  const b = increments(baseline, times === undefined ? undefined : Array.from(times).slice(0, baseline.length));
  const c = increments(
    candidate,
    times === undefined ? undefined : Array.from(times).slice(split ? baseline.length : 0, split ? undefined : candidate.length),
  );
  const { times: _, ...rest } = metric;
  return {
    ...rest,
    baseline: b.values,
    candidate: c.values,
    ...(b.times === undefined || c.times === undefined ? {} : { times: [...b.times, ...c.times] }),
  };
}

function increments(
  values: ArrayLike<number | null>,
  times: readonly number[] | undefined,
): { values: (number | null)[]; times?: number[] } {
  if (times === undefined) return { values: counterIncrements(values) };
  const order = times.map((_, i) => i).sort((i, j) => times[i]! - times[j]! || i - j);
  const steps = counterIncrements(order.map((i) => values[i]!));
  const at = order.map((i) => times[i]!);
  const spans = at.slice(1).map((time, i) => time - at[i]!);
  const usual = [...spans].sort((x, y) => x - y)[Math.floor((spans.length - 1) / 2)] ?? 0;
  return {
    values: steps.map((step, i) => (spans[i]! > LONG_INTERVAL * usual ? null : step)),
    times: at.slice(1),
  };
}

function isNumber(value: number | null | undefined): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}
