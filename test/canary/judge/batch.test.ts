import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { judgeBatch, judgeStream } from '../../../src/canary/batch.ts';
import { caseOf, lognormal } from './cases.ts';

const good = JSON.stringify({ ...caseOf(lognormal(60, 'a'), lognormal(60, 'b')), id: 'good' });
const bad = JSON.stringify({ ...caseOf(lognormal(60, 'a'), lognormal(60, 'b', 200)), id: 'slow' });

describe('judge --batch', () => {
  test('one answer a case, in order; a bad line does not stop the others', async () => {
    const out: string[] = [];
    const summary = await judgeStream(
      Readable.from([`${good}\n\n{"id": "broken"\n`, `${bad}\r\n{"id":"shape","design":"odd"}\n`, good]),
      (line) => {
        out.push(line);
      },
    );
    const answers = out.map((line) => JSON.parse(line));
    expect(answers.map((a) => [a.id, a.verdict])).toEqual([
      ['good', 'pass'],
      ['line 3', 'error'],
      ['slow', 'fail'],
      ['shape', 'error'],
      ['good', 'pass'],
    ]);
    expect(answers[1].reason).toMatch(/^line 3: not JSON/);
    expect(answers[3].reason).toMatch(/^line 5: .*design: expected paired or unpaired.*metrics: expected a list/);
    expect(summary).toEqual({ cases: 5, verdicts: { pass: 2, warn: 0, inconclusive: 0, fail: 1, error: 2 } });
  });
  test('a byte order mark at the start is no part of the first case', async () => {
    for await (const answer of judgeBatch([`\uFEFF${good}`])) expect([answer.id, answer.verdict]).toEqual(['good', 'pass']);
  });
  test('a number too large for a double is named as what it is', async () => {
    const line =
      '{"id":"x","design":"paired","metrics":[{"name":"m","kind":"continuous","direction":"lower","baseline":[1e999],"candidate":[1]}]}';
    for await (const answer of judgeBatch([line]))
      expect(answer.reason).toContain('expected a finite number or null, got Infinity');
  });
  test.each([
    ['continuous', [], [1, 2], { relative: 0.1 }],
    ['continuous', [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], { relative: 0.1 }],
    ['continuous', [-1, -2, 1, 2, 3], [1, 1, 1, 1, 1], { relative: 0.1 }],
    ['binary', [0, 0, 0], [0, 0, 0], { relative: 0.1 }],
    ['count', [1, 2], [], { absolute: 0.1 }],
  ])('a %s metric that cannot be judged still reports the margin it was given', async (kind, baseline, candidate, margin) => {
    const metrics = [{ name: 'm', kind, direction: 'lower', margin, baseline, candidate }];
    for await (const answer of judgeBatch([JSON.stringify({ id: 'x', design: 'unpaired', metrics })]))
      expect(answer.metrics[0]).toMatchObject({ verdict: 'inconclusive', margin: 0.1, effectUnit: Object.keys(margin)[0] });
  });
  test('nesting bombs are refused before parsing', async () => {
    for await (const answer of judgeBatch([`${'['.repeat(100_000)}`]))
      expect(answer.reason).toContain('nested deeper than 16 levels');
  });
  test('nothing in, nothing out', async () => {
    const summary = await judgeStream(Readable.from(['']), () => {
      throw new Error('no line expected');
    });
    expect(summary.cases).toBe(0);
  });
});
