import type { Path, SourceDocument } from '../../config/document.ts';
import { typeName } from '../../config/schema.ts';
import { listSome, nearest } from '../../config/suggest.ts';
import type { Finding } from '../../core/finding.ts';
import { isObject, type Json, type JsonObject } from '../../core/json.ts';
import { telemetryFinding } from '../rules.ts';

/** A file from a pull request can hold any number of mistakes: more than this are not looked into. */
export const MAX_REGISTRY_FINDINGS = 1000;

/** Reads the fields of one mapping in a registry file and collects what is wrong with them, with file and line. */
export interface FieldReader {
  readonly map: JsonObject;
  readonly path: Path;
  where(field?: string): ReturnType<SourceDocument['locate']>;
  has(key: string): boolean;
  /** Text of a field; undefined when absent or of another type (which is reported). */
  text(key: string): string | undefined;
  requiredText(key: string, example: string): string | undefined;
  list(key: string): readonly Json[];
  /** A field that is itself a mapping. */
  child(key: string): FieldReader | undefined;
  /** The mapping at an index of a list field. */
  item(key: string, index: number): FieldReader | undefined;
  /** Reports keys that aren't known. */
  onlyKnown(known: readonly string[], what: string): void;
  wrong(key: string | undefined, message: string, expected: string, fix?: string): void;
}

export function fieldReader(doc: SourceDocument, path: Path, findings: Finding[]): FieldReader | undefined {
  const value = valueAt(doc.value, path);
  if (!isObject(value)) {
    report(findings, doc.locate(path), `${pathText(path)} is ${typeName(value)}.`, 'a mapping');
    return undefined;
  }
  return readerOf(doc, path, value, findings);
}

function readerOf(doc: SourceDocument, path: Path, map: JsonObject, findings: Finding[]): FieldReader {
  const wrong: FieldReader['wrong'] = (key, message, expected, fix) => {
    report(findings, doc.locate(key === undefined ? path : [...path, key]), message, expected, fix);
  };
  const text = (key: string): string | undefined => {
    const value = map[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'string') return value.trim();
    // `unit: 1` without quotes is read by YAML as a number; what is meant is plain.
    if (typeof value === 'number' && key === 'unit') return String(value);
    wrong(key, `${pathText([...path, key])} is ${typeName(value)}.`, 'text');
    return undefined;
  };
  const reader: FieldReader = {
    map,
    path,
    where: (field) => doc.locate(field === undefined || map[field] === undefined ? path : [...path, field]),
    has: (key) => map[key] !== undefined && map[key] !== null,
    text,
    requiredText(key, example) {
      const value = text(key);
      if (value !== undefined && value !== '') return value;
      if (map[key] === undefined || map[key] === null || value === '')
        wrong(undefined, `${pathText(path)} lacks \`${key}\`.`, example);
      return undefined;
    },
    list(key) {
      const value = map[key];
      if (value === undefined || value === null) return [];
      if (Array.isArray(value)) return value as readonly Json[];
      wrong(key, `${pathText([...path, key])} is ${typeName(value)}.`, 'a list');
      return [];
    },
    child: (key) => fieldReader(doc, [...path, key], findings),
    item: (key, index) => fieldReader(doc, [...path, key, index], findings),
    onlyKnown(known, what) {
      for (const key of Object.keys(map)) {
        if (known.includes(key)) continue;
        if (findings.length >= MAX_REGISTRY_FINDINGS) return;
        const guess = nearest(key, known);
        findings.push(
          telemetryFinding('telemetry-registry-unknown-key', {
            message: `Unknown key \`${key}\` in ${path.length === 0 ? 'the document' : `${what} ${pathText(path)}`}.`,
            location: doc.locate([...path, key], 'key'),
            subject: key,
            fix: guess === undefined ? `Use one of ${listSome(known, 30)}.` : `Did you mean \`${guess}\`?`,
          }),
        );
      }
    },
    wrong,
  };
  return reader;
}

function report(
  findings: Finding[],
  location: ReturnType<SourceDocument['locate']>,
  message: string,
  expected: string,
  fix?: string,
): void {
  if (findings.length >= MAX_REGISTRY_FINDINGS) return;
  findings.push(
    telemetryFinding('telemetry-registry-wrong-type', {
      message: `${message} Expected ${expected}.`,
      location,
      ...(fix === undefined ? {} : { fix }),
    }),
  );
}

function valueAt(value: Json, path: Path): Json | undefined {
  let current: unknown = value;
  for (const step of path) current = (current as Record<string | number, unknown> | null | undefined)?.[step];
  return current as Json | undefined;
}

/** `groups[3].attributes[0].type` */
function pathText(path: Path): string {
  const text = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
  return text === '' ? 'the document' : `\`${text.replace(/^\./, '')}\``;
}
