import type { HeatmapChart } from '../core/gate.ts';
import { AXIS_LABEL, COLOR, type Drawn, FONT, HEAT, labels, nameBelow, TICK, textWidth, WIDTH } from './html-chart-theme.ts';
import { finite, formatNumber } from './number.ts';

const MAX_SIDE = 64;
const MAX_LABELLED = 160;

/** The value range of a heat map's colours. */
export function heatRange(chart: HeatmapChart): { readonly min: number; readonly max: number } {
  const all = finite(chart.values.flat());
  const min = chart.min ?? (all.length === 0 ? 0 : Math.min(...all));
  const max = chart.max ?? (all.length === 0 ? 1 : Math.max(...all));
  return { min, max: max > min ? max : min + 1 };
}

export function heatmapOption(chart: HeatmapChart): Drawn {
  const columns = chart.xCategories.slice(0, MAX_SIDE);
  const rows = chart.yCategories.slice(0, MAX_SIDE);
  const { min, max } = heatRange(chart);
  const step = (value: number): number =>
    Math.min(HEAT.length - 1, Math.max(0, Math.floor(((value - min) / (max - min)) * HEAT.length)));
  const names = labels(rows, 24);
  const left = Math.max(40, ...names.map(textWidth)) + 16;
  const cell = Math.max(22, Math.min(36, (WIDTH - left) / Math.max(1, columns.length)));
  const labelled = columns.length * rows.length <= MAX_LABELLED && (WIDTH - left) / columns.length > 38;
  const bottom = chart.xLabel === undefined ? 28 : 48;
  const data = rows.flatMap((_, y) =>
    columns.flatMap((__, x) => {
      const value = chart.values[y]?.[x];
      if (value === undefined || !Number.isFinite(value)) return [];
      return [
        {
          value: [x, y, value, step(value)],
          itemStyle: { borderColor: COLOR.surface, borderWidth: 2, borderRadius: 4 },
          label: { color: step(value) >= 5 ? COLOR.onHeat : COLOR.ink },
        },
      ];
    }),
  );
  return {
    width: WIDTH,
    height: 8 + bottom + rows.length * cell,
    option: {
      grid: { top: 8, bottom, left, right: 12, outerBoundsMode: 'none' },
      xAxis: {
        type: 'category',
        data: labels(columns, 12),
        ...nameBelow(chart.xLabel),
        axisLabel: AXIS_LABEL,
        axisLine: { show: false },
        axisTick: TICK,
        splitLine: { show: false },
      },
      yAxis: {
        type: 'category',
        inverse: true,
        data: names,
        axisLabel: { ...AXIS_LABEL, color: COLOR.ink, interval: 0 },
        axisLine: { show: false },
        axisTick: TICK,
        splitLine: { show: false },
      },
      // Pieces and not a continuous scale: each has one colour, which a CSS variable can stand for.
      visualMap: {
        show: false,
        type: 'piecewise',
        dimension: 3,
        pieces: HEAT.map((color, value) => ({ value, color })),
      },
      series: [
        {
          type: 'heatmap',
          data,
          label: {
            show: labelled,
            fontSize: FONT - 1,
            formatter: ({ value }: { value: readonly number[] }) => formatNumber(value[2] ?? Number.NaN),
          },
        },
      ],
    },
  };
}
