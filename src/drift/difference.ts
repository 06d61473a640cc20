import type { Path } from '../config/document.ts';
import { canonicalJson, isObject, type Json } from '../core/json.ts';
import { keysOf } from '../kubernetes/lists.ts';
import { isList } from '../kubernetes/path.ts';

/** One field that differs. A side without the field has no value there. */
export interface Difference {
  /** Where in the left object; nearest parent where it is absent. */
  readonly leftPath: Path;
  readonly rightPath: Path;
  /** The same place for people and for telling differences apart: list members by key, not by index. */
  readonly label: string;
  readonly left: Json | undefined;
  readonly right: Json | undefined;
}

/** Past this many the rest of an object isn't listed: it is another object. */
const MAX_DIFFERENCES = 200;

/**
 * Differences of two normalised objects of one kind. Keyed lists (backends, containers, environment) are matched by key
 * whatever their order; other lists by place.
 */
export function differences(kind: string, left: Json, right: Json): readonly Difference[] {
  const found: Difference[] = [];
  walk(kind, left, right, { left: [], right: [], label: '' }, found);
  return found;
}

interface At {
  readonly left: Path;
  readonly right: Path;
  readonly label: string;
}

function walk(kind: string, left: Json | undefined, right: Json | undefined, at: At, found: Difference[]): void {
  if (found.length >= MAX_DIFFERENCES) return;
  if (isObject(left) && isObject(right)) {
    for (const key of [...new Set([...Object.keys(left), ...Object.keys(right)])].sort())
      walk(
        kind,
        own(left, key),
        own(right, key),
        { left: [...at.left, key], right: [...at.right, key], label: `${at.label}${step(key)}` },
        found,
      );
  } else if (isList(left) && isList(right)) {
    walkLists(kind, left, right, at, found);
  } else if (left === undefined || right === undefined || canonicalJson(left) !== canonicalJson(right)) {
    if (left === undefined && right === undefined) return;
    found.push({ leftPath: at.left, rightPath: at.right, label: at.label, left, right });
  }
}

function walkLists(kind: string, left: readonly Json[], right: readonly Json[], at: At, found: Difference[]): void {
  const [leftKeys, rightKeys] = [keysOf(kind, at.left, left), keysOf(kind, at.right, right)];
  if (leftKeys === undefined || rightKeys === undefined) {
    for (let index = 0; index < Math.max(left.length, right.length); index += 1)
      walk(
        kind,
        left[index],
        right[index],
        { left: [...at.left, index], right: [...at.right, index], label: `${at.label}[${index}]` },
        found,
      );
    return;
  }
  const pairs = pair(leftKeys, rightKeys, at.label.endsWith('.rules'));
  for (const { leftIndex, rightIndex, key } of pairs) {
    const item = leftIndex === undefined ? right[rightIndex!] : left[leftIndex];
    walk(
      kind,
      leftIndex === undefined ? undefined : left[leftIndex],
      rightIndex === undefined ? undefined : right[rightIndex],
      {
        left: leftIndex === undefined ? at.left : [...at.left, leftIndex],
        right: rightIndex === undefined ? at.right : [...at.right, rightIndex],
        label: `${at.label}[${memberName(item, key, leftIndex ?? rightIndex!)}]`,
      },
      found,
    );
  }
}

interface Pair {
  readonly leftIndex: number | undefined;
  readonly rightIndex: number | undefined;
  readonly key: string;
}

/** Members with the same key; `leftovers`: the unmatched ones of both sides are paired in order (a rule whose matches changed is still that rule). */
export function pair(left: readonly string[], right: readonly string[], leftovers: boolean): readonly Pair[] {
  const pairs: { leftIndex: number | undefined; rightIndex: number | undefined; key: string }[] = left.map((key, index) => ({
    leftIndex: index,
    rightIndex: right.includes(key) ? right.indexOf(key) : undefined,
    key,
  }));
  for (const [rightIndex, key] of right.entries()) {
    if (left.includes(key)) continue;
    const open = leftovers
      ? pairs.find((candidate) => candidate.rightIndex === undefined && candidate.leftIndex !== undefined)
      : undefined;
    if (open === undefined) pairs.push({ leftIndex: undefined, rightIndex, key });
    else open.rightIndex = rightIndex;
  }
  return pairs;
}

function memberName(item: Json | undefined, key: string, index: number): string {
  if (isObject(item)) {
    for (const field of ['name', 'number', 'containerPort', 'port', 'mountPath']) {
      const value = item[field];
      if (typeof value === 'string' || typeof value === 'number') return String(value);
    }
    return String(index);
  }
  return key.length > 60 ? String(index) : key;
}

function own(value: { readonly [key: string]: Json }, key: string): Json | undefined {
  return Object.hasOwn(value, key) ? value[key] : undefined;
}

function step(key: string): string {
  return /^[\w-]+$/.test(key) ? `.${key}` : `["${key}"]`;
}
