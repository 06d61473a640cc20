import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_POINTS } from '../../src/prometheus/api.ts';
import { prometheusSource } from '../../src/slo/prometheus.ts';
import { parsePromql } from '../../src/slo/promql.ts';
import { evaluatePromql } from '../../src/slo/promql-eval.ts';
import { parseSamples } from '../../src/slo/samples.ts';
import { labelKey } from '../../src/slo/series.ts';
import { singleValue } from '../../src/slo/source.ts';
import { type RunningPrometheus, startPrometheus } from '../support/prometheus.ts';

const START = Date.parse('2026-01-10T00:00:00Z');
const HOURS = 8;

/** Three counters at 15 s: steady, bursty with a reset, and one born half-way. */
function history(): string {
  const lines: string[] = ['# TYPE requests counter'];
  const series = [
    ['requests_total{cluster="us-east",code="200"}', (i: number) => i * 7],
    ['requests_total{cluster="us-east",code="500"}', (i: number) => (i < 900 ? Math.floor(i / 10) : Math.floor((i - 900) / 4))],
    ['requests_total{cluster="eu-west",code="200"}', (i: number) => (i < 1000 ? undefined : (i - 1000) * 3 + 5)],
  ] as const;
  for (const [name, value] of series) {
    for (let i = 0; i < HOURS * 240; i += 1) {
      const at = value(i);
      if (at !== undefined) lines.push(`${name} ${at} ${START / 1000 + i * 15}`);
    }
  }
  return `${lines.join('\n')}\n# EOF\n`;
}

const expr = (query: string) => {
  const parsed = parsePromql(query);
  if (!parsed.ok) throw new Error(parsed.problem.message);
  return parsed.expr;
};

describe('against a real Prometheus', () => {
  let prometheus: RunningPrometheus;
  const store = parseSamples([{ file: 'history.om', text: history() }]);
  beforeAll(async () => {
    prometheus = await startPrometheus({ history: history() });
  }, 120_000);
  afterAll(() => prometheus?.[Symbol.asyncDispose]());

  // Off the scrape grid: Prometheus 2 and 3 differ in whether a range includes its left edge.
  const times = [
    START + 7 * 60_000 + 3000,
    START + 2 * 3_600_000 + 4000,
    START + 4.2 * 3_600_000 + 7000,
    START + 7.9 * 3_600_000 + 1000,
  ];
  it.each([
    'requests_total',
    'sum(increase(requests_total[5m]))',
    'sum by (cluster) (increase(requests_total{code!~"5.."}[1h]))',
    'sum without (code) (rate(requests_total[30m]))',
    'sum(increase(requests_total{code=~"5.."}[1h])) / sum(increase(requests_total[1h]))',
    'resets(requests_total[6h])',
    'sum(increase(requests_total{code="404"}[1h])) or vector(0)',
    '(last_over_time(requests_total[2h]) unless requests_total offset 2h) or increase(requests_total[2h])',
    'clamp_min(sum(increase(requests_total[10m])) - 100, 0)',
    'requests_total > 1000',
    'requests_total > bool 1000',
    'count(requests_total) + 2 * 3 ^ 2',
    'avg(requests_total) - min(requests_total) % 7',
    'max_over_time(requests_total[15m]) - min_over_time(requests_total[15m])',
    'sum_over_time(requests_total[3m]) / count_over_time(requests_total[3m])',
    'avg_over_time(requests_total[3m]) and on (cluster) requests_total{code="500"}',
    '-sum(requests_total)',
    'requests_total{code="200"} / ignoring (code) requests_total{code="500"}',
  ])('recorded samples answer as it does: %s', async (query) => {
    const source = prometheusSource(prometheus.url);
    for (const time of times) {
      const real = new Map((await source.instant(expr(query), time)).map(({ labels, value }) => [labelKey(labels), value]));
      const value = evaluatePromql(expr(query), store, time);
      const ours = value.kind === 'vector' ? value.samples : [{ labels: {}, value: value.value }];
      expect(new Set(ours.map(({ labels }) => labelKey(labels)))).toEqual(new Set(real.keys()));
      for (const { labels, value: own } of ours)
        expect(Math.abs(own - real.get(labelKey(labels))!)).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(own)));
    }
  });
  it('reads more points than one request may have', async () => {
    const step = 2000;
    const end = START + (MAX_POINTS + 500) * step;
    const values = await prometheusSource(prometheus.url).range(
      expr('sum(requests_total{cluster="us-east",code="200"})'),
      START,
      end,
      step,
    );
    expect(values).toHaveLength(MAX_POINTS + 501);
    for (const index of [0, 7, MAX_POINTS - 1, MAX_POINTS, MAX_POINTS + 400])
      expect(values[index]).toBe(Math.floor((index * step) / 15_000) * 7);
  });
  it('finds the oldest and newest sample to 5 s in a range of 28 days', async () => {
    const [to] = [START + 28 * 86_400_000 - 5 * 86_400_000];
    const span = await prometheusSource(prometheus.url).span(
      [{ kind: 'selector', name: 'requests_total', matchers: [] }],
      to - 28 * 86_400_000,
      to,
    );
    expect(Math.abs(span!.oldest - START)).toBeLessThanOrEqual(5000);
    expect(Math.abs(span!.newest - (START + (HOURS * 240 - 1) * 15_000))).toBeLessThanOrEqual(5000);
  });
  it('finds no span where there are no samples', async () => {
    expect(
      await prometheusSource(prometheus.url).span(
        [{ kind: 'selector', name: 'nothing', matchers: [] }],
        START,
        START + 3_600_000,
      ),
    ).toBeUndefined();
  });
  it('lists the values of a label', async () => {
    expect(
      await prometheusSource(prometheus.url).labelValues(
        'cluster',
        [{ kind: 'selector', name: 'requests_total', matchers: [] }],
        START + 7 * 3_600_000,
      ),
    ).toEqual(['eu-west', 'us-east']);
  });
  it('gives an empty vector for a metric that is not there', async () => {
    expect(singleValue(await prometheusSource(prometheus.url).instant(expr('sum(nothing)'), START), 'x')).toBeUndefined();
  });
  it('reports a query that Prometheus refuses', async () => {
    await expect(
      prometheusSource(prometheus.url).instant({ kind: 'other', text: 'rate(requests_total)', what: '' }, START),
    ).rejects.toThrow(/refused a query \(400\)/);
  });
});

describe('a server that is not a healthy Prometheus', () => {
  let server: Server;
  let answer: { status: number; body: string | Buffer } = { status: 200, body: '' };
  let url: string;
  beforeAll(async () => {
    server = createServer((_request, response) => {
      response.writeHead(answer.status);
      response.end(answer.body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));
  const ask = () => prometheusSource(url).instant(expr('up'), START);

  it.each([
    ['HTML', 200, '<html></html>', /without the JSON of a Prometheus/],
    ['503 with text', 503, 'Service Unavailable', /answered 503/],
    ['an API error', 422, '{"status":"error","errorType":"execution","error":"query timed out"}', /query timed out/],
    ['JSON of something else', 200, '{"a":1}', /without the JSON/],
    [
      'a result of another shape',
      200,
      '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":["x",1]}]}}',
      /refused a query/,
    ],
    [
      'a matrix where a vector was asked',
      200,
      '{"status":"success","data":{"resultType":"matrix","result":[]}}',
      /a matrix, which is not what was asked/,
    ],
    ['an endless answer', 200, Buffer.alloc(65 * 1024 * 1024, 32), /more than \d+ bytes/],
  ])('reports %s', async (_title, status, body, message) => {
    answer = { status, body };
    await expect(ask()).rejects.toThrow(message);
  });
  it('reads NaN and infinities', async () => {
    answer = {
      status: 200,
      body: '{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"1"},"value":[1,"NaN"]},{"metric":{"a":"2"},"value":[1,"+Inf"]},{"metric":{"a":"3"},"value":[1,"-Inf"]}]}}',
    };
    expect((await ask()).map(({ value }) => value)).toEqual([Number.NaN, Infinity, -Infinity]);
  });
  it('reports a Prometheus that is away', async () => {
    await expect(prometheusSource('http://127.0.0.1:1').instant(expr('up'), START)).rejects.toThrow(/cannot be reached/);
  });
  it('never shows the password of a URL', async () => {
    await expect(prometheusSource('http://user:secret@127.0.0.1:1').instant(expr('up'), START)).rejects.toThrow(/^(?!.*secret)/);
  });
  it.each([['nonsense'], ['ftp://x'], ['']])('refuses the URL %j', (bad) => {
    expect(() => prometheusSource(bad)).toThrow(/URL/);
  });
});
