// The shipped alert rules, checked and run by promtool.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { prometheusTools } from '../../test/support/prometheus.ts';
import { INSTRUMENTS, type Instrument, labelOf } from '../src/telemetry/instruments.ts';
import { Metrics } from '../src/telemetry/metrics.ts';
import { temporary } from './support/models.ts';

const RULES = fileURLToPath(new URL('../deploy/prometheus/rules.yaml', import.meta.url));
const dir = temporary();
afterAll(dir.remove);
const promtool = (args: string[]): string =>
  execFileSync(prometheusTools().promtool, args, { encoding: 'utf8', stdio: 'pipe', timeout: 60_000 });

interface Rule {
  alert: string;
  expr: string;
  annotations: Record<string, string>;
}
const rules = (parse(readFileSync(RULES, 'utf8')) as { groups: Array<{ rules: Rule[] }> }).groups.flatMap((group) => group.rules);

/** By the name in an expression: of a histogram its series are asked for. */
const labelsByMetric = new Map(
  Object.values<Instrument>(INSTRUMENTS).flatMap(({ prometheus, kind, attributes }) => {
    const labels = Object.keys(attributes).map(labelOf);
    if (kind !== 'histogram') return [[prometheus, labels] as const];
    return ['bucket', 'sum', 'count'].map(
      (part) => [`${prometheus}_${part}`, part === 'bucket' ? [...labels, 'le'] : labels] as const,
    );
  }),
);

it('the rules are valid and ask for metrics that exist', async () => {
  promtool(['check', 'rules', RULES]);
  const metrics = new Metrics({ version: '0', cluster: 'c', model: 'm', modelVersion: '1' });
  const known = new Set((await metrics.registry.getMetricsAsJSON()).map((metric) => metric.name));
  const asked = rules.flatMap(({ alert, expr }) =>
    (expr.match(/\bmixgate_[a-z0-9_]+(?=[{[\s])/g) ?? ['none']).map((name) => ({ alert, name })),
  );
  expect(new Set(asked.map(({ alert }) => alert)).size).toBe(rules.length);
  expect(asked.filter(({ name }) => !known.has(name))).toEqual([]);
});

it.each(rules)('$alert asks for labels that its metrics have', ({ expr, annotations }) => {
  const names = (list: string): string[] => list.split(',').map((name) => name.trim());
  const used = [...expr.matchAll(/\bmixgate_[a-z0-9_]+/g)].map(([name]) => name).filter((name) => labelsByMetric.has(name));
  const known = (metrics: readonly string[]): Set<string> =>
    new Set(['instance', 'job', ...metrics.flatMap((name) => labelsByMetric.get(name) ?? [])]);
  expect(used.length).toBeGreaterThan(0);
  const selected = [...expr.matchAll(/(?<metric>mixgate_[a-z0-9_]+)\{(?<matchers>[^}]*)\}/g)].flatMap(({ groups }) =>
    names(groups!['matchers']!).map((matcher) => [groups!['metric']!, /^\w+/.exec(matcher)![0]] as const),
  );
  expect(selected.filter(([metric, label]) => !known([metric]).has(label))).toEqual([]);
  // A label to group or to match by must be on every side, or the sides never meet.
  const joined = [...expr.matchAll(/\b(?:by|on) \((?<list>[^)]*)\)/g)].flatMap(({ groups }) => names(groups!['list']!));
  expect(joined.filter((label) => used.some((metric) => !known([metric]).has(label)))).toEqual([]);
  const shown = Object.values(annotations).flatMap((text) =>
    [...text.matchAll(/\$labels\.(?<label>\w+)/g)].map((m) => m.groups!['label']!),
  );
  const left = joined.length > 0 && /\bby \(/.test(expr) ? new Set(joined) : known(used);
  expect(shown.filter((label) => !left.has(label))).toEqual([]);
});

it('saturation alerts above 70 % for five minutes, and not at 70 %', () => {
  const series = (value: string): Array<{ series: string; values: string }> => [
    { series: 'mixgate_engine_saturation_ratio{instance="a"}', values: value },
  ];
  const at = (minute: number, fires: boolean): object => ({
    eval_time: `${minute}m`,
    alertname: 'MixgateEngineSaturated',
    exp_alerts: fires
      ? [
          {
            exp_labels: { severity: 'warning', instance: 'a' },
            exp_annotations: {
              summary: 'a uses 71% of its sequences',
              description: 'Above 70 % for 5 minutes: add replicas or sequences before requests wait.',
            },
          },
        ]
      : [],
  });
  const file = dir.file('rules.test.yaml');
  const tests = [
    { interval: '1m', input_series: series('0.71x10'), alert_rule_test: [at(4, false), at(6, true)] },
    { interval: '1m', input_series: series('0.7x10'), alert_rule_test: [at(6, false)] },
  ];
  writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: '1m', tests }));
  promtool(['test', 'rules', file]);
});

it('memory alerts above 70 % of either kind for five minutes, and not at 70 %', () => {
  const series = (kind: string, used: number, limit: number): object[] =>
    Object.entries({ usage: used, limit }).map(([what, value]) => ({
      series: `mixgate_memory_${what}_bytes{instance="a", mixgate_memory_kind="${kind}"}`,
      values: `${value}x10`,
    }));
  const fires = {
    exp_labels: { severity: 'warning', instance: 'a', mixgate_memory_kind: 'vram' },
    exp_annotations: {
      summary: 'a uses 75% of its vram',
      description:
        'Above 70 % for 5 minutes: the next load, or a longer context, may not fit. Fewer sequences or a smaller quantisation make room.',
    },
  };
  const test = (vram: number, alerts: object[], minute = 6): object => ({
    interval: '1m',
    input_series: [...series('ram', 70, 100), ...series('vram', vram, 80)],
    alert_rule_test: [{ eval_time: `${minute}m`, alertname: 'MixgateMemorySaturated', exp_alerts: alerts }],
  });
  const file = dir.file('memory.test.yaml');
  const tests = [test(60, [fires]), test(60, [], 4), test(56, [])];
  writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: '1m', tests }));
  promtool(['test', 'rules', file]);
});

it('a certificate alerts when less than seven days are left', () => {
  const file = dir.file('certificate.test.yaml');
  // Test time begins at 0: the value is when the certificate ends.
  const test = (days: number, alerts: object[]): object => ({
    interval: '1m',
    input_series: [{ series: 'mixgate_certificate_expiry_timestamp_seconds{instance="a"}', values: `${days * 86_400}x10` }],
    alert_rule_test: [{ eval_time: '5m', alertname: 'MixgateCertificateExpiring', exp_alerts: alerts }],
  });
  const fires = {
    exp_labels: { severity: 'warning', instance: 'a' },
    exp_annotations: {
      summary: 'the certificate of a is valid for 5d 23h 55m 0s',
      description:
        'Clients refuse an expired certificate. Write the new pair into the files of listen.tls; no restart is needed.',
    },
  };
  const tests = [test(6, [fires]), test(8, [])];
  writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: '1m', tests }));
  promtool(['test', 'rules', file]);
});

it('fallbacks alert above 1 % of allowed requests for five minutes, and not at 1 % or of a handful', () => {
  const series = (fallbacks: number, allowed: number): object[] => [
    { series: 'mixgate_fallbacks_total{instance="a", mixgate_reason="ENGINE_DIED"}', values: `0+${fallbacks / 2}x30` },
    { series: 'mixgate_fallbacks_total{instance="a", mixgate_reason="UPSTREAM_ERROR"}', values: `0+${fallbacks / 2}x30` },
    { series: 'mixgate_policy_decisions_total{instance="a", mixgate_policy_result="allow"}', values: `0+${allowed}x30` },
    { series: 'mixgate_policy_decisions_total{instance="a", mixgate_policy_result="deny"}', values: '0+1000x30' },
  ];
  const fires = {
    exp_labels: { severity: 'warning', instance: 'a' },
    exp_annotations: {
      summary: 'a serves 2% of its requests by a fallback',
      description:
        'The goal is below 1 %. mixgate_fallbacks_total has the reasons, mixgate_upstream_circuit_state the pools that fail.',
    },
  };
  const test = (input: object[], alerts: object[]): object => ({
    interval: '1m',
    input_series: input,
    alert_rule_test: [{ eval_time: '20m', alertname: 'MixgateFallbackRateHigh', exp_alerts: alerts }],
  });
  const file = dir.file('fallbacks.test.yaml');
  const tests = [test(series(2, 100), [fires]), test(series(1, 100), []), test(series(0.5, 1), []), test(series(0, 100), [])];
  writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: '1m', tests }));
  promtool(['test', 'rules', file]);
});

it('telemetry that no collector takes alerts when it is late, and when it is lost', () => {
  const labels = 'instance="a", mixgate_signal="traces"';
  const alert = (alertname: string, exp_labels: object, exp_annotations: object): object => ({
    eval_time: '9m',
    alertname,
    exp_alerts: [
      { exp_labels: { severity: 'warning', instance: 'a', mixgate_signal: 'traces', ...exp_labels }, exp_annotations },
    ],
  });
  const lost = { mixgate_telemetry_reason: 'queue_full' };
  const tests = [
    {
      interval: '1m',
      input_series: [
        { series: `mixgate_telemetry_queue_age_seconds{${labels}}`, values: '0+60x10' },
        { series: `mixgate_telemetry_dropped_total{${labels}, mixgate_telemetry_reason="queue_full"}`, values: '0+1x10' },
        { series: `mixgate_telemetry_dropped_total{${labels}, mixgate_telemetry_reason="invalid"}`, values: '3x10' },
      ],
      alert_rule_test: [
        alert(
          'MixgateTelemetryDelayed',
          {},
          {
            summary: 'a has had no collector for its traces for 9m 0s',
            description:
              'mixgate_telemetry_collector_up says which collector does not answer. When the queue is full, what is new is dropped.',
          },
        ),
        alert('MixgateTelemetryDropped', lost, {
          summary: 'a lost traces: queue_full',
          description: 'Dashboards, alerts and SLOs over this time count too little.',
        }),
      ],
    },
  ];
  const file = dir.file('telemetry.test.yaml');
  writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: '1m', tests }));
  promtool(['test', 'rules', file]);
});

it('an upstream pool alerts above 70 % by what the policy is told, the local engine does not alert twice', () => {
  const circuit = { series: 'mixgate_upstream_circuit_state{instance="a",mixgate_pool="gpu"}', values: '0x10' };
  const saturation = (pool: string, value: string): object => ({
    series: `mixgate_pool_saturation_ratio{instance="a",mixgate_pool="${pool}"}`,
    values: value,
  });
  const alert = {
    exp_labels: { severity: 'warning', instance: 'a', mixgate_pool: 'gpu' },
    exp_annotations: {
      summary: 'pool gpu is 91% full',
      description:
        'Above 70 % for 5 minutes, by requests or by its KV cache: add replicas before requests wait or are preempted.',
    },
  };
  const at = (fires: boolean): object => ({
    eval_time: '6m',
    alertname: 'MixgatePoolSaturated',
    exp_alerts: fires ? [alert] : [],
  });
  const stale = (pool: string, age: string): object => ({
    series: `mixgate_upstream_load_age_seconds{instance="a",mixgate_pool="${pool}"}`,
    values: age,
  });
  const unknown = {
    eval_time: '6m',
    alertname: 'MixgateUpstreamLoadUnknown',
    exp_alerts: [
      {
        exp_labels: { severity: 'warning', instance: 'a', mixgate_pool: 'gone' },
        exp_annotations: {
          summary: 'pool gone has not said its load to a for 6m 0s',
          description:
            'It is routed to by what this runtime itself has sent there, or by the configured numbers. The log has the reason.',
        },
      },
    ],
  };
  const tests = [
    {
      interval: '1m',
      input_series: [circuit, saturation('gpu', '0.91x10'), saturation('local', '0.91x10')],
      alert_rule_test: [at(true)],
    },
    { interval: '1m', input_series: [circuit, saturation('gpu', '0.7x10')], alert_rule_test: [at(false)] },
    { interval: '1m', input_series: [stale('gone', '0+60x10'), stale('fine', '3x10')], alert_rule_test: [unknown] },
  ];
  const file = dir.file('pools.test.yaml');
  writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: '1m', tests }));
  promtool(['test', 'rules', file]);
});
