import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeType } from '../../src/telemetry/model.ts';
import { loadRegistries } from '../../src/telemetry/registry/load.ts';
import { folderTree } from '../../src/workspace/tree.ts';
import { ATTRIBUTES, lines, load, metricFile } from './support.ts';

const SEMCONV = new URL('../../../shared/data/semconv/', import.meta.url).pathname;
const hasSemconv = existsSync(SEMCONV);

describe('a registry that is right', () => {
  test('resolves extends, then references that override requirement', async () => {
    const { registry, findings } = await load({
      'a.yaml': ATTRIBUTES,
      'b.yaml': `groups:
  - id: common
    type: attribute_group
    brief: Common.
    attributes:
      - ref: app.color
        requirement_level: required
      - ref: app.size
  - id: metric.app.hits
    type: metric
    metric_name: app.hits
    instrument: counter
    unit: "{hit}"
    brief: Hits.
    stability: stable
    extends: common
    attributes:
      - ref: app.size
        requirement_level: {conditionally_required: When known.}
`,
    });
    expect(findings).toEqual([]);
    const metric = registry.metrics.get('app.hits')!;
    expect([...metric.attributes.values()].map((a) => [a.name, a.requirement, a.condition])).toEqual([
      ['app.color', 'required', undefined],
      ['app.size', 'conditionally_required', 'When known.'],
    ]);
    expect(metric.where('unit')).toMatchObject({ file: 'b.yaml', line: 13 });
    expect(metric.where('instrument')).toMatchObject({ file: 'b.yaml', line: 12 });
  });

  test.each([
    ['free text', 'deprecated: Replaced by `app.color` attribute.', { reason: 'renamed', renamedTo: 'app.color' }],
    ['free text without a name', 'deprecated: Removed, no replacement at this time.', { reason: 'text' }],
    ['an object', 'deprecated: {reason: renamed, renamed_to: app.color}', { reason: 'renamed', renamedTo: 'app.color' }],
    ['an object with a note', 'deprecated: {reason: obsoleted, note: gone}', { reason: 'obsoleted', note: 'gone' }],
  ])('reads deprecated as %s', async (_, text, expected) => {
    const { registry, findings } = await load({
      'a.yaml': `${ATTRIBUTES}      - id: app.old\n        type: string\n        brief: Old.\n        stability: experimental\n        ${text}\n`,
    });
    expect(findings).toEqual([]);
    expect(registry.attributes.get('app.old')!.deprecated).toMatchObject(expected);
    expect(registry.attributes.get('app.old')!.stability).toBe('development');
  });

  test('keys enum members by id, so that two may share a value', async () => {
    const { registry, findings } = await load({
      'a.yaml': ATTRIBUTES.replace('{id: green, value: green}', '{id: crimson, value: red}'),
    });
    expect(findings).toEqual([]);
    expect(describeType(registry.attributes.get('app.color')!.type)).toBe('enum {red, crimson}');
  });

  test('reads the newer form definition/2', async () => {
    const { registry, findings } = await load({
      'a.yaml': `file_format: definition/2
attributes:
  - key: app.color
    type: string
    brief: A colour.
    stability: development
attribute_groups:
  - id: common
    visibility: internal
    attributes:
      - ref: app.color
        requirement_level: required
metrics:
  - name: app.time
    instrument: histogram
    unit: s
    brief: Time.
    stability: development
    attributes:
      - ref_group: common
spans:
  - type: app.client
    kind: client
    name: {note: The name.}
    brief: A call.
    stability: development
    attributes:
      - ref_group: metric.app.time
events:
  - name: app.happened
    brief: It happened.
    stability: development
    attributes: [{ref: app.color}]
entities:
  - type: app.thing
    brief: A thing.
    stability: development
    identity: [{ref: app.color, requirement_level: required}]
`,
    });
    expect(findings).toEqual([]);
    expect(registry.metrics.get('app.time')!.attributes.get('app.color')!.requirement).toBe('required');
    expect(registry.spans.get('app.client')).toMatchObject({ spanKind: 'client' });
    expect(registry.spans.get('app.client')!.attributes.size).toBe(1);
    expect(registry.events.has('app.happened')).toBe(true);
    expect(registry.entities.get('app.thing')!.attributes.get('app.color')!.identifying).toBe(true);
    expect(registry.metrics.get('app.time')!.where('metric_name').line).toBe(14);
  });

  test('a live definition replaces a deprecated one of another registry', async () => {
    const core = ATTRIBUTES.replaceAll(
      'brief: A size.',
      'brief: A size.\n        deprecated: {reason: uncategorized, note: moved}',
    )
      .replace('registry.x', 'registry.old')
      .replace(/ {6}- id: app.color[\s\S]*?(?= {6}- id: app.size)/, '')
      .replace(/ {6}- id: app.place[\s\S]*$/, '');
    for (const files of [
      { 'a.yaml': core, 'b.yaml': ATTRIBUTES },
      { 'a.yaml': ATTRIBUTES, 'b.yaml': core },
    ]) {
      const { registry, findings } = await load(files);
      expect(findings).toEqual([]);
      expect(registry.attributes.get('app.size')!.deprecated).toBeUndefined();
    }
  });
});

describe('a registry that is wrong', () => {
  const metric = metricFile();
  test.each<[string, string, string[]]>([
    ['malformed YAML', 'groups:\n  - id: [', ['error telemetry-registry-unreadable a.yaml:2']],
    ['a list at the top', '- a\n', ['error telemetry-registry-wrong-type a.yaml:1']],
    ['an empty file', '', ['error telemetry-registry-wrong-type a.yaml:1']],
    ['no groups', 'version: "1"\n', ['error telemetry-registry-wrong-type a.yaml:1']],
    ['groups that are text', 'groups: many\n', ['error telemetry-registry-wrong-type a.yaml:1']],
    ['an unknown file format', 'file_format: definition/3\n', ['error telemetry-registry-unreadable a.yaml:1']],
    ['an unknown key at the top', 'groups: []\ngroup: []\n', ['error telemetry-registry-unknown-key a.yaml:2']],
    [
      'an unknown key in a metric',
      metric.replace('    unit:', '    untis: x\n    unit:'),
      ['error telemetry-registry-unknown-key a.yaml:26'],
    ],
    [
      'an unknown key in an attribute',
      metric.replace('        type: int', '        type: int\n        kind: x'),
      ['error telemetry-registry-unknown-key a.yaml:15'],
    ],
    ['an unknown group type', 'groups:\n  - id: a\n    type: metrik\n', ['error telemetry-registry-wrong-type a.yaml:3']],
    ['a group without id', 'groups:\n  - type: span\n', ['error telemetry-registry-wrong-type a.yaml:2']],
    [
      'a metric without name',
      metric.replace('    metric_name: app.request.duration\n', ''),
      ['error telemetry-registry-wrong-type a.yaml:22'],
    ],
    ['a metric without unit', metric.replace('    unit: "s"\n', ''), ['error telemetry-registry-wrong-type a.yaml:22']],
    ['an unknown instrument', metric.replace('histogram', 'histogramm'), ['error telemetry-registry-wrong-type a.yaml:25']],
    [
      'an unknown attribute type',
      metric.replace('type: int', 'type: integer'),
      ['error telemetry-registry-wrong-type a.yaml:14'],
    ],
    [
      'an enum without members',
      metric.replace('            - {id: red, value: red}\n            - {id: green, value: green}\n', '            []\n'),
      ['error telemetry-registry-wrong-type a.yaml:11'],
    ],
    [
      'an enum member without value',
      metric.replace('{id: red, value: red}', '{id: red}'),
      ['error telemetry-registry-wrong-type a.yaml:11'],
    ],
    [
      'an enum member twice',
      metric.replace('{id: green, value: green}', '{id: red, value: green}'),
      ['error telemetry-enum-member-duplicate a.yaml:12'],
    ],
    [
      'an unknown requirement',
      metric.replace('requirement_level: required', 'requirement_level: mandatory'),
      ['error telemetry-registry-wrong-type a.yaml:31'],
    ],
    [
      'an unknown stability',
      metric.replace('    stability: development\n    attributes', '    stability: solid\n    attributes'),
      ['error telemetry-registry-wrong-type a.yaml:28'],
    ],
    [
      'a brief that is a list',
      metric.replace('brief: Time that a request takes.', 'brief: [a]'),
      ['error telemetry-registry-wrong-type a.yaml:27'],
    ],
    [
      'a reference to nothing',
      metric.replace('ref: app.color', 'ref: app.colour'),
      ['error telemetry-reference-unresolved a.yaml:30'],
    ],
    [
      'extends of nothing',
      metric.replace('    type: metric\n', '    type: metric\n    extends: nothing\n'),
      ['error telemetry-reference-unresolved a.yaml:24'],
    ],
    [
      'an attribute twice',
      `${ATTRIBUTES}      - id: app.size\n        type: int\n        brief: Again.\n`,
      ['error telemetry-definition-duplicate a.yaml:21'],
    ],
    [
      'a group twice',
      `${ATTRIBUTES}  - id: registry.x\n    type: attribute_group\n    brief: Again.\n`,
      ['error telemetry-definition-duplicate a.yaml:21'],
    ],
    [
      'bounds that do not ascend',
      metricFile({ extra: '    annotations: {mixgate: {bounds: [2, 1]}}\n' }),
      ['error telemetry-registry-wrong-type a.yaml:29'],
    ],
    [
      'both id and ref',
      metric.replace('ref: app.color', 'ref: app.color\n        id: app.x'),
      ['error telemetry-registry-wrong-type a.yaml:31'],
    ],
  ])('%s is a finding with its line', async (_, text, expected) => {
    const { findings } = await load({ 'a.yaml': text });
    expect(lines(findings)).toEqual(expected);
  });

  test('groups that extend each other in a circle are one finding, and the rest resolves', async () => {
    const group = (id: string, parent: string): string =>
      `  - {id: ${id}, type: attribute_group, brief: G., extends: ${parent}, attributes: [{ref: app.size}]}\n`;
    const { registry, findings } = await load({
      'a.yaml': `${metricFile()}${group('a', 'b')}${group('b', 'c')}${group('c', 'a')}`,
    });
    expect(lines(findings)).toEqual(['error telemetry-extends-cycle a.yaml:34']);
    expect(findings[0]!.message).toBe('The groups `a`, `b`, `c` extend each other in a circle.');
    expect(registry.metrics.size).toBe(1);
  });

  test('a tower of diamonds resolves in linear time', async () => {
    let text = metricFile();
    text += '  - {id: g0, type: attribute_group, brief: G., attributes: [{ref: app.size}]}\n';
    for (let level = 1; level < 50; level += 1)
      text += `  - {id: g${level}, type: attribute_group, brief: G., include_groups: [g${level - 1}, g${level - 1}, g${level - 1}]}\n`;
    const { findings } = await load({ 'a.yaml': text });
    expect(findings).toEqual([]);
  });

  test('a chain that is too long is refused', async () => {
    let text = ATTRIBUTES;
    for (let level = 0; level < 200; level += 1)
      text += `  - {id: g${level}, type: attribute_group, brief: G., extends: g${level + 1}}\n`;
    const { findings } = await load({ 'a.yaml': `${text}  - {id: g200, type: attribute_group, brief: G.}\n` });
    expect(
      findings.some((finding) => finding.ruleId === 'telemetry-extends-cycle' && finding.message.includes('more than 64')),
    ).toBe(true);
  });

  test.each([
    ['binary', new Uint8Array([103, 0, 1, 2]), 'the file is binary'],
    ['not UTF-8', new Uint8Array([0xff, 0xfe, 0x41]), 'not valid UTF-8'],
    ['too large', new Uint8Array(5 * 1024 * 1024).fill(97), 'bytes'],
  ])('a file that is %s is refused', async (_, bytes, message) => {
    const { findings } = await load({ 'a.yaml': bytes });
    expect(lines(findings)).toEqual(['error telemetry-registry-unreadable a.yaml:-']);
    expect(findings[0]!.message).toContain(message);
  });

  test('aliases that explode are refused', async () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefgh'].map((letter, index) => `${letter}: &${letter} [${Array(9).fill(`*${'abcdefgh'[index]}`).join(',')}]`).join('\n')}\ngroups: []\n`;
    const { findings } = await load({ 'a.yaml': bomb });
    expect(findings[0]!.ruleId).toBe('telemetry-registry-unreadable');
  });

  test('a folder without files is a finding that names it', async () => {
    const { findings } = await loadRegistries(folderTree('/nonexistent-folder'), [{ path: 'telemetry/registry' }]);
    expect(lines(findings)).toEqual(['error telemetry-registry-unreadable telemetry/registry:-']);
  });

  test('a file of mistakes without end gives a bounded list', async () => {
    const keys = Array.from({ length: 20_000 }, (_, index) => `key${index}: 1`).join('\n');
    const refs = Array.from({ length: 5000 }, (_, index) => `{ref: a.b${index}}`).join(', ');
    const { findings } = await load({ 'a.yaml': `${ATTRIBUTES}  - {id: z, type: span, attributes: [${refs}]}\n${keys}\n` });
    expect(findings.length).toBe(1001);
    expect(findings.at(-1)!.message).toBe('The registries have 1000 problems or more; the rest is not listed.');
  });

  test('all problems are collected, not only the first', async () => {
    const { findings } = await load({
      'a.yaml': metric.replace('type: int', 'type: integer').replace('ref: app.color', 'ref: app.colour'),
      'b.yaml': 'groups: x\n',
    });
    expect(findings.length).toBe(3);
  });
});

describe('order', () => {
  test('the order of files and groups does not matter', async () => {
    const groups = metricFile()
      .replace('groups:\n', '')
      .split(/\n(?= {2}- id)/)
      .concat([
        '  - {id: z, type: attribute_group, brief: Z., extends: registry.x}',
        '  - {id: span.y, type: span, span_kind: client, brief: Y., stability: stable, extends: z}',
      ]);
    const shape = async (order: readonly string[]): Promise<string> => {
      const { registry } = await load(Object.fromEntries(order.map((group, index) => [`${index}.yaml`, `groups:\n${group}\n`])));
      return JSON.stringify(
        [...registry.metrics.values(), ...registry.spans.values()]
          .map((signal) => [
            signal.name,
            [...signal.attributes.values()].map((a) => [a.name, a.requirement, a.definition?.brief]),
          ])
          .concat([[...registry.attributes.keys()]]),
      );
    };
    const expected = await shape(groups);
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(groups, { minLength: groups.length }), async (order) => {
        expect(await shape(order)).toBe(expected);
      }),
      { numRuns: 30 },
    );
  });

  test('any YAML gives findings or a model, never an exception', async () => {
    const value = fc.letrec((tie) => ({
      node: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom('groups', 'id', 'ref', 'x', 1, true, null, 'metric', 'app.color'),
        fc.array(tie('node'), { maxLength: 4 }),
        fc.dictionary(
          fc.constantFrom(
            'groups',
            'id',
            'type',
            'ref',
            'attributes',
            'members',
            'extends',
            'unit',
            'instrument',
            'metric_name',
            'deprecated',
            'requirement_level',
            'file_format',
            'metrics',
            'annotations',
            '__proto__',
            'constructor',
          ),
          tie('node'),
          { maxKeys: 5 },
        ),
      ),
    })).node;
    await fc.assert(
      fc.asyncProperty(value, async (node) => {
        const { registry } = await load({
          'a.yaml': JSON.stringify({ groups: [node, { id: 'a', type: 'metric', attributes: [node], annotations: node }] }),
          'b.yaml': JSON.stringify(node),
        });
        expect(registry.metrics).toBeInstanceOf(Map);
      }),
      { numRuns: 200 },
    );
  });
});

describe.skipIf(!hasSemconv)('the semantic conventions as published (skipped: shared/data/semconv is not here)', () => {
  test.each([
    ['v1.28.0', { attributes: 24, metrics: 5, spans: 3, events: 5 }],
    ['v1.41.1', { attributes: 64, metrics: 7, spans: 12, events: 8 }],
  ])('%s resolves; only references to other namespaces stay open', async (version, counts) => {
    const { registry, findings } = await loadRegistries(folderTree(`${SEMCONV}${version}`), [{ path: 'model', owned: false }]);
    expect({
      attributes: registry.attributes.size,
      metrics: registry.metrics.size,
      spans: registry.spans.size,
      events: registry.events.size,
    }).toEqual(counts);
    expect(new Set(findings.map((finding) => `${finding.level} ${finding.ruleId}`))).toEqual(
      new Set(['note telemetry-reference-unresolved']),
    );
    expect(
      findings.every((finding) =>
        /the (?:attribute `(?!gen_ai\.|openai\.)|group `gen_ai\.common\.event\.attributes`)/.test(finding.message),
      ),
    ).toBe(true);
  });

  test('v1.41.1 has the deprecated names of the conventions', async () => {
    const { registry } = await loadRegistries(folderTree(`${SEMCONV}v1.41.1`), [{ path: 'model', owned: false }]);
    const renames = Object.fromEntries(
      [...registry.attributes.values()]
        .filter((a) => a.deprecated !== undefined)
        .map((a) => [a.name, a.deprecated!.renamedTo ?? a.deprecated!.reason]),
    );
    expect(renames).toMatchObject({
      'gen_ai.usage.prompt_tokens': 'gen_ai.usage.input_tokens',
      'gen_ai.usage.completion_tokens': 'gen_ai.usage.output_tokens',
      'gen_ai.system': 'gen_ai.provider.name',
      'gen_ai.openai.request.seed': 'gen_ai.request.seed',
      'gen_ai.openai.request.response_format': 'gen_ai.output.type',
      'gen_ai.prompt': 'obsoleted',
      'gen_ai.completion': 'obsoleted',
    });
    expect(registry.metrics.get('gen_ai.client.token.usage')).toMatchObject({
      unit: '{token}',
      instrument: 'histogram',
      valueType: 'int',
    });
    expect(registry.metrics.get('gen_ai.client.token.usage')!.attributes.get('gen_ai.token.type')!.requirement).toBe('required');
  });
});
