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

/** How a write went: into the socket or its buffer, nobody there any more, or a reader that took nothing for too long. */
export type Written = 'written' | 'gone' | 'stalled';

/**
 * Writes to a response and waits while the client is slower than we are.
 * @param stallMs how long a reader may take nothing at all, in milliseconds
 * @param signal ends the wait at the request's deadline
 */
export async function writeSlowly(
  response: ServerResponse,
  text: string,
  stallMs: number,
  signal?: AbortSignal,
): Promise<Written> {
  if (response.destroyed || response.writableEnded) return 'gone';
  if (response.write(text)) return 'written';
  const ended = await new Promise<'drain' | 'close' | 'abort' | 'stall'>((resolve) => {
    const timer = setTimeout(() => done('stall'), stallMs);
    const onDrain = (): void => done('drain');
    const onClose = (): void => done('close');
    const onAbort = (): void => done('abort');
    const done = (how: 'drain' | 'close' | 'abort' | 'stall'): void => {
      clearTimeout(timer);
      response.off('drain', onDrain);
      response.off('close', onClose);
      signal?.removeEventListener('abort', onAbort);
      resolve(how);
    };
    response.on('drain', onDrain);
    response.on('close', onClose);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
  if (ended === 'drain') return 'written';
  return ended === 'close' || response.destroyed ? 'gone' : 'stalled';
}
