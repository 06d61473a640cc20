import { describe, expect, test } from 'vitest';
import { changedFields, classify, jurisdictionOf } from '../../src/policy/decision.ts';
import { decisionValues, MAX_VALUES, ValueTally } from '../../src/policy/decision-values.ts';
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
    ['refused to a decision that does not say', value({ allow: false }), value({ pool: 'a' }), 'widened'],
    ['allowed to a decision that does not say', value({ allow: true }), value({ pool: 'a' }), 'narrowed'],
    ['what does not say to allowed', value({ pool: 'a' }), value({ allow: true }), 'widened'],
    ['what does not say to refused', value({ pool: 'a' }), value({ allow: false }), 'narrowed'],
    ['a list to another', value(['a']), value(['b']), 'rerouted'],
    ['a refusal that gets a target', value({ allow: false }), value({ allow: false, target: served.target }), 'rerouted'],
    ['a reason and an obligation', value(served), value({ ...served, rule: 's', log: true }), 'obligation-changed'],
    ['a reason and a route', value(served), value({ ...served, rule: 's', split }), 'rerouted'],
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
  test.each<[string, unknown, unknown, string | undefined]>([
    [
      'the target itself first',
      { target: { cluster: 'eu', jurisdiction: 'CH' } },
      { fleet: { clusters: { eu: { jurisdiction: 'EU' } } } },
      'CH',
    ],
    [
      'the cluster before the pool',
      served,
      { fleet: { pools: { a: { jurisdiction: 'US' } }, clusters: { eu: { jurisdiction: 'EU' } } } },
      'EU',
    ],
    [
      'a list by name',
      served,
      {
        fleet: {
          clusters: [
            { name: 'us', jurisdiction: 'US' },
            { name: 'eu', jurisdiction: 'EU' },
          ],
        },
      },
      'EU',
    ],
    [
      'a cluster that does not say, then the pool',
      served,
      { fleet: { clusters: { eu: {} }, pools: [{ id: 'a', jurisdiction: 'IN' }] } },
      'IN',
    ],
    ['nothing that every object has', { target: { cluster: 'constructor' } }, { fleet: { clusters: {} } }, undefined],
    ['nothing without a target', { allow: true }, { fleet: { clusters: { eu: { jurisdiction: 'EU' } } } }, undefined],
    ['nothing of a value that is no decision', 'eu', {}, undefined],
  ])('the jurisdiction is that of %s', (_name, decision, data, expected) => {
    expect(jurisdictionOf(decision as never, data as never, null)).toBe(expected);
  });
  test.each<[unknown, unknown, string[]]>([
    [{ a: 1, b: { c: 1, d: 1 } }, { a: 2, b: { c: 1, d: 2, e: 3 } }, ['a', 'b.d', 'b.e']],
    [{ a: { b: { c: 1 } } }, { a: { b: { c: 2 } } }, ['a.b.c']],
    [{ z: 1, a: 1 }, {}, ['a', 'z']],
    [{ a: [1, 2] }, { a: [2, 1] }, ['a']],
    [{ a: null }, { a: {} }, ['a']],
    [{ a: 1 }, { a: 1 }, []],
    ['x', { a: 1 }, ['decision']],
  ])('%j to %j changes %j', (before, after, expected) => {
    expect(changedFields(before as never, after as never)).toEqual(expected);
  });
});

describe('what a decision says', () => {
  const data = { fleet: { clusters: { eu: { jurisdiction: 'EU' } } } };
  test.each<[string, unknown, string[]]>([
    ['nothing', undefined, ['outcome undefined']],
    ['yes', true, ['outcome allow']],
    ['a number', 3, ['decision 3']],
    ['no members', [], ['decision empty']],
    ['some members', ['a', 1, 'b'], ['member a', 'member b']],
    [
      'all of it',
      {
        allow: false,
        reasons: ['A', 'B'],
        rule: 'r',
        cached: true,
        weight: 3,
        message: 'text',
        nested: { a: 1 },
        target: { cluster: 'eu', pool: 'p', weight: 1, other: 'x' },
      },
      [
        'outcome deny',
        'reason A',
        'reason B',
        'rule r',
        'cached true',
        'target.cluster eu',
        'target.pool p',
        'target.jurisdiction EU',
      ],
    ],
    ['no reasons', { allow: true, reasons: [], target: 'gone' }, ['outcome allow', 'target gone']],
  ])('%s', (_name, decision, expected) => {
    expect(decisionValues(decision as never, data).map(({ what, value: said }) => `${what} ${said}`)).toEqual(expected);
  });

  test('is kept with its first evidence, or a better one, and left out where it is data', () => {
    const tally = new ValueTally<number>();
    const better = (fresh: number, known: number): boolean => fresh < known;
    const said = (what: string, ...values: string[]) => values.map((one) => ({ what, value: one }));
    tally.add(said('rule', 'b', 'a'), 5);
    tally.add(said('rule', 'a'), 3);
    tally.add(said('rule', 'b'), 3, better);
    tally.add(said('rule', 'b'), 4, better);
    tally.add(said('text', 'x'.repeat(201), 'short'), 1);
    const many = Array.from({ length: MAX_VALUES }, (_, index) => String(index));
    tally.add(said('id', ...many), 1);
    tally.add(said('edge', 'x'.repeat(200)), 1);
    expect(tally.has({ what: 'id', value: '7' })).toBe(true);
    tally.add(said('id', 'one more'), 1);
    expect(tally.open).toEqual(['id', 'text']);
    expect(tally.has({ what: 'id', value: '7' })).toBe(false);
    expect(tally.entries()).toEqual([
      { what: 'edge', value: 'x'.repeat(200), evidence: 1 },
      { what: 'rule', value: 'a', evidence: 5 },
      { what: 'rule', value: 'b', evidence: 3 },
    ]);
  });
});
