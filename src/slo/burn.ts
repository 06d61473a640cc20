import { clopperPearson } from '../stats/proportions.ts';
import type { Counts } from './events.ts';
import { type AlertRule, decimal, errorBudget, isAbove } from './model.ts';

/** Bad events below which an alert is not believed, unless the exact interval says otherwise. */
export const MIN_BAD_EVENTS = 3;
/** Expected bad events at the threshold that make a window judgeable: with none seen, the burn rate is below it at about 95 % (rule of three). */
const EXPECTED_BAD = 3;
/** One-sided error of the exact (Clopper-Pearson) bound. */
const TAIL = 0.05;

/** Burn rate: error ratio over error budget. Undefined without events. Google SRE workbook, "Alerting on SLOs". */
export function burnRate(counts: Counts, target: number): number | undefined {
  return counts.total > 0 ? decimal(counts.bad / counts.total / errorBudget(target)) : undefined;
}

/** Events a window needs before the threshold can be told from chance: ceil(3 / (factor * B)), or what the configuration asks for if more. */
export function eventFloor(factor: number, target: number, minEvents = 1): number {
  const rate = factor * errorBudget(target);
  return Math.max(minEvents, rate > 0 ? Math.ceil(decimal(EXPECTED_BAD / rate)) : minEvents);
}

/** Share of the budget left, event weighted: 1 - E / (B * N). Negative when overspent; 1 without events. */
export function budgetRemaining(counts: Counts, target: number): number {
  const allowed = errorBudget(target) * counts.total;
  return allowed === 0 ? 1 : decimal(1 - counts.bad / allowed);
}

/**
 * When the budget is gone at constant burn: t = remaining * P / burn, as a range over several lookbacks (ms). Infinity: never at
 * this burn. Undefined when no lookback has events.
 */
export function exhaustionRange(
  remaining: number,
  periodMs: number,
  burns: readonly (number | undefined)[],
): readonly [number, number] | undefined {
  const times = burns.filter((burn) => burn !== undefined).map((burn) => (remaining <= 0 ? 0 : (remaining * periodMs) / burn));
  return times.length === 0 ? undefined : [Math.min(...times), Math.max(...times)];
}

export type AlertCondition = 'firing' | 'quiet' | 'inconclusive';

export interface AlertJudgement {
  readonly condition: AlertCondition;
  readonly burnLong: number | undefined;
  readonly burnShort: number | undefined;
  /** Events the long window needs. */
  readonly floor: number;
  /** Events that are missing in the long window; 0 when there are enough. */
  readonly needed: number;
}

/**
 * One alert on the counts of its windows. It fires when the burn rate of both is above the threshold AND the evidence carries it:
 * enough events and at least 3 bad ones, or the exact lower bound of the error ratio is above. Below the floor the answer is
 * inconclusive, neither pass nor fail, unless the exact upper bound is already below the threshold.
 */
export function judgeAlert(
  rule: AlertRule,
  target: number,
  long: Counts,
  short: Counts | undefined,
  minEvents?: number,
): AlertJudgement {
  const floor = eventFloor(rule.threshold, target, minEvents);
  const burnLong = burnRate(long, target);
  const burnShort = short === undefined ? undefined : burnRate(short, target);
  const needed = Math.max(0, Math.ceil(floor - long.total));
  const result = (condition: AlertCondition): AlertJudgement => ({ condition, burnLong, burnShort, floor, needed });
  if (burnLong === undefined) return result('inconclusive');
  if (!isAbove(rule.op, burnLong, rule.threshold))
    return result(needed === 0 || surelyBelow(long, rule.threshold * errorBudget(target)) ? 'quiet' : 'inconclusive');
  const carried = (needed === 0 && long.bad >= MIN_BAD_EVENTS - 0.5) || surelyAbove(long, rule.threshold * errorBudget(target));
  if (!carried) return result('inconclusive');
  if (short === undefined) return result('firing');
  // No events in the last minutes: the burn of the long window may have ended, or the service may be gone.
  if (burnShort === undefined) return result('inconclusive');
  return result(isAbove(rule.op, burnShort, rule.threshold) ? 'firing' : 'quiet');
}

function whole(counts: Counts): { bad: number; total: number } {
  const total = Math.max(1, Math.round(counts.total));
  return { bad: Math.min(total, Math.round(counts.bad)), total };
}

function surelyAbove(counts: Counts, ratio: number): boolean {
  const { bad, total } = whole(counts);
  return clopperPearson(bad, total, TAIL).low > ratio;
}

function surelyBelow(counts: Counts, ratio: number): boolean {
  const { bad, total } = whole(counts);
  return clopperPearson(bad, total, TAIL).high < ratio;
}

export type AlertState = 'inactive' | 'pending' | 'firing' | 'escalated' | 'inconclusive';

export interface AlertPoint {
  readonly time: number;
  readonly condition: AlertCondition;
}

export interface AlertSpell {
  readonly start: number;
  /** Last time it was still firing. */
  readonly end: number;
  /** When it escalated. */
  readonly escalatedAt?: number;
}

/**
 * `for` and escalation over a series of conditions, as Prometheus does it: pending from the first true, firing once that has lasted
 * `for`; anything but true resets. Escalated is a state of the same alert: firing for longer than `escalateAfter`.
 */
export function alertHistory(
  points: readonly AlertPoint[],
  forMs: number,
  escalateAfterMs: number | undefined,
): { readonly state: AlertState; readonly spells: readonly AlertSpell[] } {
  const spells: AlertSpell[] = [];
  let since: number | undefined;
  let spell: { start: number; end: number; escalatedAt?: number } | undefined;
  let state: AlertState = 'inactive';
  for (const { time, condition } of points) {
    if (condition !== 'firing') {
      if (spell !== undefined) spells.push(spell);
      spell = undefined;
      since = undefined;
      state = condition === 'inconclusive' ? 'inconclusive' : 'inactive';
      continue;
    }
    since ??= time;
    if (time - since < forMs) {
      state = 'pending';
      continue;
    }
    spell = spell === undefined ? { start: time, end: time } : { ...spell, end: time };
    state = 'firing';
    if (escalateAfterMs !== undefined && time - spell.start > escalateAfterMs) {
      state = 'escalated';
      spell.escalatedAt ??= time;
    }
  }
  if (spell !== undefined) spells.push(spell);
  return { state, spells };
}
