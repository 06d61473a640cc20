// Exemplars: of each bucket of a histogram the last measurement since the last collection, with the span it was made in, so that a slow
// bucket leads to a trace (OpenTelemetry SDK specification, Metrics, "AlignedHistogramBucketExemplarReservoir"; only of recorded spans,
// as its default filter TraceBased has it).

/** The span of a measurement, in lower-case hex. */
export interface SpanIds {
  traceId: string;
  spanId: string;
}

export interface Exemplar extends SpanIds {
  value: number;
  /** Nanoseconds since the epoch. */
  unixNano: bigint;
}

/** One label set of a metric, whatever the order of its labels. */
export function seriesKey(labels: Readonly<Record<string, string | number>>): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The exemplars of a collection, by metric and label set. */
export type Collection = (metric: string, series: string) => readonly Exemplar[];

/** As many as there are buckets, at most. */
export class Exemplars {
  #series = new Map<string, Map<number, Exemplar>>();

  note(
    metric: { prometheus: string; buckets?: readonly number[] },
    labels: Readonly<Record<string, string>>,
    exemplar: Exemplar,
  ): void {
    const key = `${metric.prometheus} ${seriesKey(labels)}`;
    const buckets = this.#series.get(key) ?? new Map<number, Exemplar>();
    this.#series.set(key, buckets);
    const bucket = metric.buckets?.findIndex((bound) => exemplar.value <= bound) ?? -1;
    buckets.set(bucket, exemplar);
  }

  /** What came since it was last asked. */
  take(): Collection {
    const series = this.#series;
    this.#series = new Map();
    return (metric, key) => [...(series.get(`${metric} ${key}`)?.values() ?? [])];
  }
}
