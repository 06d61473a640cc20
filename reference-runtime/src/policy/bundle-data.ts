// The data of a bundle: files data.json and data.yaml in any of its folders, each at the path of its folder (OPA documentation, Bundles,
// "Bundle File Format").
import { parse } from 'yaml';
import { messageOf } from '../../../src/core/errors.ts';
import { BundleError } from './bundle-error.ts';

const DATA = /^(?:(?<folder>.+)\/)?data\.(?<kind>json|yaml|yml)$/;

/** Whether a file of a bundle, named from its root, is one of data. */
export function isData(name: string): boolean {
  return DATA.test(name);
}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Puts `value` at `path`; an object that is there takes its keys. False where something else is there already. */
function put(into: Json, path: readonly string[], value: unknown): boolean {
  let at = into;
  for (const part of path.slice(0, -1)) {
    if (!Object.hasOwn(at, part)) define(at, part, {});
    const next = at[part];
    if (!isObject(next)) return false;
    at = next;
  }
  const last = path.at(-1) as string;
  if (!Object.hasOwn(at, last)) {
    define(at, last, value);
    return true;
  }
  return (
    isObject(value) && isObject(at[last]) && Object.entries(value).every(([key, item]) => put(at[last] as Json, [key], item))
  );
}

/** Not by assignment: `__proto__` is a key like any other. */
function define(object: Json, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}

function read(name: string, text: string, source: string): Json {
  let value: unknown;
  try {
    value = name.endsWith('.json') ? JSON.parse(text) : parse(text, { maxAliasCount: 100 });
  } catch (error) {
    const kind = name.endsWith('.json') ? 'JSON' : 'YAML';
    throw new BundleError(`${source}: ${name} is not ${kind}: ${messageOf(error)}`);
  }
  if (!isObject(value)) throw new BundleError(`${source}: ${name} must be an object`);
  return value;
}

/** All data of a bundle as one document. `roots`: what the manifest says the bundle owns. @throws BundleError */
export function bundleData(files: ReadonlyMap<string, Buffer>, roots: readonly string[], source: string): Json {
  const data: Json = {};
  for (const name of [...files.keys()].filter(isData).sort()) {
    const path = DATA.exec(name)?.groups?.['folder']?.split('/') ?? [];
    for (const [key, value] of Object.entries(read(name, (files.get(name) as Buffer).toString('utf8'), source))) {
      const where = [...path, key];
      if (!roots.some((root) => overlap(root, where)))
        throw new BundleError(
          `${source}: ${name} has ${where.join('/')}, which is outside the roots of the bundle: ${roots.join(', ')}`,
        );
      if (!put(data, where, value))
        throw new BundleError(`${source}: ${name} has ${where.join('/')}, which another file of the bundle has too`);
    }
  }
  return data;
}

/** Whether a path is below a root, or a root below it. */
function overlap(root: string, path: readonly string[]): boolean {
  const parts = root.split('/').filter((part) => part !== '');
  return parts.every((part, index) => path[index] === undefined || path[index] === part);
}
