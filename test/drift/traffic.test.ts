// Where the requests of a route go, rule by rule, and what a change moves.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { age, durationMs, instantMs } from '../../src/drift/time.ts';
import { percent, points, poolVersions, ruleShares, shareChanges } from '../../src/drift/traffic.ts';
import { readManifests } from '../../src/kubernetes/load.ts';

const objects = (text: string) => readManifests(text, 'x.yaml').objects;
const ROUTE = (kind: string, spec: string, labels = '') => `apiVersion: x/v1
kind: ${kind}
metadata: { name: r, namespace: llm, labels: {${labels}} }
spec: ${spec}
`;
const sharesOf = (text: string) =>
  ruleShares(objects(text)[0]!, new Map()).map(({ model, backends }) => [
    model,
    ...backends.map(({ name, share }) => `${name} ${share}`),
  ]);

describe('shares of a rule', () => {
  // Gateway API, BackendRef.weight: proportion of the sum of weights, 1 where absent, nothing where all are 0.
  it.each([
    [
      'weights',
      'HTTPRoute',
      '{ rules: [{ backendRefs: [{ name: a, weight: 9 }, { name: b, weight: 3 }] }] }',
      [['r', 'a 0.75', 'b 0.25']],
    ],
    ['no weights', 'GRPCRoute', '{ rules: [{ backendRefs: [{ name: a }, { name: b }] }] }', [['r', 'a 0.5', 'b 0.5']]],
    ['only zeros', 'HTTPRoute', '{ rules: [{ backendRefs: [{ name: a, weight: 0 }] }] }', [['r', 'a 0']]],
    ['no backend', 'HTTPRoute', '{ rules: [{ filters: [] }] }', [['r']]],
    ['no rules', 'HTTPRoute', '{}', []],
    [
      'several rules',
      'HTTPRoute',
      '{ rules: [{ backendRefs: [{ name: a }] }, { backendRefs: [{ name: b }] }] }',
      [
        ['r rule 1', 'a 1'],
        ['r rule 2', 'b 1'],
      ],
    ],
    [
      'priorities: only the lowest carries traffic',
      'AIGatewayRoute',
      '{ rules: [{ backendRefs: [{ name: a, priority: 1 }, { name: b, weight: 3 }, { name: c, priority: 0 }] }] }',
      [['r', 'a 0', 'b 0.75', 'c 0.25']],
    ],
    [
      'priorities of a route that has none',
      'HTTPRoute',
      '{ rules: [{ backendRefs: [{ name: a, priority: 1 }, { name: b }] }] }',
      [['r', 'a 0.5', 'b 0.5']],
    ],
    [
      'subsets of a host',
      'VirtualService',
      '{ http: [{ route: [{ destination: { host: h, subset: v1 }, weight: 90 }, { destination: { host: h, subset: v2 }, weight: 10 }] }] }',
      [['r', 'h v1 0.9', 'h v2 0.1']],
    ],
    ['another kind', 'Ingress', '{ rules: [{ backendRefs: [{ name: a }] }] }', []],
  ])('%s', (_title, kind, spec, expected) => expect(sharesOf(ROUTE(kind, spec))).toEqual(expected));

  it('are of the model that the route names', () =>
    expect(sharesOf(ROUTE('HTTPRoute', '{ rules: [{ backendRefs: [{ name: a }] }] }', 'mixgate.dev/model: chat'))).toEqual([
      ['chat', 'a 1'],
    ]));
});

describe('what a change moves', () => {
  const rule = (refs: Record<string, number>) =>
    ruleShares(
      objects(
        ROUTE(
          'HTTPRoute',
          JSON.stringify({ rules: [{ backendRefs: Object.entries(refs).map(([name, weight]) => ({ name, weight })) }] }),
        ),
      )[0]!,
      new Map(),
    )[0]!;
  it('is what left some backends and came to others, and nothing by scaling all weights', () => {
    const weights = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 0, max: 1000 }), { minKeys: 1 });
    fc.assert(
      fc.property(weights, weights, fc.integer({ min: 2, max: 7 }), (before, after, factor) => {
        const [left, right] = [rule(before), rule(after)];
        const changes = shareChanges(left, right);
        const total = (of: typeof left) => of.backends.reduce((sum, { share }) => sum + share, 0);
        const moved = changes.reduce((sum, change) => sum + change.right - change.left, 0);
        expect(moved).toBeCloseTo(total(right) - total(left), 9);
        for (const change of changes) {
          expect(change.left).toBe(left.backends.find(({ name }) => name === change.name)?.share ?? 0);
          expect(change.right).toBe(right.backends.find(({ name }) => name === change.name)?.share ?? 0);
          expect(change.left).not.toBe(change.right);
        }
        const scaled = Object.fromEntries(Object.entries(before).map(([name, weight]) => [name, weight * factor]));
        expect(shareChanges(left, rule(scaled))).toEqual([]);
      }),
    );
  });
  const first = (kind: string, spec: string) =>
    ruleShares(objects(ROUTE(kind, spec))[0]!, new Map([['InferencePool/llm/a', 'chat 1']]))[0]!;
  const to = (ref: string) => first('HTTPRoute', `{ rules: [{ backendRefs: [${ref}] }] }`);
  it.each([
    ['another name', '{ name: a }', '{ name: b }', 2],
    ['another port', '{ name: a, port: 80 }', '{ name: a, port: 81 }', 2],
    ['another namespace', '{ name: a }', '{ name: a, namespace: other }', 2],
    ['its own namespace, written', '{ name: a }', '{ name: a, namespace: llm }', 0],
    ['another kind', '{ name: a }', '{ name: a, kind: InferencePool }', 2],
    ['its own kind, written', '{ name: a }', '{ name: a, kind: Service, group: "" }', 0],
    ['another group', '{ name: a, group: x }', '{ name: a, group: y }', 2],
  ])('is all of it with %s', (_title, before, after, changes) =>
    expect(shareChanges(to(before), to(after))).toHaveLength(changes),
  );
  it('is all of it with another port of a host', () => {
    const host = (port: string) => first('VirtualService', `{ http: [{ route: [{ destination: { host: h${port} } }] }] }`);
    expect(shareChanges(host(', port: { number: 80 }'), host(', port: { number: 81 }'))).toHaveLength(2);
    expect(shareChanges(host(', port: {}'), host(''))).toEqual([]);
    expect(host('').backends[0]?.name).toBe('h');
  });
  it('is nothing between two mentions of one backend', () => {
    expect(
      shareChanges(to('{ name: a, weight: 5 }, { name: a, weight: 5 }'), to('{ name: a, weight: 10 }, { name: a, weight: 0 }')),
    ).toEqual([]);
    expect(
      shareChanges(to('{ name: a }, { name: a }, { name: b, weight: 2 }'), to('{ name: a, weight: 2 }, { name: b, weight: 6 }')),
    ).toMatchObject([
      { name: 'a', left: 0.5, right: 0.25 },
      { name: 'b', left: 0.5, right: 0.75 },
    ]);
  });
  it('says what the backend serves, on either side', () => {
    const [pool, service] = [to('{ name: a, kind: InferencePool }'), to('{ name: b }')];
    expect(shareChanges(pool, service).map(({ name, serves }) => [name, serves])).toEqual([
      ['a', 'chat 1'],
      ['b', undefined],
    ]);
    expect(shareChanges(service, pool).map(({ name, serves }) => [name, serves])).toEqual([
      ['b', undefined],
      ['a', 'chat 1'],
    ]);
  });
  it('has its place on both sides: the weight, or the rule where the backend is missing', () => {
    const [change, came] = shareChanges(rule({ a: 1 }), rule({ a: 3, b: 1 }));
    expect(change).toMatchObject({
      leftPath: ['spec', 'rules', 0, 'backendRefs', 0, 'weight'],
      rightPath: ['spec', 'rules', 0, 'backendRefs', 0, 'weight'],
    });
    expect(came).toMatchObject({ name: 'b', left: 0, right: 0.25, leftPath: ['spec', 'rules', 0] });
  });
});

it('the version of a pool is its own label, else that of the pods it selects, where they agree', () => {
  const text = `
apiVersion: v1
kind: Service
metadata: { name: own, namespace: llm, labels: { mixgate.dev/model: chat, mixgate.dev/model-version: "1" } }
---
apiVersion: x/v1
kind: InferencePool
metadata: { name: by-pods, namespace: llm }
spec: { selector: { matchLabels: { app: v2, tier: all } } }
---
apiVersion: v1
kind: Service
metadata: { name: mixed, namespace: llm }
spec: { selector: { tier: all } }
---
apiVersion: v1
kind: Service
metadata: { name: none, namespace: llm }
---
apiVersion: v1
kind: Service
metadata: { name: by-selector, namespace: llm }
spec: { selector: { app: v3 } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: d2, namespace: llm }
spec: { template: { metadata: { labels: { app: v2, tier: all, mixgate.dev/model-version: "2" } } } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: d3, namespace: llm, labels: { mixgate.dev/model-version: "9" } }
spec: { template: { metadata: { labels: { app: v3, tier: all, mixgate.dev/model-version: "3" } } } }
`;
  expect(Object.fromEntries(poolVersions(objects(text)))).toEqual({
    'Service/llm/own': 'chat 1',
    'InferencePool/llm/by-pods': '2',
    'Service/llm/by-selector': '3',
  });
});

it.each([
  [percent(0.125), '12.5 %'],
  [percent(1 / 3), '33.33 %'],
  [points(0.125), '+12.5 pp'],
  [points(-0.3), '-30 pp'],
  [points(0), '0 pp'],
  [age(59 * 60_000), '59 min'],
  [age(60 * 60_000), '1 h'],
  [age(47.9 * 3_600_000), '47 h'],
  [age(48 * 3_600_000), '2 d'],
])('%s is %s', (shown, expected) => expect(shown).toBe(expected));

it.each([
  ['90s', 90_000],
  ['15m', 900_000],
  ['24h', 86_400_000],
  ['7d', 604_800_000],
])('%s is %i ms', (text, ms) => expect(durationMs(text)).toBe(ms));

it.each([
  ['2026-01-15T07:00:00Z', Date.UTC(2026, 0, 15, 7)],
  ['2026-01-15T07:00:00.5+02:00', Date.UTC(2026, 0, 15, 5, 0, 0, 500)],
  ['2026-01-15', undefined],
  ['2026-13-15T07:00:00Z', undefined],
  ['x2026-01-15T07:00:00Z', undefined],
])('the instant %s', (text, ms) => expect(instantMs(text)).toBe(ms));
