import type { BarChart } from '../core/gate.ts';
import {
  AXIS_LABEL,
  AXIS_LINE,
  COLOR,
  type Drawn,
  FONT,
  LEGEND,
  label,
  nameBelow,
  SERIES,
  SPLIT,
  TICK,
  textWidth,
  twoLines,
  WIDTH,
} from './html-chart-theme.ts';
import { formatNumber } from './number.ts';

const MAX_BARS = 40;

/** Horizontal bars: names of pools and metrics are long, and stay readable without turning. */
export function barOption(chart: BarChart): Drawn {
  const categories = chart.categories.slice(0, MAX_BARS);
  const series = chart.series.slice(0, SERIES.length);
  const names = categories.map((name) => twoLines(name));
  const thickness = series.length === 1 ? 18 : 13;
  const top = series.length > 1 ? 34 : 8;
  const bottom = chart.yLabel === undefined ? 24 : 46;
  const height =
    top +
    bottom +
    categories.length * Math.max(series.length * (thickness + 2) + 12, names.some((name) => name.includes('\n')) ? 36 : 0);
  return {
    width: WIDTH,
    height,
    option: {
      color: SERIES,
      ...(series.length > 1 ? { legend: { ...LEGEND, data: series.map((item) => label(item.name)) } } : {}),
      grid: { top, bottom, left: Math.max(40, ...names.map(textWidth)) + 16, right: 64, outerBoundsMode: 'none' },
      xAxis: {
        type: 'value',
        ...nameBelow(chart.yLabel),
        axisLabel: { ...AXIS_LABEL, formatter: formatNumber },
        splitLine: SPLIT,
        axisLine: { show: false },
        axisTick: TICK,
      },
      yAxis: {
        type: 'category',
        inverse: true,
        data: names,
        axisLabel: { ...AXIS_LABEL, color: COLOR.ink, interval: 0 },
        axisLine: AXIS_LINE,
        axisTick: TICK,
      },
      series: series.map((item, index) => ({
        type: 'bar',
        name: label(item.name),
        data: categories.map((_, at) => (Number.isFinite(item.values[at]) ? item.values[at] : null)),
        barWidth: thickness,
        barGap: '15%',
        itemStyle: { color: SERIES[index], borderRadius: [0, 3, 3, 0] },
        label: {
          show: true,
          position: 'right',
          color: COLOR.muted,
          fontSize: FONT - 1,
          formatter: ({ value }: { value: number }) => formatNumber(value),
        },
      })),
    },
  };
}
