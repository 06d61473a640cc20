// A heat map as a table: the numbers are in it, so that it can be read aloud, copied, and printed without colours. One of many columns is a
// strip of colours a row, so that all of it can be seen at once, with the largest value in words and the numbers in a table below.
import { html, oneLine } from '../../../src/report/escape.ts';
import { HEAT_STEPS } from './style.ts';

/** Columns with a number in each cell; more do not fit a page. */
export const NUMBERED_COLUMNS = 24;

export interface HeatTable {
  caption: string;
  /** Heading of the row names. */
  corner: string;
  /** What a coloured column is, in one word. `faint` values are too uncertain for a colour. */
  column: string;
  /** Names of the coloured columns. */
  columns: readonly string[];
  rows: ReadonlyArray<{
    name: string;
    values: ReadonlyArray<number | undefined>;
    more?: readonly string[];
    faint?: readonly boolean[];
  }>;
  /** Names of the plain columns after them, with what they mean. */
  more?: ReadonlyArray<{ name: string; title: string }>;
  min: number;
  max: number;
  format: (value: number) => string;
  /** Of the values, as it is written after a number. */
  unit?: string;
  note?: string;
}

/** The colour step of a value: 0 at `min` and below, the last at `max` and above. */
export function heatStep(value: number, min: number, max: number): number {
  if (!(max > min)) return 0;
  return Math.min(HEAT_STEPS - 1, Math.max(0, Math.floor(((value - min) / (max - min)) * HEAT_STEPS)));
}

type Row = HeatTable['rows'][number];

const known = (value: number | undefined): value is number => value !== undefined && Number.isFinite(value);

function scale({ min, max, format, unit }: HeatTable): string {
  const bar = Array.from({ length: HEAT_STEPS }, (_, step) => `<i class="h${step}"></i>`).join('');
  const end = (value: number): string => `<span>${html(format(value))}${unit === undefined ? '' : ` ${html(unit)}`}</span>`;
  return `<div class="scale" aria-hidden="true">${end(min)}<span class="bar">${bar}</span>${end(max)}</div>`;
}

/** A region that scrolls by itself and can be reached by keyboard. */
function region(label: string, content: string): string {
  return `<div class="scroll" tabindex="0" role="region" aria-label="${html(oneLine(label))}">${content}</div>`;
}

function heads({ corner, more = [] }: HeatTable, cells: string): string {
  const rest = more.map(({ name, title }) => `<th scope="col" class="n"><abbr title="${html(title)}">${html(name)}</abbr></th>`);
  return `<tr><th scope="col">${html(corner)}</th>${cells}${rest.join('')}</tr>`;
}

function line(row: Row, cells: string): string {
  return `<tr><th scope="row">${html(oneLine(row.name))}</th>${cells}${(row.more ?? []).map((text) => `<td>${html(text)}</td>`).join('')}</tr>`;
}

/** A caption that stays in view, whole, while a wide table scrolls under it. */
export function title(caption: string): string {
  return `<span class="title">${html(oneLine(caption))}</span>`;
}

/** Every value in a cell of its own. */
function numbers(table: HeatTable, caption: string): string {
  const { columns, rows, min, max, format } = table;
  const cell = (value: number | undefined, faint: boolean | undefined): string =>
    known(value)
      ? `<td class="c ${faint === true ? 'faint' : `h${heatStep(value, min, max)}`}">${html(format(value))}</td>`
      : '<td class="c">–</td>';
  const head = heads(table, columns.map((name) => `<th scope="col" class="c">${html(oneLine(name))}</th>`).join(''));
  const body = rows.map((row) => line(row, columns.map((_, index) => cell(row.values[index], row.faint?.[index])).join('')));
  return `<table class="heat"><caption>${title(caption)}</caption>
<thead>${head}</thead><tbody>${body.join('\n')}</tbody></table>`;
}

/** A row's largest value and where it is. */
function highest({ column, columns, format, unit }: HeatTable, { values, faint }: Row): string {
  const sure = values.map((value, index) => (known(value) && faint?.[index] !== true ? value : Number.NEGATIVE_INFINITY));
  const best = sure.indexOf(Math.max(...sure));
  const value = sure[best];
  return known(value) ? `${column} ${columns[best] ?? ''}: ${format(value)}${unit === undefined ? '' : ` ${unit}`}` : '–';
}

/** A label under every so many columns. */
function ticks(columns: readonly string[]): string {
  const every = columns.length > 64 ? 16 : 8;
  return columns.map((name, index) => `<i>${index % every === 0 ? html(oneLine(name)) : ''}</i>`).join('');
}

/** A strip of colours a row. */
function strips(table: HeatTable): string {
  const { caption, column, columns, rows, min, max } = table;
  const cell = (value: number | undefined, faint: boolean | undefined): string =>
    known(value) && faint !== true ? `<i class="h${heatStep(value, min, max)}"></i>` : '<i></i>';
  const head = heads(
    table,
    `<th scope="col"><span class="cells ticks" aria-hidden="true">${ticks(columns)}</span><span class="hidden">${html(column)}s ${html(oneLine(columns[0] ?? ''))} to ${html(oneLine(columns.at(-1) ?? ''))}, as colours</span></th><th scope="col" class="l">highest</th>`,
  );
  const body = rows.map((row) =>
    line(
      row,
      `<td class="cells"><span class="cells" aria-hidden="true">${columns.map((_, index) => cell(row.values[index], row.faint?.[index])).join('')}</span></td><td class="l">${html(highest(table, row))}</td>`,
    ),
  );
  return `<table class="heat strips"><caption>${title(caption)}</caption>
<thead>${head}</thead><tbody>${body.join('\n')}</tbody></table>`;
}

export function heatTable(table: HeatTable): string {
  const { caption, columns, note } = table;
  const end = `${scale(table)}${note === undefined ? '' : `<p class="small">${html(note)}</p>`}`;
  if (columns.length <= NUMBERED_COLUMNS) return region(caption, `${numbers(table, caption)}\n${end}`);
  const below = region(
    `${caption}, in numbers`,
    numbers({ ...table, more: [], rows: table.rows.map(({ more: _, ...row }) => row) }, caption),
  );
  return `${region(caption, `${strips(table)}\n${end}`)}<details class="data"><summary>${html(oneLine(caption))}, in numbers</summary>${below}</details>`;
}
