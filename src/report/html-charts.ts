import { BarChart as BarSeries, CustomChart, HeatmapChart as HeatmapSeries, LineChart as LineSeries } from 'echarts/charts';
import { GridComponent, LegendComponent, MarkAreaComponent, MarkLineComponent, VisualMapComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { BarChart, Chart, ForestChart, HeatmapChart, LineChart } from '../core/gate.ts';
import { clip, html, oneLine } from './escape.ts';
import { barOption } from './html-chart-bar.ts';
import { forestOption } from './html-chart-forest.ts';
import { heatmapOption } from './html-chart-heatmap.ts';
import { lineOption } from './html-chart-line.ts';
import { type Drawn, ROLES } from './html-chart-theme.ts';

echarts.use([
  BarSeries,
  LineSeries,
  HeatmapSeries,
  CustomChart,
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  MarkAreaComponent,
  VisualMapComponent,
  SVGRenderer,
]);

/**
 * A chart as an SVG element, drawn by Apache ECharts without a browser. Colours are CSS variables, so that the page's light
 * and dark schemes apply; no style element or attribute is left, so that a strict Content-Security-Policy holds.
 * @param id unique in the page; makes the ids inside the picture deterministic
 */
export function chartSvg(chart: Chart, id: string): string {
  const { option, width, height } = draw(drawable(chart));
  const instance = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    instance.setOption({ animation: false, silent: true, ...option });
    return clean(instance.renderToSVGString(), id, oneLine(clip(chart.title, 200)), width, height);
  } catch {
    // Numbers that no axis can hold (ECharts asserts on them): the table below the picture has them.
    return `<p class="small">These numbers can not be drawn to scale; the table has them.</p>`;
  } finally {
    // Without this, timers of the instance keep the process alive.
    instance.dispose();
  }
}

/** Beyond these sizes an axis has no ticks: larger values count as infinite, smaller ones as zero. */
const [LARGEST, SMALLEST] = [1e15, 1e-15];

function plotted(value: number): number {
  const size = Math.abs(value);
  if (size > LARGEST) return Math.sign(value) * Number.POSITIVE_INFINITY;
  return size < SMALLEST ? 0 : value;
}

function drawable(chart: Chart): Chart {
  switch (chart.kind) {
    case 'bar':
      return { ...chart, series: chart.series.map((series) => ({ ...series, values: series.values.map(plotted) })) };
    case 'line':
      return {
        ...chart,
        series: chart.series.map((series) => ({
          ...series,
          points: series.points.map(([x, y]) => [plotted(x), plotted(y)] as const),
        })),
        ...(chart.band === undefined
          ? {}
          : {
              band: {
                ...chart.band,
                points: chart.band.points.map(([x, low, high]) => [plotted(x), plotted(low), plotted(high)] as const),
              },
            }),
        ...(chart.limits === undefined
          ? {}
          : { limits: chart.limits.map((limit) => ({ ...limit, value: plotted(limit.value) })) }),
      };
    case 'forest':
      return {
        ...chart,
        rows: chart.rows.map((row) => ({ ...row, effect: plotted(row.effect), low: plotted(row.low), high: plotted(row.high) })),
      };
    case 'heatmap':
      return { ...chart, values: chart.values.map((row) => row.map(plotted)) };
  }
}

function draw(chart: Chart): Drawn {
  switch (chart.kind) {
    case 'bar':
      return barOption(chart satisfies BarChart);
    case 'line':
      return lineOption(chart satisfies LineChart);
    case 'forest':
      return forestOption(chart satisfies ForestChart);
    case 'heatmap':
      return heatmapOption(chart satisfies HeatmapChart);
  }
}

function clean(svg: string, id: string, title: string, width: number, height: number): string {
  const body = svg
    .replace(/<style[\s\S]*?<\/style>/g, '')
    .replace(
      /^<svg[^>]*>/,
      `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${html(title)}" preserveAspectRatio="xMidYMid meet">`,
    )
    .replace(/<rect width="\d+" height="\d+" x="0" y="0" fill="none"><\/rect>/, '')
    .replace(/ (?:ecmeta_\w+|class|xml:space|pointer-events)="[^"]*"/g, '')
    .replace(/ style="([^"]*)"/g, (_, css: string) => presentation(css))
    .replace(/ fill="(?:#000|rgb\(0,0,0\))"(?: fill-opacity="0")?/g, ' fill="none"')
    .replace(/ stroke="[^"]*" stroke-width="0"(?: stroke-opacity="[^"]*")?/g, '')
    .replace(/\bzr\d+-/g, `${id}-`)
    .replace(/"(#[0-9a-f]{6})"/gi, (whole, color: string) =>
      ROLES.has(color.toLowerCase()) ? `"var(--${ROLES.get(color.toLowerCase())})"` : whole,
    );
  return body.replace(/\n+/g, '\n').trim();
}

/** `style="a:b;c:d"` as presentation attributes; the font is the page's. */
function presentation(css: string): string {
  return css
    .split(';')
    .map((declaration) => declaration.split(':').map((part) => part.trim()))
    .filter(([name, value]) => name !== undefined && value !== undefined && /^font-(?:size|weight)$/.test(name))
    .map(([name, value]) => ` ${name}="${html(value!)}"`)
    .join('');
}
