import type { Location } from '../core/finding.ts';

/** The place of a field (`unit`, `brief`, ...) of an item, or of the item itself; the nearest place when the field is absent. */
export type Where = (field?: string) => Location;

export const INSTRUMENTS = ['counter', 'updowncounter', 'histogram', 'gauge'] as const;
export type Instrument = (typeof INSTRUMENTS)[number];

/** From strongest to weakest. */
export const REQUIREMENTS = ['required', 'conditionally_required', 'recommended', 'opt_in'] as const;
export type Requirement = (typeof REQUIREMENTS)[number];

/** From weakest to strongest; `experimental` is the former name of `development`. */
export const STABILITIES = ['development', 'alpha', 'beta', 'release_candidate', 'stable'] as const;
export type Stability = (typeof STABILITIES)[number];

export interface Deprecation {
  /** `renamed`, `obsoleted`, `uncategorized`, `unspecified`, or `text` where the older free-text form was used. */
  readonly reason: string;
  readonly renamedTo?: string;
  readonly note?: string;
}

export interface EnumMember {
  readonly id: string;
  readonly value: string | number | boolean;
  readonly deprecated?: Deprecation;
  readonly where: Where;
}

export type AttributeType =
  | { readonly kind: 'scalar'; readonly name: ScalarType }
  | { readonly kind: 'enum'; readonly members: ReadonlyMap<string, EnumMember> };

export const SCALAR_TYPES = [
  'string',
  'int',
  'double',
  'boolean',
  'any',
  'undefined',
  'string[]',
  'int[]',
  'double[]',
  'boolean[]',
  'template[string]',
  'template[int]',
  'template[double]',
  'template[boolean]',
  'template[any]',
  'template[string[]]',
  'template[int[]]',
  'template[double[]]',
  'template[boolean[]]',
] as const;
export type ScalarType = (typeof SCALAR_TYPES)[number];

/** An attribute as the registry defines it, once. */
export interface AttributeDefinition {
  readonly name: string;
  readonly type: AttributeType;
  readonly brief: string;
  readonly stability?: Stability;
  readonly deprecated?: Deprecation;
  /** True when it comes from a registry that this repository owns (linted), false for a pinned upstream copy. */
  readonly owned: boolean;
  readonly where: Where;
}

/** An attribute as one signal uses it. */
export interface SignalAttribute {
  readonly name: string;
  readonly requirement: Requirement;
  /** The text of `conditionally_required: ...` and of the other forms with text. */
  readonly condition?: string;
  /** Absent when the reference could not be resolved. */
  readonly definition?: AttributeDefinition;
  /** True on an entity's identifying attributes. */
  readonly identifying: boolean;
  readonly where: Where;
}

interface SignalBase {
  readonly id: string;
  readonly name: string;
  readonly brief: string;
  readonly stability?: Stability;
  readonly deprecated?: Deprecation;
  readonly attributes: ReadonlyMap<string, SignalAttribute>;
  readonly owned: boolean;
  readonly where: Where;
}
export interface Metric extends SignalBase {
  readonly kind: 'metric';
  readonly instrument: Instrument;
  /** UCUM. */
  readonly unit: string;
  /** `annotations.code_generation.metric_value_type`. */
  readonly valueType?: 'int' | 'double';
  /** Explicit histogram bounds that the fleet has agreed on: `annotations.mixgate.bounds`. */
  readonly bounds?: readonly number[];
}
export interface Span extends SignalBase {
  readonly kind: 'span';
  readonly spanKind?: string;
}
export interface EventSignal extends SignalBase {
  readonly kind: 'event';
}
export interface Entity extends SignalBase {
  readonly kind: 'entity';
}
export type Signal = Metric | Span | EventSignal | Entity;
export type SignalKind = Signal['kind'];

/** Registries resolved into one flat model; every map is ordered by name, so that the order of files doesn't matter. */
export interface Registry {
  readonly attributes: ReadonlyMap<string, AttributeDefinition>;
  readonly metrics: ReadonlyMap<string, Metric>;
  readonly spans: ReadonlyMap<string, Span>;
  readonly events: ReadonlyMap<string, EventSignal>;
  readonly entities: ReadonlyMap<string, Entity>;
}

export function signalsOf(registry: Registry): readonly Signal[] {
  return [...registry.metrics.values(), ...registry.spans.values(), ...registry.events.values(), ...registry.entities.values()];
}

/** `int`, `string[]`, `enum {a, b}`: a type as people read it. */
export function describeType(type: AttributeType): string {
  if (type.kind === 'scalar') return type.name;
  const ids = [...type.members.keys()];
  return `enum {${ids.slice(0, 6).join(', ')}${ids.length > 6 ? `, ... ${ids.length} in all` : ''}}`;
}

/** The type of an enum's values: one scalar, or `any` when they are mixed. */
export function enumValueType(members: Iterable<EnumMember>): 'string' | 'int' | 'double' | 'boolean' | 'any' {
  const kinds = new Set<'string' | 'int' | 'double' | 'boolean'>();
  for (const { value } of members) {
    kinds.add(
      typeof value === 'string' ? 'string' : typeof value === 'boolean' ? 'boolean' : Number.isInteger(value) ? 'int' : 'double',
    );
  }
  return kinds.size === 1 ? [...kinds][0]! : 'any';
}
