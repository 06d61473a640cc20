// Reads and checks a configuration file. Every problem is collected, each with file, line and what was expected.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { type Document, LineCounter, parseDocument } from 'yaml';
import schema from '../../../schemas/runtime.schema.json' with { type: 'json' };
import { messageOf } from '../../../src/core/errors.ts';
import { readFlags, readPrices } from './catalog.ts';
import { explainErrors } from './explain.ts';
import { checkCollectors, type RawTelemetry, telemetryOf } from './telemetry.ts';
import type { PolicySourceConfig, PoolConfig, RuntimeConfig, TlsConfig } from './types.ts';

const MAX_BYTES = 4 * 1024 * 1024;

/** A configuration that cannot be used: exit code 2. `problems` are whole lines. */
export class ConfigurationError extends Error {
  readonly problems: string[];
  constructor(problems: string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}

/** The default number of ggml threads: all cores but one, at least one (its threads spin, and the server needs a core). */
export function defaultThreads(cores: number = availableParallelism()): number {
  return Math.max(1, cores - 1);
}

type RawSource = Omit<PolicySourceConfig, 'verify'> & { verify?: { key: string; algorithm?: string; scope?: string } };

interface RawPolicy {
  bundle?: string;
  sources?: RawSource[];
  entrypoint?: string;
  pollSeconds?: number;
  cache?: string;
}

type Raw = Partial<Omit<RuntimeConfig, 'pools' | 'policy' | 'catalog' | 'shadow' | 'telemetry'>> & {
  catalog?: { pools?: string; flags?: string };
  shadow?: Partial<RuntimeConfig['shadow']>;
  policy?: RawPolicy;
  telemetry?: RawTelemetry;
  pools: Array<Partial<PoolConfig> & Pick<PoolConfig, 'id'>>;
};

const validate = new Ajv2020({ allErrors: true, allowUnionTypes: true, strict: false, verbose: true }).compile<Raw>(schema);

/** Loads `path`. @throws ConfigurationError with one line per problem */
export function loadConfig(path: string): RuntimeConfig {
  const file = resolve(path);
  if (!existsSync(file))
    throw new ConfigurationError([`${path}: no such file; write one (schemas/runtime.schema.json) or use serve --dev`]);
  const stat = statSync(file);
  if (!stat.isFile() || stat.size > MAX_BYTES)
    throw new ConfigurationError([`${path}: expected a YAML file of at most ${MAX_BYTES} bytes`]);
  return parseConfig(readFileSync(file, 'utf8'), path, dirname(file));
}

/** Parses configuration text; `base` is what relative paths are relative to. @throws ConfigurationError */
export function parseConfig(text: string, name: string, base: string): RuntimeConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const lineOf = (offset: number): string => {
    const at = lines.linePos(offset);
    return `${name}:${at.line}:${at.col}`;
  };
  if (document.errors.length > 0) {
    throw new ConfigurationError(
      document.errors.map(
        (error) =>
          `${lineOf(error.pos[0])}: ${(error.message.split('\n')[0] ?? 'not YAML').replace(/ at line \d+, column \d+:?$/, '')}`,
      ),
    );
  }
  let raw: unknown;
  try {
    raw = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new ConfigurationError([`${name}:1:1: ${messageOf(error)}`]);
  }
  if (!validate(raw)) {
    const problems = explainErrors(validate.errors ?? []);
    throw new ConfigurationError([
      ...new Set(problems.map(({ path, message }) => `${lineOf(offsetOf(document, path))}: ${message}`)),
    ]);
  }
  const config = withDefaults(raw, base);
  const catalogue = catalogOf(raw, base);
  config.catalog = catalogue.catalog;
  const problems = [...crossChecks(config), ...catalogue.problems].map(
    (problem) => `${lineOf(offsetOf(document, problem.path))}: ${problem.message}`,
  );
  if (problems.length > 0) throw new ConfigurationError(problems);
  return config;
}

/** Where the value at a JSON pointer begins in the file. */
function offsetOf(document: Document, pointer: string): number {
  const path = pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)) return node.range[0] as number;
  }
  return 0;
}

/** The name of the source that `policy.bundle` is short for. */
const SHORT = 'bundle';
const SOURCE_KINDS = ['bundle', 'url', 'git'] as const;

function tlsOf({ cert, key, clientCa, clientCrl }: TlsConfig, path: (value: string) => string): TlsConfig {
  return {
    cert: path(cert),
    key: path(key),
    ...(clientCa === undefined ? {} : { clientCa: path(clientCa) }),
    ...(clientCrl === undefined ? {} : { clientCrl: path(clientCrl) }),
  };
}

/** `bundle` is short for the first source; local paths are relative to the file. */
function policyOf(raw: RawPolicy | undefined, path: (value: string) => string): RuntimeConfig['policy'] {
  const short: RawSource[] = raw?.bundle === undefined ? [] : [{ name: SHORT, bundle: raw.bundle }];
  const given = [...short, ...(raw?.sources ?? [])];
  return {
    sources: given.map(({ verify, bundle, git, ...source }) => ({
      ...source,
      ...(bundle === undefined ? {} : { bundle: path(bundle) }),
      ...(git === undefined
        ? {}
        : { git: { ...git, repository: isRemote(git.repository) ? git.repository : path(git.repository) } }),
      ...(verify === undefined ? {} : { verify: { ...verify, key: path(verify.key), algorithm: verify.algorithm ?? 'RS256' } }),
    })),
    entrypoint: raw?.entrypoint ?? 'routing/decision',
    pollSeconds: raw?.pollSeconds ?? (given.some((source) => source.bundle === undefined) ? 30 : 0),
    ...(raw?.cache === undefined ? {} : { cache: path(raw.cache) }),
  };
}

/** A URL, or Git's short form for SSH: user@host:path. */
function isRemote(repository: string): boolean {
  return /^[a-z+]+:\/\//i.test(repository) || /^[\w.-]+@[\w.-]+:/.test(repository);
}

function withDefaults(raw: Raw, base: string): RuntimeConfig {
  const path = (value: string): string => resolve(base, value);
  const model = raw.model as RuntimeConfig['model'];
  const context = model.context ?? 512;
  const jwt = raw.identity?.jwt;
  const mtls = raw.identity?.mtls;
  const tls = raw.listen?.tls;
  return {
    listen: {
      host: raw.listen?.host ?? '127.0.0.1',
      port: raw.listen?.port ?? 8080,
      ...(tls === undefined ? {} : { tls: tlsOf(tls, path) }),
    },
    cluster: raw.cluster ?? 'default',
    model: {
      path: path(model.path),
      id: model.id,
      version: model.version,
      context,
      sequences: model.sequences ?? 4,
      batch: model.batch ?? 512,
      threads: model.threads ?? defaultThreads(),
      gpu: model.gpu ?? false,
      gpuLayers: model.gpuLayers ?? 'auto',
    },
    policy: policyOf(raw.policy, path),
    identity: {
      ...(jwt === undefined
        ? {}
        : {
            jwt: {
              ...jwt,
              jwks: /^https?:\/\//.test(jwt.jwks) ? jwt.jwks : path(jwt.jwks),
              jwksMaxAgeSeconds: jwt.jwksMaxAgeSeconds ?? 600,
              tenantClaim: jwt.tenantClaim ?? 'tenant',
              algorithms: jwt.algorithms ?? ['RS256', 'ES256', 'EdDSA'],
            },
          }),
      ...(raw.identity?.tokens === undefined ? {} : { tokens: raw.identity.tokens }),
      ...(mtls === undefined ? {} : { mtls: { ...mtls, tenantFrom: mtls.tenantFrom ?? 'O' } }),
    },
    tenants: raw.tenants ?? { default: {} },
    pools: raw.pools.map((pool) => ({ saturation: 0, queue: 0, p95_ms: 0, cost_per_mtok: 0, warm: true, ...pool }) as PoolConfig),
    slo: { burn_rate: raw.slo?.burn_rate ?? 0, budget_left: raw.slo?.budget_left ?? 1 },
    flags: raw.flags ?? {},
    catalog: { prices: {} },
    shadow: { concurrency: raw.shadow?.concurrency ?? 4, deadlineMs: raw.shadow?.deadlineMs ?? 30_000 },
    limits: {
      bodyBytes: raw.limits?.bodyBytes ?? 1024 * 1024,
      maxTokens: raw.limits?.maxTokens ?? context,
      queue: raw.limits?.queue ?? 64,
      deadlineMs: raw.limits?.deadlineMs ?? 120_000,
      stallMs: raw.limits?.stallMs ?? 15_000,
      drainMs: raw.limits?.drainMs ?? 30_000,
    },
    telemetry: telemetryOf(raw.telemetry, path),
    trace: {
      mode: raw.trace?.mode ?? 'opt-in',
      sample: raw.trace?.sample ?? 0.05,
      records: raw.trace?.records ?? 65_536,
      retain: raw.trace?.retain ?? 256,
      ttlSeconds: raw.trace?.ttlSeconds ?? 600,
    },
  };
}

/** Reads the catalogue files that the configuration names; what is wrong with one is a problem of the line that names it. */
function catalogOf(raw: Raw, base: string): { catalog: RuntimeConfig['catalog']; problems: Problem[] } {
  const { pools, flags } = raw.catalog ?? {};
  const problems: Problem[] = [];
  const catalog: RuntimeConfig['catalog'] = { prices: {} };
  const say = (key: string, lines: readonly string[]): void => {
    for (const line of lines) problems.push({ path: `/catalog/${key}`, message: `catalog.${key}: ${line}` });
  };
  if (pools !== undefined) {
    const prices = readPrices(resolve(base, pools));
    if (Array.isArray(prices)) say('pools', prices);
    else catalog.prices = prices;
  }
  if (flags !== undefined) {
    const { flags: list, problems: wrong } = readFlags(resolve(base, flags), raw.flags ?? {});
    if (wrong.length > 0) say('flags', wrong);
    else catalog.flags = list;
  }
  return { catalog, problems };
}

function checkSources(sources: readonly PolicySourceConfig[], say: (path: string, message: string) => unknown): void {
  const names = new Set<string>();
  for (const [index, source] of sources.entries()) {
    const { name, bundle, verify } = source;
    const short = name === SHORT && sources.length === 1;
    const at = short ? '/policy' : `/policy/sources/${index}`;
    const key = short ? 'policy' : `policy.sources.${index}`;
    const kinds = SOURCE_KINDS.filter((kind) => source[kind] !== undefined);
    if (kinds.length !== 1)
      say(
        at,
        `${key}: expected one of ${SOURCE_KINDS.join(', ')}, ${kinds.length === 0 ? 'none is given' : `not ${kinds.join(' and ')}`}`,
      );
    if (names.has(name)) say(`${at}/name`, `${key}.name: ${name} occurs twice`);
    names.add(name);
    if (bundle !== undefined && !existsSync(bundle)) say(`${at}/bundle`, `${key}.bundle: no such file or directory: ${bundle}`);
    if (verify !== undefined && !existsSync(verify.key))
      say(`${at}/verify/key`, `${key}.verify.key: no such file: ${verify.key}`);
  }
}

/** What is wrong at a JSON pointer of the configuration. */
interface Problem {
  path: string;
  message: string;
}

/** What says when the local engine holds its model. */
const RESIDENCY = ['load', 'idle_seconds', 'keep_warm'] as const;

/** What a schema cannot say: paths that must exist, pools that must agree with the model. */
function crossChecks(config: RuntimeConfig): Problem[] {
  const problems: Problem[] = [];
  const say = (path: string, message: string): unknown => problems.push({ path, message });
  if (!existsSync(config.model.path)) say('/model/path', `model.path: no such file: ${config.model.path}`);
  if (config.policy.sources.length === 0) say('/policy', 'policy: bundle or sources is missing');
  checkSources(config.policy.sources, say);
  const jwks = config.identity.jwt?.jwks;
  if (jwks !== undefined && !/^https?:/.test(jwks) && !existsSync(jwks))
    say('/identity/jwt/jwks', `identity.jwt.jwks: no such file: ${jwks}`);
  const { tls } = config.listen;
  for (const name of ['cert', 'key', 'clientCa', 'clientCrl'] as const) {
    const file = tls?.[name];
    if (file !== undefined && !existsSync(file)) say(`/listen/tls/${name}`, `listen.tls.${name}: no such file: ${file}`);
  }
  if (tls?.clientCrl !== undefined && tls.clientCa === undefined)
    say('/listen/tls/clientCrl', 'listen.tls.clientCrl: needs clientCa, the authorities whose lists these are');
  if (config.identity.mtls !== undefined && tls?.clientCa === undefined)
    say('/identity/mtls', 'identity.mtls: needs listen.tls.clientCa, the authorities whose clients are trusted');
  checkCollectors(config.telemetry.otlp.collectors, say);
  const seen = new Set<string>();
  let local = 0;
  let first: { pool: PoolConfig; index: number } | undefined;
  for (const [index, pool] of config.pools.entries()) {
    if (seen.has(pool.id)) say(`/pools/${index}/id`, `pools.${index}.id: ${pool.id} occurs twice`);
    seen.add(pool.id);
    if (typeof pool.engine === 'object' && pool.engine.identity === 'authorization' && pool.engine.apiKeyEnv !== undefined)
      say(
        `/pools/${index}/engine/identity`,
        `pools.${index}.engine: identity: authorization forwards the client's own header, apiKeyEnv sends another; give one of them`,
      );
    if (pool.engine === 'local' && pool.capabilities !== undefined)
      say(
        `/pools/${index}/capabilities`,
        `pools.${index}.capabilities: what a local pool serves is known (reference-runtime/README.md lists it); give capabilities to pools with an upstream engine`,
      );
    if (pool.engine !== 'local') {
      for (const key of RESIDENCY)
        if (pool[key] !== undefined)
          say(
            `/pools/${index}/${key}`,
            `pools.${index}.${key}: only a pool with engine: local has a model that this runtime loads`,
          );
      continue;
    }
    local++;
    first ??= { pool, index };
    for (const key of RESIDENCY)
      if (pool[key] !== first.pool[key])
        say(
          `/pools/${index}`,
          `pools.${index}.${key}: ${String(pool[key] ?? 'not given')}, but pools.${first.index} says ${String(first.pool[key] ?? 'nothing')}: local pools share one engine`,
        );
    if (pool.model !== config.model.id || pool.version !== config.model.version) {
      say(
        `/pools/${index}/model`,
        `pools.${index}: a local pool serves ${config.model.id} ${config.model.version}, this one says ${pool.model} ${pool.version}`,
      );
    }
  }
  if (local === 0) say('/pools', 'pools: no pool has engine: local, so that the model would never be used');
  return problems;
}
