// Server-sent events (WHATWG HTML, section 9.2): framing, and writing with back-pressure.
import type { ServerResponse } from 'node:http';

/** One event. `data` may span lines: each gets its own `data:` field. */
export function frame(data: string): string {
  return `${data
    .split(/\r\n|\r|\n/)
    .map((line) => `data: ${line}`)
    .join('\n')}\n\n`;
}

export const DONE = frame('[DONE]');

/** Writes to a response and waits while the client is slower than we are. False once the client is gone. */
export async function writeSlowly(response: ServerResponse, text: string): Promise<boolean> {
  if (response.destroyed || response.writableEnded) return false;
  if (response.write(text)) return true;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
  return !response.destroyed;
}
