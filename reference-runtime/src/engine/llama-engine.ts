// The llama engine as the server sees it: a child process that is started, watched, restarted with backoff, and never waited for in vain.
import { type ChildProcess, fork } from 'node:child_process';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../../../src/core/errors.ts';
import { CRASHES_IN_A_ROW, crashed, crashReport, type Device } from './crash.ts';
import { EventQueue } from './event-queue.ts';
import type { ChildStats, FromChild, LlamaOptions, ToChild } from './protocol.ts';
import { type Engine, EngineError, type EngineEvent, type EngineInfo, type EngineStats, type GenerateRequest } from './types.ts';

const CHILD = fileURLToPath(new URL('./llama-child.ts', import.meta.url));
const BACKOFF_FIRST_MS = 200;
const BACKOFF_LIMIT_MS = 10_000;
/** Unread events at which a request is paused in the engine, and at which it goes on. */
const HIGH_WATER = 256;
const LOW_WATER = 64;

/** When an engine process that still exists is taken for stuck, in milliseconds. */
export interface Watchdog {
  /** Between pings. Loading and decoding run on other threads: a live process always answers. */
  pingMs: number;
  /** Without an answer. */
  silentMs: number;
  /** The same while it loads, where libraries of a GPU are opened on its one thread of JavaScript. */
  loadSilentMs: number;
  /** From cancelling a request to the confirmation, which comes after the batch in flight. */
  cancelMs: number;
  /** From killing a process to its end; it is given up then. */
  goneMs: number;
}

const WATCHDOG: Watchdog = { pingMs: 1000, silentMs: 10_000, loadSilentMs: 120_000, cancelMs: 60_000, goneMs: 5000 };

/** The backoff before restart number `attempt` (from 1), in milliseconds: doubling, capped. */
export function backoffMs(attempt: number): number {
  return Math.min(BACKOFF_LIMIT_MS, BACKOFF_FIRST_MS * 2 ** (attempt - 1));
}

/** What changes when a file is replaced; undefined where there is none. A digest of 50 GB would be asked for at every start. */
function fingerprint(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.size} ${stat.mtimeNs}`;
}

/** What was asked for and is not, or is not wise: one line each, after a load. */
function remarks({ threads, context }: LlamaOptions, info: EngineInfo): string[] {
  const out: string[] = [];
  if (info.threads < threads) out.push(`${threads} threads are more than the cores there are; the engine uses ${info.threads}`);
  if (info.trainedContext !== undefined && context > info.trainedContext)
    out.push(
      `a context of ${context} tokens is more than the ${info.trainedContext} of the model's training: what follows them is not to be relied on`,
    );
  return out;
}

/** llama.cpp in a child process. */
export class LlamaEngine implements Engine {
  readonly #options: LlamaOptions;
  readonly #running = new Map<string, EventQueue<EngineEvent>>();
  readonly #log: (message: string) => void;
  #child: ChildProcess | undefined;
  #state: EngineStats['state'] = 'unloaded';
  #restarts = 0;
  #failures = 0;
  /** Since a request was served to its end. */
  #crashes = 0;
  #device: Device | undefined;
  /** The file that was loaded first: another under its name is another model, whatever the configuration calls it. */
  #file: string | undefined;
  /** Treats the process as ended that does not end. */
  #abandon: (() => void) | undefined;
  /** Why there is no other start. */
  #reason: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pings: NodeJS.Timeout | undefined;
  readonly #watchdog: Watchdog;
  #last: ChildStats = { rssBytes: 0 };
  #info: EngineInfo | undefined;
  #carried = { recorded: 0, dropped: 0, unattributed: 0, steps: 0, rows: 0 };

  constructor(options: LlamaOptions, log: (message: string) => void = () => {}, watchdog: Watchdog = WATCHDOG) {
    this.#options = options;
    this.#log = log;
    this.#watchdog = watchdog;
  }

  /** The child's process id while it lives: for operators and fault tests. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the child and loads the model: at first, and again after `unload`. @throws EngineError LOAD_FAILED with the reason */
  async load(): Promise<EngineInfo> {
    this.#state = 'loading';
    this.#reason = undefined;
    try {
      return await this.#start();
    } catch (error) {
      this.#state = 'failed';
      throw error;
    }
  }

  async #start(): Promise<EngineInfo> {
    const { modelPath } = this.#options;
    const file = fingerprint(modelPath);
    // One that is missing is for the engine to explain.
    if (this.#file !== undefined && file !== undefined && file !== this.#file)
      throw new EngineError(
        'LOAD_FAILED',
        `${modelPath} is not the file that was loaded before (its size or time has changed); start the runtime again to serve it`,
      );
    const info = await this.#fork();
    this.#file ??= file;
    return info;
  }

  #fork(): Promise<EngineInfo> {
    return new Promise((resolve, reject) => {
      const child = fork(CHILD, [], {
        execPath: process.execPath,
        execArgv: ['--disable-warning=ExperimentalWarning'],
        serialization: 'advanced',
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      });
      this.#child = child;
      // One that is busy or stopped would not notice that its server is gone, and would compute on.
      const takeAlong = (): unknown => child.kill('SIGKILL');
      process.once('exit', takeAlong);
      child.on('exit', () => process.off('exit', takeAlong));
      let stderr = '';
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        stderr = (stderr + text).slice(-4096);
      });
      let settled = false;
      child.on('message', (message: FromChild) => {
        if (message.type === 'device') {
          this.#device = message.device;
        } else if (message.type === 'ready') {
          settled = true;
          this.#state = 'ready';
          this.#failures = 0;
          this.#info = message.info;
          this.#last = message.stats;
          if (this.#file === undefined) for (const remark of remarks(this.#options, message.info)) this.#log(remark);
          resolve(message.info);
        } else if (message.type === 'failed') {
          settled = true;
          reject(new EngineError('LOAD_FAILED', message.message));
          child.kill('SIGKILL');
        } else if (message.type === 'pong') {
          this.#last = message.stats;
        } else {
          if (message.stats !== undefined) this.#last = message.stats;
          for (const item of message.items) this.#deliver(item.id, item.event);
        }
      });
      child.on('error', (error) => {
        if (!settled) reject(new EngineError('LOAD_FAILED', `the engine process could not be started: ${error.message}`));
        settled = true;
      });
      const ended = (how: string, fault?: string): void => {
        const detail = stderr.trim() === '' ? '' : `: ${stderr.trim().split('\n').at(-1)}`;
        const why = fault === undefined ? `the engine process ended while loading (${how})${detail}` : `${fault}${detail}`;
        if (!settled) reject(new EngineError('LOAD_FAILED', why));
        settled = true;
        if (this.#child === child) this.#onExit(how, detail, fault);
      };
      child.on('exit', (code, signal) => {
        const fault = crashed(signal) ? crashReport(String(signal), this.#device, this.#options.batch) : undefined;
        ended(signal === null ? `exit code ${code}` : `signal ${signal}`, fault);
      });
      this.#abandon = () => ended('killed, and still there');
      this.#send({ type: 'load', options: this.#options });
      this.#watch(child);
    });
  }

  /** Kills a process that answers no ping: its exit then fails what is running and brings a new one. */
  #watch(child: ChildProcess): void {
    const { pingMs, silentMs, loadSilentMs } = this.#watchdog;
    // Counted in pings and not by the clock: a server that was itself stopped for a while (a suspended machine) has not asked meanwhile.
    let silence = 0;
    child.on('message', () => {
      silence = 0;
    });
    clearInterval(this.#pings);
    this.#pings = setInterval(() => {
      if (this.#child !== child) return;
      const limit = this.#state === 'ready' ? silentMs : loadSilentMs;
      if (silence >= limit) return this.#stuck(child, `it answered nothing for ${limit} ms`);
      silence += pingMs;
      this.#send({ type: 'ping' });
    }, pingMs).unref();
  }

  #stuck(child: ChildProcess, why: string): void {
    if (this.#child !== child) return;
    this.#log(`engine process ${child.pid} is stuck: ${why}; killing it`);
    child.kill('SIGKILL');
    // A driver or a file system that hangs in the kernel keeps a process that was killed: its requests are answered all the same.
    const abandon = this.#abandon;
    setTimeout(() => {
      if (this.#child === child) abandon?.();
    }, this.#watchdog.goneMs).unref();
  }

  /** @param fault what to say of a process that crashed by itself */
  #onExit(how: string, detail: string, fault?: string): void {
    this.#child = undefined;
    clearInterval(this.#pings);
    const trace = this.#last.trace;
    if (trace !== undefined)
      for (const key of ['recorded', 'dropped', 'unattributed', 'steps', 'rows'] as const) this.#carried[key] += trace[key];
    this.#last = {
      rssBytes: 0,
      ...(trace === undefined
        ? {}
        : {
            trace: {
              recorded: 0,
              dropped: 0,
              unattributed: 0,
              steps: 0,
              rows: 0,
              pending: 0,
              capacity: trace.capacity,
              backends: {},
            },
          }),
    };
    const last = fault !== undefined && ++this.#crashes >= CRASHES_IN_A_ROW;
    const next = last ? 'it is not started again' : 'it is being restarted';
    for (const [id, queue] of this.#running) {
      this.#running.delete(id);
      queue.fail(new EngineError('ENGINE_DIED', `the engine process ended (${how}) while this request was running; ${next}`));
    }
    // A model that never loaded is refused by load(); only an engine that once served is brought back.
    if (this.#state === 'disposed' || this.#info === undefined) return;
    if (last) {
      this.#state = 'failed';
      this.#reason = `${fault}. It crashed ${this.#crashes} times without serving a request and is not started again`;
      this.#log(this.#reason);
      return;
    }
    this.#state = 'restarting';
    this.#failures++;
    this.#restarts++;
    const wait = backoffMs(this.#failures);
    this.#log(`engine ended (${how})${detail}${fault === undefined ? '' : `: ${fault}`}; restart in ${wait} ms`);
    this.#timer = setTimeout(() => {
      this.#start().catch((error: unknown) => {
        this.#log(`engine restart failed: ${messageOf(error)}`);
        // A process that never came to be has no exit to be restarted by.
        if (this.#child?.pid === undefined && this.#state === 'restarting') this.#onExit('not started', '');
      });
    }, wait);
  }

  #deliver(
    id: string,
    event: EngineEvent | { type: 'error'; code: EngineError['code']; message: string } | { type: 'cancelled' },
  ): void {
    const queue = this.#running.get(id);
    if (queue === undefined) return;
    if (event.type === 'error') queue.fail(new EngineError(event.code, event.message));
    else if (event.type === 'cancelled') queue.end();
    else {
      queue.push(event);
      if (event.type === 'done') {
        this.#crashes = 0;
        queue.end();
      }
    }
    if (event.type === 'error' || event.type === 'cancelled' || event.type === 'done') this.#running.delete(id);
  }

  #send(message: ToChild): void {
    this.#child?.send(message, undefined, undefined, () => {
      // A failed send means the child is going: its exit handler answers every request.
    });
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    if (this.#state === 'failed' && this.#reason !== undefined) throw new EngineError('ENGINE_UNAVAILABLE', this.#reason);
    if (this.#state !== 'ready') throw new EngineError('ENGINE_UNAVAILABLE', `the engine is ${this.#state}; try again shortly`);
    if (signal.aborted) return;
    if (this.#running.has(request.id)) throw new EngineError('BAD_PROMPT', `a request with id ${request.id} is already running`);
    const queue = new EventQueue<EngineEvent>({
      high: HIGH_WATER,
      low: LOW_WATER,
      onChange: (paused) => this.#send({ type: 'pause', id: request.id, paused }),
    });
    this.#running.set(request.id, queue);
    const child = this.#child;
    let unconfirmed: NodeJS.Timeout | undefined;
    const cancel = (): void => {
      this.#send({ type: 'cancel', id: request.id });
      const { cancelMs } = this.#watchdog;
      if (child !== undefined)
        unconfirmed ??= setTimeout(() => this.#stuck(child, `a cancelled request did not end in ${cancelMs} ms`), cancelMs);
    };
    signal.addEventListener('abort', cancel, { once: true });
    this.#send({ type: 'generate', request });
    try {
      // Until the child confirms, the sequence is not free: an aborted request is followed to its end.
      yield* queue;
    } finally {
      signal.removeEventListener('abort', cancel);
      if (this.#running.has(request.id)) {
        cancel();
        await queue.drained();
      }
      clearTimeout(unconfirmed);
    }
  }

  stats(): EngineStats {
    const trace = this.#last.trace;
    return {
      state: this.#state,
      active: this.#running.size,
      sequences: this.#options.sequences,
      restarts: this.#restarts,
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
      rssBytes: this.#last.rssBytes,
      ...(this.#last.vram === undefined ? {} : { vram: this.#last.vram }),
      ...(trace === undefined
        ? {}
        : {
            trace: {
              recorded: trace.recorded + this.#carried.recorded,
              dropped: trace.dropped + this.#carried.dropped,
              unattributed: trace.unattributed + this.#carried.unattributed,
              steps: trace.steps + this.#carried.steps,
              rows: trace.rows + this.#carried.rows,
              pending: trace.pending,
              capacity: trace.capacity,
              backends: trace.backends,
            },
          }),
    };
  }

  /** Ends the process and keeps the counters. Nothing may be running. */
  async unload(): Promise<void> {
    // What never loaded is not brought back when its process ends.
    this.#info = undefined;
    await this.#end('unloaded');
  }

  dispose(): Promise<void> {
    return this.#end('disposed');
  }

  async #end(state: 'unloaded' | 'disposed'): Promise<void> {
    this.#state = state;
    clearTimeout(this.#timer);
    clearInterval(this.#pings);
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.#send({ type: 'dispose' });
    const kill = setTimeout(() => child.kill('SIGKILL'), 3000);
    await gone;
    clearTimeout(kill);
  }
}
