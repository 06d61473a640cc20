import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RequestContext } from '../../reference-runtime/src/server/context.ts';
import { STAGES } from '../../reference-runtime/src/server/errors.ts';
import { requestSpans } from '../../reference-runtime/src/server/request-spans.ts';
import { INSTRUMENTS, type Instrument } from '../../reference-runtime/src/telemetry/instruments.ts';
import { exportRequest } from '../../reference-runtime/src/telemetry/otlp.ts';
import { DROP_REASONS, SIGNALS } from '../../reference-runtime/src/telemetry/signal.ts';
import { checkSamples } from '../../src/telemetry/otlp/samples.ts';
import { prometheusNames } from '../../src/telemetry/prometheus-names.ts';
import { loadRegistries } from '../../src/telemetry/registry/load.ts';
import { folderTree } from '../../src/workspace/tree.ts';
import { ROOT } from '../support/cli.ts';

const { registry } = await loadRegistries(folderTree(join(ROOT, 'examples/fleet')), [{ path: 'telemetry/registry' }]);

describe('the reference runtime against the registry of the fleet', () => {
  test('its spans conform, with routing, fallback and error', async () => {
    const context = {
      decisionId: 'd-1',
      receivedAt: 0,
      receivedUnixNano: 1795305600000000000n,
      traceId: '5b8efff798038103d269b633813fc60c',
      spanId: 'eee19b7ec3c1b174',
      parentSpanId: undefined,
      attributes: { includeTimings: true, includeMoe: true, includeExperts: false },
      remote: '',
      stages: [{ name: 'policy', start: 1, end: 2 }],
      revision: 'r1',
      fallback: 'POOL_INCAPABLE',
      passedOver: [{ pool: 'us-east-gpu', missing: ['tools'] }],
      trace: 'usage',
      policyMs: 1,
      queueMs: 1,
      engineStartedAt: 3,
      tokenTimes: [5, 6],
      promptTokens: 4,
      completionTokens: 2,
      finishReason: 'stop',
      identity: { tenant: 'globex' },
      decision: { rule: 'cheapest_warm', split: { id: 'micro' }, shadow: { target: { pool: 'us-east-cpu-next' } } },
      arm: { id: 'canary' },
      shadow: 'SENT',
      cost: { amount: 0.25, currency: 'EUR', price: 'stale', asOf: '2026-01-01' },
      target: { cluster: 'us-east', pool: 'us-east-cpu', model: 'mixtral-micro', version: '1.0.0' },
      request: {
        endpoint: 'completions',
        model: 'mixtral-micro',
        maxTokens: 2,
        temperature: 1,
        topP: 1,
        seed: 7,
        requires: [{ capability: 'tools' }],
      },
      routing: { tokensTraced: 4, dropped: 0, layers: [{ layer: 0, usage: [4, 4, 0, 0], gateEntropyNats: 1, top2Margin: 0.5 }] },
    } as unknown as RequestContext;
    const spans = requestSpans(context, 10, {
      status: 500,
      error: { type: 'engine_failed', message: 'x' },
      model: 'mixtral-micro',
    });
    const request = exportRequest(
      spans,
      { 'service.name': 'mixgate-runtime', 'mixgate.cluster': 'us-east' },
      { name: 'mixgate-runtime', version: '0.1.0' },
    );
    const result = await checkSamples([{ path: 'spans.json', chunks: [Buffer.from(JSON.stringify(request))] }], {
      registry,
      events: new Map(),
      clusters: [],
    });
    expect(result.findings.map((finding) => finding.message)).toEqual([]);
    expect([...result.observed.schemaUrls.keys()]).toEqual(['us-east']);
    expect(result.observed.spans.count).toBe(2);
  });

  test('its instruments are the ones the registry declares: names, kinds, units, bounds and attributes', () => {
    const declared = (key: string, instrument: Instrument): object => {
      const metric = registry.metrics.get(instrument.name);
      if (metric === undefined) return { key, name: instrument.name, problem: 'the registry does not declare it' };
      return {
        key,
        name: metric.name,
        kind: metric.instrument,
        unit: metric.unit,
        buckets: metric.bounds,
        attributes: [...metric.attributes.values()]
          .filter((attribute) => attribute.requirement !== 'opt_in')
          .map(({ name, definition }) => [
            name,
            definition?.type.kind === 'scalar' && definition.type.name === 'int' ? 'int' : 'string',
          ])
          .sort(),
        prometheus: prometheusNames(metric, ['UnderscoreEscapingWithSuffixes']).map(({ base }) => base),
      };
    };
    for (const [key, instrument] of Object.entries<Instrument>(INSTRUMENTS)) {
      const names = prometheusNames({ ...instrument, instrument: instrument.kind }, ['UnderscoreEscapingWithSuffixes']);
      expect(declared(key, instrument)).toEqual({
        key,
        name: instrument.name,
        kind: instrument.kind,
        unit: instrument.unit,
        buckets: instrument.buckets,
        attributes: Object.entries(instrument.attributes).sort(),
        prometheus: names.map(({ base }) => base),
      });
      expect(names.map(({ base }) => base)).toContain(instrument.prometheus);
    }
  });

  test.each([
    ['mixgate.stage', STAGES],
    ['mixgate.signal', SIGNALS],
    ['mixgate.telemetry.reason', DROP_REASONS],
  ])('the values of %s are members of the registry', (name, values) => {
    const type = registry.attributes.get(name)?.type;
    const members = type?.kind === 'enum' ? [...type.members.values()].map(({ value }) => value) : [];
    expect(members).toEqual(expect.arrayContaining([...values]));
  });
});
