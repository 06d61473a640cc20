import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadEventSchemas } from '../../src/telemetry/events/load.ts';
import { checkEncoding } from '../../src/telemetry/otlp/encoding.ts';
import { checkFleet } from '../../src/telemetry/otlp/fleet.ts';
import { lineOfPath, MAX_REQUEST_BYTES, parseExact, readRequests } from '../../src/telemetry/otlp/json-lines.ts';
import { checkSamples, clusterOfPath, type SampleFile } from '../../src/telemetry/otlp/samples.ts';
import { lines, load, memoryTree, metricFile } from './support.ts';

const OTLP = new URL('../../../shared/data/otlp/', import.meta.url).pathname;

const attribute = (key: string, value: object): object => ({ key, value });
const POINT = {
  attributes: [attribute('app.color', { stringValue: 'red' })],
  startTimeUnixNano: '1700000000000000000',
  timeUnixNano: '1700000000000000001',
  count: '3',
  sum: 1.5,
  bucketCounts: ['1', '2'],
  explicitBounds: [1],
};
const METRIC = { name: 'app.request.duration', unit: 's', histogram: { aggregationTemporality: 2, dataPoints: [POINT] } };
const request = (
  metrics: readonly object[],
  resource: readonly object[] = [attribute('service.name', { stringValue: 'app' })],
  schemaUrl?: string,
): object => ({
  resourceMetrics: [
    {
      resource: { attributes: resource },
      scopeMetrics: [{ scope: { name: 'x' }, metrics }],
      ...(schemaUrl === undefined ? {} : { schemaUrl }),
    },
  ],
});
const point = (change: object): object =>
  request([{ ...METRIC, histogram: { aggregationTemporality: 2, dataPoints: [{ ...POINT, ...change }] } }]);

const file = (path: string, text: string | Uint8Array): SampleFile => ({ path, chunks: [Buffer.from(text)] });
const registry = (
  await load({
    'a.yaml': metricFile({
      extra: '    annotations: {mixgate: {bounds: [1]}}\n',
      attributes: '      - ref: app.color\n        requirement_level: required\n      - ref: app.size\n',
    }),
  })
).registry;
const check = async (
  value: unknown,
  options: { clusters?: string[]; events?: Awaited<ReturnType<typeof loadEventSchemas>> } = {},
) =>
  checkSamples([file('us-east.json', typeof value === 'string' ? value : JSON.stringify(value, null, 1))], {
    registry,
    events: options.events ?? new Map(),
    clusters: options.clusters ?? [],
  });

describe('encoding', () => {
  const problems = (value: unknown): string[] => {
    const found: string[] = [];
    checkEncoding(value, (problem) => found.push(`${problem.level} ${problem.path.join('.')} ${problem.message}`));
    return found;
  };
  const where = 'resourceMetrics.0.scopeMetrics.0.metrics.0.histogram.dataPoints.0';
  const span = (change: object): object => ({
    resourceSpans: [
      {
        scopeSpans: [
          {
            spans: [
              {
                traceId: '5b8efff798038103d269b633813fc60c',
                spanId: 'eee19b7ec3c1b174',
                name: 'x',
                kind: 2,
                startTimeUnixNano: '1',
                endTimeUnixNano: '2',
                ...change,
              },
            ],
          },
        ],
      },
    ],
  });
  const inSpan = 'resourceSpans.0.scopeSpans.0.spans.0';

  test('a right request has no problem', () => {
    expect(problems(point({}))).toEqual([]);
    expect(problems(span({ traceId: '5B8EFFF798038103D269B633813FC60C' }))).toEqual([]);
  });
  test.each<[string, unknown, string[]]>([
    ['no object', [], ['error  the request is a list, expected an object with resourceMetrics, resourceSpans or resourceLogs']],
    [
      'another format',
      { foo: 1 },
      [
        'error  the request has none of resourceMetrics, resourceSpans, resourceLogs',
        'warning foo `foo` in Request is unknown, so receivers ignore it',
      ],
    ],
    [
      'snake_case keys',
      { resource_metrics: [] },
      [
        'error  the request has none of resourceMetrics, resourceSpans, resourceLogs',
        'error resource_metrics `resource_metrics` in Request is snake_case, which receivers ignore',
      ],
    ],
    [
      'a list that is an object',
      { resourceMetrics: {} },
      ['error resourceMetrics `resourceMetrics` is an object, expected a list'],
    ],
    [
      'a fraction of a nanosecond',
      point({ timeUnixNano: 1.5 }),
      [`error ${where}.timeUnixNano \`timeUnixNano\` is a fraction, expected a whole number as a decimal string`],
    ],
    ['a 64-bit integer as a number, which readers take', point({ count: 3 }), []],
    [
      'a negative count',
      point({ count: '-3', bucketCounts: [], explicitBounds: [] }),
      [`error ${where}.count \`count\` does not fit into 64 bits or is negative`],
    ],
    [
      'a count of words',
      point({ count: 'three' }),
      [`error ${where}.count \`count\` is a string, expected a whole number as a decimal string`],
    ],
    [
      'a 32-bit integer as a string',
      point({ flags: '1' }),
      [`error ${where}.flags \`flags\` is a string, expected a whole number (32 bits are written as numbers)`],
    ],
    ['NaN as a string', point({ sum: 'NaN' }), []],
    [
      'a double as another string',
      point({ sum: '1.5' }),
      [`error ${where}.sum \`sum\` is a string, expected a number, "NaN", "Infinity" or "-Infinity"`],
    ],
    [
      'too few buckets',
      point({ bucketCounts: ['3'] }),
      [`error ${where} a histogram point does not have one bucket more than bounds (or none of both)`],
    ],
    ['no buckets at all', point({ bucketCounts: [], explicitBounds: [] }), []],
    [
      'buckets that do not add up',
      point({ bucketCounts: ['1', '1'] }),
      [`error ${where} the bucketCounts of a histogram point do not add up to its count`],
    ],
    [
      'bounds that do not ascend',
      point({ bucketCounts: ['1', '1', '1'], explicitBounds: [2, 1] }),
      [`error ${where} the explicitBounds of a histogram point do not ascend`],
    ],
    [
      'a temporality by name',
      request([{ ...METRIC, histogram: { ...METRIC.histogram, aggregationTemporality: 'AGGREGATION_TEMPORALITY_DELTA' } }]),
      [
        'error resourceMetrics.0.scopeMetrics.0.metrics.0.histogram.aggregationTemporality `aggregationTemporality` is a name, expected the number of the enum (0..2)',
      ],
    ],
    [
      'a value with two types',
      point({ attributes: [attribute('a', { stringValue: 'x', intValue: '1' })] }),
      [`error ${where}.attributes.0.value an attribute value has stringValue and intValue, expected exactly one`],
    ],
    ['an empty value, which means null', point({ attributes: [attribute('a', {})] }), []],
    [
      'a kind by name',
      span({ kind: 'SPAN_KIND_SERVER' }),
      [`error ${inSpan}.kind \`kind\` is a name, expected the number of the enum (0..5)`],
    ],
    [
      'a trace id in base64',
      span({ traceId: 'W47/95gDgQPSabYzgT/GDA==' }),
      [`error ${inSpan}.traceId \`traceId\` is not 32 hexadecimal characters but base64`],
    ],
    [
      'a span id that is too short',
      span({ spanId: 'eee19b' }),
      [`error ${inSpan}.spanId \`spanId\` is not 16 hexadecimal characters`],
    ],
    [
      'an unknown key',
      span({ spanKind: 2 }),
      [`warning ${inSpan}.spanKind \`spanKind\` in Span is unknown, so receivers ignore it`],
    ],
  ])('%s', (_, value, expected) => expect(problems(value)).toEqual(expected));

  test('any JSON is checked without an exception', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => void problems(value)));
    fc.assert(
      fc.property(
        fc.jsonValue(),
        (value) =>
          void problems({ resourceMetrics: [{ scopeMetrics: [{ metrics: [value, { histogram: { dataPoints: [value] } }] }] }] }),
      ),
    );
  });
  test('nesting without end is cut', () => {
    let value: object = { stringValue: 'x' };
    for (let depth = 0; depth < 200; depth += 1) value = { arrayValue: { values: [value] } };
    expect(problems(point({ attributes: [attribute('a', value)] }))).toEqual([expect.stringContaining('nested deeper than 32')]);
  });
});

describe('reading', () => {
  const read = async (
    ...chunks: (string | Uint8Array)[]
  ): Promise<{ values: unknown[]; lines: number[]; problems: string[] }> => {
    const problems: string[] = [];
    const values: unknown[] = [];
    const at: number[] = [];
    for await (const found of readRequests(
      chunks.map((chunk) => Buffer.from(chunk)),
      (problem) => problems.push(`${problem.line}: ${problem.message}`),
    )) {
      values.push(found.value);
      at.push(found.line);
    }
    return { values, lines: at, problems };
  };
  test.each<[string, string[], unknown[], number[]]>([
    ['one object', ['{"a":1}'], [{ a: 1 }], [1]],
    ['a pretty-printed object', ['{\n "a": [\n  {"b": 1}\n ]\n}\n'], [{ a: [{ b: 1 }] }], [1]],
    ['JSON lines with empty lines between', ['{"a":1}\n\n{"b":2}\n'], [{ a: 1 }, { b: 2 }], [1, 3]],
    [
      'chunks that cut a line and a character',
      ['{"a":"\u00e4'.slice(0, 6), '\u00e4"}\n{"b"', ':2}'],
      [{ a: '\u00e4' }, { b: 2 }],
      [1, 2],
    ],
  ])('%s', async (_, chunks, values, at) => expect(await read(...chunks)).toEqual({ values, lines: at, problems: [] }));
  test.each<[string, Uint8Array | string, string]>([
    ['half a file', '{"a":', '1: it is not JSON'],
    ['binary', new Uint8Array([123, 0, 125]), '1: the file is binary'],
    ['not UTF-8', new Uint8Array([0xff, 0x41]), '1: the file is not UTF-8 text'],
    ['a bad second line', '{"a":1}\n{"b":\n', '2: it is not JSON'],
  ])('%s is one problem with its line', async (_, text, problem) =>
    expect((await read(text)).problems).toEqual([expect.stringContaining(problem)]),
  );
  test('one request that is too large is refused before it is parsed', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 'a');
    const problems: string[] = [];
    let sent = 0;
    const endless = (function* () {
      yield Buffer.from('{"a":"');
      for (;;) {
        sent += chunk.length;
        yield chunk;
      }
    })();
    for await (const _ of readRequests(endless, (problem) => problems.push(problem.message))) expect.unreachable();
    expect(problems).toEqual([`one request is larger than ${MAX_REQUEST_BYTES} bytes`]);
    expect(sent).toBeLessThan(MAX_REQUEST_BYTES + 2 * chunk.length);
  });
  test('nanoseconds keep every digit', () => {
    expect(parseExact('{"t": 1700000000000000001}')).toEqual({ t: 1700000000000000001n });
    expect(parseExact('{"t": "1700000000000000001", "x": 1e3}')).toEqual({ t: '1700000000000000001', x: 1000 });
  });
  test('the line of any value is found again', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value, null, 1);
        const paths: (string | number)[][] = [[]];
        const walk = (node: unknown, path: (string | number)[]): void => {
          if (typeof node !== 'object' || node === null) return;
          for (const [key, item] of Object.entries(node)) {
            const next = [...path, Array.isArray(node) ? Number(key) : key];
            paths.push(next);
            walk(item, next);
          }
        };
        walk(value, []);
        // JSON.stringify with an indent puts one element or member on a line: the n-th path in document order is found on a line of its own.
        let last = 0;
        for (const path of paths) {
          const line = lineOfPath(text, path);
          expect(line).toBeGreaterThan(last);
          last = line;
        }
      }),
    );
  });
});

describe('values against the registry', () => {
  const withMetric = (change: object): object => request([{ ...METRIC, ...change }]);
  test('a right sample has no finding', async () => expect((await check(point({}))).findings).toEqual([]));
  test.each<[string, unknown, string[]]>([
    [
      'an unknown metric in our namespace',
      withMetric({ name: 'app.request.durations' }),
      ['error telemetry-sample-metric-unknown us-east.json:20'],
    ],
    [
      'a metric of a foreign vocabulary',
      withMetric({ name: 'vllm:num_requests_running' }),
      ['note telemetry-sample-metric-unknown us-east.json:20'],
    ],
    ['another unit', withMetric({ unit: 'ms' }), ['error telemetry-sample-unit-mismatch us-east.json:22']],
    ['no unit', withMetric({ unit: '' }), ['error telemetry-sample-unit-mismatch us-east.json:22']],
    [
      'another instrument',
      request([{ name: METRIC.name, unit: 's', gauge: { dataPoints: [{ attributes: POINT.attributes, asDouble: 1 }] } }]),
      ['error telemetry-sample-instrument-mismatch us-east.json:20'],
    ],
    [
      'delta temporality',
      withMetric({ histogram: { ...METRIC.histogram, aggregationTemporality: 1 } }),
      ['error telemetry-sample-temporality us-east.json:24'],
    ],
    ['other bounds', point({ explicitBounds: [2] }), ['warning telemetry-sample-bounds us-east.json:43']],
    ['a required attribute missing', point({ attributes: [] }), ['error telemetry-sample-attribute-missing us-east.json:26']],
    [
      'an attribute that the metric does not have',
      point({ attributes: [...POINT.attributes, attribute('app.place', { stringValue: 'x' })] }),
      ['warning telemetry-sample-attribute-unknown us-east.json:27'],
    ],
    [
      'an undefined enum value',
      point({ attributes: [attribute('app.color', { stringValue: 'redd' })] }),
      ['error telemetry-sample-enum-undefined us-east.json:27'],
    ],
    [
      'a wrong type',
      point({ attributes: [...POINT.attributes, attribute('app.size', { stringValue: '3' })] }),
      ['error telemetry-sample-type-mismatch us-east.json:27'],
    ],
    [
      'the overflow point',
      point({ attributes: [attribute('otel.metric.overflow', { boolValue: true })] }),
      ['error telemetry-sample-overflow us-east.json:26'],
    ],
    ['half a file', '{"resourceMetrics": [', ['error telemetry-otlp-unreadable us-east.json:1']],
    ['an empty file', '', ['error telemetry-otlp-unreadable us-east.json:1']],
  ])('%s', async (_, value, expected) => expect(lines((await check(value)).findings)).toEqual(expected));

  test('an int is taken where a double is declared', async () => {
    const { registry: doubles } = await load({
      'a.yaml': metricFile({ attributes: '      - ref: app.size\n' }).replace('type: int', 'type: double'),
    });
    const result = await checkSamples(
      [file('a.json', JSON.stringify(point({ attributes: [attribute('app.size', { intValue: '3' })] })))],
      { registry: doubles, events: new Map(), clusters: [] },
    );
    expect(result.findings).toEqual([]);
  });

  test('a deprecated name says the new one', async () => {
    const { registry: old } = await load({
      'a.yaml': metricFile({ extra: '    deprecated: {reason: renamed, renamed_to: app.time}\n' }),
    });
    const result = await checkSamples([file('a.json', JSON.stringify(point({})))], {
      registry: old,
      events: new Map(),
      clusters: [],
    });
    expect(result.findings.map((finding) => [finding.ruleId, finding.fix])).toEqual([
      ['telemetry-sample-deprecated', 'Send `app.time` instead.'],
    ]);
  });

  test('the same mistake in a thousand points is one finding with its count', async () => {
    const points = Array.from({ length: 1000 }, () => ({ ...POINT, attributes: [] }));
    const { findings } = await check(request([{ ...METRIC, histogram: { aggregationTemporality: 2, dataPoints: points } }]));
    expect(findings.map((finding) => [finding.ruleId, finding.evidence])).toEqual([
      ['telemetry-sample-attribute-missing', { occurrences: 1000, clusters: ['us-east'] }],
    ]);
  });

  test('a million different mistakes are bounded', async () => {
    const points = Array.from({ length: 3000 }, (_, index) => ({
      ...POINT,
      attributes: [attribute('app.color', { stringValue: `c${index}` })],
    }));
    const { findings } = await check(request([{ ...METRIC, histogram: { aggregationTemporality: 2, dataPoints: points } }]));
    expect(findings.length).toBe(501);
    expect(findings.at(-1)!.message).toContain('2500 more are not listed');
  });

  test('logs: required attributes and the event body against its JSON Schema', async () => {
    const events = await loadEventSchemas(
      memoryTree({
        'app.done.schema.json': JSON.stringify({
          type: 'object',
          required: ['id'],
          properties: { id: { type: 'string', pattern: '^[a-z]+$' }, n: { type: 'integer' } },
        }),
      }),
      '',
      [],
    );
    const log = (body: object): object => ({
      resourceLogs: [{ scopeLogs: [{ logRecords: [{ eventName: 'app.done', body }] }] }],
    });
    const kv = (...pairs: object[]): object => ({ kvlistValue: { values: pairs } });
    expect(
      (await check(log(kv(attribute('id', { stringValue: 'abc' }), attribute('n', { intValue: '3' }))), { events })).findings,
    ).toEqual([]);
    expect(
      (await check(log(kv(attribute('n', { stringValue: 'x' }))), { events })).findings.map((finding) => finding.message),
    ).toEqual([
      "The event `app.done` does not match its schema: the body must have required property 'id'.",
      'The event `app.done` does not match its schema: `n` must be integer.',
    ]);
  });

  test('a pattern that backtracks without end is stopped', async () => {
    const events = await loadEventSchemas(
      memoryTree({ 'app.done.schema.json': JSON.stringify({ properties: { id: { type: 'string', pattern: '^(a+)+$' } } }) }),
      '',
      [],
    );
    const body = { kvlistValue: { values: [attribute('id', { stringValue: `${'a'.repeat(60)}!` })] } };
    const { findings } = await check(
      { resourceLogs: [{ scopeLogs: [{ logRecords: [{ eventName: 'app.done', body }] }] }] },
      { events },
    );
    expect(findings.map((finding) => finding.message)).toEqual([
      'The event `app.done` could not be checked: a pattern of its schema takes too long.',
    ]);
  });
});

describe('the fleet', () => {
  const FLEET = { registry, coverage: [], minSamples: 1, configFile: 'mixgate.yaml' } as const;
  const fleet = async (clusters: { [cluster: string]: object }, options: Partial<Parameters<typeof checkFleet>[1]> = {}) => {
    const { observed } = await checkSamples(
      Object.entries(clusters).map(([cluster, value]) => file(`${cluster}.json`, JSON.stringify(value))),
      { registry, events: new Map(), clusters: Object.keys(clusters) },
    );
    return checkFleet(observed, { ...FLEET, ...options });
  };
  test('clusters that agree have no finding', async () =>
    expect((await fleet({ eu: point({}), us: point({}) })).findings).toEqual([]));
  test.each<[string, object, string]>([
    ['a unit', request([{ ...METRIC, unit: 'ms' }]), 'telemetry-fleet-unit-differs'],
    ['bounds', point({ explicitBounds: [2] }), 'telemetry-fleet-bounds-differ'],
    [
      'temporality',
      request([{ ...METRIC, histogram: { ...METRIC.histogram, aggregationTemporality: 1 } }]),
      'telemetry-fleet-temporality-differs',
    ],
    ['keys', point({ attributes: [attribute('app.colour', { stringValue: 'red' })] }), 'telemetry-fleet-keys-differ'],
    [
      'the schema version',
      request([METRIC], [], 'https://opentelemetry.io/schemas/1.28.0'),
      'telemetry-fleet-schema-url-differs',
    ],
  ])('%s that differs in one cluster names that cluster', async (_, odd, rule) => {
    const same = request([METRIC], [], 'https://opentelemetry.io/schemas/1.41.1');
    const right = rule === 'telemetry-fleet-schema-url-differs' ? same : point({});
    const { findings } = await fleet({ eu: right, us: odd, ap: right });
    expect(findings.map((finding) => [finding.ruleId, finding.subject])).toEqual([[rule, 'us']]);
  });
  test('a producer that sends nothing fails, one that sends too little is inconclusive', async () => {
    const coverage = [
      { cluster: 'eu', service: 'app', metrics: ['app.request.duration'], minSamples: 3 },
      { cluster: 'us', service: 'app', metrics: ['app.request.duration'] },
    ];
    const result = await fleet({ eu: point({}) }, { coverage });
    expect(result.findings.map((finding) => finding.ruleId)).toEqual([
      'telemetry-coverage-missing',
      'telemetry-samples-insufficient',
    ]);
    expect(result.inconclusive).toBe('Too few samples: 2 more points of app.request.duration from app in eu needed.');
    expect(result.coverage.map((row) => row.at(-1))).toEqual(['too few', 'missing']);
  });
  test('more label sets than the limit fail', async () => {
    const points = Array.from({ length: 30 }, (_, index) => ({
      ...POINT,
      attributes: [attribute('app.color', { stringValue: String(index) })],
    }));
    const { findings } = await fleet(
      { eu: request([{ ...METRIC, histogram: { aggregationTemporality: 2, dataPoints: points } }]) },
      { limit: 20 },
    );
    expect(findings.map((finding) => finding.ruleId)).toEqual(['telemetry-sample-cardinality']);
  });
  test('no samples at all is inconclusive', async () =>
    expect((await fleet({})).inconclusive).toBe('Too few samples: 1 more data points, spans or log records needed.'));
  test.each([
    ['samples/eu-west.metrics.json', ['eu', 'eu-west'], 'eu-west'],
    ['samples/other.json', ['eu'], 'other'],
  ])('the cluster of %s', (path, clusters, expected) => expect(clusterOfPath(path, clusters)).toBe(expected));
});

describe.skipIf(!existsSync(OTLP))('the published OTLP/JSON examples (skipped: shared/data/otlp is not here)', () => {
  test.each(['metrics.json', 'trace.json', 'logs.json', 'events.json'])('%s breaks no encoding rule', (name) => {
    const found: string[] = [];
    checkEncoding(JSON.parse(readFileSync(join(OTLP, name), 'utf8')), (problem) => found.push(problem.message));
    expect(found).toEqual([]);
  });
  test('their metrics are no gen_ai metrics: nothing is known of them, so they are notes', async () => {
    const result = await checkSamples([file('metrics.json', readFileSync(join(OTLP, 'metrics.json')))], {
      registry,
      events: new Map(),
      clusters: [],
    });
    expect(new Set(result.findings.map((finding) => `${finding.level} ${finding.ruleId}`))).toEqual(
      new Set(['note telemetry-sample-metric-unknown']),
    );
    expect(result.observed.metrics.get(JSON.stringify(['my.histogram', 'metrics']))).toMatchObject({
      points: 1,
      temporalities: new Set([1]),
    });
  });
});

test('a hostile file with thousands of unknown metrics in one large request is judged in bounded work', async () => {
  const metrics = Array.from({ length: 8000 }, (_, index) => ({
    name: `app.m${index}`,
    unit: 'x'.repeat(200),
    gauge: { dataPoints: [] },
    [`k${index}`]: 1,
  }));
  const { findings, observed } = await check(request(metrics));
  expect(observed.metrics.size).toBe(8000);
  expect(findings.length).toBe(501);
});
