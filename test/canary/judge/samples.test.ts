import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { readSamples } from '../../../src/canary/read-samples.ts';
import { metricTable } from '../../../src/canary/run/metric-table.ts';
import { splitCsv } from '../../../src/canary/sample-rows.ts';
import { k6Problem, samplesToCase } from '../../../src/canary/samples.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { judgeSamples, lognormal } from './cases.ts';

const folder = temporaryFolder();

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function k6(values: number[], tags: Record<string, string> = {}, metric = 'http_req_duration', pairs = false): string {
  const head = JSON.stringify({
    type: 'Metric',
    metric,
    data: { name: metric, type: 'trend', contains: 'time', thresholds: [], submetrics: null },
  });
  const points = values.map((value, i) =>
    JSON.stringify({
      metric,
      type: 'Point',
      data: { time: new Date(1.7e12 + i * 1000).toISOString(), value, tags, ...(pairs ? { metadata: { pair: String(i) } } : {}) },
    }),
  );
  return `${[head, ...points].join('\n')}\n`;
}

const A = lognormal(120, 'a');
const B = lognormal(120, 'b');

describe('k6 NDJSON', () => {
  test('two files, unpaired', async () => {
    const [b, c] = [await readSamples(file('b.ndjson', k6(A))), await readSamples(file('c.ndjson', k6(B.map((v) => v * 1.4))))];
    const result = judgeSamples(b, c);
    expect(result.verdict).toBe('fail');
    expect(result.metrics[0]).toMatchObject({ name: 'http_req_duration', n: [120, 120] });
  });
  test('one gzipped file with arm tags and pair metadata is judged in pairs, by segment', async () => {
    const text =
      k6(A, { arm: 'baseline', segment: 'en' }, 'ttft', true) +
      k6(
        A.map((v) => v * 1.1),
        { arm: 'candidate', segment: 'en' },
        'ttft',
        true,
      );
    const set = await readSamples(file('both.ndjson.gz', gzipSync(text)));
    const { input, invalid } = samplesToCase(set, set);
    expect(invalid).toEqual([]);
    expect(input).toMatchObject({
      design: 'paired',
      metrics: [{ name: 'ttft', segment: 'en', kind: 'continuous', direction: 'lower' }],
    });
    expect(judgeSamples(set, set).verdict).toBe('fail');
  });
  test('rates become binary outcomes; checks are better when higher', async () => {
    const rate = (name: string): string =>
      k6(
        A.map((_, i) => i % 2),
        {},
        name,
      ).replace('"type":"trend"', '"type":"rate"');
    const set = [
      await readSamples(file('r1.ndjson', rate('checks') + rate('http_req_failed'))),
      await readSamples(file('r2.ndjson', rate('checks') + rate('http_req_failed'))),
    ] as const;
    expect(samplesToCase(...set).input.metrics.map((m) => [m.name, m.kind, m.direction])).toEqual([
      ['checks', 'binary', 'higher'],
      ['http_req_failed', 'binary', 'lower'],
    ]);
  });
  test.each([
    [
      'dropped iterations',
      () => k6(A) + k6([1, 1, 1], {}, 'dropped_iterations').replace('"type":"trend"', '"type":"counter"'),
      /dropped 3 iterations/,
    ],
    ['a file cut in the middle of a line', () => k6(A).slice(0, -40), /cut short/],
    [
      'a generator that sends one request in five late, by its own record',
      () =>
        k6(A) +
        k6(
          A.map((_, i) => (i % 5 === 0 ? 400 : 0)),
          { arm: 'generator' },
          'mixgate_generator_lag_ms',
        ),
      /saturated: one request in ten was sent 400 ms late or later, against \d+ ms for a median answer/,
    ],
    [
      'requests that wait for a free connection',
      () =>
        k6(A) +
        k6(
          A.map(() => 0.2),
          {},
          'http_req_connecting',
        ) +
        k6(
          A.map((_, i) => (i % 4 === 0 ? 700 : 0.1)),
          {},
          'http_req_blocked',
        ),
      /saturated: one request in ten was sent 700 ms late/,
    ],
    ['a gzip stream cut short', () => gzipSync(k6(A)).subarray(0, 900), /cut short/],
  ])('%s: inconclusive, whatever the numbers say', async (name, content, reason) => {
    const b = await readSamples(file(`${name}.ndjson`, content()));
    const c = await readSamples(file('slow.ndjson', k6(B.map((v) => v * 3))));
    const result = judgeSamples(b, c);
    expect(result.verdict).toBe('inconclusive');
    expect(result.reason).toMatch(reason);
  });
  test('connections that take long to open are no generator that lags', async () => {
    const opening = A.map(() => 300);
    const slow = k6(A) + k6(opening, {}, 'http_req_connecting') + k6(opening, {}, 'http_req_blocked');
    const sets = [await readSamples(file('open1', slow)), await readSamples(file('open2', k6(B)))] as const;
    expect(samplesToCase(...sets).invalid).toEqual([]);
  });
  test('unequal load: inconclusive', async () => {
    const reqs = (n: number): string => k6(new Array(n).fill(1), {}, 'http_reqs').replace('"type":"trend"', '"type":"counter"');
    const result = judgeSamples(
      await readSamples(file('l1', k6(A) + reqs(100))),
      await readSamples(file('l2', k6(B) + reqs(60))),
    );
    expect(result).toMatchObject({
      verdict: 'inconclusive',
      reason: 'the run is not valid: the arms carried unequal load: 100 against 60 requests',
    });
  });
  test.each([
    [0, undefined],
    [99, undefined],
    [105, 'k6 was aborted (exit 105)'],
    [107, 'the k6 script threw an exception (exit 107)'],
    [3, 'k6 ended with exit code 3'],
  ])('k6 exit code %d: %s', (code, text) => expect(k6Problem(code)).toBe(text));
  test('a metric that was asked for and is in neither file has no data', async () => {
    const set = [await readSamples(file('n1', k6(A))), await readSamples(file('n2', k6(B)))] as const;
    const result = judgeSamples(...set, { metrics: [{ name: 'ttft_ms' }] });
    expect(result).toMatchObject({ verdict: 'inconclusive', reason: 'ttft_ms: no data in both arms' });
  });
});

describe('CSV', () => {
  test('our header, one file with arms, NaN is missing', async () => {
    const rows = [...A.map((v) => `latency,${v},baseline`), ...B.map((v, i) => `latency,${i === 0 ? 'NaN' : v},candidate`)];
    const set = await readSamples(file('s.csv', `metric,value,arm\n${rows.join('\n')}`));
    const result = judgeSamples(set, set);
    expect(result.verdict).toBe('pass');
    expect(result.metrics[0]!.n).toEqual([120, 119]);
  });
  test('a column for each metric; an empty field and what is not finite are missing points', async () => {
    const rows = ['1,de,p1,100,0', '2,de,p2,,1', '3,en,p3,+Inf,0', '4,en,p4,-inf,0', '5,en,p5,130,n/a'];
    const set = await readSamples(file('w.csv', `\uFEFFtime,segment,pair,TTFT_ms,error\r\n${rows.join('\r\n')}\r\n`));
    expect(set.series.map(({ metric, segment, values, pairs }) => [metric, segment, values, pairs])).toEqual([
      ['TTFT_ms', 'de', [100, Number.NaN], ['p1', 'p2']],
      ['error', 'de', [0, 1], ['p1', 'p2']],
      ['TTFT_ms', 'en', [Number.NaN, Number.NaN, 130], ['p3', 'p4', 'p5']],
      ['error', 'en', [0, 0, Number.NaN], ['p3', 'p4', 'p5']],
    ]);
  });

  test('says which arms a file has', async () => {
    const set = await readSamples(file('arms.csv', 'metric,value,arm\nm,1,control\nm,2,canary\n'));
    expect(() => judgeSamples(set, set)).toThrow(/no samples of the arm baseline, only of control, canary/);
  });

  test('the report says which way was taken for better', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => `${100 + (i % 7)},${0.9 + (i % 5) / 100}`);
    const [b, c] = await Promise.all(
      ['b', 'c'].map((name) => readSamples(file(`${name}.csv`, `ms,accuracy\n${rows.join('\n')}\n`))),
    );
    expect(metricTable(judgeSamples(b!, c!), 'pair id').note).toMatch(
      /Higher is better for accuracy\. Lower is better for the others\.$/,
    );
  });

  test("k6's own CSV header and extra tags", async () => {
    const rows = [
      ...A.map((v, i) => `lat,${1000 + i},${v},arm=baseline&segment=de`),
      ...B.map((v, i) => `lat,${1000 + i},${v},arm=candidate&segment=de`),
    ];
    const set = await readSamples(file('k.csv', `metric_name,timestamp,metric_value,extra_tags\n${rows.join('\n')}\n`));
    expect(samplesToCase(set, set).input.metrics[0]).toMatchObject({ name: 'lat', segment: 'de' });
  });
  test('quotes', () => expect(splitCsv('a,"b ""x"", y",c')).toEqual(['a', 'b "x", y', 'c']));
});

describe('bad files end in one clear message', () => {
  test.each([
    [
      'bad.ndjson',
      '{"type":"Point"}\nnot json\n{"metric":"m","type":"Point","data":{"value":1}}\n',
      /bad\.ndjson:2: not a JSON line/,
    ],
    ['bad.csv', 'metric,value\nm,1\nm,abc\nm,2\n', /bad\.csv:3: expected a number as value, got "abc"/],
    ['wide.csv', 'metric,value\nm,1,2\nm,2\n', /wide\.csv:2: expected 2 fields, got 3/],
    ['header.csv', 'latency,value\nttft,1\n', /header\.csv:2: expected a number as latency, got "ttft"/],
    ['typo.csv', 'metric,vaule\nm,1\n', /header must name the columns metric and value, or each metric/],
    ['none.csv', 'm,102.3\nm,99\n', /header must name the columns metric and value/],
    ['twice.csv', 'a,a\n1,2\n', /header must name the columns metric and value/],
    ['semicolon.csv', 'metric;value\nm;1\n', /got metric;value; fields are separated by commas/],
    ['empty.ndjson', '', /holds no samples/],
    ['long.csv', `metric,value\n${'x'.repeat(1_200_000)}`, /line longer than/],
    ['binary.bin', new Uint8Array([0, 1, 2, 3, 250, 251, 10, 0]), /header must name the columns/],
  ])('%s', async (name, content, message) => {
    await expect(readSamples(file(name, content))).rejects.toThrow(message);
  });
  test('missing file', async () => expect(readSamples(join(folder, 'nowhere.csv'))).rejects.toThrow(/there is no such file/));
  test('folder', async () => expect(readSamples(folder)).rejects.toThrow(/it is a folder/));
  test('an arm that is not there', async () => {
    const set = await readSamples(file('one.csv', 'metric,value,arm\nm,1,baseline\n'));
    expect(() => samplesToCase(set, set)).toThrow(/has no samples of the arm candidate/);
  });
});
