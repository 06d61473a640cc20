import type { Path } from '../config/document.ts';
import { canonicalJson, isObject, type Json, type JsonObject, sha256 } from '../core/json.ts';
import { commandLine, modelServer, parseArgv } from './argv.ts';
import { applyBuiltinDefaults, hasBuiltinDefaults } from './builtin-defaults.ts';
import { convertGeneration } from './convert.ts';
import { applyDefaults, type DefaultsRegistry } from './defaults.ts';
import { isMasked, mask, namesSecret } from './mask.ts';
import { groupOf, type KubeObject, kubeObject } from './object.ts';
import { isList, textAt } from './path.ts';
import { canonicalDuration, canonicalQuantity } from './quantity.ts';
import { regoDigest } from './rego.ts';

export interface NormaliseOptions {
  /** Defaults of custom resources. */
  readonly defaults: DefaultsRegistry;
  /** Key of the digests that stand for secret values. Never printed; any bytes do. */
  readonly maskKey: Uint8Array;
}

/** An object in the form that is compared; places still point into the file it came from. */
export interface NormalisedObject extends KubeObject {
  readonly raw: JsonObject;
  /** The older API version it was written in. */
  readonly convertedFrom: string | undefined;
  /** Whether every default of its kind is known: if not, a field that only live has may be one. */
  readonly defaultsKnown: boolean;
}

/** Annotations and labels that controllers write, by prefix or exact name. */
const CONTROLLER_KEYS =
  /^(kubectl\.kubernetes\.io\/(last-applied-configuration|restartedAt)|deployment\.kubernetes\.io\/|deprecated\.daemonset\.template\.generation|argocd\.argoproj\.io\/|kustomize\.toolkit\.fluxcd\.io\/|helm\.toolkit\.fluxcd\.io\/|reconcile\.fluxcd\.io\/|meta\.helm\.sh\/|objectset\.rio\.cattle\.io\/|openpolicyagent\.org\/(policy|kube-mgmt)-status|openpolicyagent\.org\/kube-mgmt-retries|pod-template-hash$)/;

const SERVER_METADATA = [
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'managedFields',
  'selfLink',
  'finalizers',
  'ownerReferences',
  'generateName',
];

/**
 * Strips what the server adds, converts old API generations, fills defaults, and writes quantities, durations, weights,
 * policies and secrets in one form. Doing it twice changes nothing.
 */
export function normalise(object: KubeObject, options: NormaliseOptions): NormalisedObject {
  const { value: converted, from } = convertGeneration(withoutEmpty(stripped(object.value), []) as JsonObject);
  const kind = textAt(converted, ['kind']) ?? '';
  const apiVersion = textAt(converted, ['apiVersion']) ?? '';
  const group = groupOf(apiVersion);
  const node = options.defaults.get(`${apiVersion}/${kind}`);
  const filled = applyBuiltinDefaults(
    group,
    kind,
    node === undefined ? converted : (applyDefaults(converted, node) as JsonObject),
  );
  const walk = new Walk(kind, object.namespace, options.maskKey);
  const value = withoutEmpty(walk.value(withData(filled, kind, options.maskKey), []), []) as JsonObject;
  return {
    ...kubeObject(value, object.locate),
    raw: object.value,
    convertedFrom: from,
    defaultsKnown: node !== undefined || hasBuiltinDefaults(group, kind),
  };
}

function stripped(value: JsonObject): JsonObject {
  const { status: _status, metadata, ...rest } = value;
  if (!isObject(metadata)) return rest;
  const kept: Record<string, Json> = { ...metadata };
  for (const key of SERVER_METADATA) delete kept[key];
  return { ...rest, metadata: withoutControllerKeys(kept) };
}

function withoutControllerKeys(metadata: JsonObject): JsonObject {
  const result: Record<string, Json> = { ...metadata };
  for (const field of ['annotations', 'labels']) {
    const map = result[field];
    if (isObject(map)) result[field] = Object.fromEntries(Object.entries(map).filter(([key]) => !CONTROLLER_KEYS.test(key)));
  }
  return result;
}

/**
 * Without nulls and empty maps and lists: to an API server they are the same as absent. Kept are selectors (`{}` selects
 * everything) and the members of unnamed list items, where an empty one says which branch of a union it is: `{podSelector: {}}`.
 */
function withoutEmpty(value: Json, path: Path): Json {
  if (isList(value)) return value.map((item, index) => withoutEmpty(item, [...path, index]));
  if (!isObject(value)) return value;
  const union = typeof path.at(-1) === 'number' && value['name'] === undefined;
  const kept: [string, Json][] = [];
  for (const [key, member] of Object.entries(value)) {
    if (member === null) continue;
    const clean = withoutEmpty(member, [...path, key]);
    if (!isEmpty(clean) || union || UNION_KEEPERS.test(key)) kept.push([key, clean]);
  }
  return Object.fromEntries(kept);
}

/** Secret: stringData into data, everything masked. ConfigMap: policies and JSON data by digest of what they mean. */
function withData(value: JsonObject, kind: string, key: Uint8Array): JsonObject {
  if (kind === 'Secret') {
    const { stringData, data, ...rest } = value;
    const encoded = Object.entries(isObject(stringData) ? stringData : {}).map(
      ([name, text]) => [name, Buffer.from(String(text), 'utf8').toString('base64')] as const,
    );
    const all = { ...(isObject(data) ? data : {}), ...Object.fromEntries(encoded) };
    const masked = Object.fromEntries(Object.entries(all).map(([name, text]) => [name, masked1(text, key)]));
    return { ...rest, type: rest['type'] ?? 'Opaque', ...(Object.keys(masked).length === 0 ? {} : { data: masked }) };
  }
  if (kind !== 'ConfigMap' || !isObject(value['data'])) return value;
  const data = Object.fromEntries(
    Object.entries(value['data']).map(([name, text]) => {
      if (typeof text !== 'string') return [name, text];
      if (namesSecret(name)) return [name, masked1(text, key)];
      if (name.endsWith('.rego')) return [name, text.startsWith('rego:sha256:') ? text : `rego:sha256:${regoDigest(text)}`];
      if (name.endsWith('.json')) return [name, jsonDigest(text)];
      return [name, text];
    }),
  );
  return { ...value, data };
}

function masked1(value: Json, key: Uint8Array): Json {
  return isMasked(value) ? value : mask(value, key);
}

function jsonDigest(text: string): string {
  try {
    return `json:sha256:${sha256(canonicalJson(JSON.parse(text)))}`;
  } catch {
    return text;
  }
}

const UNION_KEEPERS = /selector$/i;
const QUANTITY_PARENTS = new Set(['limits', 'requests', 'capacity', 'hard']);
const DURATION_FIELDS = new Set(['request', 'backendRequest', 'backoff', 'timeout', 'absoluteTimeout', 'idleTimeout']);
const ROUTES = new Set(['HTTPRoute', 'GRPCRoute', 'AIGatewayRoute']);

/** One pass over the object that writes values in their one form. */
class Walk {
  readonly #kind: string;
  readonly #namespace: string;
  readonly #key: Uint8Array;

  constructor(kind: string, namespace: string, key: Uint8Array) {
    this.#kind = kind;
    this.#namespace = namespace;
    this.#key = key;
  }

  value(value: Json, path: Path): Json {
    if (isList(value)) {
      const items = value.map((item, index) => this.value(item, [...path, index]));
      return this.#weights(items, String(path.at(-1)));
    }
    if (isObject(value)) return this.#map(value, path);
    return this.#scalar(value, path);
  }

  #map(input: JsonObject, path: Path): JsonObject {
    const value = this.#special(input, path);
    // Not by assignment: `__proto__` may be the name of a key of a ConfigMap, and would be lost.
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, this.value(member, [...path, key])]));
  }

  /** Members that mean something only together: containers, named values, references, pod template metadata. */
  #special(value: JsonObject, path: Path): JsonObject {
    const parent = path.at(-2);
    if (path.at(-1) === 'metadata' && path.length > 1) return withoutControllerKeys(value);
    if (typeof path.at(-1) !== 'number') return value;
    if (parent === 'containers' || parent === 'initContainers') return this.#container(value);
    if (
      (parent === 'backendRefs' || parent === 'parentRefs') &&
      value['namespace'] === this.#namespace &&
      this.#namespace !== ''
    ) {
      const { namespace: _same, ...rest } = value;
      return rest;
    }
    const name = value['name'];
    if (
      typeof name === 'string' &&
      typeof value['value'] === 'string' &&
      namesSecret(name) &&
      ['env', 'headers', 'queryParams', 'set', 'add'].includes(String(parent))
    )
      return { ...value, value: masked1(value['value'], this.#key) };
    return value;
  }

  #container(value: JsonObject): JsonObject {
    if (modelServer(value) !== undefined && !isObject(value['args'])) {
      const { command: _command, args: _args, ...rest } = value;
      const flags = Object.entries(parseArgv(commandLine(value))).map(
        ([flag, text]) => [flag, text !== true && namesSecret(flag) ? mask(text, this.#key) : text] as const,
      );
      return { ...rest, args: Object.fromEntries(flags) };
    }
    const result: Record<string, Json> = { ...value };
    for (const field of ['command', 'args']) {
      const words = result[field];
      if (isList(words)) result[field] = this.#words(words);
    }
    return result;
  }

  /** Words of a command line with the values of credential flags masked. */
  #words(words: readonly Json[]): readonly Json[] {
    return words.map((word, index) => {
      if (typeof word !== 'string') return word;
      const joined = /^(?<flag>--?[\w.-]+=)(?<value>[\s\S]+)$/.exec(word);
      if (joined !== null && namesSecret(joined.groups!['flag']!))
        return `${joined.groups!['flag']}${String(masked1(joined.groups!['value']!, this.#key))}`;
      const before = words[index - 1];
      return typeof before === 'string' && /^--?[\w.-]+$/.test(before) && namesSecret(before) && !word.startsWith('-')
        ? masked1(word, this.#key)
        : word;
    });
  }

  #scalar(value: Json, path: Path): Json {
    const field = String(path.at(-1));
    const parent = String(path.at(-2));
    if ((typeof value === 'string' || typeof value === 'number') && this.#isQuantity(parent, field))
      return canonicalQuantity(value);
    if (
      typeof value === 'string' &&
      ROUTES.has(this.#kind) &&
      (parent === 'timeouts' || parent === 'retry') &&
      DURATION_FIELDS.has(field)
    )
      return canonicalDuration(value);
    return value;
  }

  #isQuantity(parent: string, field: string): boolean {
    return (
      QUANTITY_PARENTS.has(parent) ||
      field === 'sizeLimit' ||
      ((this.#kind === 'ResourceFlavor' || this.#kind === 'ClusterQueue') && field === 'nominalQuota')
    );
  }

  /**
   * Weights are proportional (Gateway API, BackendRef.weight): divided by their greatest common divisor, 90/10 and 9/1
   * are the same. In an AIGatewayRoute they share within a priority.
   */
  #weights(items: readonly Json[], field: string): readonly Json[] {
    const routed = (field === 'backendRefs' && ROUTES.has(this.#kind)) || (field === 'route' && this.#kind === 'VirtualService');
    if (!routed || !items.every(isObject)) return items;
    const groupOfItem = (item: JsonObject): string => String(item['priority'] ?? 0);
    const divisors = new Map<string, number>();
    for (const item of items as readonly JsonObject[]) {
      const weight = item['weight'];
      if (weight === undefined && this.#kind === 'VirtualService') continue;
      if (weight !== undefined && (typeof weight !== 'number' || !Number.isSafeInteger(weight) || weight < 0)) return items;
      divisors.set(groupOfItem(item), gcd(divisors.get(groupOfItem(item)) ?? 0, weight ?? 1));
    }
    return (items as readonly JsonObject[]).map((item) => {
      const weight = typeof item['weight'] === 'number' ? item['weight'] : 1;
      return { ...item, weight: weight / (divisors.get(groupOfItem(item)) || 1) };
    });
  }
}

function gcd(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

function isEmpty(value: Json): boolean {
  return isList(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}
