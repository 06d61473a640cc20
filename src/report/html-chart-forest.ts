import type { CustomSeriesRenderItemAPI, CustomSeriesRenderItemParams } from 'echarts/types/dist/shared';
import type { ForestChart } from '../core/gate.ts';
import {
  AXIS_LABEL,
  AXIS_LINE,
  COLOR,
  type Drawn,
  FONT,
  label,
  nameBelow,
  SPLIT,
  TICK,
  textWidth,
  WIDTH,
} from './html-chart-theme.ts';
import { finite, formatNumber } from './number.ts';

const MAX_ROWS = 40;
const ROW = 30;

/** A forest plot: effect and interval a row, the no-effect line, the margin as a band, the numbers at the right. */
export function forestOption(chart: ForestChart): Drawn {
  const rows = chart.rows.slice(0, MAX_ROWS);
  const names = rows.map((row) => label(row.label, 34));
  const numbers = rows.map((row) => `${formatNumber(row.effect)}  [${formatNumber(row.low)}, ${formatNumber(row.high)}]`);
  const { reference, margin } = chart;
  const edges = finite([
    reference,
    ...(margin === undefined ? [] : [reference - margin, reference + margin]),
    ...rows.flatMap((row) => [row.low, row.high, row.effect]),
  ]);
  const [low, high] = [Math.min(...edges), Math.max(...edges)];
  const pad = (high - low) * 0.06 || 1;
  const [min, max] = [low - pad, high + pad];
  const clamp = (value: number): number => (Number.isNaN(value) ? reference : Math.min(max, Math.max(min, value)));
  const bottom = chart.xLabel === undefined ? 28 : 48;
  const right = Math.max(60, ...numbers.map(textWidth)) + 20;
  return {
    width: WIDTH,
    height: 12 + bottom + rows.length * ROW,
    option: {
      grid: { top: 12, bottom, left: Math.max(60, ...names.map(textWidth)) + 16, right, outerBoundsMode: 'none' },
      xAxis: {
        type: 'value',
        min,
        max,
        ...nameBelow(chart.xLabel),
        axisLabel: { ...AXIS_LABEL, formatter: formatNumber, showMinLabel: false, showMaxLabel: false },
        splitLine: SPLIT,
        axisLine: AXIS_LINE,
        axisTick: TICK,
      },
      yAxis: {
        type: 'category',
        inverse: true,
        data: names.map((_, index) => String(index)),
        axisLabel: { ...AXIS_LABEL, color: COLOR.ink, interval: 0, formatter: (index: string) => names[Number(index)] ?? '' },
        axisLine: { show: false },
        axisTick: TICK,
      },
      series: [
        {
          type: 'custom',
          data: rows.map((row, index) => [index, clamp(row.effect), clamp(row.low), clamp(row.high)]),
          encode: { x: [1, 2, 3], y: 0 },
          clip: false,
          renderItem: (params: CustomSeriesRenderItemParams, api: CustomSeriesRenderItemAPI) => {
            const index = Number(api.value(0));
            const row = rows[index]!;
            const [x = 0, y = 0] = api.coord([api.value(1), index]);
            const [from = 0] = api.coord([api.value(2), index]);
            const [to = 0] = api.coord([api.value(3), index]);
            const area = params.coordSys as unknown as { x: number; width: number };
            const stroke = COLOR[row.verdict];
            const line = (x1: number, y1: number, x2: number, y2: number): object => ({
              type: 'line',
              shape: { x1, y1, x2, y2 },
              style: { stroke, lineWidth: 2 },
            });
            // An end outside the axis has no cap: the interval goes on.
            const cap = (value: number, at: number): object[] => (Number.isFinite(value) ? [line(at, y - 5, at, y + 5)] : []);
            return {
              type: 'group',
              children: [
                line(from, y, to, y),
                ...cap(row.low, from),
                ...cap(row.high, to),
                ...(Number.isNaN(row.effect)
                  ? []
                  : [
                      {
                        type: 'circle',
                        shape: { cx: x, cy: y, r: 5.5 },
                        style: { fill: stroke, stroke: COLOR.surface, lineWidth: 1.5 },
                      },
                    ]),
                {
                  type: 'text',
                  style: {
                    text: numbers[index],
                    x: area.x + area.width + 14,
                    y,
                    textVerticalAlign: 'middle',
                    fill: COLOR.ink,
                    fontSize: FONT,
                  },
                },
              ],
            };
          },
          markLine: {
            silent: true,
            symbol: 'none',
            label: { show: false },
            lineStyle: { color: COLOR.muted, type: 'solid', width: 1.5 },
            data: [{ xAxis: reference }],
          },
          ...(margin === undefined
            ? {}
            : {
                markArea: {
                  silent: true,
                  itemStyle: { color: COLOR.pass, opacity: 0.09 },
                  data: [[{ xAxis: reference - margin }, { xAxis: reference + margin }]],
                },
              }),
        },
      ],
    },
  };
}
