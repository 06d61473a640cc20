import { readFile, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { loadPolicySource, type PolicySource, parseData } from '../rego/source.ts';
import { openGit } from '../workspace/git.ts';
import { commitTree, folderTree, type Tree } from '../workspace/tree.ts';

/** A folder on the command line, as a tree and a root in it; paths in findings are relative to `dir` where they can be. */
async function openFolder(dir: string, folder: string): Promise<{ readonly tree: Tree; readonly root: string }> {
  const full = resolve(dir, folder);
  const found = await stat(full).catch(() => undefined);
  if (found === undefined)
    throw new ConfigurationError({
      message: `the folder ${folder} does not exist.`,
      fix: 'correct the path; it is relative to the working directory or -C DIR.',
    });
  if (!found.isDirectory())
    throw new ConfigurationError({ message: `${folder} is a file.`, expected: 'a folder with *.rego files' });
  const inside = relative(dir, full);
  if (inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside)) return { tree: folderTree(full, folder), root: '' };
  return { tree: folderTree(dir, folder), root: inside.split(sep).join('/') };
}

/** Rego of a folder; `data` replaces the data documents that lie in it. */
export async function openPolicy(dir: string, folder: string, data?: string): Promise<PolicySource> {
  const { tree, root } = await openFolder(dir, folder);
  return withData(await loadPolicySource(tree, { roots: [root] }), dir, data);
}

/** A side of a diff: a folder, `REF:FOLDER`, or a REF whose mixgate.yaml names the roots. */
export async function openDiffSide(dir: string, where: string, config: string, data?: string): Promise<PolicySource> {
  if ((await stat(resolve(dir, where)).catch(() => undefined)) !== undefined) return openPolicy(dir, where, data);
  const [ref, ...rest] = where.split(':');
  const folder = rest.join(':');
  let tree: Tree;
  try {
    tree = await commitTree(await openGit(dir), ref!);
  } catch (cause) {
    if (!(cause instanceof ConfigurationError)) throw cause;
    throw new ConfigurationError(
      {
        message: `${JSON.stringify(where)} is neither a folder nor a Git ref.`,
        expected: 'a folder, REF:FOLDER, or a REF with a mixgate.yaml',
      },
      { cause },
    );
  }
  const section = folder === '' ? (await loadConfig(tree, config)).config.policy : { roots: [folder] };
  if (section === undefined)
    throw new ConfigurationError({
      message: `${config} at ${ref} has no policy section.`,
      fix: 'name the folder as REF:FOLDER.',
    });
  return withData({ ...(await loadPolicySource(tree, section)), name: where }, dir, data);
}

async function withData(source: PolicySource, dir: string, data: string | undefined): Promise<PolicySource> {
  if (data === undefined) return source;
  return { ...source, data: await readData(dir, data), dataFiles: [data] };
}

async function readData(dir: string, file: string): Promise<JsonObject> {
  return parseData(await readUserFile(dir, file), file);
}

const MAX_FILE_BYTES = 256 * 1024 * 1024;

/** A file that the user named. @throws ConfigurationError when it can't be read */
export async function readUserFile(dir: string, file: string): Promise<Buffer> {
  const found = await stat(resolve(dir, file)).catch(() => undefined);
  if (found === undefined)
    throw new ConfigurationError({
      message: 'the file does not exist.',
      location: { file },
      fix: 'correct the path; it is relative to the working directory or -C DIR.',
    });
  if (!found.isFile()) throw new ConfigurationError({ message: 'this is no file.', location: { file } });
  if (found.size > MAX_FILE_BYTES)
    throw new ConfigurationError({
      message: `the file is ${found.size} bytes`,
      location: { file },
      expected: `at most ${MAX_FILE_BYTES} bytes`,
    });
  return readFile(resolve(dir, file));
}
