// The reference runtime as a process of its own: for the demo, the benchmarks and the tests.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const LAUNCHER = join(import.meta.dirname, '../../reference-runtime/bin/mixgate-runtime.mjs');
const START_LIMIT_MS = 60_000;
const DRAIN_LIMIT_MS = 10_000;

export interface RuntimeProcess extends AsyncDisposable {
  readonly url: string;
  readonly child: ChildProcess;
  /** To the process, or to its whole group where it has one of its own; one that is gone is left alone. */
  signal(name: NodeJS.Signals): void;
}

/**
 * Starts `mixgate-runtime serve` on a free port and waits for the line that says where. Disposing lets it drain.
 * @param options.detached gives it a process group of its own, so that a signal reaches all it holds
 * @param spawned is told the child before it listens
 * @throws Error with what the process said, when it ended or did not listen in time
 */
export async function startRuntimeProcess(
  args: readonly string[],
  options: Pick<SpawnOptions, 'cwd' | 'env' | 'detached'> = {},
  spawned: (child: ChildProcess) => void = () => {},
): Promise<RuntimeProcess> {
  const child = spawn(process.execPath, [LAUNCHER, 'serve', ...args, '--port', '0'], {
    ...options,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const signal = (name: NodeJS.Signals): void => {
    try {
      if (options.detached === true) process.kill(-child.pid!, name);
      else child.kill(name);
    } catch {
      // It is gone already.
    }
  };
  const said: string[] = [];
  const exited = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => {
      signal('SIGKILL');
      reject(new Error(`the runtime did not listen within ${START_LIMIT_MS / 1000} s:\n${said.join('\n')}`));
    }, START_LIMIT_MS);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      reject(new Error(`the runtime ended with ${code}:\n${said.join('\n')}`));
    });
    if (child.pid !== undefined) spawned(child);
    createInterface({ input: child.stderr! }).on('line', (line) => {
      said.push(line);
      const match = /listening on (?<url>https?:\/\/\S+)/.exec(line);
      if (match === null) return;
      clearTimeout(timer);
      resolve(match.groups!['url']!);
    });
  });
  return {
    url,
    child,
    signal,
    async [Symbol.asyncDispose]() {
      signal('SIGTERM');
      const timer = setTimeout(() => signal('SIGKILL'), DRAIN_LIMIT_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}
