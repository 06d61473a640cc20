// Everything one runtime is made of, started and stopped together.
import metadata from '../../package.json' with { type: 'json' };
import type { PoolConfig, RuntimeConfig, UpstreamConfig } from '../config/types.ts';
import { LlamaEngine } from '../engine/llama-engine.ts';
import type { Engine, EngineInfo } from '../engine/types.ts';
import { UPSTREAM_DEFAULTS, UpstreamEngine } from '../engine/upstream-engine.ts';
import { messageOf } from '../error-message.ts';
import { BundleError } from '../policy/bundle.ts';
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
import { TenantLabels } from './governance.ts';
import { type Identify, identityStage } from './identity.ts';
import { LoadWatch } from './load-watch.ts';
import { MoeStore } from './moe-store.ts';
import { PageRenderer } from './page-renderer.ts';
import { PoolState } from './pool-state.ts';
import { policyProbes } from './probes.ts';
import { Quotas } from './quota.ts';
import { type Loadable, Residency } from './residency.ts';
import { residencyEvents, unloadedInfo } from './resident-model.ts';
import { Shadows } from './shadow.ts';
import { startTelemetry } from './start-telemetry.ts';

export const RUNTIME_VERSION = metadata.version;

/** A pool this runtime can send a request to. */
export interface Reachable {
  engine: Engine;
  admission: Admission | undefined;
  /** Absent where the model is always there, or another server's business. */
  residency?: Residency;
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
  shadows: Shadows;
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
  const identify = identityStage(config.identity, (message) => log(message));
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
  const reachable = new Map<string, Reachable>();
  for (const pool of config.pools) {
    if (pool.engine === 'local')
      reachable.set(pool.id, { engine: local, admission, ...(residency === undefined ? {} : { residency }) });
    else if (pool.engine !== undefined)
      reachable.set(pool.id, { engine: upstreamEngine(pool, pool.engine), admission: undefined });
  }
  const logConfig = config.telemetry.decisionLog;
  const decisionFile =
    logConfig?.file === undefined
      ? undefined
      : new LineFile(
          logConfig.file,
          noisily(log, (count) => metrics.instruments.decisionLogDropped.inc(count)),
          logConfig.maxMiB === undefined ? undefined : logConfig.maxMiB * 2 ** 20,
        );
  const sinks = {
    ...(decisionFile === undefined ? {} : { file: decisionFile }),
    ...(telemetry.wants('logs') ? { record: (record: LogRecord) => telemetry.record(record) } : {}),
  };
  const shadows = new Shadows(config.shadow);
  const labels = { id: `mixgate-runtime/${config.cluster}`, version: RUNTIME_VERSION, cluster: config.cluster };
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
    decisionLog: Object.keys(sinks).length === 0 ? undefined : new DecisionLog(sinks, labels, logConfig?.mask ?? []),
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
      await decisionFile?.flush();
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

function bundleLabels(bundle: {
  revision: string;
  digest: string;
}): Record<'mixgate_policy_revision' | 'mixgate_policy_digest', string> {
  return { mixgate_policy_revision: bundle.revision, mixgate_policy_digest: `sha256:${bundle.digest}` };
}

/** At start: the sources, else the bundle kept on disk. @throws BundleError with every reason */
async function firstPolicy(policy: PolicyStore, log: (message: string) => void): Promise<void> {
  try {
    const { problems } = await policy.reload(new Date());
    for (const problem of problems) log(`policy source ${problem}`);
  } catch (error) {
    const why = messageOf(error);
    try {
      const { bundle } = await policy.recall(new Date());
      log(`no policy source has a good bundle, serving the last good one (${bundle.revision}) from disk: ${why}`);
    } catch (cause) {
      throw new BundleError(`${why}; ${messageOf(cause)}`);
    }
  }
}

/** Asks the sources of policy again; the active one stays when none has a good bundle. */
export async function reloadPolicy(
  runtime: Pick<Runtime, 'policy' | 'metrics' | 'log'>,
): Promise<'changed' | 'unchanged' | 'failed'> {
  try {
    const before = runtime.policy.active.bundle;
    const { active, source, changed, problems } = await runtime.policy.reload(new Date());
    for (const problem of problems) runtime.log(`policy source ${problem}`);
    runtime.metrics.instruments.bundleFailures.inc(problems.length);
    if (!changed) return 'unchanged';
    runtime.metrics.instruments.bundleInfo.remove(bundleLabels(before));
    runtime.metrics.instruments.bundleInfo.set(bundleLabels(active.bundle), 1);
    runtime.metrics.instruments.bundleActivated.set(Date.parse(active.activatedAt) / 1000);
    runtime.log(`policy ${active.bundle.revision} from ${source} is active`);
    return 'changed';
  } catch (error) {
    runtime.metrics.instruments.bundleFailures.inc();
    runtime.log(`policy not reloaded, the last good one stays active: ${messageOf(error)}`);
    return 'failed';
  }
}
