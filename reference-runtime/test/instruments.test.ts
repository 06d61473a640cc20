import { expect, test } from 'vitest';
import { INSTRUMENTS } from '../src/telemetry/instruments.ts';
import { Metrics } from '../src/telemetry/metrics.ts';

test('every metric of /metrics is an instrument of the table, and the other way round', async () => {
  const metrics = new Metrics({ version: '0', cluster: 'c', model: 'm', modelVersion: '1' });
  const served = (await metrics.registry.getMetricsAsJSON()).map(({ name, type, help }) => ({ name, kind: String(type), help }));
  const declared = Object.values(INSTRUMENTS).map(({ prometheus, kind, help }) => ({ name: prometheus, kind, help }));
  // target_info is Prometheus' own form of the resource.
  expect(served.filter(({ name }) => name !== 'target_info')).toEqual(declared);
});

test('target_info has the resource', async () => {
  const attributes = { 'deployment.environment.name': 'production', '9lives': 'yes', 'service.instance.id': 'x', '': 'no' };
  const metrics = new Metrics({ version: '0', cluster: 'c', model: 'm', modelVersion: '1', attributes });
  expect(await metrics.registry.getSingleMetricAsString('target_info')).toContain(
    'target_info{service_name="mixgate-runtime",service_version="0",cluster="c",model="m",model_version="1",deployment_environment_name="production",_9lives="yes"} 1',
  );
});
