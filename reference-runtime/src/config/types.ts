// The runtime's configuration with every default filled in; schemas/runtime.schema.json describes the file.

import type { GpuLayers } from '../gguf/preflight.ts';
import type { Verification } from '../policy/signature.ts';
import type { Protocol } from '../telemetry/encoding.ts';
import type { Signal } from '../telemetry/signal.ts';
import type { Capability } from './capabilities.ts';

export interface PoolConfig {
  id: string;
  cluster: string;
  region: string;
  jurisdiction: string;
  trust_zone?: string;
  accelerator: 'gpu' | 'cpu';
  model: string;
  version: string;
  saturation: number;
  queue: number;
  p95_ms: number;
  cost_per_mtok: number;
  warm: boolean;
  /** For the local engine: when it loads its model, after how many idle seconds it lets go of it, and whether it never does. */
  load?: 'start' | 'on-demand';
  idle_seconds?: number;
  keep_warm?: boolean;
  /** What it serves, where that is not what its engine implies (config/capabilities.ts). */
  capabilities?: Partial<Record<Capability, boolean>>;
  engine?: 'local' | UpstreamConfig;
}

/** How another OpenAI-compatible server is called; times in milliseconds. Without `hedgeMs` nothing is asked twice at once. */
export interface UpstreamConfig {
  url: string;
  apiKeyEnv?: string;
  identity?: 'headers' | 'authorization' | 'none';
  retries?: number;
  firstByteMs?: number;
  hedgeMs?: number;
  /** Requests it runs at once. */
  concurrency?: number;
  circuit?: { failures?: number; openMs?: number };
  /** Present where the server is asked for its load. */
  metrics?: LoadConfig;
}

/** How an upstream server is asked for its load; times in milliseconds. */
export interface LoadConfig {
  /** On the server, or a whole URL. */
  path?: string;
  intervalMs?: number;
  timeoutMs?: number;
  /** A reading older than this is not used. */
  staleMs?: number;
  maxBytes?: number;
}

/** Quota of a tenant; what is absent is unlimited. */
export interface TenantQuota {
  requestsPerSecond?: number;
  burst?: number;
  concurrency?: number;
  tokensPerMinute?: number;
}

/** The price of a pool's tokens: `fromMs` to `untilMs`, since the epoch, is when it is no stale one. */
export interface PriceConfig {
  currency: string;
  asOf: string;
  fromMs: number;
  untilMs: number;
  perMtokInput: number;
  /** Of prompt tokens that a cache had; absent: as any other. */
  perMtokCachedInput?: number;
  perMtokOutput: number;
}

/** A feature flag of the catalogue: `value` until `expiresMs` since the epoch, `fallback` from then on. */
export interface FlagConfig {
  id: string;
  fallback: boolean | string | number;
  value: boolean | string | number;
  expiresMs: number;
}

export interface JwtConfig {
  jwks: string;
  issuer?: string;
  audience?: string;
  /** For how long keys of a URL are used without having been seen there, seconds. */
  jwksMaxAgeSeconds: number;
  /** Name of a claim, or a JSON pointer into one. */
  tenantClaim: string;
  algorithms: string[];
}

/** PEM files. With `clientCa` clients are asked for a certificate; `clientCrl` has the revocation lists of all of these authorities. */
export interface TlsConfig {
  cert: string;
  key: string;
  clientCa?: string;
  clientCrl?: string;
}

/** How a client's certificate names its tenant. */
export interface MtlsConfig {
  tenantFrom: 'O' | 'OU' | 'CN';
  /** SPIFFE trust domain that the certificate's id must be in. */
  trustDomain?: string;
}

export interface StaticToken {
  sha256: string;
  tenant: string;
  workload?: string;
}

/** Where a policy bundle comes from: exactly one of bundle, url and git. */
export interface PolicySourceConfig {
  name: string;
  /** A directory or an archive. */
  bundle?: string;
  url?: string;
  /** Environment variable with the bearer token for `url`. */
  tokenEnv?: string;
  git?: { repository: string; ref: string; path: string };
  verify?: Verification;
}

export type TraceMode = 'off' | 'opt-in' | 'sample' | 'always';

/** One OpenTelemetry Collector, or anything else that takes OTLP/HTTP. Paths are absolute. */
export interface CollectorConfig {
  /** Label of metrics and logs; default host and port. */
  name?: string;
  /** Base URL; /v1/traces, /v1/metrics and /v1/logs are added. */
  endpoint: string;
  /** Default that of all collectors. */
  protocol?: Protocol;
  headersEnv?: string;
  headersFile?: string;
  ca?: string;
  cert?: string;
  key?: string;
}

/** Where telemetry goes. Times in milliseconds; what is absent comes from OpenTelemetry's environment variables. */
export interface TelemetryConfig {
  traces: { file?: string; endpoint?: string; queue?: number; flushMs?: number };
  otlp: {
    collectors: CollectorConfig[];
    signals: Signal[];
    protocol?: Protocol;
    compression?: 'gzip' | 'none';
    timeoutMs?: number;
    retryForMs: number;
    queue: number;
    flushMs: number;
    metricsIntervalMs?: number;
    file?: string;
  };
  decisionLog?: { file?: string; maxMiB?: number; mask: string[] };
  resource: Record<string, string>;
}

export interface RuntimeConfig {
  listen: { host: string; port: number; tls?: TlsConfig };
  cluster: string;
  model: {
    path: string;
    id: string;
    version: string;
    context: number;
    sequences: number;
    batch: number;
    threads: number;
    gpu: 'auto' | 'cuda' | 'vulkan' | 'metal' | false;
    gpuLayers: GpuLayers;
  };
  policy: { sources: PolicySourceConfig[]; entrypoint: string; pollSeconds: number; cache?: string };
  /** `dev` has no identity at all and listens on loopback only. */
  identity: { dev?: boolean; jwt?: JwtConfig; tokens?: StaticToken[]; mtls?: MtlsConfig };
  tenants: Record<string, TenantQuota>;
  pools: PoolConfig[];
  slo: { burn_rate: number; budget_left: number };
  flags: Record<string, boolean | string | number>;
  /** What catalogue files say: prices by pool, and flags where there is a list of them. */
  catalog: { prices: Record<string, PriceConfig>; flags?: FlagConfig[] };
  shadow: { concurrency: number; deadlineMs: number };
  limits: { bodyBytes: number; maxTokens: number; queue: number; deadlineMs: number; stallMs: number; drainMs: number };
  telemetry: TelemetryConfig;
  trace: { mode: TraceMode; sample: number; records: number; retain: number; ttlSeconds: number };
}
