import type { Finding } from '../core/finding.ts';
import { type BarChart, type GateResult, gateResult, type Measurement, type Subject, type Table } from '../core/gate.ts';
import type { Json } from '../core/json.ts';
import { compareText } from '../core/text.ts';
import { formatDuration } from './duration.ts';
import type { AlertOutcome, ObjectiveOutcome } from './evaluate.ts';
import { describeObjective } from './events.ts';
import { decimal, errorBudget } from './model.ts';
import { sloFinding } from './rules.ts';

export interface BurnReport {
  readonly outcomes: readonly ObjectiveOutcome[];
  /** What the samples came from, for people. */
  readonly source: string;
  /** Unix time in ms. */
  readonly at: number;
  /** Measured live, so that a second run sees other numbers. */
  readonly live: boolean;
  readonly minBudget?: number | undefined;
  /** Label that segments are values of. */
  readonly by?: string | undefined;
  readonly canary: boolean;
  readonly subjects: readonly Subject[];
}

/** Judged objectives to the gate's result: findings, measurements, tables, chart, verdict. Pure. */
export function burnResult(report: BurnReport): GateResult {
  const findings = report.outcomes.flatMap((outcome) => [
    ...outcome.alerts.flatMap((alert) => alertFinding(report, outcome, alert)),
    ...budgetFindings(report, outcome),
    ...missingFindings(outcome),
  ]);
  const open = report.outcomes.filter((outcome) => outcome.missing.length > 0);
  const judged = report.outcomes.length;
  return gateResult({
    id: 'slo',
    findings,
    measurements: report.outcomes.flatMap((outcome) => measurementsOf(report, outcome)),
    tables: [alertTable(report), ...(report.canary ? [] : [budgetTable(report)])],
    charts: charts(report),
    subjects: report.subjects,
    facts: {
      mode: report.canary ? 'canary' : 'period',
      at: new Date(report.at).toISOString(),
      source: report.source,
      objectives: judged,
      judged: judged - open.length,
    },
    passReason: `${judged} of ${judged} objectives burn below their alert thresholds${report.canary ? ' over the canary window' : ' and have budget left'}`,
    inconclusive:
      open.length === 0
        ? undefined
        : `${nameOf(open[0]!)}: ${open[0]!.missing[0]}${open.length > 1 ? ` (and ${open.length - 1} more objectives)` : ''}`,
  });
}

function nameOf(outcome: ObjectiveOutcome): string {
  return outcome.segment === undefined ? outcome.objective.id : `${outcome.objective.id} in ${outcome.segment}`;
}

function number(value: number | undefined, digits = 3): string {
  return value === undefined ? '-' : Number.isInteger(value) ? String(value) : Number(value.toPrecision(digits)).toString();
}

function percent(value: number | undefined): string {
  return value === undefined ? '-' : `${number(decimal(value * 100))} %`;
}

function alertFinding(report: BurnReport, outcome: ObjectiveOutcome, alert: AlertOutcome): Finding[] {
  const { objective } = outcome;
  const { rule, judgement, counts } = alert;
  if (
    judgement === undefined ||
    counts === undefined ||
    (alert.state !== 'firing' && alert.state !== 'escalated' && alert.state !== 'suppressed')
  )
    return [];
  const window = formatDuration(alert.windowMs);
  const burn = number(judgement.burnLong);
  const short =
    report.canary || rule.shortMs === undefined
      ? ''
      : ` and ${number(judgement.burnShort)}x over ${formatDuration(rule.shortMs)}`;
  const hours =
    judgement.burnLong === undefined || judgement.burnLong <= 0 ? undefined : objective.period.ms / judgement.burnLong;
  const evidence: Json = {
    alert: rule.name,
    burnRate: judgement.burnLong ?? null,
    threshold: rule.threshold,
    window,
    bad: counts.bad,
    total: counts.total,
    errorBudget: errorBudget(objective.target),
    for: formatDuration(rule.forMs),
    state: alert.state,
    ...(report.canary || rule.shortMs === undefined
      ? {}
      : { shortWindow: formatDuration(rule.shortMs), shortBurnRate: judgement.burnShort ?? null }),
  };
  const common = { location: objective.location, evidence, subject: nameOf(outcome) };
  const what = `${nameOf(outcome)} burns its error budget at ${burn}x over ${window}${short}; ${rule.name} ${rule.severity === 'page' ? 'pages' : 'opens a ticket'} above ${rule.threshold}x.`;
  if (alert.suppressedBy !== undefined) {
    const { reason, owner, end } = alert.suppressedBy;
    return [
      sloFinding('slo-alert-suppressed', {
        ...common,
        message: `${what} Suppressed until ${new Date(end).toISOString()} by planned maintenance: ${reason} (${owner}).`,
        fix: 'Look again after the maintenance; a suppressed alert is not a pass.',
      }),
    ];
  }
  const lasts =
    hours === undefined
      ? ''
      : ` At this rate a full budget lasts ${formatDuration(Math.max(60_000, Math.round(hours / 60_000) * 60_000))}.`;
  if (rule.severity === 'ticket')
    return [
      sloFinding('slo-burn-rate-ticket', {
        ...common,
        message: `${what}${lasts}`,
        fix: 'Find what raises the error ratio before the budget is gone.',
      }),
    ];
  const escalated =
    alert.state === 'escalated' ? ` It has lasted more than ${formatDuration(rule.escalateAfterMs!)}: escalated.` : '';
  return [
    sloFinding('slo-burn-rate-page', {
      ...common,
      message: `${what}${lasts}${escalated}`,
      fix: report.canary
        ? 'Stop the rollout and look at the candidate’s failed and slow requests.'
        : 'Hold promotions and roll back the last change to this service.',
    }),
  ];
}

function budgetFindings(report: BurnReport, outcome: ObjectiveOutcome): Finding[] {
  const { budget, objective } = outcome;
  if (budget?.verdict !== 'fail' || budget.remaining === undefined || budget.counts === undefined) return [];
  const evidence: Json = {
    remaining: budget.remaining,
    bad: budget.counts.bad,
    total: budget.counts.total,
    allowed: decimal(errorBudget(objective.target) * budget.counts.total),
  };
  const common = { location: objective.location, evidence, subject: nameOf(outcome) };
  if (budget.remaining <= 0) {
    return [
      sloFinding('slo-budget-exhausted', {
        ...common,
        message: `${nameOf(outcome)} has spent its error budget of ${objective.period.text}: ${number(budget.counts.bad, 6)} bad events where ${number(decimal(errorBudget(objective.target) * budget.counts.total), 6)} were allowed.`,
        fix: 'Promote only what repairs it, until the budget is back.',
      }),
    ];
  }
  return [
    sloFinding('slo-budget-low', {
      ...common,
      message: `${nameOf(outcome)} has ${percent(budget.remaining)} of its error budget left, and a promotion needs ${percent(report.minBudget)}.`,
      fix: 'Wait until the budget recovers, or lower `slo.minBudget` in a change of its own.',
    }),
  ];
}

function missingFindings(outcome: ObjectiveOutcome): Finding[] {
  return outcome.missing.map((missing) =>
    sloFinding('slo-evidence-missing', {
      message: `${nameOf(outcome)} cannot be judged: ${missing}.`,
      location: outcome.objective.location,
      subject: nameOf(outcome),
      fix: 'Wait for more samples, add synthetic traffic, or judge a canary over a window of its own (--window).',
    }),
  );
}

function measurementsOf(report: BurnReport, outcome: ObjectiveOutcome): Measurement[] {
  const where = {
    ...(outcome.segment !== undefined && report.by === 'cluster' ? { cluster: outcome.segment } : {}),
    ...(report.live ? { volatile: true } : {}),
  };
  const name =
    outcome.segment !== undefined && report.by !== 'cluster'
      ? `${outcome.objective.id} ${outcome.segment}`
      : outcome.objective.id;
  const found: Measurement[] = outcome.alerts.flatMap((alert) =>
    alert.judgement?.burnLong === undefined
      ? []
      : [
          {
            name: 'slo.burn_rate',
            value: alert.judgement.burnLong,
            unit: '1',
            segment: `${name} ${alert.rule.name} ${formatDuration(alert.windowMs)}`,
            limit: alert.rule.threshold,
            n: Math.round(alert.counts!.total),
            ...where,
          },
        ],
  );
  const remaining = outcome.budget?.remaining;
  if (remaining !== undefined)
    found.push({
      name: 'slo.budget.remaining',
      value: remaining,
      unit: '1',
      segment: name,
      n: Math.round(outcome.budget!.counts!.total),
      ...(report.minBudget === undefined ? {} : { limit: report.minBudget }),
      ...where,
    });
  return found;
}

function alertTable(report: BurnReport): Table {
  return {
    title: report.canary ? 'Burn rate over the canary window' : 'Burn rate',
    columns: ['SLO', 'Target', 'Alert', 'Windows', 'Bad / total', 'Burn rate', 'Threshold', 'State'],
    rows: report.outcomes.flatMap((outcome) =>
      outcome.alerts.map((alert) => {
        const paired = !report.canary && alert.rule.shortMs !== undefined;
        return [
          nameOf(outcome),
          describeObjective(outcome.objective),
          `${alert.rule.name} (${alert.rule.severity})`,
          `${formatDuration(alert.windowMs)}${paired ? ` / ${formatDuration(alert.rule.shortMs!)}` : ''}`,
          alert.counts === undefined ? '-' : `${number(alert.counts.bad, 6)} / ${number(alert.counts.total, 8)}`,
          `${number(alert.judgement?.burnLong)}${paired ? ` / ${number(alert.judgement?.burnShort)}` : ''}`,
          `${alert.rule.op === 'gte' ? '>= ' : '> '}${number(alert.rule.threshold)}`,
          alert.missing === undefined ? alert.state : `inconclusive: ${alert.missing}`,
        ];
      }),
    ),
    note: `At ${new Date(report.at).toISOString()}, from ${report.source}. A burn rate of 1 spends the whole budget by the end of the period.`,
  };
}

function budgetTable(report: BurnReport): Table {
  const until = (ms: number): string =>
    ms === Infinity ? 'never' : ms === 0 ? 'now' : formatDuration(Math.max(60_000, Math.round(ms / 60_000) * 60_000));
  return {
    title: 'Error budget',
    columns: ['SLO', 'Target', 'Bad / total', 'Budget left', 'Exhausted in'],
    rows: report.outcomes.flatMap((outcome) => {
      const { budget } = outcome;
      if (budget === undefined) return [];
      const range = budget.exhaustion;
      return [
        [
          nameOf(outcome),
          describeObjective(outcome.objective),
          budget.counts === undefined ? '-' : `${number(budget.counts.bad, 6)} / ${number(budget.counts.total, 8)}`,
          budget.remaining === undefined ? 'inconclusive' : percent(budget.remaining),
          budget.remaining === undefined
            ? (budget.missing ?? '-')
            : range === undefined
              ? 'insufficient data'
              : until(range[0]) === until(range[1])
                ? until(range[0])
                : `${until(range[0])} to ${until(range[1])}`,
        ],
      ];
    }),
    note: 'Event weighted over the whole period. The forecast is a range from the burn of the last hour and of the last six.',
  };
}

function charts(report: BurnReport): BarChart[] {
  const lengths = [...new Set(report.outcomes.flatMap((outcome) => outcome.alerts.map((alert) => alert.windowMs)))].sort(
    (a, b) => a - b,
  );
  const shown = report.outcomes
    .slice(0, 12)
    .filter((outcome) => outcome.alerts.some((alert) => alert.judgement?.burnLong !== undefined));
  if (shown.length === 0) return [];
  const burn = (outcome: ObjectiveOutcome, ms: number): number =>
    outcome.alerts.find((alert) => alert.windowMs === ms)?.judgement?.burnLong ?? 0;
  return [
    {
      kind: 'bar',
      title: 'Burn rate per window',
      xLabel: 'SLO',
      yLabel: 'burn rate',
      categories: shown.map(nameOf).sort(compareText),
      series: lengths.map((ms) => ({
        name: formatDuration(ms),
        values: [...shown].sort((a, b) => compareText(nameOf(a), nameOf(b))).map((outcome) => burn(outcome, ms)),
      })),
      note: 'Windows without enough samples are left out.',
    },
  ];
}
