import { readFile, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { decodeText } from '../config/document.ts';
import { ConfigurationError, type Problem } from '../core/errors.ts';
import { folderTree } from '../workspace/tree.ts';
import { MAX_SAMPLES_BYTES } from './samples.ts';

export interface TextFile {
  /** Relative to the working folder where it lies inside, else as given. */
  readonly file: string;
  readonly text: string;
}

/** Reads files and folders (every .yaml and .yml below) named on the command line. @throws ConfigurationError with every missing one */
export async function readNamedFiles(dir: string, names: readonly string[], maxBytes?: number): Promise<readonly TextFile[]> {
  const problems: Problem[] = [];
  const files = new Map<string, TextFile>();
  for (const name of names) {
    const path = resolve(dir, name);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) {
      problems.push({
        message: 'the file does not exist.',
        location: { file: name },
        fix: 'correct the path; it is relative to the working folder (or -C DIR).',
      });
      continue;
    }
    const paths = found.isDirectory()
      ? (await folderTree(path).list()).filter((file) => /\.ya?ml$/.test(file)).map((file) => resolve(path, file))
      : [path];
    if (paths.length === 0) problems.push({ message: 'the folder holds no .yaml file.', location: { file: name } });
    for (const file of paths) {
      const shown = display(dir, file);
      if (files.has(shown)) continue;
      try {
        if ((await stat(file)).size > (maxBytes ?? MAX_SAMPLES_BYTES))
          throw new ConfigurationError({
            message: 'the file is too large.',
            location: { file: shown },
            expected: `at most ${maxBytes ?? MAX_SAMPLES_BYTES} bytes`,
          });
        files.set(shown, { file: shown, text: decodeText(await readFile(file), shown, maxBytes) });
      } catch (error) {
        if (!(error instanceof ConfigurationError)) throw error;
        problems.push(...error.problems);
      }
    }
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  return [...files.values()];
}

function display(dir: string, path: string): string {
  const inside = relative(dir, path);
  return inside === '' || inside.startsWith('..') || isAbsolute(inside) ? path : inside.split(sep).join('/');
}
