// What a client may send: parameters, bodies and paths that are wrong, and what the refusal says.
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomModel, temporary } from './support/models.ts';
import { metric, startServer, type TestServer } from './support/server.ts';

const dir = temporary();
afterAll(dir.remove);
let server: TestServer;
beforeAll(async () => {
  server = await startServer(randomModel(dir.file('model.gguf')));
});
afterAll(() => server[Symbol.asyncDispose]());

interface Refusal {
  error: { message: string; type: string; param: string | null; code: string };
}

async function refused(response: Response, status: number): Promise<Refusal['error']> {
  const text = await response.text();
  expect(response.status, text).toBe(status);
  const { error } = JSON.parse(text) as Refusal;
  expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
  return error;
}

const raw = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = { 'content-type': 'application/json' }) =>
  fetch(`${server.url}/v1/completions`, { method: 'POST', headers, body });

describe('parameters', () => {
  const user = { role: 'user', content: 'a' };
  const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object' } } };
  const call = (args: unknown): object => ({ id: 'c1', type: 'function', function: { name: 'f', arguments: args } });
  const cases: Array<[string, 'completions' | 'chat/completions', object, string | null, RegExp]> = [
    ['no object', 'completions', [], null, /^the body: expected a JSON object, got an empty list$/],
    ['no prompt', 'completions', {}, 'prompt', /^prompt: missing; expected a text, a list of one text, or a list of token ids$/],
    ['a prompt of another type', 'completions', { prompt: 7 }, 'prompt', /expected a text, .*, got 7$/],
    ['half a token', 'completions', { prompt: [1.5] }, 'prompt.0', /expected a text, or the id of a token, got 1.5$/],
    [
      'max_tokens as a text',
      'completions',
      { prompt: 'a', max_tokens: '5' },
      'max_tokens',
      /expected a whole number .*, got "5"$/,
    ],
    ['logprobs of 50', 'completions', { prompt: 'a', logprobs: 50 }, 'logprobs', /expected a whole number from 0 to 20, got 50$/],
    ['a long text for a number', 'completions', { prompt: 'a', seed: 'x'.repeat(9999) }, 'seed', /^.{1,200}$/],
    [
      'a misspelt parameter',
      'completions',
      { prompt: 'a', max_token: 5 },
      'max_token',
      /"max_token" is not a parameter .*did you mean max_tokens\?.*known: model/,
    ],
    ['a parameter of another server', 'completions', { prompt: 'a', mirostat: 2 }, 'mirostat', /not a parameter/],
    ['top_k of -2', 'completions', { prompt: 'a', top_k: -2 }, 'top_k', /of at least 1; 0 or -1 for no limit, got -2$/],
    ['a bias of a word', 'completions', { prompt: 'a', logit_bias: { the: 1 } }, 'logit_bias', /token ids .*, got an object$/],
    ['a bias of 200', 'completions', { prompt: 'a', logit_bias: { 5: 200 } }, 'logit_bias.5', /-100 to 100, got 200$/],
    [
      'a bias of no token',
      'completions',
      { prompt: 'a', logit_bias: { 999999: 1 } },
      'logit_bias',
      /token 999999 is not in the vocab/,
    ],
    ['tools of completions', 'completions', { prompt: 'a', tools: [{}] }, 'tools', /not supported/],
    [
      'no messages',
      'chat/completions',
      { messages: [] },
      'messages',
      /expected a list of 1 to 1024 messages, got an empty list$/,
    ],
    [
      'an unknown role',
      'chat/completions',
      { messages: [{ role: 'robot', content: 'a' }] },
      'messages.0.role',
      /expected system, developer, .* got "robot"/,
    ],
    [
      'an image',
      'chat/completions',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'a' },
              { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
            ],
          },
        ],
      },
      'messages.0.content.1.type',
      /needs a pool that serves image_input; .*none does: dev-cpu does not serve image_input/,
    ],
    [
      'an image of the server behind',
      'chat/completions',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'file:///etc/passwd' } }] }] },
      'messages.0.content.0.image_url.url',
      /expected a data:, http: or https: URL, got another text$/,
    ],
    [
      'a part of no kind',
      'chat/completions',
      { messages: [{ role: 'user', content: [{ type: 'video_url' }] }] },
      'messages.0.content.0.type',
      /expected text, image_url, input_audio or file, got another text$/,
    ],
    [
      'an image without one',
      'chat/completions',
      { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
      'messages.0.content.0.image_url',
      /missing; expected an object with a url$/,
    ],
    [
      'a message without content',
      'chat/completions',
      { messages: [{ role: 'assistant', content: null }] },
      'messages.0.content',
      /missing; expected a text, or a list of parts$/,
    ],
    [
      'no content at all',
      'chat/completions',
      { messages: [{ role: 'user', tool_calls: null }] },
      'messages.0.content',
      /missing; expected a text, or a list of parts$/,
    ],
    [
      "a tool's answer to nothing",
      'chat/completions',
      { messages: [{ role: 'tool', content: 'a' }] },
      'messages.0.tool_call_id',
      /missing; expected the id of a tool call$/,
    ],
    [
      'a user that calls tools',
      'chat/completions',
      { messages: [{ role: 'user', content: 'a', tool_calls: [call('{}')] }] },
      'messages.0.tool_calls',
      /only a message of the assistant/,
    ],
    [
      'arguments that are no text',
      'chat/completions',
      { messages: [{ role: 'assistant', tool_calls: [call({ secret: 1 })] }] },
      'messages.0.tool_calls.0.function.arguments',
      /expected a text of JSON, got an object$/,
    ],
    [
      'a tool choice without tools',
      'chat/completions',
      { messages: [user], tool_choice: 'required' },
      'tool_choice',
      /no tools to choose from/,
    ],
    [
      'a choice of a tool that is not there',
      'chat/completions',
      { messages: [user], tools: [tool], tool_choice: { type: 'function', function: { name: 'other' } } },
      'tool_choice',
      /not among the tools/,
    ],
    [
      'a tool of another kind',
      'chat/completions',
      { messages: [user], tools: [{ type: 'custom', custom: { name: 'x' } }] },
      'tools.0.type',
      /expected function, the only kind of tool/,
    ],
    [
      'a tool nested beyond reading',
      'chat/completions',
      {
        messages: [user],
        tools: [
          { type: 'function', function: { name: 'f', parameters: JSON.parse(`${'{"a":'.repeat(500)}1${'}'.repeat(500)}`) } },
        ],
      },
      'tools',
      /nested more than 128 deep/,
    ],
    [
      'reasoning',
      'chat/completions',
      { messages: [user], reasoning_effort: 'high' },
      'reasoning_effort',
      /needs a pool that serves reasoning_effort/,
    ],
    ['two users in a row', 'chat/completions', { messages: [user, user] }, 'messages', /must alternate/],
    ['logprobs as a number', 'chat/completions', { messages: [user], logprobs: 5 }, 'logprobs', /expected true or false, got 5$/],
    [
      'tools',
      'chat/completions',
      { messages: [user], tools: [tool] },
      'tools',
      /none does: dev-cpu does not serve tools\. Send it/,
    ],
  ];
  it.each(cases)('%s is refused in words', async (_name, endpoint, body, param, message) => {
    const error = await refused(await server.post(`/v1/${endpoint}`, body), 400);
    expect(error.message).toMatch(message);
    expect(error.param).toBe(param);
  });

  it('brackets alone do not end the call stack', async () => {
    const deep = '['.repeat(9000) + ']'.repeat(9000);
    for (const body of [
      `{"prompt": "a", "tools": ${deep}}`,
      `{"prompt": "a", "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"title": ${deep}}}}}`,
    ])
      expect((await refused(await raw(body), 400)).code).toMatch(/^unsupported_/);
  });

  it('takes what clients send that asks for nothing', async () => {
    const nothing = {
      tools: [],
      tool_choice: 'auto',
      modalities: ['text'],
      logit_bias: {},
      n: 1,
      store: false,
      metadata: { a: 'b' },
      frequency_penalty: 0,
      presence_penalty: null,
      top_k: -1,
      min_p: 0,
      reasoning_effort: 'none',
      parallel_tool_calls: true,
    };
    const response = await server.post('/v1/chat/completions', { ...nothing, model: null, messages: [user], max_tokens: 1 });
    expect(response.status, await response.clone().text()).toBe(200);
  });

  it('every seed of 64 bits gives its own text, again and again', async () => {
    const text = async (seed: number): Promise<string> => {
      const body = { prompt: 'a', max_tokens: 24, temperature: 1.5, seed };
      const answer = (await (await server.post('/v1/completions', body)).json()) as { choices: Array<{ text: string }> };
      return answer.choices[0]?.text ?? JSON.stringify(answer);
    };
    // The last of 32 bits is llama.cpp's sign for a random seed.
    const seeds = [-1, -(2 ** 62), 0, 4294967295, 2 ** 53 - 1, 2 ** 62];
    const first = await Promise.all(seeds.map(text));
    expect(await Promise.all(seeds.map(text))).toEqual(first);
    expect(new Set(first).size).toBe(seeds.length - 1); // 0 and 2 ** 32 - 1 are one seed of llama.cpp
  });

  it('top_p 0 takes the most likely token', async () => {
    const text = async (more: object): Promise<unknown> =>
      ((await (await server.post('/v1/completions', { prompt: 'a', max_tokens: 12, ...more })).json()) as { choices: unknown })
        .choices;
    expect(await text({ top_p: 0, temperature: 2, seed: 5 })).toEqual(await text({ temperature: 0 }));
    expect(await text({ top_p: 0, temperature: 2, seed: 5, logprobs: 2 })).toEqual(await text({ temperature: 0, logprobs: 2 }));
  });

  it('offsets of log probabilities count characters as Python does', async () => {
    const body = { prompt: 'a😀b', max_tokens: 0, echo: true, logprobs: 0 };
    const answer = (await (await server.post('/v1/completions', body)).json()) as {
      choices: Array<{ logprobs: { text_offset: number[] } }>;
    };
    // Begin, a, four bytes of one character, b.
    expect(answer.choices[0]?.logprobs.text_offset).toEqual([0, 0, 1, 1, 1, 1, 2]);
  });
});

describe('bodies', () => {
  it.each<[string, () => Promise<Response>, number, RegExp]>([
    ['no content type', () => raw('{"prompt": "a"}', {}), 415, /content-type: application\/json/],
    ['text/plain', () => raw('{"prompt": "a"}', { 'content-type': 'text/plain' }), 415, /content-type: application\/json/],
    ['gzip', () => raw('x', { 'content-type': 'application/json', 'content-encoding': 'gzip' }), 415, /content-encoding gzip/],
    ['nothing', () => raw(''), 400, /empty/],
    ['half of it', () => raw('{"prompt": '), 400, /not valid JSON: .*JSON input/],
    [
      'Latin-1',
      () => raw(Uint8Array.from([...Buffer.from('{"prompt": "caf'), 0xe9, ...Buffer.from('"}')])),
      400,
      /not valid UTF-8/,
    ],
    ['too much', () => raw(JSON.stringify({ prompt: 'x'.repeat(1_100_000) })), 413, /larger than 1048576 bytes/],
  ])('%s', async (_name, send, status, message) => {
    const error = await refused(await send(), status);
    expect(error).toMatchObject({ code: 'invalid_body', type: 'invalid_request_error' });
    expect(error.message).toMatch(message);
  });

  it('are counted when they are refused', async () => {
    const count = async (): Promise<number> =>
      metric(await (await server.get('/metrics')).text(), 'mixgate_rejections_total', 'invalid_body') ?? 0;
    const before = await count();
    await raw('{');
    expect(await count()).toBe(before + 1);
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () => socket.write('GARBAGE\r\n\r\n'));
    await new Promise((resolve) => socket.resume().on('close', resolve));
    expect(await count()).toBe(before + 2);
  });

  it('may begin with a byte order mark, and name a member __proto__', async () => {
    expect((await raw('\ufeff{"prompt": "a", "max_tokens": 1}')).status).toBe(200);
    expect((await refused(await raw('{"prompt": "a", "__proto__": {"x": 1}}'), 400)).message).toMatch(/not a parameter/);
  });
});

describe('a page that a browser on this machine has open', () => {
  const ask = (headers: Record<string, string>): Promise<number> =>
    new Promise((resolve, reject) => {
      httpRequest(`${server.url}/v1/moe/traces`, { headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      })
        .on('error', reject)
        .end();
    });
  it.each<[string, Record<string, string>, number]>([
    ['reads nothing by a name of its own', { host: 'rebound.example' }, 403],
    ['nor by an address that is not loopback', { host: '10.0.0.1:8080' }, 403],
    ['nor from another site', { host: 'localhost', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }, 403],
    ['a link is followed', { host: 'localhost', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }, 200],
    ['a program asks as ever', { host: '127.0.0.1:8080' }, 200],
  ])('%s', async (_name, headers, status) => {
    expect(await ask(headers)).toBe(status);
  });
});

describe('paths', () => {
  it('another method gets 405 with what is allowed', async () => {
    for (const [method, path, allow] of [
      ['GET', '/v1/completions', 'POST'],
      ['OPTIONS', '/v1/chat/completions', 'POST'],
      ['DELETE', '/v1/models?x=1', 'GET'],
    ] as const) {
      const response = await fetch(`${server.url}${path}`, { method });
      expect(response.headers.get('allow')).toBe(allow);
      expect((await refused(response, 405)).code).toBe('method_not_allowed');
    }
  });

  it('an error of the official client names the decision', async () => {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'unused', maxRetries: 0 });
    const error = await client.completions
      .create({ model: 'mixtral-micro', prompt: 'a', n: 2 })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    const { requestID, headers } = error as InstanceType<typeof OpenAI.BadRequestError>;
    expect(requestID).toMatch(/^[0-9a-f-]{36}$/);
    expect(headers.get('x-mixgate-decision-id')).toBe(requestID);
  });

  it('a path that cannot be decoded is refused in the same shape', async () => {
    await refused(await server.get('/v1/%'), 400);
    await refused(await server.get('/v1/moe/traces/%ff'), 400);
  });

  it('one model can be asked for by name', async () => {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'unused', maxRetries: 0 });
    const [listed] = (await client.models.list()).data;
    expect(await client.models.retrieve('mixtral-micro')).toMatchObject({ ...listed });
    expect(listed?.created).toBeGreaterThan(1_700_000_000);
    await expect(client.models.retrieve('other/model')).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
      message: expect.stringContaining('other/model'),
    });
  });

  it('what is no HTTP is answered in the same shape', async () => {
    const answer = (bytes: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () => socket.write(bytes));
        let text = '';
        socket.on('data', (data) => {
          text += data;
        });
        socket.on('close', () => resolve(text));
        socket.on('error', reject);
      });
    expect(await answer('GARBAGE\r\n\r\n')).toMatch(/^HTTP\/1.1 400 .*"type":"invalid_request_error"/s);
    expect(await answer(`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 431 .*"code":"invalid_body"/s,
    );
  });
});
