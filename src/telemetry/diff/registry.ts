import { formatLocation } from '../../core/errors.ts';
import type { CardinalityOptions } from '../cardinality.ts';
import type { Metric, Registry, Signal, SignalKind } from '../model.ts';
import type { TelemetryRule } from '../rules.ts';
import { attributeTypeChanges } from './attribute.ts';
import { type AttributeFate, type Change, compareChanges, touchesOf } from './change.ts';
import { attributeLikeness, findRenames, type Rename, signalLikeness } from './rename.ts';
import { compareSignals, stabilityChanges } from './signal.ts';

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
