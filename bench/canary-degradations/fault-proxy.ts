// A proxy in front of a real runtime that does what broken gateways and caches do. Seeded: the same requests meet the same faults.
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRng } from '../../src/stats/rng.ts';

/** `share` is the share of requests, in [0, 1]. Faults of generation leave scoring (`echo`) alone: only answers can show them. */
export type Fault =
  | { readonly kind: 'none' }
  | { readonly kind: 'delay'; readonly share: number; readonly ms: number; readonly segment?: string }
  | { readonly kind: 'error'; readonly share: number }
  | { readonly kind: 'drop-stop'; readonly share: number }
  | { readonly kind: 'stale'; readonly share: number }
  | { readonly kind: 'template'; readonly prefix: string; readonly suffix: string }
  | { readonly kind: 'truncate'; readonly characters: number };

export interface FaultProxyOptions {
  readonly target: string;
  readonly fault: Fault;
  readonly seed: number;
  /** Which segment a prompt is of, for faults of one segment. */
  readonly segmentOf?: (prompt: string) => string | undefined;
}

export interface FaultProxy extends AsyncDisposable {
  readonly url: string;
}

interface Completion {
  prompt?: string;
  echo?: boolean;
  stop?: unknown;
}

export async function startFaultProxy({ target, fault, seed, segmentOf }: FaultProxyOptions): Promise<FaultProxy> {
  const rng = createRng(seed);
  let cached: Answer | undefined;
  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const raw = await read(incoming);
    if (incoming.method !== 'POST') return send(outgoing, await forward(target, incoming, raw));
    const body = JSON.parse(raw.toString('utf8')) as Completion;
    const generates = body.echo !== true;
    const hit = 'share' in fault && rng.uniform() < fault.share;
    if (fault.kind === 'error' && hit) {
      const text = Buffer.from('{"error":{"message":"injected: no healthy backend","type":"server_error"}}');
      return send(outgoing, { status: 503, headers: { 'content-type': 'application/json' }, body: text });
    }
    if (fault.kind === 'stale' && generates && hit && cached !== undefined) return send(outgoing, cached);
    if (fault.kind === 'drop-stop' && generates && hit) delete body.stop;
    if (fault.kind === 'template' && generates) body.prompt = `${fault.prefix}${body.prompt ?? ''}${fault.suffix}`;
    if (fault.kind === 'truncate' && generates) body.prompt = [...(body.prompt ?? '')].slice(-fault.characters).join('');
    const answer = await forward(target, incoming, Buffer.from(JSON.stringify(body)));
    // The first answer stays in the cache for good: a key that ignores the prompt, and no expiry.
    if (fault.kind === 'stale' && generates) cached ??= answer;
    if (fault.kind === 'delay' && hit && (fault.segment === undefined || segmentOf?.(body.prompt ?? '') === fault.segment))
      await new Promise((resolve) => setTimeout(resolve, fault.ms));
    send(outgoing, answer);
  };
  const server = createServer((incoming, outgoing) => {
    handle(incoming, outgoing).catch((error: unknown) => {
      outgoing.writeHead(502).end(String(error));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Answer {
  readonly status: number;
  readonly headers: { readonly [name: string]: string | string[] | undefined };
  readonly body: Buffer;
}

function forward(target: string, incoming: IncomingMessage, body: Buffer): Promise<Answer> {
  const { host: _host, 'content-length': _length, connection: _connection, ...headers } = incoming.headers;
  return new Promise((resolve, reject) => {
    const outgoing = request(
      new URL(incoming.url ?? '/', target),
      { method: incoming.method ?? 'GET', headers: { ...headers, 'content-length': body.length } },
      (response) => {
        read(response).then(
          (bytes) => resolve({ status: response.statusCode ?? 502, headers: response.headers, body: bytes }),
          reject,
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function send(outgoing: ServerResponse, answer: Answer): void {
  const { 'transfer-encoding': _encoding, connection: _connection, 'content-length': _length, ...headers } = answer.headers;
  outgoing.writeHead(answer.status, { ...headers, 'content-length': answer.body.length }).end(answer.body);
}

async function read(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}
