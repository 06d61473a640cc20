// An OpenAI-compatible server of the test's own on the loopback interface: real HTTP, answers as told.
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One call as the server saw it. */
export interface StubCall {
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
  /** The client closed the connection before the answer was whole. */
  cut: boolean;
}

export interface Stub extends AsyncDisposable {
  url: string;
  calls: StubCall[];
}

/** How to answer a call (numbered from 1). */
export type StubAnswer = (response: ServerResponse, call: number) => void | Promise<void>;

/** An event of a stream. */
export const chunk = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;

/** Streams `tokens` tokens `text`, `gapMs` apart, then usage. */
export function streaming({ text = 'x', tokens = 3, prompt = 5, cached = 0, gapMs = 0 } = {}): StubAnswer {
  return async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let index = 0; index < tokens && !response.destroyed; index++) {
      response.write(chunk({ choices: [{ text, finish_reason: null }] }));
      if (gapMs > 0) await new Promise((resolve) => setTimeout(resolve, gapMs));
    }
    const usage = {
      prompt_tokens: prompt,
      completion_tokens: tokens,
      prompt_tokens_details: cached === 0 ? null : { cached_tokens: cached },
    };
    response.end(`${chunk({ choices: [{ text: '', finish_reason: 'length' }], usage })}data: [DONE]\n\n`);
  };
}

/** Takes the call and says nothing. */
export const silent: StubAnswer = () => {};

/** `metrics` answers GET requests, with a text of /metrics or as told. */
export async function startStub(answer: StubAnswer, metrics?: (response: ServerResponse) => string | undefined): Promise<Stub> {
  const calls: StubCall[] = [];
  const server = createServer(async (incoming, response) => {
    if (incoming.method === 'GET' && metrics !== undefined) {
      const exposition = metrics(response);
      if (exposition !== undefined) response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(exposition);
      return;
    }
    let text = '';
    for await (const part of incoming) text += String(part);
    const call: StubCall = { headers: incoming.headers, body: JSON.parse(text) as Record<string, unknown>, cut: false };
    response.on('close', () => {
      call.cut = !response.writableFinished;
    });
    calls.push(call);
    await answer(response, calls.length);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
