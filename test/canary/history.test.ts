import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { analyseCanary } from '../../src/canary/run/analyse.ts';
import type { CanaryPoint } from '../../src/canary/run/points.ts';
import { buildReport } from '../../src/core/report.ts';
import { renderJson } from '../../src/report/json.ts';
import { createRng } from '../../src/stats/rng.ts';
import { runCli } from '../support/cli.ts';
import { temporaryFolder } from '../support/folder.ts';

const dir = temporaryFolder();

/** The report of a release: `bad` of 200 answers of the candidate are labelled bad, a request costs `cost`. */
function report(bad: number, cost: number, before: { bad: number; cost: number }): string {
  const rng = createRng(`${bad} ${cost}`);
  const points = Array.from({ length: 200 }, (_, pair) =>
    ['baseline', 'candidate'].flatMap((arm): CanaryPoint[] => {
      const at = { pair, prompt: `p${pair}`, tags: { arm, block: 'ab', segment: 's' } };
      const own = arm === 'candidate' ? { bad, cost } : before;
      return [
        { metric: 'error', value: 0, ...at },
        { metric: 'label_bad', value: pair < own.bad ? 1 : 0, ...at },
        { metric: 'cost_per_request', value: own.cost * Math.exp(0.01 * rng.normal()), ...at },
      ];
    }),
  ).flat();
  const gate = analyseCanary({
    samples: { points, droppedIterations: 0, badLines: 0 },
    profile: {
      version: 1,
      pairs: 200,
      aaPairs: 0,
      metrics: [{ name: 'label_bad', margin: { absolute: 0.1 } }, { name: 'cost_per_request' }],
    },
    profileFile: 'p.yaml',
    seed: 1,
  });
  expect(gate.verdict).toBe('pass');
  return renderJson(
    buildReport([gate], { tool: { name: 'mixgate', version: '0' }, command: 'mixgate canary judge', seed: 1, tools: {} }),
  );
}

function folder(name: string, releases: readonly (readonly [bad: number, cost: number])[]): string {
  mkdirSync(join(dir, name));
  releases.forEach(([bad, cost], index) => {
    const before = releases[Math.max(0, index - 1)]!;
    writeFileSync(join(dir, name, `r${index + 7}.json`), report(bad, cost, { bad: before[0], cost: before[1] }));
  });
  return name;
}

beforeAll(() => {
  folder('worse', [
    [4, 1],
    [8, 1.03],
    [12, 1.05],
    [18, 1.08],
    [24, 1.12],
    [30, 1.15],
  ]);
  folder('steady', [
    [6, 1],
    [5, 1.02],
    [7, 0.99],
    [6, 1.01],
    [5, 1],
  ]);
  writeFileSync(join(dir, 'steady/other.json'), '{"a": 1}');
  folder('young', [[6, 1]]);
  mkdirSync(join(dir, 'empty'));
  mkdirSync(join(dir, 'broken'));
  writeFileSync(join(dir, 'broken/r1.json'), '{"schema": "https://mixgate.dev/schemas/report.schema.json#v1"}');
});

interface JsonReport {
  readonly verdict: string;
  readonly gates: { reason: string; tables: { title: string; rows: string[][]; note?: string }[]; charts: { title: string }[] }[];
  readonly findings: { readonly ruleId: string; readonly subject: string; readonly message: string }[];
}
const history = async (name: string, ...more: string[]) => {
  const ran = await runCli(['canary', 'history', name, '--format', 'json', ...more], { cwd: dir });
  return { ...ran, report: (ran.stdout === '' ? undefined : JSON.parse(ran.stdout)) as JsonReport };
};

describe('mixgate canary history', () => {
  it('warns of what every release passed and all of them together lost: label errors and cost', async () => {
    const { report: found, code } = await history('worse', '--report', `html=${join(dir, 'worse.html')}`);
    expect([found.verdict, code]).toEqual(['warn', 0]);
    // Findings of one place are ordered by an id that the folder's name goes into, and this folder's is random.
    const bySubject = new Map(found.findings.map((f) => [f.subject, f]));
    expect([...bySubject.keys()].sort()).toEqual(['cost_per_request', 'label_bad']);
    expect(found.findings.map((f) => f.ruleId)).toEqual(['canary-trend-worse', 'canary-trend-worse']);
    expect(bySubject.get('label_bad')!.message).toMatch(
      /^Answers labelled bad: worse from release to release, \+2\.629 pp each over 6 releases \(p .*\)\.$/,
    );
    const [labels] = found.gates[0]!.tables;
    expect(labels!.title).toBe('Answers labelled bad by release');
    // Natural order: r10 comes after r9.
    expect(labels!.rows.map((row) => row[0])).toEqual(['r7', 'r8', 'r9', 'r10', 'r11', 'r12']);
    // Wilson 1927: 30 of 200.
    expect(labels!.rows[5]!.slice(1, 3)).toEqual(['12 %', '15 % [10.71, 20.61]']);
    expect(found.gates[0]!.charts.map((chart) => chart.title)).toContain('Cost per request by release');
    expect(readFileSync(join(dir, 'worse.html'), 'utf8')).toContain('Answers labelled bad by release');
  });

  it('passes releases that go up and down, and says what it left out', async () => {
    const { report: found } = await history('steady');
    expect(found).toMatchObject({ verdict: 'pass', findings: [] });
    expect(found.gates[0]!.tables[0]!.note).toBe('JSON files of the folder that are no reports of a canary: 1.');
  });

  it('is inconclusive about a single release', async () => {
    const { report: found, code } = await history('young');
    expect([found.verdict, code]).toEqual(['inconclusive', 4]);
    expect(found.gates[0]!.reason).toMatch(/^1 release is too few to tell a trend/);
  });

  it.each([
    ['empty', 'empty: the folder holds no canary report'],
    ['nowhere', 'nowhere: cannot be read: there is no such folder'],
    ['broken', 'broken/r1.json: the document lacks the key `verdict`'],
  ])('%s is a usage error', async (name, message) => {
    const ran = await history(name);
    expect([ran.code, ran.stdout]).toEqual([2, '']);
    expect(ran.stderr).toContain(message);
  });
});
