// OTLP/JSON of the instruments: the same numbers that /metrics shows, under their OpenTelemetry names (opentelemetry-proto, metrics.proto;
// "Prometheus and OpenMetrics Compatibility" for the way from one to the other). Sums and histograms are cumulative.
import type { MetricObjectWithValues, MetricValue } from 'prom-client';
import { type Collection, type Exemplar, seriesKey } from './exemplars.ts';
import { INSTRUMENTS, type Instrument, labelOf } from './instruments.ts';
import { type AttributeValue, attributes, type Resource, SCHEMA_URL, type Scope } from './otlp.ts';

/** A metric as prom-client's registry gives it. */
export type Collected = MetricObjectWithValues<MetricValue<string> & { metricName?: string }>;

/** An ExportMetricsServiceRequest and how many points are in it. */
export interface MetricsRequest {
  request: object;
  points: number;
}

const CUMULATIVE = 2;
const BY_PROMETHEUS_NAME = new Map<string, Instrument>(
  Object.values<Instrument>(INSTRUMENTS).map((instrument) => [instrument.prometheus, instrument]),
);

interface Times {
  /** Nanoseconds since the epoch at which counting began. */
  start: bigint;
  /** Nanoseconds since the epoch of the reading. */
  now: bigint;
}

/** The request of everything collected. Metrics that are no instrument (`target_info`, which is the resource here) are left out. */
export function metricsRequest(
  collected: readonly Collected[],
  times: Times,
  resource: Resource,
  scope: Scope,
  exemplars: Collection = () => [],
): MetricsRequest {
  const metrics: object[] = [];
  let points = 0;
  for (const metric of collected) {
    const instrument = BY_PROMETHEUS_NAME.get(metric.name);
    if (instrument === undefined) continue;
    const dataPoints =
      instrument.kind === 'histogram'
        ? histogramPoints(instrument, metric, times, exemplars)
        : numberPoints(instrument, metric, times);
    if (dataPoints.length === 0) continue;
    points += dataPoints.length;
    metrics.push({
      name: instrument.name,
      description: instrument.help,
      unit: instrument.unit,
      ...dataOf(instrument.kind, dataPoints),
    });
  }
  const scopeMetrics = [{ scope, metrics, schemaUrl: SCHEMA_URL }];
  return {
    request: { resourceMetrics: [{ resource: { attributes: attributes(resource) }, scopeMetrics, schemaUrl: SCHEMA_URL }] },
    points,
  };
}

function dataOf(kind: Instrument['kind'], dataPoints: object[]): object {
  if (kind === 'gauge') return { gauge: { dataPoints } };
  if (kind === 'counter') return { sum: { dataPoints, aggregationTemporality: CUMULATIVE, isMonotonic: true } };
  return { histogram: { dataPoints, aggregationTemporality: CUMULATIVE } };
}

/** A label that was not given, or given empty, is no attribute: to Prometheus the two are the same. */
function attributesOf(instrument: Instrument, labels: Readonly<Record<string, string | number>>): object[] {
  const values: Record<string, AttributeValue> = {};
  for (const [name, type] of Object.entries(instrument.attributes)) {
    const value = labels[labelOf(name)];
    if (value === undefined || value === '') continue;
    values[name] = type === 'int' ? Number(value) : String(value);
  }
  return attributes(values);
}

function timed({ start, now }: Times): object {
  return { startTimeUnixNano: String(start), timeUnixNano: String(now) };
}

/** Counts of things (`{request}`) and bytes are whole; anything else is a real number even where it happens to be whole. */
function numberOf(instrument: Instrument, value: number): object {
  const whole = (instrument.unit.startsWith('{') || instrument.unit === 'By') && Number.isSafeInteger(value);
  return whole ? { asInt: String(value) } : { asDouble: value };
}

function numberPoints(instrument: Instrument, metric: Collected, times: Times): object[] {
  return metric.values.map(({ labels, value }) => ({
    attributes: attributesOf(instrument, labels as Record<string, string | number>),
    ...(instrument.kind === 'counter' ? timed(times) : { timeUnixNano: String(times.now) }),
    ...numberOf(instrument, value),
  }));
}

function linked(exemplars: readonly Exemplar[]): object {
  if (exemplars.length === 0) return {};
  return {
    exemplars: exemplars.map(({ traceId, spanId, value, unixNano }) => ({
      timeUnixNano: String(unixNano),
      asDouble: value,
      spanId,
      traceId,
    })),
  };
}

interface Series {
  labels: Record<string, string | number>;
  /** Cumulative, by upper bound. */
  buckets: Map<number, number>;
  sum: number;
  count: number;
}

/** prom-client lists a histogram as series; here they become one point per label set again, with a count per bucket. */
function histogramPoints(instrument: Instrument, metric: Collected, times: Times, exemplars: Collection): object[] {
  const series = new Map<string, Series>();
  for (const { labels, value, metricName } of metric.values) {
    const { le, ...own } = labels as Record<string, string | number>;
    const key = seriesKey(own);
    let one = series.get(key);
    if (one === undefined) {
      one = { labels: own, buckets: new Map(), sum: 0, count: 0 };
      series.set(key, one);
    }
    if (metricName === `${metric.name}_sum`) one.sum = value;
    else if (metricName === `${metric.name}_count`) one.count = value;
    else if (le !== undefined && le !== '+Inf') one.buckets.set(Number(le), value);
  }
  const bounds = instrument.buckets ?? [];
  return [...series].map(([key, { labels, buckets, sum, count }]) => {
    let below = 0;
    const counts = bounds.map((bound) => {
      const upTo = buckets.get(bound) ?? below;
      const inside = upTo - below;
      below = upTo;
      return String(inside);
    });
    return {
      attributes: attributesOf(instrument, labels),
      ...timed(times),
      count: String(count),
      sum,
      bucketCounts: [...counts, String(count - below)],
      explicitBounds: bounds,
      ...linked(exemplars(instrument.prometheus, key)),
    };
  });
}
