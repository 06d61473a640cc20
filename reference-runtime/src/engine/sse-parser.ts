// Reads server-sent events (WHATWG HTML, sections 9.2.5 and 9.2.6) from chunks of bytes, cut anywhere.
import { EngineError } from './types.ts';

const MAX_EVENT_CHARS = 4 * 1024 * 1024;

/** The data of the events in a stream of text. Each character is looked at once, however the text is cut. */
class EventReader {
  #data: string[] = [];
  /** The line so far, in the pieces it came in. */
  #pieces: string[] = [];
  #size = 0;
  /** The last character was a CR: an LF right after it belongs to the same line end. */
  #afterCr = false;

  /** The events that `text` completes. @throws EngineError when an event grows without end */
  *push(text: string): Generator<string> {
    let from = this.#afterCr && text.startsWith('\n') ? 1 : 0;
    if (text !== '') this.#afterCr = text.endsWith('\r');
    for (let at = nextEnd(text, from); at >= 0; at = nextEnd(text, from)) {
      this.#take(text.slice(from, at));
      from = text[at] === '\r' && text[at + 1] === '\n' ? at + 2 : at + 1;
      const data = this.#endLine();
      if (data !== undefined) yield data;
    }
    this.#take(text.slice(from));
  }

  #take(piece: string): void {
    if (piece === '') return;
    this.#pieces.push(piece);
    this.#size += piece.length;
    if (this.#size > MAX_EVENT_CHARS) throw new EngineError('UPSTREAM_ERROR', 'the upstream sent an event larger than 4 MiB');
  }

  /** The data of the event, where the line that ends here was the empty one after it. */
  #endLine(): string | undefined {
    const line = this.#pieces.join('');
    this.#pieces = [];
    if (line !== '') {
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      // Comments and other fields carry nothing that is used here; what they took counts until the event ends.
      if (field === 'data') this.#data.push(colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1));
      return undefined;
    }
    const data = this.#data.join('\n');
    this.#data = [];
    this.#size = 0;
    return data === '' ? undefined : data;
  }
}

const LINE_END = /[\r\n]/g;

function nextEnd(text: string, from: number): number {
  LINE_END.lastIndex = from;
  return LINE_END.exec(text)?.index ?? -1;
}

/**
 * The data of each event of a body; events without data are left out, and so is one that the body ends within. A byte order mark at the start
 * is no part of it (TextDecoder drops it). @throws EngineError when an event grows without end
 */
export async function* sseData(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const reader = new EventReader();
  for await (const bytes of body) yield* reader.push(decoder.decode(bytes, { stream: true }));
}
