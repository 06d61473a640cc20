// What OTLP/JSON requests hold, as sets of keys that can be compared: one key per span, data point and log record.

type Fields = Readonly<Record<string, unknown>>;

function list(value: unknown, key: string): Fields[] {
  const items = (value as Fields | undefined)?.[key];
  return Array.isArray(items) ? (items as Fields[]) : [];
}

/** Keys in any order mean the same; numbers may be written as strings. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).sort().join(',')}]`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => `${key}:${canonical(item)}`)
      .join(',')}}`;
  return String(value);
}

export interface Telemetry {
  spans: string[];
  points: string[];
  records: string[];
}

/** Every item of the requests; a span is its ids and name, a point its metric, time, attributes and value, a record all it says. */
export function telemetryOf(requests: readonly unknown[]): Telemetry {
  const found: Telemetry = { spans: [], points: [], records: [] };
  for (const request of requests) {
    for (const resource of list(request, 'resourceSpans'))
      for (const scope of list(resource, 'scopeSpans'))
        for (const span of list(scope, 'spans'))
          found.spans.push(
            canonical([span['traceId'], span['spanId'], span['name'], span['startTimeUnixNano'], span['endTimeUnixNano']]),
          );
    for (const resource of list(request, 'resourceMetrics'))
      for (const scope of list(resource, 'scopeMetrics'))
        for (const metric of list(scope, 'metrics')) found.points.push(...pointsOf(metric));
    for (const resource of list(request, 'resourceLogs'))
      for (const scope of list(resource, 'scopeLogs'))
        for (const record of list(scope, 'logRecords'))
          found.records.push(
            canonical([
              record['timeUnixNano'],
              record['eventName'] ?? '',
              record['body'],
              record['traceId'] ?? '',
              record['attributes'] ?? [],
            ]),
          );
  }
  return found;
}

function pointsOf(metric: Fields): string[] {
  for (const kind of ['gauge', 'sum', 'histogram'] as const) {
    const data = metric[kind];
    if (data === undefined) continue;
    return list(data, 'dataPoints').map((point) =>
      canonical([
        `${String(metric['name'])} ${kind} ${String(metric['unit'])}`,
        `at ${String(point['timeUnixNano'])}`,
        { attributes: point['attributes'] ?? [] },
        // A count of 0 may be left out (proto3 JSON).
        `value ${String(point['asInt'] ?? point['asDouble'] ?? `${String(point['count'] ?? 0)} ${String(point['sum'])} ${String(point['bucketCounts'])}`)}`,
      ]),
    );
  }
  return [];
}
