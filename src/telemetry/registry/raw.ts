import type { Deprecation, EnumMember, Requirement, ScalarType, Stability, Where } from '../model.ts';

/** What one registry file says, checked for shape but with nothing resolved yet. */
export interface RawAttribute {
  /** Full name of a definition, or of what is referred to. */
  readonly name: string;
  readonly isReference: boolean;
  readonly type?:
    | { readonly kind: 'scalar'; readonly name: ScalarType }
    | { readonly kind: 'enum'; readonly members: readonly EnumMember[] };
  readonly brief?: string;
  readonly requirement?: Requirement;
  readonly condition?: string;
  readonly stability?: Stability;
  readonly deprecated?: Deprecation;
  readonly identifying: boolean;
  readonly where: Where;
}

export type RawGroupType = 'attribute_group' | 'metric' | 'span' | 'event' | 'entity';

export interface RawGroup {
  readonly id: string;
  readonly type: RawGroupType;
  /** Name of the signal: metric_name, event or entity name, span id; the id for attribute groups. */
  readonly name: string;
  readonly brief: string;
  readonly extends: readonly { readonly id: string; readonly where: Where }[];
  readonly attributes: readonly RawAttribute[];
  readonly stability?: Stability;
  readonly deprecated?: Deprecation;
  readonly instrument?: string;
  readonly unit?: string;
  readonly valueType?: 'int' | 'double';
  readonly bounds?: readonly number[];
  readonly spanKind?: string;
  readonly owned: boolean;
  readonly where: Where;
}
