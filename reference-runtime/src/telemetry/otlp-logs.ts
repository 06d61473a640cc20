// OTLP/JSON of log records and events (opentelemetry-proto, logs.proto).
import { type Attributes, attributes, type Resource, SCHEMA_URL, type Scope } from './otlp.ts';

/** A body: text, or a structure of texts, numbers, booleans, lists and maps. Undefined members are left out. */
export type Body = string | number | boolean | readonly Body[] | { readonly [key: string]: Body | undefined };

/** Severity numbers of the specification's short list (Logs Data Model, "Severity Fields"). */
const SEVERITY = { INFO: 9, WARN: 13, ERROR: 17 } as const;

/** One record. Times are nanoseconds since the epoch. With `eventName` it is an event. */
export interface LogRecord {
  unixNano: bigint;
  severity: keyof typeof SEVERITY;
  eventName?: string;
  body?: Body;
  attributes?: Attributes;
  traceId?: string;
  spanId?: string;
}

function anyValue(body: Body): object {
  if (typeof body === 'string') return { stringValue: body };
  if (typeof body === 'boolean') return { boolValue: body };
  if (typeof body === 'number') return Number.isSafeInteger(body) ? { intValue: String(body) } : { doubleValue: body };
  if (isList(body)) return { arrayValue: { values: body.map(anyValue) } };
  const values = Object.entries(body).flatMap(([key, value]) => (value === undefined ? [] : [{ key, value: anyValue(value) }]));
  return { kvlistValue: { values } };
}

function isList(body: Body): body is readonly Body[] {
  return Array.isArray(body);
}

/** The ExportLogsServiceRequest of these records. */
export function logsRequest(records: readonly LogRecord[], resource: Resource, scope: Scope): object {
  const logRecords = records.map((record) => ({
    timeUnixNano: String(record.unixNano),
    observedTimeUnixNano: String(record.unixNano),
    severityNumber: SEVERITY[record.severity],
    severityText: record.severity,
    ...(record.eventName === undefined ? {} : { eventName: record.eventName }),
    ...(record.body === undefined ? {} : { body: anyValue(record.body) }),
    attributes: attributes(record.attributes ?? {}),
    ...(record.traceId === undefined ? {} : { traceId: record.traceId }),
    ...(record.spanId === undefined ? {} : { spanId: record.spanId }),
  }));
  const scopeLogs = [{ scope, logRecords, schemaUrl: SCHEMA_URL }];
  return { resourceLogs: [{ resource: { attributes: attributes(resource) }, scopeLogs, schemaUrl: SCHEMA_URL }] };
}
