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
    compare(walk, before.schema, after.schema, [], [], '', 0);
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

/** Follows `#/...` references; the path of the target comes along, so that locations point at the definition. */
function resolve(root: JsonObject, schema: Json | undefined, path: Path): { schema: Json | undefined; path: Path } {
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

/** Open: unknown properties are allowed; closed: they are refused; partial: they must match a schema or pattern. */
export function contentModel(schema: JsonObject): 'open' | 'closed' | 'partial' {
  const additional = schema['additionalProperties'] ?? schema['unevaluatedProperties'];
  if (additional === false) return schema['patternProperties'] === undefined ? 'closed' : 'partial';
  return additional === undefined || additional === true ? 'open' : 'partial';
}

function compareObjects(
  walk: Walk,
  b: JsonObject,
  a: JsonObject,
  basePath: Path,
  headPath: Path,
  field: string,
  depth: number,
  say: Say,
): void {
  const was = asMap(b['properties']) ?? {};
  const is = asMap(a['properties']) ?? {};
  const required = (schema: JsonObject): ReadonlySet<string> =>
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
  if (isObject(extraBefore) && isObject(extraAfter))
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
