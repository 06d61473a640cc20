// What a schema of `response_format` may be, what its grammar allows, and that no schema keeps the engine busy.
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import fc from 'fast-check';
import { getLlama, type Llama, type LlamaGrammar } from 'node-llama-cpp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Grammars } from '../src/engine/grammar.ts';
import { HttpError } from '../src/server/errors.ts';
import { readResponseFormat } from '../src/server/response-format.ts';
import { microModel } from './support/models.ts';
import { startServer, type TestServer } from './support/server.ts';

type Format = NonNullable<ReturnType<typeof readResponseFormat>['format']>;

function format(schema: object): Format {
  const { format: read, refusal: why } = readResponseFormat({ type: 'json_schema', json_schema: { name: 'x', schema } });
  if (why !== undefined) throw why;
  return read as Format;
}

/** The refusal of a schema, without what every refusal begins with. */
function refusal(schema: object): string {
  try {
    format(schema);
  } catch (error) {
    expect(error).toBeInstanceOf(HttpError);
    expect(error).toMatchObject({ status: 400, param: 'response_format' });
    return (error as HttpError).message.replace('response_format: the schema at ', '');
  }
  throw new Error('the schema was taken');
}

const ref = (name: string): object => ({ $ref: `#/$defs/${name}` });

describe('schemas', () => {
  it.each<[string, object, RegExp]>([
    ['a reference to nothing', ref('none'), /its root refers to #\/\$defs\/none, which is not there/],
    [
      'a definition that is not the root’s',
      { type: 'object', properties: { a: { ...ref('b'), $defs: { b: { type: 'null' } } } } },
      /\/properties\/a refers to #\/\$defs\/b/,
    ],
    [
      'a circle of references',
      { ...ref('a'), $defs: { a: ref('b'), b: { anyOf: [{ type: 'null' }, ref('a')] } } },
      /nothing in between/,
    ],
    ['a text without end', { type: 'object', properties: { next: { $ref: '#' } } }, /its root has no end: .*anyOf with null/],
    [
      'two that need each other',
      {
        ...ref('a'),
        $defs: { a: { type: 'object', properties: { b: ref('b') } }, b: { type: 'array', minItems: 2, items: ref('a') } },
      },
      /no end/,
    ],
    ['a list of at least one of itself', { type: 'array', minItems: 1, items: { $ref: '#' } }, /no end/],
    [
      'more repetitions than llama.cpp takes',
      { type: 'string', maxLength: 1000 },
      /maxLength; expected an integer from 0 to 999/,
    ],
    ['half a surrogate pair', { enum: ['\ud800'] }, /cannot be written/],
    ['a control character', { const: 'a\u0000' }, /cannot be written/],
    ['a control character in a name', { type: 'object', properties: { 'a\b': { type: 'null' } } }, /cannot be written/],
    ['a pattern', { type: 'string', pattern: '^(a+)+$' }, /has pattern, which cannot be enforced here$/],
    [
      'a keyword beside one it does not go with',
      { anyOf: [{ type: 'null' }], type: 'null' },
      /has type, which .* together with anyOf/,
    ],
    ['no alternatives', { anyOf: [] }, /empty anyOf/],
  ])('%s is refused in words', (_name, schema, message) => {
    expect(refusal(schema)).toMatch(message);
  });

  /** Each level has `width` alternatives that begin alike, with the next level inside. */
  const nested = (depth: number, width: number, alternative: (next: object, index: number) => object): object => ({
    ...ref('d0'),
    $defs: Object.fromEntries([
      ...Array.from({ length: depth }, (_, level) => [
        `d${level}`,
        { anyOf: Array.from({ length: width }, (_, index) => alternative(ref(`d${level + 1}`), index)) },
      ]),
      [`d${depth}`, { type: 'string' }],
    ]),
  });
  const properties = (entries: Record<string, object>): object => ({ type: 'object', properties: entries });

  it.each<[string, object]>([
    ['references', nested(30, 8, (next) => next)],
    ['objects', nested(30, 8, (next, index) => properties({ a: next, [`b${index}`]: { type: 'null' } }))],
    ['lists', nested(30, 8, (next, index) => ({ type: 'array', items: next, maxItems: index + 1 }))],
    [
      'itself',
      {
        anyOf: [
          { type: 'null' },
          properties({ l: { $ref: '#' }, a: { type: 'null' } }),
          properties({ l: { $ref: '#' }, b: { type: 'null' } }),
        ],
      },
    ],
    [
      'constants that overlap',
      nested(12, 3, (next, index) => properties({ k: { enum: ['x', 'y', index] }, a: next, [`b${index}`]: { type: 'null' } })),
    ],
    [
      'an enum and what is beside it',
      { anyOf: [{ enum: Array.from({ length: 1000 }, (_, index) => `v${index}`) }, { type: 'null' }] },
    ],
    [
      'enums of two alternatives',
      { anyOf: [0, 1].map((half) => ({ enum: Array.from({ length: 501 }, (_, index) => `v${half}${index}`) })) },
    ],
  ])('alternatives that multiply through %s are refused before a grammar is made', (_name, schema) => {
    expect(refusal(schema)).toMatch(/too many (alternatives|ways)/);
  });

  it.each<[string, object]>([
    ['a long enum', { type: 'array', items: { enum: Array.from({ length: 900 }, (_, index) => `v${index}`) } }],
    ['an enum of as many as there may be', { enum: Array.from({ length: 1000 }, (_, index) => `v${index}`) }],
    ['a list of itself that may be empty', { type: 'array', items: { $ref: '#' } }],
    ['a list of itself of at most three', { type: 'array', minItems: 0, maxItems: 3, items: { $ref: '#' } }],
    [
      'two that need each other, of which one has a way out',
      { ...ref('a'), $defs: { a: properties({ b: ref('b') }), b: { anyOf: [ref('a'), { type: 'null' }] } } },
    ],
    ['a tree', { anyOf: [{ type: 'null' }, properties({ left: { $ref: '#' }, right: { $ref: '#' } })] }],
    [
      'expressions told apart by their first property',
      {
        anyOf: [
          properties({ op: { const: 'number' }, value: { type: 'number' } }),
          ...['add', 'multiply', 'divide'].map((op) =>
            properties({ op: { const: op }, left: { $ref: '#' }, right: { $ref: '#' } }),
          ),
          properties({ op: { const: 'call' }, name: { type: 'string' }, arguments: { type: 'array', items: { $ref: '#' } } }),
        ],
      },
    ],
    ['many alternatives of one level', nested(1, 100, (next, index) => properties({ a: next, [`b${index}`]: { type: 'null' } }))],
    [
      'many properties',
      properties(Object.fromEntries(Array.from({ length: 900 }, (_, index) => [`p${index}`, { type: 'integer' }]))),
    ],
  ])('%s is taken', (_name, schema) => {
    expect(format(schema).kind).toBe('json_schema');
  });
});

describe('grammars', () => {
  let llama: Llama;
  beforeAll(async () => {
    llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logger: () => {} });
  });
  afterAll(() => llama.dispose());

  const allows = async (schema: object, texts: string[]): Promise<string[]> => {
    const grammar = (await new Grammars(llama).get(format(schema))) as LlamaGrammar & { _testText(text: string): boolean };
    return texts.filter((text) => grammar._testText(`${text}\n\n\n\n`));
  };

  it('an integer is one, and a number is finite', async () => {
    expect(await allows({ type: 'integer' }, ['0', '-12', '1e-5', '1E5', '1.5', '01'])).toEqual(['0', '-12']);
    expect(await allows({ type: 'number' }, ['0', '-1.5', '1.5e-7', '2E99', '1e999'])).toEqual(['0', '-1.5', '1.5e-7', '2E99']);
    const inside = properties({ n: { type: 'number' }, i: { type: 'integer' } });
    expect(await allows(inside, ['{"n":1e9,"i":3}', '{"n":1e9,"i":3e1}', '{"n":1e400,"i":3}'])).toEqual(['{"n":1e9,"i":3}']);
  });

  it('lengths are counted in characters, however they are written', async () => {
    // An escaped surrogate pair is one character and would be two of the grammar's.
    expect(
      await allows({ type: 'string', minLength: 2, maxLength: 2 }, ['"\\ud83d\\ude00"', '"😀é"', '"\\u0007\\n"', '"a"']),
    ).toEqual(['"😀é"', '"\\u0007\\n"']);
  });

  const ajv = new Ajv2020();
  (formats as unknown as (ajv: Ajv2020) => void)(ajv);
  it.each(['date', 'date-time'])('a %s is a day that there is', async (name) => {
    const schema = { type: 'string', format: name };
    const valid = ajv.compile(schema);
    const days = Array.from({ length: 12 * 33 }, (_, index) => `2023-${two(1 + Math.floor(index / 33))}-${two(index % 33)}`);
    const texts = days.map((day) => JSON.stringify(name === 'date' ? day : `${day}T23:59:59Z`));
    expect(await allows(schema, texts)).toEqual(texts.filter((text) => valid(JSON.parse(text))));
  });

  it('a schema that refers to its root makes the grammar of a tree', async () => {
    const tree = { anyOf: [{ type: 'null' }, properties({ l: { $ref: '#' }, r: { $ref: '#' } })] };
    const texts = ['null', '{"l":null,"r":{"l":null,"r":null}}', '{"l":null}', '{"l":1,"r":null}'];
    expect(await allows(tree, texts)).toEqual(texts.slice(0, 2));
  });
});

const two = (value: number): string => String(value).padStart(2, '0');
const properties = (entries: Record<string, object>): object => ({ type: 'object', properties: entries });

/** Schemas of every kind that is served, nested. */
const schemas = fc.letrec<{ leaf: object; schema: object }>((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom('integer', 'number', 'boolean', 'null').map((type) => ({ type })),
    fc.constantFrom('date', 'time', 'date-time').map((format) => ({ type: 'string', format })),
    fc
      .record({ minLength: fc.nat(2), maxLength: fc.integer({ min: 2, max: 6 }) })
      .map((bounds) => ({ type: 'string', ...bounds })),
    fc
      .uniqueArray(fc.oneof(fc.constantFrom('a', 'é"\\', true, null), fc.integer()), { minLength: 1, maxLength: 4 })
      .map((values) => ({
        enum: values,
      })),
  ),
  schema: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    tie('leaf'),
    fc
      .dictionary(fc.constantFrom('a', 'b c', '"q', 'ü'), tie('schema'), { maxKeys: 3 })
      .map((members) => ({ type: 'object', properties: members, required: Object.keys(members), additionalProperties: false })),
    fc.record({ items: tie('schema'), minItems: fc.nat(1), maxItems: fc.integer({ min: 1, max: 2 }) }).map((array) => ({
      type: 'array',
      ...array,
    })),
    fc.array(tie('schema'), { minLength: 1, maxLength: 2 }).map((anyOf) => ({ anyOf })),
  ),
}));

describe('over HTTP', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer(microModel());
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('what is generated is valid by the schema, whatever the schema and however it is sampled', async () => {
    let complete = 0;
    await fc.assert(
      fc.asyncProperty(
        schemas.schema,
        fc.constantFrom(0, 1, 1.6),
        fc.boolean(),
        fc.nat(),
        async (schema, temperature, scored, seed) => {
          const response = await server.post('/v1/completions', {
            ...{ prompt: 'Data: ', max_tokens: 300, temperature, seed, ...(scored ? { logprobs: 1 } : {}) },
            response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
          });
          const answer = (await response.json()) as { choices: Array<{ text: string; finish_reason: string }> };
          expect(response.status, JSON.stringify([schema, answer])).toBe(200);
          const [{ text, finish_reason }] = answer.choices as [(typeof answer.choices)[0]];
          // Cut short by max_tokens it promises nothing.
          if (finish_reason !== 'stop') return;
          complete++;
          const ajv = new Ajv2020();
          (formats as unknown as (ajv: Ajv2020) => void)(ajv);
          const valid = ajv.compile(schema);
          expect(valid(JSON.parse(text)), JSON.stringify([schema, text, valid.errors])).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
    expect(complete).toBeGreaterThan(20);
  });

  it('alternatives that multiply leave the engine as it was', async () => {
    const { restarts } = server.runtime.local.stats();
    const alternatives = (next: object): object[] =>
      Array.from({ length: 8 }, (_, index) => properties({ a: next, [`b${index}`]: { type: 'null' } }));
    const $defs = Object.fromEntries(
      Array.from({ length: 8 }, (_, level) => [
        `d${level}`,
        { anyOf: alternatives(level === 7 ? { type: 'string' } : ref(`d${level + 1}`)) },
      ]),
    );
    const post = (schema: object): Promise<Response> =>
      server.post('/v1/chat/completions', {
        messages: [{ role: 'user', content: 'a' }],
        max_tokens: 24,
        response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
      });
    const refused = await post({ ...ref('d0'), $defs });
    expect(refused.status, await refused.text()).toBe(400);
    const answered = await post(properties({ a: { type: 'integer' } }));
    expect(answered.status, await answered.text()).toBe(200);
    expect(server.runtime.local.stats().restarts).toBe(restarts);
  });
});
