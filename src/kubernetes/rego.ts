import { sha256 } from '../core/json.ts';

/**
 * Digest of a Rego module that is the same however it is formatted: comments, white space, blank lines and `;` against
 * line ends don't count; strings do. What `opa fmt` changes, this doesn't see.
 */
export function regoDigest(source: string): string {
  return sha256(tokens(source).join('\u0001'));
}

const TOKEN =
  /(?<comment>#[^\n]*)|(?<text>"(?:\\.|[^"\\\n])*"|`[^`]*`)|(?<line>[\n;]+)|(?<space>[ \t\r]+)|(?<word>[\p{L}\p{N}_]+)|(?<operator>:=|==|!=|<=|>=|[\s\S])/gu;
const OPENS = new Set(['{', '(', '[', ',', '|', 'LINE']);
const CLOSES = new Set(['}', ')', ']', '|']);

function tokens(source: string): string[] {
  const found: string[] = [];
  for (const match of source.matchAll(TOKEN)) {
    const { comment, space, line } = match.groups!;
    if (comment !== undefined || space !== undefined) continue;
    const token = line === undefined ? match[0] : 'LINE';
    if (token === 'LINE' && (found.length === 0 || OPENS.has(found.at(-1)!))) continue;
    // A line end, or a trailing comma, before a closing bracket says nothing.
    while (CLOSES.has(token) && (found.at(-1) === 'LINE' || found.at(-1) === ',')) found.pop();
    found.push(token);
  }
  while (found.at(-1) === 'LINE') found.pop();
  return found;
}
