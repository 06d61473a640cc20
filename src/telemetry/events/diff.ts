import type { Path, SourceDocument } from '../../config/document.ts';
import { canonicalJson, type Json } from '../../core/json.ts';
import { type Breaks, type Change, compareChanges } from '../diff/change.ts';
import { isMap, type JsonMap } from '../registry/fields.ts';
import type { TelemetryRule } from '../rules.ts';
import type { EventSchema } from './load.ts';

const MAX_DEPTH = 48;
const MAX_CHANGES = 500;

/** Field-level differences of event payloads that break a reader or a writer. Widening what may come breaks readers, narrowing it writers. */
export function diffEventSchemas(base: ReadonlyMap<string, EventSchema>, head: ReadonlyMap<string, EventSchema>): Change[] {
  const changes: Change[] = [];
  for (const [name, before] of base) {
    const after = head.get(name);
    const item = `event schema ${name}`;
    if (after === undefined) {
      changes.push({
        rule: 'telemetry-event-schema-removed',
        item,
        subject: name,
        field: 'schema',
        before: before.document.file,
        after: '',
        breaks: 'consumer',
        severity: 'fail',
        message: `The schema of the event \`${name}\` is gone.`,
        fix: 'Keep it until nothing reads the event.',
        location: { file: before.document.file, line: 1 },
        inBase: true,
        touches: { metrics: [] },
      });
      continue;
    }
    const walk: Walk = {
      event: name,
      item,
      before: before.document,
      after: after.document,
      baseRoot: before.schema,
      headRoot: after.schema,
      changes,
      visited: new Set(),
    };
    compare(walk, before.schema, after.schema, [], [], '', 0);
  }
  return changes.sort(compareChanges);
}

interface Walk {
  readonly event: string;
  readonly item: string;
  readonly before: SourceDocument;
  readonly after: SourceDocument;
  readonly baseRoot: JsonMap;
  readonly headRoot: JsonMap;
  readonly changes: Change[];
  readonly visited: Set<string>;
}

/** Follows `#/...` references; the path of the target comes along, so that locations point at the definition. */
function resolve(root: JsonMap, schema: Json | undefined, path: Path): { schema: Json | undefined; path: Path } {
  let current = schema;
  let at = path;
  for (let hops = 0; hops < 32; hops += 1) {
    const ref = isMap(current) ? current['$ref'] : undefined;
    if (typeof ref !== 'string' || !ref.startsWith('#')) break;
    const steps = ref
      .slice(1)
      .split('/')
      .slice(1)
      .map((step) => decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~'));
    let target: Json | undefined = root;
    for (const step of steps) target = isMap(target) ? target[step] : undefined;
    if (target === undefined) break;
    current = target;
    at = steps;
  }
  return { schema: current, path: at };
}

function compare(
  walk: Walk,
  baseSchema: Json | undefined,
  headSchema: Json | undefined,
  basePath: Path,
  headPath: Path,
  field: string,
  depth: number,
): void {
  if (depth > MAX_DEPTH || walk.changes.length > MAX_CHANGES) return;
  const before = resolve(walk.baseRoot, baseSchema, basePath);
  const after = resolve(walk.headRoot, headSchema, headPath);
  const key = `${before.path.join('/')} ${after.path.join('/')} ${field.split('.').length > 6 ? '' : field}`;
  if (walk.visited.has(key)) return;
  walk.visited.add(key);
  const b = asMap(before.schema);
  const a = asMap(after.schema);
  if (b === undefined || a === undefined) return;
  const say = (
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
  ): void => {
    const name = what.field ?? field;
    walk.changes.push({
      rule,
      item: walk.item,
      subject: name === '' ? walk.event : `${walk.event}.${name}`,
      field: name === '' ? what.keyword : `${name} ${what.keyword}`,
      before: what.was,
      after: what.is,
      breaks: what.breaks,
      severity: what.severity ?? 'fail',
      message: what.message,
      fix: what.fix,
      inBase: what.inBase ?? false,
      location:
        what.inBase === true
          ? walk.before.locate(what.path ?? before.path)
          : walk.after.locate(what.path ?? [...after.path, what.keyword]),
      touches: { metrics: [], ...(name === '' ? {} : { eventPath: name }) },
    });
  };
  const label = field === '' ? `The event \`${walk.event}\`` : `The field \`${field}\` of \`${walk.event}\``;
  compareTypes(b, a, label, say);
  compareEnums(b, a, label, say);
  compareLimits(b, a, label, say);
  compareObjects(walk, b, a, before.path, after.path, field, depth, say);
  if (b['items'] !== undefined && a['items'] !== undefined)
    compare(
      walk,
      b['items'],
      a['items'],
      [...before.path, 'items'],
      [...after.path, 'items'],
      field === '' ? '[]' : field,
      depth + 1,
    );
  for (const keyword of [
    'oneOf',
    'anyOf',
    'allOf',
    'not',
    'if',
    'then',
    'else',
    'prefixItems',
    'contains',
    'dependentRequired',
    'propertyNames',
    'patternProperties',
  ] as const) {
    if (same(b[keyword], a[keyword])) continue;
    say('telemetry-event-constraint-changed', {
      keyword,
      was: short(b[keyword]),
      is: short(a[keyword]),
      breaks: 'both',
      severity: 'warn',
      message: `${label} changed its \`${keyword}\`; which side breaks cannot be told from the schema alone.`,
      fix: 'Check it by hand, or express it with properties and types.',
    });
  }
}

type Say = (
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

function asMap(schema: Json | undefined): JsonMap | undefined {
  return schema === true || schema === undefined ? {} : isMap(schema) ? schema : undefined;
}

function typesOf(schema: JsonMap): ReadonlySet<string> | undefined {
  const type = schema['type'];
  if (typeof type === 'string') return new Set([type]);
  return Array.isArray(type) ? new Set(type.filter((item): item is string => typeof item === 'string')) : undefined;
}

/** `number` allows integers. */
function allows(types: ReadonlySet<string> | undefined, type: string): boolean {
  return types === undefined || types.has(type) || (type === 'integer' && types.has('number'));
}

function compareTypes(b: JsonMap, a: JsonMap, label: string, say: Say): void {
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

function compareEnums(b: JsonMap, a: JsonMap, label: string, say: Say): void {
  const values = (schema: JsonMap): readonly string[] | undefined => {
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

function compareLimits(b: JsonMap, a: JsonMap, label: string, say: Say): void {
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

/** Open: unknown properties are allowed; closed: they are refused; partial: they must match a schema or pattern. */
export function contentModel(schema: JsonMap): 'open' | 'closed' | 'partial' {
  const additional = schema['additionalProperties'] ?? schema['unevaluatedProperties'];
  if (additional === false) return schema['patternProperties'] === undefined ? 'closed' : 'partial';
  return additional === undefined || additional === true ? 'open' : 'partial';
}

function compareObjects(
  walk: Walk,
  b: JsonMap,
  a: JsonMap,
  basePath: Path,
  headPath: Path,
  field: string,
  depth: number,
  say: Say,
): void {
  const was = asMap(b['properties']) ?? {};
  const is = asMap(a['properties']) ?? {};
  const required = (schema: JsonMap): ReadonlySet<string> =>
    new Set(
      Array.isArray(schema['required']) ? schema['required'].filter((item): item is string => typeof item === 'string') : [],
    );
  const mustBefore = required(b);
  const mustAfter = required(a);
  const before = contentModel(b);
  const after = contentModel(a);
  const nameOf = (property: string): string => (field === '' ? property : `${field}.${property}`);
  for (const [property, schema] of Object.entries(was)) {
    const name = nameOf(property);
    if (Object.hasOwn(is, property)) {
      compare(
        walk,
        schema,
        is[property],
        [...basePath, 'properties', property],
        [...headPath, 'properties', property],
        name,
        depth + 1,
      );
      continue;
    }
    say('telemetry-event-field-removed', {
      keyword: 'field',
      field: name,
      was: property,
      is: '',
      inBase: true,
      path: [...basePath, 'properties', property],
      breaks: after === 'open' ? 'consumer' : 'both',
      message: `The field \`${name}\` of \`${walk.event}\` is gone${after === 'closed' ? ', and the closed schema now refuses events that still have it' : ''}.`,
      fix: 'Keep the field until no reader uses it; then make it optional, then remove it.',
    });
  }
  for (const property of Object.keys(is)) {
    if (Object.hasOwn(was, property) || before !== 'closed') continue;
    say('telemetry-event-field-added', {
      keyword: 'field',
      field: nameOf(property),
      was: '',
      is: property,
      path: [...headPath, 'properties', property],
      breaks: 'consumer',
      message: `The field \`${nameOf(property)}\` was added to \`${walk.event}\`, whose readers refuse unknown fields (additionalProperties: false in base).`,
      fix: 'Open the content model in one release, add the field in the next.',
    });
  }
  for (const property of mustAfter) {
    if (mustBefore.has(property)) continue;
    say('telemetry-event-field-required', {
      keyword: 'required',
      field: nameOf(property),
      was: 'optional',
      is: 'required',
      path: [...headPath, 'required'],
      breaks: 'producer',
      message: `The field \`${nameOf(property)}\` of \`${walk.event}\` became required: clusters not yet upgraded send events without it.`,
      fix: 'Send it everywhere first, then require it.',
    });
  }
  for (const property of mustBefore) {
    if (mustAfter.has(property) || !Object.hasOwn(is, property)) continue;
    say('telemetry-event-field-optional', {
      keyword: 'required',
      field: nameOf(property),
      was: 'required',
      is: 'optional',
      path: [...headPath, 'properties', property],
      breaks: 'consumer',
      message: `The field \`${nameOf(property)}\` of \`${walk.event}\` is no longer required: readers that rely on it fail.`,
      fix: 'Keep it required, or make the readers cope first.',
    });
  }
  if (before !== after) {
    const tighter = after === 'closed' || (after === 'partial' && before === 'open');
    say('telemetry-event-content-model-changed', {
      keyword: 'additionalProperties',
      was: before,
      is: after,
      breaks: tighter ? 'producer' : 'consumer',
      severity: tighter ? 'fail' : 'warn',
      message:
        `${field === '' ? `The event \`${walk.event}\`` : `The field \`${field}\` of \`${walk.event}\``} went from a ${before} to a ${after === 'open' ? 'n open' : after} content model.`
          .replace('a n open', 'an open')
          .replace('from a open', 'from an open'),
      fix: tighter ? 'Stay open while a cluster may send more fields.' : 'Check that readers ignore unknown fields.',
    });
  }
  const extraBefore = b['additionalProperties'];
  const extraAfter = a['additionalProperties'];
  if (isMap(extraBefore) && isMap(extraAfter))
    compare(
      walk,
      extraBefore,
      extraAfter,
      [...basePath, 'additionalProperties'],
      [...headPath, 'additionalProperties'],
      nameOf('*'),
      depth + 1,
    );
}

function same(a: Json | undefined, b: Json | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && canonicalJson(a) === canonicalJson(b));
}

function short(value: Json | undefined): string {
  if (value === undefined) return 'none';
  const text = canonicalJson(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
