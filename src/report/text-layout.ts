import { clip } from './escape.ts';

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const COMBINING = /\p{Mn}|\p{Me}/u;

/** Columns that a text takes on a terminal: wide East Asian characters and emoji take two, combining marks none. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const char of text) width += COMBINING.test(char) ? 0 : WIDE.test(char) ? 2 : 1;
  return width;
}

export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)));
}

function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - displayWidth(text))) + text;
}

/** Breaks text into lines of at most `width` columns, at spaces where there are any. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(/ +/)) {
      for (const piece of pieces(word, width)) {
        const next = line === '' ? piece : `${line} ${piece}`;
        if (line !== '' && displayWidth(next) > width) {
          lines.push(line);
          line = piece;
        } else line = next;
      }
    }
    lines.push(line);
  }
  return lines;
}

function pieces(word: string, width: number): string[] {
  if (displayWidth(word) <= width) return [word];
  // What a space should hold together breaks there before a number does.
  if (word.includes('\u00a0')) return word.split('\u00a0').flatMap((part) => pieces(part, width));
  const parts: string[] = [];
  let part = '';
  for (const char of word) {
    if (displayWidth(part + char) > width) {
      // Names break after their separators where they can.
      const at = Math.max(...['.', '/', '_', '-', ':'].map((mark) => part.lastIndexOf(mark))) + 1;
      const cut = at > part.length / 4 ? at : part.length;
      parts.push(part.slice(0, cut));
      part = part.slice(cut);
    }
    part += char;
  }
  return [...parts, part];
}

const NUMERIC = /^[-+±≤≥<>]?\s?[\d\u2009.,∞]+(?:e-?\d+)?(?:\s?\S{1,12})?$/u;

/**
 * A table fitted to `width` columns: the widest columns give way first, their cells wrap. Columns of numbers are aligned right.
 * @param style called with the padded cell, row (-1 for the head) and column, to colour it
 */
export function textTable(
  columns: readonly string[],
  rows: readonly (readonly string[])[],
  width: number,
  style: (cell: string, row: number, column: number) => string = (cell) => cell,
): string[] {
  const GAP = 2;
  const cells = rows.map((row) => columns.map((_, index) => row[index] ?? ''));
  const natural = columns.map((name, index) => Math.max(displayWidth(name), ...cells.map((row) => longestLine(row[index]!))));
  const words = columns.map((name, index) => Math.max(longestWord(name), ...cells.map((row) => longestWord(row[index]!))));
  const tight = columns.map((name, index) =>
    Math.max(longestWord(name, true), ...cells.map((row) => longestWord(row[index]!, true))),
  );
  const widths = shrink(natural, [words, tight], width - GAP * (columns.length - 1));
  const right = columns.map((_, index) => {
    const filled = cells.map((row) => row[index]!).filter((cell) => cell !== '');
    return filled.length > 0 && filled.every((cell) => NUMERIC.test(cell));
  });
  const draw = (row: readonly string[], rowIndex: number): string[] => {
    const wrapped = row.map((cell, index) => shorten(wrap(cell, widths[index]!), widths[index]!));
    const height = Math.max(1, ...wrapped.map((lines) => lines.length));
    return Array.from({ length: height }, (_, line) =>
      wrapped
        .map((lines, index) => {
          const text = lines[line] ?? '';
          const padded = right[index] ? padStart(text, widths[index]!) : padEnd(text, widths[index]!);
          return style(padded, rowIndex, index);
        })
        .join(' '.repeat(GAP))
        .trimEnd(),
    );
  };
  return [
    ...draw(
      columns.map((name) => clip(name, 60)),
      -1,
    ),
    ...cells.flatMap((row, index) => draw(row, index)),
  ];
}

/** A cell of many lines pushes everything else off the screen; the JSON and HTML reports have it whole. */
const MAX_CELL_LINES = 5;

function shorten(lines: string[], width: number): string[] {
  if (lines.length <= MAX_CELL_LINES) return lines;
  const kept = lines.slice(0, MAX_CELL_LINES);
  const last = kept.pop() ?? '';
  return [...kept, displayWidth(last) < width ? `${last}…` : clip(last, Math.max(1, last.length - 1))];
}

function longestLine(text: string): number {
  return Math.max(0, ...text.split('\n').map(displayWidth));
}

/** The longest piece that a line break should leave whole; longer ones than this are broken all the same. @param tight breaks at every space */
function longestWord(text: string, tight = false): number {
  const LONGEST = 16;
  const breaks = tight ? /[ \u00a0]+|\n|(?<=[./_:-])(?=\p{L})/u : / +|\n|(?<=[./_:-])(?=\p{L})/u;
  return Math.min(LONGEST, Math.max(0, ...text.split(breaks).map(displayWidth)));
}

/** Shrinks the widest columns until the sum fits: first as far as their words stay whole, then down to eight columns. */
function shrink(natural: readonly number[], words: readonly (readonly number[])[], available: number): number[] {
  const LEAST = 8;
  const widths = [...natural];
  for (const floors of [
    ...words.map((own) => own.map((word, index) => Math.min(natural[index]!, word))),
    widths.map(() => LEAST),
  ]) {
    let excess = widths.reduce((sum, width) => sum + width, 0) - available;
    while (excess > 0) {
      const open = widths.map((width, index) => (width > floors[index]! ? width : 0));
      const widest = Math.max(...open);
      if (widest === 0) break;
      const index = open.indexOf(widest);
      const second = Math.max(floors[index]!, ...open.filter((_, other) => other !== index));
      const cut = Math.max(1, Math.min(excess, widest - second));
      widths[index] = widest - cut;
      excess -= cut;
    }
  }
  return widths.map((width) => Math.max(1, width));
}
