// What a test may ask of a page without a browser.

const VOID = new Set(['meta', 'br', 'wbr', 'input']);

export interface Element {
  name: string;
  attributes: Record<string, string>;
}

/** The elements of a document in order. @throws Error where a tag is not closed, closed twice, or holds what is no attribute */
export function elements(html: string): Element[] {
  const out: Element[] = [];
  const open: string[] = [];
  const body = html.replace(/^<!DOCTYPE html>\n/, '').replace(/<style>[\s\S]*?<\/style>/, '<style></style>');
  let end = 0;
  for (const match of body.matchAll(/<(?<close>\/?)(?<name>[a-zA-Z][\w-]*)(?<rest>[^<>]*)>/g)) {
    if (/[<>]/.test(body.slice(end, match.index))) throw new Error(`stray mark-up before ${match[0]}`);
    end = match.index + match[0].length;
    const { close, name = '', rest = '' } = match.groups!;
    if (close === '/') {
      const last = open.pop();
      if (last !== name) throw new Error(`</${name}> closes <${last}>`);
      continue;
    }
    const attributes: Record<string, string> = {};
    const left = rest.replace(/\s+(?<key>[\w:-]+)(?:="(?<value>[^"]*)")?/g, (_, key: string, value: string | undefined) => {
      if (Object.hasOwn(attributes, key)) throw new Error(`two ${key} in <${name}>`);
      attributes[key] = value ?? '';
      return '';
    });
    if (left.replace('/', '').trim() !== '') throw new Error(`no attribute: ${left} in <${name}>`);
    out.push({ name, attributes });
    if (!VOID.has(name) && !rest.endsWith('/')) open.push(name);
  }
  if (open.length > 0) throw new Error(`not closed: ${open.join(', ')}`);
  return out;
}

/** Relative luminance of #rrggbb (WCAG 2.2, definition of relative luminance). */
function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** WCAG contrast of two colours, 1 to 21. */
export function contrast(one: string, two: string): number {
  const [light, dark] = [luminance(one), luminance(two)].sort((a, b) => b - a) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

/** `share` of one colour over another, as CSS color-mix in srgb has it. */
export function mix(one: string, two: string, share: number): string {
  const part = (colour: string, at: number): number => Number.parseInt(colour.slice(at, at + 2), 16);
  return `#${[1, 3, 5]
    .map((at) =>
      Math.round(part(one, at) * share + part(two, at) * (1 - share))
        .toString(16)
        .padStart(2, '0'),
    )
    .join('')}`;
}
