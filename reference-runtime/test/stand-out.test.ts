// What a page says of itself: which expert stands out, where two models part, and a heat map of more columns than a page has room for.
import { describe, expect, it } from 'vitest';
import { firstChange, likelihoodByExpert } from '../src/engine/first-change.ts';
import type { Routed } from '../src/engine/routing-diff.ts';
import { heatTable, NUMBERED_COLUMNS } from '../src/report/heat-table.ts';
import { busiest, peculiar, standOuts } from '../src/report/stand-out.ts';
import { layerStats } from '../src/server/moe.ts';
import { elements } from './support/html.ts';

const stats = (usages: number[][]): ReturnType<typeof layerStats>[] =>
  usages.map((usage, layer) =>
    layerStats({ layer, rows: usage.reduce((a, b) => a + b, 0) / 2, usage, gateEntropyNats: 1, top2Margin: 0.1 }),
  );

describe('what stands out', () => {
  const even = (): number[] => new Array<number>(8).fill(100);
  const layers = stats([even(), [...even().slice(0, 5), 400, 100, 100], even()]);

  it('is the expert that is far beyond an even share, with its numbers', () => {
    const found = busiest({ layers });
    expect(found.map(({ layer, expert }) => [layer, expert])).toEqual([[1, 5]]);
    expect(found[0]).toMatchObject({ share: 400 / 1100, usual: 1 / 8, tokens: 550 });
    // (400 - 1100/8) / sqrt(1100 x 1/8 x 7/8)
    expect(found[0]?.deviations).toBeCloseTo(262.5 / Math.sqrt(120.3125), 9);
    expect(busiest({ layers: stats([even()]) })).toEqual([]);
  });

  it('is not the chance of few tokens: half of four slots is twice the usual share, and nothing', () => {
    const segment = (usages: number[][]): Parameters<typeof peculiar>[0]['segments'][number] => ({
      segment: 'de',
      requests_traced: 1,
      requests_incomplete: 0,
      layers: stats(usages).map((layer) => ({ ...layer, divergence_bits: 0 })),
    });
    const all = stats([[25, 25, 25, 25]]);
    expect(peculiar({ layers: all, segments: [segment([[2, 1, 1, 0]])] })).toEqual([]);
    const [first] = peculiar({ layers: all, segments: [segment([[200, 100, 100, 0]])] });
    expect(first).toMatchObject({ segment: 'de', layer: 0, expert: 0, share: 0.5, usual: 0.25 });
  });

  it('counts experts without a token, and escapes a segment', () => {
    const own = { segment: '<b>', requests_traced: 1, requests_incomplete: 0 };
    const usage = [[300, 0, 100, 100]];
    const html = standOuts({
      layers: stats([[400, 0, 300, 300]]),
      segments: ['<b>', 'x'].map((segment) => ({
        ...own,
        segment,
        layers: stats(usage).map((layer) => ({ ...layer, divergence_bits: 0 })),
      })),
    });
    elements(html);
    expect(html).toContain('1 of 4 experts in all layers had no token.');
    expect(html).toContain('<td>&lt;b&gt;</td>');
    expect(html).not.toContain('<b>');
  });
});

describe('where two models part', () => {
  const gate = (layer: number, experts: number[], shift = 0): Routed['layers'][number] => ({
    layer,
    experts,
    weights: experts.map(() => 1 / experts.length),
    probabilities: [0, 1, 2, 3].map((expert) => (experts.includes(expert) ? 0.5 : 0) + (expert === experts[0] ? shift : 0)),
  });
  const tokens = (shift: (position: number, layer: number) => number): Routed[] =>
    [
      [
        [0, 1],
        [0, 1],
      ],
      [
        [0, 2],
        [1, 2],
      ],
      [
        [1, 2],
        [1, 3],
      ],
    ].map(([a, b], position) => ({
      position,
      layers: [gate(0, a!, shift(position, 0)), gate(1, b!, shift(position, 1))],
    }));
  const same = [null, -1, -1, -1];
  const baseline = tokens(() => 0);
  const at = (shift: (position: number, layer: number) => number, candidate: Array<number | null> = same): unknown =>
    firstChange(baseline, tokens(shift), { baseline: same, candidate });

  it.each([
    ['nothing', at(() => 0), undefined],
    ['less than arithmetic', at(() => 1e-7), undefined],
    // Layer 0 has expert 2 for the first time at position 1, and layer 1 is the first that sees it.
    [
      'an expert',
      at((position, layer) => (position >= 1 && layer === 1 ? 0.1 : 0)),
      { position: 1, after: 0, seen: 1, experts: [2] },
    ],
    ['the first router', at((_, layer) => (layer === 0 ? 0.1 : 0)), { position: 0, seen: 0, experts: [] }],
    // Position 2 uses experts 1 and 2 of layer 0, and both were used before without a difference.
    [
      'no expert',
      at((position, layer) => (position === 2 && layer === 1 ? 0.1 : 0)),
      { position: 2, after: 0, seen: 1, experts: [] },
    ],
    ['behind the last router', at(() => 0, [null, -1, -1, -2]), { position: 2, after: 1, experts: [3] }],
  ])('finds %s', (_, found, expected) => expect(found).toEqual(expected));

  it('adds likelihood up by the expert that a token was predicted through', () => {
    const [first] = likelihoodByExpert(baseline, { baseline: same, candidate: [null, -1.5, -1, -0.5] });
    // Changes of -0.5, 0 and 0.5 after positions 0, 1 and 2, whose experts are 0 1, 0 2 and 1 2.
    expect(first).toEqual({ layer: 0, change: [-0.25, 0, 0.25, undefined], tokens: [2, 2, 2, 0] });
  });
});

describe('a heat map', () => {
  const wide = (columns: number): string =>
    heatTable({
      caption: 'Shares',
      corner: 'layer / expert',
      column: 'expert',
      columns: Array.from({ length: columns }, (_, index) => String(index)),
      rows: [
        { name: '0', values: Array.from({ length: columns }, (_, index) => (index === columns - 1 ? 9 : 1)), more: ['0.9'] },
        { name: '1', values: [5, 7, ...new Array<undefined>(columns - 2)], faint: [false, true] },
      ],
      more: [{ name: 'entropy', title: 'what it is' }],
      min: 0,
      max: 9,
      format: String,
      unit: '%',
    });
  const cells = (html: string, name: string): number =>
    elements(html).filter(({ attributes }) => (attributes['class'] ?? '').split(' ').includes(name)).length;

  it('has a number in each cell while they fit, and the unit on its scale', () => {
    const html = wide(NUMBERED_COLUMNS);
    expect(cells(html, 'cells')).toBe(0);
    expect(html).toContain('<td class="c h8">9</td>');
    expect(html).toContain('<td class="c faint">7</td>');
    expect(html).toContain('<span>0 %</span>');
    expect(html).toContain('<span>9 %</span>');
  });

  it('is a strip a row beyond that, with the largest in words and every number in a table behind it', () => {
    const html = wide(128);
    // Two rows and the ticks; a row has a colour for each column that it has a certain value of.
    expect(
      elements(html).filter(({ name, attributes }) => name === 'span' && attributes['class']?.startsWith('cells')),
    ).toHaveLength(3);
    expect(html).toContain('<td class="l">expert 127: 9 %</td>');
    // Of the second row the 7 is uncertain.
    expect(html).toContain('<td class="l">expert 0: 5 %</td>');
    expect(html).toContain('experts 0 to 127, as colours');
    const behind = html.slice(html.indexOf('<details'));
    expect(behind).toContain('<summary>Shares, in numbers</summary>');
    expect(cells(behind, 'c')).toBe(3 * 128);
    expect(behind).not.toContain('entropy');
  });
});
