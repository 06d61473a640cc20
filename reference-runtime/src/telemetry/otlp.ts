// OTLP/JSON of a request: one server span with a child per stage; and what the three signals have in common. Encoding rules:
// opentelemetry-proto, "JSON Protobuf Encoding" (ids in hex, enums as integers, 64-bit integers as strings).

/** `{ double }` is a real number by definition: written as one even where it happens to be whole. */
export type AttributeValue = string | number | boolean | string[] | { double: number };

/** Attributes by name; one that is undefined is left out. */
export type Attributes = Record<string, AttributeValue | undefined>;

/** Resource attributes: what emits. */
export type Resource = Readonly<Record<string, string>>;

/** What emits inside the resource: name and version of the instrumentation. */
export interface Scope {
  name: string;
  version: string;
}

export interface SpanEvent {
  name: string;
  unixNano: bigint;
  attributes?: Attributes;
}

/** One span. Times are nanoseconds since the epoch. */
export interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string | undefined;
  /** The caller's W3C tracestate, as it came. */
  traceState?: string | undefined;
  /** SpanFlags of trace.proto: the W3C trace flags, and whether the parent is another process. */
  flags?: number;
  name: string;
  /** 1 internal, 2 server, 3 client. */
  kind: 1 | 2 | 3;
  start: bigint;
  end: bigint;
  attributes: Attributes;
  events?: SpanEvent[];
  /** Set on failure only; the text of the status. */
  error?: string | undefined;
}

export const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.41.1';

/** A value as OTLP writes it. */
export function anyValue(value: AttributeValue): object {
  if (Array.isArray(value)) return { arrayValue: { values: value.map((item) => ({ stringValue: item })) } };
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'object') return { doubleValue: value.double };
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

/** Attributes as OTLP writes them. */
export function attributes(values: Readonly<Attributes>): object[] {
  return Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [{ key, value: anyValue(value) }]));
}

/** The ExportTraceServiceRequest of these spans. */
export function exportRequest(spans: Span[], resource: Resource, scope: Scope): object {
  return {
    resourceSpans: [
      {
        resource: { attributes: attributes(resource) },
        scopeSpans: [
          {
            scope,
            spans: spans.map((span) => ({
              traceId: span.traceId,
              spanId: span.spanId,
              ...(span.traceState === undefined ? {} : { traceState: span.traceState }),
              ...(span.parentSpanId === undefined ? {} : { parentSpanId: span.parentSpanId }),
              ...(span.flags === undefined ? {} : { flags: span.flags }),
              name: span.name,
              kind: span.kind,
              startTimeUnixNano: String(span.start),
              endTimeUnixNano: String(span.end),
              attributes: attributes(span.attributes),
              ...(span.events === undefined || span.events.length === 0
                ? {}
                : {
                    events: span.events.map((event) => ({
                      name: event.name,
                      timeUnixNano: String(event.unixNano),
                      attributes: attributes(event.attributes ?? {}),
                    })),
                  }),
              status: span.error === undefined ? {} : { code: 2, message: span.error },
            })),
            schemaUrl: SCHEMA_URL,
          },
        ],
        schemaUrl: SCHEMA_URL,
      },
    ],
  };
}
