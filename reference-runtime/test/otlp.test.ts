import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import type { Counter, Gauge, Histogram } from 'prom-client';
import { describe, expect, it } from 'vitest';
import eventSchema from '../../examples/fleet/telemetry/events/mixgate.routing.decision.schema.json' with { type: 'json' };
import { otlpValue, plainValue } from '../../src/telemetry/otlp/values.ts';
import { ConfigurationError } from '../src/config/load.ts';
import { OTLP_DEFAULTS } from '../src/config/telemetry.ts';
import type { TelemetryConfig } from '../src/config/types.ts';
import type { DecisionEntry } from '../src/policy/decision-entry.ts';
import { decisionEvent } from '../src/policy/decision-log.ts';
import { decisionRecord } from '../src/policy/decision-record.ts';
import { INSTRUMENTS, type Instrument, type InstrumentKey, labelOf } from '../src/telemetry/instruments.ts';
import { Metrics } from '../src/telemetry/metrics.ts';
import { logsRequest } from '../src/telemetry/otlp-logs.ts';
import { metricsRequest } from '../src/telemetry/otlp-metrics.ts';
import { otlpSettings } from '../src/telemetry/otlp-settings.ts';

interface Point {
  attributes: Array<{ key: string; value: { stringValue?: string; intValue?: string } }>;
  asInt?: string;
  asDouble?: number;
  count: string;
  sum: number;
  bucketCounts: string[];
  explicitBounds: number[];
}
interface Data {
  dataPoints: Point[];
}
interface Exported {
  resourceMetrics: [
    { scopeMetrics: [{ metrics: Array<{ name: string; unit: string; gauge?: Data; sum?: Data; histogram?: Data }> }] },
  ];
}

/** The series that Prometheus' translation makes of an OTLP request: name and sorted labels to value. */
function seriesOf(request: object): Map<string, number> {
  const series = new Map<string, number>();
  const byName = new Map<string, Instrument>(Object.values<Instrument>(INSTRUMENTS).map((row) => [row.name, row]));
  for (const metric of (request as Exported).resourceMetrics[0].scopeMetrics[0].metrics) {
    const { prometheus, unit } = byName.get(metric.name)!;
    expect(metric.unit).toBe(unit);
    for (const point of (metric.gauge ?? metric.sum ?? metric.histogram!).dataPoints) {
      const labels = point.attributes.map(({ key, value }) => `${labelOf(key)}="${value.stringValue ?? value.intValue!}"`);
      const put = (suffix: string, value: number, ...more: string[]): unknown =>
        series.set(`${prometheus}${suffix}{${[...labels, ...more].sort().join()}}`, value);
      if (metric.histogram === undefined) {
        put('', Number(point.asInt ?? point.asDouble));
        continue;
      }
      let below = 0;
      for (const [index, count] of point.bucketCounts.entries()) {
        below += Number(count);
        put('_bucket', below, `le="${point.explicitBounds[index] ?? '+Inf'}"`);
      }
      put('_sum', point.sum);
      put('_count', Number(point.count));
    }
  }
  return series;
}

function seriesOfText(text: string): Map<string, number> {
  return new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('target_info'))
      .map((line) => {
        const { name, labels = '', value } = /^(?<name>\w+)(?:\{(?<labels>.*)\})? (?<value>\S+)$/.exec(line)!.groups!;
        return [
          `${name}{${
            labels
              .match(/\w+="[^"]*"/g)
              ?.sort()
              .join() ?? ''
          }}`,
          Number(value),
        ];
      }),
  );
}

describe('metrics', () => {
  it('are the same on /metrics and over OTLP, whatever was measured', async () => {
    const operation = fc.record({
      key: fc.constantFrom(...(Object.keys(INSTRUMENTS) as InstrumentKey[])),
      labels: fc.array(fc.constantFrom('a', 'b', '7'), { minLength: 8, maxLength: 8 }),
      value: fc.oneof(fc.integer({ min: 0, max: 100 }), fc.double({ min: 0, max: 200, noNaN: true })),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 60 }), async (operations) => {
        const metrics = new Metrics({ version: '0', cluster: 'c', model: 'm', modelVersion: '1' });
        for (const { key, labels, value } of operations) {
          const row: Instrument = INSTRUMENTS[key];
          const names = Object.entries(row.attributes).map(([name, type], index) => [
            labelOf(name),
            type === 'int' ? '7' : labels[index % labels.length],
          ]);
          const by = Object.fromEntries(names) as Record<string, string>;
          const instrument = metrics.instruments[key] as unknown as Counter & Gauge & Histogram;
          if (row.kind === 'counter') instrument.inc(by, value);
          else if (row.kind === 'gauge') instrument.set(by, value);
          else instrument.observe(by, value);
        }
        const times = { start: 1n, now: 2n };
        const { request, points } = metricsRequest(
          await metrics.registry.getMetricsAsJSON(),
          times,
          {},
          { name: 's', version: '0' },
        );
        const series = seriesOf(request);
        expect(series).toEqual(seriesOfText(await metrics.registry.metrics()));
        expect(points).toBeLessThanOrEqual(series.size);
      }),
      { numRuns: 50 },
    );
  });
});

const ENTRY: DecisionEntry = {
  decisionId: 'd-1',
  timestamp: new Date('2026-01-01T00:00:00Z'),
  path: 'routing/decision',
  revision: 'r1',
  input: { request: { tenant: 'acme', data_class: 'internal', origin_region: 'eu-west-1', model: 'm' } },
  result: {
    allow: true,
    rule: 'r',
    target: { cluster: 'c', pool: 'p', model: 'm', version: '1.0.0' },
    reasons: ['A_CODE', 'a text with a tenant in it'],
  },
  requestedBy: '127.0.0.1',
  evaluationNs: 1,
  traceId: '5b8efff798038103d269b633813fc60c',
  spanId: 'eee19b7ec3c1b174',
};

describe('the event of a decision', () => {
  const valid = new Ajv2020({ strict: false }).compile(eventSchema);
  const bodyOf = (entry: DecisionEntry, mask: string[]): unknown => {
    const request = logsRequest([decisionRecord(entry, decisionEvent(entry, {}, mask))], {}, { name: 's', version: '0' });
    const { resourceLogs } = request as { resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: unknown }] }] }] };
    return plainValue(otlpValue(resourceLogs[0].scopeLogs[0].logRecords[0].body));
  };

  it.each<[string, Partial<DecisionEntry>, string[], object]>([
    ['as decided', {}, [], { allow: true, rule: 'r', reasons: ['A_CODE'], request: { data_class: 'internal' } }],
    [
      'of a request that says nothing of its data',
      { input: { request: { tenant: 'acme' } } },
      [],
      { request: { tenant: 'acme', data_class: 'unspecified', origin_region: 'unspecified' } },
    ],
    [
      'of a class that is none',
      { input: { request: { tenant: 'acme', data_class: 'mine' } } },
      [],
      { request: { data_class: '_OTHER' } },
    ],
    [
      'masked',
      {},
      ['/input/request/tenant', '/input/request/data_class', '/input/request/origin_region', '/result/target'],
      { request: { tenant: '_MASKED', data_class: '_MASKED', origin_region: '_MASKED', model: 'm' } },
    ],
    ['with all of the request masked', {}, ['/input/request'], { request: { tenant: '_MASKED', origin_region: '_MASKED' } }],
    ['that there is none of', { result: undefined }, [], { allow: false, reasons: ['POLICY_UNDEFINED'] }],
    ['that failed', { result: undefined, error: 'x' }, [], { allow: false, reasons: ['POLICY_ERROR'] }],
  ])('follows the schema of the fleet: %s', (_name, change, mask, expected) => {
    const body = bodyOf({ ...ENTRY, ...change }, mask);
    expect(valid(body), JSON.stringify(valid.errors)).toBe(true);
    expect(body).toMatchObject(expected);
  });

  it('has nothing of what is masked', () => {
    const entry = {
      ...ENTRY,
      input: { request: { tenant: 'secret-tenant', origin_region: 'secret-region', model: 'secret-model' } },
    };
    expect(JSON.stringify(bodyOf(entry, ['/input/request']))).not.toContain('secret');
  });
});

describe('where telemetry goes', () => {
  const config = (otlp: Partial<TelemetryConfig['otlp']> = {}, traces: TelemetryConfig['traces'] = {}): TelemetryConfig => ({
    traces,
    otlp: { ...OTLP_DEFAULTS, ...otlp },
    resource: {},
  });
  const urls = (settings: ReturnType<typeof otlpSettings>): string[][] =>
    (['traces', 'metrics', 'logs'] as const).map((signal) => settings.endpoints[signal].map(({ url }) => url));

  it('has the defaults of the specification where nothing is said, and empty is unset', () => {
    // "OpenTelemetry Protocol Exporter": 10 s; compression is none there and gzip here, as every collector takes it.
    const settings = otlpSettings(config(), {
      OTEL_EXPORTER_OTLP_ENDPOINT: '',
      OTEL_EXPORTER_OTLP_TIMEOUT: '',
      OTEL_SERVICE_NAME: '',
      OTEL_RESOURCE_ATTRIBUTES: ' , ',
      OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: '',
      OTEL_EXPORTER_OTLP_PROTOCOL: '',
    });
    expect(settings).toMatchObject({
      endpoints: { traces: [], metrics: [], logs: [] },
      gzip: { traces: true, metrics: true, logs: true },
      timeoutMs: { traces: 10_000, metrics: 10_000, logs: 10_000 },
      metricsIntervalMs: 15_000,
      queue: { traces: OTLP_DEFAULTS.queue, metrics: 16, logs: OTLP_DEFAULTS.queue },
      flushMs: OTLP_DEFAULTS.flushMs,
      retryForMs: OTLP_DEFAULTS.retryForMs,
      resource: {},
      warnings: [],
    });
    expect(settings).not.toHaveProperty('file');
  });

  it('takes the configuration before the environment, and traces for themselves', () => {
    const env = { OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip', OTEL_EXPORTER_OTLP_TIMEOUT: '1', OTEL_METRIC_EXPORT_INTERVAL: '1' };
    const settings = otlpSettings(
      config({ compression: 'none', timeoutMs: 7, metricsIntervalMs: 8, file: 'f' }, { queue: 3, flushMs: 4 }),
      env,
    );
    expect(settings).toMatchObject({
      gzip: { traces: false, metrics: false, logs: false },
      timeoutMs: { traces: 7, metrics: 7, logs: 7 },
      metricsIntervalMs: 8,
      queue: { traces: 3, logs: OTLP_DEFAULTS.queue },
      flushMs: 4,
      file: 'f',
    });
  });

  it('carries the certificates that the environment names, a signal’s own first', () => {
    const { endpoints } = otlpSettings(config(), {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://otel:4318',
      OTEL_EXPORTER_OTLP_CERTIFICATE: 'ca.pem',
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: 'cert.pem',
      OTEL_EXPORTER_OTLP_CLIENT_KEY: 'key.pem',
      OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE: 'logs.pem',
      OTEL_TRACES_EXPORTER: 'none',
      OTEL_LOGS_EXPORTER: 'otlp',
    });
    expect(endpoints.traces).toEqual([]);
    expect(endpoints.metrics).toEqual([
      {
        name: 'otel:4318',
        url: 'https://otel:4318/v1/metrics',
        protocol: 'http/json',
        headers: {},
        ca: 'ca.pem',
        cert: 'cert.pem',
        key: 'key.pem',
      },
    ]);
    expect(endpoints.logs[0]).toMatchObject({ ca: 'logs.pem', cert: 'cert.pem' });
    const plain = otlpSettings(config(), { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://otel:4318' }).endpoints.logs[0];
    expect(Object.keys(plain ?? {})).toEqual(['name', 'url', 'protocol', 'headers']);
  });

  it.each([
    [{ OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'delta' }, [/TEMPORALITY_PREFERENCE: metrics are cumulative/]],
    [{ OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'Cumulative' }, []],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, [/^OTEL_EXPORTER_OTLP_PROTOCOL: /]],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, []],
  ])('warns of what it does not do: %o', (env, expected) => {
    const { warnings } = otlpSettings(config(), env);
    expect(warnings).toHaveLength(expected.length);
    for (const [index, text] of expected.entries()) expect(warnings[index]).toMatch(text);
  });

  it.each([
    ['a=1', { a: '1' }],
    [' A = 1 ,, b=x=y', { a: '1', b: 'x=y' }],
    ['a=', { a: '' }],
    ['a=%C3%A9', undefined],
    ['=1', undefined],
    ['a b=1', undefined],
    ['a', undefined],
  ])('reads the list of headers %j', (text, expected) => {
    const act = (): unknown =>
      otlpSettings(config(), { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel', OTEL_EXPORTER_OTLP_HEADERS: text }).endpoints.logs[0]
        ?.headers;
    if (expected === undefined) expect(act).toThrow(/^OTEL_EXPORTER_OTLP_HEADERS: /);
    else expect(act()).toEqual(expected);
  });

  it('is nowhere unless it is said', () => {
    expect(urls(otlpSettings(config(), {}))).toEqual([[], [], []]);
  });

  it('is what OTEL_EXPORTER_OTLP_* say; a signal of its own wins and is taken as it is', () => {
    const settings = otlpSettings(config(), {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel:4318/',
      OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%20b,X-Scope=fleet',
      OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: 'https://logs/ingest',
      OTEL_EXPORTER_OTLP_LOGS_HEADERS: 'api-key=other',
      OTEL_EXPORTER_OTLP_TIMEOUT: '3000',
      OTEL_EXPORTER_OTLP_LOGS_TIMEOUT: '7000',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'none',
      OTEL_EXPORTER_OTLP_LOGS_COMPRESSION: 'gzip',
      OTEL_METRIC_EXPORT_INTERVAL: '5000',
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_SERVICE_NAME: 'runtime-eu',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=prod,k8s.cluster.name=eu',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
      OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: 'grpc',
    });
    expect(urls(settings)).toEqual([['http://otel:4318/v1/traces'], [], ['https://logs/ingest']]);
    expect(settings.endpoints.traces[0]).toMatchObject({ name: 'otel:4318', headers: { 'api-key': 'a b', 'x-scope': 'fleet' } });
    expect(settings.endpoints.logs[0]?.headers).toEqual({ 'api-key': 'other' });
    expect(settings).toMatchObject({
      timeoutMs: { traces: 3000, metrics: 3000, logs: 7000 },
      gzip: { traces: false, metrics: false, logs: true },
      metricsIntervalMs: 5000,
      resource: { 'service.name': 'runtime-eu', 'deployment.environment.name': 'prod', 'k8s.cluster.name': 'eu' },
      warnings: [expect.stringMatching(/^OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: this runtime speaks OTLP over HTTP/)],
    });
    expect(settings.endpoints.traces[0]?.protocol).toBe('http/protobuf');
    expect(settings.endpoints.logs[0]?.protocol).toBe('http/json');
  });

  it('is what the configuration says where it says something; an endpoint for traces is for traces', () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://other:4318', KEY: 'api-key=1' };
    const collectors = [
      { endpoint: 'http://a:4318', headersEnv: 'KEY' },
      { name: 'b', endpoint: 'http://b:4318' },
    ];
    const settings = otlpSettings(config({ collectors, signals: ['traces', 'logs'] }, { endpoint: 'http://t:4318' }), env);
    expect(urls(settings)).toEqual([['http://t:4318/v1/traces'], [], ['http://a:4318/v1/logs', 'http://b:4318/v1/logs']]);
    expect(settings.endpoints.logs.map(({ name, headers }) => [name, headers])).toEqual([
      ['a:4318', { 'api-key': '1' }],
      ['b', {}],
    ]);
    expect(urls(otlpSettings(config({ collectors }), { OTEL_SDK_DISABLED: 'true' }))).toEqual([[], [], []]);
  });

  it.each([
    [{}, {}, ['http/json', 'http/protobuf']],
    [{}, { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' }, ['http/protobuf', 'http/protobuf']],
    [{ protocol: 'http/json' }, { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' }, ['http/json', 'http/protobuf']],
    [{ protocol: 'http/protobuf' }, { OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json' }, ['http/protobuf', 'http/protobuf']],
  ] as const)(
    'is spoken to as the collector, all collectors, the environment say, in this order: %o %o',
    (otlp, env, protocols) => {
      const collectors = [{ endpoint: 'http://a:4318' }, { endpoint: 'http://b:4318', protocol: 'http/protobuf' as const }];
      const settings = otlpSettings(config({ ...otlp, collectors }), env);
      expect(settings.endpoints.traces.map(({ protocol }) => protocol)).toEqual(protocols);
      expect(settings.warnings).toEqual([]);
    },
  );

  it.each([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'no URL with s3cret'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://user:s3cret@otel:4318'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'ftp://s3cret'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 's3cret'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'a=s3cret%0d%0ab: c'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'a=s3cret%zz'],
    ['OTEL_EXPORTER_OTLP_TIMEOUT', 's3cret'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '0'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://user@otel:4318'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://:s3cret@otel:4318'],
  ])('is refused, by name and without a value of it: %s=%s', (name, value) => {
    const act = (): unknown => otlpSettings(config(), { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel:4318', [name]: value });
    expect(act).toThrow(ConfigurationError);
    expect(act).toThrow(name);
    expect(act).not.toThrow(/s3cret/);
  });
});
