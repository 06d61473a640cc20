// Which new item is an old one under another name.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { attributeLikeness, findRenames, signalLikeness } from '../../src/telemetry/diff/rename.ts';
import type { AttributeDefinition, Metric, Registry } from '../../src/telemetry/model.ts';
import { ATTRIBUTES, load, metricFile } from './support.ts';

interface Item {
  readonly name: string;
}
const items = (...names: string[]): Item[] => names.map((name) => ({ name }));
const shown = (renames: ReturnType<typeof findRenames<Item>>): string[] =>
  renames.map(({ from, to, score, declared }) => `${from.name}>${to.name} ${declared ? 'declared' : score}`);
/** Pairs what is gone with what is new, by likenesses such as `{ 'a>x': 0.9 }`. */
const pair = (
  gone: string[],
  added: string[],
  likeness: Record<string, number>,
  declared: Record<string, string> = {},
): string[] =>
  shown(
    findRenames(
      items(...gone),
      items(...added),
      ({ name }) => (Object.hasOwn(declared, name) ? { name: declared[name]! } : undefined),
      (from, to) => likeness[`${from.name}>${to.name}`] ?? 0,
    ),
  );

describe('pairs', () => {
  test.each<[string, string[], string[], Record<string, number>, Record<string, string>, string[]]>([
    [
      'the best first, each item once',
      ['a', 'b'],
      ['x', 'y'],
      { 'a>x': 0.8, 'b>x': 0.9, 'a>y': 0.7, 'b>y': 0.95 },
      {},
      ['a>x 0.8', 'b>y 0.95'],
    ],
    ['one new for two old: the better', ['a', 'b'], ['x'], { 'a>x': 0.8, 'b>x': 0.9 }, {}, ['b>x 0.9']],
    ['two new for one old: the better', ['a'], ['x', 'y'], { 'a>x': 0.8, 'a>y': 0.9 }, {}, ['a>y 0.9']],
    [
      'equals by name, old before new',
      ['b', 'a'],
      ['y', 'x'],
      { 'a>x': 0.8, 'a>y': 0.8, 'b>x': 0.8, 'b>y': 0.8 },
      {},
      ['a>x 0.8', 'b>y 0.8'],
    ],
    ['half alike is enough', ['a'], ['x'], { 'a>x': 0.5 }, {}, ['a>x 0.5']],
    ['less is not', ['a'], ['x'], { 'a>x': 0.499 }, {}, []],
    [
      'what the registry says, whatever the likeness',
      ['a', 'b'],
      ['x'],
      { 'a>x': 0.9, 'b>x': 0.9 },
      { b: 'x' },
      ['b>x declared'],
    ],
    ['two that the registry says became one', ['b', 'a'], ['x'], {}, { a: 'x', b: 'x' }, ['a>x declared', 'b>x declared']],
  ])('%s', (_title, gone, added, likeness, declared, expected) =>
    expect(pair(gone, added, likeness, declared)).toEqual(expected),
  );

  test('are not looked for where a registry was replaced as a whole', () => {
    const names = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index}`);
    const count = (gone: number, added: number): number =>
      findRenames(
        items(...names('a', gone)),
        items(...names('x', added)),
        () => undefined,
        () => 1,
      ).length;
    expect([count(500, 500), count(501, 500)]).toEqual([500, 0]);
  });
});

describe('likeness', () => {
  const metric = async (fields: Parameters<typeof metricFile>[0]): Promise<Metric> =>
    [...(await load({ 'a.yaml': metricFile(fields) })).registry.metrics.values()][0]!;
  const base = { name: 'app.request.duration', unit: 's', brief: 'Time that a request takes.' };
  const like = async (fields: Parameters<typeof metricFile>[0], from: Parameters<typeof metricFile>[0] = base): Promise<number> =>
    signalLikeness(await metric(from), await metric(fields));

  test('is 1 for the same, between 0 and 1, and the same both ways', async () => {
    expect(await like(base)).toBeCloseTo(1, 12);
    const word = fc.constantFrom('app', 'request', 'time', 'ttft', 'to', 'first', 'token');
    const name = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => `app.${words.join('_')}`);
    const fields = fc.record({
      name,
      unit: fc.constantFrom('s', 'ms', 'By', '{x}'),
      instrument: fc.constantFrom('counter', 'gauge', 'histogram'),
      brief: fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join(' ')),
    });
    await fc.assert(
      fc.asyncProperty(fields, fields, async (a, b) => {
        const [there, back] = [await like(a, b), await like(b, a)];
        expect(there).toBeCloseTo(back, 12);
        expect(there).toBeGreaterThanOrEqual(0);
        expect(there).toBeLessThanOrEqual(1 + 1e-12);
      }),
      { numRuns: 50 },
    );
  });

  test('grows with every thing that stays', async () => {
    const less: [string, Parameters<typeof metricFile>[0]][] = [
      ['name', { ...base, name: 'app.memory' }],
      ['namespace', { ...base, name: 'other.duration' }],
      ['brief', { ...base, brief: 'Bytes in use.' }],
      ['instrument', { ...base, instrument: 'counter' }],
      ['unit', { ...base, unit: 'By' }],
      ['attributes', { ...base, attributes: '      - ref: app.place\n' }],
    ];
    for (const [what, fields] of less) expect([what, (await like(fields)) < 1 - 1e-9]).toEqual([what, true]);
    // Milliseconds measure the same thing as seconds, bytes do not.
    expect(await like({ ...base, unit: 'ms' })).toBeCloseTo(1, 12);
    expect(await like({ ...base, brief: 'TIME that a request takes' })).toBeCloseTo(1, 12);
  });

  test.each([
    ['app.time_to_first_token', 'app.ttft'],
    ['app.ttft', 'app.time_to_first_token'],
    ['app.queue_time', 'app.queue.time'],
    ['app.gpu.queue_time', 'app.gpu.queuetime'],
  ])('%s is %s in other words', async (from, to) => {
    const [same, other] = [
      await like({ ...base, name: to }, { ...base, name: from }),
      await like({ ...base, name: 'app.other_words' }, { ...base, name: from }),
    ];
    expect(same).toBeGreaterThan(0.85);
    expect(other).toBeLessThan(same);
  });

  test('is none between kinds', async () => {
    const { registry } = await load({
      'a.yaml': `${metricFile(base)}  - {id: event.x, type: event, name: app.request.duration, brief: Time that a request takes., stability: stable}\n`,
    });
    expect(signalLikeness([...registry.metrics.values()][0]!, [...registry.events.values()][0]!)).toBe(0);
    expect(signalLikeness([...registry.events.values()][0]!, [...registry.events.values()][0]!)).toBeCloseTo(1, 12);
  });

  test('of attributes counts their type, and of enums their members', async () => {
    const registry = async (type: string): Promise<Registry> =>
      (await load({ 'a.yaml': ATTRIBUTES.replace('type: int', `type: ${type}`) })).registry;
    const of = async (type: string): Promise<AttributeDefinition> => (await registry(type)).attributes.get('app.size')!;
    const [int, double, array, ab, bc, cd] = (await Promise.all(
      [
        'int',
        'double',
        'int[]',
        '{members: [{id: a, value: a}, {id: b, value: b}]}',
        '{members: [{id: b, value: b}, {id: c, value: c}]}',
        '{members: [{id: c, value: c}, {id: d, value: d}]}',
      ].map(of),
    )) as [
      AttributeDefinition,
      AttributeDefinition,
      AttributeDefinition,
      AttributeDefinition,
      AttributeDefinition,
      AttributeDefinition,
    ];
    const none = attributeLikeness(int, double);
    expect(attributeLikeness(int, int)).toBeCloseTo(1, 12);
    expect(attributeLikeness(ab, ab)).toBeCloseTo(1, 12);
    expect(none).toBeLessThan(1);
    for (const other of [
      attributeLikeness(int, array),
      attributeLikeness(int, ab),
      attributeLikeness(ab, int),
      attributeLikeness(ab, cd),
    ])
      expect(other).toBeCloseTo(none, 12);
    // One of three members in common.
    expect(attributeLikeness(ab, bc)).toBeCloseTo(none + (1 - none) / 3, 12);
    const color = (await registry('int')).attributes.get('app.color')!;
    expect(attributeLikeness(int, color)).toBeLessThan(0.5);
  });
});
