import { describe, expect, test } from 'vitest';
import type { Finding } from '../../src/core/finding.ts';
import { contentModel, diffEventSchemas } from '../../src/telemetry/events/diff.ts';
import { loadEventSchemas } from '../../src/telemetry/events/load.ts';
import { lines, memoryTree } from './support.ts';

const schemas = async (schema: unknown) => {
  const findings: Finding[] = [];
  const loaded = await loadEventSchemas(
    memoryTree({ 'events/app.done.schema.json': typeof schema === 'string' ? schema : JSON.stringify(schema, null, 1) }),
    'events',
    findings,
  );
  return { loaded, findings };
};
const diff = async (base: unknown, head: unknown) =>
  diffEventSchemas((await schemas(base)).loaded, (await schemas(head)).loaded).map(
    (change) => `${change.rule} ${change.field} ${change.breaks} ${change.severity}`,
  );

const open = {
  type: 'object',
  required: ['id'],
  properties: {
    id: { type: 'string' },
    n: { type: 'integer' },
    color: { enum: ['red', 'green'] },
    target: { $ref: '#/$defs/target' },
  },
  $defs: { target: { type: 'object', properties: { pool: { type: 'string' } } } },
};
const closed = { ...open, additionalProperties: false };
const property = (name: string, schema: object | undefined, from: Record<string, unknown> = open): object => {
  const properties: Record<string, unknown> = { ...(from['properties'] as object), [name]: schema };
  if (schema === undefined) delete properties[name];
  return { ...from, properties };
};

describe('one change of a schema, one finding', () => {
  test.each<[string, object, object, string[]]>([
    ['nothing', open, open, []],
    ['words only', open, { ...open, title: 'x', description: 'y' }, []],
    ['a field gone from an open model', open, property('n', undefined), ['telemetry-event-field-removed n field consumer fail']],
    [
      'a field gone from a closed model',
      closed,
      property('n', undefined, closed),
      ['telemetry-event-field-removed n field both fail'],
    ],
    ['an optional field added to an open model', open, property('x', {}), []],
    [
      'an optional field added to a closed model',
      closed,
      property('x', {}, closed),
      ['telemetry-event-field-added x field consumer fail'],
    ],
    [
      'a field that becomes required',
      open,
      { ...open, required: ['id', 'n'] },
      ['telemetry-event-field-required n required producer fail'],
    ],
    ['a field no longer required', open, { ...open, required: [] }, ['telemetry-event-field-optional id required consumer fail']],
    ['integer to string', open, property('n', { type: 'string' }), ['telemetry-event-field-type-changed n type both fail']],
    [
      'integer to number, a widening',
      open,
      property('n', { type: 'number' }),
      ['telemetry-event-field-type-changed n type consumer fail'],
    ],
    [
      'number to integer, a narrowing',
      property('n', { type: 'number' }),
      open,
      ['telemetry-event-field-type-changed n type producer fail'],
    ],
    [
      'null allowed',
      open,
      property('n', { type: ['integer', 'null'] }),
      ['telemetry-event-field-type-changed n type consumer fail'],
    ],
    ['a value gone', open, property('color', { enum: ['red'] }), ['telemetry-event-enum-changed color enum both fail']],
    [
      'a new value',
      open,
      property('color', { enum: ['red', 'green', 'blue'] }),
      ['telemetry-event-enum-changed color enum added consumer warn'],
    ],
    [
      'a field inside a definition',
      open,
      { ...open, $defs: { target: { type: 'object', properties: { pool: { type: 'integer' } } } } },
      ['telemetry-event-field-type-changed target.pool type both fail'],
    ],
    [
      'a tighter limit',
      open,
      property('n', { type: 'integer', maximum: 9 }),
      ['telemetry-event-constraint-changed n maximum producer fail'],
    ],
    [
      'a looser limit',
      property('n', { type: 'integer', minimum: 1 }),
      property('n', { type: 'integer', minimum: 0 }),
      ['telemetry-event-constraint-changed n minimum consumer warn'],
    ],
    ['open to closed', open, closed, ['telemetry-event-content-model-changed additionalProperties producer fail']],
    ['closed to open', closed, open, ['telemetry-event-content-model-changed additionalProperties consumer warn']],
    [
      'a oneOf that cannot be compared',
      open,
      { ...open, oneOf: [{ required: ['n'] }] },
      ['telemetry-event-constraint-changed oneOf both warn'],
    ],
    [
      'list items',
      property('l', { type: 'array', items: { type: 'string' } }),
      property('l', { type: 'array', items: { type: 'integer' } }),
      ['telemetry-event-field-type-changed l type both fail'],
    ],
  ])('%s', async (_, base, head, expected) => expect(await diff(base, head)).toEqual(expected));

  test('a schema gone', async () => {
    const { loaded } = await schemas(open);
    expect(diffEventSchemas(loaded, new Map()).map((change) => [change.rule, change.location.file, change.inBase])).toEqual([
      ['telemetry-event-schema-removed', 'events/app.done.schema.json', true],
    ]);
  });
  test('a schema that refers to itself ends', async () => {
    const tree = (type: string): object => ({
      type: 'object',
      properties: { value: { type }, left: { $ref: '#' }, right: { $ref: '#' } },
    });
    expect(await diff(tree('string'), tree('integer'))).toContain('telemetry-event-field-type-changed value type both fail');
    expect((await diff(tree('string'), tree('integer'))).length).toBeLessThan(600);
  });
  test('the line is that of the changed keyword', async () => {
    const changes = diffEventSchemas((await schemas(open)).loaded, (await schemas(property('n', { type: 'string' }))).loaded);
    expect(changes[0]!.location).toMatchObject({ file: 'events/app.done.schema.json', line: 11 });
  });
  test.each([
    [{}, 'open'],
    [{ additionalProperties: true }, 'open'],
    [{ additionalProperties: false }, 'closed'],
    [{ additionalProperties: { type: 'string' } }, 'partial'],
    [{ additionalProperties: false, patternProperties: { a: {} } }, 'partial'],
  ])('the content model of %o is %s', (schema, expected) => expect(contentModel(schema)).toBe(expected));
});

describe('schemas that are wrong', () => {
  test.each<[string, string, string]>([
    ['malformed JSON', '{"type": ', 'cannot be read'],
    ['no object', '[]', 'is not a JSON object'],
    ['an unknown type', '{"type": "text"}', 'is not valid JSON Schema: type must be'],
    ['a reference to nothing', '{"$ref": "#/$defs/none"}', 'cannot be used'],
    ['a reference to the network', '{"$ref": "https://example.com/x.json"}', 'cannot be used'],
    ['a broken pattern', '{"pattern": "("}', 'cannot be used'],
  ])('%s', async (_, text, message) => {
    const { loaded, findings } = await schemas(text);
    expect(loaded.size).toBe(0);
    expect(findings[0]!.message).toContain(message);
    expect(lines(findings)[0]).toMatch(/^error telemetry-event-schema-invalid events\/app\.done\.schema\.json:\d+$/);
  });
  test('a binary file', async () => {
    const findings: Finding[] = [];
    await loadEventSchemas(memoryTree({ 'a.schema.json': new Uint8Array([0, 1]) }), '', findings);
    expect(findings.map((finding) => finding.message)).toEqual(['The event schema cannot be read: the file is binary']);
  });
  test('two patterns in one schema are told apart', async () => {
    const { loaded } = await schemas({ properties: { a: { pattern: '^a$' }, b: { pattern: '^b$' } } });
    const { validate } = loaded.get('app.done')!;
    expect([validate({ a: 'a', b: 'b' }), validate({ a: 'b' }), validate({ b: 'a' })]).toEqual([true, false, false]);
  });
});
