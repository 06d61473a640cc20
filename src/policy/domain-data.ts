import { canonicalJson, isObject, type Json, type JsonObject } from '../core/json.ts';

/** Where a value of a domain document comes from, when it is read from the policy's data document. */
export interface DataMarker {
  /** `keysOf`: names of members; `valuesOf`: what is there; `eachKeyOf`: as keysOf, and repeats the array item around it. */
  readonly kind: 'keysOf' | 'valuesOf' | 'eachKeyOf';
  /** Dotted, from `data`; `*` stands for every member, a number for a place in an array. */
  readonly path: string;
  /** One key for each distinct value. */
  readonly distinct: boolean;
}

const KINDS = ['keysOf', 'valuesOf', 'eachKeyOf'] as const;

/** `{keysOf: tenants}`, `{keysOf: residency.regions, distinct: true}`, `{valuesOf: tenants.*.models.*}`, `{eachKeyOf: fleet.pools}`. */
export function dataMarker(value: Json): DataMarker | undefined {
  if (!isObject(value)) return undefined;
  const kind = KINDS.find((name) => Object.hasOwn(value, name));
  if (kind === undefined) return undefined;
  const distinct = value['distinct'] === true && kind === 'keysOf';
  const path = value[kind];
  return typeof path === 'string' && Object.keys(value).length === (distinct ? 2 : 1) ? { kind, path, distinct } : undefined;
}

/** What the marker stands for, in the order of the documents, each value once. */
export function valuesOfData({ kind, path, distinct }: DataMarker, documents: readonly JsonObject[]): readonly Json[] {
  const found = new Map<string, Json>();
  for (const document of documents) {
    const nodes = path.split('.').reduce<readonly Json[]>((all, step) => all.flatMap((node) => members(node, step)), [document]);
    if (kind === 'valuesOf') for (const node of nodes) found.set(canonicalJson(node), found.get(canonicalJson(node)) ?? node);
    else
      for (const node of nodes)
        for (const [key, value] of isObject(node) ? Object.entries(node) : []) {
          const same = canonicalJson(distinct ? value : key);
          if (!found.has(same)) found.set(same, key);
        }
  }
  return [...found.values()];
}

function members(node: Json, step: string): readonly Json[] {
  if (Array.isArray(node)) {
    const list = node as readonly Json[];
    if (step === '*') return list;
    const at = /^\d+$/.test(step) ? list[Number(step)] : undefined;
    return at === undefined ? [] : [at];
  }
  if (!isObject(node)) return [];
  if (step === '*') return Object.values(node);
  return Object.hasOwn(node, step) ? [node[step]!] : [];
}

/**
 * A base input with its markers replaced by the first value that each stands for; an array item with `eachKeyOf` among
 * its members becomes one item for every key.
 */
export function withData(
  value: Json,
  documents: readonly JsonObject[],
  missing: (path: readonly (string | number)[], marker: DataMarker) => void,
  at: readonly (string | number)[] = [],
): Json {
  const marker = dataMarker(value);
  if (marker !== undefined) {
    const [first] = valuesOfData(marker, documents);
    if (first === undefined) missing(at, marker);
    return first ?? null;
  }
  if (Array.isArray(value))
    return (value as readonly Json[]).flatMap((item, index) => repeated(item, documents, missing, [...at, index]));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, withData(inner, documents, missing, [...at, key])]),
  );
}

function repeated(
  item: Json,
  documents: readonly JsonObject[],
  missing: (path: readonly (string | number)[], marker: DataMarker) => void,
  at: readonly (string | number)[],
): readonly Json[] {
  const [name, marker] = isObject(item)
    ? (Object.entries(item)
        .map(([key, value]) => [key, dataMarker(value)] as const)
        .find(([, found]) => found?.kind === 'eachKeyOf') ?? [])
    : [];
  if (name === undefined || marker === undefined) return [withData(item, documents, missing, at)];
  const keys = valuesOfData(marker, documents);
  if (keys.length === 0) missing([...at, name], marker);
  return keys.map((key) => withData({ ...(item as JsonObject), [name]: key }, documents, missing, at));
}
