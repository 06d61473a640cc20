import { ConfigurationError } from '../core/errors.ts';
import { MIN_BAD_EVENTS } from './burn.ts';
import { formatDuration, HOUR } from './duration.ts';
import { eventQueries } from './events.ts';
import { type AlertRule, decimal, errorBudget, type Objective } from './model.ts';
import { formatPromql } from './promql-format.ts';

export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
}
export interface AlertingRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}
export interface RuleGroup {
  readonly name: string;
  readonly interval?: string;
  readonly rules: readonly (RecordingRule | AlertingRule)[];
}

/** Labels of everything that is generated for an objective. */
function ruleLabels(objective: Objective): Readonly<Record<string, string>> {
  return { mixgate_service: objective.service, mixgate_slo: objective.id };
}

function selectorOf(metric: string, objective: Objective): string {
  return `${metric}{mixgate_slo=${JSON.stringify(objective.id)}}`;
}

/** File and group names carry the id in a safe form. */
export function safeName(id: string): string {
  return id
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

/**
 * Recording and alerting rules of one objective. Recordings come from raw counters, so that every rule stands alone; ratios are
 * events over events, never means of ratios.
 */
export function rulesFor(objective: Objective): readonly RuleGroup[] {
  const windows = [
    ...new Set([
      ...objective.alerts.flatMap((rule) => [rule.longMs, ...(rule.shortMs === undefined ? [] : [rule.shortMs])]),
      HOUR,
    ]),
  ].sort((a, b) => a - b);
  const labels = ruleLabels(objective);
  const recordings = windows.flatMap((ms) => recordingsOf(objective, ms));
  const period = recordingsOf(objective, objective.period.ms);
  const ratio = selectorOf(`slo:sli_error:ratio_rate${formatDuration(objective.period.ms)}`, objective);
  const budget = errorBudget(objective.target);
  const name = safeName(objective.id);
  return [
    { name: `mixgate-slo-${name}-windows`, rules: recordings },
    {
      // The long range is the costly one, and a budget moves slowly.
      name: `mixgate-slo-${name}-budget`,
      interval: '5m',
      rules: [
        ...period,
        { record: 'slo:objective:ratio', expr: `vector(${objective.target})`, labels },
        { record: 'slo:error_budget:remaining', expr: `1 - ${ratio} / ${budget}`, labels },
      ],
    },
    { name: `mixgate-slo-${name}-alerts`, rules: objective.alerts.flatMap((rule) => alertsOf(objective, rule)) },
  ];
}

function recordingsOf(objective: Objective, ms: number): RecordingRule[] {
  const { bad, total } = eventExpressions(objective, ms);
  const window = formatDuration(ms);
  const labels = { ...ruleLabels(objective), mixgate_window: window };
  return [
    { record: `slo:sli_events:increase${window}`, expr: total, labels },
    { record: `slo:sli_errors:increase${window}`, expr: bad, labels },
    { record: `slo:sli_error:ratio_rate${window}`, expr: `(${bad})\n/\n((${total}) > 0)`, labels },
  ];
}

/** PromQL for bad and total events over a window. A part without series counts as zero, so that no error yet isn't no data. */
function eventExpressions(objective: Objective, ms: number): { bad: string; total: string } {
  const { sli } = objective;
  if (sli.kind !== 'ratio' || objective.method !== 'Occurrences' || !objective.period.rolling) {
    throw new ConfigurationError({
      message: `rules for ${objective.id} cannot be generated: it is ${sli.kind === 'ratio' ? (objective.period.rolling ? `budgeted by ${objective.method}` : 'calendar-aligned') : `a ${sli.kind} indicator`}.`,
      location: objective.location,
      expected: 'a ratio of counters, budgetingMethod: Occurrences, a rolling window',
      fix: 'judge it with `mixgate slo gate`, or write it as a ratio.',
    });
  }
  const queries = eventQueries(sli, ms);
  if (queries === undefined)
    throw new ConfigurationError({ message: `a query of ${objective.id} is not PromQL.`, location: objective.location });
  const [part, total] = [formatPromql(queries.part), formatPromql(queries.total)];
  const orZero = `((${part}) or 0 * (${total}))`;
  return { bad: sli.counts === 'bad' ? orZero : `clamp_min((${total}) - ${orZero}, 0)`, total };
}

function alertsOf(objective: Objective, rule: AlertRule): AlertingRule[] {
  const threshold = decimal(rule.threshold * errorBudget(objective.target));
  const op = { gt: '>', gte: '>=', lt: '<', lte: '<=' }[rule.op];
  const above = (ms: number): string =>
    `${selectorOf(`slo:sli_error:ratio_rate${formatDuration(ms)}`, objective)} ${op} ${threshold}`;
  const ignoring = 'and ignoring(mixgate_window)';
  const conditions = [
    above(rule.longMs),
    ...(rule.shortMs === undefined ? [] : [above(rule.shortMs)]),
    `${selectorOf(`slo:sli_errors:increase${formatDuration(rule.longMs)}`, objective)} >= ${MIN_BAD_EVENTS}`,
  ];
  const expr = conditions.join(`\n${ignoring}\n`);
  const labels = {
    ...ruleLabels(objective),
    mixgate_alert: rule.name,
    mixgate_window: formatDuration(rule.longMs),
    severity: rule.severity,
  };
  const windows = `${formatDuration(rule.longMs)}${rule.shortMs === undefined ? '' : ` and ${formatDuration(rule.shortMs)}`}`;
  const summary = `${objective.id} burns its error budget at more than ${rule.threshold}x over ${windows}.`;
  const alert = (annotation: string, forMs: number, extra: Readonly<Record<string, string>>): AlertingRule => ({
    alert: 'ErrorBudgetBurn',
    expr,
    ...(forMs > 0 ? { for: formatDuration(forMs) } : {}),
    labels: { ...labels, ...extra },
    annotations: { summary: annotation },
  });
  return [
    alert(summary, rule.forMs, {}),
    ...(rule.escalateAfterMs === undefined
      ? []
      : [
          alert(
            `${summary} It has lasted more than ${formatDuration(rule.escalateAfterMs)}: escalate.`,
            rule.forMs + rule.escalateAfterMs,
            { mixgate_escalated: 'true' },
          ),
        ]),
  ];
}
