import { nearest } from '../../config/suggest.ts';
import { type AttributeDefinition, enumValueType, type Metric, type Registry, type SignalAttribute } from '../model.ts';
import { integerOf } from './encoding.ts';
import type { SampleIssue } from './issues.ts';

/** An OTLP attribute value, taken apart. */
export interface OtlpValue {
  readonly type: 'string' | 'boolean' | 'int' | 'double' | 'array' | 'kvlist' | 'bytes' | 'null';
  readonly value: unknown;
}

/** `{stringValue: ...}` and so on; anything else counts as null (the encoding check reports it). */
export function otlpValue(value: unknown): OtlpValue {
  const map = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  if (typeof map['stringValue'] === 'string') return { type: 'string', value: map['stringValue'] };
  if (typeof map['boolValue'] === 'boolean') return { type: 'boolean', value: map['boolValue'] };
  if (map['intValue'] !== undefined) return { type: 'int', value: integerOf(map['intValue']) };
  if (map['doubleValue'] !== undefined) return { type: 'double', value: map['doubleValue'] };
  if (map['arrayValue'] !== undefined) {
    const values = (map['arrayValue'] as { values?: unknown } | null)?.values;
    return { type: 'array', value: Array.isArray(values) ? values.map(otlpValue) : [] };
  }
  if (map['kvlistValue'] !== undefined)
    return { type: 'kvlist', value: (map['kvlistValue'] as { values?: unknown } | null)?.values };
  return map['bytesValue'] === undefined ? { type: 'null', value: null } : { type: 'bytes', value: map['bytesValue'] };
}

/** A list of KeyValue as a map; later duplicates win. */
export function attributeMap(list: unknown): Map<string, OtlpValue> {
  const map = new Map<string, OtlpValue>();
  if (!Array.isArray(list)) return map;
  for (const item of list as readonly unknown[]) {
    const pair = item as { key?: unknown; value?: unknown } | null;
    if (typeof pair?.key === 'string') map.set(pair.key, otlpValue(pair.value));
  }
  return map;
}

/** A body (AnyValue) as plain JSON, for checking against an event's JSON Schema. 64-bit integers become numbers where they fit. */
export function plainValue(value: OtlpValue): unknown {
  switch (value.type) {
    case 'int': {
      const number = Number(value.value);
      return Number.isSafeInteger(number) ? number : String(value.value);
    }
    case 'array':
      return (value.value as readonly OtlpValue[]).map(plainValue);
    case 'kvlist':
      return Object.fromEntries([...attributeMap(value.value)].map(([key, item]) => [key, plainValue(item)]));
    default:
      return value.value;
  }
}

/** What is wrong with one attribute's value by the registry: type, enum member, deprecated name. */
export function attributeIssues(name: string, value: OtlpValue, definition: AttributeDefinition): SampleIssue[] {
  const issues: SampleIssue[] = [];
  if (definition.deprecated !== undefined) {
    const { renamedTo } = definition.deprecated;
    issues.push({
      rule: 'telemetry-sample-deprecated',
      subject: name,
      message: `The samples use the deprecated attribute \`${name}\`.`,
      fix: renamedTo === undefined ? (definition.deprecated.note ?? 'Stop sending it.') : `Send \`${renamedTo}\` instead.`,
    });
  }
  const expected = definition.type.kind === 'enum' ? enumValueType(definition.type.members.values()) : definition.type.name;
  if (!fits(value, expected)) {
    issues.push({
      rule: 'telemetry-sample-type-mismatch',
      subject: name,
      message: `The samples send \`${name}\` as ${typeText(value)}, the registry says ${expected}.`,
      fix: `Send it as ${expected}.`,
    });
    return issues;
  }
  if (definition.type.kind === 'enum' && value.type !== 'null') {
    const member = [...definition.type.members.values()].find((item) => String(item.value) === String(value.value));
    if (member === undefined) {
      const known = [...definition.type.members.values()].map((item) => String(item.value));
      issues.push({
        rule: 'telemetry-sample-enum-undefined',
        subject: name,
        message: `The samples send \`${name}\` = ${JSON.stringify(String(value.value).slice(0, 80))}, which is no member of the enum.`,
        fix: () => {
          const guess = nearest(String(value.value), known);
          return guess === undefined
            ? `Use one of ${known.slice(0, 12).join(', ')}, or add the member to the registry.`
            : `Did you mean ${JSON.stringify(guess)}? Else add the member to the registry.`;
        },
      });
    } else if (member.deprecated !== undefined) {
      issues.push({
        rule: 'telemetry-sample-deprecated',
        subject: name,
        message: `The samples send the deprecated value ${JSON.stringify(member.value)} of \`${name}\`.`,
        fix: member.deprecated.renamedTo ?? member.deprecated.note ?? 'Send another value.',
      });
    }
  }
  return issues;
}

/** JavaScript SDKs write whole doubles as intValue (weaver#1323): an int is taken where a double is declared. */
function fits(value: OtlpValue, expected: string): boolean {
  if (expected === 'any' || expected === 'undefined' || value.type === 'null') return true;
  if (expected.endsWith('[]'))
    return value.type === 'array' && (value.value as readonly OtlpValue[]).every((item) => fits(item, expected.slice(0, -2)));
  const inner = /^template\[(?<type>.+)\]$/.exec(expected)?.groups?.['type'];
  if (inner !== undefined) return fits(value, inner);
  return value.type === expected || (expected === 'double' && value.type === 'int');
}

function typeText(value: OtlpValue): string {
  if (value.type !== 'array') return value.type;
  const types = new Set((value.value as readonly OtlpValue[]).map((item) => item.type));
  return types.size === 1 ? `${[...types][0]!}[]` : 'a list of mixed types';
}

/** The definition of a name, also by template: `x.y.<key>` for `x.y` of a template type. */
export function definitionOf(registry: Registry, name: string): AttributeDefinition | undefined {
  const direct = registry.attributes.get(name);
  if (direct !== undefined) return direct;
  for (let end = name.lastIndexOf('.'); end > 0; end = name.lastIndexOf('.', end - 1)) {
    const parent = registry.attributes.get(name.slice(0, end));
    if (parent?.type.kind === 'scalar' && parent.type.name.startsWith('template[')) return parent;
  }
  return undefined;
}

/** Required attributes that a data point lacks. */
export function missingAttributes(metric: Metric, present: ReadonlyMap<string, OtlpValue>): readonly SignalAttribute[] {
  return [...metric.attributes.values()].filter(
    (attribute) => attribute.requirement === 'required' && !present.has(attribute.name),
  );
}
