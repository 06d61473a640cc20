import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { isObject } from '../../core/json.ts';
import { isForeign } from '../../core/loopback.ts';
import type { Verdict } from '../../core/verdict.ts';
import type { MetricSetting } from '../samples.ts';
import { analysisRequest, fetchWindow, flatRequest } from './analysis.ts';
import { asProblem, bodyOf, HttpProblem, parseJson, problemReply, type Reply, send } from './http.ts';
import { ServerMetrics } from './metrics.ts';
import { JudgePool, type JudgePoolOptions } from './pool.ts';
import type { Judged } from './work.ts';

export interface ServeOptions {
  /** The one Prometheus that live analyses query: never named by a request. */
  readonly prometheus?: string | undefined;
  readonly token?: string | undefined;
  /** What clients must send as bearer token; without one everybody may ask. */
  readonly clientToken?: string | undefined;
  /** It listens on this machine alone. Without a token a page in a browser could ask it: such requests are refused. */
  readonly loopback?: boolean | undefined;
  /** Kind, direction and margin of metrics, by name. */
  readonly metrics: readonly MetricSetting[];
  readonly alpha?: number | undefined;
  readonly maxBodyBytes: number;
  /** Requests to judge that are read, wait or are judged, at most. */
  readonly maxConcurrent: number;
  /** Bounds of the threads that judge. */
  readonly pool?: JudgePoolOptions | undefined;
  readonly now: () => number;
}

/** A request that has not arrived, or a query that has not answered, after this long is given up. */
const REQUEST_MS = 60_000;

const MAX_ASKED_BYTES = 4 * 1024 * 1024;

/** `gone` tells that the client does not wait any more. */
type Handler = (request: IncomingMessage, url: URL, gone: AbortSignal) => Promise<{ reply: Reply; verdict: Verdict }>;

/** The judge as an HTTP server; not yet listening. Endpoints: `mixgate canary serve --help`. */
export function judgeServer(options: ServeOptions): Server {
  const metrics = new ServerMetrics();
  const pool = new JudgePool(options.pool);
  const routes = handlers(options, pool);
  let active = 0;

  async function answer(request: IncomingMessage, url: URL, gone: AbortSignal): Promise<Reply> {
    const { pathname } = url;
    if (pathname === '/healthz' || pathname === '/metrics') {
      if (request.method !== 'GET' && request.method !== 'HEAD') throw new HttpProblem(405, `${pathname} takes GET.`);
      return pathname === '/healthz'
        ? { status: 200, body: { status: 'ok' } }
        : {
            status: 200,
            body: metrics.text(active, pool.cases),
            headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
          };
    }
    const route = routes.get(pathname);
    if (route === undefined) throw new HttpProblem(404, `There is ${[...routes.keys(), '/healthz', '/metrics'].join(', ')}.`);
    if (options.loopback === true && options.clientToken === undefined && isForeign(request.headers))
      throw new HttpProblem(403, 'This server listens for its own machine: ask for localhost, and from no page of another site.');
    if (!mayAsk(request.headers.authorization, options.clientToken))
      throw new HttpProblem(401, 'Send `authorization: Bearer TOKEN`, with the token that the server was started with.');
    const handler = route.methods.get(request.method ?? '');
    if (handler === undefined) throw new HttpProblem(405, `${pathname} takes ${[...route.methods.keys()].join(' and ')}.`);
    if (active >= options.maxConcurrent) throw new HttpProblem(503, `${active} judgements are under way; try again.`);
    active++;
    try {
      const { reply, verdict } = await handler(request, url, gone);
      metrics.judged(route.name, verdict);
      return reply;
    } finally {
      active--;
    }
  }

  const server = createServer(
    { requestTimeout: REQUEST_MS, headersTimeout: 10_000, keepAliveTimeout: 5_000 },
    (request, response) => {
      let url: URL;
      try {
        url = new URL(request.url ?? '/', 'http://localhost');
      } catch {
        url = new URL('http://localhost/-');
      }
      const gone = new AbortController();
      response.once('close', () => gone.abort());
      answer(request, url, gone.signal)
        .catch((error: unknown) => problemReply(asProblem(error)))
        .then((reply) => {
          if (gone.signal.aborted) return;
          metrics.answered(reply.status);
          // What was not read of a refused body must not be taken for the next request.
          if (!request.complete) response.setHeader('connection', 'close');
          send(response, reply);
        })
        .catch(() => response.destroy());
    },
  );
  server.maxConnections = 256;
  server.once('close', () => void pool[Symbol.asyncDispose]());
  return server;
}

/** Compares digests, so that the time it takes tells nothing about the token. */
function mayAsk(authorization: string | undefined, token: string | undefined): boolean {
  if (token === undefined) return true;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(authorization ?? ''), digest(`Bearer ${token}`));
}

interface Route {
  readonly name: string;
  readonly methods: ReadonlyMap<string, Handler>;
}

function handlers(options: ServeOptions, pool: JudgePool): ReadonlyMap<string, Route> {
  const body = (request: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> => bodyOf(request, options.maxBodyBytes);
  // Parsed on the loop, so no larger than what it may say: 100 queries of 10,000 characters.
  const json = async (request: IncomingMessage): Promise<unknown> =>
    parseJson(await bodyOf(request, Math.min(options.maxBodyBytes, MAX_ASKED_BYTES)));
  const live = async (asked: unknown, gone: AbortSignal): Promise<Judged> => {
    if (options.prometheus === undefined)
      throw new HttpProblem(
        400,
        'This server has no Prometheus: start it with --prometheus URL, or send samples to /api/v1/judge.',
      );
    const { prometheus, token, alpha } = options;
    const window = await fetchWindow(analysisRequest(asked, options.metrics), {
      prometheus,
      token,
      alpha,
      signal: AbortSignal.any([gone, AbortSignal.timeout(REQUEST_MS)]),
      now: options.now(),
    });
    return pool.run({ kind: 'window', ...window }, gone);
  };
  const answered = ({ json: bytes, verdict }: Judged): { reply: Reply; verdict: Verdict } => ({
    reply: { status: 200, body: bytes },
    verdict,
  });
  const judge: Handler = async (request, _url, gone) =>
    answered(await pool.run({ kind: 'case', body: await body(request) }, gone));
  const kayenta: Handler = async (request, _url, gone) =>
    answered(await pool.run({ kind: 'kayenta', body: await body(request), alpha: options.alpha }, gone));
  const post: Handler = async (request, _url, gone) => answered(await live(await json(request), gone));
  const get: Handler = async (_request, url, gone) => answered(await live(flatRequest(new Map(url.searchParams)), gone));
  const flagger: Handler = async (request, _url, gone) => {
    const payload = await json(request);
    if (!isObject(payload) || !isObject(payload['metadata']))
      throw new HttpProblem(
        400,
        'expected the payload of a Flagger webhook, with metadata: {baselineQuery, candidateQuery, ...}.',
      );
    // A rollback hook undoes the release when it is answered 200, which here means that all is well.
    if (payload['type'] === 'rollback')
      throw new HttpProblem(400, 'a webhook of type rollback rolls back on 200: use type rollout or confirm-promotion.');
    const { inconclusive = 'hold', ...metadata } = payload['metadata'];
    if (inconclusive !== 'hold' && inconclusive !== 'proceed')
      throw new HttpProblem(400, 'metadata.inconclusive: expected hold (answered 425) or proceed (answered 200).');
    const fields = new Map(Object.entries(metadata).map(([key, value]) => [key, String(value)]));
    const { verdict, reason } = await live(flatRequest(fields), gone);
    // 412: worse. 425: not known yet. Flagger takes both as "not now", and shows the body in its events: so it is short.
    const open = inconclusive === 'proceed' ? 200 : 425;
    const status = { pass: 200, warn: 200, fail: 412, inconclusive: open, error: 500 }[verdict];
    return { reply: { status, body: { verdict, reason: reason.slice(0, 500) } }, verdict };
  };
  return new Map<string, Route>([
    ['/api/v1/judge', { name: 'judge', methods: new Map([['POST', judge]]) }],
    [
      '/api/v1/analysis',
      {
        name: 'analysis',
        methods: new Map([
          ['GET', get],
          ['POST', post],
        ]),
      },
    ],
    ['/api/v1/flagger', { name: 'flagger', methods: new Map([['POST', flagger]]) }],
    ['/judge', { name: 'kayenta', methods: new Map([['POST', kayenta]]) }],
  ]);
}
