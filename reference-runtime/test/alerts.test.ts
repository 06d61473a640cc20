// The shipped alert rules, checked and run by promtool.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { prometheusTools } from '../../test/support/prometheus.ts';
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
}
const rules = (parse(readFileSync(RULES, 'utf8')) as { groups: Array<{ rules: Rule[] }> }).groups.flatMap((group) => group.rules);

it('the rules are valid and ask for metrics that exist', async () => {
  promtool(['check', 'rules', RULES]);
  const metrics = new Metrics({ version: '0', cluster: 'c', model: 'm', modelVersion: '1' });
  const known = new Set((await metrics.registry.getMetricsAsJSON()).map((metric) => metric.name));
  expect(rules.map(({ expr }) => /^[a-z_]+/.exec(expr)?.[0] ?? '').filter((name) => !known.has(name))).toEqual([]);
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
