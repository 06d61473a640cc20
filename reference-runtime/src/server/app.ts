// The whole HTTP surface on one page.
import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { messageOf } from '../../../src/core/errors.ts';
import { isForeign } from '../../../src/core/loopback.ts';
import { isOutdated, type ServerCertificate } from './certificate.ts';
import { errorBody, forbidden, HttpError, internal, methodNotAllowed, notFound, unavailable } from './errors.ts';
import { handleCompletion } from './handle.ts';
import { credentialsOf, type Identity } from './identity.ts';
import { answerClientError, invalidBody, readJson } from './intake.ts';
import { moeEndpoints } from './moe-endpoints.ts';
import { refreshMetrics } from './refresh-metrics.ts';
import { servedModels, unknownModel } from './route.ts';
import { RUNTIME_VERSION, type Runtime } from './runtime.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** When its headers were parsed, in milliseconds of the monotonic clock. */
    receivedAt: number;
  }
}

/** How long a request may take to arrive, headers and body; then 408. A client that stops in the middle would keep its connection. */
const ARRIVAL_MS = 60_000;

/** Builds the server around a started runtime; it does not listen yet. */
export function buildApp(runtime: Runtime): FastifyInstance {
  const { config, metrics } = runtime;
  const { certificate } = runtime;
  const options = {
    bodyLimit: config.limits.bodyBytes,
    logger: false,
    requestTimeout: ARRIVAL_MS,
    // Nothing was read and nothing taken for longer than any request may run: answers would wait there for a client that never reads.
    connectionTimeout: config.limits.deadlineMs + config.limits.stallMs,
    forceCloseConnections: 'idle' as const,
    // What Fastify refuses before a route is found, in the same shape as everything else.
    frameworkErrors: (error: unknown, _request: FastifyRequest, reply: FastifyReply) => void sendError(runtime, error, reply),
    clientErrorHandler: (error: Error, socket: Socket) =>
      answerClientError(error, socket, (failure) => countRefusal(runtime, failure)),
  };
  const app =
    certificate === undefined
      ? Fastify(options)
      : (Fastify({ ...options, https: certificate.options }) as unknown as FastifyInstance);
  if (certificate !== undefined) rotate(runtime, certificate, app);
  readJson(app);
  app.decorateRequest('receivedAt', 0);
  const anybody = config.identity.dev === true;
  app.addHook('onRequest', (request, reply, done) => {
    request.receivedAt = performance.now();
    // Without identity a page in a browser of this machine could read prompts, by a name of its own that leads here.
    if (anybody) return done(isForeign(request.headers) ? foreignPage() : undefined);
    if (!isLarge(request)) return done();
    // Nobody whom nobody knows has the server keep a large body.
    identified(runtime, request).then(
      () => done(),
      (error: Error) => {
        reply.header('connection', 'close');
        done(error);
      },
    );
  });

  // A client that keeps its connection would send what comes next to a runtime that is going, and not to the one that takes its place.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (runtime.draining) reply.header('connection', 'close');
    done();
  });

  app.post('/v1/completions', (request, reply) => handleCompletion(runtime, 'completions', request, reply));
  app.post('/v1/chat/completions', (request, reply) => handleCompletion(runtime, 'chat', request, reply));

  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async () => {
    const { state, reason } = runtime.local.stats();
    if (runtime.draining) throw unavailable('draining', 'this runtime is shutting down', 'server');
    if (runtime.residency?.failing === true)
      throw unavailable('load_failed', 'the model could not be loaded; the log says why', 'engine');
    // A model that is loaded on demand is as good as there.
    if (state !== 'ready' && (runtime.residency === undefined || state === 'restarting'))
      throw unavailable('engine_unavailable', `the engine is ${state}${reason === undefined ? '' : `: ${reason}`}`, 'engine');
    return { status: 'ready', engine: runtime.info, policy_revision: runtime.policy.active.bundle.revision };
  });
  app.get('/metrics', async (_request, reply) => {
    refreshMetrics(runtime);
    return reply.header('content-type', metrics.registry.contentType).send(await metrics.registry.metrics());
  });

  const started = Math.floor(Date.now() / 1000);
  const model = (id: string): object => ({ id, object: 'model', created: started, owned_by: 'mixgate' });
  app.get('/v1/models', async (request) => {
    await identified(runtime, request);
    return { object: 'list', data: [...servedModels(runtime)].map(model) };
  });
  // A name may have slashes: they come as they are, or encoded.
  app.get<{ Params: { '*': string } }>('/v1/models/*', async (request) => {
    await identified(runtime, request);
    const id = request.params['*'];
    if (!servedModels(runtime).has(id)) throw unknownModel(id);
    return model(id);
  });
  app.get('/v1/policy', async (request) => {
    await identified(runtime, request);
    return runtime.policy.describe();
  });
  app.get('/v1/status', async (request) => {
    await identified(runtime, request);
    return runtime.policy.status({ id: `mixgate-runtime/${config.cluster}`, version: RUNTIME_VERSION, cluster: config.cluster });
  });
  moeEndpoints(runtime, app);

  app.setNotFoundHandler((request, reply) => {
    const [path = ''] = request.url.split('?', 1);
    const allowed = (['GET', 'POST'] as const).filter((method) => app.hasRoute({ method, url: path }));
    if (allowed.length === 0) throw notFound(`no such endpoint: ${request.method} ${request.url.slice(0, 200)}`);
    reply.header('allow', allowed.join(', '));
    throw methodNotAllowed(`${request.method} is not allowed on ${path}; use ${allowed.join(' or ')}`);
  });
  app.setErrorHandler((error: unknown, _request, reply) => sendError(runtime, error, reply));
  return app;
}

/** Bodies up to this size are read before anybody asks who sends them: most are, and the stages of a request begin with its body. */
const SMALL_BODY_BYTES = 16 * 1024;

function isLarge({ headers }: FastifyRequest): boolean {
  const length = headers['content-length'];
  return length === undefined ? headers['transfer-encoding'] !== undefined : Number(length) > SMALL_BODY_BYTES;
}

function foreignPage(): HttpError {
  return forbidden('foreign_page', '--dev serves this machine: ask for localhost, and from no page of another site', 'request');
}

const ROTATION_CHECK_MS = 10_000;

/**
 * Takes new certificate files into use; files that are no good leave the old ones, with a line in the log. A connection whose client was
 * judged by other authorities ends with the answer that it waits for.
 */
function rotate(runtime: Runtime, certificate: ServerCertificate, app: FastifyInstance): void {
  app.server.on('secureConnection', (socket: Socket) => certificate.admit(socket));
  app.addHook('onResponse', async ({ raw: { socket } }) => {
    if (isOutdated(socket)) socket.destroySoon();
  });
  const check = (): void => {
    try {
      if (certificate.refresh(app.server as unknown as Server))
        runtime.log(`certificate renewed, valid until ${certificate.expires.toISOString()}`);
    } catch (error) {
      runtime.log(`certificate not renewed: ${messageOf(error)}`);
    }
  };
  const timer = setInterval(check, ROTATION_CHECK_MS);
  timer.unref();
  app.addHook('onClose', async () => clearInterval(timer));
}

async function identified(runtime: Runtime, request: FastifyRequest): Promise<Identity> {
  return runtime.identify(credentialsOf(request));
}

/** What no stage of a request saw: bodies, paths and identities of other endpoints. */
function countRefusal(runtime: Runtime, failure: HttpError): void {
  runtime.metrics.instruments.rejections.inc({ mixgate_stage: failure.stage, mixgate_reason: failure.code });
}

function sendError(runtime: Runtime, error: unknown, reply: FastifyReply): FastifyReply {
  const failure = error instanceof HttpError ? error : fromFastify(runtime, error);
  if (failure.code === 'internal_error') runtime.log(`request failed: ${error instanceof Error ? error.stack : String(error)}`);
  countRefusal(runtime, failure);
  if (failure.retryAfter !== undefined) reply.header('retry-after', String(failure.retryAfter));
  if (failure.status === 401) reply.header('www-authenticate', 'Bearer');
  return reply.status(failure.status).send(errorBody(failure));
}

/** Fastify's own refusals (body too large, not JSON, ...) in OpenAI's shape. */
function fromFastify(runtime: Runtime, error: unknown): HttpError {
  if (!(error instanceof Error) || !('statusCode' in error) || typeof error.statusCode !== 'number' || error.statusCode >= 500)
    return internal();
  const code = 'code' in error ? error.code : undefined;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return invalidBody(413, `the body is larger than ${runtime.config.limits.bodyBytes} bytes (limits.bodyBytes)`);
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return invalidBody(415, 'the body must be JSON: send content-type: application/json');
  return invalidBody(error.statusCode, error.message);
}
