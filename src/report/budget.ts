import { plural } from '../core/text.ts';

/** A part of a document, most important first. `required` parts are never left out. */
export interface Part {
  readonly text: string;
  /** What the closing line counts when the part had no room, e.g. `finding`. */
  readonly noun: string;
}

/**
 * Joins parts with blank lines while they fit, so that a long report is cut between parts and never lost whole: GitHub drops
 * a job summary or refuses a comment over its limit.
 * @param size of a text, in the unit of the limit (bytes of UTF-8, or UTF-16 units)
 * @param closing the last lines; gets the number of parts left out
 */
export function fitParts(
  head: string,
  parts: readonly Part[],
  closing: (left: readonly Part[]) => string,
  limit: number,
  size: (text: string) => number,
): string {
  // The closing line grows by what it says was left out: reserve the longest one.
  const reserve = Math.max(size(closing(parts)), size(closing([]))) + 200;
  let used = size(head) + reserve;
  const kept: string[] = [head];
  const left: Part[] = [];
  for (const part of parts) {
    const cost = size(part.text) + 2;
    if (used + cost > limit) left.push(part);
    else {
      used += cost;
      kept.push(part.text);
    }
  }
  return [...kept, closing(left)].join('\n\n');
}

/** `3 findings and 1 table`. */
export function describeLeft(left: readonly Part[]): string {
  const counts = new Map<string, number>();
  for (const part of left) counts.set(part.noun, (counts.get(part.noun) ?? 0) + 1);
  return [...counts].map(([noun, count]) => plural(count, noun)).join(', ');
}
