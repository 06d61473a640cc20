import { ConfigurationError } from '../core/errors.ts';
import type { FileTree } from '../core/gate-context.ts';
import { normalise } from '../workspace/tree.ts';
import { decodeText, parseYaml, type SourceDocument } from './document.ts';

/** A text file that must be there. `from` says who named it, for the error. */
export async function readText(tree: FileTree, path: string, namedBy = 'mixgate.yaml'): Promise<string> {
  const bytes = await tree.read(path);
  if (bytes === undefined) {
    throw new ConfigurationError({
      message: `the file does not exist in ${tree.name} (named by ${namedBy}).`,
      location: { file: normalise(path) },
      fix: 'correct the path, or add the file.',
    });
  }
  return decodeText(bytes, normalise(path));
}

export async function readYaml(tree: FileTree, path: string, namedBy?: string): Promise<SourceDocument> {
  return parseYaml(await readText(tree, path, namedBy), normalise(path));
}
