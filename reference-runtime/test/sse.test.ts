// Server-sent events as we write them and as we read them (WHATWG HTML, section 9.2), whatever is in them and however the bytes are cut.
import fc from 'fast-check';
import type OpenAI from 'openai';
import { Stream } from 'openai/core/streaming';
import { describe, expect, it } from 'vitest';
import { sseData } from '../src/engine/sse-parser.ts';
import { UpstreamEngine } from '../src/engine/upstream-engine.ts';
import { DONE, frame } from '../src/server/sse.ts';
import { collect, request } from './support/requests.ts';
import { startStub } from './support/stub.ts';

const encoder = new TextEncoder();

async function parse(chunks: Iterable<Uint8Array>): Promise<string[]> {
  async function* body(): AsyncGenerator<Uint8Array> {
    yield* chunks;
  }
  const out: string[] = [];
  for await (const data of sseData(body())) out.push(data);
  return out;
}

/** `bytes` in pieces that end at `cuts`; empty pieces included. */
function cut(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const ends = [...cuts.map((at) => at % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(index === 0 ? 0 : ends[index - 1], end));
}

/** Characters of one to four bytes in UTF-8, those that split lines elsewhere, and what could be taken for a field. */
const text = fc.string({
  unit: fc.constantFrom('a', ' ', ':', 'é', '中', '🙂', '\u2028', '\u0085', '\u0000', '\ufeff', 'data: x', 'event: y', '\\n'),
  minLength: 1,
  maxLength: 12,
});
const lines = fc.string({ unit: fc.constantFrom('a', '\n', '\r', '\r\n', 'data: x', ':', ' '), minLength: 1, maxLength: 8 });
const cuts = fc.array(fc.nat(), { maxLength: 12 });
const end = fc.constantFrom('\n', '\r', '\r\n');

/** An event as another server may write it: any line ends, other fields and comments between, the space after the colon or not. */
const foreign = fc
  .record({
    data: fc.array(text, { minLength: 1, maxLength: 3 }),
    ends: fc.array(end, { minLength: 9, maxLength: 9 }),
    space: fc.boolean(),
    noise: fc.boolean(),
  })
  .map(({ data, ends, space, noise }) => {
    const fields = data.map((line) => `data:${space || line.startsWith(' ') ? ' ' : ''}${line}`);
    const all = noise ? [': keep-alive', 'event: chunk', ...fields, 'id: 7', 'retry', 'datax: no'] : fields;
    return {
      data: data.join('\n'),
      wire: `${all.map((line, index) => line + (ends[index] as string)).join('')}${ends[8] as string}`,
    };
  })
  // CR, then LF: one line end, where two were meant.
  .filter(({ wire }) => !/[^\r\n]\r\n$/.test(wire));

describe('server-sent events', () => {
  it('that we write come back one by one', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue()), cuts, async (values, at) => {
        const bytes = encoder.encode(values.map((value) => frame(JSON.stringify(value))).join(''));
        expect(await parse(cut(bytes, at))).toEqual(values.map((value) => JSON.stringify(value)));
      }),
    ));

  it('that we write cannot be broken out of by line ends in the data', () =>
    fc.assert(
      fc.asyncProperty(lines, cuts, async (inner, at) => {
        const data = `x${inner}x`;
        expect(await parse(cut(encoder.encode(frame(data)), at))).toEqual([data.replace(/\r\n|\r/g, '\n')]);
      }),
    ));

  it('that we write are what the official client reads', () =>
    fc.assert(
      fc.asyncProperty(fc.array(text, { maxLength: 5 }), cuts, async (texts, at) => {
        const chunks = texts.map((content) => ({ choices: [{ index: 0, delta: { content } }] }));
        const bytes = encoder.encode(chunks.map((chunk) => frame(JSON.stringify(chunk))).join('') + DONE);
        const body = new ReadableStream<Uint8Array>({
          start(controller) {
            for (const piece of cut(bytes, at)) if (piece.length > 0) controller.enqueue(piece);
            controller.close();
          },
        });
        const read: unknown[] = [];
        const stream = Stream.fromSSEResponse<OpenAI.ChatCompletionChunk>(new Response(body), new AbortController());
        for await (const chunk of stream) read.push(chunk);
        expect(read).toEqual(chunks);
      }),
    ));

  it('of other servers come back whole: CRLF, CR and LF, comments and other fields, a byte order mark', () =>
    fc.assert(
      fc.asyncProperty(fc.array(foreign, { maxLength: 4 }), fc.boolean(), cuts, async (events, mark, at) => {
        const bytes = encoder.encode(`${mark ? '\ufeff' : ''}${events.map(({ wire }) => wire).join('')}`);
        expect(await parse(cut(bytes, at))).toEqual(events.map(({ data }) => data));
      }),
      { numRuns: 300 },
    ));

  it('come back the same wherever the bytes are cut in two, and byte by byte, with empty pieces between', async () => {
    const wire = '\ufeff: hi\r\ndata: é中🙂\r\ndata:b\r\r\n\ndata: [DONE]\n\n';
    const bytes = encoder.encode(wire);
    const expected = ['é中🙂\nb', '[DONE]'];
    for (let at = 0; at <= bytes.length; at++) expect(await parse(cut(bytes, [at, at]))).toEqual(expected);
    expect(
      await parse(
        cut(
          bytes,
          Array.from(bytes, (_, index) => index),
        ),
      ),
    ).toEqual(expected);
  });

  it('that the body ends within do not count, and those without data neither', async () => {
    expect(await parse([encoder.encode('data: whole\n\ndata: half\n')])).toEqual(['whole']);
    expect(await parse([encoder.encode('event: ping\n\n: x\n\ndata\n\n\n\n')])).toEqual([]);
    // A line without a colon is a field with an empty value (section 9.2.6).
    expect(await parse([encoder.encode('data\ndata:x\n\n')])).toEqual(['\nx']);
  });

  it('show bytes that are no UTF-8 as replacement characters', async () => {
    const bytes = Uint8Array.from([...encoder.encode('data: a'), 0xf0, 0x9f, ...encoder.encode('b\n\n')]);
    expect(await parse(cut(bytes, [8, 9]))).toEqual(['a\ufffdb']);
  });

  it('without end are refused, as one line or as many', async () => {
    const many = (piece: string, times: number): Uint8Array[] => Array.from({ length: times }, () => encoder.encode(piece));
    await expect(parse(many('x'.repeat(1024 * 1024), 6))).rejects.toThrow(/larger than 4 MiB/);
    await expect(parse(many(`data: ${'x'.repeat(1000)}\n`, 5000))).rejects.toThrow(/larger than 4 MiB/);
    expect(await parse(many(`data: ${'x'.repeat(1000)}\n\n`, 5000))).toHaveLength(5000);
  });

  it('of a server that writes CRLF and cuts characters are a whole answer', async () => {
    await using stub = await startStub(async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const events = ['é', '中', '🙂'].map((content) => JSON.stringify({ choices: [{ text: content, finish_reason: null }] }));
      const last = JSON.stringify({
        choices: [{ text: '', finish_reason: 'stop' }],
        usage: { prompt_tokens: 1, completion_tokens: 3 },
      });
      const bytes = encoder.encode([...events, last, '[DONE]'].map((data) => `data:${data}\r\n\r\n`).join(''));
      for (const byte of bytes) {
        response.write(Uint8Array.of(byte));
        await new Promise((resolve) => setImmediate(resolve));
      }
      response.end();
    });
    const engine = new UpstreamEngine({ url: stub.url, model: 'm', circuit: { failures: 5, openMs: 1000 } });
    await engine.load();
    const { text: answer, done } = await collect(engine, request());
    expect(answer).toBe('é中🙂');
    expect(done).toMatchObject({ finishReason: 'stop', completionTokens: 3 });
  });
});
