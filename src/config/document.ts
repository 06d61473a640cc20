import {
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  parseDocument,
  visit,
  type YAMLParseError,
  type Document as YamlDocument,
} from 'yaml';
import { ConfigurationError, messageOf, type Problem } from '../core/errors.ts';
import type { Location } from '../core/finding.ts';
import type { Json } from '../core/json.ts';

/** Larger documents are refused: nothing that people write by hand comes near. */
const MAX_DOCUMENT_BYTES = 8 * 1024 * 1024;
const MAX_DEPTH = 64;
/** A parsed document may not grow past this by aliases ("billion laughs"). */
const MAX_ALIASES = 100;

export type Path = readonly (string | number)[];

/** A YAML or JSON document with the place of each value in its file. */
export interface SourceDocument {
  readonly file: string;
  readonly value: Json;
  /** The place of the value at `path`, or of the nearest parent that exists. `key`: the place of the key instead. */
  locate(path: Path, what?: 'key' | 'value'): Location;
  /** The parsed YAML tree, for rewriting with comments kept. */
  readonly yaml: YamlDocument.Parsed;
}

/** Text of a file as bytes came: refuses what is too large, binary or not UTF-8. */
export function decodeText(bytes: Uint8Array, file: string, maxBytes: number = MAX_DOCUMENT_BYTES): string {
  if (bytes.byteLength > maxBytes) {
    throw new ConfigurationError({
      message: `the file is ${bytes.byteLength} bytes`,
      location: { file },
      expected: `at most ${maxBytes} bytes`,
      fix: 'split it, or check that the right file is named.',
    });
  }
  if (bytes.includes(0)) {
    throw new ConfigurationError({ message: 'the file is binary', location: { file }, expected: 'UTF-8 text' });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch (cause) {
    throw new ConfigurationError(
      { message: 'the file is not valid UTF-8', location: { file }, expected: 'UTF-8 text' },
      { cause },
    );
  }
}

/** One YAML 1.2 (or JSON) document. Throws ConfigurationError with every syntax problem and its line. */
export function parseYaml(text: string, file: string): SourceDocument {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false, strict: true });
  return sourceDocument(doc, lines, file);
}

/** Every document of a multi-document YAML stream; empty ones are left out. */
export function parseYamlStream(text: string, file: string): SourceDocument[] {
  const lines = new LineCounter();
  const docs = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false, strict: true });
  if (!Array.isArray(docs)) return [];
  return (docs as YamlDocument.Parsed[]).map((doc) => sourceDocument(doc, lines, file)).filter((doc) => doc.value !== null);
}

function sourceDocument(doc: YamlDocument.Parsed, lines: LineCounter, file: string): SourceDocument {
  const at = (offset: number): Location => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  if (doc.errors.length > 0) {
    throw new ConfigurationError(yamlProblems(doc.errors, at));
  }
  checkDepth(doc, at);
  checkUniqueKeys(doc, at);
  let value: Json;
  try {
    value = (doc.toJS({ maxAliasCount: MAX_ALIASES }) ?? null) as Json;
  } catch (cause) {
    const message = messageOf(cause);
    throw new ConfigurationError({ message: `cannot be read: ${message}`, location: { file, line: 1 } }, { cause });
  }
  const locate = (path: Path, what: 'key' | 'value' = 'value'): Location => {
    let node: unknown = doc.contents;
    let best = isNode(node) && node.range ? at(node.range[0]) : { file, line: 1, column: 1 };
    for (const [index, step] of path.entries()) {
      if (isAlias(node)) node = node.resolve(doc);
      let next: unknown;
      if (isMap(node)) {
        const pair = node.items.find((item) => isPair(item) && keyText(item.key) === String(step));
        next = pair?.value;
        const target = (what === 'key' && index === path.length - 1) || !isNode(next) || !next.range ? pair?.key : next;
        if (isNode(target) && target.range) best = at(target.range[0]);
        if (pair === undefined) break;
      } else if (isSeq(node)) {
        next = node.items[Number(step)];
        if (isNode(next) && next.range) best = at(next.range[0]);
      }
      if (next === undefined || next === null) break;
      node = next;
    }
    return best;
  };
  return { file, value, locate, yaml: doc };
}

/** One slip of the indentation is an error on every line after it: the first one of each kind says enough. */
function yamlProblems(errors: readonly YAMLParseError[], at: (offset: number) => Location): Problem[] {
  const tab = errors.some((error) => error.code === 'TAB_AS_INDENT');
  const seen = new Set<string>();
  return errors.flatMap((error) => {
    if (seen.has(error.message) || (tab && error.code === 'BAD_INDENT')) return [];
    seen.add(error.message);
    const fix = YAML_FIXES[error.code];
    return [{ message: `not valid YAML: ${error.message}`, location: at(error.pos[0]), ...(fix === undefined ? {} : { fix }) }];
  });
}

const YAML_FIXES: { readonly [code: string]: string | undefined } = {
  BAD_INDENT: 'indent the keys of one mapping alike; this line or the one before it has a space too many or too few.',
  TAB_AS_INDENT: 'indent with spaces.',
  MULTILINE_IMPLICIT_KEY: 'write `key: value` with a space after the colon.',
  MISSING_CHAR: 'write `key: value` with a space after the colon, and close every quote and bracket.',
};

function keyText(key: unknown): string {
  return isScalar(key) ? String(key.value) : String(key);
}

function checkDepth(doc: YamlDocument.Parsed, at: (offset: number) => Location): void {
  visit(doc, {
    Node(_key, node: Node, path) {
      if (path.length <= MAX_DEPTH * 2) return undefined;
      throw new ConfigurationError({
        message: 'nested too deeply',
        location: at(node.range?.[0] ?? 0),
        expected: `at most ${MAX_DEPTH} levels`,
      });
    },
  });
}

/** The YAML library compares every key of a mapping with every other: 40 000 keys take 15 s. A set does it in one pass. */
function checkUniqueKeys(doc: YamlDocument.Parsed, at: (offset: number) => Location): void {
  const problems: Problem[] = [];
  visit(doc, {
    Map(_key, node) {
      const seen = new Set<string>();
      for (const { key } of node.items) {
        const text = isScalar(key) ? `${typeof key.value} ${String(key.value)}` : undefined;
        if (text === undefined) continue;
        if (seen.has(text) && problems.length < 50) {
          problems.push({
            message: `not valid YAML: Map keys must be unique: ${JSON.stringify(keyText(key).slice(0, 80))} is there twice.`,
            location: at(isNode(key) ? (key.range?.[0] ?? 0) : 0),
          });
        }
        seen.add(text);
      }
    },
  });
  if (problems.length > 0) throw new ConfigurationError(problems);
}
