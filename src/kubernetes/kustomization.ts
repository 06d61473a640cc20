import { posix } from 'node:path';
import { decodeText, parseYaml, parseYamlStream, type SourceDocument } from '../config/document.ts';
import { ConfigurationError, isMixgateError, type Problem } from '../core/errors.ts';
import type { FileTree } from '../core/gate-context.ts';
import { isObject, type Json } from '../core/json.ts';
import { isList, textAt } from './path.ts';

const NAMES = ['kustomization.yaml', 'kustomization.yml', 'Kustomization'];
const MAX_FOLDERS = 200;
const MAX_FILES = 2000;

/** A kustomization and all it refers to: what must be on disk to render it, nearest first. */
export interface KustomizationGraph {
  /** The overlay's folder first, then what it builds on, in the order they are reached. */
  readonly folders: readonly string[];
  /** Manifests and patches, the overlay's own first; for finding the line a field comes from. */
  readonly files: readonly string[];
}

/** The kustomization file of a folder; undefined when it has none. */
export async function kustomizationFile(tree: FileTree, folder: string): Promise<string | undefined> {
  const files = await tree.list(folder);
  return NAMES.map((name) => posix.join(folder, name)).find((path) => files.includes(path));
}

/** Fields that run programs or fetch charts: a render must not do either. */
const REFUSED: { readonly [field: string]: string } = {
  helmCharts: 'inflates Helm charts',
  helmChartInflationGenerator: 'inflates Helm charts',
  generators: 'runs generator plugins',
  validators: 'runs validator plugins',
};

/**
 * Follows resources, components and patches of a kustomization without running anything, and refuses what a render must
 * not do: remote bases, plugins, cycles, files that don't exist.
 * @throws ConfigurationError with every problem and its line
 */
export async function readKustomization(tree: FileTree, overlay: string): Promise<KustomizationGraph> {
  const all = new Set(await tree.list());
  const isFolder = (path: string): boolean => [...all].some((file) => path === '' || file.startsWith(`${path}/`));
  const folders: string[] = [];
  const files: string[] = [];
  const problems: Problem[] = [];

  const visit = async (folder: string, trail: readonly string[]): Promise<void> => {
    if (trail.includes(folder)) {
      const file = NAMES.map((name) => posix.join(trail.at(-1)!, name)).find((path) => all.has(path));
      problems.push({
        message: `the kustomization includes itself: ${[...trail.slice(trail.indexOf(folder)), folder].join(' -> ')}.`,
        ...(file === undefined ? {} : { location: { file } }),
        fix: 'remove one of these resources.',
      });
      return;
    }
    if (folders.includes(folder)) return;
    if (folders.length >= MAX_FOLDERS)
      throw new ConfigurationError({ message: `${overlay} builds on more than ${MAX_FOLDERS} kustomizations.` });
    folders.push(folder);
    const file = NAMES.map((name) => posix.join(folder, name)).find((path) => all.has(path));
    if (file === undefined) {
      problems.push({
        message: `${folder} has no kustomization.yaml.`,
        location: { file: folder },
        fix: 'add one, or correct the reference.',
      });
      return;
    }
    const source = parseYaml(decodeText((await tree.read(file))!, file), file);
    if (!isObject(source.value)) {
      problems.push({ message: 'the kustomization is not a mapping.', location: { file, line: 1 } });
      return;
    }
    for (const [field, what] of Object.entries(REFUSED)) {
      if (source.value[field] !== undefined)
        problems.push({
          message: `\`${field}\` ${what}, which is refused here.`,
          location: source.locate([field], 'key'),
          fix: 'commit the rendered manifests instead.',
        });
    }
    const next: string[] = [];
    for (const reference of references(source)) {
      const location = source.locate(reference.path);
      if (isRemote(reference.target)) {
        problems.push({
          message: `the remote base ${JSON.stringify(reference.target.slice(0, 120))} is refused: a render reads only this repository.`,
          location,
          fix: 'copy the base into the repository at a pinned version.',
        });
        continue;
      }
      const target = posix.normalize(posix.join(folder, reference.target)).replace(/\/$/, '');
      if (target.startsWith('..') || posix.isAbsolute(reference.target)) {
        problems.push({ message: `${JSON.stringify(reference.target)} leads out of the repository.`, location });
      } else if (all.has(target)) {
        files.push(target);
      } else if (reference.folder && isFolder(target)) {
        next.push(target);
      } else {
        problems.push({
          message: `${JSON.stringify(reference.target)} does not exist.`,
          location,
          fix: 'add the file, or correct the path.',
        });
      }
      if (files.length > MAX_FILES)
        throw new ConfigurationError({ message: `${overlay} builds on more than ${MAX_FILES} files.`, location });
    }
    for (const target of next) await visit(target, [...trail, folder]);
  };

  await visit(overlay, []);
  if (problems.length > 0) throw new ConfigurationError(problems.slice(0, 50));
  return { folders, files: [...new Set(files)] };
}

interface Reference {
  readonly target: string;
  readonly path: readonly (string | number)[];
  /** Whether it may be a folder with its own kustomization. */
  readonly folder: boolean;
}

/** Every path a kustomization names. Inline patches and generators' literals are no paths. */
function references(source: SourceDocument): readonly Reference[] {
  const found: Reference[] = [];
  const list = (field: string, folder: boolean, member?: string): void => {
    const value = isObject(source.value) ? source.value[field] : undefined;
    if (!isList(value)) return;
    for (const [index, item] of value.entries()) {
      const target: Json | undefined = member === undefined ? item : isObject(item) ? item[member] : undefined;
      if (typeof target !== 'string' || target.includes('\n')) continue;
      found.push({ target, path: member === undefined ? [field, index] : [field, index, member], folder });
    }
  };
  list('resources', true);
  list('bases', true);
  list('components', true);
  list('crds', false);
  list('configurations', false);
  list('transformers', true);
  list('patchesStrategicMerge', false);
  list('patches', false, 'path');
  list('patchesJson6902', false, 'path');
  list('replacements', false, 'path');
  const openapi = textAt(source.value, ['openapi', 'path']);
  if (openapi !== undefined) found.push({ target: openapi, path: ['openapi', 'path'], folder: false });
  for (const field of ['configMapGenerator', 'secretGenerator']) {
    const value = isObject(source.value) ? source.value[field] : undefined;
    for (const [index, item] of (isList(value) ? value : []).entries()) {
      if (!isObject(item)) continue;
      for (const key of ['files', 'envs']) {
        for (const [at, entry] of (isList(item[key]) ? item[key] : []).entries())
          if (typeof entry === 'string')
            found.push({ target: entry.replace(/^[^=]*=/, ''), path: [field, index, key, at], folder: false });
      }
    }
  }
  return found;
}

/** What kustomize would take for a URL or a Git repository (its repospec: scheme, scp form, known hosts, ?ref=). */
function isRemote(target: string): boolean {
  return /:\/\/|^[\w.-]+@[\w.-]+:|^(?:git::)|^(?:www\.)?(?:github|gitlab|bitbucket)\.(?:com|org)[/:]|[?&](?:ref|version|timeout|submodules)=|\/\/|^[\w-]+:/i.test(
    target,
  );
}

/** Whether every manifest parses; bad YAML is reported with our file and line rather than kustomize's. */
export async function checkSources(tree: FileTree, files: readonly string[]): Promise<readonly SourceDocument[]> {
  const problems: Problem[] = [];
  const documents: SourceDocument[] = [];
  const contents = await tree.readMany(files);
  for (const file of files) {
    const bytes = contents.get(file);
    if (bytes === undefined || !/\.(ya?ml|json)$/i.test(file)) continue;
    try {
      documents.push(...parseYamlStream(decodeText(bytes, file), file));
    } catch (error) {
      if (!isMixgateError(error)) throw error;
      problems.push(...error.problems);
    }
  }
  if (problems.length > 0) throw new ConfigurationError(problems.slice(0, 50));
  return documents;
}
