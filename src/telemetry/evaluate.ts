import { compareFindings, type Finding } from '../core/finding.ts';
import type { Measurement, Table } from '../core/gate.ts';
import type { Json } from '../core/json.ts';
import { shorten } from '../core/text.ts';
import { type CardinalityEstimate, productText } from './cardinality.ts';
import { type Change, type CompatibilityMode, compareChanges, levelOf, type UseOfTelemetry } from './diff/change.ts';
import { type Consumers, impactText, usesOf } from './impact/index.ts';
import type { Registry } from './model.ts';
import type { FleetResult } from './otlp/fleet.ts';
import { defaultPrometheusName, prometheusNames } from './prometheus-names.ts';
import { telemetryFinding } from './rules.ts';

export interface JudgedChange {
  readonly change: Change;
  readonly uses: readonly UseOfTelemetry[];
  readonly finding: Finding;
}

/** Changes with their consumers, as findings at the changed field; pure. */
export function judgeChanges(changes: readonly Change[], consumers: Consumers, mode: CompatibilityMode): JudgedChange[] {
  return [...changes].sort(compareChanges).map((change) => {
    const uses = usesOf(change, consumers);
    const level = levelOf(change, mode, uses);
    const others = change.touches.metrics.length - 1;
    const widely =
      change.touches.attribute !== undefined && others > 0 ? ` (${change.touches.metrics.length} metrics carry it)` : '';
    const where = change.inBase ? ' The line is the one in base, where it last was.' : '';
    const impact = change.severity === 'warn' && uses.length === 0 ? '' : ` ${impactText(uses)}`;
    return {
      change,
      uses,
      finding: telemetryFinding(change.rule, {
        level,
        message: `${widely === '' ? change.message : change.message.replace(/[.]$/, `${widely}.`)}${impact}${where}`,
        location: change.location,
        subject: change.subject,
        ...(change.related === undefined && uses.length === 0
          ? {}
          : {
              related: [
                ...(change.related ?? []),
                ...uses.map((use) => ({ ...use.location, message: `${use.kind} ${use.name} uses ${use.uses}` })),
              ],
            }),
        evidence: {
          field: change.field,
          ...(change.inBase ? { side: 'base' } : {}),
          before: change.before,
          after: change.after,
          breaks: change.breaks,
          mode,
          metrics: change.touches.metrics.map((metric) => metric.name),
          prometheus:
            change.touches.attribute === undefined ? change.touches.metrics.map((metric) => defaultPrometheusName(metric)) : [],
          uses: uses.map((use) => ({
            kind: use.kind,
            name: use.name,
            file: use.location.file,
            line: use.location.line ?? null,
            as: use.uses,
          })),
        } satisfies Json,
        fix: change.fix,
      }),
    };
  });
}

/** Names and labels that the changes explain, so that a query on them isn't reported a second time as unknown. */
export function explainedNames(changes: readonly Change[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const change of changes) {
    for (const metric of change.touches.metrics)
      for (const name of prometheusNames(metric)) for (const series of name.series) names.add(series);
    if (change.touches.attribute !== undefined)
      names.add(change.touches.attribute.replaceAll('.', '_')).add(change.touches.attribute);
  }
  return names;
}

/** Metric names of base that head does not have under that name, for samples that still carry them. */
export function goneMetrics(
  base: Registry | undefined,
  head: Registry,
  changes: readonly Change[],
): ReadonlyMap<string, string | undefined> {
  const gone = new Map<string, string | undefined>();
  for (const name of base?.metrics.keys() ?? []) if (!head.metrics.has(name)) gone.set(name, undefined);
  for (const change of changes)
    if (change.rule === 'telemetry-metric-renamed' && gone.has(change.before)) gone.set(change.before, change.after);
  return gone;
}

export function changeTable(judged: readonly JudgedChange[]): Table {
  return {
    title: 'Telemetry changes, base to head',
    columns: ['level', 'item', 'field', 'before', 'after', 'breaks', 'used by'],
    rows: judged
      .toSorted((a, b) => compareFindings(a.finding, b.finding))
      .slice(0, 100)
      .map(({ change, uses, finding }) => [
        finding.level,
        change.item,
        change.field,
        shorten(change.before, 80),
        shorten(change.after, 80),
        change.breaks,
        uses.map((use) => `${use.kind} ${use.name}`).join(', ') || 'nobody here',
      ]),
    ...(judged.length > 100 ? { note: `${judged.length - 100} more changes are not shown.` } : {}),
  };
}

export function cardinalityTable(estimates: readonly CardinalityEstimate[], limit: number): Table {
  return {
    title: 'Estimated series per metric and cluster',
    columns: ['metric', 'label sets', `share of ${limit}`, 'Prometheus series', 'product', 'not counted'],
    rows: [...estimates]
      .sort((a, b) => b.labelSets - a.labelSets || (a.metric < b.metric ? -1 : 1))
      .slice(0, 20)
      .map((estimate) => [
        estimate.metric,
        String(estimate.labelSets),
        `${Math.round((100 * estimate.labelSets) / limit)} %`,
        String(estimate.series),
        productText(estimate),
        estimate.unknown.join(', '),
      ]),
    note: 'Product of enum sizes and declared caps; attributes without either count as one value.',
  };
}

export function coverageTable(fleet: FleetResult): Table {
  return {
    title: 'Telemetry coverage',
    columns: ['cluster', 'service', 'metric', 'points', 'state'],
    rows: fleet.coverage.map(([cluster, service, metric, points, state]) => [cluster, service, metric, String(points), state]),
  };
}

export function registryMeasurements(registry: Registry, estimates: readonly CardinalityEstimate[]): Measurement[] {
  const sum = (of: (estimate: CardinalityEstimate) => number): number =>
    estimates.reduce((total, estimate) => total + of(estimate), 0);
  return [
    { name: 'registry.metrics', value: registry.metrics.size, unit: '{metric}' },
    { name: 'registry.attributes', value: registry.attributes.size, unit: '{attribute}' },
    { name: 'registry.spans', value: registry.spans.size, unit: '{span}' },
    { name: 'registry.events', value: registry.events.size, unit: '{event}' },
    { name: 'registry.series.estimated', value: sum((estimate) => estimate.series), unit: '{series}' },
  ];
}
