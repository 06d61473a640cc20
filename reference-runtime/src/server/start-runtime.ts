// Everything one runtime is made of, started and stopped together.
import type { PoolConfig, RuntimeConfig, UpstreamConfig } from '../config/types.ts';
import { LlamaEngine } from '../engine/llama-engine.ts';
import type { Engine } from '../engine/types.ts';
import { UPSTREAM_DEFAULTS, UpstreamEngine } from '../engine/upstream-engine.ts';
import { DecisionLog } from '../policy/decision-log.ts';
import { policySource } from '../policy/source.ts';
import { PolicyStore } from '../policy/store.ts';
import type { TelemetryExporter } from '../telemetry/exporter.ts';
import { LineFile } from '../telemetry/line-file.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { LogRecord } from '../telemetry/otlp-logs.ts';
import { Admission } from './admission.ts';
import { ServerCertificate } from './certificate.ts';
import { Flags } from './flags.ts';
import { identityStage } from './identity.ts';
import { LoadWatch } from './load-watch.ts';
import { MoeStore } from './moe-store.ts';
import { PageRenderer } from './page-renderer.ts';
import { plainHttp } from './plain-http.ts';
import { PoolState } from './pool-state.ts';
import { policyProbes } from './probes.ts';
import { Quotas } from './quota.ts';
import { bundleLabels, firstPolicy, reloadPolicy } from './reload-policy.ts';
import { type Loadable, Residency } from './residency.ts';
import { residencyEvents, unloadedInfo } from './resident-model.ts';
import { type Reachable, RUNTIME_VERSION, type Runtime } from './runtime.ts';
import { Shadows } from './shadow.ts';
import { startTelemetry } from './start-telemetry.ts';
import { TenantLabels } from './tenant-labels.ts';

/** Parts that a test may bring instead of the real ones. */
export interface Overrides {
  engine?: Loadable;
  env?: NodeJS.ProcessEnv;
}

function localEngine(config: RuntimeConfig, log: (message: string) => void): Loadable {
  const { model, trace } = config;
  return new LlamaEngine(
    {
      modelPath: model.path,
      modelId: model.id,
      context: model.context,
      sequences: model.sequences,
      batch: model.batch,
      threads: model.threads,
      gpu: model.gpu,
      gpuLayers: model.gpuLayers,
      traceRecords: trace.mode === 'off' ? 0 : trace.records,
    },
    log,
  );
}

function apiKeyOf({ apiKeyEnv }: UpstreamConfig): { apiKey?: string } {
  const key = apiKeyEnv === undefined ? undefined : process.env[apiKeyEnv];
  return key === undefined ? {} : { apiKey: key };
}

function upstreamEngine(pool: PoolConfig, config: UpstreamConfig): Engine {
  const { apiKeyEnv: _key, circuit, concurrency: _concurrency, metrics: _metrics, ...options } = config;
  return new UpstreamEngine({
    ...options,
    model: pool.model,
    circuit: { ...UPSTREAM_DEFAULTS.circuit, ...circuit },
    ...apiKeyOf(config),
  });
}

/** The pools that requests can be sent to. */
function reachablePools(config: RuntimeConfig, local: Reachable): Map<string, Reachable> {
  const reachable = new Map<string, Reachable>();
  for (const pool of config.pools) {
    if (pool.engine === 'local') reachable.set(pool.id, local);
    else if (pool.engine !== undefined)
      reachable.set(pool.id, { engine: upstreamEngine(pool, pool.engine), admission: undefined });
  }
  return reachable;
}

/** Where decisions are written: a file, collectors, both or neither. */
function decisionLogOf(
  { cluster, telemetry: { decisionLog } }: RuntimeConfig,
  telemetry: TelemetryExporter,
  metrics: Metrics,
  log: (message: string) => void,
): { log: DecisionLog | undefined; file: LineFile | undefined } {
  const file =
    decisionLog?.file === undefined
      ? undefined
      : new LineFile(
          decisionLog.file,
          noisily(log, (count) => metrics.instruments.decisionLogDropped.inc(count)),
          decisionLog.maxMiB === undefined ? undefined : decisionLog.maxMiB * 2 ** 20,
        );
  const sinks = {
    ...(file === undefined ? {} : { file }),
    ...(telemetry.wants('logs') ? { record: (record: LogRecord) => telemetry.record(record) } : {}),
  };
  if (Object.keys(sinks).length === 0) return { log: undefined, file };
  const labels = { id: `mixgate-runtime/${cluster}`, version: RUNTIME_VERSION, cluster };
  return { log: new DecisionLog(sinks, labels, decisionLog?.mask ?? []), file };
}

/** Starts to ask upstream servers for their load, where the configuration says so. */
function watchLoads(
  configured: readonly PoolConfig[],
  pools: ReadonlyMap<string, PoolState>,
  log: (message: string) => void,
): Map<string, LoadWatch> {
  const watches = new Map<string, LoadWatch>();
  for (const { id, engine } of configured) {
    if (typeof engine !== 'object' || engine.metrics === undefined) continue;
    const own = (): number => pools.get(id)?.running ?? 0;
    const watch = new LoadWatch({ ...engine.metrics, pool: id, url: engine.url, ...apiKeyOf(engine), own, log });
    watches.set(id, watch);
    void watch.start();
  }
  return watches;
}

/** Starts policy, identity, engine and telemetry. @throws ConfigurationError, BundleError, EngineError */
export async function startRuntime(
  config: RuntimeConfig,
  print: (message: string) => void,
  overrides: Overrides = {},
): Promise<Runtime> {
  const certificate = config.listen.tls === undefined ? undefined : new ServerCertificate(config.listen.tls);
  const { sources, entrypoint, cache, pollSeconds } = config.policy;
  const policy = new PolicyStore(
    sources.map((source) => policySource(source, cache)),
    {
      entrypoint,
      ...(cache === undefined ? {} : { cache }),
      probes: policyProbes(config),
      notKept: (why) => log(`the last good policy is not kept on disk: ${why}`),
    },
  );
  let runtime: Runtime | undefined;
  const { metrics, telemetry } = startTelemetry(config, RUNTIME_VERSION, {
    env: overrides.env ?? process.env,
    print,
    runtime: () => runtime,
  });
  const log = (message: string): void => {
    print(message);
    if (telemetry.wants('logs')) telemetry.record({ unixNano: BigInt(Date.now()) * 1_000_000n, severity: 'INFO', body: message });
  };
  const identify = identityStage(config.identity, log);
  for (const line of plainHttp(config)) log(line);
  await firstPolicy(policy, log);
  const { active } = policy;
  metrics.instruments.bundleInfo.set(bundleLabels(active.bundle), 1);
  metrics.instruments.bundleActivated.set(Date.parse(active.activatedAt) / 1000);
  const local = overrides.engine ?? localEngine(config, log);
  const pool = config.pools.find(({ engine }) => engine === 'local');
  const onDemand = pool?.load === 'on-demand';
  const info = onDemand ? unloadedInfo(config) : await local.load();
  if (!onDemand) metrics.engineLoaded(info);
  const idleMs = pool?.keep_warm === true || pool?.idle_seconds === undefined ? undefined : pool.idle_seconds * 1000;
  const residency =
    onDemand || idleMs !== undefined
      ? new Residency(
          local,
          { idleMs },
          residencyEvents(metrics, log, (loaded) => {
            if (runtime !== undefined) runtime.info = loaded;
          }),
        )
      : undefined;
  if (!onDemand) residency?.start();
  const admission = new Admission(info.sequences, config.limits.queue);
  const reachable = reachablePools(config, { engine: local, admission, ...(residency === undefined ? {} : { residency }) });
  const decisions = decisionLogOf(config, telemetry, metrics, log);
  const shadows = new Shadows(config.shadow);
  const poll = pollSeconds > 0 ? setInterval(() => void reloadPolicy({ policy, metrics, log }), pollSeconds * 1000) : undefined;
  poll?.unref();
  const pools = new Map(config.pools.map(({ id }) => [id, new PoolState()]));
  const pages = new PageRenderer({ log });
  const loads = watchLoads(config.pools, pools, log);
  runtime = {
    config,
    local,
    info,
    admission,
    residency,
    reachable,
    pools,
    loads,
    flags: new Flags(config),
    tenantLabels: new TenantLabels(Object.keys(config.tenants)),
    shadows,
    policy,
    identify,
    certificate,
    quotas: new Quotas(config.tenants),
    metrics,
    moe: new MoeStore(config.trace.retain, config.trace.ttlSeconds, Date.now()),
    pages,
    telemetry,
    decisionLog: decisions.log,
    log,
    draining: false,
    inFlight: 0,
    cuts: new Set(),
    async close() {
      clearInterval(poll);
      shadows.close();
      residency?.close();
      for (const watch of loads.values()) watch.close();
      await pages.close();
      // Before the engine goes: the last metrics are of a runtime that serves.
      await telemetry.close(FLUSH_LIMIT_MS);
      await local.dispose();
      await decisions.file?.flush();
    },
  };
  return runtime;
}

const SAY_AGAIN_MS = 60_000;

/** Counts what a file of lines drops, and says why, once a minute at most. */
function noisily(log: (message: string) => void, count: (lines: number) => void): (lines: number, reason: string) => void {
  let said = Number.NEGATIVE_INFINITY;
  return (lines, reason) => {
    count(lines);
    if (performance.now() - said < SAY_AGAIN_MS) return;
    said = performance.now();
    log(`decisions are not written: ${reason} (mixgate_decision_log_dropped_total counts them)`);
  };
}

/** How long the end of the process waits for collectors, in milliseconds. */
const FLUSH_LIMIT_MS = 5000;
