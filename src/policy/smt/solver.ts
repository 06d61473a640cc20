import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { InternalError } from '../../core/errors.ts';

/** The version of z3-solver that mixgate is tested with. */
export const Z3_PACKAGE = 'z3-solver@5.2.0';
/** z3's own count of work per query, so that where it gives up doesn't depend on the machine. */
const RLIMIT = 40_000_000;
const MEMORY_MB = 768;
const LIMIT_MS = 180_000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export type Answer =
  | { readonly verdict: 'unsat' }
  | { readonly verdict: 'sat'; readonly values: string }
  | { readonly verdict: 'unknown'; readonly reason: string };

/**
 * The installed z3-solver: beside mixgate only, never from the folder under test, whose code must not run here.
 * undefined when it isn't installed (it is an optional dependency of 35 MB).
 */
export function findZ3(from: string = import.meta.url): string | undefined {
  try {
    return createRequire(from).resolve('z3-solver');
  } catch {
    return undefined;
  }
}

/** The bundle keeps smt-process.js at its top and this code perhaps in a chunk below. */
function script(): string {
  const bundled = ['./smt-process.js', '../smt-process.js'].map((path) => new URL(path, import.meta.url));
  return fileURLToPath(bundled.find((url) => existsSync(fileURLToPath(url))) ?? new URL('./z3-process.ts', import.meta.url));
}

/** Asks z3 each query in a process of its own; a query that runs into a limit is `unknown`. */
export async function solve(
  z3: string,
  queries: readonly { readonly text: string; readonly names: readonly string[] }[],
  signal: AbortSignal,
  limits: { readonly rlimit?: number; readonly limitMs?: number } = {},
): Promise<{ readonly version: string; readonly answers: readonly Answer[] }> {
  const texts = queries.map(
    ({ text, names }) => `${text}\n(check-sat)\n${names.length === 0 ? '' : `(get-value (${names.join(' ')}))`}`,
  );
  const request = JSON.stringify({ queries: texts, rlimit: limits.rlimit ?? RLIMIT, memoryMb: MEMORY_MB });
  const { stdout, stopped } = await run(z3, request, limits.limitMs ?? LIMIT_MS, signal);
  if (stopped !== undefined)
    return { version: 'unknown', answers: queries.map(() => ({ verdict: 'unknown', reason: stopped }) as const) };
  let result: { readonly version: string; readonly answers: readonly string[] };
  try {
    result = JSON.parse(stdout) as typeof result;
  } catch {
    // Out of memory, as a rule: the process then ends without a word.
    return {
      version: 'unknown',
      answers: queries.map(() => ({ verdict: 'unknown', reason: 'z3 ended without an answer' }) as const),
    };
  }
  return { version: result.version, answers: result.answers.map(answerOf) };
}

function answerOf(text: string): Answer {
  const [first = '', ...rest] = text.trim().split('\n');
  if (first === 'unsat') return { verdict: 'unsat' };
  if (first === 'sat') return { verdict: 'sat', values: rest.join('\n') };
  if (first === 'unknown' || /max\. (?:resource|memory)|memout|canceled|out of memory/i.test(text))
    return { verdict: 'unknown', reason: "z3's limit of work or memory" };
  throw new InternalError(`z3 refuses the formula: ${text.slice(0, 500)}`);
}

function run(
  z3: string,
  request: string,
  limitMs: number,
  signal: AbortSignal,
): Promise<{ readonly stdout: string; readonly stopped: string | undefined }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script(), z3], { stdio: ['pipe', 'pipe', 'ignore'], env: {} });
    let stdout = '';
    let stopped: string | undefined;
    const stop = (reason: string): void => {
      stopped ??= reason;
      child.kill('SIGKILL');
    };
    const timer = setTimeout(() => stop(`z3 took longer than ${limitMs / 1000} s`), limitMs);
    const abort = (): void => stop('interrupted');
    signal.addEventListener('abort', abort, { once: true });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (stdout.length > MAX_ANSWER_BYTES) stop('z3 answered too much');
    });
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    };
    child.on('error', (error) => {
      end();
      reject(error);
    });
    child.on('close', () => {
      end();
      resolve({ stdout, stopped });
    });
    // A process that ended early closes its input: what it printed says why.
    child.stdin.on('error', () => undefined);
    child.stdin.end(request);
  });
}
