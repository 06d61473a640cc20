import type { Signal, SignalAttribute } from '../model.ts';
import type { AttributeFate, Change } from './change.ts';

/** What changed in the attributes that a signal carries, and in how much they are required. */
export function signalAttributeChanges(before: Signal, after: Signal, item: string, fate: AttributeFate): Change[] {
  const changes: Change[] = [];
  const arrived = new Set<string>();
  for (const attribute of before.attributes.values()) {
    const name = fate.has(attribute.name) ? fate.get(attribute.name) : attribute.name;
    // An attribute that is gone or renamed everywhere has one finding of its own.
    if (name === undefined) continue;
    const now = after.attributes.get(name);
    if (now !== undefined) {
      arrived.add(name);
      changes.push(...requirementChanges(before, after, attribute, now, item));
    } else if (name === attribute.name) {
      changes.push(removed(before, after, attribute, item));
    }
  }
  for (const attribute of after.attributes.values()) {
    if (
      arrived.has(attribute.name) ||
      before.attributes.has(attribute.name) ||
      after.kind !== 'metric' ||
      attribute.requirement === 'opt_in'
    )
      continue;
    changes.push(added(before, after, attribute, item, ''));
  }
  return changes;
}

function touches(before: Signal, attribute: string): Change['touches'] {
  return { metrics: before.kind === 'metric' ? [before] : [], attribute };
}

function removed(before: Signal, after: Signal, attribute: SignalAttribute, item: string): Change {
  const metric = before.kind === 'metric';
  return {
    rule: metric ? 'telemetry-metric-attribute-removed' : 'telemetry-signal-attribute-removed',
    item,
    subject: after.name,
    field: `attribute ${attribute.name}`,
    before: attribute.requirement,
    after: '',
    breaks: 'consumer',
    severity: 'fail',
    message: `The ${before.kind} \`${after.name}\` lost the attribute \`${attribute.name}\`.`,
    fix: metric ? 'Keep it: `sum by` and selectors on it go empty.' : 'Keep it, or mark it deprecated first.',
    location: attribute.where(),
    inBase: true,
    touches: touches(before, attribute.name),
  };
}

/** A new label splits every series: sums without `by` stay right, single-series alerts and joins do not. */
function added(before: Signal, after: Signal, attribute: SignalAttribute, item: string, was: string): Change {
  return {
    rule: 'telemetry-metric-attribute-added',
    item,
    subject: after.name,
    field: `attribute ${attribute.name}`,
    before: was,
    after: attribute.requirement,
    breaks: 'consumer',
    severity: 'fail',
    message: `The metric \`${after.name}\` ${was === '' ? 'got the new attribute' : 'now carries by default'} \`${attribute.name}\` (${attribute.requirement}), which splits its series.`,
    fix: 'Make it `requirement_level: opt_in`, or put it on the span.',
    // Every query of the metric sees the split, not only those that name the label.
    location: attribute.where(),
    inBase: false,
    touches: { metrics: before.kind === 'metric' ? [before] : [] },
  };
}

function requirementChanges(before: Signal, after: Signal, was: SignalAttribute, is: SignalAttribute, item: string): Change[] {
  if (was.requirement === is.requirement) return [];
  const common = {
    item,
    subject: after.name,
    field: `attribute ${is.name}`,
    before: was.requirement,
    after: is.requirement,
    location: is.where('requirement_level'),
    inBase: false,
    touches: touches(before, was.name),
  } as const;
  if (is.requirement === 'required') {
    return [
      {
        ...common,
        rule: 'telemetry-requirement-raised',
        breaks: 'producer',
        severity: 'fail',
        message: `The attribute \`${is.name}\` of \`${after.name}\` became required (before ${was.requirement}): clusters not yet upgraded fail the new schema.`,
        fix: `Roll out producers that always set it first, then require it.`,
      },
    ];
  }
  if (after.kind === 'metric' && was.requirement === 'opt_in') return [added(before, after, is, item, was.requirement)];
  if (was.requirement === 'required' || is.requirement === 'opt_in') {
    return [
      {
        ...common,
        rule: 'telemetry-requirement-lowered',
        breaks: 'consumer',
        severity: 'fail-if-used',
        message: `The attribute \`${is.name}\` of \`${after.name}\` went from ${was.requirement} to ${is.requirement}: queries that rely on it lose series.`,
        fix: `Keep \`requirement_level: ${was.requirement}\` while a query uses it.`,
      },
    ];
  }
  return [];
}
