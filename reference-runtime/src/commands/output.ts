// Files that commands write beside what they print.
import { writeFileSync } from 'node:fs';
import { visible } from '../../../src/report/escape.ts';
import type { Page } from '../report/page.ts';
import type { LayerGate } from '../server/moe.ts';

/** Writes a page and says where on stderr: stdout is the command's result. @throws Error of the file system */
export function writePage(path: string, { html }: Page): void {
  writeFileSync(path, html);
  process.stderr.write(`wrote ${path}\n`);
}

/** Columns of text, padded to their widest cell. What a terminal would act on, or hide, is written out. */
export function columns(table: readonly (readonly string[])[]): string {
  const rows = table.map((row) => row.map(visible));
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return `${rows
    .map((row) =>
      row
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')}\n`;
}

/** The chosen experts with their weights in per cent: `3:71 5:29`. */
export function weightsCell(gate: LayerGate | undefined): string {
  if (gate === undefined) return '-';
  return gate.experts
    .map((expert, rank) => `${expert}:${String(Math.round((gate.weights[rank] as number) * 100)).padStart(2)}`)
    .join(' ');
}
