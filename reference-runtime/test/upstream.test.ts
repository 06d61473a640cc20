// The upstream engine against real servers on the loopback interface, with time and chance of the test's own.
import type { ServerResponse } from 'node:http';
import fc from 'fast-check';
import OpenAI from 'openai';
import { afterAll, describe, expect, it } from 'vitest';
import { Circuit } from '../src/engine/circuit.ts';
import { LlamaEngine } from '../src/engine/llama-engine.ts';
import { type Clock, jitteredBackoffMs, RetryBudget, retryAfterMs, SYSTEM_CLOCK } from '../src/engine/retry.ts';
import type { CallContext, EngineError } from '../src/engine/types.ts';
import { UpstreamEngine, type UpstreamOptions } from '../src/engine/upstream-engine.ts';
import { LLAMA_SERVER, startLlamaServer } from './support/llama-server.ts';
import { microModel, randomModel, temporary } from './support/models.ts';
import { collect, request } from './support/requests.ts';
import { metric, startServer } from './support/server.ts';
import { chunk, type Stub, type StubCall, silent, startStub } from './support/stub.ts';

const GOOD = `${chunk({ choices: [{ text: 'good', finish_reason: null }] })}${chunk({
  choices: [{ text: '', finish_reason: 'length' }],
  usage: { prompt_tokens: 3, completion_tokens: 1 },
})}data: [DONE]\n\n`;
const good = (response: ServerResponse): void => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(GOOD);
const refuse = (response: ServerResponse, status: number, headers: Record<string, string> = {}): void =>
  void response.writeHead(status, headers).end(`status ${status}`);

const dir = temporary();
afterAll(dir.remove);
const longModel = (): string => randomModel(dir.file('long.gguf'), { context: 16_384 });

/** Time that passes only by sleeping; every sleep is recorded. */
function testClock(): Clock & { slept: number[]; time: number } {
  return {
    slept: [],
    time: 0,
    now() {
      return this.time;
    },
    async sleep(ms) {
      this.slept.push(ms);
      this.time += ms;
    },
    random: () => 0.5,
  };
}

function engineFor(
  server: Stub,
  more: Partial<UpstreamOptions> = {},
): { engine: UpstreamEngine; clock: ReturnType<typeof testClock> } {
  const clock = testClock();
  return { engine: new UpstreamEngine({ url: server.url, model: 'm', ...more }, clock), clock };
}

async function failure(engine: UpstreamEngine): Promise<EngineError> {
  return await collect(engine, request()).then(
    () => expect.fail('it answered'),
    (error: unknown) => error as EngineError,
  );
}

describe('retries', () => {
  it.each([502, 503, 504])('repeats after %i with jittered backoff', async (status) => {
    await using server = await startStub((response, call) => (call < 3 ? refuse(response, status) : good(response)));
    const { engine, clock } = engineFor(server);
    expect((await collect(engine, request())).text).toBe('good');
    // Half of the bound, which doubles.
    expect(clock.slept).toEqual([50, 100]);
    expect(engine.stats().upstream).toMatchObject({ retries: 2, attempts: { answered: 1, failed: 2, cancelled: 0 } });
  });

  it('repeats after a connection that broke before the first byte', async () => {
    await using server = await startStub((response, call) => (call === 1 ? void response.destroy() : good(response)));
    const { engine } = engineFor(server);
    expect((await collect(engine, request())).text).toBe('good');
    expect(server.calls).toHaveLength(2);
  });

  it('waits as long as Retry-After says, and not at all when that is too long or is not said', async () => {
    await using patient = await startStub((response, call) =>
      call === 1 ? refuse(response, 429, { 'retry-after': '2' }) : good(response),
    );
    const first = engineFor(patient);
    expect((await collect(first.engine, request())).text).toBe('good');
    expect(first.clock.slept).toEqual([2000]);
    for (const headers of [{}, { 'retry-after': '3600' }]) {
      await using busy = await startStub((response) => refuse(response, 429, headers as Record<string, string>));
      const { engine } = engineFor(busy);
      expect(await failure(engine)).toMatchObject({ code: 'UPSTREAM_ERROR', message: expect.stringContaining('429') });
      expect(busy.calls).toHaveLength(1);
      expect(engine.stats().upstream?.circuit).toBe('closed');
    }
  });

  it.each([400, 401, 404, 500])('does not repeat after %i', async (status) => {
    await using server = await startStub((response) => refuse(response, status));
    const { engine } = engineFor(server);
    expect((await failure(engine)).code).toBe(status === 400 ? 'BAD_PROMPT' : 'UPSTREAM_ERROR');
    expect(server.calls).toHaveLength(1);
  });

  it.each<[string, string]>([
    [
      '{"error": {"message": "max_tokens is too large", "type": "x"}}',
      'the upstream refused the request: max_tokens is too large',
    ],
    ['<html>no</html>', 'the upstream refused the request: <html>no</html>'],
  ])('passes on what the upstream says of a request: %s', async (body, message) => {
    await using server = await startStub((response) => void response.writeHead(400).end(body));
    expect(await failure(engineFor(server).engine)).toMatchObject({ code: 'BAD_PROMPT', message });
  });

  it('never repeats once a byte was read: half an answer is an error', async () => {
    const endings: Array<(response: ServerResponse) => void> = [(response) => response.destroy(), (response) => response.end()];
    for (const ending of endings) {
      await using server = await startStub((response) => {
        response.writeHead(200).write(chunk({ choices: [{ text: 'half' }] }), () => setTimeout(() => ending(response), 20));
      });
      const { engine } = engineFor(server);
      const texts: string[] = [];
      const reading = async (): Promise<void> => {
        for await (const event of engine.generate(request(), new AbortController().signal))
          if (event.type === 'token') texts.push(event.text);
      };
      await expect(reading()).rejects.toMatchObject({ code: 'UPSTREAM_ERROR' });
      expect(texts).toEqual(['half']);
      expect(server.calls).toHaveLength(1);
      expect(engine.stats().upstream?.attempts.failed).toBe(1);
    }
  });

  it('gives up on a server that is silent', async () => {
    await using server = await startStub(silent);
    const { engine } = engineFor(server, { firstByteMs: 50 });
    expect((await failure(engine)).message).toContain('nothing within 50 ms');
    expect(server.calls).toHaveLength(1);
  });

  it('has a budget: when everything fails, one call a request remains', async () => {
    await using server = await startStub((response) => refuse(response, 503));
    const { engine } = engineFor(server, { circuit: { failures: 1_000_000, openMs: 1 } });
    for (let index = 0; index < 60; index++) await failure(engine);
    // 60 calls, the reserve, and a tenth.
    expect(server.calls.length).toBeGreaterThanOrEqual(60 + RetryBudget.RESERVE);
    expect(server.calls.length).toBeLessThanOrEqual(60 + RetryBudget.RESERVE + 60 * RetryBudget.SHARE);
  });

  it('refuses what is no JSON, and an event without end', async () => {
    await using server = await startStub(
      (response, call) =>
        void response.writeHead(200).end(call === 1 ? 'data: <html>\n\n' : `data: ${'x'.repeat(5 * 1024 * 1024)}`),
    );
    const { engine } = engineFor(server);
    expect((await failure(engine)).message).toContain('no JSON object');
    expect((await failure(engine)).message).toContain('larger than 4 MiB');
  });

  it.each([
    [1, 100],
    [2, 200],
    [6, 3200],
    [7, 5000],
    [60, 5000],
  ])('the backoff of attempt %i is below %i ms, uniform', (attempt, bound) => {
    expect([0, 0.5, 1].map((random) => jitteredBackoffMs(attempt, random))).toEqual([0, bound / 2, bound]);
  });

  it('a budget earns one retry in ten requests, and no more than its reserve', () => {
    const budget = new RetryBudget();
    const spend = (): number => {
      let spent = 0;
      while (spent < 100 && budget.withdraw()) spent++;
      return spent;
    };
    for (let request = 0; request < 50; request++) budget.deposit();
    expect(spend()).toBe(RetryBudget.RESERVE);
    for (let request = 0; request < 25; request++) budget.deposit();
    expect(spend()).toBe(2);
  });

  it('the system’s clock sleeps until the time is over or the request is', async () => {
    await expect(SYSTEM_CLOCK.sleep(60_000, AbortSignal.abort())).rejects.toThrow(/abort/i);
    await expect(SYSTEM_CLOCK.sleep(1, new AbortController().signal)).resolves.toBeUndefined();
  });

  it('keeps the backoff within 5 s', () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, random) => {
        const wait = jitteredBackoffMs(attempt, random);
        expect(wait).toBeGreaterThanOrEqual(0);
        expect(wait).toBeLessThan(5000);
      }),
    ));

  it.each([
    ['120', 120_000],
    // The date form of RFC 9110, section 5.6.7.
    ['Sun, 06 Nov 1994 08:49:37 GMT', 7000],
    ['Sun, 06 Nov 1994 08:49:00 GMT', 0],
    [' 120 ', 120_000],
    ['soon', undefined],
    ['-1', undefined],
    [null, undefined],
  ])('Retry-After: %s', (header, expected) => expect(retryAfterMs(header, Date.parse('1994-11-06T08:49:30Z'))).toBe(expected));
});

describe('circuit breaker', () => {
  it('opens after failures in a row, lets one request try, and closes when that succeeds', async () => {
    let broken = true;
    await using server = await startStub((response) => (broken ? refuse(response, 503) : good(response)));
    const { engine, clock } = engineFor(server, { retries: 0, circuit: { failures: 3, openMs: 1000 } });
    for (let index = 0; index < 3; index++) expect((await failure(engine)).code).toBe('UPSTREAM_ERROR');
    expect(engine.stats()).toMatchObject({ state: 'failed', upstream: { circuit: 'open', opened: 1 } });
    expect(await failure(engine)).toMatchObject({ code: 'ENGINE_UNAVAILABLE', message: expect.stringContaining('in 1 s') });
    expect(server.calls).toHaveLength(3);
    clock.time += 1000;
    expect(engine.stats().upstream?.circuit).toBe('half-open');
    expect((await failure(engine)).code).toBe('UPSTREAM_ERROR');
    expect(engine.stats().upstream).toMatchObject({ circuit: 'open', opened: 2 });
    clock.time += 1000;
    broken = false;
    const answers = await Promise.allSettled([collect(engine, request()), collect(engine, request())]);
    expect(answers.map((answer) => answer.status)).toEqual(['fulfilled', 'rejected']);
    expect(engine.stats()).toMatchObject({ state: 'ready', upstream: { circuit: 'closed', opened: 2 } });
  });

  it('opens for a server that lets deadlines pass, and not for clients that go away', async () => {
    await using server = await startStub(silent);
    const { engine } = engineFor(server, { circuit: { failures: 2, openMs: 60_000 } });
    const given = async (signal: AbortSignal): Promise<void> => void (await collect(engine, request(), signal));
    for (const calls of [1, 2, 3]) {
      const gone = new AbortController();
      const answer = given(gone.signal);
      while (server.calls.length < calls) await new Promise((resolve) => setTimeout(resolve, 1));
      gone.abort();
      await answer;
    }
    expect(engine.stats().upstream).toMatchObject({ circuit: 'closed', attempts: { failed: 0, cancelled: 3 } });
    for (const _ of [1, 2]) await given(AbortSignal.timeout(50));
    expect(engine.stats().upstream).toMatchObject({ circuit: 'open', attempts: { failed: 2, cancelled: 3 } });
  });

  it('follows a model: state and failures in a row, one call at a time', () =>
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('succeed', 'fail', 'release', 'wait'), { maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        (steps, failures) => {
          let now = 0;
          const circuit = new Circuit({ failures, openMs: 10 }, () => now);
          let row = 0;
          let openSince: number | undefined;
          for (const step of steps) {
            if (step === 'wait') {
              now += 10;
              continue;
            }
            const permit = circuit.enter();
            const probe = openSince !== undefined;
            expect(permit !== undefined).toBe(openSince === undefined || now - openSince >= 10);
            if (permit === undefined) continue;
            if (step === 'succeed') {
              permit.succeeded();
              row = 0;
              openSince = undefined;
            } else if (step === 'fail') {
              permit.failed();
              row++;
              if (probe || row >= failures) openSince = now;
            } else permit.released();
          }
        },
      ),
    ));

  it('a call from before says nothing about now', () => {
    const circuit = new Circuit({ failures: 1, openMs: 10 }, () => 0);
    const old = circuit.enter();
    circuit.enter()?.failed();
    old?.succeeded();
    expect(circuit.state).toBe('open');
  });

  it('calls that were under way when it opened neither count, nor make way for a second probe', () => {
    let now = 0;
    const circuit = new Circuit({ failures: 1, openMs: 10 }, () => now);
    const [first, second, third] = [circuit.enter(), circuit.enter(), circuit.enter()];
    first?.failed();
    now = 9;
    second?.failed();
    expect([circuit.opened, circuit.waitMs]).toEqual([1, 1]);
    now = 10;
    const probe = circuit.enter();
    third?.released();
    expect(circuit.enter()).toBeUndefined();
    probe?.succeeded();
    expect(circuit.state).toBe('closed');
  });

  it('a call counts once, however often its end is told', () => {
    const circuit = new Circuit({ failures: 2, openMs: 10 }, () => 0);
    const call = circuit.enter();
    call?.failed();
    call?.failed();
    expect(circuit.state).toBe('closed');
    const late = circuit.enter();
    circuit.enter()?.failed();
    late?.failed();
    expect([circuit.state, circuit.opened]).toEqual(['open', 1]);
  });

  it('one probe at a time: its first byte closes the circuit, whatever becomes of it, and a release makes way for the next', () => {
    let now = 0;
    const circuit = new Circuit({ failures: 1, openMs: 10 }, () => now);
    expect(circuit.waitMs).toBe(0);
    const first = circuit.enter();
    first?.answering();
    expect(circuit.state).toBe('closed');
    // The first byte of any other call says nothing yet: it is judged by its end.
    first?.failed();
    expect([circuit.state, circuit.opened, circuit.waitMs]).toEqual(['open', 1, 10]);
    now = 4;
    expect([circuit.enter(), circuit.waitMs]).toEqual([undefined, 6]);
    now = 12;
    expect([circuit.state, circuit.waitMs]).toEqual(['half-open', 0]);
    const probe = circuit.enter();
    expect(circuit.enter()).toBeUndefined();
    expect(circuit.state).toBe('half-open');
    probe?.released();
    const next = circuit.enter();
    next?.answering();
    expect(circuit.state).toBe('closed');
    next?.failed();
    expect([circuit.state, circuit.opened]).toEqual(['closed', 1]);
    circuit.enter()?.failed();
    expect([circuit.state, circuit.opened]).toEqual(['open', 2]);
  });
});

describe('hedging', () => {
  const CALL: CallContext = { tenant: 't', workload: 'w', traceparent: '', streaming: false };
  const read = async (engine: UpstreamEngine, call: CallContext): Promise<string> => {
    let text = '';
    for await (const event of engine.generate(request(), new AbortController().signal, call))
      if (event.type === 'token') text += event.text;
    return text;
  };

  it('asks twice when the first is slow, and cancels the loser', async () => {
    let cancelled = 0;
    await using server = await startStub((response, call) => {
      if (call === 1) response.on('close', () => cancelled++);
      else good(response);
    });
    const { engine } = engineFor(server, { hedgeMs: 30 });
    expect(await read(engine, CALL)).toBe('good');
    expect(server.calls).toHaveLength(2);
    await expect.poll(() => cancelled).toBe(1);
    expect(engine.stats().upstream).toMatchObject({ hedges: 1, retries: 0, attempts: { answered: 1, failed: 0, cancelled: 1 } });
  });

  it('is off by default and for streams', async () => {
    await using server = await startStub((response) => void setTimeout(() => good(response), 20));
    expect(await read(engineFor(server).engine, CALL)).toBe('good');
    expect(await read(engineFor(server, { hedgeMs: 1 }).engine, { ...CALL, streaming: true })).toBe('good');
    expect(server.calls).toHaveLength(2);
  });
});

describe('behind the server', () => {
  const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

  it('tells who asks and in which trace, falls back when the circuit is open, and shows it', async () => {
    let broken = false;
    await using server = await startStub((response) => (broken ? refuse(response, 500) : good(response)));
    await using front = await startServer(microModel(), (config) => {
      const [local] = config.pools;
      if (local === undefined) throw new Error('no pool');
      config.pools = [
        { ...local, id: 'a-upstream', engine: { url: server.url, retries: 0, circuit: { failures: 2 } } },
        { ...local, id: 'z-local', saturation: 0.5 },
      ];
    });
    const ask = (): Promise<Response> =>
      front.post(
        '/v1/completions',
        { prompt: 'a', max_tokens: 1 },
        {
          traceparent: `00-${TRACE}-00f067aa0ba902b7-01`,
          tracestate: 'congo=t61rcWkgMzE, rojo=00f067aa0ba902b7',
          baggage: 'user=alice',
          'x-mixgate-include': 'timings',
          authorization: 'Bearer secret',
        },
      );
    const poolOf = async (): Promise<unknown> =>
      ((await (await ask()).json()) as { mixgate: { target: { pool: string }; fallback: string | null } }).mixgate;
    expect(await poolOf()).toMatchObject({ target: { pool: 'a-upstream' }, fallback: null });
    const { headers } = server.calls[0] as StubCall;
    expect(headers['x-mixgate-tenant']).toBe('dev');
    expect(headers['x-mixgate-workload']).toBe('dev');
    expect(headers.authorization).toBeUndefined();
    expect(headers.traceparent).toMatch(new RegExp(`^00-${TRACE}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`));
    expect(headers['tracestate']).toBe('congo=t61rcWkgMzE,rojo=00f067aa0ba902b7');
    // What a client says of its user is not for another server.
    expect(headers['baggage']).toBeUndefined();
    broken = true;
    for (const fallback of ['UPSTREAM_ERROR', 'UPSTREAM_ERROR', 'ENGINE_UNAVAILABLE'])
      expect(await poolOf()).toMatchObject({ target: { pool: 'z-local' }, fallback });
    expect(server.calls).toHaveLength(3);
    const text = await (await front.get('/metrics')).text();
    expect(metric(text, 'mixgate_upstream_circuit_state', 'a-upstream')).toBe(2);
    expect(metric(text, 'mixgate_upstream_circuit_opened_total', 'a-upstream')).toBe(1);
    expect(metric(text, 'mixgate_upstream_attempts_total', 'a-upstream', 'failed')).toBe(2);
    expect(metric(text, 'mixgate_upstream_attempts_total', 'a-upstream', 'answered')).toBe(1);
  });

  it('takes over from a local pool whose queue is full, with the reason', async () => {
    await using server = await startStub(good);
    await using front = await startServer(microModel(), (config) => {
      const [local] = config.pools;
      if (local === undefined) throw new Error('no pool');
      config.model.sequences = 1;
      config.limits.queue = 0;
      // The fuller one, as the policy is told: the local pool stays the first choice.
      config.pools = [local, { ...local, id: 'z-upstream', saturation: 9, engine: { url: server.url } }];
    });
    const release = await front.runtime.admission.acquire(3, new AbortController().signal);
    const answer = await front.post('/v1/completions', { prompt: 'a', max_tokens: 1 }, { 'x-mixgate-include': 'timings' });
    release();
    expect(((await answer.json()) as { mixgate: object }).mixgate).toMatchObject({
      target: { pool: 'z-upstream' },
      fallback: 'QUEUE_FULL',
    });
    const text = await (await front.get('/metrics')).text();
    expect(metric(text, 'mixgate_fallbacks_total', '"QUEUE_FULL"')).toBe(1);
    expect(metric(text, 'mixgate_fallbacks_total', '"POOL_UNREACHABLE"')).toBe(0);
  });

  it('takes over from an engine that dies while it reads the prompt: no token of a stream was sent yet', async () => {
    await using server = await startStub(good);
    await using front = await startServer(longModel(), (config) => {
      const [local] = config.pools;
      if (local === undefined) throw new Error('no pool');
      config.model.context = 16_384;
      config.model.batch = 32;
      config.pools = [local, { ...local, id: 'z-upstream', saturation: 9, engine: { url: server.url } }];
    });
    const { local } = front.runtime;
    if (!(local instanceof LlamaEngine)) throw new Error('no engine process');
    const answer = front.post(
      '/v1/completions',
      { prompt: 'a'.repeat(16_000), max_tokens: 1, stream: true },
      { 'x-mixgate-include': 'timings' },
    );
    while (local.stats().active === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    // By now it reads.
    await new Promise((resolve) => setTimeout(resolve, 100));
    process.kill(local.pid as number, 'SIGKILL');
    const text = await (await answer).text();
    expect(text).toContain('"text":"good"');
    expect(text).toMatch(/"fallback":"ENGINE_DIED"/);
    expect(text).toMatch(/data: \[DONE\]\n\n$/);
  });

  it('forwards what it is told to, and nothing that could end a header', async () => {
    await using server = await startStub(good);
    const call = {
      tenant: 'a b\r\nx: 1%',
      workload: 'spiffe://x/ü',
      authorization: 'Bearer own',
      traceparent: '',
      streaming: true,
    };
    for (const identity of ['headers', 'authorization', 'none'] as const)
      for await (const _ of engineFor(server, { identity }).engine.generate(request(), new AbortController().signal, call));
    expect(
      server.calls.map(({ headers }) => [headers['x-mixgate-tenant'], headers['x-mixgate-workload'], headers.authorization]),
    ).toEqual([
      ['a%20b%0D%0Ax:%201%25', 'spiffe://x/%C3%BC', undefined],
      [undefined, undefined, 'Bearer own'],
      [undefined, undefined, undefined],
    ]);
  });
});

describe.skipIf(LLAMA_SERVER === undefined)('llama-server (skipped where MIXGATE_LLAMA_SERVER names none)', () => {
  it("streams, scores and refuses by llama-server's own OpenAI endpoint", async () => {
    await using server = await startLlamaServer();
    const engine = new UpstreamEngine({ url: server.url, model: 'mixtral-micro' });
    const answer = await collect(engine, request({ text: 'The Congress shall', maxTokens: 8, logprobs: 2 }));
    expect(answer.text.length).toBeGreaterThan(0);
    expect(answer.done).toMatchObject({ finishReason: 'length', completionTokens: 8 });
    expect(answer.scores).toHaveLength(8);
    for (const score of answer.scores) expect(score.logprob).toBeLessThanOrEqual(0);
    const chat = await collect(
      engine,
      request({ prompt: { kind: 'chat', messages: [{ role: 'user', content: 'Hi' }] }, maxTokens: 4 }),
    );
    expect(chat.done).toMatchObject({ completionTokens: 4 });
    const long = request({ text: 'word '.repeat(2000) });
    await expect(collect(engine, long)).rejects.toMatchObject({ code: 'BAD_PROMPT' });
    expect(engine.stats().upstream).toMatchObject({ circuit: 'closed', retries: 0 });
  });

  it('calls a tool in the form that its grammar gives it, streamed and not, and takes the answer', async () => {
    // A template with tools, in place of the model's own: it is none of a model that was trained on any.
    await using server = await startLlamaServer(
      '--jinja',
      '--chat-template-file',
      new URL('./fixtures/tools.jinja', import.meta.url).pathname,
    );
    await using front = await startServer(microModel(), (config) => {
      const [local] = config.pools;
      if (local === undefined) throw new Error('no pool');
      config.pools = [local, { ...local, id: 'z-llama-server', saturation: 9, engine: { url: server.url, retries: 0 } }];
    });
    const client = new OpenAI({ baseURL: `${front.url}/v1`, apiKey: 'unused', maxRetries: 0 });
    const parameters = { type: 'object', properties: { city: { enum: ['Bern'] } }, required: ['city'] };
    const user = { role: 'user' as const, content: 'Weather in Bern?' };
    const wanted = {
      model: 'mixtral-micro',
      max_tokens: 200,
      temperature: 0,
      messages: [user],
      tools: [{ type: 'function' as const, function: { name: 'weather', parameters } }],
      tool_choice: 'required' as const,
      parallel_tool_calls: false,
      // The model is not trained to call tools: its template's marker is made likely, then the end.
      logit_bias: { 1183: 50, 2: 100 },
    };
    const { choices, usage } = await client.chat.completions.create(wanted);
    const [call] = choices[0]?.message.tool_calls ?? [];
    expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } });
    expect(call).toMatchObject({ id: expect.stringMatching(/./), type: 'function', function: { name: 'weather' } });
    expect(JSON.parse(call?.type === 'function' ? call.function.arguments : '')).toEqual({ city: 'Bern' });
    expect(usage?.prompt_tokens).toBeGreaterThan(100);
    const streamed = await client.chat.completions.stream(wanted).finalChatCompletion();
    const { id: _, ...first } = streamed.choices[0]?.message.tool_calls?.[0] ?? { id: '' };
    expect(first).toMatchObject({ type: 'function', function: (call as { function: object }).function });
    expect(streamed.choices[0]?.finish_reason).toBe('tool_calls');
    const [message] = choices.map((choice) => choice.message);
    if (message === undefined || call === undefined) throw new Error('no call');
    const told = await client.chat.completions.create({
      ...{ model: 'mixtral-micro', max_tokens: 4, tools: wanted.tools, tool_choice: 'none' },
      messages: [user, message, { role: 'tool', tool_call_id: call.id, content: 'Sunny' }],
    });
    expect(told.choices[0]).toMatchObject({ finish_reason: 'length' });
    expect(told.usage?.prompt_tokens).toBeGreaterThan(usage?.prompt_tokens ?? 0);
  });
});
