import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { decisionEvent } from '../../reference-runtime/src/policy/decision-log.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { readCorpus } from '../../src/policy/corpus.ts';
import { decisionDiff } from '../../src/policy/diff.ts';
import { diffPolicies } from '../../src/policy/operations.ts';
import { domainDocument, policy, shown, side, testBench } from './support.ts';

const bench = await testBench();
const lines = (...inputs: readonly unknown[]): Buffer => Buffer.from(inputs.map((input) => JSON.stringify(input)).join('\n'));
const corpus = readCorpus(
  lines({ input: { t: 'a', n: 1 } }, { input: { t: 'a', n: 9, long: 'x'.repeat(20) }, weight: 8 }, { input: { t: 'b', n: 9 } }),
  'corpus.ndjson',
  'p/decision',
);

const BASE =
  'package p\n\ndefault decision := {"allow": false, "rule": "none"}\n\ndecision := {"allow": true, "target": {"pool": "x"}, "rule": "small", "priority": 1} if input.n < data.limit\n';
const edit = (from: string, to: string): string => BASE.replace(from, to);

async function diff(
  head: string,
  baseData: JsonObject = { limit: 5 },
  headData: JsonObject = { limit: 5 },
): Promise<Awaited<ReturnType<typeof decisionDiff>>> {
  const [a, b] = [await side(bench, await policy(BASE, baseData)), await side(bench, await policy(head, headData))];
  return decisionDiff(a, b, 'p/decision', corpus.inputs);
}

describe('decision diff', () => {
  test('the same policy gives an empty diff', async () => {
    expect(await diff(BASE)).toMatchObject({ replayed: 3, changed: 0, groups: [] });
  });
  test('another text with the same decisions gives an empty diff', async () => {
    expect(await diff(edit('input.n < data.limit', 'not input.n >= data.limit'))).toMatchObject({ changed: 0, groups: [] });
  });
  test.each([
    ['widened', edit('input.n < data.limit', 'input.n < 100')],
    ['narrowed', edit('input.n < data.limit', 'input.n < 0')],
    ['rerouted', edit('"x"', '"y"')],
    ['obligation-changed', edit('"priority": 1', '"priority": 2')],
    ['reason-changed', edit('"small"', '"tiny"')],
    ['became-undefined', edit('default decision := {"allow": false, "rule": "none"}', '')],
    ['error', `${BASE}\ndecision := {"allow": true} if input.n == 1\n`],
  ])('%s is found, on the line of head that decided', async (name, head) => {
    const result = await diff(head);
    expect(result.groups.map((g) => g.class)).toEqual([name]);
    const [group] = result.groups;
    expect(group!.example.input).toEqual(['widened', 'became-undefined'].includes(name) ? { t: 'b', n: 9 } : { t: 'a', n: 1 });
    expect(group!.causes).toMatchObject({ data: 0, both: 0 });
    const decided = group!.example.head.attribution?.because[0] ?? group!.example.head.attribution?.decided;
    if (name === 'widened' || name === 'rerouted') expect([decided?.rule, decided?.location.line]).toEqual(['p.decision', 5]);
  });
  test('traffic share counts weights', async () => {
    const result = await diff(edit('input.n < data.limit', 'input.n < 100'));
    expect(result.groups[0]).toMatchObject({ count: 2, weight: 9, share: 0.9 });
  });
  test('a change of data is told from a change of policy', async () => {
    expect((await diff(BASE, { limit: 5 }, { limit: 100 })).groups[0]!.causes).toEqual({ policy: 0, data: 2, both: 0 });
    expect((await diff(edit('data.limit', '100'), { limit: 5 }, { limit: 6 })).groups[0]!.causes).toEqual({
      policy: 2,
      data: 0,
      both: 0,
    });
    expect((await diff(edit('data.limit', 'data.ceiling'), { limit: 5 }, { limit: 5, ceiling: 100 })).groups[0]!.causes).toEqual({
      policy: 0,
      data: 0,
      both: 2,
    });
  });
  test('findings say class, share and place, the changed definition first', async () => {
    const head = edit('default decision', 'default decision').concat(
      '\ndecision := {"allow": true, "target": {"pool": "y"}, "rule": "large"} if input.n > 8\n',
    );
    const gate = await diffPolicies(bench, await policy(BASE, { limit: 5 }), await policy(head, { limit: 5 }), {
      entrypoint: 'p/decision',
      corpus,
      document: undefined,
      maxPoints: 100,
      blocking: ['widened'],
    });
    expect(gate.verdict).toBe('fail');
    expect(shown(gate.findings)).toEqual(['policy-decision-widened p.rego:7']);
    expect(gate.findings[0]!.message).toBe(
      '90.0 % of replayed traffic (2 of 3 requests) is refused on base and allowed on head.',
    );
  });
  test('a request that moves to another jurisdiction is rerouted, and both are named', async () => {
    const data = { fleet: { clusters: { fra: { jurisdiction: 'EU' }, iad: { jurisdiction: 'US' } } } };
    const to = (cluster: string): string => `package p\n\ndecision := {"allow": true, "target": {"cluster": "${cluster}"}}\n`;
    const gate = await diffPolicies(bench, await policy(to('fra'), data), await policy(to('iad'), data), {
      entrypoint: 'p/decision',
      corpus,
      document: undefined,
      maxPoints: 100,
      blocking: undefined,
    });
    expect(shown(gate.findings)).toEqual(['policy-decision-rerouted p.rego:3']);
    expect(gate.findings[0]!.message).toContain('Jurisdiction EU to US.');
    expect(gate.findings[0]!.evidence).toMatchObject({
      example: { base: { jurisdiction: 'EU' }, head: { jurisdiction: 'US' } },
    });
  });
  test('a class that no recorded request meets is found on the domain', async () => {
    const document = domainDocument({ base: { n: 1 }, vary: { n: [1, { boundaries: true }] } });
    const narrow = readCorpus(lines({ input: { n: 1 } }), 'corpus.ndjson', 'p/decision');
    const gate = await diffPolicies(bench, await policy(BASE, { limit: 5 }), await policy(edit('<', '<='), { limit: 5 }), {
      entrypoint: 'p/decision',
      corpus: narrow,
      document,
      maxPoints: 100,
      blocking: undefined,
    });
    expect(shown(gate.findings)).toEqual(['policy-decision-widened p.rego:5']);
    expect(gate.findings[0]!.message).toContain('of the input domain (1 of 4 requests)');
  });
  test('two runs give the same bytes', async () => {
    const strip = (d: Awaited<ReturnType<typeof diff>>): string => JSON.stringify({ ...d, seconds: 0 });
    const head = edit('input.n < data.limit', 'input.n < 100');
    expect(strip(await diff(head))).toBe(strip(await diff(head)));
  });
});

describe('replay corpus', () => {
  test('OPA decision-log events are read, and what cannot be replayed is counted by reason', () => {
    const read = readCorpus(
      Buffer.from(
        [
          '{"decision_id":"1","path":"p/decision","input":{"a":1},"result":true,"timestamp":"2026-01-01T00:00:00Z"}',
          '{"path":"/p/decision","input":null}',
          'not json',
          '{"path":"other/rule","input":1}',
          '{"input":1,"erased":["/input/a"]}',
          '{"input":1,"nd_builtin_cache":{"time.now_ns":{}}}',
          '{"result":1}',
          '[1]',
          '{"input":1,"weight":-1}',
          `{"input":${'['.repeat(200)}${']'.repeat(200)}}`,
        ].join('\n'),
      ),
      'c.ndjson',
      'p/decision',
    );
    expect(read.inputs.map((i) => [i.input, i.line])).toEqual([
      ['{"a":1}', 1],
      ['null', 2],
    ]);
    expect(read.skipped.map((s) => [s.reason, s.line])).toEqual([
      ['not JSON', 3],
      ['a decision of another entrypoint', 4],
      ['the input is masked', 5],
      ['the decision used time, randomness or the network', 6],
      ['no input', 7],
      ['not an object', 8],
      ['the weight is no positive number', 9],
      ['nested deeper than 128 levels', 10],
    ]);
  });
  const event = (input: unknown, mask: string[] = [], path = 'p/decision'): Record<string, unknown> =>
    decisionEvent(
      {
        decisionId: 'd',
        timestamp: new Date(0),
        path,
        revision: 'r1',
        input,
        result: { allow: true },
        requestedBy: '127.0.0.1',
        evaluationNs: 1,
      },
      { id: 'runtime' },
      mask,
    );
  test("the runtime's own decision log is read; what it masks in the input can't be replayed, in the result it can", () => {
    const log = lines(event({ n: 1 }), event({ n: 2 }, ['/input/n']), event({ n: 3 }, ['/result/allow']), event({}, [], 'q/x'));
    const read = readCorpus(log, 'decisions.ndjson', 'p/decision');
    expect(read.inputs.map((i) => [i.input, i.line])).toEqual([
      ['{"n":1}', 1],
      ['{"n":3}', 3],
    ]);
    expect(read.skipped).toEqual([
      { reason: 'the input is masked', count: 1, line: 2 },
      { reason: 'a decision of another entrypoint', count: 1, line: 4 },
    ]);
  });
  test.each<[string, (events: readonly unknown[]) => string]>([
    ['an array', (events) => JSON.stringify(events, null, 2)],
    ['objects one after the other', (events) => events.map((event) => JSON.stringify(event, null, '\t')).join('\n')],
    ['an array that starts with an object', (events) => JSON.stringify(events, null, 1).replace('[\n {', '[ {')],
  ])('JSON over several lines: %s', (_name, printed) => {
    const events = [{ input: { text: 'a "}" ] {' }, weight: 2 }, { input: { n: [1, { m: 2 }] } }, { none: 1 }];
    const read = readCorpus(Buffer.from(printed(events)), 'corpus.json', 'p/decision');
    expect(read.inputs.map(({ input, weight }) => [JSON.parse(input), weight])).toEqual([
      [{ text: 'a "}" ] {' }, 2],
      [{ n: [1, { m: 2 }] }, 1],
    ]);
    expect(read.skipped.map((one) => one.reason)).toEqual(['no input']);
    const at = printed(events).split('\n').slice(0, read.inputs[1]!.line);
    expect([at.at(-1)!.trim().endsWith('{'), at.join('').includes('"n"')]).toEqual([true, false]);
  });
  test('of JSON over several lines nothing is dropped in silence either', () => {
    const read = readCorpus(Buffer.from('[\n  {"input": 1},\n  7,\n  "x {",\n  {"input": {\n'), 'corpus.json', 'p/decision');
    expect(read.inputs.map((one) => [one.input, one.line])).toEqual([['1', 2]]);
    expect(read.skipped).toEqual([
      { reason: 'not an object', count: 2, line: 3 },
      { reason: 'not JSON', count: 1, line: 5 },
    ]);
  });
  test('batches, as OPA uploads them, and gzip', () => {
    const log = lines([event({ n: 1 }), event({ n: 2 }), 7], [event({ n: 3 })]);
    for (const bytes of [log, gzipSync(log)]) {
      const read = readCorpus(bytes, 'decisions.ndjson.gz', 'p/decision');
      expect(read.inputs.map((i) => [i.input, i.line])).toEqual([
        ['{"n":1}', 1],
        ['{"n":2}', 1],
        ['{"n":3}', 2],
      ]);
      expect(read.skipped).toEqual([{ reason: 'not an object', count: 1, line: 1 }]);
    }
    expect(() => readCorpus(gzipSync(log).subarray(0, 40), 'c.gz', 'p/decision')).toThrow(/c\.gz: the file starts like gzip/);
    // 257 MiB of blanks in some 260 KB.
    expect(() => readCorpus(gzipSync(Buffer.alloc(257 * 1024 * 1024, 32)), 'c.gz', 'p/decision')).toThrow(/unpacks to more than/);
  });
  test.each([
    ['an empty file', '', /empty/],
    ['nothing usable', 'x\ny', /c\.ndjson:1: .*not JSON \(2 lines\)/],
    ['a binary file', '\0\0', /binary/],
  ])('%s is refused', (_name, text, message) => {
    expect(() => readCorpus(Buffer.from(text), 'c.ndjson', 'p/decision')).toThrow(message);
  });
  test('too much that cannot be replayed is inconclusive', async () => {
    const half = readCorpus(Buffer.from('{"input":{"n":1}}\nbroken\n'), 'c.ndjson', 'p/decision');
    const source = await policy(BASE, { limit: 5 });
    const gate = await diffPolicies(bench, source, source, {
      entrypoint: 'p/decision',
      corpus: half,
      document: undefined,
      maxPoints: 10,
      blocking: undefined,
    });
    expect(gate.verdict).toBe('inconclusive');
    expect(gate.reason).toBe('Only 1 of 2 lines of c.ndjson could be replayed; at least 80 % are needed.');
    expect(shown(gate.findings)).toEqual(['policy-replay-incomplete c.ndjson:2']);
  });
});
