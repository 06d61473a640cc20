import { decodeText, type Path, parseYamlStream, type SourceDocument } from '../config/document.ts';
import { ConfigurationError, isMixgateError, type Problem } from '../core/errors.ts';
import type { FileTree } from '../core/gate-context.ts';
import { isObject, type Json, type JsonObject } from '../core/json.ts';
import { compareText } from '../core/text.ts';
import { type KubeObject, kubeObject } from './object.ts';
import { isList, textAt } from './path.ts';

/** A snapshot of a busy cluster is megabytes; past this a file is a mistake. */
const MAX_MANIFEST_BYTES = 32 * 1024 * 1024;
/** All files of one folder together. */
const MAX_TOTAL_BYTES = 64 * 1024 * 1024;
const MAX_OBJECTS = 20_000;

/** What was read from files of manifests. */
export interface Manifests {
  readonly objects: readonly KubeObject[];
  /** Documents that aren't Kubernetes objects or lists of them: headers, OPA status, Argo CD answers. */
  readonly others: readonly OtherDocument[];
  /** `metadata.annotations` of `List` documents. */
  readonly listAnnotations: { readonly [key: string]: string };
}

export interface OtherDocument {
  readonly value: JsonObject;
  readonly source: SourceDocument;
  readonly path: Path;
}

/**
 * Objects of multi-document YAML, JSON, `v1 List`, typed lists (`HTTPRouteList`) and plain JSON arrays.
 * @throws ConfigurationError with every problem and its line
 */
export function readManifests(text: string, file: string): Manifests {
  const objects: KubeObject[] = [];
  const others: OtherDocument[] = [];
  const annotations: Record<string, string> = {};
  const problems: Problem[] = [];
  const take = (source: SourceDocument, value: Json, path: Path): void => {
    if (objects.length > MAX_OBJECTS)
      throw new ConfigurationError({ message: `the file has more than ${MAX_OBJECTS} objects.`, location: { file } });
    if (value === null) return;
    if (isList(value)) {
      for (const [index, item] of value.entries()) take(source, item, [...path, index]);
      return;
    }
    if (!isObject(value)) {
      problems.push({
        message: 'this is not a Kubernetes object.',
        location: source.locate(path),
        expected: 'a mapping with apiVersion, kind and metadata',
      });
      return;
    }
    const kind = textAt(value, ['kind']);
    if (kind?.endsWith('List') === true && isList(value['items'])) {
      Object.assign(annotations, textMap(value['metadata']));
      for (const [index, item] of value['items'].entries()) take(source, withKind(item, kind, value), [...path, 'items', index]);
      return;
    }
    if (kind === undefined && value['apiVersion'] === undefined) {
      others.push({ value, source, path });
      return;
    }
    const object = kubeObject(value, (below) => source.locate([...path, ...below]));
    if (object.apiVersion.startsWith('mixgate.dev/')) {
      others.push({ value, source, path });
    } else if (object.apiVersion === '' || object.kind === '' || object.name === '') {
      const missing = object.apiVersion === '' ? 'apiVersion' : object.kind === '' ? 'kind' : 'metadata.name';
      problems.push({
        message: `this object has no ${missing}.`,
        location: source.locate(path),
        expected: 'apiVersion, kind and metadata.name as text',
      });
    } else objects.push(object);
  };
  for (const source of parseYamlStream(text, file)) take(source, source.value, []);
  if (problems.length > 0) throw new ConfigurationError(problems.slice(0, 50));
  return { objects, others, listAnnotations: annotations };
}

/** Items of typed lists leave out kind and apiVersion. */
function withKind(item: Json, listKind: string, list: JsonObject): Json {
  if (!isObject(item) || item['kind'] !== undefined || listKind === 'List') return item;
  return { apiVersion: list['apiVersion'] ?? '', kind: listKind.slice(0, -'List'.length), ...item };
}

function textMap(metadata: Json | undefined): { readonly [key: string]: string } {
  if (!isObject(metadata) || !isObject(metadata['annotations'])) return {};
  return Object.fromEntries(
    Object.entries(metadata['annotations']).filter((e): e is [string, string] => typeof e[1] === 'string'),
  );
}

/** Manifests of a file, or of every .yaml, .yml and .json file below a folder. Undefined when nothing is there. */
export async function readManifestFiles(tree: FileTree, path: string): Promise<Manifests | undefined> {
  const files = (await tree.list(path)).filter((file) => file === path || /\.(ya?ml|json)$/i.test(file));
  const single = await tree.read(path);
  const contents = single === undefined ? await tree.readMany(files) : new Map([[path, single]]);
  if (contents.size === 0) return undefined;
  const problems: Problem[] = [];
  const parts: Manifests[] = [];
  let total = 0;
  for (const [file, bytes] of [...contents].sort(([a], [b]) => compareText(a, b))) {
    total += bytes.byteLength;
    if (total > MAX_TOTAL_BYTES) {
      throw new ConfigurationError({
        message: `the manifests are larger than ${MAX_TOTAL_BYTES} bytes together.`,
        location: { file },
        fix: 'point at the folder that holds only the objects to compare.',
      });
    }
    try {
      parts.push(readManifests(decodeText(bytes, file, MAX_MANIFEST_BYTES), file));
    } catch (error) {
      if (!isMixgateError(error)) throw error;
      problems.push(...error.problems);
    }
  }
  if (problems.length > 0) throw new ConfigurationError(problems.slice(0, 50));
  return {
    objects: parts.flatMap((part) => part.objects),
    others: parts.flatMap((part) => part.others),
    listAnnotations: Object.assign({}, ...parts.map((part) => part.listAnnotations)),
  };
}
