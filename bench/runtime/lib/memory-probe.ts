// Memory of a server's processes with the garbage gone: asks the probe that startOurs loaded into them.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Bytes after a full collection: `held` is what is in use, V8's objects and all that malloc has handed out; `rss` all that is resident. */
export interface Memory {
  rss: number;
  held: number;
}

/** Builds the addon of the probe into `folder` and returns its path; needs a C compiler, as router tracing does. */
export function buildMallocProbe(folder: string): string {
  const require = createRequire(new URL('../../../reference-runtime/package.json', import.meta.url));
  const { include_dir } = require('node-api-headers') as { include_dir: string };
  const path = join(folder, 'malloc_probe.node');
  const source = join(import.meta.dirname, 'malloc_probe.c');
  execFileSync(process.env['CC'] ?? 'cc', ['-shared', '-fPIC', '-O2', '-std=gnu11', '-I', include_dir, '-o', path, source]);
  return path;
}

/** Asks every process once. @throws Error when one does not answer within 10 s */
export async function probeMemory(file: string, pids: readonly number[]): Promise<Memory[]> {
  const lines = (): Array<Memory & { pid: number }> =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Memory & { pid: number });
  const before = lines().length;
  for (const pid of pids) process.kill(pid, 'SIGUSR2');
  for (let wait = 0; wait < 200; wait++) {
    await sleep(50);
    const fresh = lines().slice(before);
    const answers = pids.map((pid) => fresh.find((line) => line.pid === pid));
    if (answers.every((answer) => answer !== undefined)) return answers;
  }
  throw new Error('a process did not say how much memory it has');
}
