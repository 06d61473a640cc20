import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { silentProgress } from '../../src/core/context.ts';
import type { Finding } from '../../src/core/finding.ts';
import { regoUses } from '../../src/rego/uses.ts';
import { diffRegistries } from '../../src/telemetry/diff/registry.ts';
import { judgeChanges } from '../../src/telemetry/evaluate.ts';
import { loadQueryConsumers } from '../../src/telemetry/impact/consumers.ts';
import { checkConsumers } from '../../src/telemetry/impact/index.ts';
import { parsePromql } from '../../src/telemetry/impact/promql.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { temporaryFolder } from '../support/folder.ts';
import { lines, load, memoryTree, metricFile } from './support.ts';

describe('PromQL', () => {
  const names = (query: string): unknown => parsePromql(query).selectors.map((selector) => selector.metric);
  test.each<[string, unknown[]]>([
    ['up', ['up']],
    ['sum by (le) (rate(a_bucket{x="y"}[5m])) / sum(rate(b_count[5m]))', ['a_bucket', 'b_count']],
    ['{__name__="a:b", x="y"}', ['a:b']],
    // Escapes are Go's: "\\x61" is an a (prometheus.io, "String literals").
    ['{__name__="\\x61:b"}', ['a:b']],
    ['{"gen_ai.server.request.duration", "error.type"=""}', ['gen_ai.server.request.duration']],
    ['rate(a_total[$__rate_interval]) or rate(b_total[{{.window}}])', ['a_total', 'b_total']],
    [`histogram_quantile(0.95, sum by (le) (rate(a_bucket[$${'{window}'}])))`, ['a_bucket']],
    ['a offset 5m @ start()', ['a']],
    ['max_over_time((sum(a) / sum(b))[1h:5m])', ['a', 'b']],
    ['1 + 2', []],
  ])('%s selects %o', (query, expected) => {
    expect(names(query)).toEqual(expected);
    expect(parsePromql(query).errorAt).toBeUndefined();
  });
  test('matchers, and the labels of by and on but not of without', () => {
    expect(parsePromql('sum by (a) (x{b=~"1|2", c!="3"}) * on (d) group_left () sum without (e) (y)').selectors).toEqual([
      {
        metric: 'x',
        matchers: [
          { label: 'b', op: '=~', value: '1|2' },
          { label: 'c', op: '!=', value: '3' },
        ],
        grouping: ['a', 'd'],
      },
      { metric: 'y', matchers: [], grouping: ['d'] },
    ]);
  });
  test.each(['sum(rate(x[5m]', '', 'a{', ')('])('%o is an error, not an exception', (query) =>
    expect(parsePromql(query).errorAt).toBeTypeOf('number'),
  );
  test('any text is read without an exception', () =>
    fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => void parsePromql(text))));
  test('a query without end is refused', () => expect(parsePromql('a+'.repeat(100_000)).selectors).toEqual([]));
});

const SLO = `apiVersion: openslo/v1
kind: SLO
metadata:
  name: ttft-p95
spec:
  indicatorRef: ttft
---
apiVersion: openslo/v1
kind: SLI
metadata:
  name: ttft
spec:
  ratioMetric:
    good:
      metricSource:
        spec:
          query: sum(rate(app_request_duration_seconds_bucket{le="2.5", app_color="red"}[5m]))
`;
const RULES = `groups:
  - name: g
    rules:
      - alert: Slow
        expr: histogram_quantile(0.9, sum by (le) (rate(app_request_duration_seconds_bucket[5m]))) > 1
      - record: app:rate5m
        expr: sum(rate(app_request_duration_seconds_count[5m]))
`;
const DASHBOARD = JSON.stringify(
  { title: 'Overview', panels: [{ title: 'Latency', targets: [{ expr: 'app_request_duration_seconds_sum' }] }] },
  null,
  1,
);

async function consumersOf(files: {
  readonly [path: string]: string | Uint8Array;
}): Promise<{ queries: Awaited<ReturnType<typeof loadQueryConsumers>>; findings: Finding[] }> {
  const findings: Finding[] = [];
  return { queries: await loadQueryConsumers(memoryTree(files), Object.keys(files), findings), findings };
}

describe('consumers', () => {
  test('SLOs, alerts, recording rules and dashboards by name and line', async () => {
    const { queries, findings } = await consumersOf({ 'slo.yaml': SLO, 'rules.yaml': RULES, 'dash.json': DASHBOARD });
    expect(findings).toEqual([]);
    expect(queries.map((query) => [query.kind, query.names, `${query.location.file}:${query.location.line}`])).toEqual([
      ['dashboard', ['Overview / Latency'], 'dash.json:8'],
      ['alert', ['Slow'], 'rules.yaml:5'],
      ['recording', ['app:rate5m'], 'rules.yaml:7'],
      ['slo', ['ttft-p95'], 'slo.yaml:17'],
    ]);
  });
  test.each<[string, string | Uint8Array, string]>([
    ['malformed YAML', 'a: [', 'warning telemetry-consumer-unreadable x.yaml:1'],
    ['a binary file', new Uint8Array([0]), 'warning telemetry-consumer-unreadable x.yaml:-'],
    [
      'a broken query',
      RULES.replace('sum(rate(app_request_duration_seconds_count[5m]))', 'sum(rate('),
      'warning telemetry-consumer-query-invalid x.yaml:7',
    ],
  ])('%s is a finding', async (_, text, expected) =>
    expect(lines((await consumersOf({ 'x.yaml': text })).findings)).toEqual([expected]),
  );

  test('names and labels that no registry has', async () => {
    const { registry } = await load({ 'a.yaml': metricFile() });
    const { queries } = await consumersOf({ 'rules.yaml': RULES.replace('_count', '_cnt').replace('(le)', '(le, app_colour)') });
    expect(lines(checkConsumers(registry, { queries, rego: [] }, new Set()))).toEqual([
      'warning telemetry-consumer-label-unknown rules.yaml:5',
      'warning telemetry-consumer-metric-unknown rules.yaml:7',
    ]);
  });
});

describe('impact', () => {
  const judge = async (base: string, head: string, files: { readonly [path: string]: string }) => {
    const changes = diffRegistries((await load({ 'a.yaml': base })).registry, (await load({ 'a.yaml': head })).registry);
    return judgeChanges(changes, { queries: (await consumersOf(files)).queries, rego: [] }, 'FULL').map(({ finding }) => [
      finding.ruleId,
      finding.level,
      finding.message,
    ]);
  };
  const bounds = (list: string): string => metricFile({ extra: `    annotations: {mixgate: {bounds: [${list}]}}\n` });

  test('a rename names the SLO, its file and line', async () => {
    expect(await judge(metricFile(), metricFile({ name: 'app.request.time' }), { 'slo.yaml': SLO })).toEqual([
      [
        'telemetry-metric-renamed',
        'error',
        'The metric `app.request.duration` is gone and looks renamed to `app.request.time`. This breaks SLO ttft-p95 (slo.yaml:17).',
      ],
    ]);
  });
  test('in every translation strategy', async () => {
    for (const name of [
      'app_request_duration_seconds_count',
      'app_request_duration',
      '{"app.request.duration_seconds"}',
      '{"app.request.duration"}',
    ]) {
      const [row] = await judge(metricFile(), metricFile({ unit: 'ms' }), {
        'rules.yaml': `groups: [{name: g, rules: [{alert: A, expr: '${name} > 1'}]}]\n`,
      });
      expect(row![2]).toContain('This breaks alert A (rules.yaml:1).');
    }
  });
  test('unused, it fails all the same and says so', async () => {
    expect(await judge(metricFile(), metricFile({ unit: 'ms' }), {})).toEqual([
      [
        'telemetry-metric-unit-changed',
        'error',
        'The unit of `app.request.duration` changed from `s` to `ms`, so values are 1000 times larger. No consumer in this repository uses it.',
      ],
    ]);
  });
  test('a bound that an SLO uses as its threshold', async () => {
    expect((await judge(bounds('1, 2.5'), bounds('1, 3'), { 'slo.yaml': SLO }))[0]!.slice(0, 2)).toEqual([
      'telemetry-metric-bounds-changed',
      'error',
    ]);
    expect((await judge(bounds('1, 2.5'), bounds('2.5, 3'), { 'slo.yaml': SLO }))[0]!.slice(0, 2)).toEqual([
      'telemetry-metric-bounds-changed',
      'warning',
    ]);
  });
  test('a label: only queries that use it break', async () => {
    const optional = metricFile({ attributes: '      - ref: app.color\n        requirement_level: recommended\n' });
    expect((await judge(metricFile(), optional, { 'slo.yaml': SLO, 'rules.yaml': RULES }))[0]).toEqual([
      'telemetry-requirement-lowered',
      'error',
      'The attribute `app.color` of `app.request.duration` went from required to recommended: queries that rely on it lose series. This breaks SLO ttft-p95 (slo.yaml:17).',
    ]);
    expect((await judge(metricFile(), optional, { 'rules.yaml': RULES }))[0]![1]).toBe('warning');
  });
});

describe('Rego, by the real OPA', () => {
  const dir = temporaryFolder();
  test('input paths and string literals with their lines', async () => {
    writeFileSync(
      join(dir, 'a.rego'),
      'package a\n\nallow if input.event.target.pool == "gpu"\n\nhot contains pool.id if {\n\tsome pool in input.fleet.pools\n\tpool.saturation > 0.9\n\tinput.metrics["app.request.duration"]\n}\n',
    );
    const opa = await resolveTool('opa', { progress: silentProgress, signal: new AbortController().signal });
    const uses = await regoUses(opa.path, dir, 'a.rego');
    expect(uses!.filter((use) => use.kind === 'input').map((use) => [use.text, use.location.line])).toEqual([
      ['event.target.pool', 3],
      ['fleet.pools', 6],
      ['metrics.app.request.duration', 8],
    ]);
    expect(uses!.filter((use) => use.kind === 'string').map((use) => use.text)).toEqual(
      expect.arrayContaining(['gpu', 'app.request.duration']),
    );
  });
  test('a policy that does not parse has no uses to tell', async () => {
    writeFileSync(join(dir, 'b.rego'), 'package a\n\nallow if {');
    const opa = await resolveTool('opa', { progress: silentProgress, signal: new AbortController().signal });
    expect(await regoUses(opa.path, dir, 'b.rego')).toBeUndefined();
  });
});
