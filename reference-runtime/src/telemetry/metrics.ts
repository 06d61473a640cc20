// What the runtime counts and measures: instruments.ts made into Prometheus metrics, and the few places where a value needs more than one line.
import { Gauge, Registry } from 'prom-client';
import type { ServerLoad } from '../engine/server-load.ts';
import type { EngineInfo, EngineStats, RequestTrace, UpstreamStats } from '../engine/types.ts';
import { Exemplars, type SpanIds } from './exemplars.ts';
import { GovernanceMetrics } from './governance-metrics.ts';
import { INSTRUMENTS, type Instrument } from './instruments.ts';
import { instrumentsIn, type Labels } from './instruments-made.ts';
import type { Resource } from './otlp.ts';
import { DROP_REASONS, SIGNALS } from './signal.ts';

/** Above this a model's layer x expert counters are left out: 48 x 128 would be 6144 series. */
const EXPERT_SERIES_LIMIT = 1024;

/** The values of the circuit's gauge, by index. */
const CIRCUIT_STATES: ReadonlyArray<UpstreamStats['circuit']> = ['closed', 'half-open', 'open'];

/** `gen_ai.operation.name`: `score` is ours, for requests that only score a given text and so have no first token. */
export type OperationName = 'chat' | 'text_completion' | 'score';

/** Labels of one request; `model` was checked against the catalogue. */
export interface RequestLabels {
  operation: OperationName;
  requestModel: string;
  responseModel: string;
}

/** What a finished request contributes. Times in seconds; `firstToken` and `perToken` only where there was a token (two tokens). */
export interface RequestOutcome {
  labels: RequestLabels;
  tenant: string;
  seconds: number;
  errorType: string | undefined;
  firstTokenSeconds: number | undefined;
  perTokenSeconds: number | undefined;
  promptTokens: number;
  completionTokens: number;
  /** The request's span where it is recorded and metrics are sent: measurements are linked to it. */
  span?: SpanIds | undefined;
}

function genAi(labels: RequestLabels): Record<Labels<'firstToken'>, string> {
  return {
    gen_ai_operation_name: labels.operation,
    gen_ai_provider_name: 'mistral_ai',
    gen_ai_request_model: labels.requestModel,
    gen_ai_response_model: labels.responseModel,
  };
}

/** Why a fallback answers in place of the decided target (server/execute.ts). */
const FALLBACK_REASONS = [
  'POOL_UNREACHABLE',
  'POOL_INCAPABLE',
  'ENGINE_UNAVAILABLE',
  'ENGINE_DIED',
  'LOAD_FAILED',
  'UPSTREAM_ERROR',
  'QUEUE_FULL',
] as const;

/** All metrics of one runtime, in a registry of their own. */
export class Metrics {
  readonly registry = new Registry();
  readonly instruments = instrumentsIn(this.registry);
  readonly exemplars = new Exemplars();
  readonly governance = new GovernanceMetrics(this.instruments);
  readonly #upstreamSeen = new Map<string, UpstreamStats>();
  readonly #loadFailures = new Map<string, number>();
  #seen = { restarts: 0, recorded: 0, dropped: 0, unattributed: 0 };

  /** @param resource what this runtime is; `attributes` are those of the telemetry's resource */
  constructor(resource: { version: string; cluster: string; model: string; modelVersion: string; attributes?: Resource }) {
    const { version, cluster, model, modelVersion, attributes = {} } = resource;
    const own = { service_name: 'mixgate-runtime', service_version: version, cluster, model, model_version: modelVersion };
    // Prometheus' form of a resource; service.instance.id is what Prometheus calls `instance`. Of two names that escape to one label the last has it.
    const named = Object.entries(attributes)
      .filter(([name]) => name !== '' && name !== 'service.instance.id')
      .map(([name, value]) => [name.replace(/^(?=[0-9])|[^A-Za-z0-9_]/g, '_'), value]);
    const labels: Record<string, string> = { ...own, ...Object.fromEntries(named) };
    const info = new Gauge({
      name: 'target_info',
      help: 'Resource of this runtime',
      labelNames: Object.keys(labels),
      registers: [this.registry],
    });
    info.set(labels, 1);
    this.instruments.traceAvailable.set(0);
    // Present from the first scrape on: a rate over a series that appears with its first event misses that event.
    for (const signal of SIGNALS) {
      this.instruments.telemetryExported.inc({ mixgate_signal: signal }, 0);
      for (const reason of DROP_REASONS)
        this.instruments.telemetryDropped.inc({ mixgate_signal: signal, mixgate_telemetry_reason: reason }, 0);
    }
    for (const reason of ['queue_full', 'export_failed']) this.instruments.spansDropped.inc({ mixgate_reason: reason }, 0);
    for (const reason of FALLBACK_REASONS) this.instruments.fallbacks.inc({ mixgate_reason: reason }, 0);
    for (const result of ['allow', 'deny', 'undefined', 'error'])
      this.instruments.decisions.inc({ mixgate_policy_result: result }, 0);
  }

  observe(outcome: RequestOutcome): void {
    const { errorType, firstTokenSeconds, perTokenSeconds, span } = outcome;
    const labels = genAi(outcome.labels);
    this.#measure(
      this.instruments.duration,
      INSTRUMENTS.duration,
      errorType === undefined ? labels : { ...labels, error_type: errorType },
      outcome.seconds,
      span,
    );
    if (errorType === undefined) {
      if (firstTokenSeconds !== undefined)
        this.#measure(this.instruments.firstToken, INSTRUMENTS.firstToken, labels, firstTokenSeconds, span);
      if (perTokenSeconds !== undefined)
        this.#measure(this.instruments.perToken, INSTRUMENTS.perToken, labels, perTokenSeconds, span);
    }
    const by = { mixgate_tenant: outcome.tenant, gen_ai_response_model: outcome.labels.responseModel };
    if (outcome.promptTokens > 0) this.instruments.tokens.inc({ ...by, gen_ai_token_type: 'input' }, outcome.promptTokens);
    if (outcome.completionTokens > 0)
      this.instruments.tokens.inc({ ...by, gen_ai_token_type: 'output' }, outcome.completionTokens);
  }

  /** One measurement, linked to the span that it was made in. */
  #measure<L extends Readonly<Record<string, string>>>(
    histogram: { observe(labels: L, seconds: number): void },
    row: Instrument,
    labels: L,
    seconds: number,
    span: SpanIds | undefined,
  ): void {
    histogram.observe(labels, seconds);
    if (span !== undefined)
      this.exemplars.note(row, labels, { ...span, value: seconds, unixNano: BigInt(Date.now()) * 1_000_000n });
  }

  routing(model: string, trace: RequestTrace): void {
    for (const layer of trace.layers) {
      if (layer.usage.length * trace.layers.length > EXPERT_SERIES_LIMIT) return;
      for (const [expert, count] of layer.usage.entries())
        this.instruments.expertTokens.inc(
          { gen_ai_response_model: model, mixgate_moe_layer: String(layer.layer), mixgate_moe_expert: String(expert) },
          count,
        );
    }
  }

  engineLoaded(info: EngineInfo): void {
    this.instruments.engineLoad.set(info.loadMs / 1000);
    this.instruments.traceAvailable.set(info.trace.available ? 1 : 0);
  }

  /** Brings the memory's gauges up to date; called when scraped. What is not known has no series. */
  memory(kind: 'ram' | 'vram', state: { used: number; limit: number } | undefined, planned: number | undefined): void {
    const labels = { mixgate_memory_kind: kind };
    const { memoryUsed, memoryLimit, memoryPlanned } = this.instruments;
    const set = (gauge: typeof memoryUsed, value: number | undefined): void =>
      value === undefined ? gauge.remove(labels) : gauge.set(labels, value);
    set(memoryUsed, state?.used);
    set(memoryLimit, state?.limit);
    set(memoryPlanned, planned);
  }

  /** Brings the policy's gauges up to date; called when scraped. */
  policy(ageSeconds: number, sources: ReadonlyMap<string, boolean>): void {
    this.instruments.bundleAge.set(ageSeconds);
    for (const [source, up] of sources) this.instruments.sourceUp.set({ mixgate_policy_source: source }, up ? 1 : 0);
  }

  /** Brings what is known of an upstream server up to date; called when scraped. */
  upstream(pool: string, now: UpstreamStats | undefined): void {
    if (now === undefined) return;
    const before = this.#upstreamSeen.get(pool);
    this.#upstreamSeen.set(pool, now);
    const labels = { mixgate_pool: pool };
    this.instruments.circuitState.set(labels, CIRCUIT_STATES.indexOf(now.circuit));
    this.instruments.circuitOpened.inc(labels, now.opened - (before?.opened ?? 0));
    this.instruments.upstreamRetries.inc(labels, now.retries - (before?.retries ?? 0));
    this.instruments.upstreamHedges.inc(labels, now.hedges - (before?.hedges ?? 0));
    for (const outcome of ['answered', 'failed', 'cancelled'] as const)
      this.instruments.upstreamAttempts.inc(
        { ...labels, mixgate_upstream_outcome: outcome },
        now.attempts[outcome] - (before?.attempts[outcome] ?? 0),
      );
  }

  /** Brings what an upstream server says of itself up to date; called when scraped. What is stale has no series. */
  upstreamLoad(pool: string, load: ServerLoad | undefined, ageSeconds: number, failures: number): void {
    const { upstreamRunning, upstreamWaiting, upstreamKvCache, upstreamLoadAge, upstreamLoadFailures } = this.instruments;
    const labels = { mixgate_pool: pool };
    const set = (gauge: typeof upstreamRunning, value: number | undefined): void =>
      value === undefined ? gauge.remove(labels) : gauge.set(labels, value);
    set(upstreamRunning, load?.running);
    set(upstreamWaiting, load?.waiting);
    set(upstreamKvCache, load?.kvCache);
    upstreamLoadAge.set(labels, ageSeconds);
    upstreamLoadFailures.inc(labels, failures - (this.#loadFailures.get(pool) ?? 0));
    this.#loadFailures.set(pool, failures);
  }

  /** Brings gauges and the engine's own counters up to date; called when scraped. */
  sync(stats: EngineStats, waiting: number): void {
    // Loading is seen only where a request asked for it: at start nothing is served yet, and what comes back after a crash is restarting.
    this.instruments.engineUp.set(['ready', 'unloaded', 'loading'].includes(stats.state) ? 1 : 0);
    this.instruments.engineResident.set(stats.state === 'ready' ? 1 : 0);
    this.instruments.engineMemory.set(stats.rssBytes);
    this.instruments.queueDepth.set(waiting);
    this.instruments.saturation.set((stats.active + waiting) / stats.sequences);
    const now = {
      restarts: stats.restarts,
      recorded: stats.trace?.recorded ?? 0,
      dropped: stats.trace?.dropped ?? 0,
      unattributed: stats.trace?.unattributed ?? 0,
    };
    this.instruments.engineRestarts.inc(Math.max(0, now.restarts - this.#seen.restarts));
    this.instruments.traceRecorded.inc(Math.max(0, now.recorded - this.#seen.recorded));
    this.instruments.traceDropped.inc(Math.max(0, now.dropped - this.#seen.dropped));
    this.instruments.traceUnattributed.inc(Math.max(0, now.unattributed - this.#seen.unattributed));
    this.#seen = now;
  }
}
