import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, posix, relative, resolve, sep } from 'node:path';
import picomatch from 'picomatch';
import { ConfigurationError } from '../core/errors.ts';
import type { FileTree, LinkEntry } from '../core/gate-context.ts';
import { compareText } from '../core/text.ts';
import type { Git } from './git.ts';

/** The trees made here: commits, and folders on disk. */
export type Tree = FileTree;

const MAX_FILES = 50_000;
/** Larger files are models or mistakes; they are digested as a stream, never held in memory. */
const MAX_READ_BYTES = 256 * 1024 * 1024;

interface CommitFiles {
  readonly paths: readonly string[];
  /** Object ids by path: a path can hold line breaks, an object id can't. */
  readonly ids: ReadonlyMap<string, string>;
  readonly links: readonly LinkEntry[];
}

/** @param folder only what is below it is read and counted: a fleet in a large repository */
export async function commitTree(git: Git, ref: string, folder = ''): Promise<Tree> {
  const commit = await git.resolve(ref);
  let files: Promise<CommitFiles> | undefined;
  const all = (): Promise<CommitFiles> => {
    files ??= git
      .raw(['ls-tree', '-r', '-z', '--full-tree', commit, ...(folder === '' ? [] : ['--', `${normalise(folder)}/`])])
      .then((out) => commitFiles(out));
    return files;
  };
  const readMany = async (paths: readonly string[]): Promise<ReadonlyMap<string, Buffer>> => {
    const { ids } = await all();
    const wanted = paths.map((path) => (ids.has(path) ? path : normalise(path))).filter((path) => ids.has(path));
    const blobs = await git.blobs(wanted.map((path) => ids.get(path)!));
    return new Map(wanted.flatMap((path, index) => (blobs[index] === undefined ? [] : [[path, blobs[index]] as const])));
  };
  return {
    // For sentences; twelve digits say which commit, as everywhere else in a report.
    name: /^[0-9a-f]{40,64}$/.test(ref) ? ref.slice(0, 12) : ref,
    commit,
    list: async (prefix = '') => (await all()).paths.filter(below(prefix)),
    read: async (path) => [...(await readMany([path])).values()][0],
    readMany,
    links: async () => (await all()).links,
  };
}

/** Output of `ls-tree -r -z`. Trees made by hand can hold what no checkout would write: such a commit is refused. */
function commitFiles(out: string): CommitFiles {
  const ids = new Map<string, string>();
  const links: LinkEntry[] = [];
  for (const entry of out.split('\0')) {
    const match = /^(?<mode>\d{6}) (?:blob|commit) (?<id>[0-9a-f]+)\t(?<path>[\s\S]+)$/.exec(entry);
    if (match === null) continue;
    const { mode, id, path } = match.groups as { mode: string; id: string; path: string };
    if (ids.has(path) || path.includes('\ufffd') || path.split('/').some((step) => /^(?:|\.|\.\.|\.git)$/i.test(step)))
      throw new ConfigurationError({
        message: `the commit holds the path ${JSON.stringify(path.slice(0, 200))}.`,
        expected: 'names in UTF-8, none of them `.`, `..` or `.git`, each once',
        fix: 'rename the file.',
      });
    if (mode === '120000') links.push({ path, kind: 'symbolic link', target: id });
    else if (mode === '160000') links.push({ path, kind: 'submodule', target: id });
    else ids.set(path, id);
  }
  return { paths: checkCount([...ids.keys()].sort(compareText)), ids, links };
}

/** A folder on disk, `.git` and `node_modules` left out. */
export function folderTree(dir: string, name = '.'): Tree {
  const root = resolve(dir);
  const walk = async (folder: string, found: string[], links: string[]): Promise<void> => {
    for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
      if (entry.name === '.git' || entry.name === 'node_modules') continue;
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) await walk(path, found, links);
      else if (entry.isFile()) found.push(path);
      else if (entry.isSymbolicLink()) links.push(path);
      if (found.length > MAX_FILES) checkCount(found);
    }
  };
  const list = async (prefix = ''): Promise<readonly string[]> => {
    const start = normalise(prefix);
    const found: string[] = [];
    const stat = await lstat(join(root, start)).catch(() => undefined);
    if (stat?.isFile()) return [start];
    if (!stat?.isDirectory()) return [];
    await walk(start, found, []);
    return found.sort(compareText);
  };
  /** The real path of a plain file inside the folder. */
  const plainFile = async (path: string): Promise<{ full: string; size: number } | undefined> => {
    const full = join(root, normalise(path));
    try {
      const real = await realpath(full);
      // A link inside the path, or the file itself, must not lead out of the folder.
      if (relative(await realpath(root), real).split(sep)[0] === '..') return undefined;
      const stat = await lstat(full);
      return stat.isFile() ? { full, size: stat.size } : undefined;
    } catch {
      return undefined;
    }
  };
  const read = async (path: string): Promise<Buffer | undefined> => {
    const file = await plainFile(path);
    if (file === undefined) return undefined;
    if (file.size > MAX_READ_BYTES) {
      throw new ConfigurationError({
        message: `the file is ${file.size} bytes`,
        location: { file: normalise(path) },
        expected: `at most ${MAX_READ_BYTES} bytes`,
        fix: 'check that the right file is named.',
      });
    }
    return readFile(file.full).catch(() => undefined);
  };
  return {
    name,
    commit: undefined,
    list,
    read,
    async links() {
      const found: string[] = [];
      await walk('', [], found);
      return Promise.all(
        found
          .sort(compareText)
          .map(async (path): Promise<LinkEntry> => ({ path, kind: 'symbolic link', target: await readlink(join(root, path)) })),
      );
    },
    async readMany(paths) {
      const result = new Map<string, Buffer>();
      for (const path of paths) {
        const bytes = await read(path);
        if (bytes !== undefined) result.set(normalise(path), bytes);
      }
      return result;
    },
    async digest(path) {
      const file = await plainFile(path);
      if (file === undefined) return undefined;
      const hash = createHash('sha256');
      for await (const chunk of createReadStream(file.full)) hash.update(chunk as Buffer);
      return { bytes: file.size, sha256: hash.digest('hex') };
    },
  };
}

/** The part of a tree below a folder, as a tree of its own. */
export function subtree(tree: Tree, folder: string): Tree {
  const prefix = normalise(folder);
  if (prefix === '') return tree;
  const inside = (path: string): string => posix.join(prefix, normalise(path));
  const strip = (path: string): string => path.slice(prefix.length + 1);
  return {
    name: tree.name,
    commit: tree.commit,
    list: async (below = '') => (await tree.list(inside(below))).map(strip),
    read: (path) => tree.read(inside(path)),
    readMany: async (paths) =>
      new Map([...(await tree.readMany(paths.map(inside)))].map(([path, bytes]) => [strip(path), bytes])),
    ...(tree.digest === undefined ? {} : { digest: (path: string) => tree.digest!(inside(path)) }),
    ...(tree.links === undefined
      ? {}
      : {
          links: async () =>
            (await tree.links!()).flatMap((link) =>
              link.path.startsWith(`${prefix}/`)
                ? [{ ...link, path: strip(link.path) }]
                : // The folder itself, or one above it.
                  link.path === prefix || prefix.startsWith(`${link.path}/`)
                  ? [{ ...link, path: '' }]
                  : [],
            ),
        }),
  };
}

/** Files that match any of the patterns (`a/b.yaml`, `slo/*.yaml`, `events` for everything below a folder), sorted. */
export async function glob(tree: Tree, patterns: readonly string[]): Promise<readonly string[]> {
  const all = await tree.list();
  const wanted = patterns.map(normalise);
  const matches = picomatch([...wanted], { dot: true });
  const found = (path: string): boolean =>
    wanted.some((pattern) => path === pattern || path.startsWith(`${pattern}/`)) || matches(path);
  const above = picomatch([...new Set(wanted.flatMap(foldersOf))], { dot: true });
  tree.lookedFor?.((path) => found(path) || above(path));
  return all.filter(found);
}

// `a/b?/c.yaml`: `a` and `a/b?`, the folders that a file of this pattern can be in.
function foldersOf(pattern: string): string[] {
  const steps = pattern.split('/');
  return steps.slice(0, -1).map((_, index) => steps.slice(0, index + 1).join('/'));
}

export interface Materialized extends AsyncDisposable {
  readonly dir: string;
}

/** Writes the files at or below the given paths into a new temporary folder, for external programs. Dispose to remove it. */
export async function materialize(tree: Tree, paths: readonly string[] = ['']): Promise<Materialized> {
  const dir = await mkdtemp(join(tmpdir(), 'mixgate-'));
  try {
    const files = [...new Set((await Promise.all(paths.map((path) => tree.list(path)))).flat())];
    for (const [path, bytes] of await tree.readMany(files)) {
      const target = join(dir, path);
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, bytes);
    }
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}

/** `./a//b/` → `a/b`; refuses to leave the tree. */
export function normalise(path: string): string {
  const clean = posix.normalize(path.replaceAll('\\', '/')).replace(/^\.(?:\/|$)|\/+$/g, '');
  if (clean === '..' || clean.startsWith('../') || posix.isAbsolute(clean)) {
    throw new ConfigurationError({
      message: `the path ${JSON.stringify(path)} leads out of the repository.`,
      expected: 'a path inside it',
    });
  }
  return clean;
}

/** Whether a path is at or below a folder; `''` is everything. */
export function below(prefix: string): (path: string) => boolean {
  const start = normalise(prefix);
  return (path) => start === '' || path === start || path.startsWith(`${start}/`);
}

function checkCount(paths: string[]): string[] {
  if (paths.length > MAX_FILES)
    throw new ConfigurationError(
      `the repository has more than ${MAX_FILES} files; point -C at the part that mixgate.yaml describes.`,
    );
  return paths;
}
