import { formatLocation } from '../../core/errors.ts';
import { type CardinalityOptions, estimateCardinality } from '../cardinality.ts';
import {
  type AttributeDefinition,
  type Metric,
  type Registry,
  type Signal,
  type SignalKind,
  STABILITIES,
  type Stability,
} from '../model.ts';
import type { TelemetryRule } from '../rules.ts';
import { attributeTypeChanges } from './attribute.ts';
import { type Change, compareChanges } from './change.ts';
import { attributeLikeness, findRenames, type Rename, signalLikeness } from './rename.ts';
import { signalAttributeChanges } from './signal-attributes.ts';

/**
 * Every difference between two registries that somebody may feel, at any stability: the fleet's producers and queries run
 * against what is deployed, whatever upstream calls it. Additions that break nobody are not changes.
 */
export function diffRegistries(base: Registry, head: Registry, options: CardinalityOptions = {}): Change[] {
  const changes: Change[] = [];
  const renamedAttributes = diffAttributes(base, head, changes);
  diffSignals(base.metrics, head.metrics, renamedAttributes, options, changes);
  diffSignals(base.spans, head.spans, renamedAttributes, options, changes);
  diffSignals(base.events, head.events, renamedAttributes, options, changes);
  diffSignals(base.entities, head.entities, renamedAttributes, options, changes);
  return mergeSame(changes).sort(compareChanges);
}

/** Base name → head name of attributes that were renamed; base names that are gone map to undefined. */
export type AttributeFate = ReadonlyMap<string, string | undefined>;

function diffAttributes(base: Registry, head: Registry, changes: Change[]): AttributeFate {
  const fate = new Map<string, string | undefined>();
  const { gone, added } = goneAndAdded(base.attributes, head.attributes);
  const renames = findRenames(gone, added, declaredTarget(base.attributes, head.attributes), attributeLikeness);
  const renamed = new Map(renames.map((rename) => [rename.from.name, rename]));
  for (const attribute of base.attributes.values()) {
    const item = `attribute ${attribute.name}`;
    const touches = { metrics: metricsWith(base, attribute.name), attribute: attribute.name };
    const rename = renamed.get(attribute.name);
    if (rename !== undefined) {
      fate.set(attribute.name, rename.to.name);
      changes.push(renameChange(rename, item, 'telemetry-attribute-renamed', 'id', touches));
      changes.push(...attributeTypeChanges(attribute, rename.to, `attribute ${rename.to.name}`, touches));
      continue;
    }
    const now = head.attributes.get(attribute.name);
    if (now === undefined) {
      fate.set(attribute.name, undefined);
      changes.push({
        rule: 'telemetry-attribute-removed',
        item,
        subject: attribute.name,
        field: 'name',
        before: attribute.name,
        after: '',
        breaks: 'consumer',
        severity: 'fail',
        message: `The attribute \`${attribute.name}\` is gone.`,
        fix: `Keep it, mark it \`deprecated\`, and remove it once no cluster and no query uses it.`,
        location: attribute.where('id'),
        inBase: true,
        touches,
      });
      continue;
    }
    changes.push(...attributeTypeChanges(attribute, now, item, touches), ...stabilityChanges(attribute, now, item, touches));
  }
  return fate;
}

function metricsWith(registry: Registry, attribute: string): Metric[] {
  return [...registry.metrics.values()].filter((metric) => metric.attributes.has(attribute));
}

interface Named {
  readonly name: string;
  readonly deprecated?: { readonly renamedTo?: string };
}

/** Gone: absent in head, or newly deprecated there with a new name. Added: absent in base. */
function goneAndAdded<T extends Named>(base: ReadonlyMap<string, T>, head: ReadonlyMap<string, T>): { gone: T[]; added: T[] } {
  const gone = [...base.values()].filter((item) => {
    const now = head.get(item.name);
    return (
      now === undefined ||
      (now.deprecated?.renamedTo !== undefined && item.deprecated === undefined && head.has(now.deprecated.renamedTo))
    );
  });
  return { gone, added: [...head.values()].filter((item) => !base.has(item.name) && item.deprecated === undefined) };
}

/** The new name that the registry itself declares, when head has it. */
function declaredTarget<T extends Named>(base: ReadonlyMap<string, T>, head: ReadonlyMap<string, T>): (item: T) => T | undefined {
  return (item) => {
    const target = head.get(item.name)?.deprecated?.renamedTo ?? base.get(item.name)?.deprecated?.renamedTo;
    return target === undefined ? undefined : head.get(target);
  };
}

function diffSignals<S extends Signal>(
  base: ReadonlyMap<string, S>,
  head: ReadonlyMap<string, S>,
  fate: AttributeFate,
  options: CardinalityOptions,
  changes: Change[],
): void {
  const { gone, added } = goneAndAdded(base, head);
  const renames = new Map(
    findRenames(gone, added, declaredTarget(base, head), signalLikeness).map((rename) => [rename.from.name, rename]),
  );
  for (const signal of base.values()) {
    const item = `${signal.kind} ${signal.name}`;
    const touches = touchesOf(signal);
    const rename = renames.get(signal.name);
    if (rename !== undefined) {
      changes.push(
        renameChange(
          rename,
          item,
          signal.kind === 'metric' ? 'telemetry-metric-renamed' : 'telemetry-signal-renamed',
          nameField(signal.kind),
          touches,
        ),
      );
      changes.push(...compareSignals(signal, rename.to, `${signal.kind} ${rename.to.name}`, fate, options));
      continue;
    }
    const now = head.get(signal.name);
    if (now === undefined) {
      changes.push({
        rule: signal.kind === 'metric' ? 'telemetry-metric-removed' : 'telemetry-signal-removed',
        item,
        subject: signal.name,
        field: 'name',
        before: signal.name,
        after: '',
        breaks: 'consumer',
        severity: 'fail',
        message: `The ${signal.kind} \`${signal.name}\` is gone.`,
        fix: 'Keep it, mark it `deprecated`, and remove it once no cluster and no query uses it.',
        location: signal.where(nameField(signal.kind)),
        inBase: true,
        touches,
      });
      continue;
    }
    changes.push(...compareSignals(signal, now, item, fate, options));
  }
}

function nameField(kind: SignalKind): string {
  return kind === 'metric' ? 'metric_name' : kind === 'span' ? 'id' : 'name';
}

function touchesOf(signal: Signal): Change['touches'] {
  return { metrics: signal.kind === 'metric' ? [signal] : [] };
}

function renameChange<T extends { readonly name: string; readonly where: Signal['where'] }>(
  rename: Rename<T>,
  item: string,
  rule: TelemetryRule,
  field: string,
  touches: Change['touches'],
): Change {
  const kind = item.split(' ')[0]!;
  const { from, to } = rename;
  const was = from.where(field);
  return {
    rule,
    item,
    subject: from.name,
    field: 'name',
    before: from.name,
    after: to.name,
    breaks: 'consumer',
    severity: 'fail',
    message: rename.declared
      ? `The ${kind} \`${from.name}\` was renamed to \`${to.name}\`.`
      : `The ${kind} \`${from.name}\` is gone and looks renamed to \`${to.name}\`.`,
    fix: rename.declared
      ? 'Emit both names until every cluster and query has moved, or change the queries in the same pull request.'
      : `Keep \`${from.name}\` with \`deprecated: {reason: renamed, renamed_to: ${to.name}}\`, emit both names until every cluster and query has moved.`,
    location: to.where(field),
    inBase: false,
    touches,
    related: [{ ...was, message: `\`${from.name}\` in base (${formatLocation(was)})` }],
  };
}

function compareSignals(before: Signal, after: Signal, item: string, fate: AttributeFate, options: CardinalityOptions): Change[] {
  const touches = touchesOf(before);
  const changes: Change[] = [
    ...stabilityChanges(before, after, item, touches),
    ...signalAttributeChanges(before, after, item, fate),
  ];
  if (before.kind === 'metric' && after.kind === 'metric') changes.push(...compareMetrics(before, after, item, options));
  if (before.kind === 'span' && after.kind === 'span' && before.spanKind !== undefined && before.spanKind !== after.spanKind) {
    changes.push({
      rule: 'telemetry-span-kind-changed',
      item,
      subject: after.name,
      field: 'span_kind',
      before: before.spanKind,
      after: after.spanKind ?? '',
      breaks: 'consumer',
      severity: 'fail',
      message: `The span \`${after.name}\` changed its kind from ${before.spanKind} to ${after.spanKind ?? 'none'}.`,
      fix: 'Keep the kind: service maps and span metrics are built from it.',
      location: after.where('span_kind'),
      inBase: false,
      touches,
    });
  }
  if (before.kind === 'entity' && after.kind === 'entity') {
    const identity = (entity: Signal): string =>
      [...entity.attributes.values()]
        .filter((attribute) => attribute.identifying)
        .map((attribute) => attribute.name)
        .join(', ');
    if (identity(before) !== identity(after)) {
      changes.push({
        rule: 'telemetry-entity-identity-changed',
        item,
        subject: after.name,
        field: 'identity',
        before: identity(before),
        after: identity(after),
        breaks: 'consumer',
        severity: 'fail',
        message: `The entity \`${after.name}\` is identified by (${identity(after)}), before by (${identity(before)}).`,
        fix: 'Keep the identity: with another one every series and span starts anew.',
        location: after.where('attributes'),
        inBase: false,
        touches,
      });
    }
  }
  return changes;
}

function compareMetrics(before: Metric, after: Metric, item: string, options: CardinalityOptions): Change[] {
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

const SECONDS: Readonly<Record<string, number>> = { ns: 1e-9, us: 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, d: 86400 };

/** Seconds to milliseconds: values grow 1000-fold. */
function scaleText(before: string, after: string): string {
  const from = SECONDS[before];
  const to = SECONDS[after];
  if (from === undefined || to === undefined) return '';
  const factor = from / to;
  return factor >= 1
    ? `, so values are ${Math.round(factor)} times larger`
    : `, so values are ${Math.round(1 / factor)} times smaller`;
}

function stabilityChanges(
  before: AttributeDefinition | Signal,
  after: AttributeDefinition | Signal,
  item: string,
  touches: Change['touches'],
): Change[] {
  const rank = (stability: Stability | undefined): number => (stability === undefined ? -1 : STABILITIES.indexOf(stability));
  if (before.stability === undefined || rank(after.stability) >= rank(before.stability) || after.deprecated !== undefined)
    return [];
  return [
    {
      rule: 'telemetry-stability-lowered',
      item,
      subject: after.name,
      field: 'stability',
      before: before.stability,
      after: after.stability ?? 'none',
      breaks: 'both',
      severity: 'fail',
      message: `\`${after.name}\` went from ${before.stability} to ${after.stability ?? 'no stability at all'}.`,
      fix: `Keep \`stability: ${before.stability}\`: a promise once made is kept.`,
      location: after.where('stability'),
      inBase: false,
      touches,
    },
  ];
}

/** One change of a shared attribute group shows up on each of its metrics: one entry, with all of them. */
function mergeSame(changes: readonly Change[]): Change[] {
  const merged = new Map<string, Change>();
  for (const change of changes) {
    const key =
      change.touches.attribute === undefined
        ? `${change.item} ${change.rule} ${change.field} ${change.before}`
        : `${change.rule} ${change.field} ${change.before} ${change.after} ${formatLocation(change.location)}`;
    const earlier = merged.get(key);
    if (earlier === undefined) merged.set(key, change);
    else
      merged.set(key, {
        ...earlier,
        touches: {
          ...earlier.touches,
          metrics: [
            ...earlier.touches.metrics,
            ...change.touches.metrics.filter((metric) => !earlier.touches.metrics.includes(metric)),
          ],
        },
      });
  }
  return [...merged.values()];
}
