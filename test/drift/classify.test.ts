// What a difference between Git and a cluster can do, by the kind of object and the place in it.
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { classify, isPolicyBundle, isRouting } from '../../src/drift/classify.ts';
import type { Difference } from '../../src/drift/difference.ts';
import { object } from '../kubernetes/support.ts';

const of = (kind: string, labels: JsonObject = {}) =>
  object({ apiVersion: 'v1', kind, metadata: { name: 'x', namespace: 'llm', labels }, spec: {} });
const classOf = (
  kind: string,
  label: string,
  sides: { left?: unknown; right?: unknown } = { left: 'a', right: 'b' },
  labels: JsonObject = {},
): string => {
  const { rule, class: grave } = classify(of(kind, labels), { path: [], label, ...sides } as unknown as Difference);
  return `${rule.replace('drift-', '')} ${grave}`;
};
const POD = '.spec.template.spec.containers[vllm]';

describe('a difference', () => {
  it.each([
    ['Deployment', `${POD}.image`, 'model-changed traffic'],
    ['StatefulSet', `${POD}.args.model`, 'model-changed traffic'],
    ['DaemonSet', `${POD}.args.kv-cache-dtype`, 'model-changed traffic'],
    ['Deployment', '.spec.template.metadata.labels["mixgate.dev/model-version"]', 'model-changed traffic'],
    ['Deployment', '.spec.template.metadata.labels["app"]', 'field-changed cosmetic'],
    ['Deployment', `${POD}.args.port`, 'field-changed safety'],
    ['Deployment', `${POD}.imagePullPolicy`, 'field-changed cosmetic'],
    ['Deployment', `${POD}.securityContext.privileged`, 'field-changed safety'],
    ['Deployment', '.spec.selector.matchLabels.app', 'field-changed traffic'],
    ['Deployment', '.spec.revisionHistoryLimit', 'field-changed cosmetic'],
    ['Deployment', '.spec.replicas', 'field-changed cosmetic'],
    ['Job', `${POD}.image`, 'field-changed safety'],
    ['HTTPRoute', '.spec.rules[0].matches', 'field-changed traffic'],
    ['InferencePool', '.spec.selector', 'field-changed traffic'],
    ['Service', '.spec.ports[0].port', 'field-changed traffic'],
    ['HTTPRoute', '.metadata.labels["a"]', 'field-changed cosmetic'],
    ['ConfigMap', '.data["routing.rego"]', 'policy-changed safety'],
    ['ConfigMap', '.data.limits.json', 'policy-changed safety'],
    ['ConfigMap', '.binaryData["bundle"]', 'field-changed safety'],
    ['ConfigMap', '.metadata.annotations["a.rego"]', 'field-changed cosmetic'],
    ['NetworkPolicy', '.spec.egress', 'field-changed safety'],
  ])('of a %s at %s is %s', (kind, label, expected) => expect(classOf(kind, label)).toBe(expected));

  it.each([
    [3, 5, 'cosmetic'],
    [0, 3, 'traffic'],
    [3, 0, 'traffic'],
  ])('from %i to %i replicas is %s', (left, right, grave) =>
    expect(classOf('Deployment', '.spec.replicas', { left, right })).toBe(`field-changed ${grave}`),
  );

  const BACKEND = '.spec.rules[0].backendRefs[a]';
  it.each([
    ['comes without traffic', BACKEND, { right: { name: 'a', weight: 0 } }, 'cosmetic'],
    ['goes without traffic', BACKEND, { left: { name: 'a', weight: 0 } }, 'cosmetic'],
    ['comes with traffic', BACKEND, { right: { name: 'a', weight: 1 } }, 'traffic'],
    ['comes with the weight of 1 that is not written', BACKEND, { right: { name: 'a' } }, 'traffic'],
    ['is another one', BACKEND, { left: { name: 'a', weight: 0 }, right: { name: 'b', weight: 9 } }, 'traffic'],
    ['gets another weight', `${BACKEND}.weight`, { left: 0, right: 9 }, 'traffic'],
  ])('of a backend that %s is %s', (_title, label, sides, grave) =>
    expect(classOf('HTTPRoute', label, sides)).toBe(`field-changed ${grave}`),
  );

  it('of a policy bundle is one of a policy, whatever its key', () => {
    for (const label of ['mixgate.dev/policy-bundle', 'openpolicyagent.org/policy']) {
      expect(isPolicyBundle(of('ConfigMap', { [label]: 'routing' }))).toBe(true);
      expect(classOf('ConfigMap', '.data.anything', undefined, { [label]: 'routing' })).toBe('policy-changed safety');
    }
    expect(isPolicyBundle({ value: {} })).toBe(false);
    expect(isPolicyBundle({ value: { metadata: null } })).toBe(false);
    expect(isPolicyBundle({ value: { metadata: [] } })).toBe(false);
  });
});

it('knows what routes', () => expect(['HTTPRoute', 'Service', 'Deployment'].map(isRouting)).toEqual([true, true, false]));
