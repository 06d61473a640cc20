import { describe, expect, it } from 'vitest';
import { snapshotText } from '../../src/slo/record.ts';
import { MAX_SAMPLES_BYTES, parseSamples } from '../../src/slo/samples.ts';

const parse = (text: string) => parseSamples([{ file: 's', text }]);
const T = 1_767_225_600;
const expected = [
  { name: 'requests_total', labels: { code: '200', path: '/a,b"c' }, times: [T * 1000, (T + 60) * 1000], values: [1, 3] },
];

describe('one series in every form', () => {
  it.each([
    [
      'NDJSON',
      `{"time":${T},"metric":"requests_total","labels":{"code":"200","path":"/a,b\\"c"},"value":1}\n{"time":"2026-01-01T00:01:00Z","metric":"requests_total","labels":{"code":"200","path":"/a,b\\"c"},"value":3}\n`,
    ],
    [
      'CSV',
      `time,series,value\n${T},"requests_total{code=""200"",path=""/a,b\\""c""}",1\n2026-01-01T00:01:00Z,"requests_total{code=""200"",path=""/a,b\\""c""}",3\n`,
    ],
    [
      'Prometheus text with times in ms',
      `# TYPE requests_total counter\nrequests_total{code="200",path="/a,b\\"c"} 1 ${T}000\nrequests_total{code="200",path="/a,b\\"c"} 3 ${T + 60}000\n`,
    ],
    [
      'OpenMetrics with times in s',
      `requests_total{code="200",path="/a,b\\"c"} 1 ${T} # {trace="x"} 1\nrequests_total{code="200",path="/a,b\\"c"} 3 ${T + 60}.0\n# EOF\n`,
    ],
    [
      'snapshots',
      snapshotText('# HELP requests_total x\nrequests_total{code="200",} 1\n', { path: '/a,b"c' }, T * 1000) +
        snapshotText('requests_total{code="200"} 3\n', { path: '/a,b"c' }, (T + 60) * 1000),
    ],
  ])('%s', (_title, text) => {
    const series = [...parse(text).byName.values()]
      .flat()
      .map(({ name, labels, times, values }) => ({ name, labels, times, values }));
    expect(series).toEqual(expected);
  });
});

describe('bad samples', () => {
  it.each([
    ['an empty file', '', 's:1: the file holds no samples'],
    ['NDJSON with a broken line', '{"time":1,"metric":"a","value":1}\n{"time":\n', 's:2: the line is not JSON'],
    ['NDJSON without a value', '{"time":1,"metric":"a"}\n', 's:1:'],
    ['NDJSON with an unknown key', '{"time":1,"metric":"a","value":1,"vaule":2}\n', 's:1: unknown key `vaule`'],
    ['NDJSON with a bad metric name', '{"time":1,"metric":"a-b","value":1}\n', 's:1:'],
    ['NDJSON with a bad time', '{"time":"noon","metric":"a","value":1}\n', 's:1: time is "noon"'],
    ['CSV with a short row', 'time,series,value\n1,up\n', 's:2: the row is not a sample'],
    ['CSV with a matcher that is no label', 'time,series,value\n1,"up{a=~""b""}",1\n', 's:2:'],
    ['text without a time', 'up 1\n', 's:1: the sample has no time'],
    ['text that is prose', 'hello world, this is not a metric\n', 's:1: not a sample'],
    ['a scrape line without a number', '# scrape now\nup 1\n', 's:1: the scrape time is "now"'],
    ['a cut-off line', `up{a="b 1 ${T}000\n`, 's:1: not a sample'],
  ])('explains %s', (_title, text, message) => expect(() => parse(text)).toThrow(message));
  it('stops collecting at 20 problems', () =>
    expect(() => parse('x\n'.repeat(100))).toThrow(
      expect.objectContaining({ problems: expect.objectContaining({ length: 20 }) }),
    ));
  it('has a limit on size', () => expect(MAX_SAMPLES_BYTES).toBeLessThanOrEqual(256 * 1024 * 1024));
});
