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
const none: Outcome = { undefined: true };
const failed: Outcome = { failure: { kind: 'conflict', message: 'x' } };

describe('classes of a changed decision', () => {
  test.each([
    ['refused to allowed', value({ allow: false }), value(served), 'widened'],
    ['allowed to refused', value(served), value({ ...served, allow: false }), 'narrowed'],
    ['another cluster', value(served), value({ ...served, target: { ...served.target, cluster: 'us' } }), 'rerouted'],
    ['another model', value(served), value({ ...served, target: { ...served.target, model: 'n' } }), 'rerouted'],
    ['other fallbacks', value(served), value({ ...served, fallbacks: ['b'] }), 'obligation-changed'],
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
