import type { Path, SourceDocument } from '../../config/document.ts';
import { isObject, type Json, type JsonObject } from '../../core/json.ts';
import { type Change, compareChanges } from '../diff/change.ts';
import { asMap, compareEnums, compareLimits, compareTypes, type Say, same, short } from './keywords.ts';
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
    compare(walk, { base: { schema: before.schema, path: [] }, head: { schema: after.schema, path: [] }, field: '', depth: 0 });
  }
  return changes.sort(compareChanges);
}

interface Walk {
  readonly event: string;
  readonly item: string;
  readonly before: SourceDocument;
  readonly after: SourceDocument;
  readonly baseRoot: JsonObject;
  readonly headRoot: JsonObject;
  readonly changes: Change[];
  readonly visited: Set<string>;
}

interface SchemaAt {
  readonly schema: Json | undefined;
  readonly path: Path;
}

/** A schema in both versions. */
interface Place {
  readonly base: SchemaAt;
  readonly head: SchemaAt;
  /** Dotted name in the event; empty for the event itself. */
  readonly field: string;
  readonly depth: number;
}

/** Two versions of a schema that are mappings, references followed, and where what is found about them is said. */
interface Pair {
  readonly walk: Walk;
  readonly b: JsonObject;
  readonly a: JsonObject;
  readonly place: Place;
  /** `The field `a.b` of `event``, or the event. */
  readonly label: string;
  readonly say: Say;
}

/** Keywords that are compared as a whole: what a change of them means only the values they meet can tell. */
const OPAQUE = [
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
] as const;

/** Follows `#/...` references; the path of the target comes along, so that locations point at the definition. */
function resolve(root: JsonObject, { schema, path }: SchemaAt): SchemaAt {
  let current = schema;
  let at = path;
  for (let hops = 0; hops < 32; hops += 1) {
    const ref = isObject(current) ? current['$ref'] : undefined;
    if (typeof ref !== 'string' || !ref.startsWith('#')) break;
    const steps = ref
      .slice(1)
      .split('/')
      .slice(1)
      .map((step) => decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~'));
    let target: Json | undefined = root;
    for (const step of steps) target = isObject(target) ? target[step] : undefined;
    if (target === undefined) break;
    current = target;
    at = steps;
  }
  return { schema: current, path: at };
}

function compare(walk: Walk, unresolved: Place): void {
  const { field, depth } = unresolved;
  if (depth > MAX_DEPTH || walk.changes.length > MAX_CHANGES) return;
  const base = resolve(walk.baseRoot, unresolved.base);
  const head = resolve(walk.headRoot, unresolved.head);
  const key = `${base.path.join('/')} ${head.path.join('/')} ${field.split('.').length > 6 ? '' : field}`;
  if (walk.visited.has(key)) return;
  walk.visited.add(key);
  const b = asMap(base.schema);
  const a = asMap(head.schema);
  if (b === undefined || a === undefined) return;
  const say: Say = (rule, what) => {
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
          ? walk.before.locate(what.path ?? base.path)
          : walk.after.locate(what.path ?? [...head.path, what.keyword]),
      touches: { metrics: [], ...(name === '' ? {} : { eventPath: name }) },
    });
  };
  const label = field === '' ? `The event \`${walk.event}\`` : `The field \`${field}\` of \`${walk.event}\``;
  compareTypes(b, a, label, say);
  compareEnums(b, a, label, say);
  compareLimits(b, a, label, say);
  const pair: Pair = { walk, b, a, place: { base, head, field, depth }, label, say };
  compareProperties(pair);
  compareRequired(pair);
  compareContentModels(pair);
  if (isObject(b['additionalProperties']) && isObject(a['additionalProperties']))
    compareBelow(pair, ['additionalProperties'], nameOf(field, '*'));
  if (b['items'] !== undefined && a['items'] !== undefined) compareBelow(pair, ['items'], field === '' ? '[]' : field);
  for (const keyword of OPAQUE) {
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

/** Compares what both versions have below a pair. */
function compareBelow({ walk, b, a, place }: Pair, steps: readonly string[], field: string): void {
  const below = (schema: JsonObject, path: Path): SchemaAt => ({
    schema: steps.reduce<Json | undefined>((current, step) => (isObject(current) ? current[step] : undefined), schema),
    path: [...path, ...steps],
  });
  compare(walk, { base: below(b, place.base.path), head: below(a, place.head.path), field, depth: place.depth + 1 });
}

function nameOf(field: string, property: string): string {
  return field === '' ? property : `${field}.${property}`;
}

/** Open: unknown properties are allowed; closed: they are refused; partial: they must match a schema or pattern. */
export function contentModel(schema: JsonObject): 'open' | 'closed' | 'partial' {
  const additional = schema['additionalProperties'] ?? schema['unevaluatedProperties'];
  if (additional === false) return schema['patternProperties'] === undefined ? 'closed' : 'partial';
  return additional === undefined || additional === true ? 'open' : 'partial';
}

function compareProperties(pair: Pair): void {
  const { walk, b, a, place, say } = pair;
  const was = asMap(b['properties']) ?? {};
  const is = asMap(a['properties']) ?? {};
  const after = contentModel(a);
  for (const property of Object.keys(was)) {
    const name = nameOf(place.field, property);
    if (Object.hasOwn(is, property)) {
      compareBelow(pair, ['properties', property], name);
      continue;
    }
    say('telemetry-event-field-removed', {
      keyword: 'field',
      field: name,
      was: property,
      is: '',
      inBase: true,
      path: [...place.base.path, 'properties', property],
      breaks: after === 'open' ? 'consumer' : 'both',
      message: `The field \`${name}\` of \`${walk.event}\` is gone${after === 'closed' ? ', and the closed schema now refuses events that still have it' : ''}.`,
      fix: 'Keep the field until no reader uses it; then make it optional, then remove it.',
    });
  }
  if (contentModel(b) !== 'closed') return;
  for (const property of Object.keys(is)) {
    if (Object.hasOwn(was, property)) continue;
    const name = nameOf(place.field, property);
    say('telemetry-event-field-added', {
      keyword: 'field',
      field: name,
      was: '',
      is: property,
      path: [...place.head.path, 'properties', property],
      breaks: 'consumer',
      message: `The field \`${name}\` was added to \`${walk.event}\`, whose readers refuse unknown fields (additionalProperties: false in base).`,
      fix: 'Open the content model in one release, add the field in the next.',
    });
  }
}

function requiredOf(schema: JsonObject): ReadonlySet<string> {
  const { required } = schema;
  return new Set(Array.isArray(required) ? required.filter((item): item is string => typeof item === 'string') : []);
}

function compareRequired({ walk, b, a, place, say }: Pair): void {
  const before = requiredOf(b);
  const after = requiredOf(a);
  const { path } = place.head;
  for (const property of after) {
    if (before.has(property)) continue;
    const name = nameOf(place.field, property);
    say('telemetry-event-field-required', {
      keyword: 'required',
      field: name,
      was: 'optional',
      is: 'required',
      path: [...path, 'required'],
      breaks: 'producer',
      message: `The field \`${name}\` of \`${walk.event}\` became required: clusters not yet upgraded send events without it.`,
      fix: 'Send it everywhere first, then require it.',
    });
  }
  for (const property of before) {
    if (after.has(property) || !Object.hasOwn(asMap(a['properties']) ?? {}, property)) continue;
    const name = nameOf(place.field, property);
    say('telemetry-event-field-optional', {
      keyword: 'required',
      field: name,
      was: 'required',
      is: 'optional',
      path: [...path, 'properties', property],
      breaks: 'consumer',
      message: `The field \`${name}\` of \`${walk.event}\` is no longer required: readers that rely on it fail.`,
      fix: 'Keep it required, or make the readers cope first.',
    });
  }
}

function compareContentModels({ b, a, label, say }: Pair): void {
  const before = contentModel(b);
  const after = contentModel(a);
  if (before === after) return;
  const tighter = after === 'closed' || (after === 'partial' && before === 'open');
  const named = (model: string): string => (model === 'open' ? 'an open' : `a ${model}`);
  say('telemetry-event-content-model-changed', {
    keyword: 'additionalProperties',
    was: before,
    is: after,
    breaks: tighter ? 'producer' : 'consumer',
    severity: tighter ? 'fail' : 'warn',
    message: `${label} went from ${named(before)} to ${named(after)} content model.`,
    fix: tighter ? 'Stay open while a cluster may send more fields.' : 'Check that readers ignore unknown fields.',
  });
}
