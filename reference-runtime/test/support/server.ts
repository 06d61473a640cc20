// A runtime in this process on a free port of the loopback interface, with the real engine unless a test brings another.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { devConfig } from '../../src/config/dev.ts';
import type { RuntimeConfig } from '../../src/config/types.ts';
import { buildApp } from '../../src/server/app.ts';
import type { Runtime } from '../../src/server/runtime.ts';
import { type Overrides, startRuntime } from '../../src/server/start-runtime.ts';

export interface TestServer extends AsyncDisposable {
  url: string;
  runtime: Runtime;
  /** The server itself; of TLS where the configuration has `listen.tls`. */
  http: Server;
  logs: string[];
  post(path: string, body: unknown, headers?: Record<string, string>, signal?: AbortSignal): Promise<Response>;
  get(path: string, headers?: Record<string, string>): Promise<Response>;
}

export async function startServer(
  model: string,
  change: (config: RuntimeConfig) => void = () => {},
  overrides: Overrides = {},
): Promise<TestServer> {
  const config = devConfig({ port: 0, model, threads: 1 });
  change(config);
  const logs: string[] = [];
  const runtime = await startRuntime(config, (line) => logs.push(line), overrides);
  const app = buildApp(runtime);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  return {
    url,
    runtime,
    http: app.server,
    logs,
    post: (path, body, headers = {}, signal) =>
      fetch(`${url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...(signal === undefined ? {} : { signal }),
      }),
    get: (path, headers = {}) => fetch(`${url}${path}`, { headers }),
    async [Symbol.asyncDispose]() {
      app.server.closeAllConnections();
      await app.close();
      await runtime.close();
    },
  };
}

/** The metric's value for the labels that a line contains all of; undefined when there is no such series. */
export function metric(text: string, name: string, ...labels: string[]): number | undefined {
  const line = text
    .split('\n')
    .find(
      (candidate) =>
        (candidate.startsWith(`${name}{`) || candidate.startsWith(`${name} `)) &&
        labels.every((label) => candidate.includes(label)),
    );
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1));
}
