// Where telemetry goes: the configuration's `telemetry.otlp`, else OpenTelemetry's environment variables (specification, "OpenTelemetry
// Environment Variable Specification" and "OpenTelemetry Protocol Exporter"). Without either nothing is sent anywhere.

import { ConfigurationError } from '../config/load.ts';
import type { CollectorConfig, TelemetryConfig } from '../config/types.ts';
import type { Endpoint } from './collector.ts';
import { SIGNALS, type Signal } from './signal.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Everything the exporter needs. A signal without endpoints is not sent. Times in milliseconds. */
export interface OtlpSettings {
  endpoints: Readonly<Record<Signal, readonly Endpoint[]>>;
  gzip: boolean;
  timeoutMs: number;
  retryForMs: number;
  /** Entries waiting at most, by signal. */
  queue: Readonly<Record<Signal, number>>;
  flushMs: number;
  metricsIntervalMs: number;
  /** OTLP/JSON lines of all signals are appended here. */
  file?: string;
  /** Resource attributes from the environment. */
  resource: Readonly<Record<string, string>>;
  /** What was asked for and is not done. */
  warnings: readonly string[];
}

/** A collection every 15 s: 4 minutes of metrics wait for a collector that is away. */
const METRICS_QUEUE = 16;

/** The settings in force. @throws ConfigurationError for an environment that cannot be followed; never prints a header's value */
export function otlpSettings(config: TelemetryConfig, env: Environment): OtlpSettings {
  const { otlp, traces } = config;
  const disabled = env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true';
  const wanted = (signal: Signal): boolean =>
    !disabled && otlp.signals.includes(signal) && env[`OTEL_${signal.toUpperCase()}_EXPORTER`] !== 'none';
  const endpoints = (signal: Signal): readonly Endpoint[] => {
    if (!wanted(signal)) return [];
    if (signal === 'traces' && traces.endpoint !== undefined) return [endpointOf({ endpoint: traces.endpoint }, signal, env)];
    if (otlp.collectors.length > 0) return otlp.collectors.map((collector) => endpointOf(collector, signal, env));
    const fromEnvironment = environmentEndpoint(signal, env);
    return fromEnvironment === undefined ? [] : [fromEnvironment];
  };
  const queue = otlp.queue;
  return {
    endpoints: { traces: endpoints('traces'), metrics: endpoints('metrics'), logs: endpoints('logs') },
    gzip: (otlp.compression ?? env['OTEL_EXPORTER_OTLP_COMPRESSION'] ?? 'gzip') === 'gzip',
    timeoutMs: otlp.timeoutMs ?? milliseconds(env, 'OTEL_EXPORTER_OTLP_TIMEOUT') ?? 10_000,
    retryForMs: otlp.retryForMs,
    queue: { traces: traces.queue ?? queue, metrics: METRICS_QUEUE, logs: queue },
    flushMs: traces.flushMs ?? otlp.flushMs,
    metricsIntervalMs: otlp.metricsIntervalMs ?? milliseconds(env, 'OTEL_METRIC_EXPORT_INTERVAL') ?? 15_000,
    ...(otlp.file === undefined ? {} : { file: otlp.file }),
    resource: environmentResource(env),
    warnings: warnings(env),
  };
}

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '');
}

/** `http://host:4318` → `host:4318`: what a collector is called where it has no name. */
function hostOf(url: string, where: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new ConfigurationError([`${where}: expected an http or https URL`]);
  }
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
    throw new ConfigurationError([`${where}: expected an http or https URL`]);
  if (parsed.username !== '' || parsed.password !== '')
    throw new ConfigurationError([
      `${where}: credentials do not belong into a URL; give them as a header (headersFile, headersEnv)`,
    ]);
  return parsed.host;
}

function endpointOf(collector: CollectorConfig, signal: Signal, env: Environment): Endpoint {
  const { name, endpoint, headersEnv, headersFile, ca, cert, key } = collector;
  const host = hostOf(endpoint, 'telemetry: endpoint');
  return {
    name: name ?? host,
    url: `${withoutSlash(endpoint)}/v1/${signal}`,
    headers: headersEnv === undefined ? {} : parseHeaderList(env[headersEnv] ?? '', headersEnv),
    ...(headersFile === undefined ? {} : { headersFile }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

/** A signal's own variable wins over the general one; its URL is taken as it is, the general one gets the path. */
function environmentEndpoint(signal: Signal, env: Environment): Endpoint | undefined {
  const own = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}`;
  const read = (name: string): [string, string] | undefined => {
    for (const variable of [`${own}_${name}`, `OTEL_EXPORTER_OTLP_${name}`]) {
      const value = env[variable];
      if (value !== undefined && value !== '') return [variable, value];
    }
    return undefined;
  };
  const endpoint = read('ENDPOINT');
  if (endpoint === undefined) return undefined;
  const [variable, url] = endpoint;
  const headers = read('HEADERS');
  const [ca, cert, key] = [read('CERTIFICATE')?.[1], read('CLIENT_CERTIFICATE')?.[1], read('CLIENT_KEY')?.[1]];
  return {
    name: hostOf(url, variable),
    url: variable.startsWith(own) ? url : `${withoutSlash(url)}/v1/${signal}`,
    headers: headers === undefined ? {} : parseHeaderList(headers[1], headers[0]),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

/** `a=1,b=2` with percent-encoded values. @throws ConfigurationError that names the variable and no value */
export function parseHeaderList(text: string, variable: string): Record<string, string> {
  return Object.fromEntries(
    pairs(text, variable).map(([name, value]) => {
      if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || !/^[\t\x20-\x7e]*$/.test(value))
        throw new ConfigurationError([`${variable}: expected name=value pairs of HTTP headers, separated by commas`]);
      return [name.toLowerCase(), value];
    }),
  );
}

function environmentResource(env: Environment): Record<string, string> {
  const listed = Object.fromEntries(pairs(env['OTEL_RESOURCE_ATTRIBUTES'] ?? '', 'OTEL_RESOURCE_ATTRIBUTES'));
  const service = env['OTEL_SERVICE_NAME'];
  return { ...listed, ...(service === undefined || service === '' ? {} : { 'service.name': service }) };
}

function pairs(text: string, variable: string): Array<[string, string]> {
  return text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => {
      const at = part.indexOf('=');
      if (at < 1) throw new ConfigurationError([`${variable}: expected name=value pairs, separated by commas`]);
      try {
        return [part.slice(0, at).trim(), decodeURIComponent(part.slice(at + 1).trim())];
      } catch {
        throw new ConfigurationError([`${variable}: a value is not percent-encoded as it must be`]);
      }
    });
}

function milliseconds(env: Environment, variable: string): number | undefined {
  const value = env[variable];
  if (value === undefined || value === '') return undefined;
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new ConfigurationError([`${variable}: expected milliseconds, a whole number above 0`]);
  return Number(value);
}

function warnings(env: Environment): string[] {
  const found: string[] = [];
  const names = [
    'OTEL_EXPORTER_OTLP_PROTOCOL',
    ...SIGNALS.map((signal) => `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_PROTOCOL`),
  ];
  for (const name of names)
    if (env[name] !== undefined && env[name] !== '' && env[name] !== 'http/json')
      found.push(
        `${name}: this runtime speaks OTLP/HTTP with JSON (http/json), which the same port of a collector takes, and nothing else`,
      );
  const temporality = env['OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE'];
  if (temporality !== undefined && temporality !== '' && temporality.toLowerCase() !== 'cumulative')
    found.push('OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: metrics are cumulative, as Prometheus needs them');
  return found;
}
