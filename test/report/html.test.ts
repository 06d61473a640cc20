import { createHash } from 'node:crypto';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { finding } from '../../src/core/finding.ts';
import type { Chart } from '../../src/core/gate.ts';
import { render } from '../../src/report/index.ts';
import { ROOT, runProcess } from '../support/cli.ts';
import { anyReport } from './arbitrary.ts';
import { passingReport, reportOf, sampleReport } from './sample.ts';

const page = await render('html', sampleReport());

function elements(html: string): string[] {
  return [...html.matchAll(/<(?<name>[a-zA-Z][^\s/>]*)/g)].map((match) => match.groups!['name']!);
}

const KNOWN = new Set(
  'html head meta title style body a header div svg path span h1 h2 h3 h4 p dl dt dd main section ul li b details summary article pre code figure figcaption table caption thead tbody tr th td footer g text circle line rect defs clipPath i wbr polyline polygon'.split(
    ' ',
  ),
);

describe('the page', () => {
  test('needs nothing from outside: no script, no request, no inline style; the policy allows only its style sheet', () => {
    const style = /<style>(?<css>[\s\S]*?)<\/style>/.exec(page)!.groups!['css']!;
    const digest = createHash('sha256').update(style).digest('base64');
    expect(page).toContain(
      `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'">`,
    );
    expect(page.match(/<script|<link|<img|<iframe|<object|\son\w+=| style="|url\((?!#)|@import|javascript:/gi)).toBeNull();
    expect(page.match(/(?:src|href|xlink:href)="(?!#)[^"]*"/g)).toBeNull();
  });

  test('every link leads to an element of the page, every id is there once', () => {
    const ids = [...page.matchAll(/ id="(?<id>[^"]+)"/g)].map((match) => match.groups!['id']!);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, target] of page.matchAll(/href="#(?<id>[^"]+)"/g)) expect(ids).toContain(target);
    for (const [, target] of page.matchAll(/url\(#(?<id>[^)]+)\)/g)) expect(ids).toContain(target);
  });

  test('one section a gate that folds; passed gates without charts are folded', () => {
    const sections = [...page.matchAll(/<details class="gate" id="gate-(?<id>\w+)"(?<open> open)?>/g)].map(
      (match) => `${match.groups!['id']}${match.groups!['open'] ?? ''}`,
    );
    expect(sections).toEqual([
      'telemetry open',
      'policy open',
      'catalog open',
      'drift open',
      'canary open',
      'slo open',
      'promotion',
    ]);
  });

  test('is accessible: language, title, headings in order, named pictures, table heads, a way past the summary', () => {
    expect(page).toContain('<html lang="en">');
    expect(page).toContain('<title>mixgate: fail, 3 blocking, 2 warnings, 1 note, 1 waived</title>');
    const levels = [...page.matchAll(/<h(?<level>\d)/g)].map((match) => Number(match.groups!['level']));
    expect(levels[0]).toBe(1);
    expect(levels.every((level, index) => index === 0 || level <= levels[index - 1]! + 1)).toBe(true);
    const pictures = [...page.matchAll(/<svg [^>]*>/g)].map(([tag]) => tag);
    expect(pictures.every((tag) => tag.includes('aria-hidden="true"') || /role="img" aria-label="[^"]+"/.test(tag))).toBe(true);
    expect([...page.matchAll(/<th(?:\s[^>]*)?>/g)].every(([tag]) => tag.includes('scope="col"'))).toBe(true);
    expect(page).toContain('<a class="skip" href="#findings">');
    const regions = [...page.matchAll(/role="region" aria-label="(?<label>[^"]+)"/g)].map((match) => match.groups!['label']!);
    expect(new Set(regions).size).toBe(regions.length);
  });

  test('every colour of a chart is a variable, so that light and dark both hold', () => {
    const figures = [...page.matchAll(/<figure[\s\S]*?<\/figure>/g)].map(([text]) => text);
    expect(figures).toHaveLength(5);
    for (const figure of figures) {
      const painted = [...figure.matchAll(/ (?:fill|stroke)="(?<color>[^"]+)"/g)]
        .map((match) => match.groups!['color']!)
        .filter((color) => color !== 'none');
      expect(painted.filter((color) => !color.startsWith('var(--'))).toEqual([]);
      expect(figure).toContain('<summary>Numbers</summary>');
    }
    const style = /<style>(?<css>[\s\S]*?)<\/style>/.exec(page)!.groups!['css']!;
    for (const [, name] of page.matchAll(/var\(--(?<name>[\w-]+)\)/g)) expect(style).toContain(`--${name}:`);
  });

  test('a process that draws ends by itself: charts leave no timers', async () => {
    const script = `import { render } from ${JSON.stringify(join(ROOT, 'src/report/index.ts'))};
      import { sampleReport } from ${JSON.stringify(join(ROOT, 'test/report/sample.ts'))};
      await render('html', sampleReport());`;
    const ran = await runProcess(process.execPath, ['--input-type=module', '--eval', script], { timeoutMs: 40_000 });
    expect([ran.code, ran.stderr]).toEqual([0, '']);
  });
});

describe('hostile reports', () => {
  test('make no element that is not ours', async () => {
    await fc.assert(
      fc.asyncProperty(anyReport, async (report) => {
        const html = await render('html', report);
        expect(elements(html).filter((name) => !KNOWN.has(name))).toEqual([]);
        expect(html.replace(/"[^"]*"/g, '""').match(/<[^>]*\son\w+=/gi)).toBeNull();
        expect(html).not.toContain(' style="');
      }),
      { numRuns: 40 },
    );
  });

  test('text is shown as it is', async () => {
    const html = await render(
      'html',
      reportOf([
        finding({ ruleId: 'policy-x', level: 'error', message: 'a </p><script>x</script> `<b>`', fix: '"quoted" & \u202emore' }),
      ]),
    );
    expect(html).toContain('a &lt;/p&gt;&lt;script&gt;x&lt;/script&gt; <code>&lt;b&gt;</code>');
    expect(html).toContain('&quot;quoted&quot; &amp; \\u{202e}more');
  });
});

describe('charts', () => {
  const draw = async (chart: Chart): Promise<string> =>
    /<figure[\s\S]*?<\/figure>/.exec(await render('html', reportOf([], { charts: [chart] })))![0];

  test.each<[string, Chart]>([
    ['bars without categories', { kind: 'bar', title: 't', categories: [], series: [] }],
    ['lines without points', { kind: 'line', title: 't', series: [{ name: 'a', points: [] }] }],
    [
      'a logarithmic axis over zero',
      {
        kind: 'line',
        title: 't',
        logX: true,
        series: [
          {
            name: 'a',
            points: [
              [0, 1],
              [10, 2],
            ],
          },
        ],
      },
    ],
    [
      'intervals that do not end',
      {
        kind: 'forest',
        title: 't',
        reference: 0,
        rows: [{ label: 'a', effect: 1, low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY, verdict: 'inconclusive' }],
      },
    ],
    [
      'cells that are missing',
      { kind: 'heatmap', title: 't', xCategories: ['a', 'b'], yCategories: ['c'], values: [[Number.NaN]] },
    ],
    [
      'a hundred thousand points',
      {
        kind: 'line',
        title: 't',
        series: [{ name: 'a', points: Array.from({ length: 100_000 }, (_, x) => [x, Math.sin(x)] as const) }],
      },
    ],
  ])('%s are drawn without NaN', async (_, chart) => {
    const figure = await draw(chart);
    expect(/<svg[\s\S]*?<\/svg>/.exec(figure)![0]).not.toMatch(/NaN|Infinity|undefined/);
    expect(figure.length).toBeLessThan(1_000_000);
  });

  test('each bar is as long as its value says', async () => {
    const figure = await draw({ kind: 'bar', title: 't', categories: ['a', 'b'], series: [{ name: 's', values: [10, 20] }] });
    const widths = [...figure.matchAll(/<path d="M(?<x>[\d.]+) [\d.]+(?<rest>[^"]*)" fill="var\(--series-0\)"/g)].map((match) =>
      Number(/[lL](?<dx>[\d.]+) /.exec(match.groups!['rest']!)!.groups!['dx']),
    );
    expect(widths).toHaveLength(2);
    expect(widths[1]! / widths[0]!).toBeGreaterThan(1.8);
    expect(widths[1]! / widths[0]!).toBeLessThan(2.2);
  });

  test('a heat map colours low and high cells with the ends of the scale', async () => {
    const figure = await draw({ kind: 'heatmap', title: 't', xCategories: ['a', 'b'], yCategories: ['c'], values: [[0, 1]] });
    expect(figure).toContain('fill="var(--heat-0)"');
    expect(figure).toContain('fill="var(--heat-8)"');
  });

  test('a passing report says so in its headline', async () => {
    expect(await render('html', passingReport())).toContain('<h1>Nothing blocks this change</h1>');
  });
});
