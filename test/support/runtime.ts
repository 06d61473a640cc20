import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from './cli.ts';

export interface TestRuntime extends AsyncDisposable {
  readonly url: string;
  /** Ends the whole process at once, as a crash would. */
  kill(): void;
}

/** A real reference runtime in development mode on a free loopback port, with one ggml thread. */
export async function startDevRuntime(...flags: string[]): Promise<TestRuntime> {
  const launcher = join(ROOT, 'reference-runtime/bin/mixgate-runtime.mjs');
  const child: ChildProcess = spawn(process.execPath, [launcher, 'serve', '--dev', '--port', '0', '--threads', '1', ...flags], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  const said: string[] = [];
  const exited = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const signal = (name: NodeJS.Signals): void => {
    try {
      process.kill(-child.pid!, name);
    } catch {
      // It is gone already.
    }
  };
  const url = await new Promise<string>((resolve, reject) => {
    child.on('close', (code) => reject(new Error(`the runtime ended with ${code}: ${said.join('\n')}`)));
    createInterface({ input: child.stderr! }).on('line', (line) => {
      said.push(line);
      const match = /listening on (?<url>http:\/\/\S+)/.exec(line);
      if (match !== null) resolve(match.groups!['url']!);
    });
  });
  return {
    url,
    kill: () => signal('SIGKILL'),
    async [Symbol.asyncDispose]() {
      signal('SIGTERM');
      const timer = setTimeout(() => signal('SIGKILL'), 10_000);
      await exited;
      clearTimeout(timer);
    },
  };
}
