import type { CardinalityOptions } from '../cardinality.ts';
import { type AttributeDefinition, type Signal, STABILITIES, type Stability } from '../model.ts';
import { type AttributeFate, type Change, touchesOf } from './change.ts';
import { compareMetrics } from './metric.ts';
import { signalAttributeChanges } from './signal-attributes.ts';

/** What changed between two signals of one kind that are taken for the same. */
export function compareSignals(
  before: Signal,
  after: Signal,
  item: string,
  fate: AttributeFate,
  options: CardinalityOptions,
): Change[] {
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

/** A promise taken back. */
export function stabilityChanges(
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
