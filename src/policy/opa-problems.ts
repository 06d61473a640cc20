import type { Location } from '../core/finding.ts';
import { compareText } from '../core/text.ts';
import type { ExecResult } from '../tools/exec.ts';

/** After this a run of `opa` is stopped. */
export const TIMEOUT_MS = 60_000;

/** One error of OPA, with its place. */
export interface OpaProblem {
  readonly message: string;
  /** OPA's own code, e.g. `rego_type_error`. */
  readonly code: string;
  readonly location: Location | undefined;
}

/** What OPA refused: the modules are at fault, not the run. */
export class OpaRefused extends Error {
  readonly problems: readonly OpaProblem[];
  constructor(problems: readonly OpaProblem[]) {
    super(problems.map((p) => p.message).join('; '));
    this.name = 'OpaRefused';
    this.problems = problems;
  }
}

export interface RawLocation {
  readonly file?: string;
  readonly row?: number;
  readonly col?: number;
}

interface RawError {
  readonly message?: string;
  readonly code?: string;
  readonly location?: RawLocation;
}

/** Errors come as JSON on stdout or stderr (`check`, `parse`, `eval`), or as text lines `file:row: code: message`. */
export function problemsOf(result: ExecResult, fallback?: string): OpaProblem[] {
  for (const text of [result.stdout, result.stderr]) {
    try {
      const parsed = JSON.parse(text) as { errors?: RawError[] } | RawError[];
      const errors = Array.isArray(parsed) ? parsed : (parsed.errors ?? []);
      if (errors.length > 0) {
        return sorted(
          errors.map((e) => ({
            message: e.message ?? 'error',
            code: e.code ?? 'opa_error',
            location: placeOf(e.location, fallback),
          })),
        );
      }
    } catch {
      // Not JSON: the text form below.
    }
  }
  const problems: OpaProblem[] = [];
  for (const line of `${result.stderr}\n${result.stdout}`.split('\n')) {
    const match =
      /^(?:\d+ errors? occurred(?: during loading)?: )?(?:error: )?(?:load error: )?(?<file>[^\s:][^:]*\.rego):(?<row>\d+)(?::(?<col>\d+))?: (?:(?<code>rego_\w+): )?(?<message>.+)$/.exec(
        line.trim(),
      );
    if (match === null) continue;
    const g = match.groups!;
    problems.push({
      message: g['message']!,
      code: g['code'] ?? 'opa_error',
      location: {
        file: tidyPath(g['file']!),
        line: Number(g['row']),
        ...(g['col'] === undefined ? {} : { column: Number(g['col']) }),
      },
    });
  }
  if (problems.length > 0) return sorted(problems);
  const text = (result.stderr || result.stdout).trim().split('\n').slice(0, 5).join(' ').replaceAll(/\s+/g, ' ').slice(0, 500);
  return [
    {
      message: text === '' ? `opa ended with ${result.code}` : text,
      code: 'opa_error',
      location: fallback === undefined ? undefined : { file: fallback },
    },
  ];
}

export function limitProblem(what: string): OpaProblem {
  return { message: `${what} took longer than ${TIMEOUT_MS / 1000} s and was stopped`, code: 'limit', location: undefined };
}

export function sorted(problems: readonly OpaProblem[]): OpaProblem[] {
  return [...problems].sort(
    (a, b) =>
      compareText(a.location?.file ?? '', b.location?.file ?? '') ||
      (a.location?.line ?? 0) - (b.location?.line ?? 0) ||
      compareText(a.message, b.message),
  );
}

export function placeOf(raw: RawLocation | undefined, fallback?: string): Location | undefined {
  const file = raw?.file === undefined || raw.file === '' ? fallback : tidyPath(raw.file);
  if (file === undefined) return undefined;
  return {
    file,
    ...(raw?.row === undefined ? {} : { line: Math.max(1, raw.row) }),
    ...(raw?.col === undefined ? {} : { column: Math.max(1, raw.col) }),
  };
}

/** OPA's paths are relative to the bundle root, sometimes with a leading slash. */
export function tidyPath(path: string): string {
  return path.replace(/^(?:\.?\/)+/, '');
}
