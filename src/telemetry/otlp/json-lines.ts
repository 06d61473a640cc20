import { messageOf } from '../../core/errors.ts';
import type { SamplePath } from './encoding.ts';

/** One document larger than this is refused: exporters write requests of at most a few megabytes. */
export const MAX_REQUEST_BYTES = 64 * 1024 * 1024;
/** A whole file, line by line, may be this large. */
const MAX_SAMPLE_BYTES = 1024 * 1024 * 1024;

/** One parsed request with what is needed to find a place in it again. */
export interface ParsedRequest {
  readonly value: unknown;
  /** Line of the file on which its text starts, from 1. */
  readonly line: number;
  readonly text: string;
}

export interface ReadProblem {
  readonly line: number;
  readonly message: string;
}

/**
 * Requests of a file in either form: one JSON object, or JSON lines (the Collector's file exporter). Memory is bounded by the
 * largest line. Integers that a double can't hold become BigInt, so that nanoseconds keep every digit.
 */
export async function* readRequests(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  problem: (found: ReadProblem) => void,
): AsyncGenerator<ParsedRequest> {
  let pending = '';
  let pendingLine = 1;
  let line = 1;
  let rest = '';
  let total = 0;
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let refused = false;
  const refuse = (message: string): void => {
    refused = true;
    problem({ line: pendingLine, message });
  };
  const take = (text: string): ParsedRequest | undefined => {
    if (pending === '' && text.trim() === '') {
      line += 1;
      return undefined;
    }
    if (pending === '') pendingLine = line;
    pending = pending === '' ? text : `${pending}\n${text}`;
    line += 1;
    // Only a line that closes what was opened can end a document: a pretty-printed object is parsed once, at its end.
    if (!/[}\]]\s*$/.test(text) || (/^\s/.test(text) && pendingLine !== line - 1)) return undefined;
    const value = tryParse(pending);
    if (value === undefined) return undefined;
    const request = { value: value.value, line: pendingLine, text: pending };
    pending = '';
    return request;
  };
  for await (const chunk of chunks as AsyncIterable<Uint8Array>) {
    total += chunk.byteLength;
    if (total > MAX_SAMPLE_BYTES) {
      refuse(`the file is larger than ${MAX_SAMPLE_BYTES} bytes`);
      return;
    }
    try {
      rest += decoder.decode(chunk, { stream: true });
    } catch {
      refuse('the file is not UTF-8 text');
      return;
    }
    if (rest.includes('\0')) {
      refuse('the file is binary');
      return;
    }
    let start = 0;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', start)) {
      const request = take(rest.slice(start, end));
      start = end + 1;
      if (request !== undefined) yield request;
    }
    rest = rest.slice(start);
    if (rest.length + pending.length > MAX_REQUEST_BYTES) {
      refuse(`one request is larger than ${MAX_REQUEST_BYTES} bytes`);
      return;
    }
  }
  if (refused) return;
  if (rest !== '') {
    const request = take(rest);
    if (request !== undefined) yield request;
  }
  if (pending.trim() === '') return;
  try {
    parseExact(pending);
    yield { value: parseExact(pending), line: pendingLine, text: pending };
  } catch (error) {
    problem({
      line: pendingLine,
      message: `it is not JSON: ${messageOf(error).slice(0, 200)}`,
    });
  }
}

function tryParse(text: string): { value: unknown } | undefined {
  try {
    return { value: parseExact(text) };
  } catch {
    return undefined;
  }
}

interface ReviverContext {
  readonly source?: string;
}

/** JSON.parse that keeps integers beyond 2^53 as BigInt (the source text of a number is given to revivers since ES2025). */
export function parseExact(text: string): unknown {
  if (!/\d{16,}(?![^"\n]*")/.test(text)) return JSON.parse(text);
  const reviver = (_key: string, value: unknown, context?: ReviverContext): unknown =>
    typeof value === 'number' && !Number.isSafeInteger(value) && context?.source !== undefined && /^-?\d+$/.test(context.source)
      ? BigInt(context.source)
      : value;
  return JSON.parse(text, reviver as (key: string, value: unknown) => unknown);
}

/** Line (counted from 1 within `text`) of the value at a path, by scanning the text once; 1 when it is not there. */
export function lineOfPath(text: string, path: SamplePath): number {
  let offset = 0;
  let line = 1;
  const skipSpace = (): void => {
    while (offset < text.length && /\s/.test(text[offset]!)) {
      if (text[offset] === '\n') line += 1;
      offset += 1;
    }
  };
  const skipString = (): string => {
    const start = offset;
    offset += 1;
    while (offset < text.length && text[offset] !== '"') offset += text[offset] === '\\' ? 2 : 1;
    offset += 1;
    return text.slice(start, offset);
  };
  const skipValue = (): void => {
    skipSpace();
    let depth = 0;
    do {
      skipSpace();
      const character = text[offset];
      if (character === '"') skipString();
      else {
        if (character === '{' || character === '[') depth += 1;
        if (character === '}' || character === ']') depth -= 1;
        offset += 1;
        if (depth === 0 && character !== '}' && character !== ']')
          while (offset < text.length && /[^\s,\]}]/.test(text[offset]!)) offset += 1;
      }
    } while (depth > 0 && offset < text.length);
  };
  for (const step of path) {
    skipSpace();
    const open = text[offset];
    offset += 1;
    let index = 0;
    let found = false;
    while (offset < text.length) {
      skipSpace();
      if (text[offset] === ']' || text[offset] === '}') break;
      if (open === '{') {
        const key = skipString();
        skipSpace();
        offset += 1;
        skipSpace();
        found = key === JSON.stringify(step);
      } else {
        found = index === step;
        index += 1;
      }
      if (found) break;
      skipValue();
      skipSpace();
      if (text[offset] === ',') offset += 1;
    }
    if (!found) return line;
    skipSpace();
  }
  return line;
}

/** Line of a value in its file. */
export type LineLocator = (request: ParsedRequest, path: SamplePath) => number;

/** Characters that looking up lines may scan over all files together; above it a request's first line has to do. */
const LOCATE_BUDGET = 256 * 1024 * 1024;

/** Looks lines up within a budget: a hostile file could ask for thousands of places in tens of megabytes. */
export function lineLocator(): LineLocator {
  let left = LOCATE_BUDGET;
  return (request, path) => {
    if (request.text.length > left) return request.line;
    left -= request.text.length;
    return request.line - 1 + lineOfPath(request.text, path);
  };
}
