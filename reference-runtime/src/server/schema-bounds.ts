// What a schema costs as a grammar, before one is made of it. llama.cpp keeps a stack for every way in which the text so far can be read,
// and asks each about each token of the vocabulary: alternatives that begin alike, nested or reached through references, multiply, and one
// request would keep every other of the batch waiting. So the ways are counted here first. Schemas are in the grammar compiler's dialect:
// every declared property is generated, in order.

export type Json = Record<string, unknown>;

/** Ways to read a text that may be open at once: a long `enum` is as many at its beginning. */
const MAX_OPEN = 1000;
/** Steps of the search over what alternatives lead to; each looks at one set of them. */
const MAX_VISITS = 5000;

/** A schema that cannot be used; the message goes after "the schema at its root". */
export class SchemaBoundsError extends Error {}

/** Leaf schemas that may be what is read now, with the number of ways to be there. */
type Open = Map<Json, number>;

const entries = new WeakMap<Json, Array<[string, Json]>>();

function properties(schema: Json): Array<[string, Json]> {
  const known = entries.get(schema) ?? Object.entries(schema['properties'] as Record<string, Json>);
  entries.set(schema, known);
  return known;
}

function ways(leaf: Json): number {
  return Array.isArray(leaf['enum']) ? leaf['enum'].length : 1;
}

/** Checks that a text of the schema can end, and how many ways to read it are open at once. @throws SchemaBoundsError */
export function checkBounds(schema: Json): void {
  const defs = new Map(
    Object.entries((schema['$defs'] ?? {}) as Record<string, Json>).map(([name, def]) => [`#/$defs/${name}`, def]),
  );
  const opened = new Openings(defs);
  const root = opened.of(schema);
  if (!canEnd(schema, defs))
    throw new SchemaBoundsError(
      'has no end: every declared property is generated, so what refers to itself needs a way out, such as anyOf with null',
    );
  new Walk(opened).from(root);
}

/** What each schema can begin with, without anything read in between. */
class Openings {
  readonly #defs: ReadonlyMap<string, Json>;
  readonly #known = new Map<Json, Open | 'working'>();

  constructor(defs: ReadonlyMap<string, Json>) {
    this.#defs = defs;
  }

  of(schema: Json): Open {
    const known = this.#known.get(schema);
    if (known === 'working') throw new SchemaBoundsError('refers to itself with nothing in between');
    if (known !== undefined) return known;
    this.#known.set(schema, 'working');
    const open: Open = new Map();
    if (typeof schema['$ref'] === 'string') addAll(open, this.of(this.#defs.get(schema['$ref']) as Json), 1);
    else if (Array.isArray(schema['oneOf'])) for (const entry of schema['oneOf'] as Json[]) addAll(open, this.of(entry), 1);
    else open.set(schema, 1);
    this.#known.set(schema, open);
    return open;
  }
}

function addAll(to: Open, from: Open, times: number): void {
  let total = 0;
  for (const [leaf, count] of from) to.set(leaf, (to.get(leaf) ?? 0) + count * times);
  for (const [leaf, count] of to) total += count * ways(leaf);
  if (total > MAX_OPEN)
    throw new SchemaBoundsError(
      `has too many alternatives that begin alike: at most ${MAX_OPEN} ways to read a text may be open at once; let them differ in their first property, by a const`,
    );
}

/** Follows every set of alternatives that a text can lead to. */
class Walk {
  readonly #opened: Openings;
  readonly #ids = new Map<Json, number>();
  readonly #seen = new Set<string>();
  readonly #todo: Open[] = [];
  #visits = 0;

  constructor(opened: Openings) {
    this.#opened = opened;
  }

  from(root: Open): void {
    this.#push(root);
    for (let open = this.#todo.pop(); open !== undefined; open = this.#todo.pop()) {
      const leaves = [...open];
      const arrays = leaves.filter(([leaf]) => leaf['type'] === 'array');
      if (arrays.length > 0) this.#inside(arrays, (leaf) => leaf['items'] as Json);
      this.#objects(
        leaves.filter(([leaf]) => leaf['type'] === 'object'),
        0,
      );
    }
  }

  #visit(): void {
    if (++this.#visits > MAX_VISITS) throw new SchemaBoundsError('has alternatives that can be combined in too many ways');
  }

  #push(open: Open): void {
    this.#visit();
    const key = [...open]
      .map(([leaf, count]) => {
        if (!this.#ids.has(leaf)) this.#ids.set(leaf, this.#ids.size);
        return `${this.#ids.get(leaf)}x${count}`;
      })
      .sort()
      .join();
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#todo.push(open);
  }

  #inside(leaves: Array<[Json, number]>, child: (leaf: Json) => Json): void {
    const next: Open = new Map();
    for (const [leaf, count] of leaves) addAll(next, this.#opened.of(child(leaf)), count);
    this.#push(next);
  }

  /** Objects that are read alike up to property `index`: what that property's value may be, and which of them stay together after it. */
  #objects(objects: Array<[Json, number]>, index: number): void {
    const byName = Map.groupBy(
      objects.filter(([leaf]) => properties(leaf).length > index),
      ([leaf]) => properties(leaf)[index]?.[0],
    );
    for (const group of byName.values()) {
      this.#visit();
      const value = (leaf: Json): Json => (properties(leaf)[index] as [string, Json])[1];
      const values = (leaf: Json): unknown[] | undefined => value(leaf)['enum'] as unknown[] | undefined;
      this.#inside(group, value);
      if (group.length === 1 || group.some(([leaf]) => values(leaf) === undefined)) this.#objects(group, index + 1);
      else {
        // A constant tells its alternatives apart: only those that allow the same value go on together.
        const parts = new Map<string, Array<[Json, number]>>();
        for (const each of new Set(group.flatMap(([leaf]) => values(leaf) as unknown[]))) {
          const part = group.filter(([leaf]) => values(leaf)?.includes(each));
          parts.set(part.map(([leaf]) => group.findIndex(([other]) => other === leaf)).join(), part);
        }
        for (const part of parts.values()) this.#objects(part, index + 1);
      }
    }
  }
}

/** Whether some text of the schema is finite: the least fixed point over its definitions. */
function canEnd(root: Json, defs: ReadonlyMap<string, Json>): boolean {
  const ending = new Set<string>();
  const ends = (schema: Json): boolean => {
    if (typeof schema['$ref'] === 'string') return ending.has(schema['$ref']);
    if (Array.isArray(schema['oneOf'])) return (schema['oneOf'] as Json[]).some(ends);
    if (schema['type'] === 'array') return Number(schema['minItems'] ?? 0) === 0 || ends(schema['items'] as Json);
    if (schema['type'] === 'object') return properties(schema).every(([, value]) => ends(value));
    return true;
  };
  for (let before = -1; before !== ending.size; ) {
    before = ending.size;
    for (const [name, def] of defs) if (ends(def)) ending.add(name);
  }
  return ends(root);
}
