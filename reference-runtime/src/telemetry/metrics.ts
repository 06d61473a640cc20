// The runtime's Prometheus metrics. gen_ai_* are OpenTelemetry's semantic conventions 1.41.1 in Prometheus translation, with the
// recommended buckets; mixgate_* are ours: names and labels translate examples/fleet/telemetry/registry. Labels are bounded: models and tenants come from the configuration, never from a client.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { EngineInfo, EngineStats, RequestTrace, UpstreamStats } from '../engine/types.ts';

/** Recommended bounds of gen_ai.server.request.duration, in seconds. */
const DURATION = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/** Of gen_ai.server.time_to_first_token. */
const FIRST_TOKEN = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** Of gen_ai.server.time_per_output_token. */
const PER_TOKEN = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
const STAGE = [0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
const QUEUE = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Above this a model's layer x expert counters are left out: 48 x 128 would be 6144 series. */
const EXPERT_SERIES_LIMIT = 1024;

/** The values of the circuit's gauge, by index. */
const CIRCUIT_STATES: ReadonlyArray<UpstreamStats['circuit']> = ['closed', 'half-open', 'open'];

const GEN_AI = ['gen_ai_operation_name', 'gen_ai_provider_name', 'gen_ai_request_model', 'gen_ai_response_model'] as const;

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
  errorType?: string;
  firstTokenSeconds?: number;
  perTokenSeconds?: number;
  promptTokens: number;
  completionTokens: number;
}

function genAi(labels: RequestLabels): Record<(typeof GEN_AI)[number], string> {
  return {
    gen_ai_operation_name: labels.operation,
    gen_ai_provider_name: 'mistral_ai',
    gen_ai_request_model: labels.requestModel,
    gen_ai_response_model: labels.responseModel,
  };
}

/** All metrics of one runtime, in a registry of their own. */
export class Metrics {
  readonly registry = new Registry();
  readonly #registers = [this.registry];
  readonly #duration = new Histogram({
    name: 'gen_ai_server_request_duration_seconds',
    help: 'Generative AI server request duration, from arrival to the last token',
    labelNames: [...GEN_AI, 'error_type'],
    buckets: DURATION,
    registers: this.#registers,
  });
  readonly #firstToken = new Histogram({
    name: 'gen_ai_server_time_to_first_token_seconds',
    help: 'Time to generate the first token, successful responses only',
    labelNames: [...GEN_AI],
    buckets: FIRST_TOKEN,
    registers: this.#registers,
  });
  readonly #perToken = new Histogram({
    name: 'gen_ai_server_time_per_output_token_seconds',
    help: 'Time per output token after the first, successful responses only',
    labelNames: [...GEN_AI],
    buckets: PER_TOKEN,
    registers: this.#registers,
  });
  readonly #tokens = new Counter({
    name: 'mixgate_tokens_total',
    help: 'Tokens processed',
    labelNames: ['mixgate_tenant', 'gen_ai_response_model', 'gen_ai_token_type'],
    registers: this.#registers,
  });
  readonly policySeconds = new Histogram({
    name: 'mixgate_policy_evaluation_duration_seconds',
    help: 'Time to evaluate the routing policy',
    buckets: STAGE,
    registers: this.#registers,
  });
  readonly decisions = new Counter({
    name: 'mixgate_policy_decisions_total',
    help: 'Routing decisions by result',
    labelNames: ['mixgate_policy_result'],
    registers: this.#registers,
  });
  readonly queueSeconds = new Histogram({
    name: 'mixgate_queue_duration_seconds',
    help: 'Time a request waited for a sequence',
    buckets: QUEUE,
    registers: this.#registers,
  });
  readonly overheadSeconds = new Histogram({
    name: 'mixgate_overhead_duration_seconds',
    help: 'Time of a request that was neither queue nor engine',
    buckets: STAGE,
    registers: this.#registers,
  });
  readonly queueDepth = new Gauge({
    name: 'mixgate_queue_depth',
    help: 'Requests waiting for a sequence',
    registers: this.#registers,
  });
  readonly saturation = new Gauge({
    name: 'mixgate_engine_saturation_ratio',
    help: 'Requests running and waiting over sequences; above 1 requests wait',
    registers: this.#registers,
  });
  readonly fallbacks = new Counter({
    name: 'mixgate_fallbacks_total',
    help: 'Requests served by a fallback target, by reason',
    labelNames: ['mixgate_reason'],
    registers: this.#registers,
  });
  readonly rejections = new Counter({
    name: 'mixgate_rejections_total',
    help: 'Requests refused before the engine, by stage and reason',
    labelNames: ['mixgate_stage', 'mixgate_reason'],
    registers: this.#registers,
  });
  readonly cancelled = new Counter({
    name: 'mixgate_cancelled_total',
    help: 'Requests whose client went away',
    registers: this.#registers,
  });
  readonly slowReaders = new Counter({
    name: 'mixgate_slow_readers_total',
    help: 'Streams cut because their client read nothing',
    registers: this.#registers,
  });
  readonly engineUp = new Gauge({
    name: 'mixgate_engine_up',
    help: '1 while the local engine serves',
    registers: this.#registers,
  });
  readonly engineMemory = new Gauge({
    name: 'mixgate_engine_memory_bytes',
    help: 'Resident memory of the engine process',
    registers: this.#registers,
  });
  readonly engineLoad = new Gauge({
    name: 'mixgate_engine_load_duration_seconds',
    help: 'Cold start: time the last load took',
    registers: this.#registers,
  });
  readonly #engineRestarts = new Counter({
    name: 'mixgate_engine_restarts_total',
    help: 'Restarts of the engine process',
    registers: this.#registers,
  });
  readonly bundleInfo = new Gauge({
    name: 'mixgate_policy_bundle_info',
    help: 'The active policy bundle',
    labelNames: ['mixgate_policy_revision', 'mixgate_policy_digest'],
    registers: this.#registers,
  });
  readonly bundleActivated = new Gauge({
    name: 'mixgate_policy_activated_timestamp_seconds',
    help: 'When the active bundle was activated',
    registers: this.#registers,
  });
  readonly bundleFailures = new Counter({
    name: 'mixgate_policy_activation_failures_total',
    help: 'Bundles that could not be activated',
    registers: this.#registers,
  });
  readonly #bundleAge = new Gauge({
    name: 'mixgate_policy_bundle_age_seconds',
    help: 'Time since a source last said that the active bundle is the current one',
    registers: this.#registers,
  });
  readonly #sourceUp = new Gauge({
    name: 'mixgate_policy_source_up',
    help: '1 when the source gave a good bundle when it was asked last',
    labelNames: ['mixgate_policy_source'],
    registers: this.#registers,
  });
  readonly certificateExpiry = new Gauge({
    name: 'mixgate_certificate_expiry_timestamp_seconds',
    help: 'When the certificate of this server stops being valid; absent without TLS',
    registers: this.#registers,
  });
  readonly spansDropped = new Counter({
    name: 'mixgate_spans_dropped_total',
    help: 'Requests whose spans were not exported',
    labelNames: ['mixgate_reason'],
    registers: this.#registers,
  });
  readonly decisionLogDropped = new Counter({
    name: 'mixgate_decision_log_dropped_total',
    help: 'Decisions not written to the log',
    registers: this.#registers,
  });
  readonly traceAvailable = new Gauge({
    name: 'moe_trace_available',
    help: '1 where router tracing passed its self-test',
    registers: this.#registers,
  });
  readonly #traceRecorded = new Counter({
    name: 'mixgate_moe_trace_rows_total',
    help: 'Router rows recorded (token-layers)',
    registers: this.#registers,
  });
  readonly #traceDropped = new Counter({
    name: 'mixgate_moe_trace_dropped_total',
    help: 'Router rows lost to a full ring',
    registers: this.#registers,
  });
  readonly #traceUnattributed = new Counter({
    name: 'mixgate_moe_trace_unattributed_total',
    help: 'Router rows that could not be attributed',
    registers: this.#registers,
  });
  readonly #expertTokens = new Counter({
    name: 'mixgate_moe_expert_tokens_total',
    help: 'Tokens routed to an expert of a layer, traced requests only',
    labelNames: ['gen_ai_response_model', 'mixgate_moe_layer', 'mixgate_moe_expert'],
    registers: this.#registers,
  });
  readonly #circuitState = new Gauge({
    name: 'mixgate_upstream_circuit_state',
    help: 'Circuit breaker of an upstream server: 0 closed, 1 half-open, 2 open',
    labelNames: ['mixgate_pool'],
    registers: this.#registers,
  });
  readonly #circuitOpened = new Counter({
    name: 'mixgate_upstream_circuit_opened_total',
    help: 'How often the circuit breaker of an upstream server opened, failed probes included',
    labelNames: ['mixgate_pool'],
    registers: this.#registers,
  });
  readonly #upstreamAttempts = new Counter({
    name: 'mixgate_upstream_attempts_total',
    help: 'Calls of an upstream server by how they ended',
    labelNames: ['mixgate_pool', 'mixgate_upstream_outcome'],
    registers: this.#registers,
  });
  readonly #upstreamRetries = new Counter({
    name: 'mixgate_upstream_retries_total',
    help: 'Calls repeated before a byte of an answer was read',
    labelNames: ['mixgate_pool'],
    registers: this.#registers,
  });
  readonly #upstreamHedges = new Counter({
    name: 'mixgate_upstream_hedges_total',
    help: 'Second calls beside a slow first one',
    labelNames: ['mixgate_pool'],
    registers: this.#registers,
  });
  readonly #targetInfo = new Gauge({
    name: 'target_info',
    help: 'Resource of this runtime',
    labelNames: ['service_name', 'service_version', 'cluster', 'model', 'model_version'],
    registers: this.#registers,
  });
  readonly #upstreamSeen = new Map<string, UpstreamStats>();
  #seen = { restarts: 0, recorded: 0, dropped: 0, unattributed: 0 };

  constructor(resource: { version: string; cluster: string; model: string; modelVersion: string }) {
    this.#targetInfo.set(
      {
        service_name: 'mixgate-runtime',
        service_version: resource.version,
        cluster: resource.cluster,
        model: resource.model,
        model_version: resource.modelVersion,
      },
      1,
    );
    this.traceAvailable.set(0);
    // Present from the first scrape on: a rate over a series that appears with its first event misses that event.
    for (const reason of ['queue_full', 'export_failed']) this.spansDropped.inc({ mixgate_reason: reason }, 0);
    for (const result of ['allow', 'deny', 'undefined', 'error']) this.decisions.inc({ mixgate_policy_result: result }, 0);
  }

  observe(outcome: RequestOutcome): void {
    const labels = genAi(outcome.labels);
    this.#duration.observe(
      outcome.errorType === undefined ? labels : { ...labels, error_type: outcome.errorType },
      outcome.seconds,
    );
    if (outcome.errorType === undefined) {
      if (outcome.firstTokenSeconds !== undefined) this.#firstToken.observe(labels, outcome.firstTokenSeconds);
      if (outcome.perTokenSeconds !== undefined) this.#perToken.observe(labels, outcome.perTokenSeconds);
    }
    const by = { mixgate_tenant: outcome.tenant, gen_ai_response_model: outcome.labels.responseModel };
    if (outcome.promptTokens > 0) this.#tokens.inc({ ...by, gen_ai_token_type: 'input' }, outcome.promptTokens);
    if (outcome.completionTokens > 0) this.#tokens.inc({ ...by, gen_ai_token_type: 'output' }, outcome.completionTokens);
  }

  routing(model: string, trace: RequestTrace): void {
    for (const layer of trace.layers) {
      if (layer.usage.length * trace.layers.length > EXPERT_SERIES_LIMIT) return;
      for (const [expert, count] of layer.usage.entries())
        this.#expertTokens.inc(
          { gen_ai_response_model: model, mixgate_moe_layer: String(layer.layer), mixgate_moe_expert: String(expert) },
          count,
        );
    }
  }

  engineLoaded(info: EngineInfo): void {
    this.engineLoad.set(info.loadMs / 1000);
    this.traceAvailable.set(info.trace.available ? 1 : 0);
  }

  /** Brings the policy's gauges up to date; called when scraped. */
  policy(ageSeconds: number, sources: ReadonlyMap<string, boolean>): void {
    this.#bundleAge.set(ageSeconds);
    for (const [source, up] of sources) this.#sourceUp.set({ mixgate_policy_source: source }, up ? 1 : 0);
  }

  /** Brings what is known of an upstream server up to date; called when scraped. */
  upstream(pool: string, now: UpstreamStats | undefined): void {
    if (now === undefined) return;
    const before = this.#upstreamSeen.get(pool);
    this.#upstreamSeen.set(pool, now);
    const labels = { mixgate_pool: pool };
    this.#circuitState.set(labels, CIRCUIT_STATES.indexOf(now.circuit));
    this.#circuitOpened.inc(labels, now.opened - (before?.opened ?? 0));
    this.#upstreamRetries.inc(labels, now.retries - (before?.retries ?? 0));
    this.#upstreamHedges.inc(labels, now.hedges - (before?.hedges ?? 0));
    for (const outcome of ['answered', 'failed', 'cancelled'] as const)
      this.#upstreamAttempts.inc(
        { ...labels, mixgate_upstream_outcome: outcome },
        now.attempts[outcome] - (before?.attempts[outcome] ?? 0),
      );
  }

  /** Brings gauges and the engine's own counters up to date; called when scraped. */
  sync(stats: EngineStats, waiting: number): void {
    this.engineUp.set(stats.state === 'ready' ? 1 : 0);
    this.engineMemory.set(stats.rssBytes);
    this.queueDepth.set(waiting);
    this.saturation.set((stats.active + waiting) / stats.sequences);
    const now = {
      restarts: stats.restarts,
      recorded: stats.trace?.recorded ?? 0,
      dropped: stats.trace?.dropped ?? 0,
      unattributed: stats.trace?.unattributed ?? 0,
    };
    this.#engineRestarts.inc(Math.max(0, now.restarts - this.#seen.restarts));
    this.#traceRecorded.inc(Math.max(0, now.recorded - this.#seen.recorded));
    this.#traceDropped.inc(Math.max(0, now.dropped - this.#seen.dropped));
    this.#traceUnattributed.inc(Math.max(0, now.unattributed - this.#seen.unattributed));
    this.#seen = now;
  }
}
