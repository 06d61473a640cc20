// A small OTLP/HTTP receiver that answers as it is told: for what a real Collector can't be made to do on command.
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import { createServer as createSecureServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

/** An answer; `hang` gives none. */
export type Reply = { status: number; headers?: Record<string, string>; body?: string | Buffer } | 'hang';

export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  /** Of JSON the value, of anything else nothing. */
  body: unknown;
  /** As sent, decompressed. */
  bytes: Buffer;
}

export interface Receiver extends AsyncDisposable {
  url: string;
  received: Received[];
}

/** Starts a receiver, over TLS where it is given; `reply` is asked once per request, with how many came before. */
export async function startReceiver(
  reply: (index: number, path: string) => Reply = () => ({ status: 200 }),
  tls?: ServerOptions,
): Promise<Receiver> {
  const received: Received[] = [];
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const raw = Buffer.concat(chunks);
      const bytes = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw;
      const path = request.url ?? '';
      const json = request.headers['content-type'] === 'application/json';
      const body: unknown = json ? JSON.parse(bytes.toString('utf8')) : undefined;
      const index = received.push({ path, headers: request.headers, body, bytes }) - 1;
      const answer = reply(index, path);
      if (answer === 'hang') return;
      response.writeHead(answer.status, answer.headers).end(answer.body ?? '{}');
    });
  };
  const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `${tls === undefined ? 'http://127.0.0.1' : 'https://localhost'}:${(server.address() as AddressInfo).port}`,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
