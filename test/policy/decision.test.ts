import { describe, expect, test } from 'vitest';
import { classify, jurisdictionOf } from '../../src/policy/decision.ts';
import type { Outcome } from '../../src/policy/wasm.ts';

const value = (decision: unknown): Outcome => ({ value: JSON.stringify(decision) });
const served = {
  allow: true,
  target: { cluster: 'eu', pool: 'a', model: 'm', version: '1' },
  fallbacks: [],
  rule: 'r',
  reasons: ['X'],
  message: 'm',
};
const split = { id: 's', key: 't', arms: [{ id: 'a', weight: 1, target: served.target }] };
const shadow = { share: 0.1, target: served.target };
const none: Outcome = { undefined: true };
const failed: Outcome = { failure: { kind: 'conflict', message: 'x' } };

describe('classes of a changed decision', () => {
  test.each([
    ['refused to allowed', value({ allow: false }), value(served), 'widened'],
    ['allowed to refused', value(served), value({ ...served, allow: false }), 'narrowed'],
    ['another cluster', value(served), value({ ...served, target: { ...served.target, cluster: 'us' } }), 'rerouted'],
    ['another model', value(served), value({ ...served, target: { ...served.target, model: 'n' } }), 'rerouted'],
    ['other fallbacks', value(served), value({ ...served, fallbacks: ['b'] }), 'obligation-changed'],
    ['a split', value(served), value({ ...served, split }), 'rerouted'],
    ['other weights', value({ ...served, split }), value({ ...served, split: { ...split, arms: [] } }), 'rerouted'],
    ['another key to stick to', value({ ...served, split }), value({ ...served, split: { ...split, key: 'u' } }), 'rerouted'],
    ['a copy', value(served), value({ ...served, shadow }), 'obligation-changed'],
    ['another share of copies', value({ ...served, shadow }), value({ ...served, shadow: { share: 1 } }), 'obligation-changed'],
    ['another rule', value(served), value({ ...served, rule: 's' }), 'reason-changed'],
    ['other reasons', value(served), value({ ...served, reasons: [] }), 'reason-changed'],
    ['undefined to defined', none, value(served), 'became-defined'],
    ['defined to undefined', value(served), none, 'became-undefined'],
    ['decided to error', value(served), failed, 'error'],
    ['undefined to error', none, failed, 'error'],
    ['error to decided', failed, value(served), 'error-fixed'],
    ['booleans widen', value(false), value(true), 'widened'],
    ['booleans narrow', value(true), value(false), 'narrowed'],
    ['other values move', value('a'), value('b'), 'rerouted'],
  ])('%s', (_name, base, head, expected) => {
    expect(classify(base, head)?.class).toBe(expected);
  });
  test.each([
    ['equal decisions', value(served), value(served)],
    ['another order of members', value({ a: 1, b: 2 }), value({ b: 2, a: 1 })],
    ['another message text', value(served), value({ ...served, message: 'other' })],
    ['a member of null and none', value(served), value({ ...served, split: null, shadow: null })],
    ['both undefined', none, none],
    ['both errors', failed, failed],
  ])('%s are no change', (_name, base, head) => {
    expect(classify(base, head)).toBeUndefined();
  });
  test('the jurisdiction comes from data, then from the input', () => {
    const data = { fleet: { clusters: { eu: { jurisdiction: 'EU' } } } };
    expect(jurisdictionOf(served, data, {})).toBe('EU');
    expect(jurisdictionOf(served, {}, { fleet: { pools: [{ id: 'a', jurisdiction: 'IN' }] } })).toBe('IN');
    expect(jurisdictionOf(served, {}, {})).toBeUndefined();
  });
});
