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
