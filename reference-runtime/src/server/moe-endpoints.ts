// /v1/moe/stats, /v1/moe/traces and /v1/moe/traces/{id}: as JSON, or as a page for a browser. Who may read which is the same for both.

import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { badRequest, notFound } from './errors.ts';
import { credentialsOf, type Identity } from './identity.ts';
import { jsonSlices } from './json-slices.ts';
import { eachToken, moeSummary } from './moe.ts';
import { moeStats } from './moe-statistics.ts';
import type { KeptTrace } from './moe-store.ts';
import type { RenderedPage } from './page-renderer.ts';
import type { Runtime } from './runtime.ts';

interface Query {
  format?: string | string[];
}

/** How much a client wants a media type: its q value, 0 where it is not named (RFC 9110, section 12.5.1). Wildcards name none. */
function quality(accept: string, type: string): number {
  for (const range of accept.split(',')) {
    const [name, ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    if (name !== type) continue;
    const q = parameters.find((parameter) => parameter.startsWith('q='));
    return q === undefined ? 1 : Number(q.slice(2)) || 0;
  }
  return 0;
}

/** `format=json|html` decides; without it a client that prefers text/html, as a browser does, gets the page. @throws HttpError 400 */
function wantsPage(request: FastifyRequest<{ Querystring: Query }>): boolean {
  const { format } = request.query;
  if (format === 'html' || format === 'json') return format === 'html';
  if (format !== undefined) throw badRequest('format: expected json or html', 'format');
  const { accept = '' } = request.headers;
  return quality(accept, 'text/html') > quality(accept, 'application/json');
}

/** Prompts and what they were routed to are nobody else's: no cache keeps them, no page frames or guesses them. */
function privately(reply: FastifyReply): FastifyReply {
  return reply.headers({ 'cache-control': 'no-store', vary: 'Accept, Authorization', 'x-content-type-options': 'nosniff' });
}

function sendPage(reply: FastifyReply, { bytes, policy = "default-src 'none'" }: RenderedPage): FastifyReply {
  return reply
    .headers({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `${policy}; frame-ancestors 'none'`,
      'referrer-policy': 'no-referrer',
    })
    .send(asBuffer(bytes));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Counters whose statistics the event loop works out itself, in about 3 ms: 32 segments of Mixtral 8x7B. More go to the thread for pages. */
const INLINE_CELLS = 8_448;

/** From a trace's page, relative: a proxy may have put a prefix before the path. */
const LINKS = [
  ['All kept traces', '../traces?format=html'],
  ['Expert usage', '../stats?format=html'],
] as const;

/** A list may be long, and a trace be a hundred megabytes: they are sent as they are written. */
function sendSlices(reply: FastifyReply, head: object, key: string, items: Iterable<unknown>): FastifyReply {
  return reply.header('content-type', 'application/json; charset=utf-8').send(Readable.from(jsonSlices(head, key, items)));
}

function traceHead({ id, model, version, segment, trace }: KeptTrace): object {
  return {
    decision_id: id,
    model,
    version,
    segment: segment ?? null,
    prompt_tokens: trace.text?.promptTokens ?? 0,
    ...moeSummary(trace),
  };
}

function traceAbout(cluster: string, kept: KeptTrace): Array<readonly [string, string]> {
  return [
    ['Decision', kept.id],
    ['Model', `${kept.model} ${kept.version}`],
    ['Segment', kept.segment ?? ''],
    ['Cluster', cluster],
    ['Ended', new Date(kept.receivedMs).toISOString()],
  ];
}

/** Adds the endpoints. */
export function moeEndpoints(runtime: Runtime, app: FastifyInstance): void {
  const identified = (request: FastifyRequest): Promise<Identity> => runtime.identify(credentialsOf(request));
  const { cluster } = runtime.config;

  app.get<{ Querystring: Query }>('/v1/moe/stats', async (request, reply) => {
    const { tenant } = await identified(request);
    const page = wantsPage(request);
    const counts = runtime.moe.snapshot(tenant);
    privately(reply);
    const { mode } = runtime.config.trace;
    const { trace } = runtime.info;
    if (page) return sendPage(reply, await runtime.pages.render({ kind: 'stats', subject: { cluster, ...trace, mode, counts } }));
    const head = { trace: { ...trace, mode, ...runtime.local.stats().trace } };
    if (counts.cells <= INLINE_CELLS) return reply.send({ ...head, ...moeStats(counts) });
    const { bytes } = await runtime.pages.render({ kind: 'stats-json', subject: { head, counts } });
    return reply.header('content-type', 'application/json; charset=utf-8').send(asBuffer(bytes));
  });

  app.get<{ Querystring: Query }>('/v1/moe/traces', async (request, reply) => {
    const { tenant } = await identified(request);
    const page = wantsPage(request);
    const traces = runtime.moe.list(tenant, Date.now());
    privately(reply);
    if (!page) return sendSlices(reply, {}, 'traces', traces);
    const { ttlSeconds } = runtime.config.trace;
    return sendPage(reply, await runtime.pages.render({ kind: 'traces', subject: { cluster, ttlSeconds, traces } }));
  });

  app.get<{ Params: { id: string }; Querystring: Query }>('/v1/moe/traces/:id', async (request, reply) => {
    const { tenant } = await identified(request);
    const page = wantsPage(request);
    const kept = runtime.moe.get(request.params.id, tenant, Date.now());
    if (kept === undefined)
      throw notFound('no trace is kept under this decision id; traces are kept for traced requests and a limited time');
    privately(reply);
    if (!page) return sendSlices(reply, traceHead(kept), 'tokens', eachToken(kept.trace));
    const subject = { title: 'Router trace', trace: kept.trace, about: traceAbout(cluster, kept), links: LINKS };
    return sendPage(reply, await runtime.pages.render({ kind: 'trace', subject }));
  });
}
