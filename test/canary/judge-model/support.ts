import { createServer, type IncomingMessage, type Server } from 'node:http';

export interface Asked {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: { readonly model: string; readonly temperature: number; readonly messages: { readonly content: string }[] };
}

export interface Loopback extends AsyncDisposable {
  readonly url: string;
  readonly asked: Asked[];
}

/** An HTTP server on loopback; `answer` gives status and body, `undefined` hangs up. */
export async function loopback(
  answer: (asked: Asked, count: number) => { readonly status?: number; readonly body: unknown } | undefined,
): Promise<Loopback> {
  const asked: Asked[] = [];
  const server: Server = createServer(async (request: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const one = {
      path: request.url ?? '',
      authorization: request.headers.authorization,
      body: (text === '' ? {} : JSON.parse(text)) as Asked['body'],
    };
    asked.push(one);
    const reply = answer(one, asked.length);
    if (reply === undefined) {
      request.socket.destroy();
      return;
    }
    response.writeHead(reply.status ?? 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(reply.body));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

/** A reply of the chat API. */
export function says(content: string): { readonly body: unknown } {
  return { body: { choices: [{ message: { role: 'assistant', content } }] } };
}
