import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Json, JsonObject } from '../../src/core/json.ts';
import { differences } from '../../src/drift/difference.ts';
import { canonicalForm } from '../../src/kubernetes/lists.ts';
import { show } from '../../src/kubernetes/mask.ts';
import { object, type Ref, route } from './support.ts';

const same = (a: JsonObject, b: JsonObject): readonly string[] =>
  differences(String(a['kind']), object(a).value, object(b).value).map((each) => each.label);

const meta = { name: 'x', namespace: 'n' };
const deployment = (spec: JsonObject, container: JsonObject = {}): JsonObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: meta,
  spec: {
    selector: { matchLabels: { a: 'b' } },
    template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i:1', ...container }] } },
    ...spec,
  },
});

it('a key of a ConfigMap may have any name that Kubernetes allows', () => {
  const map = (text: string): JsonObject =>
    JSON.parse(
      `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"n"},"data":{"__proto__":"${text}","constructor":"c"}}`,
    );
  expect(same(map('a'), map('a'))).toEqual([]);
  expect(same(map('a'), map('b'))).toHaveLength(1);
});

describe('what an API server adds is no difference', () => {
  it.each<[string, JsonObject, JsonObject]>([
    [
      'server metadata and status',
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: meta },
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          ...meta,
          uid: 'u',
          resourceVersion: '1',
          generation: 3,
          creationTimestamp: 't',
          managedFields: [{}],
          selfLink: 's',
          annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
        },
        status: { x: 1 },
      },
    ],
    [
      'route defaults',
      route([{ name: 'a' }]),
      route([{ name: 'a', weight: 1, group: '', kind: 'Service' } as Ref], {
        matches: [{ path: { type: 'PathPrefix', value: '/' } }],
      }),
    ],
    ['the own namespace of a backend', route([{ name: 'a' }]), route([{ name: 'a', namespace: 'llm' } as Ref])],
    [
      'the old group of a pool in a route',
      route([{ name: 'p', group: 'inference.networking.k8s.io', kind: 'InferencePool' } as Ref]),
      route([{ name: 'p', group: 'inference.networking.x-k8s.io', kind: 'InferencePool' } as Ref]),
    ],
    [
      'deployment defaults',
      deployment({}),
      deployment(
        {
          replicas: 1,
          progressDeadlineSeconds: 600,
          revisionHistoryLimit: 10,
          strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
        },
        {
          imagePullPolicy: 'IfNotPresent',
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
          resources: {},
        },
      ),
    ],
    [
      'requests that come from limits',
      deployment({}, { resources: { limits: { memory: '1Gi' } } }),
      deployment({}, { resources: { limits: { memory: '1024Mi' }, requests: { memory: '1Gi' } } }),
    ],
    [
      'quantities',
      deployment({}, { resources: { requests: { cpu: '1000m', memory: '1G' } } }),
      deployment({}, { resources: { requests: { cpu: 1, memory: '1000M' } } }),
    ],
    [
      'null and empty members',
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: meta },
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { ...meta, labels: {} }, secrets: [], imagePullSecrets: null },
    ],
    [
      'the order of environment variables',
      deployment(
        {},
        {
          env: [
            { name: 'A', value: '1' },
            { name: 'B', value: '2' },
          ],
        },
      ),
      deployment(
        {},
        {
          env: [
            { name: 'B', value: '2' },
            { name: 'A', value: '1' },
          ],
        },
      ),
    ],
    [
      'timeouts in other units',
      route([{ name: 'a' }], { timeouts: { request: '1m' } }),
      route([{ name: 'a' }], { timeouts: { request: '60s' } }),
    ],
    [
      'an older API version of one schema',
      route([{ name: 'a' }]),
      { ...route([{ name: 'a' }]), apiVersion: 'gateway.networking.k8s.io/v1beta1' },
    ],
    [
      'stringData and data of a Secret',
      { apiVersion: 'v1', kind: 'Secret', metadata: meta, stringData: { k: 'v' } },
      { apiVersion: 'v1', kind: 'Secret', metadata: meta, type: 'Opaque', data: { k: 'dg==' } },
    ],
    [
      'flags of a model server in another form',
      deployment({}, { image: 'vllm/vllm-openai:v1', args: ['--model', 'm', '--max-model-len=8'] }),
      deployment({}, { image: 'vllm/vllm-openai:v1', args: ['--max-model-len', '8', '--model=m'] }),
    ],
    [
      'formatted Rego and JSON',
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: meta,
        data: { 'p.rego': 'package a\nb := 1', 'data.json': '{"a":1,"b":2}' },
      },
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: meta,
        data: { 'p.rego': 'package a\n\nb:=1\n', 'data.json': '{ "b": 2, "a": 1 }' },
      },
    ],
    [
      'addresses that a Service is given',
      { apiVersion: 'v1', kind: 'Service', metadata: meta, spec: { ports: [{ port: 80 }] } },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: meta,
        spec: {
          type: 'ClusterIP',
          clusterIP: '10.0.0.1',
          clusterIPs: ['10.0.0.1'],
          ipFamilies: ['IPv4'],
          ipFamilyPolicy: 'SingleStack',
          internalTrafficPolicy: 'Cluster',
          sessionAffinity: 'None',
          ports: [{ port: 80, targetPort: 80, protocol: 'TCP' }],
        },
      },
    ],
  ])('%s', (_name, git, live) => {
    expect(same(git, live)).toEqual([]);
  });

  it('converts an InferencePool of v1alpha2, and remembers it', () => {
    const old = object({
      apiVersion: 'inference.networking.x-k8s.io/v1alpha2',
      kind: 'InferencePool',
      metadata: meta,
      spec: { selector: { app: 'm' }, targetPortNumber: 8000, extensionRef: { name: 'epp' } },
    });
    const now = object({
      apiVersion: 'inference.networking.k8s.io/v1',
      kind: 'InferencePool',
      metadata: meta,
      spec: {
        selector: { matchLabels: { app: 'm' } },
        targetPorts: [{ number: 8000 }],
        endpointPickerRef: { name: 'epp', port: { number: 9002 } },
      },
    });
    expect(differences('InferencePool', now.value, old.value)).toEqual([]);
    expect([old.convertedFrom, now.convertedFrom]).toEqual(['inference.networking.x-k8s.io/v1alpha2', undefined]);
  });
});

describe('what means something is a difference', () => {
  it.each<[string, JsonObject, JsonObject, string]>([
    [
      '1G is not 1Gi',
      deployment({}, { resources: { limits: { memory: '1G' } } }),
      deployment({}, { resources: { limits: { memory: '1Gi' } } }),
      'memory',
    ],
    ['an image', deployment({}), deployment({}, { image: 'i:2' }), '.image'],
    [
      'a header match',
      route([{ name: 'a' }], { matches: [{ headers: [{ name: 'x', value: '1' }] }] }),
      route([{ name: 'a' }], { matches: [{ headers: [{ name: 'x', value: '2' }] }] }),
      'rules',
    ],
    [
      'an empty selector against none',
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: meta,
        spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] },
      },
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: meta,
        spec: { podSelector: {}, ingress: [{ from: [{ namespaceSelector: {} }] }] },
      },
      'from',
    ],
    [
      'a weight',
      route([
        { name: 'a', weight: 90 },
        { name: 'b', weight: 10 },
      ]),
      route([
        { name: 'a', weight: 80 },
        { name: 'b', weight: 20 },
      ]),
      'weight',
    ],
    [
      'a flag of a model server',
      deployment({}, { image: 'vllm/vllm-openai:v1', args: ['--model=m', '--quantization=fp8'] }),
      deployment({}, { image: 'vllm/vllm-openai:v1', args: ['--model=m'] }),
      'quantization',
    ],
    [
      'a headless Service',
      { apiVersion: 'v1', kind: 'Service', metadata: meta, spec: { clusterIP: 'None' } },
      { apiVersion: 'v1', kind: 'Service', metadata: meta, spec: { clusterIP: '10.0.0.1' } },
      'clusterIP',
    ],
  ])('%s', (_name, a, b, label) => {
    expect(same(a, b).join(' ')).toContain(label);
  });
});

describe('secrets', () => {
  const secret = (value: string): JsonObject => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: meta,
    stringData: { key: value },
  });
  const hidden = 'hunter2-very-secret';
  it('compare equal when they are equal, and differ when they differ', () => {
    expect(same(secret(hidden), secret(hidden))).toEqual([]);
    expect(same(secret(hidden), secret('other'))).toEqual(['.data.key']);
  });

  it.each<[string, JsonObject]>([
    ['Secret data', secret(hidden)],
    ['an environment variable', deployment({}, { env: [{ name: 'API_TOKEN', value: hidden }] })],
    ['a flag in two words', deployment({}, { args: ['--api-key', hidden] })],
    ['a flag in one word', deployment({}, { args: [`--api-key=${hidden}`] })],
    ['a flag of a model server', deployment({}, { image: 'vllm/vllm-openai:v1', args: ['--model=m', `--api-key=${hidden}`] })],
    [
      'a header that a route sets',
      route([{ name: 'a' }], {
        filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'Authorization', value: hidden }] } }],
      }),
    ],
    ['a header that a route matches', route([{ name: 'a' }], { matches: [{ headers: [{ name: 'x-api-key', value: hidden }] }] })],
    ['a ConfigMap key', { apiVersion: 'v1', kind: 'ConfigMap', metadata: meta, data: { password: hidden } }],
  ])('%s is in no compared value', (_name, value) => {
    expect(JSON.stringify(object(value).value)).not.toContain(hidden);
  });

  it('are shown as stars', () => {
    const value = object(secret(hidden)).value['data'] as JsonObject;
    expect(show(value, 'before')).toBe('{"key":"*** (before)"}');
    expect(show('postgres://user:hunter2@db/x')).toBe('postgres://***@db/x');
  });
});

describe('properties', () => {
  const refs = fc.uniqueArray(fc.record({ name: fc.stringMatching(/^[a-z]{1,8}$/), weight: fc.integer({ min: 0, max: 1000 }) }), {
    selector: (ref) => ref.name,
    minLength: 1,
    maxLength: 6,
  });

  it('permuting backends and scaling weights is no drift', () => {
    fc.assert(
      fc.property(refs, fc.integer({ min: 1, max: 1000 }), fc.infiniteStream(fc.nat()), (list, factor, order) => {
        const shuffled = list
          .map((ref) => ({ ref: { ...ref, weight: ref.weight * factor }, at: order.next().value as number }))
          .sort((a, b) => a.at - b.at);
        expect(same(route(list), route(shuffled.map(({ ref }) => ref)))).toEqual([]);
      }),
    );
  });

  it('normalising twice changes nothing, for any object', () => {
    const json = fc.letrec<{ value: Json; object: JsonObject }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.string(),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('value'), { maxLength: 3 }),
        tie('object'),
      ),
      object: fc.dictionary(
        fc.constantFrom(
          'name',
          'value',
          'weight',
          'backendRefs',
          'rules',
          'matches',
          'path',
          'limits',
          'memory',
          'env',
          'containers',
          'args',
          'image',
          'template',
          'data',
          'headers',
          'selector',
        ),
        tie('value'),
        { maxKeys: 4 },
      ) as fc.Arbitrary<JsonObject>,
    }));
    fc.assert(
      fc.property(
        fc.constantFrom(
          'gateway.networking.k8s.io/v1 HTTPRoute',
          'apps/v1 Deployment',
          'v1 ConfigMap',
          'v1 Secret',
          'inference.networking.x-k8s.io/v1alpha2 InferencePool',
          'v1 Service',
          'x.example/v1 Other',
        ),
        json.object,
        json.object,
        (type, spec, data) => {
          const [apiVersion, kind] = type.split(' ') as [string, string];
          const once = object({ apiVersion, kind, metadata: meta, spec, data });
          const twice = object(once.value);
          expect(twice.value).toEqual(once.value);
          expect(canonicalForm(kind, twice.value)).toEqual(canonicalForm(kind, once.value));
        },
      ),
      { numRuns: 500 },
    );
  });
});
