// Every instrument of the runtime, declared once: /metrics, OTLP, docs/telemetry.md and the tests read this table. gen_ai.* follow
// OpenTelemetry's semantic conventions 1.41.1 with the recommended buckets; mixgate.* are ours and stand in
// examples/fleet/telemetry/registry, which a test holds this table to. Attributes are bounded: models, tenants, pools and collectors
// come from the configuration, never from a client.
import { GOVERNANCE_INSTRUMENTS } from './governance-instruments.ts';

export type AttributeType = 'string' | 'int';

/** One instrument. `prometheus` is `name` as Prometheus' default translation strategy writes it. */
export interface Instrument {
  readonly name: string;
  readonly prometheus: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  /** UCUM. */
  readonly unit: string;
  readonly help: string;
  readonly attributes: Readonly<Record<string, AttributeType>>;
  /** Upper bounds of a histogram, ascending, without +Inf. */
  readonly buckets?: readonly number[];
}

const DURATION = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const FIRST_TOKEN = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const PER_TOKEN = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
const STAGE = [0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
const QUEUE = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** From 10 ms to what no operator should see; 30 s is the target from event to backend. */
const LAG = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

const GEN_AI = {
  'gen_ai.operation.name': 'string',
  'gen_ai.provider.name': 'string',
  'gen_ai.request.model': 'string',
  'gen_ai.response.model': 'string',
} as const;

export const INSTRUMENTS = {
  duration: {
    name: 'gen_ai.server.request.duration',
    prometheus: 'gen_ai_server_request_duration_seconds',
    kind: 'histogram',
    unit: 's',
    help: 'Generative AI server request duration, from arrival to the last token',
    attributes: { ...GEN_AI, 'error.type': 'string' },
    buckets: DURATION,
  },
  firstToken: {
    name: 'gen_ai.server.time_to_first_token',
    prometheus: 'gen_ai_server_time_to_first_token_seconds',
    kind: 'histogram',
    unit: 's',
    help: 'Time to generate the first token, successful responses only',
    attributes: GEN_AI,
    buckets: FIRST_TOKEN,
  },
  perToken: {
    name: 'gen_ai.server.time_per_output_token',
    prometheus: 'gen_ai_server_time_per_output_token_seconds',
    kind: 'histogram',
    unit: 's',
    help: 'Time per output token after the first, successful responses only',
    attributes: GEN_AI,
    buckets: PER_TOKEN,
  },
  tokens: {
    name: 'mixgate.tokens',
    prometheus: 'mixgate_tokens_total',
    kind: 'counter',
    unit: '{token}',
    help: 'Tokens processed',
    attributes: { 'mixgate.tenant': 'string', 'gen_ai.response.model': 'string', 'gen_ai.token.type': 'string' },
  },
  policySeconds: {
    name: 'mixgate.policy.evaluation.duration',
    prometheus: 'mixgate_policy_evaluation_duration_seconds',
    kind: 'histogram',
    unit: 's',
    help: 'Time to evaluate the routing policy',
    attributes: {},
    buckets: STAGE,
  },
  decisions: {
    name: 'mixgate.policy.decisions',
    prometheus: 'mixgate_policy_decisions_total',
    kind: 'counter',
    unit: '{decision}',
    help: 'Routing decisions by result',
    attributes: { 'mixgate.policy.result': 'string' },
  },
  queueSeconds: {
    name: 'mixgate.queue.duration',
    prometheus: 'mixgate_queue_duration_seconds',
    kind: 'histogram',
    unit: 's',
    help: 'Time a request waited for a sequence',
    attributes: {},
    buckets: QUEUE,
  },
  overheadSeconds: {
    name: 'mixgate.overhead.duration',
    prometheus: 'mixgate_overhead_duration_seconds',
    kind: 'histogram',
    unit: 's',
    help: 'Time of a request that was neither queue nor engine',
    attributes: {},
    buckets: STAGE,
  },
  queueDepth: {
    name: 'mixgate.queue.depth',
    prometheus: 'mixgate_queue_depth',
    kind: 'gauge',
    unit: '{request}',
    help: 'Requests waiting for a sequence',
    attributes: {},
  },
  saturation: {
    name: 'mixgate.engine.saturation',
    prometheus: 'mixgate_engine_saturation_ratio',
    kind: 'gauge',
    unit: '1',
    help: 'Requests running and waiting over sequences; above 1 requests wait',
    attributes: {},
  },
  fallbacks: {
    name: 'mixgate.fallbacks',
    prometheus: 'mixgate_fallbacks_total',
    kind: 'counter',
    unit: '{request}',
    help: 'Requests answered by a fallback target, by the reason that the decided one did not',
    attributes: { 'mixgate.reason': 'string' },
  },
  rejections: {
    name: 'mixgate.rejections',
    prometheus: 'mixgate_rejections_total',
    kind: 'counter',
    unit: '{request}',
    help: 'Requests refused before the engine, by stage and reason',
    attributes: { 'mixgate.stage': 'string', 'mixgate.reason': 'string' },
  },
  cancelled: {
    name: 'mixgate.cancelled',
    prometheus: 'mixgate_cancelled_total',
    kind: 'counter',
    unit: '{request}',
    help: 'Requests whose client went away',
    attributes: {},
  },
  slowReaders: {
    name: 'mixgate.slow_readers',
    prometheus: 'mixgate_slow_readers_total',
    kind: 'counter',
    unit: '{request}',
    help: 'Streams cut because their client read nothing',
    attributes: {},
  },
  engineUp: {
    name: 'mixgate.engine.up',
    prometheus: 'mixgate_engine_up',
    kind: 'gauge',
    unit: '1',
    help: '1 while the local engine serves, or would load for the next request',
    attributes: {},
  },
  engineResident: {
    name: 'mixgate.engine.loaded',
    prometheus: 'mixgate_engine_loaded',
    kind: 'gauge',
    unit: '1',
    help: '1 while the model is in memory',
    attributes: {},
  },
  engineMemory: {
    name: 'mixgate.engine.memory',
    prometheus: 'mixgate_engine_memory_bytes',
    kind: 'gauge',
    unit: 'By',
    help: 'Resident memory of the engine process',
    attributes: {},
  },
  engineLoad: {
    name: 'mixgate.engine.load.duration',
    prometheus: 'mixgate_engine_load_duration_seconds',
    kind: 'gauge',
    unit: 's',
    help: 'Cold start: time the last load took',
    attributes: {},
  },
  coldStart: {
    name: 'mixgate.engine.cold_start.duration',
    prometheus: 'mixgate_engine_cold_start_duration_seconds',
    kind: 'histogram',
    unit: 's',
    help: 'Time to load an engine that a request started',
    attributes: {},
    buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
  },
  loadFailures: {
    name: 'mixgate.engine.load.failures',
    prometheus: 'mixgate_engine_load_failures_total',
    kind: 'counter',
    unit: '{load}',
    help: 'Engine starts asked for by a request that failed',
    attributes: {},
  },
  unloads: {
    name: 'mixgate.engine.unloads',
    prometheus: 'mixgate_engine_unloads_total',
    kind: 'counter',
    unit: '{unload}',
    help: 'Engines stopped because nobody asked for a while',
    attributes: {},
  },
  memoryUsed: {
    name: 'mixgate.memory.usage',
    prometheus: 'mixgate_memory_usage_bytes',
    kind: 'gauge',
    unit: 'By',
    help: 'Memory in use by whomever: ram of the machine or the container, vram of the GPU',
    attributes: { 'mixgate.memory.kind': 'string' },
  },
  memoryLimit: {
    name: 'mixgate.memory.limit',
    prometheus: 'mixgate_memory_limit_bytes',
    kind: 'gauge',
    unit: 'By',
    help: 'Memory there is: ram of the machine or the container, vram of the GPU',
    attributes: { 'mixgate.memory.kind': 'string' },
  },
  memoryPlanned: {
    name: 'mixgate.memory.planned',
    prometheus: 'mixgate_memory_planned_bytes',
    kind: 'gauge',
    unit: 'By',
    help: 'Memory that the loaded model was planned to take: weights, KV cache of every sequence, compute',
    attributes: { 'mixgate.memory.kind': 'string' },
  },
  engineRestarts: {
    name: 'mixgate.engine.restarts',
    prometheus: 'mixgate_engine_restarts_total',
    kind: 'counter',
    unit: '{restart}',
    help: 'Restarts of the engine process',
    attributes: {},
  },
  bundleInfo: {
    name: 'mixgate.policy.bundle.info',
    prometheus: 'mixgate_policy_bundle_info',
    kind: 'gauge',
    unit: '1',
    help: 'The active policy bundle',
    attributes: { 'mixgate.policy.revision': 'string', 'mixgate.policy.digest': 'string' },
  },
  bundleActivated: {
    name: 'mixgate.policy.activated.timestamp',
    prometheus: 'mixgate_policy_activated_timestamp_seconds',
    kind: 'gauge',
    unit: 's',
    help: 'When the active bundle was activated',
    attributes: {},
  },
  bundleFailures: {
    name: 'mixgate.policy.activation.failures',
    prometheus: 'mixgate_policy_activation_failures_total',
    kind: 'counter',
    unit: '{failure}',
    help: 'Bundles that could not be activated',
    attributes: {},
  },
  bundleAge: {
    name: 'mixgate.policy.bundle.age',
    prometheus: 'mixgate_policy_bundle_age_seconds',
    kind: 'gauge',
    unit: 's',
    help: 'Time since a source last said that the active bundle is the current one',
    attributes: {},
  },
  sourceUp: {
    name: 'mixgate.policy.source.up',
    prometheus: 'mixgate_policy_source_up',
    kind: 'gauge',
    unit: '1',
    help: '1 when the source gave a good bundle when it was asked last',
    attributes: { 'mixgate.policy.source': 'string' },
  },
  certificateExpiry: {
    name: 'mixgate.certificate.expiry.timestamp',
    prometheus: 'mixgate_certificate_expiry_timestamp_seconds',
    kind: 'gauge',
    unit: 's',
    help: 'When the certificate of this server stops being valid; absent without TLS',
    attributes: {},
  },
  spansDropped: {
    name: 'mixgate.spans.dropped',
    prometheus: 'mixgate_spans_dropped_total',
    kind: 'counter',
    unit: '{request}',
    help: 'Requests whose spans were not exported',
    attributes: { 'mixgate.reason': 'string' },
  },
  telemetryExported: {
    name: 'mixgate.telemetry.exported',
    prometheus: 'mixgate_telemetry_exported_total',
    kind: 'counter',
    unit: '{item}',
    help: 'Spans, data points and log records that a collector acknowledged',
    attributes: { 'mixgate.signal': 'string' },
  },
  telemetryDropped: {
    name: 'mixgate.telemetry.dropped',
    prometheus: 'mixgate_telemetry_dropped_total',
    kind: 'counter',
    unit: '{item}',
    help: 'Spans, data points and log records that no collector got, by reason',
    attributes: { 'mixgate.signal': 'string', 'mixgate.telemetry.reason': 'string' },
  },
  telemetryRequests: {
    name: 'mixgate.telemetry.requests',
    prometheus: 'mixgate_telemetry_requests_total',
    kind: 'counter',
    unit: '{request}',
    help: 'Export requests to a collector by what became of them',
    attributes: { 'mixgate.signal': 'string', 'mixgate.collector': 'string', 'mixgate.telemetry.outcome': 'string' },
  },
  telemetryLag: {
    name: 'mixgate.telemetry.lag',
    prometheus: 'mixgate_telemetry_lag_seconds',
    kind: 'histogram',
    unit: 's',
    help: 'Ingestion lag: from the end of what an item is about to the acknowledgement of a collector',
    attributes: { 'mixgate.signal': 'string' },
    buckets: LAG,
  },
  queuedItems: {
    name: 'mixgate.telemetry.queue.depth',
    prometheus: 'mixgate_telemetry_queue_depth',
    kind: 'gauge',
    unit: '{entry}',
    help: 'Requests with their spans, collections of metrics, and log records that wait for a collector',
    attributes: { 'mixgate.signal': 'string' },
  },
  oldestItem: {
    name: 'mixgate.telemetry.queue.age',
    prometheus: 'mixgate_telemetry_queue_age_seconds',
    kind: 'gauge',
    unit: 's',
    help: 'Age of the oldest entry that waits for a collector; grows while none answers',
    attributes: { 'mixgate.signal': 'string' },
  },
  collectorUp: {
    name: 'mixgate.telemetry.collector.up',
    prometheus: 'mixgate_telemetry_collector_up',
    kind: 'gauge',
    unit: '1',
    help: '1 when the collector took the signal when it was asked last',
    attributes: { 'mixgate.signal': 'string', 'mixgate.collector': 'string' },
  },
  telemetryLinesDropped: {
    name: 'mixgate.telemetry.lines.dropped',
    prometheus: 'mixgate_telemetry_lines_dropped_total',
    kind: 'counter',
    unit: '{line}',
    help: 'Lines of OTLP/JSON that could not be written to a file',
    attributes: {},
  },
  decisionLogDropped: {
    name: 'mixgate.decision.log.dropped',
    prometheus: 'mixgate_decision_log_dropped_total',
    kind: 'counter',
    unit: '{decision}',
    help: 'Decisions not written to the log',
    attributes: {},
  },
  traceAvailable: {
    name: 'moe.trace.available',
    prometheus: 'moe_trace_available',
    kind: 'gauge',
    unit: '1',
    help: '1 where router tracing passed its self-test',
    attributes: {},
  },
  traceRecorded: {
    name: 'mixgate.moe.trace.rows',
    prometheus: 'mixgate_moe_trace_rows_total',
    kind: 'counter',
    unit: '{row}',
    help: 'Router rows recorded (token-layers)',
    attributes: {},
  },
  traceDropped: {
    name: 'mixgate.moe.trace.dropped',
    prometheus: 'mixgate_moe_trace_dropped_total',
    kind: 'counter',
    unit: '{row}',
    help: 'Router rows lost to a full ring',
    attributes: {},
  },
  traceUnattributed: {
    name: 'mixgate.moe.trace.unattributed',
    prometheus: 'mixgate_moe_trace_unattributed_total',
    kind: 'counter',
    unit: '{row}',
    help: 'Router rows that could not be attributed',
    attributes: {},
  },
  expertTokens: {
    name: 'mixgate.moe.expert.tokens',
    prometheus: 'mixgate_moe_expert_tokens_total',
    kind: 'counter',
    unit: '{token}',
    help: 'Tokens routed to an expert of a layer, traced requests only',
    attributes: { 'gen_ai.response.model': 'string', 'mixgate.moe.layer': 'int', 'mixgate.moe.expert': 'int' },
  },
  circuitState: {
    name: 'mixgate.upstream.circuit.state',
    prometheus: 'mixgate_upstream_circuit_state',
    kind: 'gauge',
    unit: '1',
    help: 'Circuit breaker of an upstream server: 0 closed, 1 half-open, 2 open',
    attributes: { 'mixgate.pool': 'string' },
  },
  circuitOpened: {
    name: 'mixgate.upstream.circuit.opened',
    prometheus: 'mixgate_upstream_circuit_opened_total',
    kind: 'counter',
    unit: '{opening}',
    help: 'How often the circuit breaker of an upstream server opened, failed probes included',
    attributes: { 'mixgate.pool': 'string' },
  },
  upstreamAttempts: {
    name: 'mixgate.upstream.attempts',
    prometheus: 'mixgate_upstream_attempts_total',
    kind: 'counter',
    unit: '{call}',
    help: 'Calls of an upstream server by how they ended',
    attributes: { 'mixgate.pool': 'string', 'mixgate.upstream.outcome': 'string' },
  },
  upstreamRetries: {
    name: 'mixgate.upstream.retries',
    prometheus: 'mixgate_upstream_retries_total',
    kind: 'counter',
    unit: '{call}',
    help: 'Calls repeated before a byte of an answer was read',
    attributes: { 'mixgate.pool': 'string' },
  },
  upstreamHedges: {
    name: 'mixgate.upstream.hedges',
    prometheus: 'mixgate_upstream_hedges_total',
    kind: 'counter',
    unit: '{call}',
    help: 'Second calls beside a slow first one',
    attributes: { 'mixgate.pool': 'string' },
  },
  ...GOVERNANCE_INSTRUMENTS,
} as const satisfies Readonly<Record<string, Instrument>>;

export type InstrumentKey = keyof typeof INSTRUMENTS;

/** An attribute's name as a Prometheus label. */
export function labelOf(attribute: string): string {
  return attribute.replaceAll('.', '_');
}
