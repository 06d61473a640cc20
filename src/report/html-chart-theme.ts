import type { EChartsCoreOption } from 'echarts/core';
import { clip, oneLine } from './escape.ts';

/** A chart ready for ECharts. Sizes in pixels. */
export interface Drawn {
  readonly option: EChartsCoreOption;
  readonly width: number;
  readonly height: number;
}

/**
 * Stand-ins that ECharts draws with; each becomes a CSS variable of the page afterwards. They are colours that no palette
 * would use, so that a replacement can't hit anything else.
 */
export const COLOR = {
  ink: '#010203',
  muted: '#010204',
  line: '#010205',
  surface: '#010206',
  pass: '#010301',
  warn: '#010302',
  inconclusive: '#010303',
  fail: '#010304',
  error: '#010305',
  limit: '#010306',
  onHeat: '#010307',
} as const;

export const SERIES = Array.from({ length: 8 }, (_, index) => `#01040${index}`);
/** A sequential scale from low to high. */
export const HEAT = Array.from({ length: 9 }, (_, index) => `#01050${index}`);

/** Stand-in → name of the CSS variable. */
export const ROLES: ReadonlyMap<string, string> = new Map([
  ...Object.entries(COLOR).map(([name, color]) => [color, `chart-${name.toLowerCase()}`] as const),
  ...SERIES.map((color, index) => [color, `series-${index}`] as const),
  ...HEAT.map((color, index) => [color, `heat-${index}`] as const),
]);

export const WIDTH = 580;
export const FONT = 12;

export function label(text: string, max = 30): string {
  return clip(oneLine(text), max);
}

export function labels(texts: readonly string[], max = 30): string[] {
  return texts.map((text) => label(text, max));
}

/** A long name on two lines, broken at a space or after a separator. */
export function twoLines(text: string): string {
  const max = 26;
  const whole = label(text, 2 * max);
  if (whole.length <= max) return whole;
  const cut = Math.max(...[' ', '/', '-', '_', '.', ':'].map((mark) => whole.slice(0, max).lastIndexOf(mark))) + 1;
  const wanted = cut > max / 3 ? cut : max;
  // Never between the halves of a surrogate pair.
  const at = /^[\udc00-\udfff]/.test(whole.slice(wanted)) ? wanted - 1 : wanted;
  return `${whole.slice(0, at).trim()}\n${clip(whole.slice(at).trim(), max)}`;
}

/** Rough width of the longest line in pixels: ECharts measures without fonts as well. */
export function textWidth(text: string): number {
  return Math.max(...text.split('\n').map((line) => [...line].length)) * FONT * 0.56;
}

export const AXIS_LABEL = { color: COLOR.muted, fontSize: FONT, hideOverlap: true } as const;
export const NAME = { color: COLOR.muted, fontSize: FONT } as const;
/** The name of the axis below a chart, which need not have one. */
export function nameBelow(name: string | undefined): object {
  return { name: name === undefined ? '' : label(name, 60), nameLocation: 'middle', nameGap: 28, nameTextStyle: NAME };
}

export const SPLIT = { show: true, lineStyle: { color: COLOR.line, width: 1 } } as const;
export const AXIS_LINE = { show: true, lineStyle: { color: COLOR.line, width: 1 } } as const;
export const TICK = { show: false } as const;

export const LEGEND = {
  show: true,
  top: 0,
  left: 0,
  itemWidth: 14,
  itemHeight: 10,
  itemGap: 28,
  icon: 'roundRect',
  textStyle: { color: COLOR.ink, fontSize: FONT },
} as const;
