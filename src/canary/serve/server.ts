import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { isMixgateError } from '../../core/errors.ts';
import type { Verdict } from '../../core/verdict.ts';
import { judgeCase } from '../judge/judge.ts';
import type { CaseInput, CaseResult } from '../judge/types.ts';
import type { MetricSetting } from '../samples.ts';
import { analyse, analysisRequest, flatRequest } from './analysis.ts';
import { HttpProblem, isRecord, jsonBody, problemReply, type Reply, send } from './http.ts';
import { judgeKayenta } from './kayenta.ts';
import { ServerMetrics } from './metrics.ts';

export interface ServeOptions {
  /** The one Prometheus that live analyses query: never named by a request. */
  readonly prometheus?: string | undefined;
  readonly token?: string | undefined;
  /** What clients must send as bearer token; without one everybody may ask. */
  readonly clientToken?: string | undefined;
  /** Kind, direction and margin of metrics, by name. */
  readonly metrics: readonly MetricSetting[];
  readonly alpha?: number | undefined;
  readonly maxBodyBytes: number;
  readonly maxConcurrent: number;
  readonly now: () => number;
}

/** A request that has not arrived, or a query that has not answered, after this long is given up. */
const REQUEST_MS = 60_000;

type Handler = (request: IncomingMessage, url: URL, signal: AbortSignal) => Promise<{ reply: Reply; verdict: Verdict }>;

/** The judge as an HTTP server; not yet listening. Endpoints: `mixgate canary serve --help`. */
export function judgeServer(options: ServeOptions): Server {
  const metrics = new ServerMetrics();
  const routes = handlers(options);
  let active = 0;

  async function answer(request: IncomingMessage, url: URL): Promise<Reply> {
    const { pathname } = url;
    if (pathname === '/healthz' || pathname === '/metrics') {
      if (request.method !== 'GET' && request.method !== 'HEAD') throw new HttpProblem(405, `${pathname} takes GET.`);
      return pathname === '/healthz'
        ? { status: 200, body: { status: 'ok' } }
        : { status: 200, body: metrics.text(active), headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } };
    }
    const route = routes.get(pathname);
    if (route === undefined) throw new HttpProblem(404, `There is ${[...routes.keys(), '/healthz', '/metrics'].join(', ')}.`);
    if (!mayAsk(request.headers.authorization, options.clientToken))
      throw new HttpProblem(401, 'Send `authorization: Bearer TOKEN`, with the token that the server was started with.');
    const handler = route.methods.get(request.method ?? '');
    if (handler === undefined) throw new HttpProblem(405, `${pathname} takes ${[...route.methods.keys()].join(' and ')}.`);
    if (active >= options.maxConcurrent) throw new HttpProblem(503, `${active} judgements are under way; try again.`);
    active++;
    try {
      const { reply, verdict } = await handler(request, url, AbortSignal.timeout(REQUEST_MS));
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
      answer(request, url)
        .catch((error: unknown) => problemReply(asProblem(error)))
        .then((reply) => {
          metrics.answered(reply.status);
          // What was not read of a refused body must not be taken for the next request.
          if (!request.complete) response.setHeader('connection', 'close');
          send(response, reply);
        })
        .catch(() => response.destroy());
    },
  );
  server.maxConnections = 256;
  return server;
}

/** Bad input is the caller's, an unreachable Prometheus is a gateway's; anything else is ours and says no more than that. */
function asProblem(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (isMixgateError(error)) return new HttpProblem(error.exitCode === 2 ? 400 : 502, error.message.slice(0, 2_000));
  return new HttpProblem(500, 'The request could not be judged.');
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

function handlers(options: ServeOptions): ReadonlyMap<string, Route> {
  const body = (request: IncomingMessage): Promise<unknown> => jsonBody(request, options.maxBodyBytes);
  const live = async (asked: unknown, signal: AbortSignal): Promise<CaseResult> => {
    if (options.prometheus === undefined)
      throw new HttpProblem(
        400,
        'This server has no Prometheus: start it with --prometheus URL, or send samples to /api/v1/judge.',
      );
    const { prometheus, token, alpha } = options;
    const judged = await analyse(analysisRequest(asked, options.metrics), {
      prometheus,
      token,
      alpha,
      signal,
      now: options.now(),
    });
    if (judged.verdict === 'error') throw new HttpProblem(400, judged.reason);
    return judged;
  };
  const judge: Handler = async (request) => {
    const judged = judgeCase((await body(request)) as CaseInput);
    if (judged.verdict === 'error') throw new HttpProblem(400, judged.reason, judged.reason.split('; '));
    return { reply: { status: 200, body: judged }, verdict: judged.verdict };
  };
  const kayenta: Handler = async (request) => {
    const result = judgeKayenta(await body(request), options.alpha);
    const { classification } = result.score;
    const verdict = classification === 'Pass' ? 'pass' : classification === 'Fail' ? 'fail' : 'inconclusive';
    return { reply: { status: 200, body: result }, verdict };
  };
  const analysed = (judged: CaseResult): { reply: Reply; verdict: Verdict } => ({
    reply: { status: 200, body: withConditions(judged) },
    verdict: judged.verdict,
  });
  const post: Handler = async (request, _url, signal) => analysed(await live(await body(request), signal));
  const get: Handler = async (_request, url, signal) => analysed(await live(flatRequest(new Map(url.searchParams)), signal));
  const flagger: Handler = async (request, _url, signal) => {
    const payload = await body(request);
    if (!isRecord(payload) || !isRecord(payload['metadata']))
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
    const { verdict, reason } = await live(flatRequest(fields), signal);
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

/** The verdict also as two conditions, for controllers that compare one value: undecided is neither. */
function withConditions(judged: CaseResult): CaseResult & { readonly success: boolean; readonly failure: boolean } {
  return { ...judged, success: judged.verdict === 'pass' || judged.verdict === 'warn', failure: judged.verdict === 'fail' };
}
