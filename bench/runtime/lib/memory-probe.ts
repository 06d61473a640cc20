// Memory of a server's processes with the garbage gone: asks the probe that startOurs loaded into them.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Bytes after a full collection: `live` is V8's heap and what its objects hold outside of it, `rss` all that is resident. */
export interface Memory {
  rss: number;
  live: number;
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
