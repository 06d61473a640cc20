import { MINUTE } from './duration.ts';
import { type Counted, type Counts, countsFrom, type EventOptions, eventQueries, overWindow, withMatch } from './events.ts';
import { isAbove, type Objective } from './model.ts';
import { type Expr, type Selector, selectorsOf } from './promql-expr.ts';
import { formatPromql } from './promql-format.ts';
import { type MetricSource, singleValue } from './source.ts';

/** Good, bad and total events of an objective over the window that ends at `at` (ms), by its budgeting method. */
export async function measureWindow(
  objective: Objective,
  source: MetricSource,
  at: number,
  windowMs: number,
  options: EventOptions = {},
): Promise<Counted> {
  const { sli } = objective;
  if (sli.kind !== 'ratio') return sampled(objective, source, at, windowMs, options);
  if (objective.method !== 'Occurrences' && objective.timeSliceMs !== undefined)
    return sliced(objective, source, at, windowMs, options);
  const queries = eventQueries(sli, windowMs, options);
  if (queries === undefined) return { ok: false, problem: 'no-data' };
  const [part, total] = [await source.instant(queries.part, at), await source.instant(queries.total, at)];
  return countsFrom(sli.counts, singleValue(part, formatPromql(queries.part)), singleValue(total, formatPromql(queries.total)));
}

/** The same at start, start + step, ... up to end. */
export async function measureSeries(
  objective: Objective,
  source: MetricSource,
  start: number,
  end: number,
  step: number,
  windowMs: number,
  options: EventOptions = {},
): Promise<readonly Counted[]> {
  const { sli } = objective;
  const queries = sli.kind === 'ratio' && objective.method === 'Occurrences' ? eventQueries(sli, windowMs, options) : undefined;
  if (sli.kind === 'ratio' && queries !== undefined) {
    const parts = await source.range(queries.part, start, end, step);
    const totals = await source.range(queries.total, start, end, step);
    return totals.map((total, index) => countsFrom(sli.counts, parts[index], total));
  }
  const found: Counted[] = [];
  for (let time = start; time <= end; time += step) found.push(await measureWindow(objective, source, time, windowMs, options));
  return found;
}

/**
 * Timeslices: bad slices of all slices with traffic. RatioTimeslices: the mean of the slices' error ratios, given as events so that
 * sum / count is that mean. A slice without traffic counts for neither (0/0 is not a success).
 */
async function sliced(
  objective: Objective,
  source: MetricSource,
  at: number,
  windowMs: number,
  options: EventOptions,
): Promise<Counted> {
  const slice = Math.min(objective.timeSliceMs!, windowMs);
  const count = Math.max(1, Math.floor(windowMs / slice));
  const slices = await measureSeries(
    { ...objective, method: 'Occurrences' },
    source,
    at - (count - 1) * slice,
    at,
    slice,
    slice,
    options,
  );
  const ratios: number[] = [];
  for (const counted of slices)
    if (counted.ok && counted.counts.total > 0) ratios.push(counted.counts.bad / counted.counts.total);
  if (ratios.length === 0)
    return slices.find((counted) => !counted.ok && counted.problem !== 'no-data') ?? { ok: false, problem: 'no-data' };
  const limit = objective.timeSliceTarget ?? 0;
  const bad =
    objective.method === 'Timeslices'
      ? ratios.filter((ratio) => 1 - ratio < limit).length
      : ratios.reduce((sum, ratio) => sum + ratio, 0);
  return { ok: true, counts: { bad, total: ratios.length } };
}

/** At most a sample a minute; in short windows 60 of them, and never closer than 5 s. */
function sampleStep(windowMs: number): number {
  return Math.max(5000, Math.min(MINUTE, Math.ceil(windowMs / 60 / 1000) * 1000));
}

/** Thresholds and raw ratios: one event per sample. */
async function sampled(
  objective: Objective,
  source: MetricSource,
  at: number,
  windowMs: number,
  options: EventOptions,
): Promise<Counted> {
  const { sli } = objective;
  const query = sli.kind === 'threshold' ? sli.query : sli.kind === 'raw' ? sli.raw : undefined;
  if (query?.expr === undefined) return { ok: false, problem: 'no-data' };
  const step = sampleStep(windowMs);
  const count = Math.max(1, Math.floor(windowMs / step));
  const values = (await source.range(withMatch(query.expr, options.match), at - (count - 1) * step, at, step)).filter(
    (value) => value !== undefined,
  );
  if (values.length === 0) return { ok: false, problem: 'no-data' };
  const numbers = values.filter((value) => !Number.isNaN(value));
  if (numbers.length === 0) return { ok: false, problem: 'not-a-number' };
  const bad = numbers.map((value) => {
    if (sli.kind === 'threshold') return isAbove(objective.op!, value, objective.value!) ? 0 : 1;
    return Math.min(1, Math.max(0, sli.kind === 'raw' && sli.counts === 'bad' ? value : 1 - value));
  });
  return {
    ok: true,
    counts: { bad: bad.reduce<number>((sum, value) => sum + value, 0), total: numbers.length } satisfies Counts,
  };
}

/** Selectors whose samples must reach back as far as a window: those of the total, with the extra matchers. */
export function coverageSelectors(objective: Objective, options: EventOptions = {}): readonly Selector[] {
  const { sli } = objective;
  const expr: Expr | undefined = sli.kind === 'ratio' ? sli.total.expr : sli.kind === 'raw' ? sli.raw.expr : sli.query.expr;
  if (expr === undefined) return [];
  const widened =
    sli.kind === 'ratio'
      ? overWindow(expr, MINUTE, sli.counter, options.match === undefined ? {} : { match: options.match })
      : withMatch(expr, options.match);
  return selectorsOf(widened).map(({ rangeMs: _, offsetMs: __, ...plain }) => plain);
}
