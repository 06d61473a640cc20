// The runtime's telemetry through real OpenTelemetry Collectors, and through our own gate.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { freePort } from '../../scripts/lib/free-port.ts';
import { type RuntimeProcess, startRuntimeProcess } from '../../scripts/lib/runtime-process.ts';
import { readLines, startCollector } from '../../test/support/collector.ts';
import { SHIPPED_BUNDLE } from '../src/config/dev.ts';
import { fleetGate, undeclared } from './support/gate.ts';
import { microModel, temporary } from './support/models.ts';
import { telemetryOf } from './support/otlp.ts';
import { startReceiver } from './support/receiver.ts';
import { metric } from './support/server.ts';

const dir = temporary();
afterAll(dir.remove);
const TOKEN = 'only-of-the-tests';
const TOKEN_SHA256 = createHash('sha256').update(TOKEN).digest('hex');

/** A configuration with an identity, a quota and these collectors. */
function configure(name: string, otlp: object): string {
  const pool = {
    cluster: 'us-east',
    region: 'us-east-1',
    jurisdiction: 'US',
    accelerator: 'cpu',
    model: 'mixtral-micro',
    version: '1.0.0',
  };
  const file = dir.file(`${name}.yaml`);
  writeFileSync(
    file,
    stringify({
      cluster: 'us-east',
      model: { path: microModel(), id: 'mixtral-micro', version: '1.0.0', threads: 1, sequences: 2 },
      policy: { bundle: SHIPPED_BUNDLE },
      identity: { tokens: [{ sha256: TOKEN_SHA256, tenant: 'dev' }] },
      tenants: { dev: {} },
      pools: [
        { id: 'us-east-cpu', engine: 'local', ...pool },
        { id: 'us-east-next', ...pool },
      ],
      telemetry: { otlp: { flushMs: 50, metricsIntervalMs: 200, ...otlp } },
      trace: { mode: 'always' },
    }),
  );
  return file;
}

async function start(config: string): Promise<RuntimeProcess> {
  return startRuntimeProcess(['--config', config]);
}

function complete(runtime: RuntimeProcess, body: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${runtime.url}/v1/${'messages' in body ? 'chat/' : ''}completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}`, ...headers },
    body: JSON.stringify(body),
  });
}

async function served(runtime: RuntimeProcess, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const response = await complete(runtime, { prompt: `Number ${index}`, max_tokens: 3, temperature: 0 });
    expect(response.status).toBe(200);
    await response.text();
  }
}

async function scraped(runtime: RuntimeProcess): Promise<string> {
  return (await fetch(`${runtime.url}/metrics`)).text();
}

/** Waits for what /metrics says; the test's own time limit ends it. */
async function until(runtime: RuntimeProcess, holds: (text: string) => boolean): Promise<string> {
  for (;;) {
    const text = await scraped(runtime);
    if (holds(text)) return text;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const of = (text: string, name: string, ...labels: string[]): number => metric(text, `mixgate_telemetry_${name}`, ...labels) ?? 0;

describe('a Collector', () => {
  it('gets every span, data point and log record, and our own gate finds nothing wrong with them', async () => {
    const [port, emitted, arrived] = [await freePort(), dir.file('emitted.jsonl'), dir.file('arrived.jsonl')];
    const collector = await startCollector(port, arrived);
    let text: string;
    {
      await using runtime = await start(
        configure('whole', {
          protocol: 'http/protobuf',
          collectors: [{ name: 'otel-a', endpoint: collector.url }],
          file: emitted,
        }),
      );
      await served(runtime, 3);
      const headers = { 'x-mixgate-data-class': 'internal', 'x-mixgate-origin-region': 'us-east-1', 'x-mixgate-include': 'moe' };
      const chat = { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 4, stream: true };
      const answers = [
        await complete(runtime, chat, headers),
        await complete(runtime, { prompt: 'x', max_tokens: 1 }, { 'x-mixgate-data-class': 'of my own' }),
        await complete(runtime, { prompt: 'x', max_tokens: 0, echo: true, logprobs: 1 }),
        await complete(runtime, { prompt: 'x' }, { authorization: 'Bearer wrong' }),
        await complete(runtime, { prompt: 'x', model: 'unknown' }),
        await complete(runtime, { prompt: 'x', n: 3 }),
        await complete(runtime, { prompt: 'x' }, { 'x-mixgate-data-class': 'restricted' }),
        await complete(runtime, { prompt: 'word '.repeat(2000) }),
      ];
      for (const answer of answers) await answer.text();
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 401, 404, 400, 403, 400]);
      text = await until(
        runtime,
        (now) => of(now, 'exported_total', '"traces"') >= 10 && of(now, 'exported_total', '"logs"') >= 10,
      );
    }
    await collector.stop();
    const [sent, got] = [telemetryOf(readLines(emitted)), telemetryOf(readLines(arrived))];
    for (const kind of ['spans', 'points', 'records'] as const) {
      expect(sent[kind].length).toBeGreaterThan(10);
      expect(got[kind].sort()).toEqual(sent[kind].sort());
    }
    expect(of(text, 'dropped_total', '"traces"')).toBe(0);
    expect(of(text, 'collector_up', '"otel-a"', '"logs"')).toBe(1);
    expect(of(text, 'lag_seconds_count', '"traces"')).toBeGreaterThan(0);

    const gate = fleetGate(dir.file('fleet'), 'us-east');
    expect(await gate(emitted, arrived)).toEqual({ code: 0, findings: [] });
    // The gate is not blind: one instrument that no registry declares, and it says so.
    const stray = readFileSync(emitted, 'utf8').replaceAll('"mixgate.tokens"', '"mixgate.token_count"');
    writeFileSync(dir.file('stray.jsonl'), stray);
    const { findings } = await gate(dir.file('stray.jsonl'));
    expect(findings).toMatchObject([{ ruleId: 'telemetry-sample-metric-unknown' }]);

    expect(await undeclared(text)).toEqual([]);
  });

  it('that is killed costs no answer: a second one takes over, drops are counted when none is left, and it is used again when back', async () => {
    const [first, second] = [await freePort(), await freePort()];
    const emitted = dir.file('failover.jsonl');
    const collectors = [
      { name: 'first', endpoint: `http://127.0.0.1:${first}` },
      { name: 'second', endpoint: `http://127.0.0.1:${second}`, protocol: 'http/protobuf' },
    ];
    const one = await startCollector(first, dir.file('one.jsonl'));
    const two = await startCollector(second, dir.file('two.jsonl'));
    await using runtime = await start(configure('failover', { collectors, file: emitted, queue: 4, metricsIntervalMs: 60_000 }));
    const accepted = (text: string, name: string): number =>
      of(text, 'requests_total', '"traces"', `mixgate_collector="${name}"`, '"accepted"');
    await served(runtime, 2);
    await until(runtime, (text) => accepted(text, 'first') > 0 && of(text, 'queue_depth', '"traces"') === 0);
    expect(accepted(await scraped(runtime), 'second')).toBe(0);

    await one.stop('SIGKILL');
    await served(runtime, 2);
    await until(runtime, (text) => accepted(text, 'second') > 0 && of(text, 'queue_depth', '"traces"') === 0);
    const over = await scraped(runtime);
    expect(of(over, 'collector_up', '"traces"', '"first"')).toBe(0);
    expect(of(over, 'dropped_total', '"traces"', '"queue_full"')).toBe(0);

    await two.stop('SIGKILL');
    await served(runtime, 16);
    const away = await until(runtime, (text) => of(text, 'dropped_total', '"traces"', '"queue_full"') > 0);
    expect(metric(away, 'mixgate_spans_dropped_total', '"queue_full"')).toBeGreaterThan(0);
    expect(of(away, 'queue_age_seconds', '"traces"')).toBeGreaterThan(0);
    const before = of(away, 'exported_total', '"traces"');

    await using again = await startCollector(first, dir.file('again.jsonl'));
    const back = await until(runtime, (text) => of(text, 'queue_depth', '"traces"') === 0);
    expect(of(back, 'exported_total', '"traces"')).toBeGreaterThan(before);
    expect(of(back, 'collector_up', '"traces"', '"first"')).toBe(1);
    // Every span that was emitted is in exactly one counter.
    const reasons = ['queue_full', 'retries_exhausted', 'refused', 'invalid', 'partial_success', 'shutdown'];
    const lost = reasons.reduce((sum, reason) => sum + of(back, 'dropped_total', '"traces"', `"${reason}"`), 0);
    expect(of(back, 'exported_total', '"traces"') + lost).toBe(telemetryOf(readLines(emitted)).spans.length);
    await again.stop();
    expect(telemetryOf(again.read()).spans.length).toBe(of(back, 'exported_total', '"traces"') - before);
  });

  it('is found by OTEL_EXPORTER_OTLP_* alone, and nothing that is printed or sent has a value of its headers', async () => {
    let refusing = false;
    await using receiver = await startReceiver(() => ({ status: refusing ? 401 : 200 }));
    const env = {
      ...process.env,
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20s3cret',
      OTEL_METRIC_EXPORT_INTERVAL: '100',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    };
    let printed = '';
    {
      await using runtime = await startRuntimeProcess(['--dev', '--threads', '1'], { env }, (child) =>
        child.stderr?.on('data', (chunk: Buffer) => {
          printed += chunk.toString('utf8');
        }),
      );
      await served(runtime, 1);
      const paths = (): Set<string> => new Set(receiver.received.map(({ path }) => path));
      await until(runtime, () => paths().size === 3);
      expect([...paths()].sort()).toEqual(['/v1/logs', '/v1/metrics', '/v1/traces']);
      refusing = true;
      await until(runtime, (text) => of(text, 'dropped_total', '"metrics"', '"refused"') > 0);
    }
    expect(receiver.received.every(({ headers }) => headers.authorization === 'Bearer s3cret')).toBe(true);
    const sent = JSON.stringify(receiver.received.map(({ body }) => body));
    expect(sent).toContain('"deployment.environment.name"');
    expect(printed).toMatch(/collector 127\.0\.0\.1:\d+ does not take metrics: HTTP 401/);
    expect(sent + printed).not.toContain('s3cret');
  });
});
