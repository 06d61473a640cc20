import type { Finding } from '../../core/finding.ts';
import { isObject } from '../../core/json.ts';
import type { EventSchema } from '../events/load.ts';
import type { Registry } from '../model.ts';
import { telemetryFinding } from '../rules.ts';
import { checkEncoding, type SamplePath } from './encoding.ts';
import { type IssueCollector, issueCollector, type SampleIssue } from './issues.ts';
import { type LineLocator, lineLocator, type ParsedRequest, readRequests } from './json-lines.ts';
import { checkMetric } from './metrics.ts';
import { newObserved, type Observed } from './observed.ts';
import { attributeIssues, attributeMap, definitionOf, otlpValue, plainValue } from './values.ts';

export interface SampleFile {
  readonly path: string;
  readonly chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export interface SampleOptions {
  readonly registry: Registry;
  readonly events: ReadonlyMap<string, EventSchema>;
  /** Known cluster names: a file that names none in its resources counts for the one its path names. */
  readonly clusters: readonly string[];
  readonly gone?: ReadonlyMap<string, string | undefined>;
}

export interface SampleResult {
  readonly findings: readonly Finding[];
  readonly observed: Observed;
  readonly files: number;
}

/** Encoding first, then values against the registry, for every request of every file. Memory is bounded by the largest request. */
export async function checkSamples(files: readonly SampleFile[], options: SampleOptions): Promise<SampleResult> {
  const lineOf = lineLocator();
  const issues = issueCollector(lineOf);
  const observed = newObserved();
  const unreadable: Finding[] = [];
  for (const file of files) {
    let requests = 0;
    const problem = (found: { line: number; message: string }): void => {
      unreadable.push(
        telemetryFinding('telemetry-otlp-unreadable', {
          message: `The sample file cannot be read: ${found.message}.`,
          location: { file: file.path, line: found.line },
          subject: file.path,
          fix: 'Give OTLP/JSON: one request object, or one a line.',
        }),
      );
    };
    for await (const request of readRequests(file.chunks, problem)) {
      requests += 1;
      observed.requests.count += 1;
      checkRequest(request, file.path, options, observed, issues, lineOf);
    }
    if (requests === 0 && !unreadable.some((finding) => finding.location?.file === file.path))
      problem({ line: 1, message: 'it is empty' });
  }
  return { findings: [...unreadable, ...issues.findings()], observed, files: files.length };
}

type Fields = Record<string, unknown>;

function checkRequest(
  request: ParsedRequest,
  file: string,
  options: SampleOptions,
  observed: Observed,
  issues: IssueCollector,
  lineOf: LineLocator,
): void {
  const fallback = clusterOfPath(file, options.clusters);
  checkEncoding(request.value, (problem) => {
    const issue: SampleIssue = {
      rule: 'telemetry-otlp-encoding',
      level: problem.level,
      subject: file,
      message: `Not OTLP/JSON: ${problem.message}.`,
      ...(problem.fix === undefined ? {} : { fix: problem.fix }),
    };
    issues.add(issue, { file, cluster: fallback, request, path: problem.path });
  });
  for (const [key, scopesKey] of [
    ['resourceMetrics', 'scopeMetrics'],
    ['resourceSpans', 'scopeSpans'],
    ['resourceLogs', 'scopeLogs'],
  ] as const) {
    for (const [resourcePath, resource] of items(request.value, key, [])) {
      const attributes = attributeMap((resource['resource'] as Fields | undefined)?.['attributes']);
      const cluster =
        textOf(attributes.get('k8s.cluster.name')?.value) ?? textOf(attributes.get('mixgate.cluster')?.value) ?? fallback;
      const service = textOf(attributes.get('service.name')?.value) ?? 'unknown';
      const context: RequestContext = {
        file,
        request,
        options,
        observed,
        cluster,
        service,
        lineOf,
        add: (issue, path) => issues.add(issue, { file, cluster, request, path }),
      };
      noteSchema(resource, context);
      for (const [path, scope] of items(resource, scopesKey, resourcePath)) {
        noteSchema(scope, context);
        if (key === 'resourceMetrics') checkMetrics(scope, path, context);
        else if (key === 'resourceSpans') checkSpans(scope, path, context);
        else checkLogs(scope, path, context);
      }
    }
  }
}

interface RequestContext {
  readonly file: string;
  readonly request: ParsedRequest;
  readonly options: SampleOptions;
  readonly observed: Observed;
  readonly cluster: string;
  readonly service: string;
  readonly lineOf: LineLocator;
  readonly add: (issue: SampleIssue, path: SamplePath) => void;
}

function checkMetrics(scope: Fields, path: SamplePath, context: RequestContext): void {
  for (const [metricPath, metric] of items(scope, 'metrics', path)) {
    checkMetric(metric, metricPath, {
      registry: context.options.registry,
      observed: context.observed,
      cluster: context.cluster,
      service: context.service,
      gone: context.options.gone ?? new Map(),
      file: context.file,
      lineOf: (at) => context.lineOf(context.request, at),
      add: context.add,
    });
  }
}

function checkSpans(scope: Fields, path: SamplePath, context: RequestContext): void {
  for (const [spanPath, span] of items(scope, 'spans', path)) {
    context.observed.spans.count += 1;
    checkAttributes(span['attributes'], spanPath, 'spans', context);
    for (const [eventPath, event] of items(span, 'events', spanPath))
      checkAttributes(event['attributes'], eventPath, 'span events', context);
  }
}

function checkLogs(scope: Fields, path: SamplePath, context: RequestContext): void {
  for (const [logPath, log] of items(scope, 'logRecords', path)) {
    context.observed.logs.count += 1;
    const attributes = attributeMap(log['attributes']);
    checkAttributes(log['attributes'], logPath, 'logs', context);
    const name = textOf(log['eventName']);
    if (name === undefined || name === '') continue;
    for (const attribute of context.options.registry.events.get(name)?.attributes.values() ?? []) {
      if (attribute.requirement !== 'required' || attributes.has(attribute.name)) continue;
      context.add(
        {
          rule: 'telemetry-sample-attribute-missing',
          subject: name,
          message: `The samples of the event \`${name}\` lack the required attribute \`${attribute.name}\`.`,
          fix: `Set \`${attribute.name}\` on every event.`,
        },
        logPath,
      );
    }
    const schema = context.options.events.get(name);
    if (schema !== undefined) checkBody(schema, plainValue(otlpValue(log['body'])), logPath, context);
  }
}

function checkBody(schema: EventSchema, body: unknown, path: SamplePath, context: RequestContext): void {
  let valid: boolean;
  try {
    valid = schema.validate(body) === true;
  } catch {
    context.add(
      {
        rule: 'telemetry-sample-event-invalid',
        subject: schema.name,
        message: `The event \`${schema.name}\` could not be checked: a pattern of its schema takes too long.`,
        fix: 'Simplify the pattern.',
      },
      [...path, 'body'],
    );
    return;
  }
  if (valid) return;
  for (const error of (schema.validate.errors ?? []).slice(0, 10)) {
    const at = error.instancePath.replace(/^\//, '').replaceAll('/', '.');
    const extra =
      error.keyword === 'additionalProperties'
        ? ` (\`${String((error.params as { additionalProperty?: unknown }).additionalProperty)}\`)`
        : '';
    context.add(
      {
        rule: 'telemetry-sample-event-invalid',
        subject: schema.name,
        message: `The event \`${schema.name}\` does not match its schema: ${at === '' ? 'the body' : `\`${at}\``} ${error.message ?? error.keyword}${extra}.`,
        fix: `See ${schema.document.file}.`,
      },
      [...path, 'body'],
    );
  }
}

/** Spans and logs may carry any attribute; names in our own namespaces must be defined, known ones must fit. */
function checkAttributes(list: unknown, path: SamplePath, what: string, context: RequestContext): void {
  for (const [key, value] of attributeMap(list)) {
    const definition = definitionOf(context.options.registry, key);
    if (definition !== undefined) {
      for (const issue of attributeIssues(key, value, definition)) context.add(issue, [...path, 'attributes']);
    } else if (ownNamespaces(context.options.registry).has(key.split('.')[0]!)) {
      context.add(
        {
          rule: 'telemetry-sample-attribute-unknown',
          subject: key,
          message: `The ${what} of the samples have the attribute ${JSON.stringify(key.slice(0, 120))}, which no registry defines.`,
          fix: 'Define it in the registry, or stop sending it.',
        },
        [...path, 'attributes'],
      );
    }
  }
}

const namespaces = new WeakMap<Registry, ReadonlySet<string>>();

function ownNamespaces(registry: Registry): ReadonlySet<string> {
  let found = namespaces.get(registry);
  if (found === undefined) {
    found = new Set(
      [...registry.attributes.values()]
        .filter((attribute) => attribute.owned && ['gen_ai', 'mixgate'].includes(attribute.name.split('.')[0]!))
        .map((attribute) => attribute.name.split('.')[0]!),
    );
    namespaces.set(registry, found);
  }
  return found;
}

function noteSchema(holder: Fields, context: RequestContext): void {
  const url = textOf(holder['schemaUrl']);
  if (url === undefined || url === '') return;
  const known = context.observed.schemaUrls.get(context.cluster) ?? new Set<string>();
  if (known.size < 64) known.add(url.slice(0, 200));
  context.observed.schemaUrls.set(context.cluster, known);
}

function* items(value: unknown, key: string, path: SamplePath): Generator<[SamplePath, Fields]> {
  const list = typeof value === 'object' && value !== null ? (value as Fields)[key] : undefined;
  if (!Array.isArray(list)) return;
  for (const [index, item] of (list as readonly unknown[]).entries()) {
    if (isObject(item)) yield [[...path, key, index], item];
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, 256) : undefined;
}

/** The longest known cluster name in the file's name, else the name's first part. */
export function clusterOfPath(path: string, clusters: readonly string[]): string {
  const name = path.split('/').at(-1)!;
  const known = [...clusters].filter((cluster) => name.includes(cluster)).sort((a, b) => b.length - a.length)[0];
  return known ?? name.split('.')[0]!;
}
