import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { Collector, type Endpoint, type Outcome, outcomeOf, parseHeaderLines } from '../src/telemetry/collector.ts';
import { Delivery, type DeliveryOptions, restMs } from '../src/telemetry/delivery.ts';
import type { DropReason } from '../src/telemetry/signal.ts';
import { authority } from './support/authority.ts';
import { temporary } from './support/models.ts';
import { type Receiver, type Reply, startReceiver } from './support/receiver.ts';
import { until } from './support/until.ts';

const dir = temporary();
afterAll(dir.remove);

interface Counted {
  exported: number;
  dropped: Partial<Record<DropReason, number>>;
  lags: number[];
  attempts: string[];
}

function deliveryTo(
  receivers: readonly Receiver[],
  more: Partial<DeliveryOptions<string>> = {},
  endpoint: Partial<Endpoint> = {},
): { delivery: Delivery<string>; counted: Counted } {
  const counted: Counted = { exported: 0, dropped: {}, lags: [], attempts: [] };
  const delivery = new Delivery<string>({
    signal: 'logs',
    collectors: receivers.map(
      ({ url }, index) =>
        new Collector({ name: `c${index}`, url: `${url}/v1/logs`, protocol: 'http/json', headers: {}, ...endpoint }, 'test/1'),
    ),
    queue: 100,
    overflow: 'drop-newest',
    batch: 10,
    flushMs: 1,
    timeoutMs: 5000,
    retryForMs: 60_000,
    gzip: true,
    encode: (values) => ({ values }),
    report: {
      exported: (items) => {
        counted.exported += items;
      },
      dropped: (items, reason) => {
        counted.dropped[reason] = (counted.dropped[reason] ?? 0) + items;
      },
      lag: (seconds) => counted.lags.push(seconds),
      attempt: (collector: string, outcome: Outcome) => counted.attempts.push(`${collector} ${outcome.kind}`),
    },
    firstRestMs: 1,
    ...more,
  });
  return { delivery, counted };
}

const entry = (value: string, items = 1) => ({ value, items, at: Date.now() - 20 });

describe('delivery', () => {
  it('sends gzip with the headers of configuration and file, and measures the lag to the acknowledgement', async () => {
    await using receiver = await startReceiver();
    const headersFile = dir.file('headers');
    writeFileSync(headersFile, '# of the collector\nAuthorization: Bearer s3cret\n');
    const { delivery, counted } = deliveryTo([receiver], {}, { headers: { 'x-scope-orgid': 'fleet' }, headersFile });
    delivery.add(entry('a', 3));
    await until(() => counted.exported === 3);
    expect(receiver.received[0]).toMatchObject({
      path: '/v1/logs',
      headers: {
        authorization: 'Bearer s3cret',
        'x-scope-orgid': 'fleet',
        'content-type': 'application/json',
        'content-encoding': 'gzip',
        'user-agent': 'test/1',
      },
      body: { values: ['a'] },
    });
    expect(counted.lags).toHaveLength(1);
    expect(counted.lags[0]).toBeGreaterThanOrEqual(0.02);
    // A rotated secret needs no restart.
    writeFileSync(headersFile, 'Authorization: Bearer other\n');
    delivery.add(entry('b'));
    await until(() => counted.exported === 4);
    expect(receiver.received[1]?.headers.authorization).toBe('Bearer other');
    await delivery.close(1000);
  });

  it('shows its certificate to a collector of an authority of its own, and trusts no other', async () => {
    const [ours, theirs] = [await authority('ours'), await authority('theirs')];
    const server = await ours.issue('CN=collector', { dns: ['localhost'] });
    const client = await ours.issue('CN=runtime');
    const file = (name: string, text: string): string => {
      writeFileSync(dir.file(name), text);
      return dir.file(name);
    };
    await using receiver = await startReceiver(undefined, {
      ...server,
      ca: ours.ca,
      requestCert: true,
      rejectUnauthorized: true,
    });
    const pem = { cert: file('client.crt', client.cert), key: file('client.key', client.key) };
    const trusted = deliveryTo([receiver], {}, { ...pem, ca: file('ours.crt', ours.ca) });
    trusted.delivery.add(entry('a'));
    await until(() => trusted.counted.exported === 1);
    await trusted.delivery.close(1000);
    for (const endpoint of [{ ...pem, ca: file('theirs.crt', theirs.ca) }, { ca: dir.file('ours.crt') }]) {
      const { delivery, counted } = deliveryTo([receiver], { retryForMs: 0 }, endpoint);
      delivery.add(entry('b'));
      await until(() => counted.dropped.retries_exhausted === 1);
      await delivery.close(1000);
    }
    expect(receiver.received).toHaveLength(1);
  });

  it('asks the second collector when the first fails, hangs or refuses, and the first one again later', async () => {
    let broken: Reply | undefined = { status: 503 };
    await using first = await startReceiver(() => broken ?? { status: 200 });
    await using second = await startReceiver();
    const { delivery, counted } = deliveryTo([first, second], { timeoutMs: 100 });
    for (const reply of [{ status: 503 }, 'hang', { status: 401 }, { status: 301, headers: { location: '/' } }] as const) {
      broken = reply;
      const before = second.received.length;
      delivery.add(entry('x'));
      await until(() => second.received.length > before);
    }
    broken = undefined;
    const before = first.received.length;
    await until(() => {
      delivery.add(entry('y'));
      return first.received.length > before && counted.attempts.at(-1) === 'c0 accepted';
    });
    expect(counted.dropped).toEqual({});
    await delivery.close(1000);
  });

  it('waits as long as Retry-After says', async () => {
    await using receiver = await startReceiver((index) =>
      index === 0 ? { status: 429, headers: { 'retry-after': '1' } } : { status: 200 },
    );
    const { delivery, counted } = deliveryTo([receiver]);
    delivery.add(entry('a'));
    await until(() => counted.attempts.length > 0);
    const asked = performance.now();
    await until(() => counted.exported === 1);
    expect(performance.now() - asked).toBeGreaterThan(900);
    await delivery.close(1000);
  });

  it.each<[string, Reply, Partial<Record<DropReason, number>>, number]>([
    [
      'part of a request',
      { status: 200, body: '{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}' },
      { partial_success: 3 },
      2,
    ],
    ['data that it refuses', { status: 400 }, { invalid: 5 }, 0],
    ['nothing of this client', { status: 403 }, { refused: 5 }, 0],
    ['nothing any more', { status: 503 }, { retries_exhausted: 5 }, 0],
  ])('counts what a collector does not take: %s', async (_name, reply, dropped, exported) => {
    await using receiver = await startReceiver(() => reply);
    const { delivery, counted } = deliveryTo([receiver], { retryForMs: 50 });
    delivery.add(entry('a', 5));
    await until(() => delivery.depth === 0);
    expect(counted.dropped).toEqual(dropped);
    expect(counted.exported).toBe(exported);
    await delivery.close(1000);
  });

  it.each([
    ['drop-newest', ['0', '1', '2']],
    ['drop-oldest', ['2', '3', '4']],
  ] as const)('holds at most its queue: %s', async (overflow, kept) => {
    await using receiver = await startReceiver();
    const { delivery, counted } = deliveryTo([receiver], { queue: 3, overflow, flushMs: 60_000 });
    for (let index = 0; index < 5; index += 1) delivery.add(entry(String(index)));
    expect(delivery.depth).toBe(3);
    expect(delivery.ageMs(Date.now())).toBeGreaterThanOrEqual(20);
    await delivery.close(1000);
    expect(receiver.received[0]?.body).toEqual({ values: kept });
    expect(counted).toMatchObject({ exported: 3, dropped: { queue_full: 2 } });
  });

  it('sends a whole batch at once, long before the timer', async () => {
    await using receiver = await startReceiver();
    const { delivery, counted } = deliveryTo([receiver], { batch: 2, queue: 3, flushMs: 60_000 });
    for (let index = 0; index < 2; index += 1) delivery.add(entry('x'));
    await until(() => counted.exported === 2);
    await delivery.close(1000);
  });

  it('ends in time with a collector that hangs, and counts what is left', async () => {
    await using receiver = await startReceiver(() => 'hang');
    const { delivery, counted } = deliveryTo([receiver], { timeoutMs: 60_000, batch: 1 });
    for (let index = 0; index < 3; index += 1) delivery.add(entry('x'));
    await until(() => receiver.received.length > 0);
    await delivery.close(50);
    expect(counted.dropped).toEqual({ shutdown: 3 });
    delivery.add(entry('late'));
    expect(counted.dropped).toEqual({ shutdown: 4 });
  });

  it('loses count of nothing, whatever collectors answer', async () => {
    const reply = fc.constantFrom<Reply>(
      { status: 200 },
      { status: 200, body: '{"partialSuccess":{"rejectedLogRecords":2}}' },
      { status: 200, body: 'not JSON' },
      { status: 400 },
      { status: 404 },
      { status: 429 },
      { status: 503, headers: { 'retry-after': '0' } },
    );
    const replies = fc.array(reply, { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(replies, replies, fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 20 }), async (a, b, items) => {
        await using first = await startReceiver((index) => a[index % a.length]!);
        await using second = await startReceiver((index) => b[index % b.length]!);
        const { delivery, counted } = deliveryTo([first, second], { queue: 6, batch: 3, retryForMs: 20 });
        for (const count of items) {
          delivery.add(entry('x', count));
          if (count === 1) await new Promise((resolve) => setTimeout(resolve, 2));
        }
        await delivery.close(5000);
        const dropped = Object.values(counted.dropped).reduce((sum, value) => sum + value, 0);
        expect(counted.exported + dropped).toBe(items.reduce((sum, value) => sum + value, 0));
        expect(delivery.depth).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});

describe('what an answer means', () => {
  it.each<[number, Outcome['kind']]>([
    [200, 'accepted'],
    [202, 'accepted'],
    [302, 'refused'],
    [400, 'invalid'],
    [401, 'refused'],
    [404, 'refused'],
    [413, 'invalid'],
    [429, 'retry'],
    [500, 'refused'],
    [502, 'retry'],
    [503, 'retry'],
    [504, 'retry'],
  ])('%i: %s', (status, kind) => {
    expect(outcomeOf('traces', { status, retryAfter: undefined, message: undefined }, 0).kind).toBe(kind);
  });

  it('rests longer with each failure, up to 30 s, and never shorter than it is told', () => {
    expect([1, 2, 3, 10, 1000].map((failures) => restMs(failures, undefined, 1))).toEqual([1000, 2000, 4000, 30_000, 30_000]);
    expect(restMs(1, undefined, 0)).toBe(500);
    expect(restMs(1, 120_000, 1)).toBe(120_000);
    // A mistaken date is not the end of a collector.
    expect(restMs(1, 1e15, 1)).toBe(3_600_000);
  });

  it('names no value of a header line that is wrong', () => {
    expect(parseHeaderLines('a: b:c\r\n\n# no\nX-Y:z')).toEqual({ a: 'b:c', 'x-y': 'z' });
    const wrong = (text: string) => () => parseHeaderLines(text);
    expect(wrong('fine: 1\ns3cret value')).toThrow('headers file, line 2: expected `Name: value`');
    expect(wrong('a: s3cret\u0000')).toThrow(/^headers file, line 1: expected `Name: value`$/);
  });
});
