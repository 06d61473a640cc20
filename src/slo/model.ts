import type { Location } from '../core/finding.ts';
import type { Expr } from './promql-expr.ts';

/** A PromQL query of an SLO and where it stands. */
export interface Query {
  readonly text: string;
  /** Undefined when it doesn't parse: a lint says why. */
  readonly expr: Expr | undefined;
  readonly location: Location;
}

export type Sli =
  | {
      readonly kind: 'ratio';
      /** True: counters, wrapped in increase(); false: a value per interval. */
      readonly counter: boolean;
      /** What `part` counts. */
      readonly counts: 'good' | 'bad';
      readonly part: Query;
      readonly total: Query;
    }
  | { readonly kind: 'raw'; readonly counts: 'good' | 'bad'; readonly raw: Query }
  | { readonly kind: 'threshold'; readonly query: Query };

export type Comparison = 'lt' | 'lte' | 'gt' | 'gte';

export interface Period {
  /** As written, e.g. `28d`. */
  readonly text: string;
  readonly rolling: boolean;
  /** Length in ms; of a calendar period the average one. */
  readonly ms: number;
  readonly calendar?: { readonly startTime: string; readonly timeZone: string };
  readonly location: Location;
}

export type BudgetingMethod = 'Occurrences' | 'Timeslices' | 'RatioTimeslices';

/** One alert: fires while the burn rate of every window is above the threshold. */
export interface AlertRule {
  readonly name: string;
  readonly severity: 'page' | 'ticket';
  readonly op: Comparison;
  /** Burn rate: 1 spends the whole budget exactly by the end of the period. */
  readonly threshold: number;
  readonly longMs: number;
  /** Second window; undefined: the long one alone decides. */
  readonly shortMs?: number;
  readonly forMs: number;
  /** Firing for longer than this escalates. */
  readonly escalateAfterMs?: number;
  readonly location: Location;
}

/** One objective of an SLO: what is judged. */
export interface Objective {
  /** The SLO's name; with `/` and the objective's when the SLO has several. */
  readonly id: string;
  readonly slo: string;
  readonly service: string;
  /** Share of good events, 0 <= T < 1. */
  readonly target: number;
  readonly period: Period;
  readonly method: BudgetingMethod;
  readonly timeSliceTarget?: number;
  readonly timeSliceMs?: number;
  readonly sli: Sli;
  /** Only for threshold indicators: a sample is good when `sample op value`. */
  readonly op?: Comparison;
  readonly value?: number;
  readonly alerts: readonly AlertRule[];
  readonly location: Location;
}

/** 1 - T without binary noise: 0.001 for 0.999, never 0.0010000000000000009. */
export function errorBudget(target: number): number {
  return decimal(1 - target);
}

/** Nearest short decimal: takes away what binary floating point adds in the 13th digit and beyond. */
export function decimal(value: number): number {
  return Number(value.toPrecision(12));
}

/** Whether a value is on the bad side of an alert's threshold, as OpenSLO's `op` says (specification, "AlertCondition"). */
export function isAbove(op: Comparison, value: number, threshold: number): boolean {
  switch (op) {
    case 'gt':
      return value > threshold;
    case 'gte':
      return value >= threshold;
    case 'lt':
      return value < threshold;
    case 'lte':
      return value <= threshold;
  }
}
