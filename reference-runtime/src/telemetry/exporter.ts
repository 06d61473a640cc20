// Traces, metrics and logs on their way out: to collectors over OTLP/HTTP, to a file of OTLP/JSON lines, or both. Queues are bounded; what is lost is counted.
import { Collector, type Outcome } from './collector.ts';
import { Delivery, type DeliveryReport } from './delivery.ts';
import { LineFile } from './line-file.ts';
import type { Metrics } from './metrics.ts';
import { exportRequest, type Resource, type Scope, type Span } from './otlp.ts';
import { type LogRecord, logsRequest } from './otlp-logs.ts';
import { type MetricsRequest, metricsRequest } from './otlp-metrics.ts';
import type { OtlpSettings } from './otlp-settings.ts';
import { spansEncoder } from './otlp-text.ts';
import { SIGNALS, type Signal } from './signal.ts';

/** Entries of a request: small enough that encoding one never holds up the requests being served. */
const BATCH = { traces: 64, metrics: 1, logs: 256 } as const;

export interface ExporterOptions {
  settings: OtlpSettings;
  resource: Resource;
  version: string;
  metrics: Metrics;
  /** Brings the metrics up to date before they are collected. */
  refresh: () => void;
  /** Lines of OTLP/JSON, spans only. */
  tracesFile?: string;
  log: (message: string) => void;
}

type Outgoing = { [S in Signal]?: Delivery<S extends 'traces' ? Span[] : S extends 'logs' ? LogRecord : MetricsRequest> };

/** The exporter of one runtime. With neither collector nor file it does nothing. */
export class TelemetryExporter {
  readonly #options: ExporterOptions;
  readonly #scope: Scope;
  readonly #spansText: (spans: readonly Span[]) => string;
  readonly #deliveries: Outgoing = {};
  readonly #files: Record<Signal, LineFile[]>;
  readonly #startedUnixNano = BigInt(Date.now()) * 1_000_000n;
  readonly #states = new Map<string, 'up' | 'warned' | 'partial' | 'down'>();
  #interval: NodeJS.Timeout | undefined;

  /** @throws Error when a certificate of a collector cannot be read */
  constructor(options: ExporterOptions) {
    this.#options = options;
    this.#scope = { name: 'mixgate-runtime', version: options.version };
    this.#spansText = spansEncoder(options.resource, this.#scope);
    const { settings } = options;
    const { telemetryLinesDropped, spansDropped } = options.metrics.instruments;
    const file = (path: string | undefined, onDrop: (lines: number) => void): LineFile[] =>
      path === undefined ? [] : [new LineFile(path, onDrop)];
    const all = file(settings.file, (lines) => telemetryLinesDropped.inc(lines));
    const own = file(options.tracesFile, (lines) => {
      telemetryLinesDropped.inc(lines);
      spansDropped.inc({ mixgate_reason: 'export_failed' }, lines);
    });
    this.#files = { traces: [...all, ...own], metrics: all, logs: all };
    const traces = this.#collectors('traces');
    if (traces.length > 0) this.#deliveries.traces = this.#delivery('traces', traces, (spans) => this.#traces(spans.flat()));
    const metrics = this.#collectors('metrics');
    if (metrics.length > 0)
      this.#deliveries.metrics = this.#delivery('metrics', metrics, (requests) => requests[0]?.request ?? {});
    const logs = this.#collectors('logs');
    if (logs.length > 0) this.#deliveries.logs = this.#delivery('logs', logs, (records) => this.#logs(records));
    if (this.wants('metrics')) {
      this.#interval = setInterval(() => void this.collect(), settings.metricsIntervalMs);
      this.#interval.unref();
    }
  }

  /** Whether anything takes this signal. */
  wants(signal: Signal): boolean {
    return this.#deliveries[signal] !== undefined || this.#files[signal].length > 0;
  }

  /** Takes the spans of one request; `at` is when it ended, in milliseconds since the epoch. */
  spans(spans: Span[], at: number): void {
    for (const file of this.#files.traces) file.write(() => this.#spansText(spans));
    this.#deliveries.traces?.add({ value: spans, items: spans.length, at });
  }

  /** Takes one log record or event. */
  record(record: LogRecord): void {
    for (const file of this.#files.logs) file.write(() => JSON.stringify(this.#logs([record])));
    // A decision is handed over when its request has ended: what the request took is no lag.
    this.#deliveries.logs?.add({ value: record, items: 1, at: Date.now() });
  }

  /** Reads all instruments now and sends them. */
  async collect(): Promise<void> {
    this.#options.refresh();
    const now = Date.now();
    const times = { start: this.#startedUnixNano, now: BigInt(now) * 1_000_000n };
    const collected = await this.#options.metrics.registry.getMetricsAsJSON();
    const exemplars = this.#options.metrics.exemplars.take();
    const value = metricsRequest(collected, times, this.#options.resource, this.#scope, exemplars);
    for (const file of this.#files.metrics) file.write(() => JSON.stringify(value.request));
    this.#deliveries.metrics?.add({ value, items: value.points, at: now });
  }

  /** Brings the exporter's own gauges up to date. */
  refresh(): void {
    const { queuedItems, oldestItem } = this.#options.metrics.instruments;
    const now = Date.now();
    for (const signal of SIGNALS) {
      const delivery = this.#deliveries[signal];
      if (delivery === undefined) continue;
      queuedItems.set({ mixgate_signal: signal }, delivery.depth);
      oldestItem.set({ mixgate_signal: signal }, delivery.ageMs(now) / 1000);
    }
  }

  /** Sends what is held, the last metrics included, within `limitMs`; used before the process ends. */
  async close(limitMs: number): Promise<void> {
    clearInterval(this.#interval);
    if (this.wants('metrics')) await this.collect();
    await Promise.all([
      ...SIGNALS.map((signal) => this.#deliveries[signal]?.close(limitMs)),
      ...Object.values(this.#files).flatMap((files) => files.map((file) => file.flush())),
    ]);
  }

  #traces(spans: Span[]): object {
    return exportRequest(spans, this.#options.resource, this.#scope);
  }

  #logs(records: readonly LogRecord[]): object {
    return logsRequest(records, this.#options.resource, this.#scope);
  }

  #collectors(signal: Signal): Collector[] {
    const { settings, version } = this.#options;
    return settings.endpoints[signal].map((endpoint) => new Collector(endpoint, `mixgate-runtime/${version}`));
  }

  #delivery<T>(signal: Signal, collectors: readonly Collector[], encode: (values: readonly T[]) => object): Delivery<T> {
    const { settings } = this.#options;
    return new Delivery<T>({
      signal,
      collectors,
      queue: settings.queue[signal],
      overflow: signal === 'metrics' ? 'drop-oldest' : 'drop-newest',
      batch: BATCH[signal],
      flushMs: settings.flushMs,
      timeoutMs: settings.timeoutMs[signal],
      retryForMs: settings.retryForMs,
      gzip: settings.gzip[signal],
      encode,
      report: this.#report(signal),
    });
  }

  #report(signal: Signal): DeliveryReport {
    const { instruments } = this.#options.metrics;
    const by = { mixgate_signal: signal };
    return {
      exported: (items) => instruments.telemetryExported.inc(by, items),
      dropped: (items, reason, entries) => {
        instruments.telemetryDropped.inc({ ...by, mixgate_telemetry_reason: reason }, items);
        if (signal === 'traces' && entries > 0)
          instruments.spansDropped.inc({ mixgate_reason: reason === 'queue_full' ? reason : 'export_failed' }, entries);
      },
      lag: (seconds) => instruments.telemetryLag.observe(by, seconds),
      attempt: (collector, outcome) => {
        const labels = { ...by, mixgate_collector: collector };
        instruments.telemetryRequests.inc({ ...labels, mixgate_telemetry_outcome: outcome.kind });
        instruments.collectorUp.set(labels, outcome.kind === 'accepted' ? 1 : 0);
        this.#say(signal, collector, outcome);
      },
    };
  }

  /** A line when a collector goes or comes back, not one for each request. */
  #say(signal: Signal, collector: string, outcome: Outcome): void {
    const key = `${signal} ${collector}`;
    const before = this.#states.get(key) ?? 'up';
    const now = stateOf(outcome);
    this.#states.set(key, now);
    if (before === now) return;
    const why = outcome.kind === 'accepted' ? (outcome.message ?? 'no reason given') : outcome.reason;
    const what = {
      up: before === 'down' ? `takes ${signal} again` : `takes all ${signal} again`,
      warned: `took the ${signal} with a warning: ${why}`,
      partial: `took only a part of the ${signal}: ${why}`,
      down: `does not take ${signal}: ${why}`,
    }[now];
    this.#options.log(`collector ${collector} ${what}`);
  }
}

/** Nothing rejected but a text is a warning (OTLP specification, "Partial Success"). */
function stateOf(outcome: Outcome): 'up' | 'warned' | 'partial' | 'down' {
  if (outcome.kind !== 'accepted') return 'down';
  if (outcome.rejected > 0) return 'partial';
  return outcome.message === undefined ? 'up' : 'warned';
}
