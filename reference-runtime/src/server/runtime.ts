// What a running runtime is made of; start-runtime.ts puts it together.
import metadata from '../../package.json' with { type: 'json' };
import type { RuntimeConfig } from '../config/types.ts';
import type { Engine, EngineInfo } from '../engine/types.ts';
import type { DecisionLog } from '../policy/decision-log.ts';
import type { PolicyStore } from '../policy/store.ts';
import type { TelemetryExporter } from '../telemetry/exporter.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Admission } from './admission.ts';
import type { ServerCertificate } from './certificate.ts';
import type { RequestContext, ShadowOutcome } from './context.ts';
import type { Flags } from './flags.ts';
import type { Identify } from './identity.ts';
import type { LoadWatch } from './load-watch.ts';
import type { MoeStore } from './moe-store.ts';
import type { PageRenderer } from './page-renderer.ts';
import type { PoolState } from './pool-state.ts';
import type { Quotas } from './quota.ts';
import type { Residency } from './residency.ts';
import type { TenantLabels } from './tenant-labels.ts';

export const RUNTIME_VERSION = metadata.version;

/** A pool this runtime can send a request to. */
export interface Reachable {
  engine: Engine;
  admission: Admission | undefined;
  /** Absent where the model is always there, or another server's business. */
  residency?: Residency;
}

/** Where copies of requests are sent from. */
export interface ShadowTraffic {
  /** Copies in flight. */
  readonly running: number;
  /** Sends a copy of a decided request if it is one of the share. Returns at once; undefined when no copy is asked for. */
  consider(runtime: Runtime, context: RequestContext): ShadowOutcome | undefined;
}

/** The parts of a running runtime. */
export interface Runtime {
  config: RuntimeConfig;
  local: Engine;
  info: EngineInfo;
  admission: Admission;
  /** Present where the local engine loads on demand or unloads when idle. */
  residency: Residency | undefined;
  reachable: Map<string, Reachable>;
  /** What is seen of every pool. */
  pools: ReadonlyMap<string, PoolState>;
  /** What upstream servers say of themselves, by pool, where they are asked. */
  loads: ReadonlyMap<string, LoadWatch>;
  flags: Flags;
  tenantLabels: TenantLabels;
  shadows: ShadowTraffic;
  policy: PolicyStore;
  identify: Identify;
  /** Present where the configuration has `listen.tls`. */
  certificate: ServerCertificate | undefined;
  quotas: Quotas;
  metrics: Metrics;
  moe: MoeStore;
  pages: PageRenderer;
  telemetry: TelemetryExporter;
  decisionLog: DecisionLog | undefined;
  log: (message: string) => void;
  draining: boolean;
  inFlight: number;
  /** Ends a running request each, with an answer that says why: for the end of a drain. */
  cuts: Set<() => void>;
  close(): Promise<void>;
}
