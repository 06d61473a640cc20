import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { joinLabels, parseLabels } from '../../src/canary/labels.ts';
import { pointLine } from '../../src/canary/run/derive.ts';
import type { CanaryPoint } from '../../src/canary/run/points.ts';
import { krippendorffAlpha } from '../../src/stats/krippendorff.ts';
import { runCli } from '../support/cli.ts';
import { temporaryFolder } from '../support/folder.ts';

const dir = temporaryFolder();

/** A kept run: 120 prompts, half of them German; an A/A block before it whose pairs no label may hit. */
const run: CanaryPoint[] = Array.from({ length: 140 }, (_, pair) => pair).flatMap((pair) =>
  ['baseline', 'candidate'].flatMap((arm): CanaryPoint[] => {
    const tags = { arm, block: pair < 20 ? 'aa' : 'ab', segment: pair % 2 === 0 ? 'de' : 'en' };
    const at = { pair, prompt: `p${pair % 140}`, tags };
    return [
      { metric: 'error', value: 0, ...at },
      { metric: 'e2e_ms', value: 100 + (pair % 7), ...at },
    ];
  }),
);
writeFileSync(join(dir, 'run.ndjson'), `${run.map(pointLine).join('\n')}\n`);
const labels = (bad: (pair: number, arm: string) => boolean): string =>
  Array.from({ length: 120 }, (_, i) => i + 20)
    .flatMap((pair) =>
      ['baseline', 'candidate'].map((arm) =>
        JSON.stringify({
          prompt_id: `p${pair}`,
          arm,
          label: bad(pair, arm) ? 'bad' : 'good',
          source: 'ann',
          at: '2026-02-01T10:00:00Z',
        }),
      ),
    )
    .join('\n');
const judge = async (text: string, ...more: string[]) => {
  writeFileSync(join(dir, 'labels.ndjson'), text);
  return runCli(
    [
      'canary',
      'judge',
      '--baseline',
      'run.ndjson',
      '--candidate',
      'run.ndjson',
      '--labels',
      'labels.ndjson',
      '--format',
      'json',
      ...more,
    ],
    { cwd: dir },
  );
};
interface JsonReport {
  readonly verdict: string;
  readonly gates: { readonly reason: string; readonly tables: { readonly title: string; readonly rows: string[][] }[] }[];
  readonly findings: { readonly ruleId: string; readonly level: string; readonly message: string; readonly subject?: string }[];
}
const reportOf = (ran: { stdout: string }): JsonReport => JSON.parse(ran.stdout) as JsonReport;
const labelRows = (ran: { stdout: string }) =>
  Object.fromEntries(reportOf(ran).gates[0]!.tables.find((table) => table.title === 'Labels')!.rows as [string, string][]);

describe('mixgate canary judge of a kept run', () => {
  const kept = (...more: string[]) =>
    runCli(['canary', 'judge', '--baseline', 'kept.ndjson', '--candidate', 'kept.ndjson', '--format', 'json', ...more], {
      cwd: dir,
    });
  // Warm-up and A/A block are ten times slower, and the candidate has more of them: neither is load or latency of the pairs.
  const before: CanaryPoint[] = Array.from({ length: 40 }, (_, i) => ({
    metric: 'e2e_ms',
    value: 1000,
    pair: 1000 + i,
    prompt: 'w',
    tags: { arm: 'candidate', block: 'warmup', segment: 'de' },
  }));
  const slower = run.map((point) =>
    point.metric === 'e2e_ms' &&
    point.tags['arm'] === 'candidate' &&
    point.tags['block'] === 'ab' &&
    point.tags['segment'] === 'de'
      ? { ...point, value: 1.5 * point.value }
      : point,
  );
  const keep = (points: readonly CanaryPoint[], end = '\n') =>
    writeFileSync(join(dir, 'kept.ndjson'), `${[...before, ...points].map(pointLine).join('\n')}${end}`);

  it('judges its pairs as the run did, by the names of its profile', async () => {
    writeFileSync(join(dir, 'kept.yaml'), 'version: 1\npairs: 120\naaPairs: 20\nmetrics: [{ name: e2e_ms, bySegment: true }]\n');
    keep(run);
    const same = await kept('--profile', 'kept.yaml');
    expect([same.stderr, reportOf(same).verdict, reportOf(same).gates[0]!.reason]).toEqual([
      '',
      'pass',
      '1 metrics and 2 segments are within their margins.',
    ]);
    keep(slower);
    const worse = await kept('--profile', 'kept.yaml');
    expect(worse.code).toBe(1);
    expect(reportOf(worse).findings.map(({ subject }) => subject)).toEqual(['e2e_ms', 'de']);
  });

  it('without a profile judges whatever the run measured; a record that is cut short is not valid', async () => {
    keep(run);
    const whole = reportOf(await kept());
    expect(whole.gates[0]!.tables[0]!.rows.map(([metric]) => metric).sort()).toEqual(['end-to-end latency', 'error rate']);
    keep(run, '\n{"metric": "mixgate_e2e');
    expect(reportOf(await kept())).toMatchObject({
      verdict: 'inconclusive',
      gates: [{ reason: 'The load generator did not finish: its record is cut short.' }],
    });
  });
});

describe('mixgate canary judge --labels', () => {
  it('passes a run whose labels are as good in both arms', async () => {
    const ran = await judge(labels((pair) => pair % 10 === 0));
    expect([ran.stderr, reportOf(ran).verdict, ran.code]).toEqual(['', 'pass', 0]);
    expect(labelRows(ran)).toMatchObject({ 'labels read': '240', 'prompts with labels in both arms': '120' });
  });

  it('fails the segment whose answers people call bad, which the run itself could not see', async () => {
    const ran = await judge(labels((pair, arm) => arm === 'candidate' && pair % 2 === 0));
    expect(ran.code).toBe(1);
    expect(reportOf(ran).findings.map((f) => [f.ruleId, f.subject])).toEqual([
      ['canary-metric-regressed', 'label_bad'],
      ['canary-metric-regressed', 'de'],
    ]);
    expect(reportOf(ran).gates[0]!.reason).toMatch(/^Answers labelled bad are worse: \+/);
  });

  it('judges the metrics of the profile with the labels, as one family', async () => {
    writeFileSync(
      join(dir, 'profile.yaml'),
      'version: 1\npairs: 120\naaPairs: 20\nmetrics:\n  - { name: e2e_ms }\n  - { name: label_bad, margin: { absolute: 0.02 } }\n',
    );
    const ran = await judge(
      labels(() => false),
      '--profile',
      'profile.yaml',
    );
    expect(reportOf(ran).verdict).toBe('pass');
    expect(reportOf(ran).gates[0]!.reason).toMatch(/^2 metrics/);
  });

  it('says how many labels have no answer in the run: none of the A/A block, none of another run', async () => {
    const stray = [
      '{"pair": 3, "arm": "candidate", "label": "bad"}',
      '{"prompt_id": "other", "arm": "baseline", "label": "bad"}',
    ];
    const few = await judge([...stray, labels(() => false)].join('\n'));
    expect(reportOf(few).findings).toMatchObject([
      { ruleId: 'canary-labels-unmatched', level: 'note', message: '2 of 242 labels are of answers that are not in the run.' },
    ]);
    const only = await judge(stray.join('\n'));
    expect(reportOf(only)).toMatchObject({ verdict: 'inconclusive', findings: [{ level: 'warning' }] });
  });

  it.each([
    ['{"prompt_id": "p30", "arm": "candidate"}', 'labels.ndjson:2: the label says nothing. Expected `label`'],
    ['{"arm": "candidate", "score": 1}', 'labels.ndjson:2: the label does not say which answer it is of'],
    [
      '{"prompt_id": "p30", "arm": "left", "label": "bad"}',
      'labels.ndjson:2: arm is "left". Expected one of baseline, candidate',
    ],
    ['{"prompt_id": "p30", "arm": "candidate", "score": 3}', 'labels.ndjson:2: score must be'],
    ['{"prompt_id": "p30", ', 'labels.ndjson:2: not a line of JSON'],
  ])('%s is an error with its line', async (line, message) => {
    const ran = await judge(`{"pair": 30, "arm": "candidate", "score": 0.5}\n${line}\n`);
    expect([ran.code, ran.stdout]).toEqual([2, '']);
    expect(ran.stderr).toContain(message);
  });

  it('wants a kept run', async () => {
    writeFileSync(join(dir, 'plain.csv'), 'metric,value\nlatency,1\n');
    const ran = await runCli(
      ['canary', 'judge', '--baseline', 'plain.csv', '--candidate', './plain.csv', '--labels', 'labels.ndjson'],
      { cwd: dir },
    );
    expect([ran.code, ran.stderr]).toEqual([
      2,
      expect.stringContaining('plain.csv: there are no pairs that labels could belong to'),
    ]);
  });
});

describe('labels of one answer', () => {
  const line = (source: string | undefined, label: string, at?: string): string =>
    JSON.stringify({ prompt_id: 'p30', arm: 'candidate', label, source, at });
  const joined = (...lines: string[]) => joinLabels(run, parseLabels(lines.join('\n'), 'l'));

  it('are decided by the majority, and a tie is no data', () => {
    expect(joined(line('a', 'bad'), line('b', 'bad'), line('c', 'good')).points.map((point) => point.value)).toEqual([1]);
    expect(joined(line('a', 'bad'), line('b', 'good'))).toMatchObject({ points: [], tied: 1, agreement: 0 });
  });

  it('count once a source: the newest, whatever the order of the lines', () => {
    const [old, late] = [line('a', 'bad', '2026-01-01T00:00:00Z'), line('a', 'good', '2026-01-02T00:00:00Z')];
    for (const order of [
      [old, late],
      [late, old],
    ])
      expect(joined(...order)).toMatchObject({
        replaced: 1,
        repeated: 0,
        points: [{ value: 0, pair: 30, tags: { segment: 'de' } }],
      });
    expect(joined(line(undefined, 'bad'), line(undefined, 'bad'))).toMatchObject({ replaced: 0, repeated: 1, agreement: 1 });
  });

  it('may be scores, whose mean counts', () => {
    const scores = [0.5, 1].map((score, i) => JSON.stringify({ pair: 31, arm: 'baseline', score, source: `s${i}` }));
    expect(joined(...scores).points).toMatchObject([{ metric: 'label_score', value: 0.75, prompt: 'p31' }]);
  });

  it("agree by Krippendorff's alpha: the binary example of his 2011 paper", () => {
    const [a, b] = ['0100000010', '1110010000'];
    const units = [...a].map((x, i) => ({ yes: Number(x) + Number(b[i]), no: 2 - Number(x) - Number(b[i]) }));
    expect(krippendorffAlpha(units)).toBeCloseTo(0.095, 3);
    expect(krippendorffAlpha([{ yes: 2, no: 0 }])).toBeUndefined();
  });
});
