import type { Finding } from '../core/finding.ts';
import type { GateResult } from '../core/gate.ts';
import type { Report } from '../core/report.ts';
import { plural } from '../core/text.ts';
import type { Verdict } from '../core/verdict.ts';
import { clip, oneLine, visible, withoutCommands } from './escape.ts';
import { describeEvidence } from './evidence.ts';
import { measurementTable } from './number.ts';
import { textChart } from './text-chart.ts';
import { textTable, wrap } from './text-layout.ts';
import {
  countEffects,
  describeCounts,
  describeEffect,
  describeLocation,
  describeProvenance,
  describeRange,
  type Effect,
  effectOf,
  findingsOutsideGates,
  foldTable,
  nextStep,
  rankMeasurements,
  withEffect,
} from './view.ts';

export interface TextOptions {
  /** ANSI colours; only when asked. */
  readonly color?: boolean | undefined;
  /** Columns of the terminal; default 100. */
  readonly width?: number | undefined;
}

const MARK: Record<Verdict, string> = { pass: '✓', warn: '!', inconclusive: '?', fail: '✗', error: '✗' };
const COLOR: Record<Verdict, string> = { pass: '32', warn: '33', inconclusive: '35', fail: '31', error: '31' };
const EFFECT_MARK: Record<Effect, string> = { blocks: '✗', warns: '!', notes: '·', waived: '~' };
const EFFECT_COLOR: Record<Effect, string> = { blocks: '31', warns: '33', notes: '36', waived: '2' };
const MAX_TABLE_ROWS = 12;
const MAX_DETAILS = 12;
/** A picture of characters says little: the first ones say what decided. */
const MAX_CHARTS = 4;

interface Pen {
  readonly width: number;
  (text: string, ...codes: string[]): string;
}

function pen(options: TextOptions): Pen {
  const draw = (text: string, ...codes: string[]): string =>
    options.color === true && text !== '' ? `\u001b[${codes.join(';')}m${text}\u001b[0m` : text;
  return Object.assign(draw, { width: Math.min(160, Math.max(40, options.width ?? 100)) });
}

/** The report for a terminal or a log: one screen of summary, then every finding, then numbers; the last line says what next. */
export function renderText(report: Report, options: TextOptions = {}): string {
  const p = pen(options);
  const sections = [
    summary(report, p),
    ...findingSections(report.findings, p),
    ...report.gates.flatMap((gate) => numbers(gate, p, report.gates.length === 1)),
    [p(oneLine(nextStep(report)), '1')],
  ];
  return withoutCommands(
    `${sections
      .filter((lines) => lines.length > 0)
      .map((lines) => lines.join('\n'))
      .join('\n\n')}\n`,
  );
}

function summary(report: Report, p: Pen): string[] {
  const verdict = p(` ${report.verdict.toUpperCase()} `, '1', '7', COLOR[report.verdict]);
  const range = describeRange(report);
  const head = `${p(oneLine(report.provenance.command), '1')}  ${verdict}  ${describeCounts(countEffects(report.findings))}`;
  const outside = findingsOutsideGates(report);
  const rows = report.gates.map((gate) => [
    gate.id,
    `${MARK[gate.verdict]} ${gate.verdict}`,
    describeCounts(countEffects(gate.findings)).replace('no findings', ''),
    clip(oneLine(gate.reason), 300),
  ]);
  // A run that no gate came to has nothing but the findings below.
  if (outside.length > 0 && rows.length > 0)
    rows.push(['(other)', '', describeCounts(countEffects(outside)), 'findings that belong to no gate']);
  const table = textTable(['gate', 'verdict', 'findings', 'why'], rows, p.width - 2, (cell, row, column) => {
    if (row < 0) return p(cell, '2');
    const gate = report.gates[row];
    return column === 1 && gate !== undefined ? p(cell, COLOR[gate.verdict]) : cell;
  });
  return [
    head,
    ...wrap(
      [range === '' ? '' : oneLine(range), oneLine(describeProvenance(report))].filter((part) => part !== '').join(', '),
      p.width,
    ).map((line) => p(line, '2')),
    ...(rows.length === 0 ? [] : ['', ...table.map((line) => `  ${line}`)]),
  ];
}

function findingSections(findings: readonly Finding[], p: Pen): string[][] {
  const titles: readonly (readonly [Effect, string])[] = [
    ['blocks', 'Blocking'],
    ['warns', 'Warnings'],
    ['notes', 'Notes'],
    ['waived', 'Waived'],
  ];
  return titles.flatMap(([effect, title]) => {
    const list = withEffect(findings, effect);
    return list.length === 0 ? [] : [[p(`${title} (${list.length})`, '1')], ...list.map((item) => findingLines(item, p))];
  });
}

function findingLines(finding: Finding, p: Pen): string[] {
  const effect = effectOf(finding);
  const inner = p.width - 2;
  const place = oneLine(describeLocation(finding.location));
  const lines = [
    `${p(EFFECT_MARK[effect], EFFECT_COLOR[effect])} ${p(finding.ruleId, '1')}${place === '' ? '' : `  ${p(place, '36')}`}`,
  ];
  lines.push(...wrap(visible(clip(finding.message, 4_000)).trim(), inner));
  if (effect === 'waived') lines.push(...wrap(oneLine(describeEffect(finding)), inner).map((line) => p(line, '2')));
  for (const place of (finding.related ?? []).slice(0, 10)) {
    lines.push(
      ...wrap(
        `see ${oneLine(describeLocation(place))}${place.message === undefined ? '' : `: ${oneLine(place.message)}`}`,
        inner,
      ),
    );
  }
  if (finding.evidence !== undefined) {
    const evidence = describeEvidence(finding.evidence, { lines: 30, columns: 2_000 });
    lines.push(...evidence.flatMap((line) => wrapIndented(line, inner - 2)).map((line) => p(`│ ${line}`, '2')));
  }
  if (finding.fix !== undefined) {
    lines.push(
      ...wrap(`fix: ${visible(clip(finding.fix, 4_000)).trim()}`, inner).map((line, index) =>
        index === 0 ? line.replace(/^fix:/, p('fix:', '32')) : line,
      ),
    );
  }
  return lines.map((line, index) => (index === 0 ? line : `  ${line}`));
}

/** Wraps a line of evidence without losing its indentation. */
function wrapIndented(line: string, width: number): string[] {
  const indent = /^ */.exec(line)![0].slice(0, 20);
  return wrap(line.trimStart(), Math.max(10, width - indent.length)).map((part) => indent + part);
}

/**
 * Tables and charts. A log that shows every table of every gate hides the findings: of several gates only those that did not
 * pass show their tables here; the JSON and HTML reports have everything.
 */
function numbers(gate: GateResult, p: Pen, alone: boolean): string[][] {
  if (!alone && gate.verdict === 'pass') return [];
  const sections: string[][] = [];
  const title = (text: string): string => p(`${gate.id}: ${oneLine(text)}`, '1');
  const sentences = (details: readonly string[]): string[] =>
    details
      .slice(0, MAX_DETAILS)
      .flatMap((text) => wrap(`· ${clip(oneLine(text), 600)}`, p.width - 4).map((line, at) => (at === 0 ? line : `  ${line}`)));
  const block = (heading: string, body: readonly string[], note?: string): void => {
    sections.push([
      title(heading),
      ...body.map((line) => `  ${line}`.trimEnd()),
      ...(note === undefined ? [] : wrap(oneLine(note), p.width - 2).map((line) => p(`  ${line}`, '2'))),
    ]);
  };
  for (const table of gate.tables ?? []) {
    const shown = foldTable(table, MAX_TABLE_ROWS);
    const rows = shown.rows.map((row) => row.map((cell) => clip(oneLine(cell), 400)));
    const more = shown.more === undefined ? [] : [`… ${oneLine(shown.more)}`];
    const body = [...textTable(table.columns.map(oneLine), rows, p.width - 2, headDim(p)), ...more];
    block(table.title, [...body, ...sentences(table.details ?? [])], table.note);
  }
  const charts = alone ? (gate.charts ?? []) : [];
  for (const chart of charts.slice(0, MAX_CHARTS)) block(chart.title, textChart(chart, p.width - 2), chart.note);
  if (charts.length > MAX_CHARTS)
    sections.push([p(`${plural(charts.length - MAX_CHARTS, 'more chart')} in the HTML report (--report html=FILE)`, '2')]);
  if (gate.measurements.length > 0 && alone && (gate.tables ?? []).length === 0) {
    const ranked = rankMeasurements(gate.measurements);
    const { columns, rows } = measurementTable(ranked.slice(0, MAX_TABLE_ROWS));
    const more =
      ranked.length > MAX_TABLE_ROWS
        ? [`… ${plural(ranked.length - MAX_TABLE_ROWS, 'more measurement')} in the JSON and HTML reports`]
        : [];
    block('measurements', [
      ...textTable(
        columns,
        rows.map((row) => row.map((cell) => clip(oneLine(cell), 200))),
        p.width - 2,
        headDim(p),
      ),
      ...more,
    ]);
  }
  return sections;
}

function headDim(p: Pen): (cell: string, row: number) => string {
  return (cell, row) => (row < 0 ? p(cell, '2') : cell);
}
