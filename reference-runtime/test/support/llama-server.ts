// The real llama-server with mixtral-micro on a free port of the loopback interface, where there is a build of it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'vitest';
import { microModel } from './models.ts';

/** Where a build of llama-server may be; MIXGATE_LLAMA_SERVER names another. */
export const LLAMA_SERVER = [process.env['MIXGATE_LLAMA_SERVER'] ?? '', '/opt/llama-server/llama-server'].find(
  (path) => path !== '' && existsSync(path),
);

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Starts it and waits until it serves. */
export async function startLlamaServer(...options: string[]): Promise<AsyncDisposable & { url: string }> {
  const port = await freePort();
  const size = ['-t', '1', '-tb', '1', '-np', '2', '-c', '1024'];
  const args = ['-m', microModel(), ...size, ...options, '--host', '127.0.0.1', '--port', String(port)];
  const child = spawn(LLAMA_SERVER as string, args, { stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}`;
  await expect
    .poll(async () => (await fetch(`${url}/health`).catch(() => undefined))?.status, { timeout: 30_000, interval: 200 })
    .toBe(200);
  return { url, [Symbol.asyncDispose]: async () => void child.kill('SIGKILL') };
}
