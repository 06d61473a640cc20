import type { AstLocation } from './ast.ts';

/** Text to put in at a place of a source, perhaps instead of some that is there. */
export interface Edit {
  /** In UTF-16 code units. */
  readonly offset: number;
  /** Code units that go away. */
  readonly remove?: number;
  readonly text: string;
}

/** Edits at one place apply in the order given; an edit inside a removed part is dropped with it. */
export function applyEdits(source: string, edits: readonly Edit[]): string {
  const parts: string[] = [];
  let at = 0;
  for (const { offset, remove = 0, text } of [...edits].sort((a, b) => a.offset - b.offset)) {
    if (offset < at) continue;
    parts.push(source.slice(at, offset), text);
    at = offset + remove;
  }
  return parts.join('') + source.slice(at);
}

let indexed: { readonly source: string; readonly starts: readonly number[] } | undefined;

/** OPA counts columns in code points; JavaScript indexes UTF-16. Undefined for a place that the source doesn't have. */
export function offsetOf(source: string, location: AstLocation): number | undefined {
  // Places come file by file: the line table of the last one is all that is needed.
  if (indexed?.source !== source) indexed = { source, starts: lineStarts(source) };
  const start = indexed.starts[location.row - 1];
  if (start === undefined) return undefined;
  const line = source.slice(start, (indexed.starts[location.row] ?? source.length + 1) - 1);
  return start + [...line].slice(0, location.col - 1).join('').length;
}

function lineStarts(source: string): number[] {
  const starts = [0];
  for (let at = source.indexOf('\n'); at >= 0; at = source.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}
