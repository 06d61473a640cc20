import { type AlertPoint, judgeAlert } from './burn.ts';
import { calendarWindow } from './calendar.ts';
import { HOUR, MINUTE } from './duration.ts';
import type { ObjectiveEvidence } from './evaluate.ts';
import type { Counted, EventOptions } from './events.ts';
import { coverageSelectors, measureSeries, measureWindow } from './measure.ts';
import type { AlertRule, Objective } from './model.ts';
import type { Matcher } from './promql-expr.ts';
import type { MetricSource } from './source.ts';

export interface CollectOptions {
  /** Unix time in ms that windows end at. */
  readonly at: number;
  readonly match?: readonly Matcher[];
  /** Canary mode: this window only; `available`: all samples there are. */
  readonly window?: number | 'available';
  readonly minEvents?: number | undefined;
}

/** Asks a source for everything the judgement of one objective needs. */
export async function collectEvidence(
  objective: Objective,
  source: MetricSource,
  options: CollectOptions,
): Promise<ObjectiveEvidence> {
  const { at } = options;
  const events: EventOptions = { ...(options.match === undefined ? {} : { match: options.match }) };
  const period = periodOf(objective, at);
  const selectors = coverageSelectors(objective, events);
  const longest = Math.max(at - period.start, ...objective.alerts.map((rule) => rule.longMs + (rule.escalateAfterMs ?? 0)));
  const span = selectors.length === 0 ? undefined : await source.span(selectors, at - longest, at);
  const empty: Counted = { ok: false, problem: 'no-data' };
  if (options.window !== undefined) {
    const canaryMs = options.window === 'available' ? availableWindow(span, at) : options.window;
    const counted =
      span === undefined ? empty : await measureWindow(objective, source, at, canaryMs, { ...events, fromBirth: true });
    return {
      at,
      span,
      windows: new Map([[canaryMs, counted]]),
      canaryMs,
      period: { ...period, counted: empty },
      history: new Map(),
    };
  }
  const lengths = new Set([
    ...objective.alerts.flatMap((rule) => [rule.longMs, ...(rule.shortMs === undefined ? [] : [rule.shortMs])]),
    HOUR,
    6 * HOUR,
  ]);
  const windows = new Map<number, Counted>();
  const history = new Map<string, readonly AlertPoint[]>();
  if (span === undefined) return { at, span, windows, period: { ...period, counted: empty }, history };
  for (const ms of [...lengths].sort((a, b) => a - b)) windows.set(ms, await measureWindow(objective, source, at, ms, events));
  for (const rule of objective.alerts) {
    const lookback = rule.forMs + (rule.escalateAfterMs ?? 0);
    if (lookback > 0)
      history.set(
        rule.name,
        await ruleHistory(objective, rule, source, at - lookback - 5 * MINUTE, at, MINUTE, events, options.minEvents),
      );
  }
  const counted = await measureWindow(objective, source, at, at - period.start, events);
  return { at, span, windows, period: { ...period, counted }, history };
}

/** All samples, rounded up to a whole second so that the first one is inside. */
function availableWindow(span: ObjectiveEvidence['span'], at: number): number {
  return span === undefined ? MINUTE : Math.max(1000, Math.ceil((at - span.oldest + 1) / 1000) * 1000);
}

function periodOf(objective: Objective, at: number): { start: number; end?: number } {
  const { calendar } = objective.period;
  const window =
    calendar === undefined ? undefined : calendarWindow(objective.period.text, calendar.startTime, calendar.timeZone, at);
  return window === undefined ? { start: at - objective.period.ms } : window;
}

/** Conditions of an alert at every step. */
export async function ruleHistory(
  objective: Objective,
  rule: AlertRule,
  source: MetricSource,
  start: number,
  end: number,
  step: number,
  events: EventOptions,
  minEvents: number | undefined,
): Promise<readonly AlertPoint[]> {
  const long = await measureSeries(objective, source, start, end, step, rule.longMs, events);
  const short =
    rule.shortMs === undefined ? undefined : await measureSeries(objective, source, start, end, step, rule.shortMs, events);
  return long.map((counted, index): AlertPoint => {
    const time = start + index * step;
    if (!counted.ok) return { time, condition: 'inconclusive' };
    const other = short?.[index];
    const shortCounts = short === undefined ? undefined : other?.ok === true ? other.counts : { bad: 0, total: 0 };
    return { time, condition: judgeAlert(rule, objective.target, counted.counts, shortCounts, minEvents).condition };
  });
}
