import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { messageOf } from '../core/errors.ts';
import { errorResult, judgeCase } from './judge/judge.ts';
import type { CaseInput, CaseResult } from './judge/types.ts';

/** Longest accepted line, in characters: a case of 5 million points does not fit on one line by accident. */
const MAX_LINE = 64 * 1024 * 1024;

/** Deepest accepted JSON nesting (a case has four levels). */
const MAX_DEPTH = 16;

export interface BatchSummary {
  readonly cases: number;
  readonly verdicts: Readonly<Record<CaseResult['verdict'], number>>;
}

/** Judges one NDJSON line. Never throws: a bad line gets verdict `error` with its line number and what was expected. */
export function judgeLine(line: string, lineNumber: number): CaseResult {
  if (line.length > MAX_LINE)
    return errorResult({ id: `line ${lineNumber}` }, [`line ${lineNumber}: longer than ${MAX_LINE} characters`]);
  if (depthExceeds(line, MAX_DEPTH))
    return errorResult({ id: `line ${lineNumber}` }, [`line ${lineNumber}: nested deeper than ${MAX_DEPTH} levels`]);
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch (cause) {
    return errorResult({ id: `line ${lineNumber}` }, [`line ${lineNumber}: not JSON (${messageOf(cause)})`]);
  }
  const result = judgeCase(parsed as CaseInput);
  if (result.verdict !== 'error') return result;
  return { ...result, id: result.id === '' ? `line ${lineNumber}` : result.id, reason: `line ${lineNumber}: ${result.reason}` };
}

/** NDJSON in, one answer a case out, in order. Empty lines are skipped. Memory holds one case at a time. */
export async function* judgeBatch(lines: AsyncIterable<string> | Iterable<string>): AsyncGenerator<CaseResult> {
  let lineNumber = 0;
  for await (const line of lines) {
    lineNumber++;
    // Some editors begin a UTF-8 file with a byte order mark, which JSON does not allow.
    const text = lineNumber === 1 && line.startsWith('\uFEFF') ? line.slice(1) : line;
    if (text.trim() !== '') yield judgeLine(text, lineNumber);
  }
}

/** Reads cases from a stream and hands each answer, as one NDJSON line with its newline, to `write` (awaited: backpressure). */
export async function judgeStream(input: Readable, write: (line: string) => void | Promise<void>): Promise<BatchSummary> {
  const verdicts: Record<CaseResult['verdict'], number> = { pass: 0, warn: 0, inconclusive: 0, fail: 0, error: 0 };
  let cases = 0;
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  for await (const result of judgeBatch(lines)) {
    cases++;
    verdicts[result.verdict]++;
    await write(`${JSON.stringify(result)}\n`);
  }
  return { cases, verdicts };
}

function depthExceeds(line: string, limit: number): boolean {
  let depth = 0;
  let inText = false;
  for (let i = 0; i < line.length; i++) {
    const c = line.charCodeAt(i);
    if (inText) {
      if (c === 92) i++;
      else if (c === 34) inText = false;
    } else if (c === 34) inText = true;
    else if (c === 91 || c === 123) {
      if (++depth > limit) return true;
    } else if (c === 93 || c === 125) depth--;
  }
  return false;
}
