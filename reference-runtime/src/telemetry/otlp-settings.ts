// Where telemetry goes: the configuration's `telemetry.otlp`, else OpenTelemetry's environment variables (specification, "OpenTelemetry
// Environment Variable Specification" and "OpenTelemetry Protocol Exporter"). Without either nothing is sent anywhere.

import { ConfigurationError } from '../config/load.ts';
import type { CollectorConfig, TelemetryConfig } from '../config/types.ts';
import type { Endpoint } from './collector.ts';
import { PROTOCOLS, type Protocol } from './encoding.ts';
import { SIGNALS, type Signal } from './signal.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Everything the exporter needs. A signal without endpoints is not sent. Times in milliseconds. */
export interface OtlpSettings {
  endpoints: Readonly<Record<Signal, readonly Endpoint[]>>;
  gzip: Readonly<Record<Signal, boolean>>;
  timeoutMs: Readonly<Record<Signal, number>>;
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
    const protocol = otlp.protocol ?? environmentProtocol(signal, env);
    if (signal === 'traces' && traces.endpoint !== undefined)
      return [endpointOf({ endpoint: traces.endpoint }, signal, protocol, env)];
    if (otlp.collectors.length > 0) return otlp.collectors.map((collector) => endpointOf(collector, signal, protocol, env));
    const fromEnvironment = environmentEndpoint(signal, protocol, env);
    return fromEnvironment === undefined ? [] : [fromEnvironment];
  };
  const queue = otlp.queue;
  return {
    endpoints: bySignal(endpoints),
    gzip: bySignal((signal) => (otlp.compression ?? variableOf(signal, 'COMPRESSION', env)?.value ?? 'gzip') === 'gzip'),
    timeoutMs: bySignal((signal) => otlp.timeoutMs ?? milliseconds(variableOf(signal, 'TIMEOUT', env)) ?? 10_000),
    retryForMs: otlp.retryForMs,
    queue: { traces: traces.queue ?? queue, metrics: METRICS_QUEUE, logs: queue },
    flushMs: traces.flushMs ?? otlp.flushMs,
    metricsIntervalMs: otlp.metricsIntervalMs ?? milliseconds(variable('OTEL_METRIC_EXPORT_INTERVAL', env)) ?? 15_000,
    ...(otlp.file === undefined ? {} : { file: otlp.file }),
    resource: environmentResource(env),
    warnings: warnings(env),
  };
}

function bySignal<T>(of: (signal: Signal) => T): Record<Signal, T> {
  return { traces: of('traces'), metrics: of('metrics'), logs: of('logs') };
}

/** A variable that is set. Empty is unset (specification, "Parsing empty value"). */
interface Variable {
  name: string;
  value: string;
}

function variable(name: string, env: Environment): Variable | undefined {
  const value = env[name];
  return value === undefined || value === '' ? undefined : { name, value };
}

/** `OTEL_EXPORTER_OTLP_TRACES_...`, or what starts all of a signal's own variables. */
function own(signal: Signal): string {
  return `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}`;
}

/** A signal's own variable wins over the general one. */
function variableOf(signal: Signal, suffix: string, env: Environment): Variable | undefined {
  return variable(`${own(signal)}_${suffix}`, env) ?? variable(`OTEL_EXPORTER_OTLP_${suffix}`, env);
}

/** What is asked for where it is spoken; what is not spoken is a warning. */
function environmentProtocol(signal: Signal, env: Environment): Protocol {
  const asked = variableOf(signal, 'PROTOCOL', env)?.value;
  return PROTOCOLS.find((protocol) => protocol === asked) ?? 'http/json';
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

function endpointOf(collector: CollectorConfig, signal: Signal, protocol: Protocol, env: Environment): Endpoint {
  const { name, endpoint, headersEnv, headersFile, ca, cert, key } = collector;
  const host = hostOf(endpoint, 'telemetry: endpoint');
  return {
    name: name ?? host,
    url: `${withoutSlash(endpoint)}/v1/${signal}`,
    protocol: collector.protocol ?? protocol,
    headers: headersEnv === undefined ? {} : parseHeaderList(env[headersEnv] ?? '', headersEnv),
    ...(headersFile === undefined ? {} : { headersFile }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

/** The URL of a signal's own variable is taken as it is, the general one gets the path. */
function environmentEndpoint(signal: Signal, protocol: Protocol, env: Environment): Endpoint | undefined {
  const endpoint = variableOf(signal, 'ENDPOINT', env);
  if (endpoint === undefined) return undefined;
  const { name, value: url } = endpoint;
  const headers = variableOf(signal, 'HEADERS', env);
  const [ca, cert, key] = ['CERTIFICATE', 'CLIENT_CERTIFICATE', 'CLIENT_KEY'].map(
    (suffix) => variableOf(signal, suffix, env)?.value,
  );
  return {
    name: hostOf(url, name),
    url: name.startsWith(own(signal)) ? url : `${withoutSlash(url)}/v1/${signal}`,
    protocol,
    headers: headers === undefined ? {} : parseHeaderList(headers.value, headers.name),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

/** `a=1,b=2` with percent-encoded values. @throws ConfigurationError that names the variable and no value */
function parseHeaderList(text: string, variable: string): Record<string, string> {
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

function milliseconds(given: Variable | undefined): number | undefined {
  if (given === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(given.value))
    throw new ConfigurationError([`${given.name}: expected milliseconds, a whole number above 0`]);
  return Number(given.value);
}

function warnings(env: Environment): string[] {
  const found: string[] = [];
  for (const name of ['OTEL_EXPORTER_OTLP_PROTOCOL', ...SIGNALS.map((signal) => `${own(signal)}_PROTOCOL`)]) {
    const asked = variable(name, env)?.value;
    if (asked !== undefined && !PROTOCOLS.some((protocol) => protocol === asked))
      found.push(`${name}: this runtime speaks OTLP over HTTP (${PROTOCOLS.join(', ')}) and no other protocol`);
  }
  const temporality = env['OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE'];
  if (temporality !== undefined && temporality !== '' && temporality.toLowerCase() !== 'cumulative')
    found.push('OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: metrics are cumulative, as Prometheus needs them');
  return found;
}
