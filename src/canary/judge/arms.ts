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
  /** When each point was taken, ascending, on one scale for both arms; the order of arrival where no times were given. */
  readonly times: readonly [Float64Array, Float64Array];
  /** Place of each point on its arm's regular grid, where points are missing in between; undefined when there are no gaps. */
  readonly slots: readonly [Int32Array, Int32Array] | undefined;
}

/** A spacing this close to the median one belongs to a regular grid. */
const GRID_TOLERANCE = 0.2;

/** Share of spacings on the grid from which a series counts as sampled at regular intervals. */
const GRID_SHARE = 0.75;

/** Drops missing points (whole pairs in the paired design) and puts series in time order. */
export function prepareArms(metric: MetricInput, design: Design): Arms {
  const { baseline, candidate, times } = metric;
  const split = times !== undefined && times.length === baseline.length + candidate.length && candidate.length > 0;
  const offset = design === 'unpaired' && split ? baseline.length : 0;
  const orderB = timeOrder(baseline.length, times, 0);
  const orderC = design === 'paired' ? orderB : timeOrder(candidate.length, times, offset);
  const both = (i: number): boolean => isPresent(baseline[i]) && isPresent(candidate[i]);
  const b = present(baseline, orderB, times, 0, design === 'paired' ? both : undefined);
  const c = present(candidate, orderC, times, offset, design === 'paired' ? both : undefined);
  const ordered = design === 'paired' || times !== undefined || !(isMonotone(b.values) && isMonotone(c.values));
  const missing = [baseline.length - b.values.length, candidate.length - c.values.length] as const;
  const sizes = [baseline.length, candidate.length] as const;
  const slots = [slotsOf(b, times !== undefined), slotsOf(c, times !== undefined)] as const;
  return {
    baseline: Float64Array.from(b.values),
    candidate: Float64Array.from(c.values),
    missing,
    tooManyMissing: missing.some((count, arm) => count > MAX_MISSING * sizes[arm]!),
    ordered,
    times: [Float64Array.from(b.times), Float64Array.from(c.times)],
    slots: hasGaps(slots[0]) || hasGaps(slots[1]) ? slots : undefined,
  };
}

interface Present {
  readonly values: number[];
  /** Place in the order of arrival, missing points counted. */
  readonly places: number[];
  readonly times: number[];
}

/**
 * Places on the series' regular grid. Points that come at regular intervals (a scrape, a bucket) have a hole where one is missing; points
 * that come when they come (requests) are neighbours whatever the time between them.
 */
function slotsOf(series: Present, timed: boolean): Int32Array {
  const { places, times } = series;
  const byOrder = Int32Array.from(places);
  if (!timed || times.length < 3) return byOrder;
  const spacings = Float64Array.from(times.slice(1), (time, i) => time - times[i]!);
  const step = Float64Array.from(spacings).sort()[Math.floor((spacings.length - 1) / 2)]!;
  const onGrid = spacings.filter((spacing) => Math.abs(spacing - step) <= GRID_TOLERANCE * step).length;
  if (!(step > 0) || onGrid < GRID_SHARE * spacings.length) return byOrder;
  const slots = new Int32Array(times.length);
  for (let i = 1; i < slots.length; i++)
    slots[i] = Math.min(2 ** 30, slots[i - 1]! + Math.max(1, Math.min(2 ** 20, Math.round(spacings[i - 1]! / step))));
  return slots;
}

function hasGaps(slots: Int32Array): boolean {
  return slots.length > 0 && slots[slots.length - 1]! - slots[0]! !== slots.length - 1;
}

function isPresent(value: number | null | undefined): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function present(
  values: ArrayLike<number | null>,
  order: ArrayLike<number>,
  times: ArrayLike<number> | undefined,
  offset: number,
  keep?: (index: number) => boolean,
): Present {
  const kept: Present = { values: [], places: [], times: [] };
  for (let i = 0; i < order.length; i++) {
    const index = order[i]!;
    const value = values[index];
    if (!isPresent(value) || keep?.(index) === false) continue;
    kept.values.push(value);
    kept.places.push(i);
    kept.times.push(times === undefined ? i / Math.max(1, order.length - 1) : times[offset + index]!);
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
