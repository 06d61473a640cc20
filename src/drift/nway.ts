import type { Path } from '../config/document.ts';
import { digestJson, isObject, type Json } from '../core/json.ts';
import { append } from '../core/multimap.ts';
import { compareText } from '../core/text.ts';
import { modelServer, podContainers } from '../kubernetes/argv.ts';
import { canonicalForm } from '../kubernetes/lists.ts';
import { show } from '../kubernetes/mask.ts';
import type { NormalisedObject } from '../kubernetes/normalise.ts';
import { groupOf } from '../kubernetes/object.ts';
import { parsePointer, textAt, textsAt, valueAt } from '../kubernetes/path.ts';
import { isPolicyBundle } from './classify.ts';
import { percent, poolVersions, ruleShares } from './traffic.ts';

/** One side of an N-way comparison. */
export interface Member {
  readonly name: string;
  readonly baseline: boolean;
  /** Words that stand for the cluster itself: its name, region, jurisdiction, trust zone. */
  readonly aliases: readonly (readonly [text: string, placeholder: string])[];
  readonly objects: readonly NormalisedObject[];
}

/** Something that must be equal and isn't. */
export interface Outlier {
  readonly cluster: string;
  /** What differs, in the cluster's own names; undefined when it doesn't exist there. */
  readonly object: NormalisedObject | undefined;
  /** A cluster that has it as most do, and its object. */
  readonly reference: { readonly cluster: string; readonly object: NormalisedObject | undefined };
  /** Kind/namespace/name with the cluster's name taken out. */
  readonly name: string;
  readonly aspect: string;
  readonly path: Path;
  readonly value: string;
  readonly expected: string;
  /** How many clusters were compared, and how many differ from the rest. */
  readonly of: number;
  readonly outliers: number;
  /** No majority: nobody can say who is the odd one. */
  readonly tie: boolean;
}

interface Aspect {
  readonly aspect: string;
  readonly path: Path;
  readonly value: Json;
  readonly text: string;
}

/**
 * Compares every object across clusters in the aspects that must be equal. The reference is the baseline cluster when one is
 * declared, else the majority.
 */
export function outliers(members: readonly Member[], equal: readonly string[]): readonly Outlier[] {
  if (members.length < 2) return [];
  const table = new Map<string, Map<string, { object: NormalisedObject; aspect: Aspect }>>();
  for (const member of members) {
    const versions = poolVersions(member.objects);
    for (const object of member.objects) {
      for (const aspect of aspectsOf(object, versions, equal)) {
        const name = `${groupOf(object.apiVersion)}|${replaceAliases(objectTitle(object), member.aliases)}|${aspect.aspect}`;
        const row = table.get(name) ?? new Map<string, { object: NormalisedObject; aspect: Aspect }>();
        row.set(member.name, {
          object,
          aspect: {
            ...aspect,
            value: withoutAliases(aspect.value, member.aliases),
            text: replaceAliases(aspect.text, member.aliases),
          },
        });
        table.set(name, row);
      }
    }
  }
  return [...table].sort(([a], [b]) => compareText(a, b)).flatMap(([name, row]) => judgeRow(name, row, members));
}

function judgeRow(
  name: string,
  row: ReadonlyMap<string, { object: NormalisedObject; aspect: Aspect }>,
  members: readonly Member[],
): readonly Outlier[] {
  const digest = (cluster: string): string => (row.has(cluster) ? digestJson(row.get(cluster)!.aspect.value) : 'absent');
  const groups = new Map<string, string[]>();
  for (const member of members) append(groups, digest(member.name), member.name);
  if (groups.size === 1) return [];
  const baseline = members.find((member) => member.baseline);
  const sizes = [...groups.values()].map((group) => group.length).sort((a, b) => b - a);
  const tie = baseline === undefined && sizes[0] === sizes[1];
  const largest = [...groups.values()].find((group) => group.length === sizes[0])!;
  // A baseline that stands alone against all others is itself the odd one.
  const alone =
    baseline !== undefined && groups.size === 2 && groups.get(digest(baseline.name))!.length === 1 && members.length > 2;
  const reference = baseline === undefined || alone ? largest[0]! : baseline.name;
  const odd = members.filter((member) => digest(member.name) !== digest(reference)).map((member) => member.name);
  const [, title, aspect] = name.split('|') as [string, string, string];
  return odd.map((cluster) => {
    const here = row.get(cluster);
    const there = row.get(reference);
    return {
      cluster,
      object: here?.object,
      reference: { cluster: reference, object: there?.object },
      name: title,
      aspect,
      path: (here ?? there)!.aspect.path,
      value: here?.aspect.text ?? 'absent',
      expected: there?.aspect.text ?? 'absent',
      of: members.length,
      outliers: odd.length,
      tie,
    };
  });
}

function objectTitle(object: NormalisedObject): string {
  return [object.kind, object.namespace, object.name].filter((part) => part !== '').join('/');
}

/** What must be equal about an object. */
function aspectsOf(object: NormalisedObject, versions: ReadonlyMap<string, string>, equal: readonly string[]): readonly Aspect[] {
  const found: Aspect[] = [];
  if (equal.includes('weights')) {
    const rules = ruleShares(object, versions);
    if (rules.length > 0) {
      const value = rules.map((rule) =>
        rule.backends
          .filter((each) => each.share > 0)
          .map((each) => [each.name, Number(each.share.toFixed(6))] as const)
          .sort(),
      );
      const text = rules
        .map((rule) => rule.backends.map((each) => `${each.name} ${percent(each.share)}`).join(', ') || 'no backend')
        .join('; ');
      found.push({ aspect: 'weights', path: rules[0]!.path.slice(0, 2), value, text });
    }
  }
  if (equal.includes('model')) {
    const model = modelOf(object);
    if (model !== undefined) found.push({ aspect: 'model', path: ['spec', 'template'], value: model, text: showModel(model) });
  }
  if (equal.includes('policy') && object.kind === 'ConfigMap') {
    const data = object.value['data'];
    const rego = isObject(data) && Object.keys(data).some((key) => key.endsWith('.rego'));
    if (isObject(data) && (rego || isPolicyBundle(object)))
      found.push({
        aspect: 'policy',
        path: ['data'],
        value: data,
        text: `policy ${digestJson(data).slice(0, 12)}${typeof data['revision'] === 'string' ? ` (revision ${data['revision']})` : ''}`,
      });
  }
  if (equal.includes('pools') && object.kind === 'InferencePool' && isObject(object.value['spec']))
    found.push({
      aspect: 'pools',
      path: ['spec'],
      value: canonicalForm(object.kind, object.value['spec']),
      text: `spec ${digestJson(object.value['spec']).slice(0, 12)}`,
    });
  for (const text of equal) {
    if (!text.startsWith('/')) continue;
    const path = parsePointer(text);
    const value = valueAt(object.value, path);
    if (value !== undefined)
      found.push({
        aspect: text,
        path,
        value: canonicalForm(object.kind, value, path),
        text: show(value),
      });
  }
  return found;
}

const MODEL_FLAGS = [
  'model',
  'revision',
  'quantization',
  'dtype',
  'served-model-name',
  'tensor-parallel-size',
  'enable-expert-parallel',
  'max-model-len',
];

function modelOf(object: NormalisedObject): Json | undefined {
  const labels = textsAt(object.value, ['spec', 'template', 'metadata', 'labels']);
  const containers = podContainers(object.value);
  const servers = containers.filter(
    (container) =>
      isObject(container['args']) || modelServer(container) !== undefined || labels['mixgate.dev/model'] !== undefined,
  );
  if (servers.length === 0) return undefined;
  const flags = servers.map((container) => {
    const args = isObject(container['args']) ? container['args'] : {};
    return {
      image: textAt(container, ['image']) ?? '',
      ...Object.fromEntries(MODEL_FLAGS.flatMap((flag) => (args[flag] === undefined ? [] : [[flag, args[flag]]]))),
    };
  });
  return { model: labels['mixgate.dev/model'] ?? '', version: labels['mixgate.dev/model-version'] ?? '', containers: flags };
}

function showModel(model: Json): string {
  const containers = valueAt(model, ['containers']) as readonly { readonly [flag: string]: Json }[];
  const label = `${textAt(model, ['model'])} ${textAt(model, ['version'])}`.trim();
  const first = containers[0] ?? {};
  const details = Object.entries(first).map(([flag, value]) => (flag === 'image' ? String(value) : `--${flag} ${String(value)}`));
  return [label, ...details].filter((part) => part !== '').join(', ');
}

/** The cluster's own words replaced by placeholders, so that `us-east-gpu` and `eu-west-gpu` are the same pool of two clusters. */
function replaceAliases(text: string, aliases: Member['aliases']): string {
  let result = text;
  for (const [word, placeholder] of aliases) {
    // Short words (US, us) count only when they are the whole text.
    if (word.length <= 3) result = result === word ? placeholder : result;
    else result = result.replaceAll(word, placeholder);
  }
  return result;
}

function withoutAliases(value: Json, aliases: Member['aliases']): Json {
  if (typeof value === 'string') return replaceAliases(value, aliases);
  if (Array.isArray(value)) return (value as readonly Json[]).map((item) => withoutAliases(item, aliases));
  if (isObject(value))
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, withoutAliases(member, aliases)]));
  return value;
}
