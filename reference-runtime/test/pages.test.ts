import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RuntimeProcess, startRuntimeProcess } from '../../scripts/lib/runtime-process.ts';
import { columns } from '../src/commands/output.ts';
import type { RequestTrace } from '../src/engine/types.ts';
import { heatStep } from '../src/report/heat-table.ts';
import { percent, short } from '../src/report/number.ts';
import { pageStyle } from '../src/report/style.ts';
import { tracePage } from '../src/report/trace-page.ts';
import { contrast, type Element, elements, mix } from './support/html.ts';
import { mostProbable } from './support/large-trace.ts';
import { microModel, randomModel, temporary } from './support/models.ts';

const CLI = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
const dir = temporary();
afterAll(dir.remove);

const HOSTILE = '\u009b31m<img src=x onerror=alert(1)> "\'&amp; </style><script>alert(2)</script>\n\u202egnp.exe\u0000';

/** What holds for every page: well-formed, nothing from outside, no script, an honest policy, and the basics of accessibility. */
function sound(html: string): Element[] {
  const found = elements(html);
  const style = /<style>(?<css>[\s\S]*?)<\/style>/.exec(html)!.groups!['css']!;
  const digest = createHash('sha256').update(style).digest('base64');
  expect(html).toContain(`content="default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'"`);
  const names = new Set(found.map(({ name }) => name));
  for (const name of ['script', 'img', 'link', 'iframe', 'object', 'embed', 'form', 'base']) expect(names).not.toContain(name);
  const ids = found.flatMap(({ attributes }) => attributes['id'] ?? []);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { name, attributes } of found) {
    expect(Object.keys(attributes).filter((key) => key.startsWith('on') || key === 'style' || key === 'src')).toEqual([]);
    // A link leads into the page, or to another page of the same server.
    if (attributes['href']?.startsWith('#')) expect(ids).toContain(attributes['href'].slice(1));
    else if (name === 'a') expect(attributes['href']).toMatch(/^(?:\.\.\/)?(?:traces|stats)(?:\/[\w-]+)?\?format=html$/);
    for (const key of ['popovertarget', 'aria-labelledby'])
      if (attributes[key] !== undefined) expect(ids).toContain(attributes[key]);
    if (attributes['role'] === 'region' || attributes['role'] === 'dialog') expect(attributes['aria-label']).toMatch(/\S/);
    if (name === 'th') expect(attributes['scope']).toMatch(/^(?:row|col)$/);
  }
  expect(found.find(({ name }) => name === 'html')?.attributes['lang']).toBe('en');
  expect(html).toMatch(/<title>[^<]*mixgate-runtime<\/title>/);
  const levels = found.flatMap(({ name }) => (/^h\d$/.test(name) ? [Number(name[1])] : []));
  expect(levels[0]).toBe(1);
  expect(levels.every((level, index) => index === 0 || level <= levels[index - 1]! + 1)).toBe(true);
  return found;
}

const classes = ({ attributes }: Element): string[] => (attributes['class'] ?? '').split(' ');
const tokensOf = (found: Element[]): Element[] => found.filter((element) => classes(element).includes('t'));

interface TraceBody {
  prompt_tokens: number;
  segment: string | null;
  version: string;
  tokens: Array<{ position: number; text: string; part: string; layers: Array<{ layer: number; experts: number[] }> }>;
}

describe('a runtime that serves', () => {
  let server: RuntimeProcess;
  let decision = '';
  let usage = { prompt_tokens: 0, completion_tokens: 0 };
  const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${server.url}${path}`, { headers });

  beforeAll(async () => {
    server = await startRuntimeProcess(['--dev', '--threads', '1', '--model', microModel()]);
    const response = await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-mixgate-segment': '<script>de</script>' },
      body: JSON.stringify({ prompt: HOSTILE, max_tokens: 12, temperature: 0 }),
    });
    decision = response.headers.get('x-mixgate-decision-id')!;
    ({ usage } = (await response.json()) as { usage: typeof usage });
  });
  afterAll(async () => server?.[Symbol.asyncDispose]());

  it('gives a trace token by token: text, part, position, every layer', async () => {
    const body = (await (await get(`/v1/moe/traces/${decision}`)).json()) as TraceBody;
    expect(body).toMatchObject({ version: '1.0.0', segment: '<script>de</script>', prompt_tokens: usage.prompt_tokens });
    expect(body.tokens.map(({ position }) => position)).toEqual(body.tokens.map((_, index) => index));
    expect(body.tokens).toHaveLength(usage.prompt_tokens + usage.completion_tokens);
    expect(body.tokens.findIndex(({ part }) => part === 'completion')).toBe(usage.prompt_tokens);
    expect(body.tokens[0]?.text).toBe('<s>');
    const bytes = body.tokens
      .slice(1, usage.prompt_tokens)
      .flatMap(({ text }) => [...(/^bytes:\\x(..)$/.test(text) ? Buffer.from(text.slice(-2), 'hex') : Buffer.from(text))]);
    expect(Buffer.from(bytes).toString()).toBe(HOSTILE);
    expect(body.tokens.at(-1)?.layers).toEqual([]);
    expect(body.tokens.at(-2)?.layers.map(({ layer }) => layer)).toEqual([0, 1, 2, 3]);
  });

  it.each([
    ['?format=html', {}],
    ['', { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' }],
  ])('gives the trace as a page (%s), inert whatever the prompt says', async (query, headers) => {
    const response = await get(`/v1/moe/traces/${decision}${query}`, headers as Record<string, string>);
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(response.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
    );
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    const html = await response.text();
    const found = sound(html);
    expect(tokensOf(found)).toHaveLength(usage.prompt_tokens + usage.completion_tokens);
    expect(html).not.toContain('\u202e');
    expect(html).toContain('A dash: the last layer is computed only where logits are asked for');
    const body = (await (await get(`/v1/moe/traces/${decision}`)).json()) as TraceBody;
    // The colour of a token is its first expert in each layer, and each has a rule that the layer's radio button switches on.
    for (const [index, token] of tokensOf(found).entries()) {
      const wanted = body.tokens[index]!.layers.map(({ layer, experts }) => `l${layer}x${experts[0]}`);
      expect(classes(token).filter((name) => name !== 't')).toEqual(wanted);
      for (const name of wanted) expect(html).toContain(`main:has(#layer-${name[1]}:checked) .${name}{`);
    }
    expect(found.filter(({ attributes }) => attributes['type'] === 'radio').map(({ attributes }) => attributes['id'])).toEqual([
      'layer-0',
      'layer-1',
      'layer-2',
      'layer-3',
    ]);
  });

  it('gives JSON to a client that asks for it, and to one that says nothing', async () => {
    for (const headers of [
      {},
      { accept: 'application/json' },
      { accept: '*/*' },
      { accept: 'application/json, text/html' },
      { accept: 'text/html;q=0.5, application/json;q=0.9' },
    ])
      expect((await get('/v1/moe/stats', headers as Record<string, string>)).headers.get('content-type')).toMatch(
        /^application\/json/,
      );
    const response = await get('/v1/moe/stats?format=xml');
    expect([response.status, ((await response.json()) as { error: { param: string } }).error.param]).toEqual([400, 'format']);
    expect((await get('/v1/moe/traces/none?format=html')).status).toBe(404);
  });

  it('lists the traces, as JSON and as a page whose links lead to them and back', async () => {
    const { traces } = (await (await get('/v1/moe/traces')).json()) as { traces: Array<Record<string, unknown>> };
    expect(traces).toEqual([
      {
        decision_id: decision,
        model: 'mixtral-micro',
        version: '1.0.0',
        segment: '<script>de</script>',
        ended: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        dropped_rows: 0,
      },
    ]);
    const seen = new Set<string>();
    const visit = async (url: URL): Promise<void> => {
      seen.add(url.pathname);
      const response = await fetch(url);
      expect([url.pathname, response.status]).toEqual([url.pathname, 200]);
      for (const { name, attributes } of sound(await response.text())) {
        const next = new URL(attributes['href'] ?? '', url);
        if (name === 'a' && !seen.has(next.pathname)) await visit(next);
      }
    };
    await visit(new URL(`${server.url}/v1/moe/stats?format=html`));
    expect([...seen]).toEqual(['/v1/moe/stats', '/v1/moe/traces', `/v1/moe/traces/${decision}`]);
  });

  it('gives the statistics as a page with the segments of the tenant', async () => {
    const html = await (await get('/v1/moe/stats?format=html')).text();
    sound(html);
    expect(html).toContain('&lt;script&gt;de&lt;/script&gt;, 1 request');
    expect(html).toContain('mixtral-micro 1.0.0');
  });
});

function run(...args: string[]): { stdout: string; stderr: string; status: number | null } {
  return spawnSync(process.execPath, [CLI, ...args, '--threads', '1'], { encoding: 'utf8' });
}

describe('the commands', () => {
  const corrupt = dir.file('corrupt.gguf');

  it('trace --html writes the page beside the table', () => {
    const file = dir.file('trace.html');
    const { status, stdout, stderr } = run(
      'trace',
      '--model',
      microModel(),
      '--prompt',
      HOSTILE.replaceAll('\u0000', ''),
      '--html',
      file,
    );
    expect(status, stderr).toBe(0);
    expect(stderr).toBe(`wrote ${file}\n`);
    const found = sound(readFileSync(file, 'utf8'));
    expect(tokensOf(found)).toHaveLength(stdout.trim().split('\n').length - 1);
  });

  it('trace --compare says where the routing first differs, as text, JSON and page', () => {
    spawnSync(process.execPath, [
      ...[CLI, 'variant', '--model', microModel(), '--out', corrupt],
      ...['--kind', 'expert-corrupt', '--layer', '1', '--expert', '6', '--seed', '2'],
    ]);
    const file = dir.file('compare.html');
    const args = [
      'trace',
      '--model',
      microModel(),
      '--compare',
      corrupt,
      '--prompt',
      'Klicken Sie auf die Datei',
      '--max-tokens',
      '8',
    ];
    const { stdout, stderr } = run(...args, '--html', file);
    expect(stderr).toBe(`wrote ${file}\n`);
    // An expert of layer 1 was damaged: layers 0 and 1 route as before, the first change is behind it.
    expect(stdout).toMatch(
      /^The models first differ at position \d+, token ".*", between the routers of layers 1 and 2\. It is the first token to use expert 6(?: or expert \d)? of layer 1: if one expert changed, that is the one\.\nThe choice of experts first differs at position \d+, token ".*", layer [23]: experts \d:/,
    );
    expect(stdout).toMatch(/^0 +\d+ +0 of \d+ \(0\.0 %\)/m);
    expect(stdout).toMatch(/^1 +\d+ +0 of \d+ \(0\.0 %\)/m);
    const html = readFileSync(file, 'utf8');
    sound(html);
    expect(html).toContain('The models first differ at position');
    interface Compared {
      tokens: Array<{ logprob: number | null; candidate_logprob: number | null }>;
      layers: Array<{ moved: number; lost: number[]; won: number[]; weight_moved: number }>;
      changes: Array<{ position: number; layer: number; weight_moved: number }>;
      first_change: { after: number; seen: number; experts: number[] };
      likelihood_change: Array<{ layer: number; change: Array<number | null>; tokens: number[] }>;
    }
    const body = JSON.parse(run(...args, '--format', 'json').stdout) as Compared;
    for (const { moved, lost, won } of body.layers) {
      expect(lost.reduce((a, b) => a + b)).toBe(moved);
      expect(won.reduce((a, b) => a + b)).toBe(moved);
    }
    expect(body.layers[2]!.weight_moved + body.layers[3]!.weight_moved).toBeGreaterThan(0);
    expect(body.first_change).toMatchObject({ after: 1, seen: 2, experts: expect.arrayContaining([6]) });
    // Every token but BOS is predicted through two experts of each layer.
    for (const { tokens } of body.likelihood_change) expect(tokens.reduce((a, b) => a + b)).toBe(2 * (body.tokens.length - 1));
    expect(body.tokens.slice(1).every(({ logprob, candidate_logprob }) => logprob! <= 0 && candidate_logprob! <= 0)).toBe(true);
  });

  it('trace --layers leaves layers out of the table, and refuses what the model does not have', () => {
    const args = ['trace', '--model', microModel(), '--prompt', 'The Congress'];
    expect(run(...args, '--layers', '0,2-3').stdout).toMatch(/^pos +token +layer 0 +layer 2 +layer 3\n0 +"<s>" +\d:\d\d/);
    for (const [list, reason] of [
      ['4', '--layers: layer 4 does not exist; the model has 0 to 3'],
      ['3-1', '--layers 3-1: expected layers and ranges of them, as in 0,12-15'],
      ['last', '--layers last: expected layers and ranges of them, as in 0,12-15'],
    ] as const) {
      const { status, stderr } = run(...args, '--layers', list);
      expect([status, stderr]).toEqual([2, `mixgate-runtime trace: ${reason}\n`]);
    }
  });

  it('trace --compare with the same model finds nothing, with another shape refuses', () => {
    const args = ['trace', '--model', microModel(), '--prompt', 'The Congress', '--compare'];
    const same = run(...args, microModel());
    expect(same.stdout).toMatch(
      /^Nothing differs: every router and every log probability is the same\.\nEvery token uses the same experts in every layer\.\n/,
    );
    const other = run(...args, randomModel(dir.file('other.gguf')));
    expect(other.stderr).toBe(
      'mixgate-runtime trace: --compare: the models differ in layers (4 and 2); there is nothing to compare by layer\n',
    );
    expect(other.status).toBe(2);
  });

  it('evaluate --html and --format text have every segment and expert', () => {
    const file = dir.file('evaluation.html');
    const corpus = fileURLToPath(new URL('../../canary/corpus', import.meta.url));
    const { stdout, stderr } = run(
      ...['evaluate', '--model', microModel(), '--corpus', corpus, '--max-windows', '1', '--format', 'text', '--html', file],
    );
    expect(stderr).toBe(`wrote ${file}\n`);
    for (const segment of ['code', 'data', 'de', 'en', 'fr', 'all'])
      expect(stdout).toMatch(new RegExp(`^${segment} +\\d+ +\\d+\\.\\d+`, 'm'));
    expect(stdout.match(/^[0-3] +[0-7] +/gm)).toHaveLength(32);
    const html = readFileSync(file, 'utf8');
    sound(html);
    for (const segment of ['code', 'data', 'de', 'en', 'fr']) expect(html).toContain(`${segment}: perplexity of the tokens`);
  });
});

describe('a page', () => {
  it('stays bounded and whole for a long trace of a wide model', () => {
    const [positions, layers, experts] = [600, 32, 64];
    const count = positions * layers;
    const probabilities = Float32Array.from({ length: count * experts }, (_, at) => ((at * 7919) % 101) / 5050);
    const trace: RequestTrace = {
      tokensTraced: positions,
      prefixTokensReused: 0,
      dropped: 3,
      layers: Array.from({ length: layers }, (_, layer) => ({
        layer,
        rows: positions,
        usage: new Array<number>(experts).fill((2 * positions) / experts),
        gateEntropyNats: 1,
        top2Margin: 0.1,
      })),
      rows: {
        experts,
        expertsUsed: 2,
        position: Int32Array.from({ length: count }, (_, row) => Math.floor(row / layers)),
        token: new Int32Array(count),
        layer: Int32Array.from({ length: count }, (_, row) => row % layers),
        chosen: mostProbable(probabilities, experts, 2),
        probabilities,
      },
      text: { promptTokens: 600, ids: new Int32Array(positions), texts: new Array<string>(positions).fill('\u202e<b>') },
    };
    const { html } = tracePage({ title: 'Long', trace, about: [] });
    const found = sound(html);
    expect(tokensOf(found)).toHaveLength(positions);
    // Details are for 16,384 token-layers; the rest keeps its colours.
    expect(found.filter((element) => classes(element).includes('d'))).toHaveLength(512);
    expect(html.length).toBeLessThan(12_000_000);
    expect(html).toContain('Details of the first 512 tokens');
  });

  it('without rows says so', () => {
    const { html } = tracePage({
      title: 'None',
      trace: { tokensTraced: 0, prefixTokensReused: 0, dropped: 0, layers: [] },
      about: [],
    });
    sound(html);
    expect(html).toContain('No row of this request was recorded.');
  });

  it('puts values on the scale of colours by equal steps', () => {
    expect([-1, 0, 0.11, 0.12, 0.5, 0.99, 1, 2].map((value) => heatStep(value, 0, 1))).toEqual([0, 0, 0, 1, 4, 8, 8, 8]);
    expect(heatStep(1, 1, 1)).toBe(0);
  });

  it('has the contrast of WCAG AA (4.5:1) in heat cells and on tokens, light and dark', () => {
    const css = pageStyle();
    const [light = '', dark = ''] = [...css.matchAll(/:root\{(?<vars>[\s\S]*?)\}/g)].map((match) => match.groups!['vars']!);
    for (const [scheme, palette] of [
      ['light', light],
      ['dark', dark],
    ] as const) {
      const colour = (name: string): string => new RegExp(`--${name}:(#[0-9a-f]{6})`).exec(palette)![1]!;
      const fixed = /\.h5\{color:(?<colour>#[0-9a-f]{6})\}/.exec(css)!.groups!['colour']!;
      const text = (step: number): string => (step < 5 ? colour('ink') : step === 5 ? fixed : colour('chart-onheat'));
      for (let step = 0; step < 9; step++)
        expect(contrast(text(step), colour(`heat-${step}`)), `${scheme} heat ${step}`).toBeGreaterThanOrEqual(4.5);
      for (let series = 0; series < 8; series++)
        expect(
          contrast(colour('ink'), mix(colour(`series-${series}`), colour('surface'), 0.24)),
          `${scheme} expert ${series}`,
        ).toBeGreaterThanOrEqual(4.5);
      expect(contrast(colour('muted'), colour('surface')), `${scheme} muted`).toBeGreaterThanOrEqual(4.5);
    }
  });
});

describe('a number', () => {
  it.each([
    [0, '0'],
    [0.000_4, '0'],
    [0.002, '0.2'],
    [0.0994, '9.9'],
    [0.0999, '10'],
    [0.125, '13'],
    [1, '100'],
    [Number.NaN, '–'],
  ])('%s as a share is %s per cent', (share, text) => expect(percent(share)).toBe(text));
  it.each([
    [19.56, '19.6'],
    [0.5, '0.5'],
    [1234, '1234'],
    [1e7, '1.0e+7'],
    [0.000_012, '1.2e-5'],
    [Number.POSITIVE_INFINITY, '–'],
  ])('%s is %s', (value, text) => expect(short(value)).toBe(text));
});

it('a table for the terminal writes out what a terminal would act on', () => {
  expect(
    columns([
      ['a', '\u202egnp'],
      ['\u001b[31m', 'b'],
    ]),
  ).toBe(`${'a'.padEnd(10)}  \\u{202e}gnp\n\\u{1b}[31m  b\n`);
});
