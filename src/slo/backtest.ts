import { parseYaml } from '../config/document.ts';
import { checked } from '../config/schema.ts';
import { ConfigurationError } from '../core/errors.ts';
import { type GateResult, gateResult, type Measurement, type Subject } from '../core/gate.ts';
import { plural } from '../core/text.ts';
import { type AlertSpell, alertHistory } from './burn.ts';
import { ruleHistory } from './collect.ts';
import { DAY, formatDuration, MINUTE } from './duration.ts';
import { coverageSelectors } from './measure.ts';
import type { AlertRule, Objective } from './model.ts';
import { sloFinding } from './rules.ts';
import type { MetricSource } from './source.ts';
import { requireOrder } from './spans.ts';

/** A declared incident; times in ms. */
export interface Incident {
  readonly start: number;
  readonly end: number;
  readonly name: string;
  readonly slos?: readonly string[];
}

/** Reads a file of incidents. @throws ConfigurationError with every bad one */
export function parseIncidents(text: string, file: string): readonly Incident[] {
  const source = parseYaml(text, file);
  const { incidents } = checked('slo-incidents', source);
  requireOrder(source, 'incidents', 'incident', incidents);
  return incidents.map(({ start, end, name, slos }, index) => ({
    start: Date.parse(start),
    end: Date.parse(end),
    name: name ?? `incident ${index + 1}`,
    ...(slos === undefined ? {} : { slos }),
  }));
}

export interface BacktestScore {
  readonly precision: number | undefined;
  readonly recall: number | undefined;
  /** Mean time in ms from an incident's start to the alert. */
  readonly detectionMs: number | undefined;
}

/** A spell is right when it overlaps an incident; an incident is found when a spell overlaps it. Undefined: nothing to divide by. */
export function scoreSpells(spells: readonly AlertSpell[], incidents: readonly Incident[]): BacktestScore {
  const overlaps = (spell: AlertSpell, incident: Incident): boolean => spell.start <= incident.end && spell.end >= incident.start;
  const right = spells.filter((spell) => incidents.some((incident) => overlaps(spell, incident)));
  const found = incidents.flatMap((incident) => {
    const first = spells.find((spell) => overlaps(spell, incident));
    return first === undefined ? [] : [Math.max(0, first.start - incident.start)];
  });
  return {
    precision: spells.length === 0 ? undefined : right.length / spells.length,
    recall: incidents.length === 0 ? undefined : found.length / incidents.length,
    detectionMs: found.length === 0 ? undefined : found.reduce((a, b) => a + b, 0) / found.length,
  };
}

export interface BacktestOptions {
  readonly objectives: readonly Objective[];
  readonly source: MetricSource;
  readonly step?: number;
  readonly incidents?: readonly Incident[];
  readonly minEvents?: number | undefined;
  readonly subjects: readonly Subject[];
}

const MAX_POINTS = 200_000;

/** Replays every alert over recorded samples: when would it have fired. */
export async function runBacktest(options: BacktestOptions): Promise<GateResult> {
  const step = options.step ?? MINUTE;
  const rows: string[][] = [];
  const spellRows: string[][] = [];
  const measurements: Measurement[] = [];
  const missing: string[] = [];
  if (options.objectives.every((objective) => objective.alerts.length === 0))
    missing.push('no objective has an alert to replay (are the alert policies it names in another file?)');
  for (const objective of options.objectives) {
    const span = await options.source.span(coverageSelectors(objective), 0, options.source.latest ?? 0);
    for (const rule of objective.alerts) {
      // Before a whole long window has passed the ratio is over fewer samples than it says: a 3 d ticket would fire on minutes.
      const start = span === undefined ? undefined : Math.ceil((span.oldest + rule.longMs) / step) * step;
      if (span === undefined || start === undefined || start > span.newest) {
        missing.push(
          `${objective.id} ${rule.name}: ${span === undefined ? 'no samples' : `${formatDuration(Math.max(1000, span.newest - span.oldest))} of samples for a window of ${formatDuration(rule.longMs)}`}`,
        );
        continue;
      }
      if ((span.newest - start) / step > MAX_POINTS)
        throw new ConfigurationError({
          message: `the samples cover more than ${MAX_POINTS} steps of ${formatDuration(step)}.`,
          fix: 'use a longer --step.',
        });
      const points = await ruleHistory(objective, rule, options.source, start, span.newest, step, {}, options.minEvents);
      const { spells } = alertHistory(points, rule.forMs, rule.escalateAfterMs);
      const incidents = (options.incidents ?? []).filter(
        (incident) => incident.slos === undefined || incident.slos.includes(objective.slo),
      );
      const score = options.incidents === undefined ? undefined : scoreSpells(spells, incidents);
      rows.push(summaryRow(objective, rule, spells, span.newest - start, step, score));
      for (const spell of spells)
        spellRows.push([
          objective.id,
          rule.name,
          instantText(spell.start),
          formatDuration(spell.end - spell.start + step),
          spell.escalatedAt === undefined ? '' : instantText(spell.escalatedAt),
        ]);
      const segment = `${objective.id} ${rule.name}`;
      measurements.push({ name: 'slo.backtest.spells', value: spells.length, unit: '{spell}', segment });
      if (score?.precision !== undefined)
        measurements.push({ name: 'slo.backtest.precision', value: score.precision, unit: '1', segment });
      if (score?.recall !== undefined)
        measurements.push({ name: 'slo.backtest.recall', value: score.recall, unit: '1', segment });
      if (score?.detectionMs !== undefined)
        measurements.push({ name: 'slo.backtest.detection', value: score.detectionMs / 1000, unit: 's', segment });
    }
  }
  return gateResult({
    id: 'slo',
    findings: missing.map((text) =>
      sloFinding('slo-evidence-missing', {
        message: `${text}: cannot be replayed.`,
        fix: 'Record samples over at least the longest window of the alert.',
        subject: text.split(':')[0],
      }),
    ),
    measurements,
    tables: [
      {
        title: 'Alerts replayed',
        columns: ['SLO', 'Alert', 'Spells', 'Firing', 'Per week', 'Precision', 'Recall', 'Detection'],
        rows,
        note: `From ${options.source.name}, every ${formatDuration(step)}; the first long window is left out.`,
      },
      { title: 'Spells', columns: ['SLO', 'Alert', 'Start', 'Lasted', 'Escalated'], rows: spellRows },
    ],
    subjects: options.subjects,
    passReason: `${plural(rows.length, 'alert')} replayed, ${plural(spellRows.length, 'spell')}`,
    inconclusive:
      missing.length === 0 ? undefined : `${missing[0]}${missing.length > 1 ? ` (and ${missing.length - 1} more)` : ''}`,
  });
}

function instantText(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}

function summaryRow(
  objective: Objective,
  rule: AlertRule,
  spells: readonly AlertSpell[],
  covered: number,
  step: number,
  score: BacktestScore | undefined,
): string[] {
  const firing = spells.reduce((sum, spell) => sum + spell.end - spell.start + step, 0);
  const share = (value: number | undefined): string => (value === undefined ? '-' : `${Number((value * 100).toPrecision(3))} %`);
  return [
    objective.id,
    `${rule.name} (${rule.severity})`,
    String(spells.length),
    formatDuration(firing),
    covered < DAY ? '-' : Number(((spells.length * 7 * DAY) / covered).toPrecision(3)).toString(),
    share(score?.precision),
    share(score?.recall),
    score?.detectionMs === undefined ? '-' : formatDuration(Math.round(score.detectionMs / 1000) * 1000),
  ];
}
