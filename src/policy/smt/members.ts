import { anyOf } from './arrays.ts';
import { type Formula, Outside } from './formula.ts';
import { elementsOf } from './parts.ts';
import { and, type Cases, constantValue, isRecord, RegoSet, type Value } from './values.ts';

/** What `value[key]` can be. @throws Outside */
export function memberCases(formula: Formula, value: Value, key: Value): Cases {
  const { kind } = value;
  if (kind === 'any') return [{ guard: formula.fresh(value.standsFor), value }];
  if (kind === 'term') return [];
  if (kind === 'set') return [{ guard: formula.member(key, value), value: key }];
  if (kind === 'tuple' || kind === 'bag') {
    if (key.kind !== 'constant') throw new Outside('a computed place of an array');
    const place = key.value;
    if (typeof place !== 'number' || !Number.isInteger(place) || place < 0) return [];
    return kind === 'tuple' ? (value.items[place] ?? []) : anyOf(formula, value, place);
  }
  if (kind === 'input') return inputMember(formula, value.path, key);
  if (kind === 'object')
    return [...value.entries].flatMap(([name, cases]) => {
      const chosen = formula.equal(key, constantValue(name));
      return chosen === 'false' ? [] : cases.map((c) => ({ guard: and(chosen, c.guard), value: c.value }));
    });
  const constant = value.value;
  if (constant instanceof RegoSet) return [{ guard: formula.member(key, value), value: key }];
  if (key.kind === 'constant' && isRecord(constant)) {
    const known = typeof key.value === 'string' && Object.hasOwn(constant, key.value) ? constant[key.value] : undefined;
    return known === undefined ? [] : [{ guard: 'true', value: constantValue(known) }];
  }
  return (elementsOf(constant) ?? []).flatMap(([name, item]) => {
    const guard = formula.equal(key, constantValue(name));
    return guard === 'false' ? [] : [{ guard, value: constantValue(item) }];
  });
}

function inputMember(formula: Formula, path: readonly (string | number)[], key: Value): Cases {
  const array = formula.array(path);
  if (array !== undefined && key.kind === 'constant' && typeof key.value === 'number') {
    if (!Number.isInteger(key.value) || key.value < 0 || key.value >= array.length) return [];
    return [{ guard: array.flag, value: { kind: 'input', path: [...path, key.value] } }];
  }
  if (array !== undefined) throw new Outside('a member of what is an array in the domain');
  if (key.kind !== 'constant' || typeof key.value !== 'string')
    throw new Outside('a computed key or an array place of the input');
  return [{ guard: 'true', value: { kind: 'input', path: [...path, key.value] } }];
}
