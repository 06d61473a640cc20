import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Change, COMPATIBILITY_MODES, levelOf } from '../../src/telemetry/diff/change.ts';
import { diffRegistries } from '../../src/telemetry/diff/registry.ts';
import { loadRegistries } from '../../src/telemetry/registry/load.ts';
import { folderTree } from '../../src/workspace/tree.ts';
import { ATTRIBUTES, load, metricFile } from './support.ts';

const SEMCONV = new URL('../../../shared/data/semconv/', import.meta.url).pathname;
const USE = [{ kind: 'slo' as const, name: 'x', location: { file: 'slo.yaml' }, uses: 'x' }];

async function diff(base: string, head: string): Promise<Change[]> {
  const [before, after] = [await load({ 'a.yaml': base }), await load({ 'a.yaml': head })];
  expect([...before.findings, ...after.findings]).toEqual([]);
  return diffRegistries(before.registry, after.registry);
}

const show = (changes: readonly Change[]): string[] =>
  changes.map(
    (change) => `${change.rule} ${change.breaks} ${change.severity} :${change.location.line}${change.inBase ? ' base' : ''}`,
  );

const metric = metricFile();
const withAttributes = (...list: [string, string][]): string =>
  metricFile({ attributes: list.map(([name, level]) => `      - ref: ${name}\n        requirement_level: ${level}\n`).join('') });
const oneColor = withAttributes(['app.color', 'required']);

describe('one change, one finding', () => {
  test.each<[string, string, string, string[]]>([
    ['nothing', metric, metric, []],
    ['a new metric', ATTRIBUTES, metric, []],
    ['a metric gone', metric, ATTRIBUTES, ['telemetry-metric-removed consumer fail :24 base']],
    [
      'a metric renamed, by its looks',
      metric,
      metricFile({ name: 'app.request.time' }),
      ['telemetry-metric-renamed consumer fail :24'],
    ],
    [
      'a metric renamed to its initials',
      metricFile({ name: 'app.time_to_first_token' }),
      metricFile({ name: 'app.ttft' }),
      ['telemetry-metric-renamed consumer fail :24'],
    ],
    ['a unit', metric, metricFile({ unit: 'ms' }), ['telemetry-metric-unit-changed both fail :26']],
    [
      'an instrument',
      metricFile({ instrument: 'counter' }),
      metricFile({ instrument: 'gauge' }),
      ['telemetry-metric-instrument-changed both fail :25'],
    ],
    [
      'a number type',
      metricFile({ extra: '    annotations: {code_generation: {metric_value_type: int}}\n' }),
      metricFile({ extra: '    annotations: {code_generation: {metric_value_type: double}}\n' }),
      ['telemetry-metric-value-type-changed consumer warn :29'],
    ],
    [
      'bounds',
      metricFile({ extra: '    annotations: {mixgate: {bounds: [1, 2.5]}}\n' }),
      metricFile({ extra: '    annotations: {mixgate: {bounds: [1, 3]}}\n' }),
      ['telemetry-metric-bounds-changed consumer fail-if-used :29'],
    ],
    [
      'stability lowered',
      metricFile({ stability: 'stable' }),
      metricFile({ stability: 'beta' }),
      ['telemetry-stability-lowered both fail :28'],
    ],
    ['stability raised', metric, metricFile({ stability: 'stable' }), []],
    ['experimental is the old word for development', metricFile({ stability: 'experimental' }), metric, []],
    [
      'a required attribute on a metric',
      oneColor,
      withAttributes(['app.color', 'required'], ['app.place', 'required']),
      ['telemetry-metric-attribute-added consumer fail :32'],
    ],
    [
      'a recommended attribute on a metric',
      oneColor,
      withAttributes(['app.color', 'required'], ['app.place', 'recommended']),
      ['telemetry-metric-attribute-added consumer fail :32'],
    ],
    ['an opt-in attribute on a metric', oneColor, withAttributes(['app.color', 'required'], ['app.place', 'opt_in']), []],
    [
      'an opt-in attribute that comes on by default',
      withAttributes(['app.place', 'opt_in']),
      withAttributes(['app.place', 'recommended']),
      ['telemetry-metric-attribute-added consumer fail :30'],
    ],
    [
      'an attribute dropped from a metric',
      withAttributes(['app.color', 'required'], ['app.place', 'recommended']),
      oneColor,
      ['telemetry-metric-attribute-removed consumer fail :32 base'],
    ],
    [
      'required to recommended',
      oneColor,
      withAttributes(['app.color', 'recommended']),
      ['telemetry-requirement-lowered consumer fail-if-used :31'],
    ],
    [
      'recommended to required',
      withAttributes(['app.place', 'recommended']),
      withAttributes(['app.place', 'required']),
      ['telemetry-requirement-raised producer fail :31'],
    ],
    [
      'recommended to conditionally required',
      withAttributes(['app.place', 'recommended']),
      withAttributes(['app.place', '{conditionally_required: a}']),
      [],
    ],
    ['int to string', metric, metric.replace('type: int', 'type: string'), ['telemetry-attribute-type-changed both fail :14']],
    [
      'int to double',
      metric,
      metric.replace('type: int', 'type: double'),
      ['telemetry-attribute-type-changed consumer warn :14'],
    ],
    [
      'string to enum of strings',
      metric,
      metric.replace('        type: string', '        type: {members: [{id: a, value: a}]}'),
      ['telemetry-attribute-type-changed consumer warn :18'],
    ],
    [
      'enum to string',
      metric,
      metric.replace(/type:\n {10}members:\n.*\n.*\n/, 'type: string\n'),
      ['telemetry-attribute-type-changed both fail :9'],
    ],
    [
      'a member gone',
      metric,
      metric.replace('            - {id: green, value: green}\n', ''),
      ['telemetry-enum-member-removed both fail :10'],
    ],
    [
      'a member with another value',
      metric,
      metric.replace('value: green', 'value: lime'),
      ['telemetry-enum-value-changed both fail :12'],
    ],
    [
      'a new member',
      metric,
      metric.replace('{id: green, value: green}', '{id: green, value: green}\n            - {id: blue, value: blue}'),
      ['telemetry-cardinality-raised backend warn :25', 'telemetry-enum-member-added consumer warn :13'],
    ],
    [
      'a new id for a value that existed',
      metric,
      metric.replace('{id: green, value: green}', '{id: green, value: green}\n            - {id: lime, value: green}'),
      [],
    ],
  ])('%s', async (_, base, head, expected) => {
    expect(show(await diff(base, head)).sort()).toEqual(expected);
  });

  test('an attribute gone is one finding, with the metrics that carried it', async () => {
    const changes = await diff(
      withAttributes(['app.place', 'required']),
      withAttributes(['app.place', 'required'])
        .replace(/ {6}- id: app.place\n.*\n.*\n.*\n/, '')
        .replace('ref: app.place', 'ref: app.size'),
    );
    expect(show(changes)).toEqual([
      'telemetry-attribute-removed consumer fail :17 base',
      'telemetry-metric-attribute-added consumer fail :26',
    ]);
    expect(changes[0]!.touches.metrics.map((m) => m.name)).toEqual(['app.request.duration']);
  });

  test('a rename that the registry declares names both names and both places', async () => {
    const head =
      metric.replace(
        '      - id: app.size\n        type: int\n',
        '      - id: app.size\n        deprecated: {reason: renamed, renamed_to: app.extent}\n        type: int\n',
      ) +
      '  - {id: more, type: attribute_group, brief: More., attributes: [{id: app.extent, type: int, brief: Another word., stability: development}]}\n';
    const changes = await diff(metric, head);
    expect(
      changes.map((change) => [
        change.rule,
        change.before,
        change.after,
        change.message,
        change.location.line,
        change.related?.[0]?.line,
      ]),
    ).toEqual([
      ['telemetry-attribute-renamed', 'app.size', 'app.extent', 'The attribute `app.size` was renamed to `app.extent`.', 33, 13],
    ]);
  });

  test('a rename and a unit change of one metric are two findings', async () => {
    const changes = await diff(metricFile({ name: 'app.time_to_first_token' }), metricFile({ name: 'app.ttft', unit: 'ms' }));
    expect(show(changes)).toEqual(['telemetry-metric-renamed consumer fail :24', 'telemetry-metric-unit-changed both fail :26']);
    expect(changes[1]!.message).toBe('The unit of `app.ttft` changed from `s` to `ms`, so values are 1000 times larger.');
  });

  test('an unlike new metric is no rename', async () => {
    const changes = await diff(
      metric,
      metricFile({
        name: 'app.memory',
        unit: 'By',
        instrument: 'gauge',
        brief: 'Bytes in use.',
        attributes: '      - ref: app.place\n',
      }),
    );
    expect(show(changes)).toEqual(['telemetry-metric-removed consumer fail :24 base']);
  });

  test('what changes in a shared group is reported once', async () => {
    const shared = (level: string): string =>
      `${ATTRIBUTES}  - {id: c, type: attribute_group, brief: C., attributes: [{ref: app.place, requirement_level: ${level}}]}\n${['one', 'two'].map((name) => `  - {id: metric.app.${name}, type: metric, metric_name: app.${name}, instrument: counter, unit: "{x}", brief: ${name}., stability: stable, extends: c}\n`).join('')}`;
    const changes = await diff(shared('required'), shared('recommended'));
    expect(show(changes)).toEqual(['telemetry-requirement-lowered consumer fail-if-used :21']);
    expect(changes[0]!.touches.metrics.map((m) => m.name)).toEqual(['app.one', 'app.two']);
  });

  test.each([
    [
      'a span kind',
      '  - {id: span.a, type: span, span_kind: client, brief: A., stability: stable}\n',
      '  - {id: span.a, type: span, span_kind: server, brief: A., stability: stable}\n',
      'telemetry-span-kind-changed',
    ],
    [
      'an event gone',
      '  - {id: event.a.b, type: event, name: a.b, brief: A., stability: stable}\n',
      '',
      'telemetry-signal-removed',
    ],
    [
      'an event renamed',
      '  - {id: event.a.b, type: event, name: a.b, brief: It happened., stability: stable}\n',
      '  - {id: event.a.bb, type: event, name: a.b_done, brief: It happened., stability: stable}\n',
      'telemetry-signal-renamed',
    ],
    [
      'an attribute dropped from a span',
      '  - {id: span.a, type: span, brief: A., stability: stable, attributes: [{ref: app.size}]}\n',
      '  - {id: span.a, type: span, brief: A., stability: stable}\n',
      'telemetry-signal-attribute-removed',
    ],
    [
      'an entity with another identity',
      '  - {id: entity.a, type: entity, name: a, brief: A., stability: stable, attributes: [{ref: app.size, role: identifying}, {ref: app.place}]}\n',
      '  - {id: entity.a, type: entity, name: a, brief: A., stability: stable, attributes: [{ref: app.size}, {ref: app.place, role: identifying}]}\n',
      'telemetry-entity-identity-changed',
    ],
  ])('%s', async (_, base, head, rule) => {
    expect((await diff(ATTRIBUTES + base, ATTRIBUTES + head)).map((change) => change.rule)).toEqual([rule]);
  });
});

describe('levels', () => {
  const change = (breaks: Change['breaks'], severity: Change['severity'] = 'fail'): Change => ({
    rule: 'telemetry-metric-removed',
    item: '',
    subject: '',
    field: '',
    before: '',
    after: '',
    breaks,
    severity,
    message: '',
    fix: '',
    location: { file: 'a' },
    inBase: false,
    touches: { metrics: [] },
  });
  test.each<[string, Change, readonly string[], readonly string[]]>([
    // Levels under FULL, FORWARD, BACKWARD, NONE: used by nobody, used by an SLO.
    ['breaks consumers', change('consumer'), ['error', 'error', 'warning', 'note'], ['error', 'error', 'error', 'warning']],
    ['breaks producers', change('producer'), ['error', 'warning', 'error', 'note'], ['error', 'warning', 'error', 'warning']],
    ['breaks both', change('both'), ['error', 'error', 'error', 'note'], ['error', 'error', 'error', 'warning']],
    [
      'fails if used',
      change('consumer', 'fail-if-used'),
      ['warning', 'warning', 'warning', 'note'],
      ['error', 'error', 'error', 'warning'],
    ],
    ['warns', change('consumer', 'warn'), ['warning', 'warning', 'warning', 'note'], ['warning', 'warning', 'warning', 'note']],
  ])('a change that %s', (_, item, unused, used) => {
    expect(COMPATIBILITY_MODES.map((mode) => levelOf(item, mode, []))).toEqual(unused);
    expect(COMPATIBILITY_MODES.map((mode) => levelOf(item, mode, USE))).toEqual(used);
  });
});

describe('properties', () => {
  const arbitrary = fc.record({
    name: fc.constantFrom('app.a', 'app.b.c', 'app.time_to_first_token'),
    instrument: fc.constantFrom('counter', 'gauge', 'histogram'),
    unit: fc.constantFrom('s', 'ms', '{x}', '1'),
    stability: fc.constantFrom('development', 'stable'),
    attributes: fc
      .uniqueArray(fc.constantFrom('app.color', 'app.size', 'app.place'))
      .map((names) => names.map((name) => `      - ref: ${name}\n`).join('') || '      []\n'),
  });
  test('a registry against itself has no change', async () => {
    await fc.assert(
      fc.asyncProperty(arbitrary, async (fields) => {
        expect(await diff(metricFile(fields), metricFile(fields))).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
  test('two registries differ in both directions or in none, additions aside', async () => {
    await fc.assert(
      fc.asyncProperty(arbitrary, arbitrary, async (a, b) => {
        const there = await diff(metricFile(a), metricFile(b));
        expect(
          there.some(
            (change) =>
              change.rule === 'telemetry-metric-unit-changed' ||
              change.rule === 'telemetry-metric-removed' ||
              change.rule === 'telemetry-metric-renamed',
          ),
        ).toBe(a.name !== b.name || a.unit !== b.unit);
      }),
      { numRuns: 100 },
    );
  });
});

describe.skipIf(!existsSync(SEMCONV))(
  'v1.28.0 to v1.41.1 of the semantic conventions (skipped: shared/data/semconv is not here)',
  () => {
    test('finds the renames, the lost members and the lowered requirement', async () => {
      const registry = async (version: string) =>
        (await loadRegistries(folderTree(`${SEMCONV}${version}`), [{ path: 'model', owned: false }])).registry;
      const [base, head] = [await registry('v1.28.0'), await registry('v1.41.1')];
      const changes = diffRegistries(base, head);
      const of = (rule: string): string[][] =>
        changes.filter((change) => change.rule === rule).map((change) => [change.before, change.after]);
      expect(of('telemetry-attribute-renamed')).toEqual([
        ['gen_ai.openai.request.response_format', 'gen_ai.output.type'],
        ['gen_ai.openai.request.seed', 'gen_ai.request.seed'],
        ['gen_ai.openai.request.service_tier', 'openai.request.service_tier'],
        ['gen_ai.openai.response.service_tier', 'openai.response.service_tier'],
        ['gen_ai.system', 'gen_ai.provider.name'],
      ]);
      // The value sets of response_format and output.type differ: no blind rename.
      expect(of('telemetry-enum-member-removed')).toEqual([
        ['json_object', ''],
        ['json_schema', ''],
        ['vertex_ai', ''],
      ]);
      expect(of('telemetry-requirement-lowered')).toEqual([['required', 'conditionally_required']]);
      expect(changes.filter((change) => change.rule.startsWith('telemetry-metric-'))).toEqual([]);
      expect(diffRegistries(head, head)).toEqual([]);
    });
  },
);
