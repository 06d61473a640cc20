import { spawn } from 'node:child_process';
import { ExternalError } from '../core/errors.ts';

export interface ExecOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string | Uint8Array;
  /** Default 60 s; the program and its children are killed after it. */
  readonly timeoutMs?: number;
  /** Default 64 MiB for stdout and stderr each. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
  /** Called with each line of stderr as it comes. */
  readonly onStderrLine?: (line: string) => void;
}

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

/** A program printed more than it may. */
export class OutputLimit extends ExternalError {}

/**
 * Runs a program without a shell, with limits on time and output. A non-zero exit is a result, not an error.
 * @throws OutputLimit when it prints more than `maxBytes`; ExternalError when it can't be started, is killed by a signal or is cancelled
 */
export function exec(program: string, args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  const maxBytes = options.maxBytes ?? 64 * 1024 * 1024;
  const timeoutMs = options.timeoutMs ?? 60_000;
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: process.platform !== 'win32',
    });
    const name = program.split('/').at(-1)!;
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const size = { out: 0, err: 0 };
    let timedOut = false;
    let overflow = false;
    let pending = '';
    const kill = (): void => {
      // Its own process group: children go with it.
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        child.kill('SIGKILL');
      }
    };
    const timer = setTimeout(() => {
      timedOut = true;
      kill();
    }, timeoutMs);
    const abort = (): void => kill();
    options.signal?.addEventListener('abort', abort, { once: true });
    const collect = (into: Buffer[], which: 'out' | 'err') => (chunk: Buffer) => {
      size[which] += chunk.length;
      if (size[which] > maxBytes) {
        overflow = true;
        kill();
        return;
      }
      into.push(chunk);
      if (which === 'err' && options.onStderrLine !== undefined) {
        pending += chunk.toString('utf8');
        const lines = pending.split('\n');
        pending = lines.pop()!;
        for (const line of lines) options.onStderrLine(line);
      }
    };
    child.stdout.on('data', collect(out, 'out'));
    child.stderr.on('data', collect(err, 'err'));
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    const done = (): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', abort);
    };
    child.on('error', (cause) => {
      done();
      reject(
        new ExternalError(
          { message: `${name} could not be started: ${cause.message}.`, fix: 'run `mixgate doctor`.' },
          { cause },
        ),
      );
    });
    child.on('close', (code, signal) => {
      done();
      const result = {
        code: code ?? -1,
        stdout: Buffer.concat(out).toString('utf8'),
        stderr: Buffer.concat(err).toString('utf8'),
        timedOut,
      };
      if (overflow) reject(new OutputLimit(`${name} printed more than ${maxBytes} bytes and was stopped.`));
      else if (options.signal?.aborted === true) reject(new ExternalError(`${name} was cancelled.`));
      else if (timedOut || code !== null) resolve(result);
      else reject(new ExternalError(`${name} was ended by ${signal ?? 'a signal'}.`));
    });
  });
}
