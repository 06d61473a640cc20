import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  defaultPrometheusName,
  familyOf,
  prometheusLabel,
  prometheusNames,
  TRANSLATION_STRATEGIES,
  type TranslatedMetric,
} from '../../src/telemetry/prometheus-names.ts';

const metric = (name: string, unit: string, instrument: TranslatedMetric['instrument']): TranslatedMetric => ({
  name,
  unit,
  instrument,
});

describe('names in Prometheus', () => {
  test.each<[TranslatedMetric, string]>([
    [metric('gen_ai.server.time_to_first_token', 's', 'histogram'), 'gen_ai_server_time_to_first_token_seconds'],
    [metric('gen_ai.server.request.duration', 's', 'histogram'), 'gen_ai_server_request_duration_seconds'],
    [metric('gen_ai.client.token.usage', '{token}', 'histogram'), 'gen_ai_client_token_usage'],
    [metric('foo.bar', 'By', 'counter'), 'foo_bar_bytes_total'],
    [metric('foo.bar', 'm/s', 'gauge'), 'foo_bar_meters_per_second'],
    [metric('foo.bar', '1/s', 'gauge'), 'foo_bar_per_second'],
    [metric('foo.bar', '{request}/s', 'gauge'), 'foo_bar_per_second'],
    [metric('foo.seconds', 's', 'histogram'), 'foo_seconds'],
    [metric('foo.bar.total', '{x}', 'counter'), 'foo_bar_total'],
    [metric('foo..bar--baz', '1', 'counter'), 'foo_bar_baz_total'],
    [metric('2xx.responses', '{r}', 'counter'), '_2xx_responses_total'],
    [metric('queue.depth', '{request}', 'updowncounter'), 'queue_depth'],
    [metric('latency', 'ms', 'histogram'), 'latency_milliseconds'],
  ])('%o is %s', (input, expected) => {
    expect(defaultPrometheusName(input)).toBe(expected);
  });

  // The table of the notes on translation strategies: counter foo.bar in By.
  test.each([
    ['UnderscoreEscapingWithSuffixes', 'foo_bar_bytes_total'],
    ['UnderscoreEscapingWithoutSuffixes', 'foo_bar'],
    ['NoUTF8EscapingWithSuffixes', 'foo.bar_bytes_total'],
    ['NoTranslation', 'foo.bar'],
  ] as const)('strategy %s gives %s', (strategy, expected) => {
    expect(prometheusNames(metric('foo.bar', 'By', 'counter'), [strategy]).map((name) => name.base)).toEqual([expected]);
  });

  test('a gauge of unit 1 has both forms, with and without _ratio', () => {
    expect(
      prometheusNames(metric('engine.saturation', '1', 'gauge'), ['UnderscoreEscapingWithSuffixes']).map((name) => name.base),
    ).toEqual(['engine_saturation', 'engine_saturation_ratio']);
  });

  test('a histogram has its three series', () => {
    expect(prometheusNames(metric('a.b', 's', 'histogram'), ['UnderscoreEscapingWithSuffixes'])[0]!.series).toEqual([
      'a_b_seconds_bucket',
      'a_b_seconds_sum',
      'a_b_seconds_count',
      'a_b_seconds',
    ]);
    expect(familyOf('a_b_seconds_bucket')).toBe('a_b_seconds');
  });

  test.each([
    ['gen_ai.response.model', 'gen_ai_response_model'],
    ['a-b/c', 'a_b_c'],
    ['1st', 'key_1st'],
  ])('the label of %s is %s', (attribute, label) => expect(prometheusLabel(attribute)).toBe(label));

  test('escaped names are valid classic names, whatever goes in', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 40 }),
        fc.constantFrom('s', 'By', '1', '{x}', 'm/s', '%'),
        fc.constantFrom('counter', 'gauge', 'histogram', 'updowncounter'),
        (name, unit, instrument) => {
          fc.pre(/[A-Za-z0-9]/.test(name));
          for (const strategy of TRANSLATION_STRATEGIES.slice(0, 2)) {
            for (const { base } of prometheusNames(metric(name, unit, instrument), [strategy]))
              expect(base).toMatch(/^[A-Za-z_:][A-Za-z0-9_:]*$/);
          }
        },
      ),
    );
  });
});
