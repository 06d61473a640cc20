// The configuration of `serve --dev`: loopback, one tenant without identity, the shipped model and policy, tracing on.
import { fileURLToPath } from 'node:url';
import { defaultThreads } from './load.ts';
import { OTLP_DEFAULTS } from './telemetry.ts';
import type { PoolConfig, RuntimeConfig } from './types.ts';

const here = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

export const SHIPPED_MODEL = here('models/mixtral-micro-q8_0.gguf');
export const SHIPPED_BUNDLE = here('dev-policy/bundle');

/** What `--dev` may be told. */
export interface DevOptions {
  port?: number;
  model?: string;
  modelVersion?: string;
  threads?: number;
  gpu?: RuntimeConfig['model']['gpu'];
}

/** The one pool of a development fleet. */
export function devPool(version: string, gpu?: RuntimeConfig['model']['gpu']): PoolConfig {
  return {
    id: 'dev-cpu',
    cluster: 'dev',
    region: 'local',
    jurisdiction: 'local',
    trust_zone: 'local',
    accelerator: gpu === undefined || gpu === false ? 'cpu' : 'gpu',
    model: 'mixtral-micro',
    version,
    saturation: 0,
    queue: 0,
    p95_ms: 0,
    cost_per_mtok: 0,
    warm: true,
    engine: 'local',
  };
}

/** The development configuration. */
export function devConfig(options: DevOptions = {}): RuntimeConfig {
  const version = options.modelVersion ?? '1.0.0';
  return {
    listen: { host: '127.0.0.1', port: options.port ?? 8080 },
    cluster: 'dev',
    model: {
      path: options.model ?? SHIPPED_MODEL,
      id: 'mixtral-micro',
      version,
      context: 512,
      sequences: 4,
      batch: 512,
      threads: options.threads ?? defaultThreads(),
      gpu: options.gpu ?? false,
      gpuLayers: 'auto',
    },
    policy: { sources: [{ name: 'shipped', bundle: SHIPPED_BUNDLE }], entrypoint: 'routing/decision', pollSeconds: 0 },
    identity: { dev: true },
    tenants: { dev: {} },
    pools: [devPool(version, options.gpu)],
    slo: { burn_rate: 0, budget_left: 1 },
    flags: {},
    catalog: { prices: {} },
    shadow: { concurrency: 4, deadlineMs: 30_000 },
    limits: { bodyBytes: 1024 * 1024, maxTokens: 512, queue: 64, deadlineMs: 120_000, stallMs: 15_000, drainMs: 30_000 },
    telemetry: { traces: {}, otlp: OTLP_DEFAULTS, resource: {} },
    trace: { mode: 'always', sample: 1, records: 65_536, retain: 256, ttlSeconds: 600 },
  };
}
