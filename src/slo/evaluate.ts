import type { Verdict } from '../core/verdict.ts';
import {
  type AlertJudgement,
  type AlertPoint,
  type AlertState,
  alertHistory,
  budgetRemaining,
  burnRate,
  exhaustionRange,
  judgeAlert,
  MIN_BAD_EVENTS,
} from './burn.ts';
import { formatDuration, HOUR, MINUTE } from './duration.ts';
import type { Counted, CountProblem, Counts } from './events.ts';
import { type MaintenanceWindow, maintenanceAt } from './maintenance.ts';
import type { AlertRule, Objective } from './model.ts';

/** What was measured of one objective; everything the judgement needs. Times in ms. */
export interface ObjectiveEvidence {
  readonly at: number;
  readonly span: { readonly oldest: number; readonly newest: number } | undefined;
  /** Counts by window length. */
  readonly windows: ReadonlyMap<number, Counted>;
  /** Set in canary mode: alerts are judged over this one window, and the period's budget isn't. */
  readonly canaryMs?: number;
  /** Actual start of the budget period; for calendar periods also its end. */
  readonly period: { readonly start: number; readonly end?: number; readonly counted: Counted };
  /** Conditions up to `at`, by alert name, for `for` and escalation. */
  readonly history: ReadonlyMap<string, readonly AlertPoint[]>;
}

export interface JudgeOptions {
  readonly minEvents?: number | undefined;
  readonly minBudget?: number | undefined;
  readonly maintenance?: readonly MaintenanceWindow[];
}

export interface AlertOutcome {
  readonly rule: AlertRule;
  /** The window that was judged: the rule's long one, or the canary's. */
  readonly windowMs: number;
  readonly counts: Counts | undefined;
  readonly judgement: AlertJudgement | undefined;
  readonly state: AlertState | 'suppressed';
  readonly suppressedBy?: MaintenanceWindow;
  /** Why it is inconclusive. */
  readonly missing?: string;
}

export interface BudgetOutcome {
  readonly counts: Counts | undefined;
  /** Share left; negative when overspent. */
  readonly remaining: number | undefined;
  /** Time in ms until it is gone, at the burn of the last hours. */
  readonly exhaustion: readonly [number, number] | undefined;
  readonly verdict: Verdict;
  readonly missing?: string;
}

export interface ObjectiveOutcome {
  readonly objective: Objective;
  /** Label value when a part of the fleet was judged. */
  readonly segment?: string;
  readonly alerts: readonly AlertOutcome[];
  readonly budget: BudgetOutcome | undefined;
  /** What can't be told, and what is needed. */
  readonly missing: readonly string[];
}

const STALE_MS = 5 * MINUTE;

/** A window counts as covered when samples reach back to its start, give or take one scrape: 5 % of it, at least 15 s. */
function covers(span: ObjectiveEvidence['span'], start: number, windowMs: number): boolean {
  return span !== undefined && span.oldest <= start + Math.max(15_000, windowMs * 0.05);
}

const PROBLEM_TEXT: Readonly<Record<CountProblem, string>> = {
  'no-data': 'no samples',
  'not-a-number': 'the query gives NaN',
  'several-series': 'the query gives several series',
  'more-good-than-total': 'more good than total events',
};

function windowMissing(evidence: ObjectiveEvidence, windowMs: number, counted: Counted | undefined): string | undefined {
  const window = formatDuration(windowMs);
  const { span, at } = evidence;
  if (span === undefined) return `no samples in the ${window} before ${new Date(at).toISOString()}`;
  if (at - span.newest > STALE_MS) return `the newest sample is ${age(at - span.newest)} old`;
  if (!covers(span, at - windowMs, windowMs)) return `the ${window} window has only ${age(at - span.oldest)} of samples`;
  if (counted === undefined) return `the ${window} window was not measured`;
  return counted.ok ? undefined : `${PROBLEM_TEXT[counted.problem]} in the ${window} window`;
}

function age(ms: number): string {
  return formatDuration(Math.max(1000, Math.round(ms / 1000) * 1000));
}

/** Judges one objective on its evidence. Pure. */
export function judgeObjective(
  objective: Objective,
  evidence: ObjectiveEvidence,
  options: JudgeOptions = {},
): Omit<ObjectiveOutcome, 'segment'> {
  const rules = evidence.canaryMs === undefined ? objective.alerts : objective.alerts.filter((rule) => rule.severity === 'page');
  const alerts = rules.map((rule) => judgeRule(objective, rule, evidence, options));
  const budget = evidence.canaryMs === undefined ? judgeBudget(objective, evidence, options) : undefined;
  const missing = [...alerts.flatMap((alert) => alert.missing ?? []), ...(budget?.missing === undefined ? [] : [budget.missing])];
  if (alerts.length === 0)
    missing.push(evidence.canaryMs === undefined ? 'it has no alert' : 'it has no page alert to judge a canary by');
  return { objective, alerts, budget, missing: [...new Set(missing)] };
}

function judgeRule(objective: Objective, rule: AlertRule, evidence: ObjectiveEvidence, options: JudgeOptions): AlertOutcome {
  const windowMs = evidence.canaryMs ?? rule.longMs;
  const long = evidence.windows.get(windowMs);
  const shortMs = evidence.canaryMs === undefined ? rule.shortMs : undefined;
  const short = shortMs === undefined ? undefined : evidence.windows.get(shortMs);
  const problem = windowMissing(evidence, windowMs, long);
  const base = { rule, windowMs, counts: long?.ok === true ? long.counts : undefined };
  if (problem !== undefined || long?.ok !== true)
    return { ...base, judgement: undefined, state: 'inconclusive', missing: problem ?? 'no samples' };
  // No traffic in the short window leaves its counts at zero, which the judgement knows how to read.
  const shortCounts = shortMs === undefined ? undefined : short?.ok === true ? short.counts : { bad: 0, total: 0 };
  const judgement = judgeAlert(rule, objective.target, long.counts, shortCounts, options.minEvents);
  if (judgement.condition === 'inconclusive')
    return { ...base, judgement, state: 'inconclusive', missing: eventsMissing(judgement, long.counts, windowMs, shortMs) };
  if (judgement.condition === 'quiet') return { ...base, judgement, state: 'inactive' };
  const history = evidence.canaryMs === undefined ? evidence.history.get(rule.name) : undefined;
  const state =
    history === undefined
      ? 'firing'
      : alertHistory(
          [...history.filter((point) => point.time < evidence.at), { time: evidence.at, condition: 'firing' }],
          rule.forMs,
          rule.escalateAfterMs,
        ).state;
  const suppressedBy =
    state === 'firing' || state === 'escalated'
      ? maintenanceAt(options.maintenance ?? [], objective.slo, evidence.at)
      : undefined;
  return suppressedBy === undefined ? { ...base, judgement, state } : { ...base, judgement, state: 'suppressed', suppressedBy };
}

function eventsMissing(judgement: AlertJudgement, counts: Counts, windowMs: number, shortMs: number | undefined): string {
  const window = formatDuration(windowMs);
  if (counts.total <= 0) return `no events in the ${window} window`;
  if (judgement.needed > 0) {
    const rate = counts.total / windowMs;
    return `${Math.floor(counts.total)} of ${judgement.floor} events in the ${window} window: ${judgement.needed} more are needed (about ${age(judgement.needed / rate)} at this rate)`;
  }
  if (judgement.burnShort === undefined && shortMs !== undefined && counts.bad >= MIN_BAD_EVENTS)
    return `no events in the ${formatDuration(shortMs)} window`;
  return `${Math.round(counts.bad)} bad events in the ${window} window, fewer than ${MIN_BAD_EVENTS}`;
}

function judgeBudget(objective: Objective, evidence: ObjectiveEvidence, options: JudgeOptions): BudgetOutcome {
  const { counted, start } = evidence.period;
  const length = evidence.at - start;
  const counts = counted.ok ? counted.counts : undefined;
  const burns = [HOUR, 6 * HOUR].map((ms) => {
    const window = evidence.windows.get(ms);
    return window?.ok === true && covers(evidence.span, evidence.at - ms, ms)
      ? burnRate(window.counts, objective.target)
      : undefined;
  });
  const none = (missing: string): BudgetOutcome => ({
    counts,
    remaining: undefined,
    exhaustion: undefined,
    verdict: 'inconclusive',
    missing,
  });
  const problem = windowMissing(evidence, length, counted);
  if (problem !== undefined || counts === undefined)
    return none(problem === undefined ? 'no samples of the period' : `the budget of ${objective.period.text}: ${problem}`);
  if (counts.total <= 0) return none(`the budget of ${objective.period.text}: no events`);
  const remaining = budgetRemaining(counts, objective.target);
  const periodMs = evidence.period.end === undefined ? objective.period.ms : evidence.period.end - start;
  const exhaustion = exhaustionRange(remaining, periodMs, burns);
  const outcome = { counts, remaining, exhaustion };
  const low = remaining <= 0 || (options.minBudget !== undefined && remaining < options.minBudget);
  if (!low) return { ...outcome, verdict: 'pass' };
  // One night error must not spend a budget: too few bad events say nothing about it.
  if (counts.bad < MIN_BAD_EVENTS)
    return {
      ...outcome,
      verdict: 'inconclusive',
      missing: `the budget of ${objective.period.text}: ${Math.round(counts.bad)} bad of ${Math.floor(counts.total)} events are too few to judge it`,
    };
  return { ...outcome, verdict: 'fail' };
}
