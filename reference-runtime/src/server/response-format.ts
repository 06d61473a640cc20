// `response_format` of a request: JSON Schema as OpenAI takes it, brought into the dialect of node-llama-cpp's grammar compiler. A keyword
// that the grammar can't enforce is refused by name: an answer that only looks checked is worse than none. Every declared property is
// generated, whether required or not, and no other: such an object is valid wherever the schema allows fewer or more.
import type { ResponseFormat } from '../engine/types.ts';
import { badRequest, HttpError } from './errors.ts';
import { checkBounds, type Json, SchemaBoundsError } from './schema-bounds.ts';

const MAX_CHARS = 65_536;
const MAX_NODES = 1000;
const MAX_DEPTH = 32;
/** Of the JSON text, where each schema takes up to two levels. */
const MAX_JSON_DEPTH = 128;
/** Repetitions that llama.cpp's grammars take. */
const MAX_REPEAT = 999;
/** Say nothing about what is valid. */
const ANNOTATIONS = new Set(['$schema', '$id', '$comment', 'title', 'description', 'default', 'examples', 'deprecated']);
/** Enforced, each beside some of the others. */
const KEYWORDS = new Set([
  ...['type', '$ref', '$defs', 'anyOf', 'enum', 'const', 'properties', 'required', 'additionalProperties'],
  ...['items', 'minItems', 'maxItems', 'minLength', 'maxLength', 'format'],
]);
const BASIC = new Set(['string', 'number', 'integer', 'boolean', 'null']);
const FORMATS = ['date-time', 'time', 'date'];

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuse(at: string, why: string): never {
  throw badRequest(
    `response_format: the schema at ${at === '' ? 'its root' : at} ${why}`,
    'response_format',
    'unsupported_value',
  );
}

/** A text that the grammar compiler writes as JSON has it: no lone surrogates, and no control characters but tab and line breaks. */
function isWritable(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.isWellFormed() && !/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text);
}

/** The whole schema as a definition, for `$ref: "#"`. */
const ROOT = '#';

/** Translates one schema; counts nodes over the whole document. */
class Translation {
  #nodes = 0;
  readonly #refs = new Map<string, string>();

  /** The whole document. */
  document(schema: Json): Json {
    const root = this.translate(schema, '', 0);
    const defs: Json = this.#defs(schema);
    for (const [name, at] of this.#refs) {
      if (name === ROOT) defs[ROOT] = root;
      else if (!Object.hasOwn(defs, name)) refuse(at, `refers to #/$defs/${name}, which is not there`);
    }
    const out: Json = this.#refs.has(ROOT) ? { $ref: `#/$defs/${ROOT}` } : { ...root };
    if (Object.keys(defs).length > 0) out['$defs'] = defs;
    try {
      checkBounds(out);
    } catch (error) {
      if (error instanceof SchemaBoundsError) refuse('', error.message);
      throw error;
    }
    return out;
  }

  translate(schema: unknown, at: string, depth: number): Json {
    if (!isObject(schema)) refuse(at, 'must be an object');
    if (++this.#nodes > MAX_NODES || depth > MAX_DEPTH)
      refuse(at, `is too large: at most ${MAX_NODES} parts, nested ${MAX_DEPTH} deep`);
    const keys = Object.keys(schema).filter((key) => !ANNOTATIONS.has(key));
    const only = (...known: string[]): void => {
      const other = keys.find((key) => !known.includes(key) && key !== '$defs');
      if (other === undefined) return;
      refuse(at, `has ${other}, which cannot be enforced here${KEYWORDS.has(other) ? ` together with ${known[0]}` : ''}`);
    };
    const ref = schema['$ref'];
    if (typeof ref === 'string') {
      only('$ref');
      // What a $ref names is a definition of the root (JSON Schema 2020-12, section 8.2.3); those further down cannot be named.
      const name = ref === '#' ? ROOT : /^#\/\$defs\/(?<name>[^/~%#]+)$/.exec(ref)?.groups?.['name'];
      if (name === undefined) refuse(at, 'has a $ref; it must be # or #/$defs/NAME');
      if (!this.#refs.has(name)) this.#refs.set(name, at);
      return { $ref: `#/$defs/${name}` };
    }
    if (Array.isArray(schema['anyOf'])) {
      only('anyOf');
      if (schema['anyOf'].length === 0) refuse(at, 'has an empty anyOf');
      // Whatever one alternative generates is valid under anyOf.
      return { oneOf: schema['anyOf'].map((entry, index) => this.translate(entry, `${at}/anyOf/${index}`, depth + 1)) };
    }
    for (const key of ['enum', 'const'] as const) {
      if (schema[key] === undefined) continue;
      only(key, 'type');
      const values = key === 'enum' ? schema[key] : [schema[key]];
      if (!Array.isArray(values) || values.length === 0 || values.length > MAX_NODES || values.some(isNested))
        refuse(at, `has ${key}; expected 1 to ${MAX_NODES} strings, numbers, booleans or nulls`);
      if (
        values.some((entry) =>
          typeof entry === 'string' ? !isWritable(entry) : typeof entry === 'number' && !Number.isFinite(entry),
        )
      )
        refuse(
          at,
          `has ${key} with a value that cannot be written: a control character, half a surrogate pair or an infinite number`,
        );
      return { enum: values };
    }
    const type = schema['type'];
    if (type === 'object') return this.#object(schema, at, depth, only);
    if (type === 'array') return this.#array(schema, at, depth, only);
    if (type === 'string') return this.#string(schema, at, only);
    const types = Array.isArray(type) ? type : [type];
    if (types.length === 0 || !types.every((entry) => typeof entry === 'string' && BASIC.has(entry)))
      refuse(at, 'has no type this runtime knows; expected object, array, string, number, integer, boolean or null');
    only('type');
    return { type };
  }

  #defs(schema: Json): Json {
    const defs = schema['$defs'] ?? {};
    if (!isObject(defs)) refuse('/$defs', 'must be an object');
    return Object.fromEntries(Object.entries(defs).map(([name, entry]) => [name, this.translate(entry, `/$defs/${name}`, 1)]));
  }

  #object(schema: Json, at: string, depth: number, only: (...known: string[]) => void): Json {
    only('type', 'properties', 'required', 'additionalProperties');
    const properties = schema['properties'] ?? {};
    if (!isObject(properties)) refuse(`${at}/properties`, 'must be an object');
    const required = schema['required'] ?? [];
    const unwritable = Object.keys(properties).find((name) => !isWritable(name));
    if (unwritable !== undefined)
      refuse(`${at}/properties`, `has the name ${JSON.stringify(unwritable)}, which cannot be written`);
    const missing = Array.isArray(required) ? required.find((name) => !Object.hasOwn(properties, String(name))) : required;
    if (missing !== undefined) refuse(`${at}/required`, `names ${String(missing)}, which is not among the properties`);
    return {
      type: 'object',
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, entry]) => [name, this.translate(entry, `${at}/properties/${name}`, depth + 1)]),
      ),
    };
  }

  #array(schema: Json, at: string, depth: number, only: (...known: string[]) => void): Json {
    only('type', 'items', 'minItems', 'maxItems');
    if (schema['items'] === undefined) refuse(at, 'is an array without items: say what its items are');
    return {
      type: 'array',
      items: this.translate(schema['items'], `${at}/items`, depth + 1),
      ...bounds(schema, at, 'minItems', 'maxItems'),
    };
  }

  #string(schema: Json, at: string, only: (...known: string[]) => void): Json {
    if (schema['format'] === undefined) {
      only('type', 'minLength', 'maxLength');
      return { type: 'string', ...bounds(schema, at, 'minLength', 'maxLength') };
    }
    only('type', 'format');
    if (!FORMATS.includes(String(schema['format'])))
      refuse(at, `has format ${String(schema['format'])}; known: ${FORMATS.join(', ')}`);
    return { type: 'string', format: schema['format'] };
  }
}

function isNested(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function bounds(schema: Json, at: string, low: string, high: string): Json {
  const out: Json = {};
  for (const key of [low, high]) {
    const value = schema[key];
    if (value === undefined) continue;
    if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > MAX_REPEAT)
      refuse(at, `has ${key}; expected an integer from 0 to ${MAX_REPEAT}`);
    out[key] = value;
  }
  if (Number(out[low] ?? 0) > Number(out[high] ?? Number.POSITIVE_INFINITY)) refuse(at, `has ${low} above ${high}`);
  return out;
}

/** A format, undefined for plain text; and why the local grammars cannot enforce it, where another server may. */
export interface ReadFormat {
  format: ResponseFormat | undefined;
  refusal?: HttpError;
}

/** The schema in the grammar compiler's dialect, or the refusal of what it cannot enforce. */
function translated(schema: Json): { schema: Json } | { refusal: HttpError } {
  try {
    return { schema: new Translation().document(schema) };
  } catch (error) {
    if (error instanceof HttpError) return { refusal: error };
    throw error;
  }
}

/** The format of a request. @throws HttpError 400 for what is no format, or larger than any server should be given */
export function readResponseFormat(value: unknown): ReadFormat {
  if (value === undefined || value === null) return { format: undefined };
  const type = isObject(value) ? value['type'] : undefined;
  if (type === 'text') return { format: undefined };
  if (type === 'json_object') return { format: { kind: 'json_object' } };
  const given = isObject(value) ? value['json_schema'] : undefined;
  if (type !== 'json_schema' || !isObject(given) || !isObject(given['schema']) || typeof given['name'] !== 'string')
    throw badRequest(
      'response_format: expected {"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "json_schema": {"name", "schema"}}',
      'response_format',
    );
  const schema = given['schema'];
  if (isTooLarge(schema)) refuse('', `is too large: at most ${MAX_CHARS} characters, nested ${MAX_JSON_DEPTH} deep`);
  const { refusal, ...local } = { refusal: undefined, ...translated(schema) };
  const { name, strict, description } = given;
  return {
    format: {
      kind: 'json_schema',
      name: String(name).slice(0, 64),
      ...local,
      original: schema,
      ...(typeof strict === 'boolean' ? { strict } : {}),
      ...(typeof description === 'string' ? { description } : {}),
    },
    ...(refusal === undefined ? {} : { refusal }),
  };
}

/** Without recursion: a body of brackets alone must not end the call stack. */
function isTooLarge(schema: Json): boolean {
  let level: unknown[] = [schema];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_JSON_DEPTH) return true;
    level = level.flatMap((value) => (isNested(value) ? Object.values(value as object).filter(isNested) : []));
  }
  return JSON.stringify(schema).length > MAX_CHARS;
}
