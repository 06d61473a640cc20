import { isObject, type Json, type JsonObject } from '../core/json.ts';
import { isList, textAt, valueAt } from './path.ts';

/** The parts of an OpenAPI v3 schema that decide defaults: everything else is left out. */
export interface DefaultsNode {
  readonly default?: Json;
  /** A null here means null; otherwise it means absent. */
  readonly nullable?: true;
  readonly properties?: { readonly [name: string]: DefaultsNode };
  readonly items?: DefaultsNode;
  readonly additionalProperties?: DefaultsNode;
}

/** Defaults by `group/version/Kind`. */
export type DefaultsRegistry = ReadonlyMap<string, DefaultsNode>;

const MAX_SCHEMA_DEPTH = 40;

/**
 * The defaults of each served version of a CustomResourceDefinition, by `group/version/Kind`.
 * `status` and `metadata` are left out: nobody writes the first and the server owns the second.
 */
export function defaultsOfCrd(crd: JsonObject): ReadonlyMap<string, DefaultsNode> {
  const found = new Map<string, DefaultsNode>();
  const group = textAt(crd, ['spec', 'group']);
  const kind = textAt(crd, ['spec', 'names', 'kind']);
  const versions = valueAt(crd, ['spec', 'versions']);
  if (group === undefined || kind === undefined || !isList(versions)) return found;
  for (const version of versions) {
    const name = textAt(version, ['name']);
    const schema = valueAt(version, ['schema', 'openAPIV3Schema']);
    if (name === undefined || !isObject(schema)) continue;
    const properties = isObject(schema['properties']) ? schema['properties'] : {};
    const rest = Object.fromEntries(Object.entries(properties).filter(([key]) => key !== 'status' && key !== 'metadata'));
    found.set(`${group}/${name}/${kind}`, extract({ ...schema, properties: rest }, 0) ?? {});
  }
  return found;
}

function extract(schema: Json | undefined, depth: number): DefaultsNode | undefined {
  if (!isObject(schema) || depth > MAX_SCHEMA_DEPTH) return undefined;
  const properties: Record<string, DefaultsNode> = {};
  for (const [name, child] of Object.entries(isObject(schema['properties']) ? schema['properties'] : {})) {
    const node = extract(child, depth + 1);
    if (node !== undefined) properties[name] = node;
  }
  const items = extract(schema['items'], depth + 1);
  const additional = extract(schema['additionalProperties'], depth + 1);
  const value = schema['default'];
  const hasDefault = value !== undefined;
  if (!hasDefault && items === undefined && additional === undefined && Object.keys(properties).length === 0) return undefined;
  return {
    ...(hasDefault ? { default: value } : {}),
    ...(schema['nullable'] === true ? { nullable: true } : {}),
    ...(Object.keys(properties).length === 0 ? {} : { properties }),
    ...(items === undefined ? {} : { items }),
    ...(additional === undefined ? {} : { additionalProperties: additional }),
  };
}

/**
 * Fills defaults as an API server does ("Defaulting" in the Kubernetes documentation of structural schemas): a default
 * fills an absent key, or a null in a field that isn't nullable; below an absent parent nothing is filled; a filled
 * value is itself completed.
 */
export function applyDefaults(value: Json, node: DefaultsNode): Json {
  if (isList(value)) return node.items === undefined ? value : value.map((item) => applyDefaults(item, node.items!));
  if (!isObject(value)) return value;
  const result: Record<string, Json> = { ...value };
  for (const [name, child] of Object.entries(node.properties ?? {})) {
    const present = result[name];
    if (child.default !== undefined && (present === undefined || (present === null && child.nullable !== true)))
      result[name] = child.default;
    if (result[name] !== undefined) result[name] = applyDefaults(result[name]!, child);
  }
  if (node.additionalProperties !== undefined) {
    for (const [name, member] of Object.entries(result))
      if (node.properties?.[name] === undefined) result[name] = applyDefaults(member, node.additionalProperties);
  }
  return result;
}
