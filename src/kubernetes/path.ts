import type { Path } from '../config/document.ts';
import { isObject, type Json } from '../core/json.ts';

/** Narrows to a list; `Array.isArray` alone turns a readonly list into `any[]`. */
export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

/** The value at `path`; undefined where a step is absent. */
export function valueAt(value: Json | undefined, path: Path): Json | undefined {
  let current = value;
  for (const step of path) {
    if (isList(current)) current = current[Number(step)];
    else if (isObject(current)) current = Object.hasOwn(current, String(step)) ? current[String(step)] : undefined;
    else return undefined;
  }
  return current;
}

/** The text at `path`, if there is one. */
export function textAt(value: Json | undefined, path: Path): string | undefined {
  const found = valueAt(value, path);
  return typeof found === 'string' ? found : undefined;
}

/** The map of strings at `path` (labels, annotations, selectors); other values are left out. */
export function textsAt(value: Json | undefined, path: Path): { readonly [key: string]: string } {
  const found = valueAt(value, path);
  if (!isObject(found)) return {};
  return Object.fromEntries(Object.entries(found).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

/** Steps of an RFC 6901 JSON pointer; digits stay text, as list and map steps look alike. */
export function parsePointer(text: string): readonly string[] {
  return text
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** Whether `path` is `prefix` or lies below it. A `*` step of the prefix stands for any one step. */
export function within(path: Path, prefix: Path): boolean {
  return prefix.length <= path.length && prefix.every((step, index) => step === '*' || String(step) === String(path[index]));
}
