import { compareText } from '../../core/text.ts';
import type { AttributeDefinition, Signal } from '../model.ts';
import { baseUnit } from '../ucum.ts';

/** Below this, two items are taken for a removal and an addition. */
const RENAME_THRESHOLD = 0.5;
/** More pairs than this are not compared: a wholesale replacement of a registry is no rename. */
const MAX_PAIRS = 250_000;

export interface Rename<T> {
  readonly from: T;
  readonly to: T;
  /** 0..1; 1 when the registry says so itself (`renamed_to`). */
  readonly score: number;
  readonly declared: boolean;
}

/**
 * Pairs what is gone with what is new: declared renames first (`renamed_to` on either side), then by likeness, best pair first.
 * `gone`: items of base that head lacks, or newly deprecates with `renamed_to`. `added`: items that base lacks.
 */
export function findRenames<T extends { readonly name: string }>(
  gone: readonly T[],
  added: readonly T[],
  declaredTarget: (item: T) => T | undefined,
  likeness: (from: T, to: T) => number,
): Rename<T>[] {
  const renames: Rename<T>[] = [];
  const taken = new Set<string>();
  const open: T[] = [];
  for (const item of gone) {
    const target = declaredTarget(item);
    if (target === undefined) open.push(item);
    else {
      renames.push({ from: item, to: target, score: 1, declared: true });
      taken.add(target.name);
    }
  }
  const pairs: Rename<T>[] = [];
  const free = added.filter((item) => !taken.has(item.name));
  if (open.length * free.length <= MAX_PAIRS) {
    for (const from of open) {
      for (const to of free) {
        const score = likeness(from, to);
        if (score >= RENAME_THRESHOLD) pairs.push({ from, to, score, declared: false });
      }
    }
  }
  pairs.sort((a, b) => b.score - a.score || compareText(a.from.name, b.from.name) || compareText(a.to.name, b.to.name));
  const matched = new Set<string>();
  for (const pair of pairs) {
    if (matched.has(pair.from.name) || taken.has(pair.to.name)) continue;
    matched.add(pair.from.name);
    taken.add(pair.to.name);
    renames.push(pair);
  }
  return renames.sort((a, b) => compareText(a.from.name, b.from.name));
}

/** 0..1. The name counts most, then what the item says of itself; a changed unit of one dimension (s, ms) still counts. */
export function signalLikeness(from: Signal, to: Signal): number {
  if (from.kind !== to.kind) return 0;
  const attributes = jaccard([...from.attributes.keys()], [...to.attributes.keys()]);
  let shape = 0.15;
  if (from.kind === 'metric' && to.kind === 'metric') {
    shape = (from.instrument === to.instrument ? 0.1 : 0) + (dimension(from.unit) === dimension(to.unit) ? 0.05 : 0);
  }
  return (
    0.35 * nameLikeness(from.name, to.name) +
    0.1 * namespaceLikeness(from.name, to.name) +
    0.2 * textLikeness(from.brief, to.brief) +
    0.2 * attributes +
    shape
  );
}

/** How alike two attributes are, 0 to 1: type, name and brief. */
export function attributeLikeness(from: AttributeDefinition, to: AttributeDefinition): number {
  const sameType =
    from.type.kind === to.type.kind &&
    (from.type.kind === 'enum' || (to.type.kind === 'scalar' && from.type.name === to.type.name));
  let type = sameType ? 1 : 0;
  if (from.type.kind === 'enum' && to.type.kind === 'enum')
    type = jaccard([...from.type.members.keys()], [...to.type.members.keys()]);
  return (
    0.45 * nameLikeness(from.name, to.name) +
    0.1 * namespaceLikeness(from.name, to.name) +
    0.3 * textLikeness(from.brief, to.brief) +
    0.15 * type
  );
}

function dimension(unit: string): string {
  return baseUnit(unit) ?? unit;
}

/** Words after the shared namespace; `ttft` is the initials of `time_to_first_token`. */
function nameLikeness(a: string, b: string): number {
  const left = a.split('.');
  const right = b.split('.');
  while (left.length > 1 && right.length > 1 && left[0] === right[0]) {
    left.shift();
    right.shift();
  }
  const leftWords = left.join('_').split('_');
  const rightWords = right.join('_').split('_');
  const initials = (words: readonly string[]): string => words.map((word) => word[0] ?? '').join('');
  if (leftWords.join('') === rightWords.join('')) return 1;
  if (leftWords.length > 1 && initials(leftWords) === rightWords.join('')) return 1;
  if (rightWords.length > 1 && initials(rightWords) === leftWords.join('')) return 1;
  return jaccard(leftWords, rightWords);
}

function namespaceLikeness(a: string, b: string): number {
  const left = a.split('.').slice(0, -1).join('.');
  return left === b.split('.').slice(0, -1).join('.') ? 1 : 0;
}

function textLikeness(a: string, b: string): number {
  const words = (text: string): string[] => text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return jaccard(words(a), words(b));
}

function jaccard(a: readonly string[], b: readonly string[]): number {
  const left = new Set(a);
  const right = new Set(b);
  if (left.size === 0 && right.size === 0) return 1;
  const shared = [...left].filter((word) => right.has(word)).length;
  return shared / (left.size + right.size - shared);
}
