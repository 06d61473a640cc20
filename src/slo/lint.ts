import type { Finding } from '../core/finding.ts';
import { formatDuration } from './duration.ts';
import { lintQueries } from './lint-queries.ts';
import { type AlertRule, decimal, errorBudget, type Objective } from './model.ts';
import { sloFinding } from './rules.ts';

/** Findings about objectives that resolve: alerts that cannot fire or always fire, periods, queries. Pure. */
export function lintObjectives(objectives: readonly Objective[]): readonly Finding[] {
  const found = objectives.flatMap((objective) => [
    ...lintPeriod(objective),
    ...objective.alerts.flatMap((alert) => lintAlert(objective, alert)),
    ...lintQueries(objective),
  ]);
  // Objectives share indicators and policies: the same finding is said once.
  return [...new Map(found.map((f) => [`${f.id}:${f.location?.line}`, f])).values()];
}

function lintPeriod(objective: Objective): Finding[] {
  if (!objective.period.text.endsWith('m')) return [];
  return [
    sloFinding('slo-period-minutes', {
      message: `The period of ${objective.slo} is ${objective.period.text}, which means minutes.`,
      location: objective.period.location,
      fix: `Write ${objective.period.text.replace('m', 'M')} for months (the unit is case-sensitive), or 28d.`,
      subject: objective.slo,
    }),
  ];
}

function lintAlert(objective: Objective, alert: AlertRule): Finding[] {
  const budget = errorBudget(objective.target);
  const highest = decimal(1 / budget);
  const target = `${decimal(objective.target * 100)} %`;
  const evidence = {
    target: objective.target,
    threshold: alert.threshold,
    highestBurnRate: highest,
    window: formatDuration(alert.longMs),
  };
  const at = { location: alert.location, subject: objective.id, evidence };
  if (alert.op === 'lt' || alert.op === 'lte') {
    return [
      sloFinding('slo-operator-inverted', {
        ...at,
        message: `The alert ${alert.name} fires when the burn rate of ${objective.id} is below ${alert.threshold}.`,
        fix: `Write op: ${alert.op === 'lt' ? 'gt' : 'gte'}.`,
      }),
    ];
  }
  const unreachable = alert.op === 'gt' ? alert.threshold * budget >= 1 - 1e-9 : alert.threshold * budget > 1 + 1e-9;
  if (unreachable && alert.threshold >= 100) {
    return [
      sloFinding('slo-threshold-unit', {
        ...at,
        message: `The alert ${alert.name} of ${objective.id} has the threshold ${alert.threshold}, which looks like a latency and not like a burn rate.`,
        fix: `Write a burn rate below ${highest}, e.g. 5; a latency belongs into the indicator.`,
      }),
    ];
  }
  if (unreachable) {
    return [
      sloFinding('slo-threshold-unreachable', {
        ...at,
        message: `The alert ${alert.name} can never fire for ${objective.id}: at a target of ${target} the burn rate is at most ${highest}, and the threshold is ${alert.threshold}.`,
        fix: `Lower the threshold below ${highest}, or raise the target above ${decimal((1 - 1 / alert.threshold) * 100)} %.`,
      }),
    ];
  }
  if (alert.threshold < 1) {
    return [
      sloFinding('slo-factor-below-one', {
        ...at,
        message: `The alert ${alert.name} of ${objective.id} fires at a burn rate of ${alert.threshold}, at which the budget would outlast the period.`,
        fix: 'Raise the threshold to 1 or more, or keep it as an early note.',
      }),
    ];
  }
  return [];
}
