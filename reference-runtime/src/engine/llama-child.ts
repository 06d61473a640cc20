// Entry of the engine's child process: messages in, batches of events out.
import { messageOf } from '../../../src/core/errors.ts';
import { GgufError } from '../gguf/types.ts';
import { LlamaCore } from './llama-core.ts';
import type { ChildStats, EngineEventItem, FromChild, ToChild } from './protocol.ts';
import { type DeviceMemory, EngineError } from './types.ts';

const STATS_EVERY_MS = 500;

let core: LlamaCore | undefined;
let pending: EngineEventItem[] = [];
let flushScheduled = false;
let lastStats = 0;
let vram: DeviceMemory | undefined;
let asking = false;
const running = new Map<string, AbortController>();

function send(message: FromChild): void {
  // A parent that is gone takes this process with it; nothing else could read the answer.
  if (process.connected) process.send?.(message, undefined, undefined, (error) => error && process.exit(1));
}

/** Events of one decoding step, or of one turn of the event loop, go out together: a message costs more than what is in it. */
function queue(item: EngineEventItem): void {
  pending.push(item);
  if (flushScheduled) return;
  flushScheduled = true;
  setImmediate(flush);
}

function flush(): void {
  flushScheduled = false;
  if (pending.length === 0) return;
  const items = pending;
  pending = [];
  const now = Date.now();
  const withStats = core !== undefined && (now - lastStats >= STATS_EVERY_MS || items.some((item) => item.event.type === 'done'));
  if (withStats) lastStats = now;
  send({ type: 'events', items, ...(withStats ? { stats: stats() } : {}) });
}

async function load(message: Extract<ToChild, { type: 'load' }>): Promise<void> {
  try {
    core = await LlamaCore.load(message.options, flush, (device) => send({ type: 'device', device }));
    vram = await core.vram();
    send({ type: 'ready', info: core.info, stats: stats() });
  } catch (error) {
    const known =
      error instanceof GgufError
        ? `${message.options.modelPath}: ${error.message}`
        : error instanceof Error
          ? error.message
          : String(error);
    send({ type: 'failed', message: known });
  }
}

/** Answers at once with what is known; what the GPU says follows into the next answer. */
async function pong(): Promise<void> {
  send({ type: 'pong', stats: stats() });
  if (core === undefined || asking) return;
  asking = true;
  try {
    vram = await core.vram();
  } catch {
    vram = undefined;
  } finally {
    asking = false;
  }
}

function stats(): ChildStats {
  return { ...(core?.stats() ?? { rssBytes: process.memoryUsage.rss() }), ...(vram === undefined ? {} : { vram }) };
}

async function generate(message: Extract<ToChild, { type: 'generate' }>): Promise<void> {
  const { request } = message;
  const controller = new AbortController();
  running.set(request.id, controller);
  try {
    if (core === undefined) throw new EngineError('ENGINE_UNAVAILABLE', 'no model is loaded');
    await core.run(request, (event) => queue({ id: request.id, event }), controller.signal);
    if (controller.signal.aborted) queue({ id: request.id, event: { type: 'cancelled' } });
  } catch (error) {
    const code = error instanceof EngineError ? error.code : 'ENGINE_DIED';
    queue({ id: request.id, event: { type: 'error', code, message: messageOf(error) } });
  } finally {
    running.delete(request.id);
  }
}

process.on('message', (message: ToChild) => {
  switch (message.type) {
    case 'load':
      void load(message);
      break;
    case 'generate':
      void generate(message);
      break;
    case 'cancel':
      running.get(message.id)?.abort();
      break;
    case 'pause':
      core?.pause(message.id, message.paused);
      break;
    case 'ping':
      void pong();
      break;
    case 'dispose':
      process.exit(0);
  }
});

process.on('disconnect', () => process.exit(0));
// The server decides when to stop: a Ctrl-C that reaches the whole process group must not cut requests it is still draining.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
