import { type Cases, type Constant, constantValue, isRecord, keyOf, or, RegoSet, type Value } from './values.ts';

/** Key and value of each element; undefined for what can't be iterated. */
export function elementsOf(value: Constant): readonly (readonly [Constant, Constant])[] | undefined {
  if (value instanceof RegoSet) return value.items.map((item) => [item, item]);
  if (Array.isArray(value)) return (value as readonly Constant[]).map((item, index) => [index, item]);
  return isRecord(value) ? Object.entries(value) : undefined;
}

/** The members of an object, by key. */
export function entriesOf(value: Value): ReadonlyMap<string, Cases> | undefined {
  if (value.kind === 'object') return value.entries;
  if (value.kind !== 'constant' || !isRecord(value.value)) return undefined;
  return new Map(Object.entries(value.value).map(([key, item]) => [key, [{ guard: 'true', value: constantValue(item) }]]));
}

/** The elements of an array, place by place. */
export function itemsOf(value: Value): readonly Cases[] | undefined {
  if (value.kind === 'tuple') return value.items;
  if (value.kind !== 'constant' || !Array.isArray(value.value)) return undefined;
  return (value.value as readonly Constant[]).map((item) => [{ guard: 'true', value: constantValue(item) }]);
}

/** The guard of each member of a set, where every member is a constant. */
export function membersOf(value: Value): ReadonlyMap<string, string> | undefined {
  const result = new Map<string, string>();
  const members: Cases | undefined =
    value.kind === 'set'
      ? value.members
      : value.kind === 'constant' && value.value instanceof RegoSet
        ? value.value.items.map((item) => ({ guard: 'true', value: constantValue(item) }))
        : undefined;
  for (const { guard, value: member } of members ?? []) {
    if (member.kind !== 'constant') return undefined;
    const key = keyOf(member.value);
    result.set(key, or(result.get(key) ?? 'false', guard));
  }
  return members === undefined ? undefined : result;
}

/** What a value is as far as can be told without the input. */
export function kindOf(value: Value): string {
  if (value.kind === 'set') return 'set';
  if (value.kind === 'tuple' || value.kind === 'bag') return 'array';
  if (value.kind !== 'constant') return value.kind;
  if (value.value instanceof RegoSet) return 'set';
  return Array.isArray(value.value) ? 'array' : isRecord(value.value) ? 'object' : 'scalar';
}
