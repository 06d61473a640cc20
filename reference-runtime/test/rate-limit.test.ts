// The limits of a tenant in the headers that OpenAI's clients read.
import fc from 'fast-check';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PoolConfig } from '../src/config/types.ts';
import type { HttpError } from '../src/server/errors.ts';
import { Quotas } from '../src/server/quota.ts';
import { durationText, rateLimitHeaders } from '../src/server/rate-limit.ts';
import { SlidingWindow } from '../src/server/sliding-window.ts';
import { microModel } from './support/models.ts';
import { startServer, type TestServer } from './support/server.ts';
import { startStub } from './support/stub.ts';

describe('a duration', () => {
  it.each([
    [0, '0s'],
    [0.2, '1ms'],
    [120, '120ms'],
    [999, '999ms'],
    [999.5, '1s'],
    [1000, '1s'],
    [1001, '2s'],
    [60_000, '1m0s'],
    [360_000, '6m0s'],
    [3_661_000, '1h1m1s'],
  ])('of %d ms is %s', (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });

  it('is never shorter than it is, and less than a second longer', () => {
    const parsed = (text: string): number => {
      if (text.endsWith('ms')) return Number.parseInt(text, 10);
      const { h = '0', m = '0', s } = /^(?:(?<h>\d+)h)?(?:(?<m>\d+)m)?(?<s>\d+)s$/.exec(text)!.groups as Record<string, string>;
      return ((Number(h) * 60 + Number(m)) * 60 + Number(s)) * 1000;
    };
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e7, noNaN: true }), (ms) => {
        const read = parsed(durationText(ms));
        expect(read).toBeGreaterThanOrEqual(ms);
        expect(read - ms).toBeLessThan(1000);
      }),
    );
  });
});

describe('a window', () => {
  it('is empty when it says so, and not before', () => {
    const additions = fc.array(
      fc.record({ after: fc.integer({ min: 0, max: 20_000 }), amount: fc.integer({ min: 1, max: 9 }) }),
      {
        minLength: 1,
        maxLength: 20,
      },
    );
    fc.assert(
      fc.property(additions, (list) => {
        const window = new SlidingWindow(60_000, 60);
        let now = 5;
        for (const { after, amount } of list) {
          now += after;
          window.add(now, amount);
        }
        const end = now + window.emptyMs(now);
        expect(window.used(end - 1)).toBeGreaterThan(0);
        expect(window.used(end)).toBe(0);
        expect(window.emptyMs(end)).toBe(0);
      }),
    );
  });
});

describe('what is left', () => {
  /** Whether one more request of `tokens` is let in. */
  const letIn = (quotas: Quotas, decided: object, tokens: number, now: number): boolean => {
    try {
      quotas.enter('t', now).reserve(decided, tokens, now);
      return true;
    } catch (error) {
      expect((error as HttpError).status).toBe(429);
      return false;
    }
  };

  it('is what is let in at once, no more, and all of it again after the reset', () => {
    const arrivals = fc.array(
      fc.record({ after: fc.integer({ min: 0, max: 15_000 }), tokens: fc.integer({ min: 1, max: 60 }) }),
      {
        minLength: 1,
        maxLength: 30,
      },
    );
    const limits = fc.record(
      {
        requestsPerSecond: fc.double({ min: 0.05, max: 3, noNaN: true }),
        burst: fc.integer({ min: 1, max: 8 }),
        tokensPerMinute: fc.integer({ min: 60, max: 300 }),
      },
      { requiredKeys: [] },
    );
    const decided = fc.record({ requestsPerMinute: fc.integer({ min: 1, max: 12 }) }, { requiredKeys: [] });
    fc.assert(
      fc.property(limits, decided, arrivals, fc.boolean(), (quota, decision, list, askTokens) => {
        const quotas = new Quotas({ t: quota });
        let now = 1;
        for (const { after, tokens } of list) {
          now += after;
          letIn(quotas, decision, tokens, now);
        }
        const { requests, tokens } = quotas.limits('t', now);
        expect(requests === undefined).toBe(quota.requestsPerSecond === undefined && decision.requestsPerMinute === undefined);
        expect(tokens?.limit).toBe(quota.tokensPerMinute);
        if (askTokens && tokens !== undefined && (requests === undefined || requests.remaining > 1)) {
          if (tokens.remaining < tokens.limit) expect(letIn(quotas, decision, tokens.remaining + 1, now)).toBe(false);
          // Asking took a place of the rate, where there is one.
          expect(letIn(quotas, decision, tokens.remaining, now)).toBe(true);
        } else if (requests !== undefined) {
          let count = 0;
          while (count <= requests.limit && letIn(quotas, decision, 0, now)) count += 1;
          expect(count).toBe(requests.remaining);
        }
        for (const kind of ['requests', 'tokens'] as const) {
          const reset = quotas.limits('t', now)[kind]?.resetMs;
          // Of two limits of requests another one may be in the way by then.
          const two = kind === 'requests' && quota.requestsPerSecond !== undefined && decision.requestsPerMinute !== undefined;
          if (reset === undefined || two) continue;
          // A microsecond for the rounding of a rate.
          const later = quotas.limits('t', now + reset + 0.001)[kind];
          expect([later?.remaining, later?.resetMs]).toEqual([later?.limit, 0]);
        }
      }),
    );
  });

  it('of two limits of requests is that of the one with less left', () => {
    const quotas = new Quotas({ t: { requestsPerSecond: 1, burst: 10 } });
    quotas.enter('t', 0).reserve({ requestsPerMinute: 3 }, 1, 0);
    expect(quotas.limits('t', 0).requests).toEqual({ limit: 3, remaining: 2, resetMs: 61_000 });
    quotas.enter('t', 0).reserve({ requestsPerMinute: 100 }, 1, 0);
    expect(quotas.limits('t', 0).requests).toEqual({ limit: 10, remaining: 8, resetMs: 2000 });
  });

  it('of what is unlimited, and of a stranger, is not said', () => {
    const quotas = new Quotas({ default: {} });
    expect(rateLimitHeaders(quotas.limits('t', 0))).toEqual({});
    quotas.enter('t', 0).reserve({}, 5, 0);
    expect(rateLimitHeaders(quotas.limits('t', 0))).toEqual({});
  });
});

describe('a client of OpenAI', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer(microModel(), (config) => {
      // The bucket takes an hour for a request: nothing of this depends on how long the test takes.
      config.tenants = { dev: { requestsPerSecond: 1 / 3600, burst: 4, tokensPerMinute: 1000 } };
    });
  });
  afterAll(async () => server?.[Symbol.asyncDispose]());
  const limits = (headers: Headers): Record<string, string | null> =>
    Object.fromEntries(
      ['limit', 'remaining', 'reset'].flatMap((what) =>
        ['requests', 'tokens'].map((of) => [`${what} ${of}`, headers.get(`x-ratelimit-${what}-${of}`)]),
      ),
    );

  it('sees what is left after an answer, with a stream and when it is refused', async () => {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'unused', maxRetries: 0 });
    const ask = { model: 'mixtral-micro', prompt: 'Hello', max_tokens: 8, temperature: 0 };
    const { data, response } = await client.completions.create(ask).withResponse();
    const left = 1000 - data.usage!.total_tokens;
    expect(limits(response.headers)).toEqual({
      'limit requests': '4',
      'remaining requests': '3',
      'reset requests': expect.stringMatching(/^(?:1h0m0s|59m\d\ds)$/),
      'limit tokens': '1000',
      // What it used, not what it had reserved.
      'remaining tokens': String(left),
      'reset tokens': expect.stringMatching(/^(?:1m[01]s|[1-5]?\ds)$/),
    });

    const streamed = await client.completions.create({ ...ask, stream: true }).withResponse();
    for await (const _ of streamed.data);
    // At its first token a stream has all that it may use: an estimate of its prompt (4 characters a token) and max_tokens.
    expect(limits(streamed.response.headers)).toMatchObject({
      'remaining requests': '2',
      'remaining tokens': String(left - Math.ceil('Hello'.length / 4) - ask.max_tokens),
    });

    const large = client.completions.create({ ...ask, prompt: 'word '.repeat(800) });
    const overTokens = (await large.catch((error: unknown) => error)) as InstanceType<typeof OpenAI.RateLimitError>;
    expect(overTokens).toBeInstanceOf(OpenAI.RateLimitError);
    expect(overTokens.code).toBe('tokens_exceeded');
    expect(Number(overTokens.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(limits(overTokens.headers)).toMatchObject({ 'remaining requests': '1', 'limit tokens': '1000' });

    expect(limits((await client.completions.create(ask).withResponse()).response.headers)['remaining requests']).toBe('0');
    const overRate = (await client.completions.create(ask).catch((error: unknown) => error)) as typeof overTokens;
    expect(overRate.code).toBe('rate_exceeded');
    expect(Number(overRate.headers.get('retry-after'))).toBeGreaterThan(3000);
    expect(limits(overRate.headers)).toMatchObject({ 'limit requests': '4', 'remaining requests': '0' });
  });

  it('waits as long as an upstream that is left alone, or asks it to', async () => {
    await using broken = await startStub((response, call) => {
      if (call === 1) response.writeHead(429, { 'retry-after': '7' }).end();
      else response.writeHead(500).end();
    });
    await using front = await startServer(microModel(), (config) => {
      const [local] = config.pools as [PoolConfig];
      const circuit = { failures: 1, openMs: 120_000 };
      config.pools = [{ ...local, id: 'broken', engine: { url: broken.url, retries: 0, circuit } }];
    });
    const ask = async (): Promise<Response> => front.post('/v1/completions', { prompt: 'a', max_tokens: 1 });
    const [asked, failed, alone] = [await ask(), await ask(), await ask()];
    expect([asked, failed, alone].map(({ status }) => status)).toEqual([503, 503, 503]);
    expect(asked.headers.get('retry-after')).toBe('7');
    expect(failed.headers.get('retry-after')).toBe('1');
    expect(Number(alone.headers.get('retry-after'))).toBeGreaterThan(60);
    // No limit, no header.
    expect(limits(alone.headers)['limit requests']).toBeNull();
  });
});
