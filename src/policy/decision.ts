import { canonicalJson, isObject, type Json } from '../core/json.ts';
import type { Outcome } from './wasm.ts';

/** Classes of a decision diff, worst first. */
export const DIFF_CLASSES = [
  'widened',
  'error',
  'rerouted',
  'became-undefined',
  'became-defined',
  'narrowed',
  'obligation-changed',
  'reason-changed',
  'error-fixed',
] as const;
export type DiffClass = (typeof DIFF_CLASSES)[number];

/** Whether a decision lets the request through; undefined when it doesn't say. */
export function allows(decision: Json | undefined): boolean | undefined {
  if (typeof decision === 'boolean') return decision;
  if (isObject(decision) && typeof decision['allow'] === 'boolean') return decision['allow'];
  return undefined;
}

export function decisionOf(outcome: Outcome): Json | undefined {
  return 'value' in outcome ? (JSON.parse(outcome.value) as Json) : undefined;
}

/** The members that say which pool answers. A copy (`shadow`) answers nobody: it is an obligation. */
const ROUTING = new Set(['target', 'split']);

/** The members that only explain a decision: their change moves no traffic. */
const EXPLAINING = new Set(['rule', 'reasons', 'reason', 'message', 'messages']);

export interface Change {
  readonly class: DiffClass;
  /** Members that differ, e.g. `target.cluster`. */
  readonly fields: readonly string[];
}

/**
 * Classifies two outcomes of one input; undefined when they are the same decision. Keyed on the decision and its rule
 * id, never on message texts: the WASM host's sprintf differs from OPA's.
 */
export function classify(base: Outcome, head: Outcome): Change | undefined {
  if ('failure' in base || 'failure' in head) {
    if ('failure' in base && 'failure' in head) return undefined;
    return { class: 'failure' in head ? 'error' : 'error-fixed', fields: [] };
  }
  if ('undefined' in base || 'undefined' in head) {
    if ('undefined' in base && 'undefined' in head) return undefined;
    return { class: 'undefined' in head ? 'became-undefined' : 'became-defined', fields: [] };
  }
  // Equal texts are equal values; unequal texts may still be (member order).
  if (base.value === head.value) return undefined;
  const [before, after] = [comparable(decisionOf(base)!), comparable(decisionOf(head)!)];
  if (canonicalJson(before) === canonicalJson(after)) return undefined;
  const fields = changedFields(before, after);
  const [was, is] = [allows(before), allows(after)];
  if (was !== is) return { class: is === true || (is === undefined && was === false) ? 'widened' : 'narrowed', fields };
  const moving = fields.filter((field) => !EXPLAINING.has(field.split('.')[0]!));
  if (moving.length === 0) return { class: 'reason-changed', fields };
  if (moving.some((field) => ROUTING.has(field.split('.')[0]!)) || !isObject(before)) return { class: 'rerouted', fields };
  return { class: 'obligation-changed', fields };
}

/** Without message texts, and without members of null: they say the same as members that are absent (routing-decision.schema.json). */
function comparable(decision: Json): Json {
  if (!isObject(decision)) return decision;
  const { message: _message, messages: _messages, ...rest } = decision;
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
}

/** Members that differ, one level into objects. */
export function changedFields(before: Json, after: Json): readonly string[] {
  if (!isObject(before) || !isObject(after)) return ['decision'];
  const fields: string[] = [];
  for (const key of [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()) {
    const [a, b] = [before[key], after[key]];
    if (a !== undefined && b !== undefined && canonicalJson(a) === canonicalJson(b)) continue;
    if (isObject(a) && isObject(b)) fields.push(...changedFields(a, b).map((inner) => `${key}.${inner}`));
    else fields.push(key);
  }
  return fields;
}

/** Jurisdiction of a decision's target, looked up by cluster or pool in the data or the input; undefined when neither says. */
export function jurisdictionOf(decision: Json | undefined, data: Json, input: Json): string | undefined {
  if (!isObject(decision) || !isObject(decision['target'])) return undefined;
  const { cluster, pool, jurisdiction } = decision['target'];
  if (typeof jurisdiction === 'string') return jurisdiction;
  for (const source of [data, input]) {
    const fleet = isObject(source) ? source['fleet'] : undefined;
    if (!isObject(fleet)) continue;
    for (const [name, wanted] of [
      ['clusters', cluster],
      ['pools', pool],
    ] as const) {
      const group = fleet[name];
      const entry =
        isObject(group) && typeof wanted === 'string' && Object.hasOwn(group, wanted)
          ? group[wanted]
          : Array.isArray(group)
            ? group.find((one) => isObject(one) && (one['id'] === wanted || one['name'] === wanted))
            : undefined;
      if (isObject(entry) && typeof entry['jurisdiction'] === 'string') return entry['jurisdiction'];
    }
  }
  return undefined;
}
