import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, posix, relative, resolve, sep } from 'node:path';
import picomatch from 'picomatch';
import { ConfigurationError } from '../core/errors.ts';
import type { FileTree } from '../core/gate-context.ts';
import { compareText } from '../core/text.ts';
import type { Git } from './git.ts';

/** The trees made here: commits, and folders on disk. */
export type Tree = FileTree;

const MAX_FILES = 50_000;
/** Larger files are models or mistakes; they are digested as a stream, never held in memory. */
const MAX_READ_BYTES = 256 * 1024 * 1024;

export async function commitTree(git: Git, ref: string): Promise<Tree> {
  const commit = await git.resolve(ref);
  let files: Promise<readonly string[]> | undefined;
  const all = (): Promise<readonly string[]> => {
    files ??= git.raw(['ls-tree', '-r', '-z', commit]).then((out) => {
      const paths: string[] = [];
      for (const entry of out.split('\0')) {
        const match = /^(?<mode>\d{6}) blob [0-9a-f]+\t(?<path>[\s\S]+)$/.exec(entry);
        if (match !== null && match.groups!['mode'] !== '120000') paths.push(match.groups!['path']!);
      }
      return checkCount(paths.sort(compareText));
    });
    return files;
  };
  const readMany = async (paths: readonly string[]): Promise<ReadonlyMap<string, Buffer>> => {
    const known = new Set(await all());
    const wanted = paths.map(normalise).filter((path) => known.has(path) && !path.includes('\n'));
    const blobs = await git.blobs(wanted.map((path) => `${commit}:${path}`));
    return new Map(wanted.flatMap((path, index) => (blobs[index] === undefined ? [] : [[path, blobs[index]] as const])));
  };
  return {
    // For sentences; twelve digits say which commit, as everywhere else in a report.
    name: /^[0-9a-f]{40,64}$/.test(ref) ? ref.slice(0, 12) : ref,
    commit,
    list: async (prefix = '') => (await all()).filter(below(prefix)),
    read: async (path) => (await readMany([path])).get(normalise(path)),
    readMany,
  };
}

/** A folder on disk, `.git` and `node_modules` left out. */
export function folderTree(dir: string, name = '.'): Tree {
  const root = resolve(dir);
  const list = async (prefix = ''): Promise<readonly string[]> => {
    const start = normalise(prefix);
    const found: string[] = [];
    const stat = await lstat(join(root, start)).catch(() => undefined);
    if (stat?.isFile()) return [start];
    if (!stat?.isDirectory()) return [];
    const walk = async (folder: string): Promise<void> => {
      for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
        if (entry.name === '.git' || entry.name === 'node_modules') continue;
        const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
        if (entry.isDirectory()) await walk(path);
        else if (entry.isFile()) found.push(path);
        if (found.length > MAX_FILES) checkCount(found);
      }
    };
    await walk(start);
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
  };
}

/** Files that match any of the patterns (`a/b.yaml`, `slo/*.yaml`, `events` for everything below a folder), sorted. */
export async function glob(tree: Tree, patterns: readonly string[]): Promise<readonly string[]> {
  const all = await tree.list();
  const wanted = patterns.map(normalise);
  const matches = picomatch([...wanted], { dot: true });
  return all.filter((path) => wanted.some((pattern) => path === pattern || path.startsWith(`${pattern}/`)) || matches(path));
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

function below(prefix: string): (path: string) => boolean {
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
