import type { Path } from '../config/document.ts';
import { isObject, type Json, type JsonObject } from '../core/json.ts';
import { keysOf } from '../kubernetes/lists.ts';
import type { KubeObject } from '../kubernetes/object.ts';
import { isList, textAt, textsAt, valueAt } from '../kubernetes/path.ts';

/** Where a part of a rule's traffic goes. */
export interface BackendShare {
  /** group/kind/namespace/name/port. */
  readonly key: string;
  readonly name: string;
  /** `model version` that the backend serves, where labels say so. */
  readonly serves: string | undefined;
  /** 0..1 of the rule's traffic. */
  readonly share: number;
  readonly path: Path;
}

/** One rule of a route and how it splits traffic. */
export interface RuleShare {
  /** What the rule serves: the route's model label, else the route's name; with the rule's number where there are several. */
  readonly model: string;
  readonly ruleKey: string;
  readonly path: Path;
  readonly backends: readonly BackendShare[];
}

const MODEL = 'mixgate.dev/model';
const VERSION = 'mixgate.dev/model-version';

/** `model version` by pool name: the pool's labels, else those of the pods its selector picks. */
export function poolVersions(objects: readonly KubeObject[]): ReadonlyMap<string, string> {
  const workloads = objects
    .filter((object) => valueAt(object.value, ['spec', 'template', 'metadata', 'labels']) !== undefined)
    .map((object) => textsAt(object.value, ['spec', 'template', 'metadata', 'labels']));
  const versions = new Map<string, string>();
  for (const pool of objects) {
    if (pool.kind !== 'InferencePool' && pool.kind !== 'Service') continue;
    const selector = textsAt(pool.value, pool.kind === 'Service' ? ['spec', 'selector'] : ['spec', 'selector', 'matchLabels']);
    const labels = textsAt(pool.value, ['metadata', 'labels']);
    const pods =
      Object.keys(selector).length === 0
        ? []
        : workloads.filter((pod) => Object.entries(selector).every(([k, v]) => pod[k] === v));
    const found = new Set(
      [labels, ...pods].flatMap((each) => (each[VERSION] === undefined ? [] : [`${each[MODEL] ?? ''} ${each[VERSION]}`.trim()])),
    );
    if (found.size === 1) versions.set(`${pool.kind}/${pool.namespace}/${pool.name}`, [...found][0]!);
  }
  return versions;
}

/**
 * How each rule of a route splits its traffic. Gateway API (BackendRef.weight): proportional to the weights, absent means
 * 1, all zero means none. AIGatewayRoute: only the lowest priority number carries traffic while it is healthy.
 */
export function ruleShares(route: KubeObject, versions: ReadonlyMap<string, string>): readonly RuleShare[] {
  const [rulesPath, field]: [Path, string] =
    route.kind === 'VirtualService' ? [['spec', 'http'], 'route'] : [['spec', 'rules'], 'backendRefs'];
  if (!['HTTPRoute', 'GRPCRoute', 'AIGatewayRoute', 'VirtualService'].includes(route.kind)) return [];
  const rules = valueAt(route.value, rulesPath);
  if (!isList(rules)) return [];
  const ruleKeys = keysOf(route.kind, rulesPath, rules) ?? rules.map((_, index) => String(index));
  return rules.map((rule, index) => {
    const path = [...rulesPath, index];
    const refs = valueAt(rule, [field]);
    const list = isList(refs) ? refs.filter(isObject) : [];
    return {
      model: rules.length === 1 ? modelOf(route) : `${modelOf(route)} rule ${index + 1}`,
      ruleKey: ruleKeys[index]!,
      path,
      backends: shares(list, route).map((share, at) => backend(list[at]!, share, [...path, field, at], route, versions)),
    };
  });
}

function modelOf(route: KubeObject): string {
  return textsAt(route.value, ['metadata', 'labels'])[MODEL] ?? route.name;
}

function shares(refs: readonly JsonObject[], route: KubeObject): readonly number[] {
  const lowest = Math.min(...refs.map((ref) => Number(ref['priority'] ?? 0)));
  const weights = refs.map((ref) =>
    route.kind === 'AIGatewayRoute' && Number(ref['priority'] ?? 0) !== lowest ? 0 : Number(ref['weight'] ?? 1),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => (total > 0 ? weight / total : 0));
}

function backend(
  ref: JsonObject,
  share: number,
  path: Path,
  route: KubeObject,
  versions: ReadonlyMap<string, string>,
): BackendShare {
  const target = route.kind === 'VirtualService' && isObject(ref['destination']) ? ref['destination'] : ref;
  const name =
    textAt(target, ['name']) ??
    [textAt(target, ['host']), textAt(target, ['subset'])].filter((part) => part !== undefined).join(' ');
  const kind = textAt(target, ['kind']) ?? 'Service';
  const namespace = textAt(target, ['namespace']) ?? route.namespace;
  return {
    key: [target['group'] ?? '', kind, namespace, name, portText(target['port'])].join('/'),
    name,
    serves: versions.get(`${kind}/${namespace}/${name}`),
    share,
    path,
  };
}

function portText(port: Json | undefined): string {
  return port === undefined ? '' : isObject(port) ? String(port['number'] ?? '') : String(port);
}

export interface ShareChange {
  readonly name: string;
  readonly serves: string | undefined;
  /** 0..1 */
  readonly left: number;
  readonly right: number;
  readonly leftPath: Path;
  readonly rightPath: Path;
}

/** Backends whose share differs by more than rounding; one that a rule names twice has both shares. */
export function shareChanges(left: RuleShare, right: RuleShare): readonly ShareChange[] {
  const keys = [...new Set([...left.backends, ...right.backends].map((each) => each.key))];
  return keys.flatMap((key) => {
    const [a, b] = [left.backends.find((each) => each.key === key), right.backends.find((each) => each.key === key)];
    const [before, after] = [shareOf(left, key), shareOf(right, key)];
    if (Math.abs(before - after) < 1e-9) return [];
    return [
      {
        name: (a ?? b)!.name,
        serves: b?.serves ?? a?.serves,
        left: before,
        right: after,
        leftPath: a === undefined ? left.path : [...a.path, 'weight'],
        rightPath: b === undefined ? right.path : [...b.path, 'weight'],
      },
    ];
  });
}

function shareOf({ backends }: RuleShare, key: string): number {
  return backends.filter((each) => each.key === key).reduce((sum, { share }) => sum + share, 0);
}

/** `12.5 %` */
export function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}

/** `+12.5 pp` */
export function points(delta: number): string {
  return `${delta > 0 ? '+' : delta < 0 ? '-' : ''}${Number((Math.abs(delta) * 100).toFixed(2))} pp`;
}
