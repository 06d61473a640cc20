import { expect, it } from 'vitest';
import { Exemplars, seriesKey } from '../src/telemetry/exemplars.ts';
import { INSTRUMENTS } from '../src/telemetry/instruments.ts';
import { Metrics } from '../src/telemetry/metrics.ts';
import { metricsRequest } from '../src/telemetry/otlp-metrics.ts';

const HISTOGRAM = { prometheus: 'm', buckets: [0.1, 1] };
const ids = (at: number): { traceId: string; spanId: string } => ({
  traceId: String(at).padStart(32, '0'),
  spanId: String(at).padStart(16, '0'),
});

it('keeps the last of each bucket and label set since the last collection', () => {
  const exemplars = new Exemplars();
  const note = (at: number, value: number, model: string): void =>
    exemplars.note(HISTOGRAM, { model }, { ...ids(at), value, unixNano: BigInt(at) });
  for (const [at, value, model] of [
    [1, 0.05, 'a'],
    [2, 0.1, 'a'],
    [3, 0.5, 'a'],
    [4, 7, 'a'],
    [5, 9, 'a'],
    [6, 0.5, 'b'],
  ] as const)
    note(at, value, model);
  const collection = exemplars.take();
  const times = (model: string): number[] => collection('m', seriesKey({ model })).map(({ unixNano }) => Number(unixNano));
  // Bounds are inclusive: 0.1 is in the first bucket, 7 and 9 are above all of them.
  expect([times('a'), times('b'), times('c')]).toEqual([[2, 3, 5], [6], []]);
  expect(exemplars.take()('m', seriesKey({ model: 'a' }))).toEqual([]);
});

it('links what a request measured to its span, and nothing where there is none', async () => {
  const metrics = new Metrics({ version: '0', cluster: 'c', model: 'm', modelVersion: '1' });
  const outcome = {
    labels: { operation: 'chat' as const, requestModel: 'm', responseModel: 'm' },
    ...{ tenant: 't', seconds: 2, errorType: undefined, firstTokenSeconds: 0.2, perTokenSeconds: 0.03 },
    ...{ promptTokens: 1, completionTokens: 2 },
  };
  metrics.observe({ ...outcome, span: ids(7) });
  metrics.observe({ ...outcome, errorType: 'timeout', firstTokenSeconds: undefined, span: ids(8) });
  metrics.observe({ ...outcome, seconds: 30 });
  const request = async (): Promise<string> => {
    const collected = await metrics.registry.getMetricsAsJSON();
    return JSON.stringify(
      metricsRequest(collected, { start: 0n, now: 1n }, {}, { name: 's', version: '1' }, metrics.exemplars.take()).request,
    );
  };
  interface Sent {
    resourceMetrics: Array<{
      scopeMetrics: Array<{
        metrics: Array<{
          name: string;
          histogram?: { dataPoints: Array<{ exemplars?: Array<{ traceId: string; asDouble: number }> }> };
        }>;
      }>;
    }>;
  }
  const first = JSON.parse(await request()) as Sent;
  const found = first.resourceMetrics[0]!.scopeMetrics[0]!.metrics.flatMap(({ name, histogram }) =>
    (histogram?.dataPoints ?? []).map(({ exemplars = [] }) => [
      name,
      exemplars.map(({ traceId, asDouble }) => [Number(traceId), asDouble]),
    ]),
  );
  expect(found.filter(([, exemplars]) => exemplars!.length > 0)).toEqual([
    [INSTRUMENTS.duration.name, [[7, 2]]],
    [INSTRUMENTS.duration.name, [[8, 2]]],
    [INSTRUMENTS.firstToken.name, [[7, 0.2]]],
    [INSTRUMENTS.perToken.name, [[7, 0.03]]],
  ]);
  expect(await request()).not.toContain('exemplars');
});
