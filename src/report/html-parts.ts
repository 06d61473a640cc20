import type { Finding } from '../core/finding.ts';
import type { Chart, Measurement, Table } from '../core/gate.ts';
import type { Verdict } from '../core/verdict.ts';
import { clip, html, oneLine } from './escape.ts';
import { describeEvidence } from './evidence.ts';
import { heatRange } from './html-chart-heatmap.ts';
import { chartSvg } from './html-charts.ts';
import { formatNumber, measurementTable } from './number.ts';
import { describeEffect, describeLocation, type Effect, effectOf, rankMeasurements } from './view.ts';

const MAX_ROWS = 2_000;

const SHAPES: Record<Verdict, string> = {
  pass: '<path d="M3 8.5l3.2 3.2L13 4.8"/>',
  warn: '<path d="M8 3v6.2M8 12.6v.4"/>',
  inconclusive: '<path d="M5.4 5.6a2.7 2.7 0 1 1 4 2.4c-1 .6-1.4 1-1.4 2M8 12.7v.3"/>',
  fail: '<path d="M4 4l8 8M12 4l-8 8"/>',
  error: '<path d="M8 3v6.2M8 12.6v.4"/>',
};

function icon(verdict: Verdict): string {
  return `<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${SHAPES[verdict]}</svg>`;
}

export function verdictPill(verdict: Verdict, size = ''): string {
  return `<span class="pill is-${verdict}${size}">${icon(verdict)}${verdict}</span>`;
}

const EFFECT_STYLE: Record<Effect, { readonly pill: string; readonly card: string }> = {
  blocks: { pill: 'fail', card: 'f-fail' },
  warns: { pill: 'warn', card: 'f-warn' },
  notes: { pill: 'note', card: 'f-note' },
  waived: { pill: 'waived', card: 'f-waived' },
};

/** Text with its `code` spans as code. */
export function rich(text: string): string {
  return text
    .split(/`([^`\n]+)`/)
    .map((part, index) => (index % 2 === 1 ? `<code>${html(part)}</code>` : html(part)))
    .join('');
}

/** A path that may break after its separators. */
export function path(text: string): string {
  return `<span class="mono">${html(oneLine(text)).replace(/[/.:_-](?=[^\s&;])/g, '$&<wbr>')}</span>`;
}

export function findingCard(finding: Finding, anchor: string): string {
  const style = EFFECT_STYLE[effectOf(finding)];
  const effect = effectOf(finding) === 'waived' ? 'waived' : describeEffect(finding);
  const place = describeLocation(finding.location);
  return [
    `<article class="finding ${style.card}" id="${anchor}">`,
    `<header><span class="pill is-${style.pill}">${effect}</span><h4 class="mono">${html(finding.ruleId)}</h4>${place === '' ? '' : `<span class="where mono">${html(oneLine(place))}</span>`}</header>`,
    `<p>${rich(clip(finding.message, 8_000))}</p>`,
    finding.waived === false ? '' : `<p class="small">${html(oneLine(describeEffect(finding)))}</p>`,
    ...(finding.related ?? [])
      .slice(0, 50)
      .map(
        (other) =>
          `<p class="related">See <span class="mono">${html(oneLine(describeLocation(other)))}</span>${other.message === undefined ? '' : `: ${rich(oneLine(other.message))}`}</p>`,
      ),
    finding.evidence === undefined
      ? ''
      : `<pre tabindex="0" aria-label="Evidence">${html(describeEvidence(finding.evidence, { lines: 120, columns: 1_000 }).join('\n'))}</pre>`,
    finding.fix === undefined
      ? ''
      : finding.fix.includes('\n')
        ? `<div class="fix"><b>Fix</b></div><pre tabindex="0">${html(clip(finding.fix, 8_000))}</pre>`
        : `<div class="fix"><b>Fix</b><p>${rich(clip(finding.fix, 8_000))}</p></div>`,
    '</article>',
  ]
    .filter((line) => line !== '')
    .join('\n');
}

const NUMERIC = /^[-+±≤≥<>]?\s?[\d\u2009.,∞]+(?:e-?\d+)?(?:\s?\S{1,12})?$/u;

/**
 * @param cell turns a cell into HTML; it must escape
 * @param label names the scrolling region, where the title alone would be there more than once
 */
export function tableHtml(
  table: Pick<Table, 'columns' | 'rows' | 'note' | 'details'>,
  title: string | undefined,
  cell: (text: string, column: number) => string = (text, column) =>
    isVerdict(text) && table.columns[column]?.toLowerCase() === 'verdict' ? verdictPill(text) : rich(oneLine(text)),
  label: string = title ?? 'Data',
): string {
  const rows = table.rows.slice(0, MAX_ROWS);
  const numeric = table.columns.map((_, column) => {
    const filled = rows.map((row) => row[column] ?? '').filter((text) => text !== '');
    return filled.length > 0 && filled.every((text) => NUMERIC.test(text));
  });
  const kind = (column: number): string => (numeric[column] ? ' class="num"' : column === 0 ? ' class="name"' : '');
  const body = rows.map(
    (row) =>
      `<tr>${table.columns.map((_, column) => `<td${kind(column)}>${cell(clip(row[column] ?? '', 1_000), column)}</td>`).join('')}</tr>`,
  );
  const more =
    table.rows.length > rows.length
      ? `<p class="small">${table.rows.length - rows.length} more rows in the JSON report.</p>`
      : '';
  return `<div class="scroll" tabindex="0" role="region" aria-label="${html(oneLine(label))}"><table>${title === undefined ? '' : `<caption>${html(oneLine(title))}</caption>`}<thead><tr>${table.columns
    .map((name, column) => `<th scope="col"${numeric[column] ? ' class="num"' : ''}>${html(oneLine(name))}</th>`)
    .join(
      '',
    )}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>${more}${sentences(table.details)}${table.note === undefined ? '' : `<p class="small">${rich(oneLine(table.note))}</p>`}`;
}

function sentences(details: readonly string[] = []): string {
  const items = details.slice(0, MAX_ROWS).map((text) => `<li>${rich(oneLine(clip(text, 1_000)))}</li>`);
  return items.length === 0 ? '' : `<ul class="small">${items.join('')}</ul>`;
}

function isVerdict(text: string): text is Verdict {
  return Object.hasOwn(SHAPES, text);
}

/** @param gate whose they are */
export function measurementsHtml(measurements: readonly Measurement[], gate: string): string {
  const { columns, rows } = measurementTable(rankMeasurements(measurements));
  const verdictColumn = columns.indexOf('verdict');
  return tableHtml(
    { columns, rows },
    'Measurements',
    (text, column) => (column === verdictColumn && text !== '' ? verdictPill(text as Verdict) : html(oneLine(text))),
    `Measurements of ${gate}`,
  );
}

/** A picture, its caption, its note, and the same numbers as a table for those who can't see it. */
export function figure(chart: Chart, id: string): string {
  return [
    `<figure id="${id}">`,
    `<figcaption>${html(oneLine(clip(chart.title, 200)))}</figcaption>`,
    chartSvg(chart, id),
    chart.kind === 'heatmap' ? scale(heatRange(chart)) : '',
    chart.note === undefined ? '' : `<p class="small">${rich(oneLine(chart.note))}</p>`,
    `<details class="data"><summary>Numbers</summary>${tableHtml(chartData(chart), undefined, (text) => html(oneLine(text)), `Numbers: ${clip(chart.title, 200)}`)}</details>`,
    '</figure>',
  ]
    .filter((line) => line !== '')
    .join('\n');
}

function scale(range: { readonly min: number; readonly max: number }): string {
  return `<p class="scale"><span>${formatNumber(range.min)}</span><span class="bar" aria-hidden="true">${Array.from({ length: 9 }, (_, index) => `<i class="h${index}"></i>`).join('')}</span><span>${formatNumber(range.max)}</span></p>`;
}

function chartData(chart: Chart): { columns: string[]; rows: string[][] } {
  switch (chart.kind) {
    case 'bar':
      return {
        columns: ['', ...chart.series.map((series) => series.name)],
        rows: chart.categories.map((name, index) => [
          name,
          ...chart.series.map((series) => formatNumber(series.values[index] ?? Number.NaN)),
        ]),
      };
    case 'line':
      return {
        columns: ['series', chart.xLabel ?? 'x', chart.yLabel ?? 'y'],
        rows: [
          ...chart.series.flatMap((series) => series.points.map(([x, y]) => [series.name, formatNumber(x), formatNumber(y)])),
          ...(chart.band?.points.map(([x, low, high]) => [
            chart.band!.name,
            formatNumber(x),
            `${formatNumber(low)} … ${formatNumber(high)}`,
          ]) ?? []),
        ],
      };
    case 'forest':
      return {
        columns: ['', 'effect', 'low', 'high', 'verdict'],
        rows: chart.rows.map((row) => [
          row.label,
          formatNumber(row.effect),
          formatNumber(row.low),
          formatNumber(row.high),
          row.verdict,
        ]),
      };
    case 'heatmap':
      return {
        columns: ['', ...chart.xCategories],
        rows: chart.yCategories.map((name, y) => [
          name,
          ...chart.xCategories.map((_, x) => formatNumber(chart.values[y]?.[x] ?? Number.NaN)),
        ]),
      };
  }
}
