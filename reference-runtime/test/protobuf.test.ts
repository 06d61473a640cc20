// OTLP in protobuf: the same to a real Collector as in JSON, and answers in protobuf.
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { freePort } from '../../scripts/lib/free-port.ts';
import { readLines, startCollector } from '../../test/support/collector.ts';
import { Collector } from '../src/telemetry/collector.ts';
import { Delivery } from '../src/telemetry/delivery.ts';
import { encodingOf, PROTOCOLS, type Protocol, protocolOf } from '../src/telemetry/encoding.ts';
import { TelemetryExporter } from '../src/telemetry/exporter.ts';
import { Metrics } from '../src/telemetry/metrics.ts';
import { type AttributeValue, exportRequest, type Span } from '../src/telemetry/otlp.ts';
import { type Body, type LogRecord, logsRequest } from '../src/telemetry/otlp-logs.ts';
import { metricsRequest } from '../src/telemetry/otlp-metrics.ts';
import { SIGNALS, type Signal } from '../src/telemetry/signal.ts';
import { temporary } from './support/models.ts';
import { type Reply, startReceiver } from './support/receiver.ts';

const dir = temporary();
afterAll(dir.remove);

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((id) => {
    // All zeros is no id.
    id[0] = 1;
    return Buffer.from(id).toString('hex');
  });
const value: fc.Arbitrary<AttributeValue> = fc.oneof(
  text,
  fc.boolean(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((double) => ({ double })),
  fc.array(text, { maxLength: 3 }),
);
const attributes = fc.dictionary(fc.stringMatching(/^[a-z]{1,3}$/), value, { maxKeys: 4 });
const nanoseconds = fc.bigInt({ min: 1n, max: 2n ** 63n - 1n });
const span: fc.Arbitrary<Span> = fc
  .record(
    {
      traceId: hex(16),
      spanId: hex(8),
      parentSpanId: hex(8),
      traceState: fc.constant('congo=t61rcWkgMzE'),
      flags: fc.constantFrom(0x101, 0x301),
      name: text,
      kind: fc.constantFrom<1 | 2 | 3>(1, 2, 3),
      start: nanoseconds,
      end: nanoseconds,
      attributes,
      events: fc.array(fc.record({ name: text, unixNano: nanoseconds, attributes }), { maxLength: 2 }),
      error: text,
    },
    { requiredKeys: ['traceId', 'spanId', 'name', 'kind', 'start', 'end', 'attributes'] },
  )
  .map((made) => made as Span);
const body = fc.letrec<{ body: Body }>((tie) => ({
  body: fc.oneof(
    { maxDepth: 4 },
    text,
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.array(tie('body'), { maxLength: 3 }),
    fc.dictionary(fc.stringMatching(/^[a-z]{1,3}$/), tie('body'), { maxKeys: 3 }),
  ),
})).body;
const record: fc.Arbitrary<LogRecord> = fc
  .record(
    {
      unixNano: nanoseconds,
      severity: fc.constantFrom('INFO' as const, 'WARN' as const, 'ERROR' as const),
      eventName: text,
      body,
      attributes,
      traceId: hex(16),
      spanId: hex(8),
    },
    { requiredKeys: ['unixNano', 'severity'] },
  )
  .map((made) => made as LogRecord);

const SCOPE = { name: 'test', version: '1' };
const sample = <T>(arbitrary: fc.Arbitrary<T>): T[] => fc.sample(arbitrary, { seed: 20_261_125, numRuns: 150 });

/** Requests of all three signals, about as varied as the runtime could ever send; `protocol` marks who sent them. */
async function requests(protocol: Protocol): Promise<Record<Signal, object>> {
  const resource = { protocol };
  const metrics = new Metrics({ version: '0', cluster: 'c', model: 'm', modelVersion: '1' });
  const { firstToken, tokens, saturation, expertTokens } = metrics.instruments;
  for (const seconds of [0.0004, 0.3, 2, 1e6]) firstToken.observe({ gen_ai_operation_name: 'chat' }, seconds);
  tokens.inc({ mixgate_tenant: 'é', gen_ai_token_type: 'input' }, 2 ** 53 - 1);
  saturation.set(0.1 + 0.2);
  expertTokens.inc({ gen_ai_response_model: 'm', mixgate_moe_layer: '3', mixgate_moe_expert: '7' });
  const collected = await metrics.registry.getMetricsAsJSON();
  const exemplar = { traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8), value: 0.3, unixNano: 2n ** 60n + 1n };
  return {
    traces: exportRequest(sample(span), resource, SCOPE),
    metrics: metricsRequest(collected, { start: 1n, now: 2n ** 62n + 1n }, resource, SCOPE, () => [
      exemplar,
      { ...exemplar, value: 2 },
    ]).request,
    logs: logsRequest(sample(record), resource, SCOPE),
  };
}

/** Where two texts part, with what follows in each; a whole request would fill the terminal. */
function difference(a: string, b: string): [string, string] | undefined {
  if (a === b) return undefined;
  let at = 0;
  while (a[at] === b[at]) at += 1;
  return [a.slice(Math.max(0, at - 60), at + 60), b.slice(Math.max(0, at - 60), at + 60)];
}

const never = new AbortController().signal;

describe('a Collector', () => {
  it('understands the same of a request in protobuf as of the one in JSON, whatever it holds', async () => {
    const [port, arrived] = [await freePort(), dir.file('arrived.jsonl')];
    await using collector = await startCollector(port, arrived);
    for (const protocol of PROTOCOLS) {
      const encoding = await encodingOf(protocol);
      for (const [signal, request] of Object.entries(await requests(protocol)) as Array<[Signal, object]>) {
        const client = new Collector({ name: 'c', url: `${collector.url}/v1/${signal}`, protocol, headers: {} }, 'test/1');
        const payload = { body: encoding.encode(signal, request), gzipped: false };
        expect(await client.send(signal, payload, 10_000, never)).toEqual({ kind: 'accepted', rejected: 0 });
        client.close();
      }
    }
    await collector.stop();
    const lines = readLines(arrived).map((line) => JSON.stringify(line));
    const from = (protocol: Protocol): string[] =>
      lines.filter((line) => line.includes(`"${protocol}"`)).map((line) => line.replaceAll(protocol, 'any'));
    const [json, protobuf] = [from('http/json'), from('http/protobuf')];
    expect([json.length, protobuf.length]).toEqual([SIGNALS.length, SIGNALS.length]);
    for (const [index, line] of json.entries()) expect(difference(line, protobuf[index]!)).toBeUndefined();
  });
});

interface Seen {
  printed: string[];
  metrics: Metrics;
}

/** One log record to a receiver that answers so; resolves when it is delivered or dropped. */
async function sent(reply: (index: number) => Reply, log: LogRecord): Promise<Seen & { contentTypes: unknown[]; bytes: Buffer }> {
  await using receiver = await startReceiver(reply);
  const metrics = new Metrics({ version: '0', cluster: 'c', model: 'm', modelVersion: '1' });
  const printed: string[] = [];
  const same = <T>(one: T): Record<Signal, T> => ({ traces: one, metrics: one, logs: one });
  const endpoint = { name: 'vendor', url: `${receiver.url}/v1/logs`, protocol: 'http/protobuf' as const, headers: {} };
  const exporter = new TelemetryExporter({
    settings: {
      endpoints: { traces: [], metrics: [], logs: [endpoint] },
      gzip: same(true),
      timeoutMs: same(5000),
      retryForMs: 60_000,
      queue: same(10),
      flushMs: 10,
      metricsIntervalMs: 60_000,
      resource: {},
      warnings: [],
    },
    resource: {},
    version: '0',
    metrics,
    refresh: () => {},
    log: (message) => printed.push(message),
  });
  exporter.record(log);
  for (;;) {
    exporter.refresh();
    const waiting = (await metrics.instruments.queuedItems.get()).values.find(({ labels }) => labels.mixgate_signal === 'logs');
    if (waiting?.value === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await exporter.close(1000);
  return {
    printed,
    metrics,
    contentTypes: receiver.received.map(({ headers }) => headers['content-type']),
    bytes: receiver.received[0]?.bytes ?? Buffer.alloc(0),
  };
}

const LOG: LogRecord = { unixNano: 1n, severity: 'INFO', body: 'x' };
const PROTOBUF = { 'content-type': 'application/x-protobuf' };
/** Written by hand from logs_service.proto: partial_success (1) { rejected_log_records (1), error_message (2) }. */
const partial = (rejected: number, message: string): Buffer => {
  const inner = Buffer.concat([Buffer.from([0x08, rejected, 0x12, message.length]), Buffer.from(message)]);
  return Buffer.concat([Buffer.from([0x0a, inner.length]), inner]);
};

async function dropped({ metrics }: Seen): Promise<Record<string, number>> {
  const { values } = await metrics.instruments.telemetryDropped.get();
  return Object.fromEntries(
    values.flatMap(({ labels, value: count }) => (count > 0 ? [[labels.mixgate_telemetry_reason, count]] : [])),
  ) as Record<string, number>;
}

describe('an answer in protobuf', () => {
  it('that took only a part is counted so, and its text is printed', async () => {
    const seen = await sent(() => ({ status: 200, headers: PROTOBUF, body: partial(1, 'too old') }), LOG);
    expect(seen.contentTypes).toEqual(['application/x-protobuf']);
    expect(seen.printed).toEqual(['collector vendor took only a part of the logs: too old']);
    expect(await dropped(seen)).toEqual({ partial_success: 1 });
  });

  it('with a warning alone loses nothing, and the warning is printed', async () => {
    const seen = await sent(() => ({ status: 200, headers: PROTOBUF, body: partial(0, 'rename it') }), LOG);
    expect(seen.printed).toEqual(['collector vendor took the logs with a warning: rename it']);
    expect(await dropped(seen)).toEqual({});
  });

  it.each<[string, Reply]>([
    ['empty', { status: 200, headers: PROTOBUF, body: Buffer.alloc(0) }],
    ['cut short', { status: 200, headers: PROTOBUF, body: partial(1, 'too old').subarray(0, 6) }],
    ['of another protocol', { status: 200, headers: { 'content-type': 'text/html' }, body: partial(1, 'too old') }],
  ])('says no more than its status when it is %s', async (_name, reply) => {
    const seen = await sent(() => reply, LOG);
    expect(await dropped(seen)).toEqual({});
    expect(seen.printed).toEqual([]);
  });

  it.each([429, 503])('%i is asked again after what Retry-After says, with the same bytes', async (status) => {
    const seen = await sent(
      (index) =>
        index === 0 ? { status, headers: { ...PROTOBUF, 'retry-after': '0' }, body: Buffer.alloc(0) } : { status: 200 },
      LOG,
    );
    expect(seen.contentTypes).toHaveLength(2);
    expect(await dropped(seen)).toEqual({});
    expect(seen.printed).toEqual([`collector vendor does not take logs: HTTP ${status}`, 'collector vendor takes logs again']);
  });

  it('is never asked for when a record is nested deeper than a reader of protobuf would follow', async () => {
    let nested: Body = 'x';
    for (let depth = 0; depth < 60; depth += 1) nested = [nested];
    const seen = await sent(() => ({ status: 200 }), { ...LOG, body: nested });
    expect(seen.contentTypes).toEqual([]);
    expect(await dropped(seen)).toEqual({ invalid: 1 });
  });
});

describe('a mixed list of collectors', () => {
  it('gets each request in the encoding of whom it goes to', async () => {
    await using first = await startReceiver(() => ({ status: 503, headers: { 'retry-after': '3600' } }));
    await using second = await startReceiver();
    const client = (url: string, protocol: Protocol): Collector =>
      new Collector({ name: protocol, url: `${url}/v1/logs`, protocol, headers: {} }, 'test/1');
    const delivered: string[] = [];
    const delivery = new Delivery<LogRecord>({
      signal: 'logs',
      collectors: [client(first.url, 'http/json'), client(second.url, 'http/protobuf')],
      queue: 10,
      overflow: 'drop-newest',
      batch: 1,
      flushMs: 1,
      timeoutMs: 5000,
      retryForMs: 0,
      gzip: true,
      encode: (records) => logsRequest(records, {}, SCOPE),
      report: {
        exported: () => {},
        dropped: () => {},
        lag: () => {},
        attempt: (name, { kind }) => delivered.push(`${name} ${kind}`),
      },
    });
    delivery.add({ value: LOG, items: 1, at: 0 });
    await delivery.close(5000);
    expect(delivered).toEqual(['http/json retry', 'http/protobuf accepted']);
    expect([first, second].map(({ received }) => received[0]?.headers['content-type'])).toEqual([
      'application/json',
      'application/x-protobuf',
    ]);
  });
});

describe('a content type', () => {
  it.each([
    ['application/json; charset=utf-8', 'http/json'],
    ['Application/X-Protobuf', 'http/protobuf'],
    ['text/html', undefined],
    [undefined, undefined],
  ] as const)('%s: %s', (type, protocol) => {
    expect(protocolOf(type)).toBe(protocol);
  });
});
