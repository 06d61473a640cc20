import type { BarChart, Chart, ForestChart, HeatmapChart, LineChart } from '../core/gate.ts';
import { clip, oneLine } from './escape.ts';
import { finite, formatNumber } from './number.ts';
import { displayWidth, padEnd } from './text-layout.ts';

const MAX_ROWS = 24;
const MAX_LABEL = 28;
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const SPARK = '▁▂▃▄▅▆▇█';
const SHADES = ' ░▒▓█';

/** A chart as lines of text, for terminals and job summaries, where pictures can't be shown. */
export function textChart(chart: Chart, width: number): string[] {
  switch (chart.kind) {
    case 'bar':
      return barLines(chart, width);
    case 'line':
      return lineLines(chart, width);
    case 'forest':
      return forestLines(chart, width);
    case 'heatmap':
      return heatmapLines(chart, width);
  }
}

function label(text: string): string {
  return clip(oneLine(text), MAX_LABEL);
}

function capped<T>(items: readonly T[], draw: (item: T) => string[], noun: string): string[] {
  const lines = items.slice(0, MAX_ROWS).flatMap(draw);
  return items.length > MAX_ROWS ? [...lines, `… ${items.length - MAX_ROWS} more ${noun}`] : lines;
}

function barLines(chart: BarChart, width: number): string[] {
  const rows = chart.categories.flatMap((category, index) =>
    chart.series.map((series) => ({
      name: chart.series.length > 1 ? `${label(category)} ${label(series.name)}` : label(category),
      value: series.values[index] ?? Number.NaN,
    })),
  );
  const most = Math.max(0, ...finite(rows.map((row) => Math.abs(row.value))));
  const names = Math.max(0, ...rows.map((row) => displayWidth(row.name)));
  const room = Math.max(8, Math.min(50, width - names - 14));
  return capped(
    rows,
    ({ name, value }) => {
      const eighths = most === 0 || !Number.isFinite(value) ? 0 : Math.round((Math.abs(value) / most) * room * 8);
      const bar = '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8];
      return [`${padEnd(name, names)} ${bar}${bar === '' ? '' : ' '}${formatNumber(value)}`];
    },
    'bars',
  );
}

function lineLines(chart: LineChart, width: number): string[] {
  const names = Math.max(0, ...chart.series.map((series) => displayWidth(label(series.name))));
  const room = Math.max(8, Math.min(60, width - names - 30));
  const all = finite(chart.series.flatMap((series) => series.points.map(([, y]) => y)));
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const xs = finite(chart.series.flatMap((series) => series.points.map(([x]) => x)));
  const lines = capped(
    chart.series,
    ({ name, points, step }) => {
      const values =
        step === true
          ? stepsAt(points, Math.min(...xs), Math.max(...xs), room)
          : resample(
              points.map(([, y]) => y),
              room,
            );
      const own = finite(points.map(([, y]) => y));
      if (own.length === 0) return [`${padEnd(label(name), names)} no data`];
      const marks = values.map((y) =>
        !Number.isFinite(y) ? ' ' : SPARK[high === low ? 0 : Math.round(((y - low) / (high - low)) * 7)]!,
      );
      return [
        `${padEnd(label(name), names)} ${marks.join('')} ${formatNumber(Math.min(...own))} … ${formatNumber(Math.max(...own))}`,
      ];
    },
    'lines',
  );
  return [
    ...lines,
    ...(chart.limits ?? [])
      .slice(0, MAX_ROWS)
      .map((limit) => `${padEnd(label(limit.name), names)} limit ${formatNumber(limit.value)}`),
  ];
}

/** A step function at `count` equal distances: steps of two series are at different places. */
function stepsAt(points: LineChart['series'][number]['points'], from: number, to: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => {
    const at = from + ((to - from) * (index + 0.5)) / count;
    return points.findLast(([x]) => x <= at)?.[1] ?? 0;
  });
}

/** The largest value of each of `count` equal parts: peaks are what a reader looks for. */
function resample(values: readonly number[], count: number): number[] {
  if (values.length <= count) return [...values];
  return Array.from({ length: count }, (_, index) => {
    const part = finite(
      values.slice(Math.floor((index * values.length) / count), Math.floor(((index + 1) * values.length) / count)),
    );
    return part.length === 0 ? Number.NaN : Math.max(...part);
  });
}

function forestLines(chart: ForestChart, width: number): string[] {
  const names = Math.max(0, ...chart.rows.map((row) => displayWidth(label(row.label))));
  const room = Math.max(16, Math.min(48, width - names - 36));
  const edges = finite([
    chart.reference,
    ...(chart.margin === undefined ? [] : [chart.reference - chart.margin, chart.reference + chart.margin]),
    ...chart.rows.flatMap((row) => [row.low, row.high, row.effect]),
  ]);
  const [low, high] = [Math.min(...edges), Math.max(...edges)];
  const at = (value: number): number => {
    if (Number.isNaN(value)) return -1;
    const clamped = Math.min(high, Math.max(low, value));
    return high === low ? 0 : Math.round(((clamped - low) / (high - low)) * (room - 1));
  };
  return capped(
    chart.rows,
    (row) => {
      const cells = Array.from({ length: room }, () => ' ');
      for (let i = Math.max(0, at(row.low)); i <= at(row.high); i++) cells[i] = '─';
      if (at(chart.reference) >= 0) cells[at(chart.reference)] = '┊';
      if (at(row.low) >= 0) cells[at(row.low)] = '├';
      if (at(row.high) >= 0) cells[at(row.high)] = '┤';
      if (at(row.effect) >= 0) cells[at(row.effect)] = '●';
      return [
        `${padEnd(label(row.label), names)} ${cells.join('')} ${formatNumber(row.effect)} [${formatNumber(row.low)}, ${formatNumber(row.high)}] ${row.verdict}`,
      ];
    },
    'rows',
  );
}

function heatmapLines(chart: HeatmapChart, width: number): string[] {
  const names = Math.max(0, ...chart.yCategories.map((name) => displayWidth(label(name))));
  const all = finite(chart.values.flat());
  const low = chart.min ?? Math.min(...all);
  const high = chart.max ?? Math.max(...all);
  const columns = Math.max(1, Math.min(chart.xCategories.length, Math.floor((width - names - 2) / 2)));
  const rows = capped(
    chart.yCategories.map((name, y) => ({ name, y })),
    ({ name, y }) => {
      const marks = Array.from({ length: columns }, (_, x) => {
        const value = chart.values[y]?.[x] ?? Number.NaN;
        if (!Number.isFinite(value)) return '??';
        const share = high === low ? 0 : Math.min(1, Math.max(0, (value - low) / (high - low)));
        return SHADES[Math.round(share * (SHADES.length - 1))]!.repeat(2);
      });
      return [`${padEnd(label(name), names)} ▕${marks.join('')}▏`];
    },
    'rows',
  );
  const first = label(chart.xCategories[0] ?? '');
  const last = label(chart.xCategories[columns - 1] ?? '');
  const scale =
    all.length === 0 ? 'no data' : `columns ${first} … ${last}; ' ' = ${formatNumber(low)}, '█' = ${formatNumber(high)}`;
  return [...rows, `${' '.repeat(names)}  ${scale}`];
}
