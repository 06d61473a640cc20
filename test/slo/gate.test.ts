import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Report } from '../../src/core/report.ts';
import { recordMetrics } from '../../src/slo/record.ts';
import { type Ran, ROOT, runCli } from '../support/cli.ts';
import { startPrometheus } from '../support/prometheus.ts';
import { policy, START, slo, traffic } from './support.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mixgate-slo-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const write = (files: { readonly [name: string]: string }): void => {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
};
const run = (...args: string[]): Promise<Ran> => runCli(['slo', ...args, '--quiet', '--format', 'json'], { cwd: dir });
const report = (ran: Ran): Report & { gates: { tables: { title: string; rows: string[][] }[] }[] } => {
  if (ran.stdout === '') throw new Error(ran.stderr);
  return JSON.parse(ran.stdout);
};
const rules = (ran: Ran): string[] => [...new Set(report(ran).findings.map((f) => f.ruleId))];

const PAIR = policy({ annotations: { 'mixgate.dev/short-window': '5m', 'mixgate.dev/escalate-after': '2h' } });
const DAY = 24 * 60;

describe('slo gate on recorded samples', () => {
  it.each([
    ['all good', 2 * DAY, () => [100, 0.1] as const, 0, []],
    [
      'a burn of 10x since 30 minutes',
      2 * DAY,
      (m: number) => (m > 2 * DAY - 30 ? ([80, 20] as const) : ([100, 0] as const)),
      1,
      ['slo-burn-rate-page'],
    ],
    [
      'a burn that ended an hour and a half ago',
      2 * DAY,
      (m: number) => (m > 2 * DAY - 120 && m < 2 * DAY - 90 ? ([90, 10] as const) : ([100, 0] as const)),
      0,
      [],
    ],
    [
      'a spent budget that no longer burns',
      2 * DAY,
      (m: number) => (m > 600 && m < 720 ? ([50, 50] as const) : ([100, 0] as const)),
      1,
      ['slo-budget-exhausted'],
    ],
    ['traffic too low to judge', 2 * DAY, () => [0.1, 0] as const, 4, ['slo-evidence-missing']],
    ['no traffic at all', 2 * DAY, () => [0, 0] as const, 4, ['slo-evidence-missing']],
    ['samples shorter than the period', DAY, () => [100, 0] as const, 4, ['slo-evidence-missing']],
  ])('%s', async (_title, minutes, rate, code, expected) => {
    write({ 'slo.yaml': slo({ duration: '2d', policies: PAIR }), 's.prom': traffic(minutes, rate) });
    const ran = await run('gate', 'slo.yaml', '--samples', 's.prom');
    expect([ran.code, rules(ran)]).toEqual([code, expected]);
  });
  it('escalates a burn of more than two hours, in the same alert', async () => {
    write({
      'slo.yaml': slo({ duration: '1d', target: '0.9', policies: PAIR.replace('threshold: 5', 'threshold: 2') }),
      's.prom': traffic(DAY, (m) => (m > DAY - 200 ? [70, 30] : [100, 0])),
    });
    const { findings } = report(await run('gate', 'slo.yaml', '--samples', 's.prom'));
    expect(findings.map((f) => f.ruleId)).toEqual(['slo-burn-rate-page']);
    expect(findings[0]!.message).toContain('more than 2h: escalated');
  });
  it('reports an alert inside a maintenance window as suppressed, and never as pass', async () => {
    const end = new Date(START + 3 * 86_400_000).toISOString();
    write({
      'slo.yaml': slo({ duration: '2d', target: '0.9', policies: PAIR.replace('threshold: 5', 'threshold: 2') }),
      's.prom': traffic(2 * DAY, (m) => (m > 2 * DAY - 70 ? [70, 30] : [100, 0])),
      'maintenance.yaml': `windows:\n  - {start: "${new Date(START).toISOString()}", end: "${end}", reason: new racks, owner: sre, slos: [checkout]}\n`,
    });
    const ran = await run('gate', 'slo.yaml', '--samples', 's.prom', '--maintenance', 'maintenance.yaml');
    expect([ran.code, report(ran).verdict, rules(ran)]).toEqual([0, 'warn', ['slo-alert-suppressed']]);
    expect(report(ran).gates[0]!.tables[0]!.rows[0]!.at(-1)).toBe('suppressed');
  });
  it('wants the share of the budget that is asked for', async () => {
    write({ 'slo.yaml': slo({ duration: '2d', policies: PAIR }), 's.prom': traffic(2 * DAY, () => [100, 0.6]) });
    expect((await run('gate', 'slo.yaml', '--samples', 's.prom', '--min-budget', '0.3')).code).toBe(0);
    const ran = await run('gate', 'slo.yaml', '--samples', 's.prom', '--min-budget', '0.5');
    expect([ran.code, rules(ran)]).toEqual([1, ['slo-budget-low']]);
  });
  it('adds up the series of a bare counter, as if sum() were written', async () => {
    const bare = slo({ duration: '2d', policies: PAIR, good: `'requests_total{code!~"5.."}'`, total: 'requests_total' });
    write({ 'slo.yaml': bare, 's.prom': traffic(2 * DAY, (m) => (m > 2 * DAY - 30 ? [80, 20] : [100, 0])) });
    const ran = await run('gate', 'slo.yaml', '--samples', 's.prom');
    expect([ran.code, rules(ran)]).toEqual([1, ['slo-burn-rate-page']]);
  });
  it('refuses a period of zero', async () => {
    write({ 'slo.yaml': slo({ duration: '0d' }) });
    const ran = await run('check', 'slo.yaml');
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining('timeWindow[0].duration is "0d"')]);
  });
  it('judges each cluster besides the fleet', async () => {
    write({
      'slo.yaml': slo({ duration: '2d', policies: PAIR }),
      's.prom':
        traffic(2 * DAY, () => [1000, 0], { labels: 'cluster="us-east"' }) +
        traffic(2 * DAY, (m) => (m > 2 * DAY - 60 ? [18, 2] : [20, 0]), { labels: 'cluster="eu-west"' }),
    });
    const { findings } = report(await run('gate', 'slo.yaml', '--samples', 's.prom', '--by', 'cluster'));
    expect(findings.map((f) => [f.ruleId, f.subject])).toEqual([['slo-burn-rate-page', 'checkout in eu-west']]);
  });
  it.each([
    ['Timeslices', 'Timeslices', 0.5],
    ['RatioTimeslices', 'RatioTimeslices', 0.05],
    ['Occurrences', 'Occurrences', undefined],
  ])('budgets by %s', async (_title, method, expected) => {
    // One in ten minutes is half bad, with a tenth of the traffic.
    const busy = (m: number) => (m % 10 === 9 ? ([5, 5] as const) : ([100, 0] as const));
    write({
      'slo.yaml': slo({
        duration: '1d',
        method,
        objective: 'target: 0.8\n      timeSliceTarget: 0.9\n      timeSliceWindow: 1',
        policies: policy({ threshold: 2 }),
      }),
      's.prom': traffic(DAY, busy, { step: 15 }),
    });
    const ran = report(await run('gate', 'slo.yaml', '--samples', 's.prom'));
    const remaining = ran.gates[0]!.measurements.find((m) => m.name === 'slo.budget.remaining')!.value;
    const share = (1 - remaining) * 0.2;
    if (expected === undefined) expect(share).toBeCloseTo(5 / 910, 3);
    else expect(share).toBeCloseTo(method === 'Timeslices' ? 0.1 : expected, 2);
  });
});

describe('canary mode', () => {
  /** Ninety seconds, scraped every 5 s; the error series is born with its first errors. */
  const canary = (bad: number) => {
    const lines: string[] = [];
    for (let s = 0; s <= 90; s += 5) {
      lines.push(`requests_total{code="200",role="candidate"} ${s * 2} ${START + s * 1000}`);
      if (s >= 85 && bad > 0) lines.push(`requests_total{code="500",role="candidate"} ${bad} ${START + s * 1000}`);
      lines.push(`requests_total{code="500",role="baseline"} ${s * 2} ${START + s * 1000}`);
    }
    return `${lines.join('\n')}\n`;
  };
  it.each([
    ['passes a clean candidate', 0, ['--window', 'available', '--match', 'role=candidate'], 0],
    ['sees errors whose series is born at the end, all at once', 30, ['--window', 'available', '--match', 'role=candidate'], 1],
    ['judges the last minute alone', 30, ['--window', '1m', '--match', 'role=candidate'], 1],
    ['takes the baseline in without --match', 0, ['--window', 'available'], 1],
    ['is inconclusive over a window longer than the samples', 0, ['--window', '10m', '--match', 'role=candidate'], 4],
    ['is inconclusive without the canary mode', 0, ['--match', 'role=candidate'], 4],
    ['is inconclusive for labels that nothing carries', 0, ['--window', 'available', '--match', 'role=canary'], 4],
  ])('%s', async (_title, bad, flags, code) => {
    write({ 'slo.yaml': slo({ policies: PAIR }), 's.prom': canary(bad) });
    const ran = await run('gate', 'slo.yaml', '--samples', 's.prom', ...flags);
    expect([ran.stderr, ran.code]).toEqual(['', code]);
  });
  it('counts births exactly: 30 of 210 events', async () => {
    write({ 'slo.yaml': slo({ policies: PAIR }), 's.prom': canary(30) });
    const { gates } = report(
      await run('gate', 'slo.yaml', '--samples', 's.prom', '--window', 'available', '--match', 'role=candidate'),
    );
    expect(gates[0]!.tables[0]!.rows[0]![4]).toBe('30 / 210');
  });
  it('takes window and labels from the configuration', async () => {
    write({
      'slo.yaml': slo({ policies: PAIR }),
      's.prom': canary(0),
      'mixgate.yaml':
        'version: 1\nslo:\n  files: [slo.yaml]\n  samples: s.prom\n  canary: {window: available, match: {role: candidate}}\n',
    });
    expect((await run('gate', '--canary')).code).toBe(0);
    expect((await run('gate')).code).toBe(4);
  });
});

describe('slo gate on a real Prometheus', () => {
  it('gives the same numbers as the recorded samples, and as PromQL itself', async () => {
    const samples = traffic(DAY, (m) => (m > DAY - 50 ? [90, 10] : [100, 0]));
    const openMetrics = `# TYPE requests counter\n${samples.replaceAll(/ (\d+)000$/gm, ' $1')}# EOF\n`;
    await using prometheus = await startPrometheus({ history: openMetrics });
    write({ 'slo.yaml': slo({ duration: '20h', policies: PAIR }), 's.prom': samples });
    const at = String((START + (DAY - 1) * 60_000 + 7000) / 1000);
    const live = report(await run('gate', 'slo.yaml', '--prometheus', prometheus.url, '--at', at));
    const recorded = report(await run('gate', 'slo.yaml', '--samples', 's.prom', '--at', at));
    const rows = (r: typeof live) => r.gates[0]!.tables.map((table) => table.rows);
    expect(rows(live)).toEqual(rows(recorded));
    expect(live.verdict).toBe('fail');
    const query = '(1 - sum(increase(requests_total{code!~"5.."}[1h])) / sum(increase(requests_total[1h]))) / 0.01';
    const answer = (await (await fetch(`${prometheus.url}/api/v1/query?${new URLSearchParams({ query, time: at })}`)).json()) as {
      data: { result: { value: [number, string] }[] };
    };
    const own = live.gates[0]!.measurements.find((m) => m.name === 'slo.burn_rate')!.value;
    expect(own).toBeCloseTo(Number(answer.data.result[0]!.value[1]), 6);
  }, 120_000);

  it('judges a canary that it scraped for seconds, as the recorder saw it', async () => {
    let [good, bad] = [0, 0];
    const server = createServer((_request, response) =>
      response.end(
        `# TYPE requests_total counter\nrequests_total{code="200"} ${good}\n${bad > 0 ? `requests_total{code="500"} ${bad}\n` : ''}`,
      ),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await using prometheus = await startPrometheus({
      targets: [{ address: `127.0.0.1:${port}`, labels: { role: 'candidate' } }],
    });
    const abort = new AbortController();
    const recording = recordMetrics(
      [{ url: `http://127.0.0.1:${port}/metrics`, labels: { role: 'candidate' } }],
      join(dir, 's.prom'),
      500,
      abort.signal,
      Date.now,
    );
    for (let second = 0; second < 8; second += 1) {
      good += 40;
      if (second >= 5) bad += 10;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    await new Promise((resolve) => setTimeout(resolve, 1500));
    abort.abort();
    expect(await recording).toMatchObject({ missed: 0 });
    server.close();
    write({ 'slo.yaml': slo({ policies: PAIR }) });
    const flags = ['--window', 'available', '--match', 'role=candidate'];
    const counts = async (...source: string[]) => {
      const ran = await run('gate', 'slo.yaml', ...source, ...flags);
      return [ran.code, report(ran).gates[0]!.tables[0]!.rows[0]![4]];
    };
    expect(await counts('--samples', 's.prom')).toEqual([1, '30 / 350']);
    expect(await counts('--prometheus', prometheus.url)).toEqual([1, '30 / 350']);
  }, 120_000);
});

describe('the fleet', () => {
  it('has sound SLO files', async () => {
    const ran = await runCli(['slo', 'check', 'slo', '--quiet', '--format', 'json'], { cwd: join(ROOT, 'examples/fleet') });
    expect([ran.code, report(ran).findings]).toEqual([0, []]);
  });
});

describe('bad input', () => {
  it.each([
    ['a missing SLO file', ['gate', 'none.yaml', '--samples', 's.prom'], 2, 'none.yaml: the file does not exist'],
    ['a missing sample file', ['gate', 'slo.yaml', '--samples', 'none.prom'], 2, 'none.prom: the file does not exist'],
    ['two sources', ['gate', 'slo.yaml', '--samples', 's.prom', '--prometheus', 'http://x'], 2, 'both given'],
    ['no source', ['gate', 'slo.yaml'], 2, 'no source of samples'],
    ['a URL that is none', ['gate', 'slo.yaml', '--prometheus', 'nonsense'], 2, 'not a URL'],
    ['a Prometheus that is away', ['gate', 'slo.yaml', '--prometheus', 'http://127.0.0.1:1'], 3, 'cannot be reached'],
    ['a bad time', ['gate', 'slo.yaml', '--samples', 's.prom', '--at', 'noon'], 2, '--at is "noon"'],
    ['a bad window', ['gate', 'slo.yaml', '--samples', 's.prom', '--window', '1x'], 2, 'the canary window is "1x"'],
    ['a window of seconds', ['gate', 'slo.yaml', '--samples', 's.prom', '--window', '1s'], 2, '10s or more'],
    ['a bad matcher', ['gate', 'slo.yaml', '--samples', 's.prom', '--match', 'role'], 2, 'LABEL=VALUE'],
    ['a bad share', ['gate', 'slo.yaml', '--samples', 's.prom', '--min-budget', '2'], 2, 'from 0 to 1'],
    ['a bad event count', ['gate', 'slo.yaml', '--samples', 's.prom', '--min-events', '0'], 2, '1 or more'],
    ['--canary without configuration', ['gate', 'slo.yaml', '--samples', 's.prom', '--canary'], 2, 'needs slo.canary'],
    ['an unknown preset', ['gate', 'slo.yaml', '--samples', 's.prom', '--preset', 'workbok'], 2, 'did you mean `workbook`?'],
    ['no configuration and no file', ['gate', '--samples', 's.prom'], 2, 'no configuration'],
    [
      'maintenance that ends before it starts',
      ['gate', 'slo.yaml', '--samples', 's.prom', '--maintenance', 'm.yaml'],
      2,
      'm.yaml:1:',
    ],
    ['samples that are none', ['gate', 'slo.yaml', '--samples', 'slo.yaml'], 2, 'slo.yaml:1: not a sample'],
    ['a binary SLO file', ['check', 'binary.yaml'], 2, 'binary'],
    ['no file to check', ['check'], 2, 'FILE...'],
    ['an unknown target', ['generate', 'slo.yaml', '--to', 'nagios'], 2, 'prometheus, grafana'],
    ['no target', ['generate', 'slo.yaml'], 2, '--to'],
    ['no samples to replay', ['backtest', 'slo.yaml'], 2, '--samples'],
    ['a bad step', ['backtest', 'slo.yaml', '--samples', 's.prom', '--step', '1'], 4, ''],
    ['a step that is no duration', ['backtest', 'slo.yaml', '--samples', 's.prom', '--step', 'x'], 2, '--step is "x"'],
  ])('explains %s', async (_title, args, code, message) => {
    write({
      'slo.yaml': slo({ policies: PAIR }),
      's.prom': traffic(10, () => [1, 0]),
      'm.yaml': 'windows: [{start: "2026-01-02T00:00:00Z", end: "2026-01-01T00:00:00Z", reason: r, owner: o}]\n',
      'binary.yaml': 'a\0b',
    });
    const ran = await run(...args);
    expect([ran.code, ran.stderr]).toEqual([code, expect.stringContaining(message)]);
    expect(ran.stderr).not.toMatch(/^\s+at /m);
  });
  it('refuses a query that cannot be put over each window', async () => {
    write({
      'slo.yaml': slo({ good: 'sum(sum_over_time(requests_total[1h:1m]))', policies: PAIR }),
      's.prom': traffic(10, () => [1, 0]),
    });
    const ran = await run('gate', 'slo.yaml', '--samples', 's.prom');
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining('SubqueryExpr')]);
  });
  it('fails on unsound SLOs before it asks for a sample', async () => {
    write({ 'slo.yaml': slo({ target: '0.9', policies: policy({ threshold: 14.4 }) }), 's.prom': traffic(10, () => [1, 0]) });
    const ran = await run('gate', 'slo.yaml', '--samples', 's.prom');
    expect([ran.code, rules(ran)]).toEqual([1, ['slo-threshold-unreachable']]);
  });
});
