import { isObject, type Json } from '../core/json.ts';
import { compareText } from '../core/text.ts';
import { allows, jurisdictionOf } from './decision.ts';

/** One thing that a decision says: `outcome` `deny`, `reason` `QUOTA_EXCEEDED`, `target.pool` `eu-west-gpu`. */
export interface DecisionValue {
  readonly what: string;
  readonly value: string;
}

/** Members of `target` that name a place or a model; others may be anything. */
const TARGET = ['cluster', 'pool', 'jurisdiction', 'model', 'version'];
/** Free text. */
const TEXTS = new Set(['message', 'messages']);

/**
 * The values that one decision takes: whether it allows, each reason code, each part of the target, and every other
 * member that is a string or a boolean. Numbers and nested documents are left out, and free text too.
 * @param data the data document, for the jurisdiction of a target
 */
export function decisionValues(decision: Json | undefined, data: Json): readonly DecisionValue[] {
  if (decision === undefined) return [{ what: 'outcome', value: 'undefined' }];
  const found: DecisionValue[] = [];
  const allowed = allows(decision);
  if (allowed !== undefined) found.push({ what: 'outcome', value: allowed ? 'allow' : 'deny' });
  if (Array.isArray(decision)) found.push(...listValues('member', decision as readonly Json[]));
  else if (isObject(decision)) found.push(...memberValues(decision, data));
  else if (allowed === undefined) found.push({ what: 'decision', value: String(decision) });
  return found;
}

function memberValues(decision: { readonly [key: string]: Json }, data: Json): readonly DecisionValue[] {
  const found: DecisionValue[] = [];
  for (const [key, value] of Object.entries(decision)) {
    if (key === 'allow' || TEXTS.has(key)) continue;
    if (key === 'reasons' && Array.isArray(value)) found.push(...listValues('reason', value as readonly Json[]));
    else if (key === 'target' && isObject(value)) {
      const jurisdiction = jurisdictionOf(decision, data, null);
      const target: { readonly [key: string]: Json } = jurisdiction === undefined ? value : { ...value, jurisdiction };
      for (const part of TARGET)
        if (typeof target[part] === 'string') found.push({ what: `target.${part}`, value: target[part] });
    } else if (typeof value === 'string' || typeof value === 'boolean') found.push({ what: key, value: String(value) });
  }
  return found;
}

/** Members that are strings; an empty list is a value of its own only where it is the decision. */
function listValues(what: string, list: readonly Json[]): readonly DecisionValue[] {
  if (list.length === 0) return what === 'member' ? [{ what: 'decision', value: 'empty' }] : [];
  return list.flatMap((item) => (typeof item === 'string' ? [{ what, value: item }] : []));
}

/** More values of one kind are no classes but data (request ids, texts): the kind is left out. */
export const MAX_VALUES = 200;
const MAX_LENGTH = 200;

/** Values with the first evidence of each; kinds with too many of them are dropped. */
export class ValueTally<E> {
  readonly #kinds = new Map<string, Map<string, E>>();
  readonly #open = new Set<string>();

  /** @param better whether new evidence takes the place of what is there */
  add(values: readonly DecisionValue[], evidence: E, better?: (fresh: E, known: E) => boolean): void {
    for (const { what, value } of values) {
      if (this.#open.has(what)) continue;
      const kind = this.#kinds.get(what) ?? new Map<string, E>();
      this.#kinds.set(what, kind);
      const known = kind.get(value);
      if (known !== undefined && better?.(evidence, known) !== true) continue;
      kind.set(value, evidence);
      if (kind.size <= MAX_VALUES && value.length <= MAX_LENGTH) continue;
      this.#open.add(what);
      this.#kinds.delete(what);
    }
  }

  /** Kinds that were dropped. */
  get open(): readonly string[] {
    return [...this.#open].sort();
  }

  has({ what, value }: DecisionValue): boolean {
    return this.#kinds.get(what)?.has(value) === true;
  }

  /** In order of kind and value. */
  entries(): readonly (DecisionValue & { readonly evidence: E })[] {
    return [...this.#kinds]
      .flatMap(([what, kind]) => [...kind].map(([value, evidence]) => ({ what, value, evidence })))
      .sort((a, b) => compareText(a.what, b.what) || compareText(a.value, b.value));
  }
}
