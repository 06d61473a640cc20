import { describe, expect, test } from 'vitest';
import { checkCardinality, estimateCardinality } from '../../src/telemetry/cardinality.ts';
import { lintRegistry } from '../../src/telemetry/lint.ts';
import { unitProblem } from '../../src/telemetry/ucum.ts';
import { ATTRIBUTES, lines, load, metricFile } from './support.ts';

const lint = async (text: string, owned = true): Promise<string[]> =>
  lines(lintRegistry((await load({ 'a.yaml': text }, owned)).registry));

describe('units', () => {
  test.each([
    's',
    'ms',
    'By',
    'MiBy',
    '1',
    '%',
    '{request}',
    '{request}/s',
    'By/s',
    'm/s',
    'm.s-2',
    'm2',
    'Cel',
    'W',
    'kBy',
    '10*6',
    '1/s',
    'J/{token}',
    '/s',
    '{token}.s',
  ])('%s is UCUM', (unit) => {
    expect(unitProblem(unit)).toBeUndefined();
  });
  test.each([
    ['', 'it is empty'],
    ['seconds', 'UCUM writes it `s`'],
    ['bytes', 'UCUM writes it `By`'],
    ['requests', 'UCUM writes it `{request}`'],
    ['request', 'UCUM writes it `{request}`'],
    ['{request', 'its braces do not match'],
    ['{}', 'an annotation in braces is empty'],
    ['{a b}', 'an annotation in braces is empty or has a space'],
    ['m s', 'it has a space'],
    ['furlong', '`furlong` is not a UCUM unit'],
    ['kmin', '`kmin` is not a UCUM unit'],
    ['Kis', '`Kis` is not a UCUM unit'],
    ['s//m', 'a term is empty'],
    ['x'.repeat(80), 'longer than 63'],
  ])('%s is not: %s', (unit, why) => {
    expect(unitProblem(unit)).toContain(why);
  });
});

describe('lint', () => {
  test('a sound registry has no finding', async () => expect(await lint(metricFile())).toEqual([]));
  test.each<[string, string, string[]]>([
    ['a camelCase metric', metricFile({ name: 'app.requestDuration' }), ['error telemetry-name-invalid a.yaml:24']],
    ['a metric without namespace', metricFile({ name: 'duration' }), ['error telemetry-name-invalid a.yaml:24']],
    ['a metric with a dash', metricFile({ name: 'app.request-duration' }), ['error telemetry-name-invalid a.yaml:24']],
    [
      'an attribute with a capital',
      metricFile().replaceAll('app.place', 'app.Place'),
      ['error telemetry-name-invalid a.yaml:17'],
    ],
    ['a unit in words', metricFile({ unit: 'seconds' }), ['error telemetry-unit-invalid a.yaml:26']],
    ['a scaled unit', metricFile({ unit: 'ms' }), ['warning telemetry-unit-invalid a.yaml:26']],
    ['no brief', metricFile({ brief: '""' }), ['warning telemetry-brief-missing a.yaml:27']],
    [
      'no stability',
      metricFile().replace('    stability: development\n    attributes', '    attributes'),
      ['warning telemetry-stability-missing a.yaml:22'],
    ],
    [
      'one value for two members',
      metricFile().replace('{id: green, value: green}', '{id: green, value: red}'),
      ['warning telemetry-enum-member-duplicate a.yaml:12'],
    ],
    ['values of two types', metricFile().replace('value: green', 'value: 2'), ['error telemetry-registry-wrong-type a.yaml:10']],
    [
      'renamed to nothing',
      metricFile().replace('brief: A size.', 'brief: A size.\n        deprecated: {reason: renamed, renamed_to: app.none}'),
      ['error telemetry-rename-target-missing a.yaml:17'],
    ],
  ])('%s', async (_, text, expected) => expect(await lint(text)).toEqual(expected));
  test('a pinned upstream copy is not linted', async () =>
    expect(await lint(metricFile({ name: 'duration', unit: 'seconds', brief: '""' }), false)).toEqual([]));
});

describe('cardinality', () => {
  const metricWith = async (attributes: string, extra = '', instrument = 'counter') =>
    (await load({ 'a.yaml': metricFile({ instrument, attributes, extra }) })).registry;

  test('the product of enum sizes and caps, as in the example of 3888 label sets', async () => {
    const names = ['op', 'token', 'provider', 'request', 'response', 'host'];
    const text = `groups:\n  - id: r\n    type: attribute_group\n    brief: R.\n    attributes:\n${names.map((name) => `      - {id: app.${name}, type: string, brief: ${name}., stability: stable}\n`).join('')}  - id: m\n    type: metric\n    metric_name: app.m\n    instrument: counter\n    unit: "{x}"\n    brief: M.\n    attributes: [${names.map((name) => `{ref: app.${name}}`).join(', ')}]\n`;
    const { registry } = await load({ 'a.yaml': text });
    const caps = { 'app.op': 9, 'app.token': 2, 'app.provider': 2, 'app.request': 3, 'app.response': 3, 'app.host': 12 };
    expect(estimateCardinality(registry.metrics.get('app.m')!, { caps })).toMatchObject({
      labelSets: 3888,
      series: 3888,
      unknown: [],
    });
    const { findings } = checkCardinality(registry, { caps });
    expect(lines(findings)).toEqual(['error telemetry-cardinality-exceeded a.yaml:14']);
    expect(findings[0]!.evidence).toMatchObject({ labelSets: 3888, limit: 2000 });
    expect(checkCardinality(registry, { caps, limit: 4000 }).findings).toEqual([]);
  });

  test('a histogram costs its bounds and three series more: 19 for time to first token', async () => {
    const registry = await metricWith(
      '      []\n',
      '    annotations: {mixgate: {bounds: [.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10]}}\n',
      'histogram',
    );
    expect(estimateCardinality(registry.metrics.get('app.request.duration')!)).toMatchObject({ labelSets: 1, series: 19 });
  });

  test('layer x expert: 256 for 32 x 8, 6144 for 48 x 128', async () => {
    const registry = await metricWith('      - ref: app.size\n      - ref: app.place\n');
    const metric = registry.metrics.get('app.request.duration')!;
    expect(estimateCardinality(metric, { caps: { 'app.size': 32, 'app.place': 8 } }).labelSets).toBe(256);
    expect(estimateCardinality(metric, { caps: { 'app.size': 48, 'app.place': 128 } }).labelSets).toBe(6144);
  });

  test('opt-in attributes do not count, unknown ones are named', async () => {
    const registry = await metricWith('      - ref: app.size\n        requirement_level: opt_in\n      - ref: app.place\n');
    const { estimates, findings } = checkCardinality(registry);
    expect(estimates[0]).toMatchObject({ labelSets: 1, unknown: ['app.place'] });
    expect(lines(findings)).toEqual(['note telemetry-cardinality-unknown a.yaml:32']);
  });

  test('an attribute with endless values is refused as a metric label', async () => {
    const { registry } = await load({
      'a.yaml': metricFile({ attributes: '      - ref: session.id\n' }).replace('app.place', 'session.id'),
    });
    expect(lines(checkCardinality(registry).findings)).toEqual(['error telemetry-label-high-cardinality a.yaml:30']);
  });

  test('a cap named like a property of every object is not inherited', async () => {
    const { registry } = await load({ 'a.yaml': ATTRIBUTES });
    expect(checkCardinality(registry, { caps: {} }).estimates).toEqual([]);
  });
});
