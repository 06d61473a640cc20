import { listSome, nearest } from '../../config/suggest.ts';
import { formatLocation } from '../../core/errors.ts';
import type { Finding } from '../../core/finding.ts';
import { compareText } from '../../core/text.ts';
import {
  type AttributeDefinition,
  type Entity,
  type EnumMember,
  type EventSignal,
  INSTRUMENTS,
  type Instrument,
  type Metric,
  type Registry,
  type Signal,
  type SignalAttribute,
  type Span,
} from '../model.ts';
import { telemetryFinding } from '../rules.ts';
import { MAX_REGISTRY_FINDINGS } from './fields.ts';
import type { RawAttribute, RawGroup } from './raw.ts';

/** A chain of `extends` deeper than this is refused; real registries have four. */
const MAX_EXTENDS_DEPTH = 64;

/**
 * Groups of all registries → one flat model: `extends` and `ref_group` first, in order, then the group's own attributes, of which
 * a reference overrides requirement and brief. The result does not depend on the order of groups or files; problems become findings.
 */
export function resolveRegistry(rawGroups: readonly RawGroup[], findings: Finding[]): Registry {
  // Definitions that clash must clash the same way whatever order the files came in.
  const groups = [...rawGroups].sort((a, b) => compareText(orderKey(a), orderKey(b)));
  const attributes = defineAttributes(groups, findings);
  const byId = indexGroups(groups, findings);
  const resolver: Resolver = {
    byId,
    attributes,
    findings,
    cut: cutCycles(groups, byId, findings),
    done: new Map(),
    reported: new Set(),
  };
  const signals = new Map<string, Signal>();
  for (const group of groups) {
    const flat = flatten(group, resolver);
    if (group.type === 'attribute_group') continue;
    const signal = toSignal(group, flat, findings);
    if (signal === undefined) continue;
    const key = `${signal.kind} ${signal.name}`;
    const earlier = signals.get(key);
    if (earlier !== undefined && !replaces(signal, earlier)) {
      // Two groups may describe one span or event name in upstream files (per provider); only metrics must be unique.
      if (!replaces(earlier, signal) && (signal.kind === 'metric' || (signal.owned && earlier.owned)))
        duplicate(`${signal.kind} \`${signal.name}\``, signal.name, signal, earlier, findings);
      continue;
    }
    signals.set(key, signal);
  }
  const ofKind = <S extends Signal>(kind: S['kind']): ReadonlyMap<string, S> =>
    sortedMap([...signals.values()].filter((signal): signal is S => signal.kind === kind).map((signal) => [signal.name, signal]));
  return {
    attributes: sortedMap([...attributes]),
    metrics: ofKind<Metric>('metric'),
    spans: ofKind<Span>('span'),
    events: ofKind<EventSignal>('event'),
    entities: ofKind<Entity>('entity'),
  };
}

interface Resolver {
  readonly byId: ReadonlyMap<string, RawGroup>;
  readonly attributes: ReadonlyMap<string, AttributeDefinition>;
  readonly findings: Finding[];
  /** `extends` edges that close a circle, as `child parent`: not followed. */
  readonly cut: ReadonlySet<string>;
  readonly done: Map<RawGroup, ReadonlyMap<string, SignalAttribute>>;
  readonly reported: Set<string>;
}

function orderKey(group: RawGroup): string {
  const at = group.where();
  return `${at.file}\u0000${String(at.line ?? 0).padStart(9, '0')}\u0000${group.id}`;
}

/** A later, live definition replaces a deprecated one: core conventions from 1.42 on list every gen_ai item as deprecated. */
function replaces(a: { deprecated?: unknown }, b: { deprecated?: unknown }): boolean {
  return a.deprecated === undefined && b.deprecated !== undefined;
}

function defineAttributes(groups: readonly RawGroup[], findings: Finding[]): Map<string, AttributeDefinition> {
  const attributes = new Map<string, AttributeDefinition>();
  for (const group of groups) {
    for (const raw of group.attributes) {
      if (raw.isReference || raw.type === undefined) continue;
      const definition = defineAttribute(raw, group.owned, findings);
      const earlier = attributes.get(raw.name);
      if (earlier === undefined || replaces(definition, earlier)) attributes.set(raw.name, definition);
      else if (!replaces(earlier, definition)) duplicate(`attribute \`${raw.name}\``, raw.name, definition, earlier, findings);
    }
  }
  return attributes;
}

function defineAttribute(raw: RawAttribute, owned: boolean, findings: Finding[]): AttributeDefinition {
  const type = raw.type!;
  let resolved: AttributeDefinition['type'];
  if (type.kind === 'enum') {
    const members = new Map<string, EnumMember>();
    for (const member of type.members) {
      if (members.has(member.id)) {
        findings.push(
          telemetryFinding('telemetry-enum-member-duplicate', {
            message: `The enum \`${raw.name}\` has the member \`${member.id}\` twice.`,
            location: member.where('id'),
            related: [members.get(member.id)!.where('id')],
            subject: raw.name,
            fix: 'Delete one of them, or give it another id.',
          }),
        );
        continue;
      }
      members.set(member.id, member);
    }
    resolved = { kind: 'enum', members };
  } else {
    resolved = type;
  }
  return {
    name: raw.name,
    type: resolved,
    brief: raw.brief ?? '',
    owned,
    ...(raw.stability === undefined ? {} : { stability: raw.stability }),
    ...(raw.deprecated === undefined ? {} : { deprecated: raw.deprecated }),
    where: raw.where,
  };
}

function indexGroups(groups: readonly RawGroup[], findings: Finding[]): Map<string, RawGroup> {
  const byId = new Map<string, RawGroup>();
  for (const group of groups) {
    const earlier = byId.get(group.id);
    if (earlier === undefined || replaces(group, earlier)) byId.set(group.id, group);
    else if (!replaces(earlier, group)) duplicate(`group \`${group.id}\``, group.id, group, earlier, findings);
  }
  return byId;
}

interface Defined {
  readonly where: RawGroup['where'];
}

function duplicate(what: string, subject: string, second: Defined, first: Defined, findings: Finding[]): void {
  if (findings.length >= MAX_REGISTRY_FINDINGS) return;
  const at = first.where();
  findings.push(
    telemetryFinding('telemetry-definition-duplicate', {
      message: `The ${what} is defined twice: here and at ${formatLocation(at)}.`,
      location: second.where(),
      related: [{ ...at, message: 'first definition' }],
      subject,
      fix: 'Delete one definition, or refer to it with `ref`.',
    }),
  );
}

/** Finds the `extends` edges that close a circle (or nest too deeply), so that flattening always ends and may memoise. */
function cutCycles(groups: readonly RawGroup[], byId: ReadonlyMap<string, RawGroup>, findings: Finding[]): ReadonlySet<string> {
  const cut = new Set<string>();
  const finished = new Set<string>();
  const visit = (group: RawGroup, trail: readonly string[]): void => {
    const path = [...trail, group.id];
    for (const parent of group.extends) {
      const found = byId.get(parent.id);
      if (found === undefined) continue;
      const circle = path.includes(found.id);
      if (circle || path.length >= MAX_EXTENDS_DEPTH) {
        cut.add(`${group.id} ${found.id}`);
        const names = circle ? path.slice(path.indexOf(found.id)).sort(compareText) : path.slice(0, 3);
        findings.push(
          telemetryFinding('telemetry-extends-cycle', {
            message: circle
              ? `The groups ${names.map((name) => `\`${name}\``).join(', ')} extend each other in a circle.`
              : `The group \`${path[0]}\` extends more than ${MAX_EXTENDS_DEPTH} groups in a chain.`,
            location: parent.where(),
            subject: names[0],
            fix: 'Remove one `extends`.',
          }),
        );
      } else if (!finished.has(found.id)) {
        visit(found, path);
      }
    }
    finished.add(group.id);
  };
  for (const group of groups) if (!finished.has(group.id)) visit(group, []);
  return cut;
}

function flatten(group: RawGroup, resolver: Resolver): ReadonlyMap<string, SignalAttribute> {
  const known = resolver.done.get(group);
  if (known !== undefined) return known;
  const flat = new Map<string, SignalAttribute>();
  for (const parent of group.extends) {
    const found = resolver.byId.get(parent.id);
    if (found === undefined)
      unresolved(resolver, group, `group \`${parent.id}\``, parent.id, parent.where(), [...resolver.byId.keys()]);
    else if (!resolver.cut.has(`${group.id} ${found.id}`))
      for (const [name, attribute] of flatten(found, resolver)) flat.set(name, attribute);
  }
  for (const raw of group.attributes) {
    const inherited = flat.get(raw.name);
    const definition = resolver.attributes.get(raw.name);
    if (raw.isReference && definition === undefined)
      unresolved(resolver, group, `attribute \`${raw.name}\``, raw.name, raw.where('ref'), [...resolver.attributes.keys()]);
    const condition = raw.requirement === undefined ? inherited?.condition : raw.condition;
    flat.set(raw.name, {
      name: raw.name,
      requirement: raw.requirement ?? inherited?.requirement ?? 'recommended',
      identifying: raw.identifying || (inherited?.identifying ?? false),
      ...(condition === undefined ? {} : { condition }),
      ...(definition === undefined ? {} : { definition }),
      where: raw.where,
    });
  }
  resolver.done.set(group, flat);
  return flat;
}

function unresolved(
  resolver: Resolver,
  group: RawGroup,
  what: string,
  name: string,
  location: ReturnType<RawGroup['where']>,
  known: readonly string[],
): void {
  const key = `${name} ${formatLocation(location)}`;
  if (resolver.reported.has(key) || resolver.findings.length >= MAX_REGISTRY_FINDINGS) return;
  resolver.reported.add(key);
  const guess = nearest(name, known);
  resolver.findings.push(
    telemetryFinding('telemetry-reference-unresolved', {
      // A pinned upstream copy is often a part of the whole: what it lacks matters only when we use it.
      level: group.owned ? 'error' : 'note',
      message: `The group \`${group.id}\` refers to the ${what}, which no registry defines.`,
      location,
      subject: name,
      fix:
        guess === undefined
          ? 'Define it, or add the registry that does to `telemetry.registries`.'
          : `Did you mean \`${guess}\`?`,
    }),
  );
}

function toSignal(group: RawGroup, flat: ReadonlyMap<string, SignalAttribute>, findings: Finding[]): Signal | undefined {
  const base = {
    id: group.id,
    name: group.name,
    brief: group.brief,
    attributes: sortedMap([...flat]),
    owned: group.owned,
    ...(group.stability === undefined ? {} : { stability: group.stability }),
    ...(group.deprecated === undefined ? {} : { deprecated: group.deprecated }),
    where: group.where,
  };
  switch (group.type) {
    case 'metric': {
      const instrument = group.instrument;
      if (instrument === undefined) return undefined;
      if (!(INSTRUMENTS as readonly string[]).includes(instrument)) {
        const guess = nearest(instrument, INSTRUMENTS);
        findings.push(
          telemetryFinding('telemetry-registry-wrong-type', {
            message: `The instrument of \`${group.name}\` is ${JSON.stringify(instrument)}. Expected one of ${listSome(INSTRUMENTS)}.`,
            location: group.where('instrument'),
            subject: group.name,
            ...(guess === undefined ? {} : { fix: `Did you mean \`${guess}\`?` }),
          }),
        );
        return undefined;
      }
      return {
        ...base,
        kind: 'metric',
        instrument: instrument as Instrument,
        unit: group.unit ?? '',
        ...(group.valueType === undefined ? {} : { valueType: group.valueType }),
        ...(group.bounds === undefined ? {} : { bounds: group.bounds }),
      };
    }
    case 'span':
      return { ...base, kind: 'span', ...(group.spanKind === undefined ? {} : { spanKind: group.spanKind }) };
    case 'event':
      return { ...base, kind: 'event' };
    case 'entity':
      return { ...base, kind: 'entity' };
    case 'attribute_group':
      return undefined;
  }
}

function sortedMap<V>(entries: readonly (readonly [string, V])[]): ReadonlyMap<string, V> {
  return new Map([...entries].sort(([a], [b]) => compareText(a, b)));
}
