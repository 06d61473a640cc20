import { once } from 'node:events';
import { createServer, type RequestListener, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { judgeServer, type ServeOptions } from '../../../src/canary/serve/server.ts';

// A Prometheus, or a client, that means no good. The server under test runs here, with its real threads.

const open: Server[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
});

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push(server);
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const serve = (options: Partial<ServeOptions>): Promise<string> =>
  listening(judgeServer({ metrics: [], maxBodyBytes: 16 * 1024 * 1024, maxConcurrent: 16, now: () => 3_600_000, ...options }));

/** `canary serve` in front of a Prometheus that answers as given; what a live analysis of it comes to. */
async function analyse(prometheus: RequestListener): Promise<{ readonly status: number; readonly detail: string }> {
  const url = await serve({ prometheus: await listening(createServer(prometheus)) });
  const response = await fetch(`${url}/api/v1/analysis`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ window: '40h', metrics: [{ name: 'm', baselineQuery: 'a', candidateQuery: 'b' }] }),
  });
  const body = (await response.json()) as { detail?: string; reason?: string };
  return { status: response.status, detail: body.detail ?? body.reason ?? '' };
}

const matrix = (result: unknown): string => JSON.stringify({ status: 'success', data: { resultType: 'matrix', result } });
const series = (values: unknown, metric: unknown = {}): string => matrix([{ metric, values }]);

describe('a Prometheus that answers', () => {
  it.each<[string, string, number, RegExp]>([
    ['another type', JSON.stringify({ status: 'success', data: { resultType: 'vector', result: [] } }), 502, /a vector/],
    ['numbers for texts', series([[0, 1]]), 502, /without|no reason given/],
    ['labels that are no text', series([[0, '1']], { segment: { a: 1 } }), 502, /no reason given/],
    [
      'one series twice',
      matrix([
        { metric: {}, values: [] },
        { metric: {}, values: [] },
      ]),
      400,
      /several series/,
    ],
    ['a list for an object', '[]', 502, /without the JSON/],
    ['deeper than anybody writes', `${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`, 502, /without the JSON|refused/],
    [
      'a prototype',
      '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__proto__":{"segment":"x"}},"values":[]}]}}',
      502,
      /no reason given/,
    ],
    [
      'times that are nowhere',
      series([
        [1e308, '1'],
        [-1e308, '2'],
        [0.1, 'NaN'],
        [0, '+Inf'],
        [15, 'x'],
      ]),
      200,
      /./,
    ],
    [
      'so many empty series that a window of them fills the memory',
      matrix(Array.from({ length: 600 }, (_, i) => ({ metric: { segment: `s${i}` }, values: [] }))),
      400,
      /600 series of 9601 steps, together more than 5000000/,
    ],
  ])('%s', async (_name, body, status, detail) => {
    const answer = await analyse((_request, response) => response.end(body));
    expect([answer.status, answer.detail]).toEqual([status, expect.stringMatching(detail)]);
  });

  it('without end is read up to a bound', async () => {
    const answer = await analyse((_request, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(1024 * 1024, 32)));
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    });
    expect([answer.status, answer.detail]).toEqual([502, expect.stringContaining('answered with more than 16777216 bytes')]);
  });

  it('a redirect is not followed', async () => {
    let asked = 0;
    const other = await listening(
      createServer((_request, response) => {
        asked += 1;
        response.end(series([]));
      }),
    );
    const answer = await analyse((incoming, response) =>
      response.writeHead(307, { location: `${other}${incoming.url ?? ''}` }).end(),
    );
    expect([answer.status, asked]).toEqual([502, 0]);
  });
});

it('what is parsed on the loop is small: a body that no analysis has is not read to its end', async () => {
  const url = await serve({ prometheus: 'http://127.0.0.1:9' });
  for (const path of ['/api/v1/analysis', '/api/v1/flagger']) {
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `[${'[],'.repeat(2_000_000)}[]]`,
    });
    expect([path, response.status]).toEqual([path, 413]);
  }
});

describe('a page that a browser on this machine has open', () => {
  const ask = (url: string, headers: Record<string, string>): Promise<number> =>
    new Promise((done, fail) => {
      request(`${url}/api/v1/analysis?metric=m&baselineQuery=a&candidateQuery=b`, { headers }, (response) => {
        response.resume();
        done(response.statusCode ?? 0);
      })
        .on('error', fail)
        .end();
    });
  it.each<[string, Record<string, string>, number]>([
    ['asks for another host', { host: 'rebound.example:8085' }, 403],
    ['is of another site', { host: 'localhost:8085', 'sec-fetch-site': 'cross-site' }, 403],
    ['a program that asks for localhost', { host: 'localhost:8085' }, 502],
    ['by its address', { host: '[::1]:8085' }, 502],
  ])('%s', async (_name, headers, status) => {
    expect(await ask(await serve({ loopback: true, prometheus: 'http://127.0.0.1:9' }), headers)).toBe(status);
  });
  it('elsewhere, and with a token, any name is one', async () => {
    const headers = { host: 'judge.example', authorization: 'Bearer t' };
    expect(await ask(await serve({ prometheus: 'http://127.0.0.1:9' }), headers)).toBe(502);
    expect(await ask(await serve({ loopback: true, clientToken: 't', prometheus: 'http://127.0.0.1:9' }), headers)).toBe(502);
  });
});
