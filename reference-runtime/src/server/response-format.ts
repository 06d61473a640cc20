// `response_format` of a request: JSON Schema as OpenAI takes it, brought into the dialect of node-llama-cpp's grammar compiler. A keyword
// that the grammar can't enforce is refused by name: an answer that only looks checked is worse than none. Every declared property is
// generated, whether required or not, and no other: such an object is valid wherever the schema allows fewer or more.
import type { ResponseFormat } from '../engine/types.ts';
import { badRequest } from './errors.ts';

const MAX_CHARS = 65_536;
const MAX_NODES = 1000;
const MAX_DEPTH = 32;
/** Repetitions that a grammar unrolls. */
const MAX_REPEAT = 1024;
/** Say nothing about what is valid. */
const ANNOTATIONS = new Set(['$schema', '$id', '$comment', 'title', 'description', 'default', 'examples', 'deprecated']);
const BASIC = new Set(['string', 'number', 'integer', 'boolean', 'null']);
const FORMATS = ['date-time', 'time', 'date'];

type Json = Record<string, unknown>;

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

/** Translates one schema; counts nodes over the whole document. */
class Translation {
  #nodes = 0;

  translate(schema: unknown, at: string, depth: number): Json {
    if (!isObject(schema)) refuse(at, 'must be an object');
    if (++this.#nodes > MAX_NODES || depth > MAX_DEPTH)
      refuse(at, `is too large: at most ${MAX_NODES} parts, nested ${MAX_DEPTH} deep`);
    const keys = Object.keys(schema).filter((key) => !ANNOTATIONS.has(key));
    const only = (...known: string[]): void => {
      const other = keys.find((key) => !known.includes(key) && key !== '$defs');
      if (other !== undefined) refuse(at, `has ${other}, which cannot be enforced here together with ${known[0]}`);
    };
    const defs = this.#defs(schema, at, depth);
    if (typeof schema['$ref'] === 'string') {
      only('$ref');
      if (!schema['$ref'].startsWith('#/$defs/')) refuse(at, 'has a $ref; it must begin with #/$defs/');
      return { $ref: schema['$ref'], ...defs };
    }
    if (Array.isArray(schema['anyOf'])) {
      only('anyOf');
      // Whatever one alternative generates is valid under anyOf.
      return { oneOf: schema['anyOf'].map((entry, index) => this.translate(entry, `${at}/anyOf/${index}`, depth + 1)), ...defs };
    }
    for (const key of ['enum', 'const'] as const) {
      if (schema[key] === undefined) continue;
      only(key, 'type');
      const values = key === 'enum' ? schema[key] : [schema[key]];
      if (!Array.isArray(values) || values.length === 0 || values.length > MAX_NODES || values.some(isNested))
        refuse(at, `has ${key}; expected 1 to ${MAX_NODES} strings, numbers, booleans or nulls`);
      return { enum: values };
    }
    const type = schema['type'];
    if (type === 'object') return { ...this.#object(schema, at, depth, only), ...defs };
    if (type === 'array') return { ...this.#array(schema, at, depth, only), ...defs };
    if (type === 'string') return this.#string(schema, at, only);
    const types = Array.isArray(type) ? type : [type];
    if (types.length === 0 || !types.every((entry) => typeof entry === 'string' && BASIC.has(entry)))
      refuse(at, 'has no type this runtime knows; expected object, array, string, number, integer, boolean or null');
    only('type');
    return { type };
  }

  #defs(schema: Json, at: string, depth: number): { $defs?: Json } {
    const defs = schema['$defs'];
    if (defs === undefined) return {};
    if (!isObject(defs)) refuse(`${at}/$defs`, 'must be an object');
    return {
      $defs: Object.fromEntries(
        Object.entries(defs).map(([name, entry]) => [name, this.translate(entry, `${at}/$defs/${name}`, depth + 1)]),
      ),
    };
  }

  #object(schema: Json, at: string, depth: number, only: (...known: string[]) => void): Json {
    only('type', 'properties', 'required', 'additionalProperties');
    const properties = schema['properties'] ?? {};
    if (!isObject(properties)) refuse(`${at}/properties`, 'must be an object');
    const required = schema['required'] ?? [];
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

/** The format of a request, undefined for plain text. @throws HttpError 400 naming what cannot be enforced */
export function parseResponseFormat(value: unknown): ResponseFormat | undefined {
  if (value === undefined || value === null) return undefined;
  const type = isObject(value) ? value['type'] : undefined;
  if (type === 'text') return undefined;
  if (type === 'json_object') return { kind: 'json_object' };
  const given = isObject(value) ? value['json_schema'] : undefined;
  if (type !== 'json_schema' || !isObject(given) || !isObject(given['schema']) || typeof given['name'] !== 'string')
    throw badRequest(
      'response_format: expected {"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "json_schema": {"name", "schema"}}',
      'response_format',
    );
  if (JSON.stringify(given['schema']).length > MAX_CHARS) refuse('', `is longer than ${MAX_CHARS} characters`);
  return {
    kind: 'json_schema',
    name: given['name'].slice(0, 64),
    schema: new Translation().translate(given['schema'], '', 0),
    original: given['schema'],
  };
}
