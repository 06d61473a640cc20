// mixgate-runtime serve
import { once } from 'node:events';
import { createServer } from 'node:net';
import { constants } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { messageOf } from '../../../src/core/errors.ts';
import { visible } from '../../../src/report/escape.ts';
import { devConfig, SHIPPED_MODEL } from '../config/dev.ts';
import { loadConfig } from '../config/load.ts';
import type { RuntimeConfig } from '../config/types.ts';
import { buildApp } from '../server/app.ts';
import { reloadPolicy } from '../server/reload-policy.ts';
import type { Runtime } from '../server/runtime.ts';
import { startRuntime } from '../server/start-runtime.ts';
import { ENGINE_FLAGS, engineFlags, existing, type Flags, number, parseFlags, text, UsageError } from './usage.ts';

export const SERVE_HELP = `mixgate-runtime serve: OpenAI-compatible completions, governed by a routing policy

Usage:
  mixgate-runtime serve --config FILE [--port N]
  mixgate-runtime serve --dev [--port N] [--model FILE] [--model-version V] [--threads N] [--gpu KIND]
                        [--context N]

Flags:
  --config FILE        configuration (schemas/runtime.schema.json)
  --dev                loopback only, tenant dev without identity, the shipped model and policy, tracing on
  --port N             port instead of the configured one; 0 takes any free port
  --model FILE         another GGUF file (--dev only)
  --model-version V    its version in decisions and telemetry, default 1.0.0 (--dev only)
  --threads N          ggml threads, default cores - 1
  --gpu KIND           auto, cuda, vulkan, metal or false
  --context N          tokens per sequence, prompt and completion together

One line on stderr says where it listens. SIGTERM and SIGINT drain: no new request, running ones
end within limits.drainMs; a second signal cuts them. SIGHUP loads the policy bundle again.
OTEL_EXPORTER_OTLP_ENDPOINT and the like send traces, metrics and logs to a collector (docs/telemetry.md).

Examples:
  mixgate-runtime serve --dev --port 8080
  curl -s localhost:8080/v1/completions -H 'content-type: application/json' -H 'x-mixgate-include: timings,moe' \\
    -d '{"prompt": "The Congress shall", "max_tokens": 16, "temperature": 0}'
  mixgate-runtime serve --config runtime.yaml --port 0

reference-runtime/README.md has a first configuration to start from.
`;

function configOf(flags: Flags): RuntimeConfig {
  const port = number(flags, 'port', { min: 0, max: 65_535 });
  const engine = engineFlags(flags);
  if (flags['dev'] === true) {
    if (flags['config'] !== undefined) throw new UsageError('--dev and --config exclude each other');
    const model = existing(text(flags, 'model') ?? SHIPPED_MODEL, 'model');
    const version = text(flags, 'model-version');
    const config = devConfig({
      model,
      ...(port === undefined ? {} : { port }),
      ...(version === undefined ? {} : { modelVersion: version }),
      ...(engine.threads === undefined ? {} : { threads: engine.threads }),
      ...(engine.gpu === undefined ? {} : { gpu: engine.gpu }),
    });
    if (engine.context !== undefined) config.model.context = engine.context;
    return config;
  }
  for (const name of ['model', 'model-version'] as const) {
    if (flags[name] !== undefined) throw new UsageError(`--${name} goes with --dev; a configuration names its model itself`);
  }
  const file = text(flags, 'config');
  if (file === undefined) throw new UsageError('--config FILE or --dev is needed');
  const config = loadConfig(file);
  if (port !== undefined) config.listen.port = port;
  if (engine.threads !== undefined) config.model.threads = engine.threads;
  if (engine.gpu !== undefined) config.model.gpu = engine.gpu;
  if (engine.context !== undefined) config.model.context = engine.context;
  return config;
}

/** The exit code of a shell for a process that a signal ended, less the signal's number. */
const SIGNALLED = 128;

/** What servers and bundles say is in it: no control character reaches a terminal, and no text looks like a line of ours. */
function log(message: string): void {
  process.stderr.write(`mixgate-runtime: ${visible(message).replaceAll('\n', '\n  ')}\n`);
}

/** How long what was said at the end of a drain has to reach its client, in milliseconds. */
const LAST_WORD_MS = 2000;

async function idle(runtime: Runtime, ms: number, hurry?: AbortSignal): Promise<void> {
  const limit = performance.now() + ms;
  while (runtime.inFlight > 0 && performance.now() < limit && hurry?.aborted !== true)
    await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Lets running requests end, answers what is left with 503, and closes what reads no answer: the process ends in bounded time. */
async function drain(runtime: Runtime, app: FastifyInstance, hurry: AbortSignal): Promise<void> {
  runtime.draining = true;
  log(`draining: ${runtime.inFlight} requests are running`);
  const { drainMs } = runtime.config.limits;
  await idle(runtime, drainMs, hurry);
  if (runtime.inFlight > 0) {
    const when = hurry.aborted ? 'at the second signal' : `${drainMs / 1000} s after the signal`;
    log(`${runtime.inFlight} requests were still running ${when} and are cut${hurry.aborted ? '' : ' (limits.drainMs)'}`);
    for (const cut of runtime.cuts) cut();
    await idle(runtime, LAST_WORD_MS);
    app.server.closeAllConnections();
  }
  // What is open now is an answer on its way to a slow reader, or a request that has not arrived: neither may keep the process.
  const rest = setTimeout(() => app.server.closeAllConnections(), LAST_WORD_MS);
  await app.close();
  clearTimeout(rest);
}

/** Signals this close together are one, in milliseconds: a Ctrl-C goes to the whole process group, and the launcher passes on its own. */
const ONE_SIGNAL_MS = 1000;

/**
 * Resolves at the first SIGTERM or SIGINT after `serving` was called; `hurry` aborts at the second. Until then a signal ends the process: as
 * process 1 of a container it would otherwise ignore what it has no handler for, and a pod that is loading would have to be killed.
 */
function untilSignal(): { serving: () => Promise<void>; hurry: AbortSignal } {
  let stop: (() => void) | undefined;
  let first: number | undefined;
  const hurry = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      const now = performance.now();
      first ??= now;
      if (stop === undefined) {
        log(`${signal} before it served: stopped`);
        process.exit(SIGNALLED + constants.signals[signal]);
      }
      stop();
      if (now - first >= ONE_SIGNAL_MS) hurry.abort();
    });
  return {
    serving: () =>
      new Promise((resolve) => {
        stop = resolve;
      }),
    hurry: hurry.signal,
  };
}

/** Nothing can listen where the configuration says. */
export class ListenError extends Error {}

/** Why nothing listens there, and what to do. */
function notListening(error: unknown, { host, port }: RuntimeConfig['listen']): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `port ${port} of ${host} is in use (EADDRINUSE): name another one with --port or listen.port; 0 takes any free one`;
    case 'EACCES':
      return `port ${port} is not allowed to this user (EACCES): name one from 1024 on with --port or listen.port`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${host} is no address of this machine (${(error as NodeJS.ErrnoException).code}): correct listen.host; 0.0.0.0 is all of them`;
    default:
      return messageOf(error);
  }
}

/** @throws ListenError when nothing could listen there now: a large model takes minutes to load, and all for nothing otherwise. */
async function checkListen(listen: RuntimeConfig['listen']): Promise<void> {
  const probe = createServer();
  try {
    probe.listen({ host: listen.host, port: listen.port });
    await once(probe, 'listening');
  } catch (error) {
    throw new ListenError(notListening(error, listen), { cause: error });
  }
  probe.close();
  await once(probe, 'close');
}

/** Serves until SIGTERM or SIGINT. */
export async function serveCommand(args: string[]): Promise<void> {
  const flags = parseFlags(args, {
    config: { type: 'string' },
    dev: { type: 'boolean' },
    port: { type: 'string' },
    model: { type: 'string' },
    'model-version': { type: 'string' },
    ...ENGINE_FLAGS,
  });
  const config = configOf(flags);
  const signals = untilSignal();
  await checkListen(config.listen);
  const runtime = await startRuntime(config, log);
  const unloaded = runtime.local.stats().state === 'unloaded';
  if (!unloaded && !runtime.info.trace.available) log(`router tracing off: ${runtime.info.trace.reason}`);
  const app = buildApp(runtime);
  try {
    await app.listen({ host: config.listen.host, port: config.listen.port });
  } catch (error) {
    await runtime.close();
    throw new ListenError(notListening(error, config.listen), { cause: error });
  }
  const address = app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : config.listen.port;
  const host = config.listen.host.includes(':') ? `[${config.listen.host}]` : config.listen.host;
  process.stderr.write(`listening on ${config.listen.tls === undefined ? 'http' : 'https'}://${host}:${port}\n`);
  process.on('SIGHUP', async () => {
    if ((await reloadPolicy(runtime)) === 'unchanged') log(`policy ${runtime.policy.active.bundle.revision} is the current one`);
  });
  await signals.serving();
  await drain(runtime, app, signals.hurry);
  await runtime.close();
}
