import { describe, expect, it } from 'vitest';
import { loadSlos } from '../../src/slo/load.ts';
import { policy, slo } from './support.ts';

const lint = (text: string, more: readonly string[] = []) =>
  loadSlos([
    { file: 'slo.yaml', text },
    ...more.map((other, index) => ({ file: `other-${index}.yaml`, text: other })),
  ]).findings.map((f) => [f.ruleId, f.location?.line ?? 0] as const);
const bucket = (le: string) => `sum(gen_ai_server_time_to_first_token_seconds_bucket{le="${le}"})`;
const requests = 'sum(gen_ai_server_request_duration_seconds_count)';

describe('lints', () => {
  it('finds nothing in a sound SLO', () => expect(lint(slo())).toEqual([]));
  it.each([
    [
      'a threshold that 90 % cannot reach',
      slo({ target: '0.9', policies: policy({ threshold: 14.4 }) }),
      'slo-threshold-unreachable',
      43,
    ],
    [
      'a threshold exactly at the maximum',
      slo({ target: '0.9', policies: policy({ threshold: 10 }) }),
      'slo-threshold-unreachable',
      43,
    ],
    ['a latency as threshold', slo({ policies: policy({ threshold: 500 }) }), 'slo-threshold-unit', 43],
    ['an inverted operator', slo({ policies: policy({ op: 'lt' }) }), 'slo-operator-inverted', 43],
    ['a factor below one', slo({ policies: policy({ threshold: 0.9333 }) }), 'slo-factor-below-one', 43],
    ['minutes for months', slo({ duration: '1m' }), 'slo-period-minutes', 24],
    ['a target of 1', slo({ target: '1' }), 'slo-target-out-of-range', 28],
    ['a target of 99.9', slo({ target: '99.9' }), 'slo-target-out-of-range', 28],
    ['targetPercent 100', slo({ objective: 'targetPercent: 100' }), 'slo-target-out-of-range', 28],
    ['no target', slo({ objective: 'displayName: x' }), 'slo-incomplete', 28],
    ['two targets', slo({ objective: 'target: 0.9\n      targetPercent: 90' }), 'slo-incomplete', 28],
    ['op on a ratio', slo({ objective: 'target: 0.99\n      op: lt\n      value: 1' }), 'slo-stray-threshold', 29],
    [
      'time slices without a window',
      slo({ method: 'Timeslices', objective: 'target: 0.99\n      timeSliceTarget: 0.9' }),
      'slo-incomplete',
      28,
    ],
    ['PromQL that does not parse', slo({ good: 'sum(requests_total{code!~"5.."}' }), 'slo-promql-invalid', 17],
    [
      'PromQL that does not parse, on its own line of a block',
      slo({ good: '|\n                sum(\n                  requests_total{code=}\n                )' }),
      'slo-promql-invalid',
      19,
    ],
    ['good equal to total', slo({ good: 'sum(requests_total)' }), 'slo-queries-identical', 17],
    ['total restricted where good is not', slo({ total: 'sum(requests_total{job="a"})' }), 'slo-selector-mismatch', 17],
    [
      'good restricted by two labels more',
      slo({ good: 'sum(requests_total{code!~"5..",job="a"})' }),
      'slo-selector-mismatch',
      17,
    ],
    ['a bound between two buckets', slo({ good: bucket('2'), total: requests }), 'slo-bucket-bound', 17],
    ['an infinite bound', slo({ good: bucket('+Inf'), total: requests }), 'slo-bucket-bound', 17],
    [
      'a latency SLO over successes only',
      slo({ good: bucket('2.5'), total: 'sum(gen_ai_server_time_to_first_token_seconds_count)' }),
      'slo-success-only-latency',
      22,
    ],
    ['a fixed range', slo({ good: 'sum(rate(requests_total{code!~"5.."}[5m]))' }), 'slo-fixed-range', 17],
    ['a dangling policy', slo({ policies: '    - alertPolicyRef: nothing' }), 'slo-dangling-reference', 30],
    [
      'a bad short window',
      slo({ policies: policy({ annotations: { 'mixgate.dev/short-window': 'soon' } }) }),
      'slo-incomplete',
      41,
    ],
    [
      'an unquoted calendar start',
      slo({
        window:
          'duration: 1M\n      isRolling: false\n      calendar:\n        startTime: 2026-01-01 00:00:00\n        timeZone: Europe/Berlin',
      }),
      'slo-timestamp-unquoted',
      27,
    ],
    [
      'an unknown time zone',
      slo({ window: 'duration: 1M\n      calendar:\n        startTime: "2026-01-01"\n        timeZone: Europe/Berlim' }),
      'slo-incomplete',
      27,
    ],
  ])('finds %s', (_title, text, rule, line) => expect(lint(text)).toEqual([[rule, line]]));
  it.each([
    ['a bucket bound', slo({ good: bucket('2.5'), total: requests })],
    ['a bound written 1.0', slo({ good: bucket('1.0'), total: requests })],
    ['a metric whose buckets are unknown', slo({ good: 'sum(latency_bucket{le="3"})', total: 'sum(latency_count)' })],
    ['a threshold just below the maximum', slo({ target: '0.9', policies: policy({ threshold: 9.9 }) })],
    [
      "Sloth's window placeholder",
      slo({
        good: '\'sum(rate(requests_total{code!~"5.."}[{{.window}}]))\'',
        total: "'sum(rate(requests_total[{{ .window }}]))'",
      }),
    ],
  ])('accepts %s', (_title, text) => expect(lint(text)).toEqual([]));
  it('resolves references across files', () => {
    const text = slo({ policies: '    - shared' }).replace(
      /indicator:\n[\s\S]*?timeWindow/,
      'indicatorRef: success\n  timeWindow',
    );
    const sli =
      'apiVersion: openslo/v1\nkind: SLI\nmetadata: {name: success}\nspec:\n  ratioMetric:\n    bad: {metricSource: {spec: {query: \'sum(requests_total{code=~"5.."})\'}}}\n    total: {metricSource: {spec: {query: sum(requests_total)}}}\n';
    const alert =
      'apiVersion: openslo/v1\nkind: AlertPolicy\nmetadata: {name: shared}\nspec:\n  conditions: [{conditionRef: fast}]\n---\napiVersion: openslo/v1\nkind: AlertCondition\nmetadata: {name: fast}\nspec: {severity: page, condition: {kind: burnrate, op: gt, threshold: 5, lookbackWindow: 1h}}\n';
    expect(lint(text, [sli, alert])).toEqual([]);
    expect(lint(text, [sli]).map(([rule]) => rule)).toEqual(['slo-dangling-reference']);
    expect(lint(text, [alert]).map(([rule]) => rule)).toEqual(['slo-dangling-reference']);
  });
  it('finds a name used twice', () => expect(lint(slo(), [slo()]).map(([rule]) => rule)).toEqual(['slo-duplicate']));
  it.each([
    ['OpenSLO v2alpha', 'apiVersion: openslo.com/v2alpha\nkind: SLO\n'],
    ['a Sloth file', 'version: prometheus/v1\nservice: x\napiVersion: sloth\n'],
    ['a Sloth resource', 'apiVersion: sloth.slok.dev/v1\nkind: PrometheusServiceLevel\n'],
    ['a Pyrra resource', 'apiVersion: pyrra.dev/v1alpha1\nkind: ServiceLevelObjective\n'],
  ])('recognises %s and says that it is not evaluated', (_title, text) =>
    expect(lint(slo(), [text])).toEqual([['slo-unsupported', expect.any(Number)]]),
  );
});

describe('bad files', () => {
  it.each([
    ['YAML that does not parse', 'a: [\n', 'slo.yaml:'],
    ['an empty file', '', 'holds no document'],
    ['another apiVersion', 'apiVersion: v1\nkind: Pod\n', 'slo.yaml:1:13: the apiVersion is "v1"'],
    ['an unknown kind', 'apiVersion: openslo/v1\nkind: Slo\n', 'the kind is "Slo"'],
    ['an unknown key', slo().replace('budgetingMethod', 'budgetMethod'), 'unknown key `budgetMethod`'],
    ['a misspelt method', slo({ method: 'Occurences' }), 'did you mean `Occurrences`?'],
    ['a duration that is none', slo({ duration: '28 days' }), 'slo.yaml:24:17'],
    ['a list where a mapping belongs', '- 1\n', 'apiVersion'],
    ['two windows', slo().replace('budgetingMethod', '  - duration: 1d\n  budgetingMethod'), 'timeWindow'],
  ])('explains %s', (_title, text, message) => expect(() => lint(text)).toThrow(message));
  it('collects the problems of all files', () => {
    expect(() => lint(slo({ method: 'x' }), ['apiVersion: openslo/v1\nkind: y\n'])).toThrow(/slo\.yaml:[\s\S]*other-0\.yaml:/);
  });
});
