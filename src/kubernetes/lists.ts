import type { Path } from '../config/document.ts';
import { canonicalJson, isObject, type Json, type JsonObject } from '../core/json.ts';

/** How the members of a list are told apart; undefined: by their place, because order means something. */
export type ListKey = (item: Json) => string | undefined;

const by =
  (...fields: readonly string[]): ListKey =>
  (item) =>
    isObject(item) ? fields.map((field) => String(item[field] ?? '')).join('/') : undefined;

const whole: ListKey = (item) => canonicalJson(item);
const byLowerName: ListKey = (item) =>
  isObject(item) && typeof item['name'] === 'string' ? item['name'].toLowerCase() : undefined;
const byMatches: ListKey = (item) =>
  isObject(item) ? (typeof item['name'] === 'string' ? item['name'] : canonicalJson(sortedList(item['matches']))) : undefined;
const byDestination: ListKey = (item) => (isObject(item) ? canonicalJson(item['destination'] ?? null) : undefined);

const KEYS: ReadonlyMap<string, ListKey> = new Map(
  Object.entries({
    backendRefs: by('group', 'kind', 'namespace', 'name', 'port'),
    parentRefs: by('group', 'kind', 'namespace', 'name', 'sectionName', 'port'),
    matches: whole,
    hostnames: whole,
    headers: byLowerName,
    queryParams: by('name'),
    set: byLowerName,
    add: byLowerName,
    remove: whole,
    allowOrigins: whole,
    allowMethods: whole,
    allowHeaders: whole,
    exposeHeaders: whole,
    targetPorts: by('number'),
    containers: by('name'),
    initContainers: by('name'),
    env: by('name'),
    volumes: by('name'),
    volumeMounts: by('mountPath'),
    imagePullSecrets: by('name'),
    tolerations: whole,
    accessModes: whole,
    subjects: whole,
    verbs: whole,
    resources: whole,
    apiGroups: whole,
  }),
);

const ROUTES = new Set(['HTTPRoute', 'GRPCRoute', 'AIGatewayRoute']);
const ROLES = new Set(['Role', 'ClusterRole']);

/** The key of the list at `path` in an object of `kind`. */
function listKey(kind: string, path: Path): ListKey | undefined {
  const field = String(path.at(-1));
  if (field === 'rules') return ROUTES.has(kind) ? byMatches : ROLES.has(kind) ? whole : undefined;
  if (field === 'ports') return kind === 'Service' ? by('port', 'protocol') : by('containerPort', 'protocol');
  if (field === 'route' && kind === 'VirtualService') return byDestination;
  return KEYS.get(field);
}

/** Keys of the members; undefined when the list is ordered or a key is missing or taken twice. */
export function keysOf(kind: string, path: Path, list: readonly Json[]): readonly string[] | undefined {
  const key = listKey(kind, path) ?? (list.every(isObject) ? uniqueName : undefined);
  if (key === undefined) return undefined;
  const keys = list.map(key);
  if (keys.some((k) => k === undefined) || new Set(keys).size !== keys.length) return undefined;
  return keys as string[];
}

const uniqueName: ListKey = (item) =>
  typeof (item as JsonObject)['name'] === 'string' ? String((item as JsonObject)['name']) : undefined;

function sortedList(value: Json | undefined): Json {
  return Array.isArray(value) ? (value as readonly Json[]).map((item) => canonicalJson(item)).sort() : (value ?? null);
}

/** The value with every keyed list in the order of its keys: equal for what means the same. */
export function canonicalForm(kind: string, value: Json, path: Path = []): Json {
  if (Array.isArray(value)) {
    const list = value as readonly Json[];
    const items = list.map((item, index) => canonicalForm(kind, item, [...path, index]));
    const keys = keysOf(kind, path, list);
    if (keys === undefined) return items;
    return items
      .map((item, index) => ({ item, key: keys[index]! }))
      .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
      .map(({ item }) => item);
  }
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, canonicalForm(kind, member, [...path, key])]));
}
