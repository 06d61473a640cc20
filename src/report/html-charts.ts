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
import { ROLES } from './html-chart-theme.ts';

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

export interface Drawn {
  readonly option: echarts.EChartsCoreOption;
  readonly width: number;
  readonly height: number;
}

/**
 * A chart as an SVG element, drawn by Apache ECharts without a browser. Colours are CSS variables, so that the page's light
 * and dark schemes apply; no style element or attribute is left, so that a strict Content-Security-Policy holds.
 * @param id unique in the page; makes the ids inside the picture deterministic
 */
export function chartSvg(chart: Chart, id: string): string {
  const { option, width, height } = draw(chart);
  const instance = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    instance.setOption({ animation: false, silent: true, ...option });
    return clean(instance.renderToSVGString(), id, oneLine(clip(chart.title, 200)), width, height);
  } finally {
    // Without this, timers of the instance keep the process alive.
    instance.dispose();
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
