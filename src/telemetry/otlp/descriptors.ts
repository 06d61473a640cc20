/**
 * The OTLP messages as data: field → type, in lowerCamelCase as OTLP/JSON writes them (opentelemetry-proto v1: metrics, trace,
 * logs, common, resource). Deprecated fields that old exporters still write are listed; profiles are not.
 */
export type FieldType =
  | 'string'
  | 'bool'
  | 'double'
  | 'uint32'
  | 'int32'
  | 'int64'
  | 'uint64'
  | 'fixed64'
  | 'bytes'
  | 'traceId'
  | 'spanId'
  | 'temporality'
  | 'spanKind'
  | 'statusCode'
  | 'severity'
  | { readonly message: string }
  | { readonly list: FieldType };

const list = (of: FieldType): FieldType => ({ list: of });
const message = (name: string): FieldType => ({ message: name });

const POINT = {
  attributes: list(message('KeyValue')),
  startTimeUnixNano: 'fixed64',
  timeUnixNano: 'fixed64',
  exemplars: list(message('Exemplar')),
  flags: 'uint32',
} as const;

export const MESSAGES: { readonly [message: string]: { readonly [field: string]: FieldType } } = {
  Request: {
    resourceMetrics: list(message('ResourceMetrics')),
    resourceSpans: list(message('ResourceSpans')),
    resourceLogs: list(message('ResourceLogs')),
  },
  ResourceMetrics: { resource: message('Resource'), scopeMetrics: list(message('ScopeMetrics')), schemaUrl: 'string' },
  ResourceSpans: { resource: message('Resource'), scopeSpans: list(message('ScopeSpans')), schemaUrl: 'string' },
  ResourceLogs: { resource: message('Resource'), scopeLogs: list(message('ScopeLogs')), schemaUrl: 'string' },
  Resource: { attributes: list(message('KeyValue')), droppedAttributesCount: 'uint32', entityRefs: list(message('EntityRef')) },
  EntityRef: { schemaUrl: 'string', type: 'string', idKeys: list('string'), descriptionKeys: list('string') },
  Scope: { name: 'string', version: 'string', attributes: list(message('KeyValue')), droppedAttributesCount: 'uint32' },
  ScopeMetrics: { scope: message('Scope'), metrics: list(message('Metric')), schemaUrl: 'string' },
  ScopeSpans: { scope: message('Scope'), spans: list(message('Span')), schemaUrl: 'string' },
  ScopeLogs: { scope: message('Scope'), logRecords: list(message('LogRecord')), schemaUrl: 'string' },
  KeyValue: { key: 'string', value: message('AnyValue') },
  AnyValue: {
    stringValue: 'string',
    boolValue: 'bool',
    intValue: 'int64',
    doubleValue: 'double',
    arrayValue: message('ArrayValue'),
    kvlistValue: message('KeyValueList'),
    bytesValue: 'bytes',
  },
  ArrayValue: { values: list(message('AnyValue')) },
  KeyValueList: { values: list(message('KeyValue')) },
  Metric: {
    name: 'string',
    description: 'string',
    unit: 'string',
    metadata: list(message('KeyValue')),
    gauge: message('Gauge'),
    sum: message('Sum'),
    histogram: message('Histogram'),
    exponentialHistogram: message('ExponentialHistogram'),
    summary: message('Summary'),
  },
  Gauge: { dataPoints: list(message('NumberDataPoint')) },
  Sum: { dataPoints: list(message('NumberDataPoint')), aggregationTemporality: 'temporality', isMonotonic: 'bool' },
  Histogram: { dataPoints: list(message('HistogramDataPoint')), aggregationTemporality: 'temporality' },
  ExponentialHistogram: { dataPoints: list(message('ExponentialHistogramDataPoint')), aggregationTemporality: 'temporality' },
  Summary: { dataPoints: list(message('SummaryDataPoint')) },
  NumberDataPoint: { ...POINT, asDouble: 'double', asInt: 'int64' },
  HistogramDataPoint: {
    ...POINT,
    count: 'uint64',
    sum: 'double',
    bucketCounts: list('uint64'),
    explicitBounds: list('double'),
    min: 'double',
    max: 'double',
  },
  ExponentialHistogramDataPoint: {
    ...POINT,
    count: 'uint64',
    sum: 'double',
    scale: 'int32',
    zeroCount: 'uint64',
    positive: message('Buckets'),
    negative: message('Buckets'),
    min: 'double',
    max: 'double',
    zeroThreshold: 'double',
  },
  Buckets: { offset: 'int32', bucketCounts: list('uint64') },
  SummaryDataPoint: {
    attributes: POINT.attributes,
    startTimeUnixNano: 'fixed64',
    timeUnixNano: 'fixed64',
    count: 'uint64',
    sum: 'double',
    quantileValues: list(message('ValueAtQuantile')),
    flags: 'uint32',
  },
  ValueAtQuantile: { quantile: 'double', value: 'double' },
  Exemplar: {
    filteredAttributes: list(message('KeyValue')),
    timeUnixNano: 'fixed64',
    asDouble: 'double',
    asInt: 'int64',
    spanId: 'spanId',
    traceId: 'traceId',
  },
  Span: {
    traceId: 'traceId',
    spanId: 'spanId',
    traceState: 'string',
    parentSpanId: 'spanId',
    flags: 'uint32',
    name: 'string',
    kind: 'spanKind',
    startTimeUnixNano: 'fixed64',
    endTimeUnixNano: 'fixed64',
    attributes: list(message('KeyValue')),
    droppedAttributesCount: 'uint32',
    events: list(message('SpanEvent')),
    droppedEventsCount: 'uint32',
    links: list(message('Link')),
    droppedLinksCount: 'uint32',
    status: message('Status'),
  },
  SpanEvent: { timeUnixNano: 'fixed64', name: 'string', attributes: list(message('KeyValue')), droppedAttributesCount: 'uint32' },
  Link: {
    traceId: 'traceId',
    spanId: 'spanId',
    traceState: 'string',
    attributes: list(message('KeyValue')),
    droppedAttributesCount: 'uint32',
    flags: 'uint32',
  },
  Status: { message: 'string', code: 'statusCode' },
  LogRecord: {
    timeUnixNano: 'fixed64',
    observedTimeUnixNano: 'fixed64',
    severityNumber: 'severity',
    severityText: 'string',
    body: message('AnyValue'),
    attributes: list(message('KeyValue')),
    droppedAttributesCount: 'uint32',
    flags: 'uint32',
    traceId: 'traceId',
    spanId: 'spanId',
    eventName: 'string',
  },
};

/** Largest value of each enum; all start at 0. */
export const ENUM_MAX = { temporality: 2, spanKind: 5, statusCode: 2, severity: 24 } as const;
