import type { SourceDocument } from '../config/document.ts';
import { checked } from '../config/schema.ts';
import { ConfigurationError, type Problem } from '../core/errors.ts';
import type { Location } from '../core/finding.ts';
import { canonicalJson, digestJson, isObject, type Json, type JsonObject } from '../core/json.ts';
import { boundariesOf, type Comparison, unknownString } from './boundaries.ts';
import { type DataMarker, dataMarker, valuesOfData, withData } from './domain-data.ts';

export type InputPath = readonly (string | number)[];

/** One way a path can be: a value, or not there at all (undefined). */
export interface Choice {
  readonly json: Json | undefined;
}

export interface Dimension {
  readonly text: string;
  readonly path: InputPath;
  readonly choices: readonly Choice[];
  /** The choice that equals the base input; undefined when the base's own value is not among them. */
  readonly base: number | undefined;
}

/**
 * A declared input domain: the product of `dimensions`, each a path in `base` with its possible values. Points are
 * numbered 0..size-1 in mixed radix, the last dimension counting fastest; none is ever stored.
 */
export interface Domain {
  readonly base: JsonObject;
  readonly dimensions: readonly Dimension[];
  /** Number of points; may exceed 2^53, then it is only approximately right and the domain is searched. */
  readonly size: number;
  /** Data path of the rule that a point must satisfy. */
  readonly where: string | undefined;
  /** Where the document names it. */
  readonly whereLocation?: Location;
  readonly location: Location;
  readonly digest: string;
}

/** At most this many values in one dimension. */
const MAX_CHOICES = 10_000;

/** What a domain document is read against: the policies and data documents of one side, or of both. */
export interface DomainContext {
  readonly comparisons: readonly Comparison[];
  readonly texts: readonly string[];
  /** Data documents that `keysOf`, `valuesOf` and `eachKeyOf` read. */
  readonly data?: readonly JsonObject[];
}

/**
 * Checks and expands a domain document against the policy it is for: `boundaries` are mined from the policy's
 * comparisons, `unknown` is a string that occurs nowhere in policy or data, `keysOf` and `valuesOf` are read from the data.
 * @throws ConfigurationError with every problem
 */
export function readDomain(source: SourceDocument, context: DomainContext): Domain {
  const document = checked('domain', source);
  const problems: Problem[] = [];
  const data = context.data ?? [];
  const nothing = (path: InputPath, { kind, path: from }: DataMarker): void => {
    problems.push({
      message: `\`${kind}: ${from}\` finds nothing in the data document.`,
      location: source.locate(path),
      expected: 'a dotted path below data, with * for every member, e.g. tenants.*.models.*',
      fix: 'correct the path, or write the values out.',
    });
  };
  const base = withData(document.base as JsonObject, data, (path, marker) => nothing(['base', ...path], marker)) as JsonObject;
  const dimensions: Dimension[] = [];
  for (const [text, values] of Object.entries(document.vary as { readonly [path: string]: readonly Json[] })) {
    const location = source.locate(['vary', text], 'key');
    const path = parsePath(text);
    if (path === undefined) {
      problems.push({
        message: `\`${text}\` is no path.`,
        location,
        expected: 'keys with dots between, array places as [n], e.g. fleet.pools[0].saturation',
      });
      continue;
    }
    if (parentOf(base, path) === undefined) {
      problems.push({
        message: `\`${text}\` has no place in the base input.`,
        location,
        expected: 'a path whose parent is in `base`',
        fix: 'correct the path, or add the parent to `base`.',
      });
      continue;
    }
    const overlap = dimensions.find((d) => startsWith(d.path, path) || startsWith(path, d.path));
    if (overlap !== undefined) {
      problems.push({
        message: `\`${text}\` lies inside \`${overlap.text}\`, or the other way round.`,
        location,
        expected: 'paths that do not contain each other',
      });
      continue;
    }
    const choices: Choice[] = [];
    for (const [index, value] of values.entries()) {
      const marker = markerOf(value);
      const fromData = dataMarker(value);
      if (fromData !== undefined) {
        const values = valuesOfData(fromData, data);
        if (values.length === 0) nothing(['vary', text, index], fromData);
        choices.push(...values.map((json) => ({ json })));
      } else if (marker === undefined) choices.push({ json: value });
      else if (marker === 'absent') choices.push({ json: undefined });
      else if (marker === 'unknown') choices.push({ json: unknownString(context.texts) });
      else {
        const numbers = boundariesOf(context.comparisons, path);
        if (numbers.length === 0) {
          problems.push({
            message: `no comparison in the policy mentions \`${String(path.at(-1))}\`, so it has no boundaries.`,
            location: source.locate(['vary', text, index]),
            fix: 'list the values that matter.',
          });
        }
        choices.push(...numbers.map((json) => ({ json })));
      }
    }
    const unique = [...new Map(choices.map((c) => [c.json === undefined ? 'absent' : canonicalJson(c.json), c])).values()];
    if (unique.length > MAX_CHOICES)
      problems.push({ message: `\`${text}\` has ${unique.length} values.`, location, expected: `at most ${MAX_CHOICES}` });
    const own = valueAt(base, path);
    const baseIndex = unique.findIndex((c) =>
      c.json === undefined ? own === undefined : own !== undefined && canonicalJson(c.json) === canonicalJson(own),
    );
    dimensions.push({ text, path, choices: unique, base: baseIndex < 0 ? undefined : baseIndex });
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  return {
    base,
    dimensions,
    size: dimensions.reduce((product, d) => product * Math.max(1, d.choices.length), 1),
    where: document.where?.replaceAll('/', '.'),
    ...(document.where === undefined ? {} : { whereLocation: source.locate(['where']) }),
    location: { file: source.file, line: 1 },
    digest: digestJson([
      base,
      dimensions.map((d) => [d.text, d.choices.map((c) => c.json ?? { absent: true })]),
      document.where ?? null,
    ]),
  };
}

function markerOf(value: Json): 'absent' | 'unknown' | 'boundaries' | undefined {
  if (!isObject(value)) return undefined;
  const keys = Object.keys(value);
  const [key] = keys;
  if (keys.length !== 1 || value[key!] !== true) return undefined;
  return key === 'absent' || key === 'unknown' || key === 'boundaries' ? key : undefined;
}

/** `a.b[0]["x.y"]` → ['a', 'b', 0, 'x.y'] */
export function parsePath(text: string): InputPath | undefined {
  const steps: (string | number)[] = [];
  const pattern = /(?:^|\.)(?<key>[A-Za-z_$][\w$-]*)|\[(?<index>\d{1,6})\]|\["(?<quoted>(?:[^"\\]|\\.)*)"\]/gy;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    const { key, index, quoted } = match.groups!;
    steps.push(key ?? (index === undefined ? (JSON.parse(`"${quoted!}"`) as string) : Number(index)));
    end = match.index + match[0].length;
  }
  return end === text.length && steps.length > 0 ? steps : undefined;
}

export function pathText(path: InputPath): string {
  return path
    .map((step, i) =>
      typeof step === 'number'
        ? `[${step}]`
        : /^[A-Za-z_$][\w$-]*$/.test(step)
          ? `${i === 0 ? '' : '.'}${step}`
          : `[${JSON.stringify(step)}]`,
    )
    .join('');
}

function startsWith(path: InputPath, prefix: InputPath): boolean {
  return prefix.length <= path.length && prefix.every((step, index) => path[index] === step);
}

export function valueAt(value: Json, path: InputPath): Json | undefined {
  let node: Json | undefined = value;
  for (const step of path) {
    if (typeof step === 'number') node = Array.isArray(node) ? (node as readonly Json[])[step] : undefined;
    else node = isObject(node) && Object.hasOwn(node, step) ? node[step] : undefined;
    if (node === undefined) return undefined;
  }
  return node;
}

function parentOf(base: Json, path: InputPath): Json | undefined {
  const parent = valueAt(base, path.slice(0, -1));
  const last = path.at(-1)!;
  if (typeof last === 'number') return Array.isArray(parent) && last < parent.length ? parent : undefined;
  return isObject(parent) ? parent : undefined;
}

/** A copy with the value at `path` set, or removed when undefined (array elements close up). */
export function withValue(value: Json, path: InputPath, to: Json | undefined): Json {
  const [step, ...rest] = path;
  if (step === undefined) return to ?? null;
  if (typeof step === 'number') {
    const list = [...(value as readonly Json[])];
    if (rest.length === 0 && to === undefined) list.splice(step, 1);
    else list[step] = rest.length === 0 ? to! : withValue(list[step]!, rest, to);
    return list;
  }
  const object: Record<string, Json> = { ...(value as JsonObject) };
  if (rest.length === 0 && to === undefined) delete object[step];
  else object[step] = rest.length === 0 ? to! : withValue(object[step]!, rest, to);
  return object;
}

/** The choices of a point. */
export function digitsOf(domain: Pick<Domain, 'dimensions'>, index: number): number[] {
  const digits = new Array<number>(domain.dimensions.length);
  let rest = index;
  for (let d = domain.dimensions.length - 1; d >= 0; d -= 1) {
    const radix = domain.dimensions[d]!.choices.length;
    digits[d] = rest % radix;
    rest = Math.floor(rest / radix);
  }
  return digits;
}

/** The input of a point. Removals run last and from the back, so that array places stay true. */
export function inputOf(domain: Pick<Domain, 'dimensions' | 'base'>, digits: readonly number[]): JsonObject {
  let input: Json = domain.base;
  const removals: InputPath[] = [];
  for (const [d, dimension] of domain.dimensions.entries()) {
    const { json } = dimension.choices[digits[d]!]!;
    if (json === undefined) removals.push(dimension.path);
    else input = withValue(input, dimension.path, json);
  }
  const byPlace = removals.sort((a, b) =>
    typeof a.at(-1) === 'number' && typeof b.at(-1) === 'number' ? Number(b.at(-1)) - Number(a.at(-1)) : 0,
  );
  for (const path of byPlace) if (valueAt(input, path) !== undefined) input = withValue(input, path, undefined);
  return input as JsonObject;
}

/** In how many dimensions a point differs from the base input. */
export function distance(domain: Pick<Domain, 'dimensions'>, digits: readonly number[]): number {
  return digits.filter((digit, d) => digit !== domain.dimensions[d]!.base).length;
}
