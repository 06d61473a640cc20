// Pages and large answers beside running requests.
import { BroadcastChannel } from 'node:worker_threads';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expertWeights, gateEntropy, top2Margin, topExperts } from '../src/engine/trace-math.ts';
import type { RequestTrace } from '../src/engine/types.ts';
import { type PageJob, render } from '../src/report/render.ts';
import { HttpError } from '../src/server/errors.ts';
import { jsonSlices } from '../src/server/json-slices.ts';
import { eachToken, moeSummary, type TokenTrace, tokenTraces } from '../src/server/moe.ts';
import { type MoeStats, moeStats } from '../src/server/moe-statistics.ts';
import { PageRenderer, type RendererOptions } from '../src/server/page-renderer.ts';
import { largeTrace } from './support/large-trace.ts';
import { microModel } from './support/models.ts';
import { startServer, type TestServer } from './support/server.ts';

const HELD = new URL('support/held-page-worker.ts', import.meta.url);
const TRACES: PageJob = { kind: 'traces', subject: { cluster: 'c', ttlSeconds: 1, traces: [] } };
const traceJob = (trace: RequestTrace): PageJob => ({ kind: 'trace', subject: { title: 'Router trace', trace, about: [] } });
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** The other side of held-page-worker.ts. */
function holder(): { begun: Promise<void>; go: () => void; close: () => void } {
  const channel = new BroadcastChannel('held-page');
  const begun = new Promise<void>((resolve) => {
    channel.onmessage = () => resolve();
  });
  return { begun, go: () => channel.postMessage('go'), close: () => channel.close() };
}

describe('a server', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer(microModel());
  });
  afterAll(async () => server?.[Symbol.asyncDispose]());

  it('streams an answer from its first to its last token while a page is being made', async () => {
    const held = holder();
    const { pages } = server.runtime;
    server.runtime.pages = new PageRenderer({ log: () => {}, script: HELD });
    let done = false;
    const page = server.get('/v1/moe/stats?format=html').then(async (response) => {
      done = true;
      return { status: response.status, html: await response.text() };
    });
    await held.begun;
    // The thread is busy with the page until it is told to go on. Whatever ran in the server's own thread would never end.
    const stream = await server.post('/v1/completions', { prompt: 'Hello', max_tokens: 8, stream: true });
    const body = await stream.text();
    expect(body.match(/^data: \{/gm)?.length).toBeGreaterThanOrEqual(8);
    expect(body).toMatch(/data: \[DONE\]\s*$/);
    expect(done).toBe(false);
    held.go();
    expect(await page).toMatchObject({ status: 200, html: expect.stringContaining('Expert usage') });
    held.close();
    await server.runtime.pages.close();
    server.runtime.pages = pages;
  });

  it('makes statistics of many segments of a wide model in the thread, as JSON too, and few in its own', async () => {
    const wide = largeTrace({ layers: 64, tokens: 2, experts: 128, used: 8 });
    const { rows: _rows, text: _text, ...summary } = wide;
    const { moe, pages } = server.runtime;
    const add = (index: number): void =>
      moe.add({ id: `w${index}`, tenant: 'dev', model: 'wide', version: '1', segment: `s${index}` }, summary, 0);
    // Segments of the tests before are there as well.
    for (let index = 0; index < 28; index++) add(index);
    const held = holder();
    server.runtime.pages = new PageRenderer({ log: () => {}, script: HELD });
    let done = false;
    const json = server.get('/v1/moe/stats').then(async (response) => {
      done = true;
      return { type: response.headers.get('content-type'), body: (await response.json()) as MoeStats };
    });
    await held.begun;
    expect((await server.post('/v1/completions', { prompt: 'Hello', max_tokens: 2 })).status).toBe(200);
    expect(done).toBe(false);
    held.go();
    const { type, body } = await json;
    expect(type).toBe('application/json; charset=utf-8');
    const expected = JSON.parse(JSON.stringify(moeStats(moe.snapshot('dev')))) as MoeStats;
    const ofWide = ({ models }: MoeStats): unknown => models.find(({ model }) => model === 'wide');
    expect(ofWide(body)).toEqual(ofWide(expected));
    expect(body).toMatchObject({ trace: { available: true, unattributed: 0 } });
    held.close();
    await server.runtime.pages.close();
    server.runtime.pages = pages;
  });

  it('gives a long trace whole as JSON and bounded as a page', async () => {
    const trace = largeTrace({ layers: 32, tokens: 1200, experts: 8 });
    const about = { id: 'long', tenant: 'dev', model: 'm', version: '1', segment: undefined };
    server.runtime.moe.add(about, trace, Date.now());
    const response = await server.get('/v1/moe/traces/long');
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    const whole = {
      ...{ decision_id: 'long', model: 'm', version: '1', segment: null, prompt_tokens: 1199 },
      ...moeSummary(trace),
      tokens: tokenTraces(trace),
    };
    expect((await response.text()) === JSON.stringify(whole)).toBe(true);
    const page = await server.get('/v1/moe/traces/long?format=html');
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('Prompt, 1199 tokens');
    const { traces } = (await (await server.get('/v1/moe/traces')).json()) as { traces: Array<{ decision_id: string }> };
    expect(traces[0]?.decision_id).toBe('long');
  });
});

describe('the thread that makes pages', () => {
  async function renderer(
    options: Partial<RendererOptions>,
    use: (pages: PageRenderer, lines: string[]) => Promise<void>,
  ): Promise<void> {
    const lines: string[] = [];
    const pages = new PageRenderer({ log: (line) => lines.push(line), ...options });
    await use(pages, lines);
    await pages.close();
    expect(pages.running).toBe(false);
  }
  const refusal = async (promise: Promise<unknown>): Promise<string> => {
    const error: unknown = await promise.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(HttpError);
    return `${(error as HttpError).status} ${(error as HttpError).code}`;
  };

  it('gives the page that the same thread would', () =>
    renderer({}, async (pages) => {
      for (const job of [TRACES, traceJob(largeTrace({ layers: 3, tokens: 20, experts: 8 }))]) {
        const { bytes, policy } = await pages.render(job);
        const { text: own, policy: theirs } = render(job);
        expect([text(bytes), policy]).toEqual([own, theirs]);
      }
    }));

  it('refuses more than may wait, and ends with the runtime', () =>
    renderer({ script: HELD, jobs: 2 }, async (pages) => {
      const held = holder();
      const first = refusal(pages.render(TRACES));
      const second = refusal(pages.render(TRACES));
      expect(await refusal(pages.render(TRACES))).toBe('503 pages_busy');
      await held.begun;
      held.close();
      await pages.close();
      expect([await first, await second]).toEqual(['503 draining', '503 draining']);
      expect(await refusal(pages.render(TRACES))).toBe('503 draining');
    }));

  it('gives up a page that takes too long; the one after it is not held up', () =>
    renderer({ script: HELD, timeoutMs: 50 }, async (pages, lines) => {
      const late = refusal(pages.render(TRACES));
      const next = refusal(pages.render(TRACES));
      expect(await late).toBe('503 page_failed');
      expect(lines).toEqual(['a page took longer than 50 ms and was given up']);
      expect(await next).toBe('503 page_failed');
    }));

  it('says what failed in the log and not to the client, and goes on', () =>
    renderer({}, async (pages, lines) => {
      const broken = { kind: 'traces', subject: { cluster: 'c', ttlSeconds: 1, traces: undefined } } as unknown as PageJob;
      expect(await refusal(pages.render(broken))).toBe('500 internal_error');
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatch(/^a page could not be made: TypeError/);
      expect(text((await pages.render(TRACES)).bytes)).toContain('Router traces');
    }));

  it('that runs out of memory ends alone, and the next page gets another', () =>
    renderer({ heapMiB: 24 }, async (pages, lines) => {
      const large = largeTrace({ layers: 4, tokens: 60_000, experts: 8, text: '"'.repeat(60) });
      expect(await refusal(pages.render(traceJob(large)))).toBe('503 page_failed');
      expect(lines[0]).toMatch(/^the thread that makes pages ended: .*memory/);
      expect(text((await pages.render(TRACES)).bytes)).toContain('Router traces');
    }));

  it('ends when nobody asks for a page', () =>
    renderer({ idleMs: 1 }, async (pages) => {
      await pages.render(TRACES);
      while (pages.running) await new Promise((resolve) => setTimeout(resolve, 5));
      expect(text((await pages.render(TRACES)).bytes)).toContain('Router traces');
    }));
});

describe('a trace', () => {
  it('is the same token by token as all at once, in whatever order its rows came', () => {
    const shape = fc.record({
      layers: fc.integer({ min: 0, max: 4 }),
      tokens: fc.integer({ min: 1, max: 12 }),
      experts: fc.constantFrom(2, 8),
    });
    fc.assert(
      fc.property(shape, fc.infiniteStream(fc.nat()), fc.integer({ min: -1, max: 14 }), (of, order, odd) => {
        const trace = largeTrace(of);
        const rows = trace.rows!;
        // Rows change places, and one belongs to a position that has no text.
        const at = Int32Array.from(rows.position, (_, index) => index).sort();
        for (let index = at.length - 1; index > 0; index--) {
          const other = (order.next().value as number) % (index + 1);
          [at[index], at[other]] = [at[other]!, at[index]!];
        }
        const { experts } = of;
        const shuffled = {
          ...rows,
          position: Int32Array.from(at, (from) => rows.position[from]!),
          layer: Int32Array.from(at, (from) => rows.layer[from]!),
          chosen: Uint16Array.from(
            Array.from(at).flatMap((from) => [...rows.chosen.subarray(from * rows.expertsUsed, (from + 1) * rows.expertsUsed)]),
          ),
          probabilities: Float32Array.from(
            Array.from(at).flatMap((from) => [...rows.probabilities.subarray(from * experts, (from + 1) * experts)]),
          ),
        };
        if (shuffled.position.length > 0) shuffled.position[0] = odd;
        const expected = trace.text!.texts.map((token, position) => ({
          position,
          token: trace.text!.ids[position]!,
          text: token,
          part: position < trace.text!.promptTokens ? 'prompt' : 'completion',
          layers: [...shuffled.position]
            .flatMap((where, index) => (where === position ? [index] : []))
            .map((index) => {
              const gate = shuffled.probabilities.subarray(index * experts, (index + 1) * experts);
              const chosen = topExperts(gate, shuffled.expertsUsed);
              return {
                layer: shuffled.layer[index]!,
                experts: chosen,
                weights: expertWeights(gate, chosen),
                probabilities: [...gate],
                gate_entropy_nats: gateEntropy(gate),
                top2_margin: top2Margin(gate),
              };
            })
            .sort((a, b) => a.layer - b.layer),
        }));
        expect([...eachToken({ ...trace, rows: shuffled })]).toEqual(expected as TokenTrace[]);
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    ['many tokens of long, hostile text', { layers: 4, tokens: 65_536, experts: 8, text: '"&<'.repeat(40) }],
    ['many experts in many layers', { layers: 32, tokens: 2100, experts: 64, used: 4 }],
  ])('of %s makes a page of 20 MiB at most, which says what is left out', (_name, shape) => {
    const { text: html } = render(traceJob(largeTrace(shape)));
    expect(html.length).toBeLessThan(20 * 1024 * 1024);
    expect(html).toMatch(/Details of the first \d+ tokens; the JSON has all of them/);
    expect(html).toMatch(/\d+ more tokens in the JSON/);
  });
});

describe('JSON in slices', () => {
  it('is the JSON of the whole', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.string().filter((key) => key !== 'items' && key !== '__proto__'),
          fc.jsonValue(),
        ),
        fc.array(fc.jsonValue()),
        async (head, items) => {
          let whole = '';
          for await (const slice of jsonSlices(head, 'items', items)) whole += slice;
          expect(whole).toBe(JSON.stringify({ ...head, items }));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('lets the event loop turn between slices, none of which is much larger than 64 Ki characters', async () => {
    let turns = 0;
    let stop = false;
    const count = (): void => {
      turns += 1;
      if (!stop) setImmediate(count);
    };
    setImmediate(count);
    const sizes: number[] = [];
    const turnsAt: number[] = [];
    for await (const slice of jsonSlices({}, 'tokens', eachToken(largeTrace({ layers: 32, tokens: 300, experts: 8 })))) {
      sizes.push(slice.length);
      turnsAt.push(turns);
    }
    stop = true;
    expect(sizes.length).toBeGreaterThan(20);
    expect(Math.max(...sizes)).toBeLessThan(2 * 64 * 1024);
    for (const [index, turn] of turnsAt.entries()) if (index > 0) expect(turn).toBeGreaterThan(turnsAt[index - 1]!);
  });
});
