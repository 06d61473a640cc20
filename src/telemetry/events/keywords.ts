import type { Path } from '../../config/document.ts';
import { canonicalJson, isObject, type Json, type JsonObject } from '../../core/json.ts';
import { shorten } from '../../core/text.ts';
import type { Breaks, Change } from '../diff/change.ts';
import type { TelemetryRule } from '../rules.ts';

/** Reports one difference at the field that is being compared. */
export type Say = (
  rule: TelemetryRule,
  what: {
    keyword: string;
    was: string;
    is: string;
    breaks: Breaks;
    severity?: Change['severity'];
    message: string;
    fix: string;
    field?: string;
    inBase?: boolean;
    path?: Path;
  },
) => void;

/** A schema as a mapping; `true` and absence allow anything. */
export function asMap(schema: Json | undefined): JsonObject | undefined {
  return schema === true || schema === undefined ? {} : isObject(schema) ? schema : undefined;
}

function typesOf(schema: JsonObject): ReadonlySet<string> | undefined {
  const type = schema['type'];
  if (typeof type === 'string') return new Set([type]);
  return Array.isArray(type) ? new Set(type.filter((item): item is string => typeof item === 'string')) : undefined;
}

/** `number` allows integers. */
function allows(types: ReadonlySet<string> | undefined, type: string): boolean {
  return types === undefined || types.has(type) || (type === 'integer' && types.has('number'));
}

/** Says where types were narrowed (breaks producers) or widened (breaks consumers). `b`, `a`: base and head. */
export function compareTypes(b: JsonObject, a: JsonObject, label: string, say: Say): void {
  const before = typesOf(b);
  const after = typesOf(a);
  const narrowed = after !== undefined && (before === undefined || [...before].some((type) => !allows(after, type)));
  const widened = before !== undefined && (after === undefined || [...after].some((type) => !allows(before, type)));
  if (!narrowed && !widened) return;
  const text = (types: ReadonlySet<string> | undefined): string => (types === undefined ? 'any' : [...types].sort().join(' or '));
  say('telemetry-event-field-type-changed', {
    keyword: 'type',
    was: text(before),
    is: text(after),
    breaks: narrowed && widened ? 'both' : narrowed ? 'producer' : 'consumer',
    message: `${label} changed its type from ${text(before)} to ${text(after)}.`,
    fix: 'Keep the type, or add a new field beside it.',
  });
}

/** Says which values of an enum or const are gone (breaks producers) or new (breaks consumers). */
export function compareEnums(b: JsonObject, a: JsonObject, label: string, say: Say): void {
  const values = (schema: JsonObject): readonly string[] | undefined => {
    if (schema['const'] !== undefined) return [canonicalJson(schema['const'])];
    return Array.isArray(schema['enum']) ? schema['enum'].map((value) => canonicalJson(value)) : undefined;
  };
  const before = values(b);
  const after = values(a);
  if (before === undefined && after === undefined) return;
  const keyword = a['const'] === undefined ? 'enum' : 'const';
  const removed = (before ?? []).filter((value) => after !== undefined && !after.includes(value));
  const added = (after ?? []).filter((value) => before !== undefined && !before.includes(value));
  const was = before?.join(', ') ?? 'any';
  const is = after?.join(', ') ?? 'any';
  if (removed.length > 0 || before === undefined) {
    say('telemetry-event-enum-changed', {
      keyword,
      was,
      is,
      breaks: 'both',
      message:
        before === undefined
          ? `${label} now allows only ${is}.`
          : `${label} lost the ${removed.length === 1 ? 'value' : 'values'} ${removed.join(', ')}.`,
      fix: 'Keep the values until no cluster sends them.',
    });
  }
  if (added.length > 0 || after === undefined) {
    say('telemetry-event-enum-changed', {
      keyword: `${keyword} added`,
      was,
      is,
      breaks: 'consumer',
      severity: 'warn',
      message:
        after === undefined
          ? `${label} now allows any value, before ${was}.`
          : `${label} has the new ${added.length === 1 ? 'value' : 'values'} ${added.join(', ')}.`,
      fix: 'Check the readers that list its values.',
    });
  }
}

const UPPER = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'] as const;
const LOWER = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'] as const;
const OTHER = ['pattern', 'format', 'multipleOf', 'uniqueItems'] as const;

/** Says which limits of values became tighter (breaks producers) or looser (breaks consumers). */
export function compareLimits(b: JsonObject, a: JsonObject, label: string, say: Say): void {
  for (const keyword of [...UPPER, ...LOWER, ...OTHER]) {
    const before = b[keyword];
    const after = a[keyword];
    if (same(before, after)) continue;
    const upper = (UPPER as readonly string[]).includes(keyword);
    const numeric = upper || (LOWER as readonly string[]).includes(keyword);
    const tighter =
      before === undefined ||
      (after !== undefined && (!numeric || (upper ? Number(after) < Number(before) : Number(after) > Number(before))));
    say('telemetry-event-constraint-changed', {
      keyword,
      was: short(before),
      is: short(after),
      breaks: tighter ? 'producer' : 'consumer',
      severity: tighter ? 'fail' : 'warn',
      message: `${label} ${tighter ? 'tightened' : 'loosened'} \`${keyword}\` from ${short(before)} to ${short(after)}.`,
      fix: tighter
        ? 'Keep the old constraint until every cluster sends what fits the new one.'
        : 'Check that readers cope with the wider values.',
    });
  }
}

export function same(a: Json | undefined, b: Json | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && canonicalJson(a) === canonicalJson(b));
}

export function short(value: Json | undefined): string {
  if (value === undefined) return 'none';
  const text = canonicalJson(value);
  return shorten(text, 60);
}
