import { type CardinalityOptions, estimateCardinality } from '../cardinality.ts';
import type { Metric } from '../model.ts';
import type { Change } from './change.ts';

/** What changed in a metric's own fields: unit, instrument, number type, bounds, and the label sets that follow. */
export function compareMetrics(before: Metric, after: Metric, item: string, options: CardinalityOptions): Change[] {
  const changes: Change[] = [];
  const touches = { metrics: [before] };
  const common = { item, subject: after.name, inBase: false, touches } as const;
  if (before.unit !== after.unit) {
    changes.push({
      ...common,
      rule: 'telemetry-metric-unit-changed',
      field: 'unit',
      before: before.unit,
      after: after.unit,
      breaks: 'both',
      severity: 'fail',
      message: `The unit of \`${after.name}\` changed from \`${before.unit}\` to \`${after.unit}\`${scaleText(before.unit, after.unit)}.`,
      fix: `Keep \`unit: "${before.unit}"\`, or add a new metric in \`${after.unit}\` beside it.`,
      location: after.where('unit'),
    });
  }
  if (before.instrument !== after.instrument) {
    changes.push({
      ...common,
      rule: 'telemetry-metric-instrument-changed',
      field: 'instrument',
      before: before.instrument,
      after: after.instrument,
      breaks: 'both',
      severity: 'fail',
      message: `The instrument of \`${after.name}\` changed from ${before.instrument} to ${after.instrument}.`,
      fix: `Keep \`instrument: ${before.instrument}\`, or add a new metric: rate(), histogram_quantile() and the Prometheus name depend on it.`,
      location: after.where('instrument'),
    });
  }
  if (before.valueType !== undefined && after.valueType !== undefined && before.valueType !== after.valueType) {
    changes.push({
      ...common,
      rule: 'telemetry-metric-value-type-changed',
      field: 'value type',
      before: before.valueType,
      after: after.valueType,
      breaks: 'consumer',
      severity: 'warn',
      message: `The values of \`${after.name}\` changed from ${before.valueType} to ${after.valueType}.`,
      fix: 'Prometheus stores both as doubles; check consumers that read OTLP directly.',
      location: after.where('annotations'),
    });
  }
  // With another unit the bounds must differ: the unit's own finding says it.
  if (
    before.unit === after.unit &&
    before.bounds !== undefined &&
    JSON.stringify(before.bounds) !== JSON.stringify(after.bounds)
  ) {
    const lost = before.bounds.filter((bound) => !(after.bounds ?? []).includes(bound));
    changes.push({
      ...common,
      rule: 'telemetry-metric-bounds-changed',
      field: 'bounds',
      before: before.bounds.join(' '),
      after: (after.bounds ?? []).join(' '),
      breaks: 'consumer',
      severity: 'fail-if-used',
      message: `The histogram bounds of \`${after.name}\` changed${lost.length === 0 ? '' : `: ${lost.join(', ')} ${lost.length === 1 ? 'is' : 'are'} gone`}.`,
      fix: 'Keep every bound that an SLO or alert uses as `le`.',
      location: after.where('annotations'),
      touches: { metrics: [before], bounds: lost },
    });
  }
  const was = estimateCardinality(before, options);
  const is = estimateCardinality(after, options);
  if (is.labelSets > was.labelSets) {
    changes.push({
      ...common,
      rule: 'telemetry-cardinality-raised',
      field: 'label sets',
      before: String(was.labelSets),
      after: String(is.labelSets),
      breaks: 'backend',
      severity: 'warn',
      message: `The metric \`${after.name}\` may have ${is.labelSets} label sets, before ${was.labelSets}.`,
      fix: 'Check that the backend has room, or make the new attribute opt_in.',
      location: after.where('metric_name'),
    });
  }
  return changes;
}

const SECONDS: ReadonlyMap<string, number> = new Map(
  Object.entries({ ns: 1e-9, us: 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, d: 86400 }),
);

/** Seconds to milliseconds: values grow 1000-fold. */
function scaleText(before: string, after: string): string {
  const from = SECONDS.get(before);
  const to = SECONDS.get(after);
  if (from === undefined || to === undefined) return '';
  const factor = from / to;
  return factor >= 1
    ? `, so values are ${Math.round(factor)} times larger`
    : `, so values are ${Math.round(1 / factor)} times smaller`;
}
