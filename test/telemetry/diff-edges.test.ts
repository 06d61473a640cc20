// Changes of telemetry that are near to something else: what makes them one finding and not another, and whom they touch.
import { describe, expect, test } from 'vitest';
import type { Change } from '../../src/telemetry/diff/change.ts';
import { diffRegistries } from '../../src/telemetry/diff/registry.ts';
import { ATTRIBUTES, load, metricFile } from './support.ts';

async function diff(base: string, head: string): Promise<Change[]> {
  const [before, after] = [await load({ 'a.yaml': base }), await load({ 'a.yaml': head })];
  return diffRegistries(before.registry, after.registry);
}
const rules = async (base: string, head: string): Promise<string[]> =>
  (await diff(base, head)).map(({ rule, breaks, severity }) => `${rule.replace('telemetry-', '')} ${breaks} ${severity}`);
const messages = async (base: string, head: string): Promise<string[]> => (await diff(base, head)).map(({ message }) => message);

const metric = metricFile();
const bounds = (list: string): string => metricFile({ extra: `    annotations: {mixgate: {bounds: ${list}}}\n` });
const typed = (from: string, to: string): [string, string] => [
  metric.replace('type: int', `type: ${from}`),
  metric.replace('type: int', `type: ${to}`),
];
const INTS = '{members: [{id: a, value: 1}]}';
const TEXTS = '{members: [{id: a, value: "1"}]}';

describe('types of attributes', () => {
  test.each<[string, string, string[]]>([
    ['string', 'double', ['attribute-type-changed both fail']],
    ['double', 'int', ['attribute-type-changed both fail']],
    ['int', 'boolean', ['attribute-type-changed both fail']],
    ['string', 'string[]', ['attribute-type-changed both fail']],
    ['string[]', 'string[]', []],
    ['int', INTS, ['attribute-type-changed consumer warn']],
    ['int', TEXTS, ['attribute-type-changed both fail']],
    [INTS, TEXTS, ['attribute-type-changed both fail']],
    [INTS, 'int', ['attribute-type-changed both fail']],
    [TEXTS, TEXTS, []],
  ])('%s to %s', async (from, to, expected) => expect(await rules(...typed(from, to))).toEqual(expected));
});

describe('histogram bounds', () => {
  test.each([
    ['[1, 2]', '[1, 2, 3]', '.', []],
    ['[1, 2]', '[1]', ': 2 is gone.', [2]],
    ['[1, 2]', '[3]', ': 1, 2 are gone.', [1, 2]],
  ])('%s to %s', async (from, to, end, lost) => {
    const [change, ...more] = await diff(bounds(from), bounds(to));
    expect(more).toEqual([]);
    expect(change).toMatchObject({
      message: `The histogram bounds of \`app.request.duration\` changed${end}`,
      touches: { bounds: lost },
    });
  });
  test('are all gone where none are left', async () =>
    expect(await messages(bounds('[1, 2]'), metric)).toEqual([
      'The histogram bounds of `app.request.duration` changed: 1, 2 are gone.',
    ]));
  test('that come first take nothing away', async () => expect(await diff(metric, bounds('[1]'))).toEqual([]));
});

describe('units', () => {
  test.each([
    ['s', 'ns', ', so values are 1000000000 times larger'],
    ['us', 'ms', ', so values are 1000 times smaller'],
    ['s', 'min', ', so values are 60 times smaller'],
    ['d', 'h', ', so values are 24 times larger'],
    ['h', 's', ', so values are 3600 times larger'],
    ['s', 'By', ''],
    ['{x}', 's', ''],
    // Names that every object has are names like any other.
    ['constructor', 's', ''],
    ['s', 'toString', ''],
  ])('%s to %s', async (from, to, text) =>
    expect(await messages(metricFile({ unit: from }), metricFile({ unit: to }))).toEqual([
      `The unit of \`app.request.duration\` changed from \`${from}\` to \`${to}\`${text}.`,
    ]),
  );
});

const span = (kind: string): string => `${ATTRIBUTES}  - {id: span.a, type: span${kind}, brief: A., stability: stable}\n`;

test('a span kind that goes is a change, one that comes is none', async () => {
  expect(await messages(span(', span_kind: client'), span(''))).toEqual(['The span `a` changed its kind from client to none.']);
  expect(await diff(span(''), span(', span_kind: client'))).toEqual([]);
});

test.each([
  ['that comes to a span', [], ['required'], []],
  ['of a span that is no longer opt-in', ['opt_in'], ['recommended'], []],
  ['of a span that becomes opt-in', ['recommended'], ['opt_in'], ['requirement-lowered consumer fail-if-used']],
  ['of a span that is required now', ['recommended'], ['required'], ['requirement-raised producer fail']],
])('an attribute %s', async (_title, before, after, expected) => {
  const one = (levels: string[]): string =>
    span(
      levels.length === 0
        ? ''
        : `, attributes: [${levels.map((level) => `{ref: app.size, requirement_level: ${level}}`).join()}]`,
    );
  expect(await rules(one(before), one(after))).toEqual(expected);
});

test('a stability that is lowered with a deprecation breaks no promise', async () => {
  const lowered = metricFile({ stability: 'development', extra: '    deprecated: {reason: uncategorized}\n' });
  expect(await diff(metricFile({ stability: 'stable' }), lowered)).toEqual([]);
});

describe('what looks like a rename', () => {
  const other = (extra = ''): string => metricFile({ name: 'app.request.time', extra });
  test('is none where the new name is deprecated from its first day', async () =>
    expect(await rules(metric, other('    deprecated: {reason: uncategorized}\n'))).toEqual(['metric-removed consumer fail']));
  test('is declared where base already said it', async () => {
    const declared = metricFile({ extra: '    deprecated: {reason: renamed, renamed_to: app.request.time}\n' });
    expect(await messages(declared, other())).toEqual(['The metric `app.request.duration` was renamed to `app.request.time`.']);
    const [change] = await diff(metric, other());
    expect(change).toMatchObject({
      message: 'The metric `app.request.duration` is gone and looks renamed to `app.request.time`.',
      fix: expect.stringMatching(
        /^Keep `app.request.duration` with `deprecated: \{reason: renamed, renamed_to: app.request.time\}`/,
      ),
    });
  });
  test('is no name that was there before', async () => {
    const also =
      '  - {id: metric.app.request.time, type: metric, metric_name: app.request.time, instrument: histogram, unit: "s", brief: Time that a request takes., stability: development, attributes: [{ref: app.color, requirement_level: required}]}\n';
    expect(await rules(metric + also, ATTRIBUTES + also)).toEqual(['metric-removed consumer fail']);
  });
  test('is one finding for an attribute too', async () => {
    const renamed = metric.replace('id: app.size', 'id: app.sizes');
    expect(await messages(metric, renamed)).toEqual(['The attribute `app.size` is gone and looks renamed to `app.sizes`.']);
  });
  test('is none yet where the new name is not there', async () =>
    expect(
      await diff(metric, metricFile({ extra: '    deprecated: {reason: renamed, renamed_to: app.request.time}\n' })),
    ).toEqual([]));
});

test('an attribute that goes touches the metrics that had it, and no others', async () => {
  const second =
    '  - {id: metric.app.other, type: metric, metric_name: app.other, instrument: counter, unit: "{x}", brief: Other., stability: stable, attributes: [{ref: app.place}]}\n';
  const without = (text: string): string => text.replace(/ {6}- id: app.color\n(?: {8}.*\n)+/, '');
  const changes = await diff(metric + second, without(metric).replace('ref: app.color', 'ref: app.size') + second);
  const removed = changes.find(({ rule }) => rule === 'telemetry-attribute-removed');
  expect(removed?.touches.metrics.map(({ name }) => name)).toEqual(['app.request.duration']);
});

test('changes come by what they are about, whatever the order of files', async () => {
  const more = (unit: string): string =>
    ['b', 'a', 'c']
      .map(
        (name) =>
          `  - {id: metric.app.${name}, type: metric, metric_name: app.${name}, instrument: counter, unit: "${unit}", brief: It is ${name}., stability: stable}\n`,
      )
      .join('');
  expect((await diff(metric + more('{x}'), metric + more('{y}'))).map(({ subject }) => subject)).toEqual([
    'app.a',
    'app.b',
    'app.c',
  ]);
});
