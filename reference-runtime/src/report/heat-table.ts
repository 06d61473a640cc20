// A heat map as a table: the numbers are in it, so that it can be read aloud, copied, and printed without colours.
import { html, oneLine } from '../../../src/report/escape.ts';
import { HEAT_STEPS } from './style.ts';

export interface HeatTable {
  caption: string;
  /** Heading of the row names. */
  corner: string;
  /** Names of the coloured columns. */
  columns: readonly string[];
  rows: ReadonlyArray<{ name: string; values: ReadonlyArray<number | undefined>; more?: readonly string[] }>;
  /** Names of the plain columns after them, with what they mean. */
  more?: ReadonlyArray<{ name: string; title: string }>;
  min: number;
  max: number;
  format: (value: number) => string;
  note?: string;
}

/** The colour step of a value: 0 at `min` and below, the last at `max` and above. */
export function heatStep(value: number, min: number, max: number): number {
  if (!(max > min)) return 0;
  return Math.min(HEAT_STEPS - 1, Math.max(0, Math.floor(((value - min) / (max - min)) * HEAT_STEPS)));
}

export function heatTable(table: HeatTable): string {
  const { columns, rows, more = [], min, max, format } = table;
  const cell = (value: number | undefined): string =>
    value === undefined || !Number.isFinite(value)
      ? '<td class="c">–</td>'
      : `<td class="c h${heatStep(value, min, max)}">${html(format(value))}</td>`;
  const head = [
    `<th scope="col">${html(table.corner)}</th>`,
    ...columns.map((name) => `<th scope="col" class="c">${html(oneLine(name))}</th>`),
    ...more.map(({ name, title }) => `<th scope="col" class="n"><abbr title="${html(title)}">${html(name)}</abbr></th>`),
  ];
  const body = rows.map(
    (row) =>
      `<tr><th scope="row">${html(oneLine(row.name))}</th>${columns.map((_, index) => cell(row.values[index])).join('')}${(row.more ?? []).map((text) => `<td>${html(text)}</td>`).join('')}</tr>`,
  );
  const bar = Array.from({ length: HEAT_STEPS }, (_, step) => `<i class="h${step}"></i>`).join('');
  return `<div class="scroll" tabindex="0" role="region" aria-label="${html(oneLine(table.caption))}"><table class="heat"><caption>${html(oneLine(table.caption))}</caption>
<thead><tr>${head.join('')}</tr></thead><tbody>${body.join('\n')}</tbody></table>
<div class="scale" aria-hidden="true"><span>${html(format(min))}</span><span class="bar">${bar}</span><span>${html(format(max))}</span></div>${table.note === undefined ? '' : `<p class="small">${html(table.note)}</p>`}</div>`;
}
