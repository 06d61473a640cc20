import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { Location } from '../core/finding.ts';

/** One `input.a.b` reference or one string literal in a Rego file. */
export interface RegoUse {
  readonly kind: 'input' | 'string';
  /** `a.b` for input references (without `input`), the text for strings. */
  readonly text: string;
  readonly location: Location;
}

const TIMEOUT_MS = 20_000;
const MAX_OUTPUT = 64 * 1024 * 1024;

/** Uses in one Rego file, from OPA's own syntax tree (`opa parse`); undefined when OPA cannot parse it (the policy gate says why). */
export async function regoUses(opa: string, dir: string, file: string): Promise<readonly RegoUse[] | undefined> {
  const out = await new Promise<string | undefined>((resolve) => {
    execFile(
      opa,
      ['parse', '--format', 'json', '--json-include', 'locations', join(dir, file)],
      { timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT },
      (error, stdout) => resolve(error === null ? stdout : undefined),
    );
  });
  if (out === undefined) return undefined;
  const uses: RegoUse[] = [];
  const seen = new Set<string>();
  visit(JSON.parse(out), file, undefined, (use) => {
    const key = `${use.kind} ${use.text} ${use.location.line}`;
    if (!seen.has(key)) uses.push(use);
    seen.add(key);
  });
  return uses;
}

interface Term {
  readonly type?: unknown;
  readonly value?: unknown;
  readonly location?: { readonly row?: unknown; readonly col?: unknown };
}

function visit(node: unknown, file: string, near: Location | undefined, emit: (use: RegoUse) => void): void {
  if (Array.isArray(node)) {
    for (const item of node) visit(item, file, near, emit);
    return;
  }
  if (typeof node !== 'object' || node === null) return;
  const term = node as Term;
  const row = term.location?.row;
  const col = term.location?.col;
  const here: Location | undefined =
    typeof row === 'number' ? { file, line: row, ...(typeof col === 'number' ? { column: col } : {}) } : near;
  if (term.type === 'ref' && Array.isArray(term.value)) {
    const parts = term.value as readonly Term[];
    if (parts[0]?.type === 'var' && parts[0].value === 'input') {
      const words: string[] = [];
      for (const part of parts.slice(1)) {
        // A variable or wildcard stands for an index: paths through arrays are written without it.
        if (part.type === 'string') words.push(String(part.value));
      }
      if (words.length > 0 && here !== undefined) emit({ kind: 'input', text: words.join('.'), location: here });
    }
  } else if (term.type === 'string' && typeof term.value === 'string' && here !== undefined) {
    emit({ kind: 'string', text: term.value, location: here });
  }
  for (const value of Object.values(node)) visit(value, file, here, emit);
}
