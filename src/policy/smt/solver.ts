import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { entryUrl } from '../../core/entry-url.ts';
import { InternalError } from '../../core/errors.ts';

/** The version of z3-solver that mixgate is tested with. */
export const Z3_PACKAGE = 'z3-solver@5.2.0';
const MEMORY_MB = 768;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** So much after its parent should have stopped it, z3 stops of itself. */
const ORPHAN_MS = 5000;

export interface Query {
  /** SMT-LIB text. */
  readonly text: string;
  /** What a model is to be read from. */
  readonly names: readonly string[];
}
interface QueryLimits {
  /** z3's own count of work, so that where it gives up doesn't depend on the machine; 0 is none. */
  readonly rlimit: number;
  /** Wall clock, after which the process is killed. */
  readonly limitMs: number;
}
export type Answer =
  | { readonly verdict: 'unsat' }
  | { readonly verdict: 'sat'; readonly values: string }
  /** `work` and `memory`: z3's own limits, the same on every machine; `time`: the clock; `lost`: the process ended by itself. */
  | { readonly verdict: 'unknown'; readonly limit: 'work' | 'memory' | 'time' | 'lost' | 'interrupted' };

/**
 * The installed z3-solver: beside mixgate only, never from the folder under test, whose code must not run here.
 * undefined when it isn't installed (it is an optional dependency of 35 MB).
 */
export function findZ3(from: string = import.meta.url): string | undefined {
  try {
    return createRequire(from).resolve('z3-solver');
  } catch {
    return undefined;
  }
}

function script(): string {
  return fileURLToPath(entryUrl('smt-process', new URL('./z3-process.ts', import.meta.url)));
}

interface Running {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly closed: Promise<void>;
  /** Takes the next line; undefined: the process has ended. */
  waiting: ((line: string | undefined) => void) | undefined;
  readonly lines: string[];
}

/**
 * z3 in a process of its own that answers one question at a time. WASM can't be interrupted, so a question that takes too
 * long costs the process, and the next one starts another.
 */
export class Z3 implements AsyncDisposable {
  readonly #file: string;
  readonly #signal: AbortSignal;
  readonly #memoryMb: number;
  #running: Running | undefined;
  #version: string | undefined;
  #stopped: 'time' | 'interrupted' | undefined;

  /** @param file the installed z3-solver */
  constructor(file: string, signal: AbortSignal, memoryMb = MEMORY_MB) {
    this.#file = file;
    this.#signal = signal;
    this.#memoryMb = memoryMb;
    signal.addEventListener('abort', this.#abort);
  }

  /** What z3 says it is; undefined until it has answered. */
  get version(): string | undefined {
    return this.#version;
  }

  /** The running process, for whoever wants to see that it has ended. */
  get pid(): number | undefined {
    return this.#running?.child.pid;
  }

  /** @throws InternalError when z3 refuses the formula, which would be a defect of the translation */
  async ask({ text, names }: Query, { rlimit, limitMs }: QueryLimits): Promise<Answer> {
    if (this.#signal.aborted) return { verdict: 'unknown', limit: 'interrupted' };
    if (limitMs <= 0) return { verdict: 'unknown', limit: 'time' };
    this.#stopped = undefined;
    const timer = setTimeout(() => this.#stop('time'), limitMs);
    try {
      const running = await this.#start();
      if (running === undefined) return { verdict: 'unknown', limit: this.#stopped ?? 'lost' };
      // The tactic `smt` alone: z3's default first tries others on it, for seconds, and in vain.
      const values = names.length === 0 ? '' : `\n(get-value (${names.join(' ')}))`;
      const question = {
        text: `${text}\n(check-sat-using smt)\n(get-info :reason-unknown)${values}`,
        rlimit,
        timeoutMs: Math.ceil(limitMs) + ORPHAN_MS,
      };
      running.child.stdin.write(`${JSON.stringify(question)}\n`);
      const line = await nextLine(running);
      if (line === undefined) {
        await this.#end();
        return { verdict: 'unknown', limit: this.#stopped ?? 'lost' };
      }
      const answer = answerOf((JSON.parse(line) as { readonly answer: string }).answer);
      // z3 doesn't give back what it had when it ran out of memory.
      if (answer.verdict === 'unknown' && answer.limit === 'memory') await this.#end();
      return answer;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Kills the process and waits until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal.removeEventListener('abort', this.#abort);
    await this.#end();
  }

  readonly #abort = (): void => this.#stop('interrupted');

  #stop(why: 'time' | 'interrupted'): void {
    this.#stopped ??= why;
    this.#running?.child.kill('SIGKILL');
  }

  async #end(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    running?.child.kill('SIGKILL');
    await running?.closed;
  }

  /** The process, once it has said what it is; undefined when it ended before. */
  async #start(): Promise<Running | undefined> {
    if (this.#running !== undefined) return this.#running;
    const running = spawnZ3(this.#file, this.#memoryMb);
    this.#running = running;
    const first = await nextLine(running);
    if (first === undefined) {
      await this.#end();
      return undefined;
    }
    this.#version = (JSON.parse(first) as { readonly version: string }).version;
    return running;
  }
}

function spawnZ3(file: string, memoryMb: number): Running {
  const child = spawn(process.execPath, [script(), file, String(memoryMb)], { stdio: ['pipe', 'pipe', 'ignore'], env: {} });
  let ended = (): void => undefined;
  const closed = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const running: Running = { child, closed, waiting: undefined, lines: [] };
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
    if (text.length > MAX_ANSWER_BYTES) child.kill('SIGKILL');
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n')) {
      const line = text.slice(0, at);
      text = text.slice(at + 1);
      if (running.waiting === undefined) running.lines.push(line);
      else running.waiting(line);
      running.waiting = undefined;
    }
  });
  const end = (): void => {
    ended();
    running.waiting?.(undefined);
    running.waiting = undefined;
  };
  // A process that could not be started ends without `close`.
  child.on('error', end);
  child.on('close', end);
  // A process that ended early closes its input.
  child.stdin.on('error', () => undefined);
  return running;
}

function nextLine(running: Running): Promise<string | undefined> {
  const line = running.lines.shift();
  if (line !== undefined) return Promise.resolve(line);
  const { child } = running;
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    running.waiting = resolve;
  });
}

/** z3's lines: the answer, why it is unknown if it is, the values. */
function answerOf(text: string): Answer {
  const [first = '', reason = '', ...rest] = text.trim().split('\n');
  if (first === 'unsat') return { verdict: 'unsat' };
  if (first === 'sat') return { verdict: 'sat', values: rest.join('\n') };
  const why = first === 'unknown' ? reason : text;
  if (/max\. memory|memout|out of memory/i.test(why)) return { verdict: 'unknown', limit: 'memory' };
  if (first === 'unknown' || /max\. resource|canceled|timeout/i.test(why)) return { verdict: 'unknown', limit: 'work' };
  throw new InternalError(`z3 refuses the formula: ${text.slice(0, 500)}`);
}
