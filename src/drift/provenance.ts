import type { Path } from '../config/document.ts';
import { canonicalJson, isObject, type Json, type JsonObject } from '../core/json.ts';
import { isList, textAt, valueAt } from '../kubernetes/path.ts';

export interface FieldManager {
  readonly manager: string;
  /** ISO 8601; absent in some entries. */
  readonly time: string | undefined;
  /** Whether it owns exactly this field, or only a list or map that holds it. */
  readonly exact: boolean;
}

/**
 * Who last set a live field, from `metadata.managedFields` (FieldsV1). Atomic lists are owned as a whole, so for a weight it
 * names the last manager of all rules.
 */
export function managerOf(raw: JsonObject, path: Path): FieldManager | undefined {
  const entries = valueAt(raw, ['metadata', 'managedFields']);
  if (!isList(entries)) return undefined;
  let best: { depth: number; manager: FieldManager } | undefined;
  for (const entry of entries) {
    const manager = textAt(entry, ['manager']);
    const fields = valueAt(entry, ['fieldsV1']);
    if (manager === undefined || !isObject(fields) || (isObject(entry) && entry['subresource'] !== undefined)) continue;
    const depth = ownedDepth(fields, raw, path);
    if (depth === 0) continue;
    const time = textAt(entry, ['time']);
    const later = best !== undefined && depth === best.depth && (time ?? '') > (best.manager.time ?? '');
    if (best === undefined || depth > best.depth || later)
      best = { depth, manager: { manager: manager.slice(0, 80), time, exact: depth === path.length } };
  }
  return best?.manager;
}

/** How many steps of the path this set of fields owns. */
function ownedDepth(fields: JsonObject, raw: JsonObject, path: Path): number {
  let node: Json | undefined = fields;
  let depth = 0;
  for (const [index, step] of path.entries()) {
    const next: Json | undefined = isObject(node)
      ? typeof step === 'number'
        ? listMember(node, valueAt(raw, path.slice(0, index + 1)))
        : node[`f:${step}`]
      : undefined;
    if (next === undefined) break;
    node = next;
    depth += 1;
  }
  return depth;
}

/** `k:{"name":"x"}` and `v:"x"` entries of lists with a merge key. */
function listMember(node: JsonObject, item: Json | undefined): Json | undefined {
  for (const [key, child] of Object.entries(node)) {
    if (!/^[kv]:/.test(key)) continue;
    let wanted: Json;
    try {
      wanted = JSON.parse(key.slice(2)) as Json;
    } catch {
      continue;
    }
    const same = key.startsWith('v:')
      ? canonicalJson(wanted) === canonicalJson(item ?? null)
      : isObject(wanted) && isObject(item) && Object.entries(wanted).every(([field, value]) => item[field] === value);
    if (same) return child;
  }
  return undefined;
}

/** `last set by kubectl-edit at 2026-01-15T14:02:11Z` */
export function describeManager(manager: FieldManager | undefined): string | undefined {
  if (manager === undefined) return undefined;
  return `last set by ${manager.manager}${manager.time === undefined ? '' : ` at ${manager.time}`}`;
}
