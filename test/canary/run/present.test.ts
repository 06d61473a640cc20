import { describe, expect, it } from 'vitest';
import { judgeCase } from '../../../src/canary/judge/judge.ts';
import type { CaseInput, CaseResult, MetricInput } from '../../../src/canary/judge/types.ts';
import { judgedGate } from '../../../src/canary/judge-gate.ts';
import { tables } from '../../../src/canary/run/tables.ts';
import { buildReport } from '../../../src/core/report.ts';
import { render } from '../../../src/report/index.ts';

const values = (shift: number, n = 60): number[] => Array.from({ length: n }, (_, i) => 100 + ((i * 37) % n) / 10 + shift);

function metric(name: string, shift: number, more: Partial<MetricInput> = {}): MetricInput {
  return { name, kind: 'continuous', direction: 'lower', baseline: values(0), candidate: values(shift), ...more };
}

function judged(metrics: readonly MetricInput[], design: CaseInput['design'] = 'unpaired'): CaseResult {
  return judgeCase({ id: 'a', design, metrics });
}

function table(result: CaseResult): {
  readonly cells: Record<string, string>[];
  readonly details: readonly string[];
  readonly note: string;
} {
  const { columns, rows, details, note } = tables(result, undefined, undefined)[0]!;
  const cells = rows.map((row) => Object.fromEntries(row.map((cell, at) => [columns[at], cell.replaceAll('\u00a0', ' ')])));
  return { cells, details: (details ?? []).map((text) => text.replaceAll('\u00a0', ' ')), note: note ?? '' };
}

describe('the table', () => {
  it('shows what decides first', () => {
    const { cells } = table(judged([metric('fine', 0), metric('worse', 40), metric('well', 0)]));
    expect(cells.map((row) => [row['Metric'], row['Verdict']])).toEqual([
      ['worse', 'fail'],
      ['fine', 'pass'],
      ['well', 'pass'],
    ]);
  });

  it('shows both arms in the unit of the metric: median, rate, mean an entry', () => {
    const share = (ones: number): number[] => Array.from({ length: 200 }, (_, i) => (i < ones ? 1 : 0));
    const { cells } = table(
      judged([
        metric('ttft_ms', 40, { baseline: [...values(0, 59), 9_000], candidate: [...values(40, 59), 9_000] }),
        metric('error', 0, { kind: 'binary', baseline: share(1), candidate: share(30) }),
        metric('retries', 0, { kind: 'count', baseline: [...share(100), 4], candidate: [...share(100), 4] }),
      ]),
    );
    const of = (name: string): (string | undefined)[] => {
      const row = cells.find((cell) => cell['Metric'] === name);
      return [row?.['Baseline'], row?.['Candidate']];
    };
    expect(of('time to first token')).toEqual(['103 ms', '143 ms']);
    expect(of('error rate')).toEqual(['0.5 %', '15 %']);
    expect(of('retries')).toEqual(['0.517', '0.517']);
    expect(cells.find((row) => row['Metric'] === 'error rate')?.['Effect [interval]']).toMatch(
      /^\+14\.5 pp \[\d+\.\d, \d+\.\d\]$/,
    );
  });

  it('says in a sentence why a row is no pass, and what an inconclusive one needs', () => {
    const result = judged([
      metric('fine', 0),
      metric('error', 0, { kind: 'binary', baseline: [0, 0, 1, 0, 0, 0, 0, 0], candidate: [0, 0, 1, 0, 0, 0, 0, 1] }),
    ]);
    const { cells, details } = table(result);
    const needed = result.metrics[1]!.samplesNeeded!;
    expect(needed).toBeGreaterThan(8);
    expect(cells[0]).toMatchObject({ Metric: 'error rate', Verdict: 'inconclusive', 'n (n eff)': `8, needs ${needed}` });
    expect(details).toHaveLength(1);
    expect(details[0]).toMatch(
      /^Error rate: the change of \+12\.5 pp .* does not rule out the margin of 5 pp; about \d+ points an arm would decide\.$/,
    );
  });

  it('says no data where an arm has none', () => {
    expect(table(judged([metric('gone', 0, { candidate: [] })])).cells[0]).toMatchObject({
      Baseline: '103',
      Candidate: 'no data',
      'Effect [interval]': '-',
      'Smallest detectable': 'no data',
      'n (n eff)': '0',
    });
  });

  it('says why there is no smallest detectable effect', () => {
    const { cells, note } = table(judged([metric('few', 0, { baseline: [1, 2, 3, 4], candidate: [1, 2, 3, 4] })]));
    expect(cells[0]).toMatchObject({ Verdict: 'inconclusive', 'Smallest detectable': 'n < 5' });
    expect(note).toContain('n < 5: too few points to tell their noise');
  });

  it('of segments says what they show together and whether they agree', () => {
    const of = (bad: number): CaseResult =>
      judged(['a', 'b', 'c'].map((segment, i) => metric('ttft_ms', i === 0 ? bad : 0, { segment })));
    const pooled = tables(of(40), undefined, undefined)[1]!;
    expect(pooled).toMatchObject({ title: 'Across segments', columns: expect.arrayContaining(['Verdict', 'I²', 'Q (df)']) });
    expect(pooled.rows[0]!.slice(0, 2)).toEqual(['Time to first token', '3']);
    expect(pooled.rows[0]!.join(' ')).toMatch(/fail (9\d|100) % .* \(2\) /);
    expect(tables(judged([metric('fine', 0)]), undefined, undefined).map(({ title }) => title)).toEqual(['Canary metrics']);
  });

  it.each([
    ['paired', 'paired by prompt'],
    ['unpaired', 'as two series (not paired)'],
  ] as const)('of a case that is %s says so', (design, words) => {
    expect(table(judged([metric('fine', 0)], design)).note).toContain(words);
  });

  it('of a long family folds what passes, in 100 columns; HTML has every row', async () => {
    const segments = Array.from({ length: 40 }, (_, i) => metric('ttft_ms', i < 2 ? 60 : 0, { segment: `s${i}` }));
    const report = buildReport(
      [judgedGate({ input: { id: 'a', design: 'unpaired', metrics: segments }, judged: judged(segments) }, undefined)],
      {
        tool: { name: 'mixgate', version: '0' },
        command: 'mixgate canary judge',
        seed: 1,
        tools: {},
      },
    );
    const text = await render('text', report, { width: 100 });
    expect(text).toContain('… and 34 more pass; the JSON and HTML reports have the whole table');
    const lines = text.split('\n').filter((line) => line.startsWith('  '));
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(await render('markdown', report)).toContain('Time to first token in segment s1 is worse');
    const html = await render('html', report);
    for (let i = 0; i < 40; i += 1) expect(html).toContain(`<td>s${i}</td>`);
  });
});
