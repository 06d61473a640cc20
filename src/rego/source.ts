import { decodeText, parseYaml } from '../config/document.ts';
import { ConfigurationError, type Problem } from '../core/errors.ts';
import type { FileTree } from '../core/gate-context.ts';
import { digestJson, isObject, type Json, type JsonObject, nestingOf } from '../core/json.ts';
import { normalise } from '../workspace/tree.ts';

/** Rego text by path (relative to the repository root). */
export type Modules = ReadonlyMap<string, string>;

/** One side of a change: Rego modules, their tests, and the data document OPA would see. */
export interface PolicySource {
  /** What the user calls it: a ref, or a folder. */
  readonly name: string;
  readonly modules: Modules;
  readonly tests: Modules;
  /** Modules of the invariants folder; never part of the policy itself. */
  readonly invariants: Modules;
  readonly data: JsonObject;
  /** The files that made `data`. */
  readonly dataFiles: readonly string[];
}

export interface SourceOptions {
  /** Folders of Rego modules; each is the root of its data documents, as with `opa build -b`. */
  readonly roots: readonly string[];
  /** Data files outside the roots, merged at the root of the data document. */
  readonly data?: readonly string[] | undefined;
  readonly invariants?: string | undefined;
}

const MAX_MODULE_BYTES = 1024 * 1024;
/** 16 MiB: five megabytes of topology still load; more is a mistake or an attack. */
const MAX_DATA_BYTES = 16 * 1024 * 1024;
const MAX_DATA_DEPTH = 200;
/** Modules below the package `invariants` judge the policy and are never part of it, wherever they lie. */
const INVARIANTS_PACKAGE = /^package[ \t]+invariants(?:[.\s#]|$)/m;
const DATA_NAMES = new Set(['data.json', 'data.yaml', 'data.yml']);

/**
 * Reads the Rego modules and data of a tree the way `opa build --bundle` does: `*.rego` anywhere, data only from files
 * named data.json, data.yaml or data.yml, nested under their folder.
 * @throws ConfigurationError with every problem (missing root, unreadable file, clash of data)
 */
export async function loadPolicySource(tree: FileTree, options: SourceOptions): Promise<PolicySource> {
  const problems: Problem[] = [];
  const modules = new Map<string, string>();
  const tests = new Map<string, string>();
  const invariants = new Map<string, string>();
  const dataFiles: string[] = [];
  let data: JsonObject = {};
  const collect = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      problems.push(...error.problems);
      return undefined;
    }
  };
  const invariantsRoot = options.invariants === undefined ? undefined : normalise(options.invariants);
  const below = (path: string, folder: string): boolean => folder === '' || path === folder || path.startsWith(`${folder}/`);
  const folders = [
    ...options.roots.map((root) => ({ root: normalise(root), namedBy: 'policy.roots' })),
    ...(invariantsRoot === undefined ? [] : [{ root: invariantsRoot, namedBy: 'policy.invariants' }]),
  ];
  for (const { root, namedBy } of folders) {
    const files = await tree.list(root);
    const regos = files.filter((path) => path.endsWith('.rego'));
    if (regos.length === 0) {
      problems.push({
        message:
          files.length === 0 ? `there is nothing at ${JSON.stringify(root)}.` : `${JSON.stringify(root)} holds no Rego module.`,
        location: { file: root === '' ? '.' : root },
        expected: `a folder with *.rego files, as \`${namedBy}\` says`,
      });
    }
    const wanted = files.filter((path) => path.endsWith('.rego') || DATA_NAMES.has(path.split('/').at(-1)!));
    const contents = await tree.readMany(wanted);
    for (const path of wanted) {
      const bytes = contents.get(path);
      if (bytes === undefined) continue;
      if (path.endsWith('.rego')) {
        const text = collect(() => decodeText(bytes, path, MAX_MODULE_BYTES));
        if (text === undefined) continue;
        if ((invariantsRoot !== undefined && below(path, invariantsRoot)) || INVARIANTS_PACKAGE.test(text))
          invariants.set(path, text);
        else if (path.endsWith('_test.rego')) tests.set(path, text);
        else modules.set(path, text);
      } else if (!dataFiles.includes(path)) {
        const folder = path
          .slice(root === '' ? 0 : root.length + 1)
          .split('/')
          .slice(0, -1);
        const value = collect(() => parseData(bytes, path));
        if (value === undefined) continue;
        data = collect(() => merge(data, nest(folder, value), path, [])) ?? data;
        dataFiles.push(path);
      }
    }
  }
  for (const file of (options.data ?? []).map(normalise)) {
    const bytes = await tree.read(file);
    if (bytes === undefined) {
      problems.push({ message: 'the data file does not exist.', location: { file } });
      continue;
    }
    const value = collect(() => parseData(bytes, file));
    if (value === undefined) continue;
    data = collect(() => merge(data, value, file, [])) ?? data;
    dataFiles.push(file);
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  return { name: tree.name, modules, tests, invariants, data, dataFiles };
}

/** A JSON or YAML document whose root is an object. */
export function parseData(bytes: Uint8Array, file: string): JsonObject {
  const text = decodeText(bytes, file, MAX_DATA_BYTES);
  if (nestingOf(text) > MAX_DATA_DEPTH)
    throw new ConfigurationError({
      message: 'the data is nested too deeply.',
      location: { file },
      expected: `at most ${MAX_DATA_DEPTH} levels`,
    });
  let value: Json;
  try {
    // JSON first: it is what such files are, and much faster for large ones.
    value = JSON.parse(text) as Json;
  } catch {
    value = parseYaml(text, file).value;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ConfigurationError({
      message: 'a data document must be an object.',
      location: { file, line: 1 },
      expected: 'a JSON or YAML mapping',
    });
  }
  return value as JsonObject;
}

/** Digest of everything that can change a decision. */
export function sourceDigest(source: PolicySource): string {
  return digestJson([[...source.modules].sort(), source.data]);
}

function nest(folder: readonly string[], value: JsonObject): JsonObject {
  return folder.reduceRight<JsonObject>((inner, name) => ({ [name]: inner }), value);
}

function merge(a: JsonObject, b: JsonObject, file: string, path: readonly string[]): JsonObject {
  const result: Record<string, Json> = { ...a };
  for (const [key, value] of Object.entries(b)) {
    const old = result[key];
    if (old === undefined || !Object.hasOwn(a, key)) result[key] = value;
    else if (isObject(old) && isObject(value)) result[key] = merge(old, value, file, [...path, key]);
    else {
      throw new ConfigurationError({
        message: `data.${[...path, key].join('.')} is set twice.`,
        location: { file },
        fix: 'keep it in one data file.',
      });
    }
  }
  return result;
}

/** Modules without the unit tests among them. */
export function withoutTests(modules: Modules): Modules {
  return new Map([...modules].filter(([path]) => !path.endsWith('_test.rego')));
}

/** Names of the `test_` rules of each test module, by a look at the text: enough to tell a removed test from an edited one. */
export function testNames(text: string): ReadonlySet<string> {
  return new Set([...text.matchAll(/^(?<name>test_\w+)/gm)].map((match) => match.groups!['name']!));
}
