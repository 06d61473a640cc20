import { sha256 } from '../../core/json.ts';
import { compareText } from '../../core/text.ts';

/** What one cluster was seen to emit of one metric. Sets are bounded: label sets are counted up to a cap. */
export interface ObservedMetric {
  readonly name: string;
  readonly cluster: string;
  points: number;
  readonly services: Map<string, number>;
  readonly units: Set<string>;
  /** `counter`, `updowncounter`, `gauge`, `histogram`, `summary`. */
  readonly instruments: Set<string>;
  readonly temporalities: Set<number>;
  /** Explicit bounds, joined by spaces. */
  readonly bounds: Set<string>;
  /** Attribute keys that were on every point, and on any point. */
  everyKey: Set<string> | undefined;
  readonly anyKey: Set<string>;
  readonly labelSets: Set<string>;
  /** The first place. */
  readonly file: string;
  readonly line: number;
}

/** Everything that was seen in the samples. */
export interface Observed {
  readonly metrics: Map<string, ObservedMetric>;
  /** Schema URLs by cluster. */
  readonly schemaUrls: Map<string, Set<string>>;
  readonly requests: { count: number };
  readonly spans: { count: number };
  readonly logs: { count: number };
}

export const MAX_LABEL_SETS = 20_000;
/** Names come from untrusted files: more metrics than this are not tracked. */
const MAX_OBSERVED_METRICS = 20_000;

export function newObserved(): Observed {
  return { metrics: new Map(), schemaUrls: new Map(), requests: { count: 0 }, spans: { count: 0 }, logs: { count: 0 } };
}

/** What is known of a metric of a cluster, begun at `at` when it is new; undefined for one too many. */
export function observe(
  observed: Observed,
  name: string,
  cluster: string,
  at: { readonly file: string; readonly line: () => number },
): ObservedMetric | undefined {
  const key = JSON.stringify([name, cluster]);
  const known = observed.metrics.get(key);
  if (known !== undefined) return known;
  if (observed.metrics.size >= MAX_OBSERVED_METRICS) return undefined;
  const metric: ObservedMetric = {
    name,
    cluster,
    points: 0,
    services: new Map(),
    units: new Set(),
    instruments: new Set(),
    temporalities: new Set(),
    bounds: new Set(),
    everyKey: undefined,
    anyKey: new Set(),
    labelSets: new Set(),
    file: at.file,
    line: at.line(),
  };
  observed.metrics.set(key, metric);
  return metric;
}

/** Notes one data point's attributes. */
export function observeKeys(metric: ObservedMetric, attributes: ReadonlyMap<string, unknown>): void {
  const keys = [...attributes.keys()];
  metric.everyKey = metric.everyKey === undefined ? new Set(keys) : new Set(keys.filter((key) => metric.everyKey!.has(key)));
  for (const key of keys) if (metric.anyKey.size < 256) metric.anyKey.add(key);
  if (metric.labelSets.size >= MAX_LABEL_SETS) return;
  const text = JSON.stringify(
    [...attributes].sort(([a], [b]) => compareText(a, b)),
    (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
  );
  metric.labelSets.add(text.length > 200 ? sha256(text) : text);
}
