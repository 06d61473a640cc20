import type { CustomSeriesRenderItemAPI, CustomSeriesRenderItemParams } from 'echarts/types/dist/shared';
import type { LineChart } from '../core/gate.ts';
import {
  AXIS_LABEL,
  AXIS_LINE,
  COLOR,
  type Drawn,
  FONT,
  LEGEND,
  label,
  NAME,
  nameBelow,
  SERIES,
  SPLIT,
  TICK,
  textWidth,
  WIDTH,
} from './html-chart-theme.ts';
import { finite, formatNumber } from './number.ts';

const MAX_POINTS = 2_000;
const MAX_LIMITS = 8;

export function lineOption(chart: LineChart): Drawn {
  const series = chart.series.slice(0, SERIES.length);
  const limits = (chart.limits ?? []).filter((limit) => Number.isFinite(limit.value)).slice(0, MAX_LIMITS);
  const logX = chart.logX === true && series.every((item) => item.points.every(([x]) => x > 0));
  const near = (a: number, b: number): boolean => Math.abs(a - b) < (Math.max(...top) - Math.min(...top)) / 12;
  const band = (chart.band?.points ?? []).filter((point) => point.every(Number.isFinite));
  const top = finite([
    ...series.flatMap((item) => item.points.map(([, y]) => y)),
    ...band.flatMap(([, low, high]) => [low, high]),
    ...limits.map((limit) => limit.value),
  ]);
  return {
    width: WIDTH,
    height: 320,
    option: {
      color: SERIES,
      legend: { ...LEGEND, data: series.map((item) => label(item.name)) },
      grid: {
        top: (chart.yLabel === undefined ? 42 : 62) + 38 * (legendRows(series.map((item) => label(item.name))) - 1),
        bottom: chart.xLabel === undefined ? 28 : 48,
        left: 58,
        right: limits.length > 0 ? 96 : 24,
        outerBoundsMode: 'none',
      },
      xAxis: {
        type: logX ? 'log' : 'value',
        min: logX ? 'dataMin' : undefined,
        ...nameBelow(chart.xLabel),
        axisLabel: { ...AXIS_LABEL, formatter: formatNumber },
        axisLine: AXIS_LINE,
        axisTick: TICK,
        splitLine: { show: false },
      },
      // The limits must be in view, also where every value is far below them.
      yAxis: {
        type: 'value',
        ...(chart.fitY === true
          ? fitted(top)
          : chart.yMax !== undefined
            ? { max: chart.yMax }
            : { max: (range: { max: number }) => niceMax(Math.max(range.max, ...top)) }),
        name: chart.yLabel === undefined ? '' : label(chart.yLabel, 60),
        nameLocation: 'end',
        nameGap: 14,
        nameTextStyle: { ...NAME, align: 'left', padding: [0, 0, 0, -44] },
        axisLabel: { ...AXIS_LABEL, formatter: formatNumber },
        splitLine: SPLIT,
        axisLine: { show: false },
        axisTick: TICK,
      },
      series: [
        ...(band.length > 1 ? [bandSeries(band)] : []),
        ...series.map((item, index) => ({
          type: 'line',
          name: label(item.name),
          data: thin(item.points.filter(([x]) => Number.isFinite(x))).map(([x, y]) => [x, Number.isFinite(y) ? y : null]),
          step: item.step === true ? 'end' : false,
          symbol: 'none',
          lineStyle: { width: 2, color: SERIES[index] },
          itemStyle: { color: SERIES[index] },
          ...(index === 0 && limits.length > 0
            ? {
                markLine: {
                  silent: true,
                  symbol: 'none',
                  lineStyle: { color: COLOR.limit, type: 'dashed', width: 1.5 },
                  label: {
                    position: 'end',
                    color: COLOR.limit,
                    fontSize: FONT,
                    formatter: ({ name, value }: { name: string; value: number }) => `${name} ${formatNumber(value)}`,
                  },
                  data: limits.map((limit) => ({
                    name: label(limit.name, 12),
                    yAxis: limit.value,
                    ...(limit.quiet === true
                      ? {
                          lineStyle: { color: COLOR.muted },
                          label: {
                            color: COLOR.muted,
                            show: limits.every((other) => other === limit || !near(other.value, limit.value)),
                          },
                        }
                      : {}),
                  })),
                },
              }
            : {}),
        })),
      ],
    },
  };
}

/** The area between the low and the high end, in the first series' colour. */
function bandSeries(points: readonly (readonly [number, number, number])[]): object {
  return {
    type: 'custom',
    data: points.map(([x, low, high]) => [x, low, high]),
    encode: { x: 0, y: [1, 2] },
    silent: true,
    renderItem: (params: CustomSeriesRenderItemParams, api: CustomSeriesRenderItemAPI) => {
      // One polygon for all of them, drawn at the first.
      if (params.dataIndex !== 0) return undefined;
      const edge = (end: 1 | 2): number[][] => points.map((point) => [...api.coord([point[0], point[end]])]);
      return {
        type: 'polygon',
        shape: { points: [...edge(2), ...edge(1).reverse()] },
        style: { fill: SERIES[0], opacity: 0.16 },
      };
    },
  };
}

/** Rows that the legend takes: it wraps at the chart's width. */
function legendRows(names: readonly string[]): number {
  let [rows, used] = [1, 0];
  for (const name of names) {
    const width = textWidth(name) + LEGEND.itemWidth + LEGEND.itemGap + 5;
    if (used > 0 && used + width > WIDTH) [rows, used] = [rows + 1, 0];
    used += width;
  }
  return rows;
}

/** An axis with round ends around the values, in about five round steps. */
function fitted(values: readonly number[]): { readonly min?: number; readonly max?: number; readonly interval?: number } {
  if (values.length === 0) return {};
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const step = niceMax((high - low || Math.abs(high) || 1) / 5, [1, 2, 5]);
  const end = (value: number): number => Number((value * step).toPrecision(12));
  const [first, last] = [Math.floor(low / step), Math.ceil(high / step)];
  return { min: end(first), max: end(last > first ? last : first + 1), interval: step };
}

/** The first axis end above the value that has one significant digit in steps of 1, 2 or 5. */
function niceMax(value: number, steps = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8]): number {
  if (!(value > 0) || !Number.isFinite(value)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return (steps.find((step) => step * unit >= value * 1.02) ?? 10) * unit;
}

/** Keeps the smallest and largest value of each of many equal parts, so that peaks survive. */
function thin(points: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  if (points.length <= MAX_POINTS) return points;
  const parts = MAX_POINTS / 2;
  return Array.from({ length: parts }, (_, index) =>
    points.slice(Math.floor((index * points.length) / parts), Math.floor(((index + 1) * points.length) / parts)),
  ).flatMap((part) => {
    let [low, high] = [0, 0];
    for (const [index, point] of part.entries()) {
      if (point[1] < part[low]![1]) low = index;
      if (point[1] > part[high]![1]) high = index;
    }
    return [...new Set([Math.min(low, high), Math.max(low, high)])].map((index) => part[index]!);
  });
}
