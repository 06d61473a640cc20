import { type Path, parseYamlStream, type SourceDocument } from '../config/document.ts';
import { problemsOf } from '../config/schema.ts';
import { ConfigurationError, type Problem } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import type {
  OpensloAlertConditionDocument,
  OpensloAlertPolicyDocument,
  OpensloOtherDocument,
  OpensloSliDocument,
  OpensloSloDocument,
  SchemaName,
} from '../generated/schemas.ts';
import { sloFinding } from './rules.ts';

export interface Loaded<T> {
  readonly value: T;
  readonly source: SourceDocument;
  /** Path of the object inside its document: [] at the top, deeper for inline objects. */
  readonly path: Path;
}

/** OpenSLO objects by kind and name, over all files. */
export interface OpensloSet {
  readonly slos: readonly Loaded<OpensloSloDocument>[];
  readonly slis: ReadonlyMap<string, Loaded<OpensloSliDocument>>;
  readonly policies: ReadonlyMap<string, Loaded<OpensloAlertPolicyDocument>>;
  readonly conditions: ReadonlyMap<string, Loaded<OpensloAlertConditionDocument>>;
  readonly others: ReadonlyMap<string, Loaded<OpensloOtherDocument>>;
}

const SCHEMA_OF: Readonly<Record<string, SchemaName>> = {
  SLO: 'openslo-slo',
  SLI: 'openslo-sli',
  AlertPolicy: 'openslo-alert-policy',
  AlertCondition: 'openslo-alert-condition',
  DataSource: 'openslo-other',
  Service: 'openslo-other',
  AlertNotificationTarget: 'openslo-other',
};

const OTHER_FORMATS: Readonly<Record<string, string>> = {
  'openslo.com/v2alpha': 'OpenSLO v2alpha',
  'openslo/v1alpha': 'OpenSLO v1alpha',
  'sloth.slok.dev/v1': 'a Sloth PrometheusServiceLevel',
  'pyrra.dev/v1alpha1': 'a Pyrra ServiceLevelObjective',
};

/**
 * Reads the OpenSLO v1 documents of files. What is recognised but not evaluated (v2alpha, Sloth, Pyrra) is a finding, so that it is
 * never skipped in silence.
 * @throws ConfigurationError with every problem of every file
 */
export function parseOpenslo(files: readonly { readonly file: string; readonly text: string }[]): {
  readonly set: OpensloSet;
  readonly findings: readonly Finding[];
} {
  const problems: Problem[] = [];
  const findings: Finding[] = [];
  const byKind = new Map<string, Map<string, Loaded<unknown>>>();
  const slos: Loaded<OpensloSloDocument>[] = [];
  for (const { file, text } of files) {
    let documents: SourceDocument[];
    try {
      documents = parseYamlStream(text, file);
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      problems.push(...error.problems);
      continue;
    }
    if (documents.length === 0)
      problems.push({
        message: 'the file holds no document.',
        location: { file, line: 1 },
        expected: 'OpenSLO v1 documents (apiVersion: openslo/v1)',
      });
    for (const source of documents) {
      const header = headerOf(source);
      const other = header.apiVersion === undefined ? undefined : otherFormat(header, source);
      if (other !== undefined) {
        findings.push(
          sloFinding('slo-unsupported', {
            message: `The document is ${other}, which is recognised but not evaluated.`,
            location: source.locate(['apiVersion']),
            fix: 'Write the objective as OpenSLO v1, or leave the file out of `slo.files`.',
            subject: file,
          }),
        );
        continue;
      }
      const schema = header.apiVersion === 'openslo/v1' ? SCHEMA_OF[header.kind ?? ''] : undefined;
      if (schema === undefined) {
        problems.push({
          message:
            header.apiVersion === 'openslo/v1'
              ? `the kind is ${JSON.stringify(header.kind ?? null)}.`
              : `the apiVersion is ${JSON.stringify(header.apiVersion ?? null)}.`,
          location: source.locate([header.apiVersion === 'openslo/v1' ? 'kind' : 'apiVersion']),
          expected: header.apiVersion === 'openslo/v1' ? `one of ${Object.keys(SCHEMA_OF).join(', ')}` : 'openslo/v1',
        });
        continue;
      }
      const found = problemsOf(schema, source);
      if (found.length > 0) {
        problems.push(...found);
        continue;
      }
      const value = source.value as unknown as { metadata: { name: string } };
      const kind = header.kind!;
      const names = byKind.get(kind) ?? new Map<string, Loaded<unknown>>();
      byKind.set(kind, names);
      const earlier = names.get(value.metadata.name);
      if (earlier !== undefined) {
        findings.push(
          sloFinding('slo-duplicate', {
            message: `The ${kind} ${value.metadata.name} is defined twice.`,
            location: source.locate(['metadata', 'name']),
            related: [{ ...earlier.source.locate(['metadata', 'name']), message: 'first definition' }],
            fix: 'Rename one, or delete it.',
            subject: value.metadata.name,
          }),
        );
        continue;
      }
      const loaded: Loaded<unknown> = { value, source, path: [] };
      names.set(value.metadata.name, loaded);
      if (kind === 'SLO') slos.push(loaded as Loaded<OpensloSloDocument>);
    }
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  const kindMap = <T>(kind: string): ReadonlyMap<string, Loaded<T>> =>
    (byKind.get(kind) ?? new Map()) as ReadonlyMap<string, Loaded<T>>;
  const others = new Map<string, Loaded<OpensloOtherDocument>>();
  for (const kind of ['DataSource', 'Service', 'AlertNotificationTarget'])
    for (const [name, loaded] of kindMap<OpensloOtherDocument>(kind)) others.set(`${kind}/${name}`, loaded);
  return {
    set: { slos, slis: kindMap('SLI'), policies: kindMap('AlertPolicy'), conditions: kindMap('AlertCondition'), others },
    findings,
  };
}

function headerOf(source: SourceDocument): { apiVersion?: string; kind?: string } {
  const value = source.value;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
  const { apiVersion, kind } = value as { apiVersion?: unknown; kind?: unknown };
  return { ...(typeof apiVersion === 'string' ? { apiVersion } : {}), ...(typeof kind === 'string' ? { kind } : {}) };
}

function otherFormat(header: { apiVersion?: string; kind?: string }, source: SourceDocument): string | undefined {
  return (
    OTHER_FORMATS[header.apiVersion ?? ''] ??
    ((source.value as { version?: unknown }).version === 'prometheus/v1' ? 'a Sloth file' : undefined)
  );
}
