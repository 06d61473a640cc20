// OTLP in binary protobuf, made by protobufjs from the messages of opentelemetry-proto. What goes in has the form of OTLP/JSON, where
// 64-bit integers are strings, which protobufjs takes, and ids are hexadecimal, which it does not ("JSON Protobuf Encoding").
import protobuf from 'protobufjs/light.js';
import type { Encoding } from './encoding.ts';
import descriptor from './otlp-descriptor.json' with { type: 'json' };
import type { Signal } from './signal.ts';

const root = protobuf.Root.fromJSON(descriptor);
const message = (service: string, name: string): { request: protobuf.Type; response: protobuf.Type } => ({
  request: root.lookupType(`collector.${service}.v1.Export${name}ServiceRequest`),
  response: root.lookupType(`collector.${service}.v1.Export${name}ServiceResponse`),
});
const MESSAGES: Readonly<Record<Signal, ReturnType<typeof message>>> = {
  traces: message('trace', 'Trace'),
  metrics: message('metrics', 'Metrics'),
  logs: message('logs', 'Logs'),
};

/** A span or log record. */
type Identified = Readonly<Record<string, unknown>>;

const ID_FIELDS = ['traceId', 'spanId', 'parentSpanId'] as const;

/** The same with its ids as bytes. */
function binaryIds(item: Identified): object {
  const ids: Record<string, Buffer> = {};
  for (const field of ID_FIELDS) {
    const value = item[field];
    if (typeof value === 'string') ids[field] = Buffer.from(value, 'hex');
  }
  return { ...item, ...ids };
}

interface Scoped {
  spans?: readonly Identified[];
  logRecords?: readonly Identified[];
}

interface Point {
  exemplars?: readonly Identified[];
}

interface Metric {
  histogram?: { dataPoints: readonly Point[] };
}

interface Request {
  resourceMetrics?: ReadonlyArray<{ scopeMetrics: ReadonlyArray<{ metrics: readonly Metric[] }> }>;
  resourceSpans?: ReadonlyArray<{ scopeSpans: readonly Scoped[] }>;
  resourceLogs?: ReadonlyArray<{ scopeLogs: readonly Scoped[] }>;
}

/** Of metrics only the exemplars of histograms have ids. */
function linked({ histogram, ...metric }: Metric): object {
  if (histogram === undefined) return metric;
  const dataPoints = histogram.dataPoints.map((point) =>
    point.exemplars === undefined ? point : { ...point, exemplars: point.exemplars.map(binaryIds) },
  );
  return { ...metric, histogram: { ...histogram, dataPoints } };
}

function prepared(signal: Signal, request: Request): object {
  if (signal === 'traces')
    return {
      resourceSpans: request.resourceSpans?.map((resource) => ({
        ...resource,
        scopeSpans: resource.scopeSpans.map((scope) => ({ ...scope, spans: scope.spans?.map(binaryIds) })),
      })),
    };
  if (signal === 'logs')
    return {
      resourceLogs: request.resourceLogs?.map((resource) => ({
        ...resource,
        scopeLogs: resource.scopeLogs.map((scope) => ({ ...scope, logRecords: scope.logRecords?.map(binaryIds) })),
      })),
    };
  return {
    resourceMetrics: request.resourceMetrics?.map((resource) => ({
      ...resource,
      scopeMetrics: resource.scopeMetrics.map((scope) => ({ ...scope, metrics: scope.metrics.map(linked) })),
    })),
  };
}

/** @throws Error for a message that is nested more than 100 deep, as every protobuf reader would */
export const PROTOBUF_ENCODING: Encoding = {
  encode(signal, request) {
    const bytes = MESSAGES[signal].request.encode(prepared(signal, request)).finish();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  },
  decode(signal, answer) {
    const { response } = MESSAGES[signal];
    return response.toObject(response.decode(answer), { longs: String });
  },
};
