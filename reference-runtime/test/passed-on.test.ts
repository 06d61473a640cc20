// What is passed on to an upstream server, the pieces of its answer, and the table of capabilities.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import schema from '../../schemas/runtime.schema.json' with { type: 'json' };
import { CAPABILITIES, CAPABILITY_NAMES, unserved } from '../src/config/capabilities.ts';
import { type CallContext, type Delta, EngineError, type EngineEvent } from '../src/engine/types.ts';
import { UpstreamEngine } from '../src/engine/upstream-engine.ts';
import { HttpError } from '../src/server/errors.ts';
import { MessageBuilder } from '../src/server/message.ts';
import { parseRequest } from '../src/server/openai.ts';
import { collect, request } from './support/requests.ts';
import { chunk, startStub, streaming } from './support/stub.ts';

const ASK = { role: 'user' as const, content: 'How is the weather?' };
const WEATHER = { type: 'function', function: { name: 'weather', parameters: { type: 'object' } } };

describe('copies and names', () => {
  const context: CallContext = {
    ...{ tenant: 't', workload: 'w', traceparent: '', streaming: true },
    passed: {
      messages: [ASK],
      parameters: { tools: [WEATHER] },
      bookkeeping: { store: true, user: 'u', safety_identifier: 's' },
    },
  };
  const sent = async (identity: 'headers' | 'none', more: Partial<CallContext>): Promise<Record<string, unknown>> => {
    await using plain = await startStub(streaming());
    const engine = new UpstreamEngine({ url: plain.url, model: 'm', identity });
    const wanted = request({ prompt: { kind: 'chat', messages: [ASK] } });
    for await (const _ of engine.generate(wanted, new AbortController().signal, { ...context, ...more }));
    return plain.calls[0]?.body ?? {};
  };

  it('a copy has the tools and no bookkeeping; a server that is told no names is not told the user', async () => {
    expect(await sent('headers', {})).toMatchObject({ tools: [WEATHER], store: true, user: 'u', safety_identifier: 's' });
    expect(await sent('headers', { shadow: true })).toMatchObject({ tools: [WEATHER] });
    for (const [body, absent] of [
      [await sent('headers', { shadow: true }), ['store', 'user', 'safety_identifier']],
      [await sent('none', {}), ['user', 'safety_identifier']],
    ] as const)
      for (const name of absent) expect(body).not.toHaveProperty(name);
    expect(await sent('none', {})).toMatchObject({ store: true });
  });

  it('arguments that are an object become text, and log probabilities of no text are none', async () => {
    const tool_calls = [{ index: 0, id: 'a', function: { name: 'f', arguments: { city: 'Bern' } } }];
    const piece = { delta: { tool_calls }, logprobs: { content: null }, finish_reason: 'tool_calls' };
    await using odd = await startStub((response) => void response.writeHead(200).end(chunk({ choices: [piece] })));
    const engine = new UpstreamEngine({ url: odd.url, model: 'm', retries: 0 });
    const events: EngineEvent[] = [];
    for await (const event of engine.generate(request(), new AbortController().signal)) events.push(event);
    expect(events[0]).toEqual({
      type: 'token',
      text: '',
      delta: { tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: '{"city":"Bern"}' } }] },
    });
  });

  it('every log probability of a piece with several tokens comes through', async () => {
    const content = ['a', 'b', 'c'].map((token) => ({ token, logprob: -1, top_logprobs: [] }));
    const piece = { delta: { content: 'abc' }, logprobs: { content }, finish_reason: 'stop' };
    await using several = await startStub((response) => void response.writeHead(200).end(chunk({ choices: [piece] })));
    const engine = new UpstreamEngine({ url: several.url, model: 'm', retries: 0 });
    const { text: whole, scores, done } = await collect(engine, request({ logprobs: 0 }));
    expect([whole, scores.map((score) => score.text), done?.completionTokens]).toEqual(['abc', ['a', 'b', 'c'], 3]);
  });

  it('tool calls that are none end the request as an error of the upstream', async () => {
    for (const tool_calls of [{}, 'x', [1], [[]]]) {
      await using broken = await startStub(
        (response) => void response.writeHead(200).end(`${chunk({ choices: [{ delta: { tool_calls } }] })}data: [DONE]\n\n`),
      );
      const engine = new UpstreamEngine({ url: broken.url, model: 'm', retries: 0 });
      const reading = async (): Promise<void> => {
        for await (const _ of engine.generate(request(), new AbortController().signal));
      };
      await expect(reading()).rejects.toThrow(EngineError);
    }
  });
});

const text = fc.string({ maxLength: 6, unit: 'grapheme' });
const delta = fc.oneof(
  fc.record({ content: text }),
  fc.record({ reasoning_content: text }),
  fc.record({
    tool_calls: fc.array(fc.record({ index: fc.nat({ max: 3 }), function: fc.record({ arguments: text }) }), {
      minLength: 1,
      maxLength: 3,
    }),
  }),
);

describe('pieces', () => {
  it('of any answer come through in order, none lost, none made up', () =>
    fc.assert(
      fc.asyncProperty(fc.array(delta, { maxLength: 20 }), async (deltas) => {
        await using any = await startStub(
          (response) =>
            void response
              .writeHead(200)
              .end(
                `${deltas.map((each) => chunk({ choices: [{ delta: each, finish_reason: null }] })).join('')}${chunk({ choices: [{ delta: {}, finish_reason: 'tool_calls' }] })}data: [DONE]\n\n`,
              ),
        );
        const engine = new UpstreamEngine({ url: any.url, model: 'm', retries: 0 });
        const events: EngineEvent[] = [];
        for await (const event of engine.generate(request(), new AbortController().signal)) events.push(event);
        const came = events.flatMap((event) =>
          event.type === 'token' ? [event.text === '' ? event.delta : { content: event.text }] : [],
        );
        expect(came).toEqual(deltas.filter((each) => Object.values(each).some((value) => value !== '')));
        expect(events.at(-1)).toMatchObject({ type: 'done', finishReason: 'tool_calls' });
      }),
      { numRuns: 40 },
    ));

  const whole = fc.record({
    id: fc.uuid(),
    name: fc.string({ minLength: 1, maxLength: 8 }),
    arguments: fc.string({ maxLength: 40 }),
  });
  it('of tool calls make the calls again, however they are cut and mixed', () =>
    fc.assert(
      fc.property(fc.array(whole, { minLength: 1, maxLength: 4 }), fc.infiniteStream(fc.nat()), (calls, draws) => {
        const draw = (below: number): number => Number(draws.next().value) % below;
        const left = calls.map((call) => ({ ...call, begun: false }));
        const builder = new MessageBuilder();
        // A call begins after the one before it has.
        for (let open = 1; left.some((call) => !call.begun || call.arguments !== ''); ) {
          const index = draw(open);
          const call = left[index] as (typeof left)[number];
          const cut = draw(call.arguments.length + 1);
          const piece = { index, function: { arguments: call.arguments.slice(0, cut) } };
          const first = call.begun ? {} : { id: call.id, type: 'function', function: { ...piece.function, name: call.name } };
          builder.add({ tool_calls: [{ ...piece, ...first }] } as Delta);
          call.arguments = call.arguments.slice(cut);
          call.begun = true;
          if (index === open - 1 && open < left.length) open++;
        }
        expect(builder.parts()?.tool_calls).toEqual(
          calls.map(({ id, name, arguments: args }) => ({ id, type: 'function', function: { name, arguments: args } })),
        );
      }),
    ));

  it('of a server that numbers no calls begin with an id', () => {
    const builder = new MessageBuilder();
    for (const [id, args] of [
      ['a', '{'],
      [undefined, '}'],
      ['b', '[]'],
    ] as const)
      builder.add({ tool_calls: [{ ...(id === undefined ? {} : { id }), function: { name: id ?? '', arguments: args } }] });
    expect(builder.parts()?.tool_calls?.map((call) => [call.id, call.function.arguments])).toEqual([
      ['a', '{}'],
      ['b', '[]'],
    ]);
  });
});

describe('the table', () => {
  it('is the one of the schema, whose texts say the defaults', () => {
    const { properties } = schema.properties.pools.items.properties.capabilities;
    expect(Object.keys(properties)).toEqual(CAPABILITY_NAMES);
    for (const name of CAPABILITY_NAMES)
      expect(properties[name].description).toContain(`Default ${CAPABILITIES[name].upstream}.`);
  });

  it('of a pool that cannot be reached says only what its configuration denies', () => {
    expect([...unserved({})]).toEqual([]);
    expect([...unserved({ capabilities: { tools: false, image_input: true } })]).toEqual(['tools']);
    expect([...unserved({ engine: { url: 'http://x' } })]).toEqual(['image_input', 'audio_input', 'file_input']);
    expect([...unserved({ engine: { url: 'http://x' }, capabilities: { top_k: false, image_input: true } })]).toEqual([
      'audio_input',
      'file_input',
      'top_k',
    ]);
    expect([...unserved({ engine: 'local' })]).toEqual(CAPABILITY_NAMES.filter((name) => !CAPABILITIES[name].local));
  });
});

describe('bodies', () => {
  const json = fc.jsonValue({ maxDepth: 4 });
  const message = fc.record(
    {
      role: fc.oneof(fc.constantFrom('system', 'developer', 'user', 'assistant', 'tool'), json),
      content: fc.oneof(
        fc.string(),
        fc.array(
          fc.record(
            { type: fc.constantFrom('text', 'image_url', 'input_audio', 'file', 'x'), text: json, image_url: json, file: json },
            { requiredKeys: ['type'] },
          ),
        ),
        json,
      ),
      tool_calls: fc.oneof(fc.array(fc.record({ id: json, type: fc.constantFrom('function', 'x'), function: json })), json),
      tool_call_id: json,
      name: json,
    },
    { requiredKeys: [] },
  );
  const body = fc.record(
    {
      messages: fc.oneof(fc.array(message, { minLength: 1, maxLength: 3 }), json),
      tools: fc.oneof(fc.constant([WEATHER]), json),
      tool_choice: fc.oneof(fc.constantFrom('none', 'auto', 'required'), json),
      ...Object.fromEntries(
        [
          'response_format',
          'logit_bias',
          'metadata',
          'reasoning_effort',
          'top_k',
          'min_p',
          'frequency_penalty',
          'user',
          'store',
          'stop',
        ].map((name) => [name, json]),
      ),
    },
    { requiredKeys: ['messages'] },
  );

  it('of any form are read, or refused with 400 in words', () =>
    fc.assert(
      fc.property(body, (given) => {
        try {
          parseRequest('chat', given);
        } catch (error) {
          expect(error).toBeInstanceOf(HttpError);
          expect((error as HttpError).status).toBe(400);
          expect((error as HttpError).message).not.toMatch(/undefined|\[object/);
        }
      }),
      { numRuns: 1500 },
    ));

  it('with tools are passed on as they are, messages by reference', () => {
    const call = { id: 'c', type: 'function', function: { name: 'weather', arguments: '{}' } };
    const messages = [
      ASK,
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'c', content: 'sun' },
    ];
    const { passed, requires, characters } = parseRequest('chat', { messages, tools: [WEATHER], user: 'u' });
    expect(passed?.messages?.map((each, index) => each === messages[index])).toEqual([true, true, true]);
    expect(passed?.parameters['tools']).toEqual([WEATHER]);
    expect(passed?.bookkeeping).toEqual({ user: 'u' });
    expect(requires.map(({ capability, param }) => [capability, param])).toEqual([['tools', 'tools']]);
    // Names and texts of messages and tools, by hand.
    const count = (value: unknown): number => JSON.stringify(value).replace(/[{}[\]":,]|null/g, '').length;
    expect(characters).toBe(
      count([ASK, messages[1], messages[2]].map((each) => ({ ...each }))) + count({ tools: [WEATHER] }) + 2,
    );
  });

  it('without anything of it have none of it', () => {
    const plain = parseRequest('chat', { messages: [ASK] });
    expect(plain).toMatchObject({ requires: [], attachments: 0 });
    for (const absent of ['passed', 'characters']) expect(plain).not.toHaveProperty(absent);
  });
});
