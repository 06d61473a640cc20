import { gunzipSync } from 'node:zlib';
import { decodeText } from '../config/document.ts';
import { ConfigurationError } from '../core/errors.ts';
import { isObject, type Json, nestingOf } from '../core/json.ts';

/** One input to replay, with the traffic it stands for. */
export interface ReplayInput {
  /** JSON text, as it goes into the policy. */
  readonly input: string;
  readonly weight: number;
  /** Line in the corpus, from 1; 0 for generated inputs. */
  readonly line: number;
}
export interface Corpus {
  readonly file: string;
  readonly inputs: readonly ReplayInput[];
  readonly skipped: readonly Skipped[];
}
/** Lines that could not be replayed, by reason. */
export interface Skipped {
  readonly reason: string;
  readonly count: number;
  readonly line: number;
}

const MAX_CORPUS_BYTES = 256 * 1024 * 1024;
const MAX_LINE_CHARS = 4 * 1024 * 1024;
const MAX_INPUTS = 1_000_000;
const MAX_DEPTH = 128;

/**
 * Reads a replay corpus: NDJSON of `{"input": ..., "weight"?: n}`, of OPA decision-log events ("Decision Logs", OPA
 * documentation: decision_id, path, input, erased, masked, nd_builtin_cache) or of our runtime's log, which has the same
 * fields; a line may also be a JSON array of events, the batch that OPA uploads, and the file gzipped, as it uploads it. JSON printed over several lines is read as well.
 * What can't be replayed is counted by reason, never dropped in silence.
 * @throws ConfigurationError when the file holds nothing that can be replayed
 */
export function readCorpus(bytes: Uint8Array, file: string, entrypoint: string): Corpus {
  const text = decodeText(inflated(bytes, file), file, MAX_CORPUS_BYTES);
  const inputs: ReplayInput[] = [];
  const skipped = new Map<string, { count: number; line: number }>();
  for (const { line, number } of isPrinted(text) ? printedValues(text) : linesOf(text)) {
    if (line.trim() === '') continue;
    for (const event of eventsOf(line)) {
      const read =
        typeof event === 'string'
          ? event
          : inputs.length >= MAX_INPUTS
            ? `after the first ${MAX_INPUTS} inputs`
            : readEvent(event.json, entrypoint);
      if (typeof read === 'string') {
        const known = skipped.get(read);
        if (known === undefined) skipped.set(read, { count: 1, line: number });
        else known.count += 1;
      } else inputs.push({ ...read, line: number });
    }
  }
  const list = [...skipped].map(([reason, { count, line }]) => ({ reason, count, line })).sort((a, b) => a.line - b.line);
  if (inputs.length === 0) {
    throw new ConfigurationError(
      list.length === 0
        ? {
            message: 'the replay corpus is empty.',
            location: { file },
            expected: 'lines of {"input": ...} or OPA decision-log events',
          }
        : list.slice(0, 20).map((s) => ({
            message: `no line of the corpus can be replayed: ${s.reason} (${s.count} lines).`,
            location: { file, line: s.line },
            expected: 'lines of {"input": ...} or OPA decision-log events',
          })),
    );
  }
  return { file, inputs, skipped: list };
}

/** The bytes, or what they are the gzip of; never more than a corpus may have. */
function inflated(bytes: Uint8Array, file: string): Uint8Array {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return gunzipSync(bytes, { maxOutputLength: MAX_CORPUS_BYTES });
  } catch (cause) {
    const large = (cause as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE';
    throw new ConfigurationError(
      {
        message: large
          ? `the file unpacks to more than ${MAX_CORPUS_BYTES} bytes`
          : 'the file starts like gzip and is none, or is cut off',
        location: { file },
        expected: 'NDJSON, or the gzip of it',
      },
      { cause },
    );
  }
}

interface Numbered {
  readonly line: string;
  /** From 1. */
  readonly number: number;
}

function* linesOf(text: string): Generator<Numbered> {
  for (const [index, line] of text.split('\n').entries()) yield { line, number: index + 1 };
}

/** Whether the file is JSON as people print it: only brackets stand in its first line. */
function isPrinted(text: string): boolean {
  return /^\s*(?:\[\s*\{?|\{)[ \t\r]*\n/.test(text.slice(0, 4096));
}

/** Objects of an array, or one after the other, over any number of lines; what can't be split comes out as it is. */
function* printedValues(text: string): Generator<Numbered> {
  let depth = 0;
  let start = -1;
  let number = 1;
  let first = 1;
  let inString = false;
  // Where something begins that is no object: it is counted as what it is, too.
  let stray = -1;
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i]!;
    if (depth === 0 && !inString) {
      const between = ' \t\r\n,[]{'.includes(c);
      if (between && stray >= 0) {
        yield { line: text.slice(stray, i), number };
        stray = -1;
      } else if (!between && stray < 0) stray = i;
    }
    if (c === '\n') number += 1;
    if (inString) {
      if (c === '\\') i += 1;
      else if (c === '"') inString = false;
    } else if (c === '"') inString = true;
    else if (c === '{') {
      depth += 1;
      if (depth > 1) continue;
      start = i;
      first = number;
    } else if (c === '}' && depth > 0) {
      depth -= 1;
      if (depth === 0) yield { line: text.slice(start, i + 1), number: first };
    }
  }
  if (depth > 0) yield { line: text.slice(start), number: first };
  else if (stray >= 0) yield { line: text.slice(stray), number };
}

/** The event of a line, or those of a batch; a text is the reason why the line can't be read. */
function eventsOf(line: string): readonly ({ readonly json: Json } | string)[] {
  if (line.length > MAX_LINE_CHARS) return [`longer than ${MAX_LINE_CHARS} characters`];
  if (nestingOf(line) > MAX_DEPTH) return [`nested deeper than ${MAX_DEPTH} levels`];
  try {
    const value = JSON.parse(line) as Json;
    return Array.isArray(value) ? value.map((json: Json) => ({ json })) : [{ json: value }];
  } catch {
    return ['not JSON'];
  }
}

function readEvent(event: Json, entrypoint: string): Omit<ReplayInput, 'line'> | string {
  if (!isObject(event)) return 'not an object';
  if (typeof event['path'] === 'string' && event['path'].replace(/^\/+/, '') !== entrypoint)
    return 'a decision of another entrypoint';
  if (
    ['erased', 'masked'].some(
      (key) => Array.isArray(event[key]) && (event[key] as readonly Json[]).some((path) => String(path).startsWith('/input')),
    )
  )
    return 'the input is masked';
  if (isObject(event['nd_builtin_cache'])) return 'the decision used time, randomness or the network';
  if (!Object.hasOwn(event, 'input')) return 'no input';
  const weight = event['weight'] ?? 1;
  if (typeof weight !== 'number' || !Number.isFinite(weight) || weight <= 0) return 'the weight is no positive number';
  return { input: JSON.stringify(event['input']), weight };
}

export function skippedCount(corpus: Corpus): number {
  return corpus.skipped.reduce((sum, s) => sum + s.count, 0);
}
