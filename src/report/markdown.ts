import type { GateResult } from '../core/gate.ts';
import type { Report } from '../core/report.ts';
import { describeLeft, fitParts, type Part } from './budget.ts';
import { clip, markdown, markdownBlock, oneLine } from './escape.ts';
import { details, findingDetails, footer, gateTable, heading, markdownTable } from './markdown-parts.ts';
import { measurementTable } from './number.ts';
import type { RenderOptions } from './options.ts';
import { textChart } from './text-chart.ts';
import { foldTable, nextStep, rankMeasurements, withEffect } from './view.ts';

/** GitHub drops a step's summary above 1 MiB; a little is left for what others add. */
const LIMIT_BYTES = 1024 * 1024 - 4096;
const MAX_TABLE_ROWS = 50;

/** The report as GitHub Markdown: the job summary. Never longer than 1 MiB of UTF-8; what does not fit is counted in its last line. */
export function renderMarkdown(report: Report, options: RenderOptions = {}): string {
  const head = [`# ${heading(report)}`, gateTable(report), `**${markdown(nextStep(report))}**`]
    .filter((part) => part !== '')
    .join('\n\n');
  const closing = (left: readonly Part[]): string =>
    [
      ...(left.length === 0 ? [] : [`_Left out for length: ${describeLeft(left)}. The JSON and HTML reports have everything._`]),
      footer(report, options),
      '',
    ].join('\n\n');
  return fitParts(head, parts(report, options), closing, LIMIT_BYTES, (text) => Buffer.byteLength(text));
}

function parts(report: Report, options: RenderOptions): Part[] {
  const finding = (text: string): Part => ({ text, noun: 'finding' });
  const blocking = withEffect(report.findings, 'blocks').map((item) => finding(findingDetails(item, options)));
  const rest = (['warns', 'notes', 'waived'] as const).flatMap((effect) => {
    const list = withEffect(report.findings, effect);
    const title = { warns: 'Warnings', notes: 'Notes', waived: 'Waived' }[effect];
    return list.length === 0
      ? []
      : chunked(
          list.map((item) => findingDetails(item, options, 12)),
          `${title} (${list.length})`,
        );
  });
  return [
    ...(blocking.length === 0 ? [] : [{ text: `## Blocking (${blocking.length})`, noun: 'heading' }, ...blocking]),
    ...rest,
    ...report.gates.flatMap(numbers),
  ];
}

/** Lists of findings folded together, a hundred a fold, so that a long one can be left out in pieces. */
function chunked(items: readonly string[], title: string): Part[] {
  const folds: Part[] = [];
  for (let start = 0; start < items.length; start += 100) {
    const some = items.slice(start, start + 100);
    const range = items.length > 100 ? `, ${start + 1} to ${start + some.length}` : '';
    folds.push({ text: details(`${title}${range}`, some.join('\n\n')), noun: some.length === 1 ? 'finding' : 'fold of finding' });
  }
  return folds;
}

function numbers(gate: GateResult): Part[] {
  const result: Part[] = [];
  const note = (text: string | undefined): string => (text === undefined ? '' : `\n\n_${markdown(clip(text, 500))}_`);
  for (const chart of gate.charts ?? []) {
    result.push({
      text: `### ${gate.id}: ${markdown(clip(chart.title, 200))}\n\n${markdownBlock(textChart(chart, 100).join('\n'), 'text')}${note(chart.note)}`,
      noun: 'chart',
    });
  }
  for (const table of gate.tables ?? []) {
    const shown = foldTable(table, MAX_TABLE_ROWS);
    const rows = shown.rows.map((row) => row.map((cell) => markdown(clip(cell, 400))));
    const more = shown.more === undefined ? '' : `\n\n_… ${markdown(shown.more)}._`;
    const sentences = (table.details ?? []).slice(0, MAX_TABLE_ROWS).map((text) => `- ${markdown(clip(oneLine(text), 600))}`);
    result.push({
      text: `### ${gate.id}: ${markdown(clip(table.title, 200))}\n\n${markdownTable(
        table.columns.map((name) => markdown(clip(name, 100))),
        rows,
      )}${more}${sentences.length === 0 ? '' : `\n\n${sentences.join('\n')}`}${note(table.note)}`,
      noun: 'table',
    });
  }
  if (gate.measurements.length > 0) {
    const ranked = rankMeasurements(gate.measurements);
    const { columns, rows } = measurementTable(ranked.slice(0, MAX_TABLE_ROWS));
    const more =
      ranked.length > MAX_TABLE_ROWS ? `\n\n_${ranked.length - MAX_TABLE_ROWS} more in the JSON and HTML reports._` : '';
    const body = `${markdownTable(
      columns,
      rows.map((row) => row.map((cell) => markdown(clip(cell, 200)))),
    )}${more}`;
    result.push({ text: details(`${gate.id}: measurements (${ranked.length})`, body), noun: 'measurement table' });
  }
  return result;
}
