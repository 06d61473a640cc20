import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseYaml } from '../../src/config/document.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { applyDefaults, defaultsOfCrd } from '../../src/kubernetes/defaults.ts';
import { GATEWAY_DEFAULTS } from '../../src/kubernetes/gateway-defaults.ts';
import { HAS_SHARED_DATA, SHARED_DATA } from './support.ts';

describe('applyDefaults, as an API server does', () => {
  const node = {
    properties: {
      a: { default: 1 },
      b: { default: { x: 1 }, properties: { x: { default: 1 }, y: { default: 2 } } },
      c: { properties: { d: { default: 'deep' } } },
      n: { default: 0, nullable: true as const },
      l: { items: { properties: { w: { default: 1 } } } },
      m: { additionalProperties: { properties: { k: { default: true } } } },
    },
  };
  it.each([
    ['an absent key', {}, { a: 1, b: { x: 1, y: 2 }, n: 0 }],
    ['a null in a field that is not nullable', { a: null }, { a: 1, b: { x: 1, y: 2 }, n: 0 }],
    ['a null that means null', { n: null }, { a: 1, b: { x: 1, y: 2 }, n: null }],
    ['nothing below an absent parent, all below a present one', { c: {} }, { a: 1, b: { x: 1, y: 2 }, c: { d: 'deep' }, n: 0 }],
    ['what is there stays', { a: 5, b: { x: 7 } }, { a: 5, b: { x: 7, y: 2 }, n: 0 }],
    [
      'members of lists and maps',
      { l: [{}, { w: 0 }], m: { one: {} } },
      { a: 1, b: { x: 1, y: 2 }, l: [{ w: 1 }, { w: 0 }], m: { one: { k: true } }, n: 0 },
    ],
  ])('%s', (_name, value, filled) => {
    expect(applyDefaults(value, node)).toEqual(filled);
  });

  it('gives a header-only match of an HTTPRoute its path', () => {
    const filled = applyDefaults(
      { spec: { rules: [{ matches: [{ headers: [{ name: 'x', value: 'y' }] }] }] } },
      GATEWAY_DEFAULTS.get('gateway.networking.k8s.io/v1/HTTPRoute')!,
    );
    expect(filled).toEqual({
      spec: {
        rules: [{ matches: [{ headers: [{ name: 'x', value: 'y', type: 'Exact' }], path: { type: 'PathPrefix', value: '/' } }] }],
      },
    });
  });
});

describe('defaultsOfCrd', () => {
  it('takes defaults of spec and leaves status and metadata alone', () => {
    const crd: JsonObject = {
      spec: {
        group: 'g.example',
        names: { kind: 'K' },
        versions: [
          {
            name: 'v1',
            schema: {
              openAPIV3Schema: {
                properties: {
                  spec: { properties: { a: { type: 'string', default: 'x' }, b: { type: 'string' } } },
                  status: { properties: { s: { default: 1 } } },
                },
              },
            },
          },
        ],
      },
    };
    expect([...defaultsOfCrd(crd)]).toEqual([
      ['g.example/v1/K', { properties: { spec: { properties: { a: { default: 'x' } } } } }],
    ]);
  });

  it.each([{}, { spec: 1 }, { spec: { group: 'g', names: { kind: 'K' }, versions: [1, null, {}] } }])(
    'finds nothing in %j',
    (crd) => {
      expect(defaultsOfCrd(crd as JsonObject).size).toBe(0);
    },
  );
});

describe.skipIf(!HAS_SHARED_DATA)('the embedded defaults against the real CRDs (skipped where the shared data is absent)', () => {
  it.each([
    ['httproutes.yaml', 'gateway.networking.k8s.io/v1/HTTPRoute'],
    ['inferencepools.yaml', 'inference.networking.k8s.io/v1/InferencePool'],
  ])('%s', (file, key) => {
    const crd = parseYaml(readFileSync(join(SHARED_DATA, 'k8s/crd', file), 'utf8'), file).value as JsonObject;
    expect(GATEWAY_DEFAULTS.get(key)).toEqual(defaultsOfCrd(crd).get(key));
  });
});
