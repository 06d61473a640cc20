import { decodeText, parseYaml, type SourceDocument } from '../../config/document.ts';
import { ConfigurationError } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import { readBounded } from '../../core/read-bounded.ts';
import { readCorpus } from '../../policy/corpus.ts';
import { readUserFile } from '../../policy/locate.ts';
import type { Invocation } from '../framework.ts';

export async function domainDocument({ dir, options }: Invocation): Promise<SourceDocument | undefined> {
  const file = options.string('domain');
  return file === undefined ? undefined : parseYaml(decodeText(await readUserFile(dir, file), file), file);
}

export async function corpusOf(
  { dir, options }: Invocation,
  entrypoint: string,
): Promise<ReturnType<typeof readCorpus> | undefined> {
  const file = options.string('corpus');
  return file === undefined ? undefined : readCorpus(await readUserFile(dir, file), file, entrypoint);
}

/** JSON or YAML; `-` is standard input. */
export async function jsonFile({ dir, stdin }: Invocation, file: string): Promise<Json> {
  if (file !== '-') return jsonText(decodeText(await readUserFile(dir, file), file), file);
  const tooLarge = (): ConfigurationError =>
    new ConfigurationError({ message: 'the input on stdin is too large.', expected: 'at most 8 MiB' });
  return jsonText(decodeText(await readBounded(stdin, 8 * 1024 * 1024, tooLarge), 'stdin'), 'stdin');
}

/** An empty file is a mistake (a command that printed nothing), not the input `null`. */
function jsonText(text: string, file: string): Json {
  if (text.trim() === '')
    throw new ConfigurationError({
      message: 'the input is empty.',
      location: { file },
      expected: 'a JSON or YAML document, e.g. {"request": {...}}',
    });
  return parseYaml(text, file).value;
}
