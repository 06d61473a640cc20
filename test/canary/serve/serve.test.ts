import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { increments } from '../../../src/canary/prometheus-samples.ts';
import { ROOT, runCli } from '../../support/cli.ts';
import { type RunningPrometheus, startPrometheus } from '../../support/prometheus.ts';

const STEP = 15;
const POINTS = 240;
const END = Math.floor(Date.now() / 1000 / STEP) * STEP;

/** Latency of three versions over the last hour, without order in time: `slow` is 30 % worse than the others. */
function history(): string {
  const lines = ['# TYPE latency_ms gauge'];
  for (const [version, factor, seed] of [
    ['stable', 100, 1],
    ['same', 100, 2],
    ['slow', 130, 3],
  ] as const) {
    let state = seed * 7919;
    for (let i = 0; i < POINTS; i += 1) {
      state = (state * 48271) % 2147483647;
      lines.push(
        `latency_ms{version="${version}"} ${factor * (0.9 + (0.2 * state) / 2147483647)} ${END - (POINTS - 1 - i) * STEP}`,
      );
    }
  }
  return `${lines.join('\n')}\n# EOF\n`;
}

let prometheus: RunningPrometheus;
let child: ChildProcess;
let url = '';

beforeAll(async () => {
  prometheus = await startPrometheus({ history: history() });
  child = spawn(process.execPath, [join(ROOT, 'src/cli.ts'), 'canary', 'serve', '--port', '0', '--prometheus', prometheus.url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  url = await new Promise<string>((done, fail) => {
    child.once('close', (code) => fail(new Error(`the server ended with ${code}`)));
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const found = /listening on (\S+)/.exec(text)?.[1];
      if (found !== undefined) done(found);
    });
  });
}, 120_000);
afterAll(async () => {
  child?.kill('SIGKILL');
  await prometheus?.[Symbol.asyncDispose]();
});

async function post(
  path: string,
  body: unknown,
  type = 'application/json',
): Promise<{ status: number; body: Record<string, never> & { [key: string]: unknown } }> {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': type },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as never };
}

const queries = (
  candidate: string,
): { name: string; baselineQuery: string; candidateQuery: string; margin: { relative: number } } => ({
  name: 'latency',
  baselineQuery: 'latency_ms{version="stable"}',
  candidateQuery: `latency_ms{version="${candidate}"}`,
  margin: { relative: 0.1 },
});
const live = (candidate: string): unknown => ({ metrics: [queries(candidate)], window: '55m', step: '15s' });

describe('canary serve, as a process against a real Prometheus', () => {
  it.each([
    ['slow', 'fail', false, true, 412],
    ['same', 'pass', true, false, 200],
    ['absent', 'inconclusive', false, false, 425],
  ])('judges the live candidate %s as %s, also as a Flagger webhook', async (candidate, verdict, success, failure, status) => {
    const analysis = await post('/api/v1/analysis', live(candidate));
    expect(analysis.status).toBe(200);
    expect(analysis.body).toMatchObject({ verdict, success, failure });
    const { name, margin: _, ...asked } = queries(candidate);
    const hook = await post('/api/v1/flagger', {
      name: 'app',
      namespace: 'prod',
      phase: 'Progressing',
      metadata: { metric: name, ...asked, relativeMargin: '0.1', window: '55m', step: '15s' },
    });
    expect([hook.status, hook.body['verdict']]).toEqual([status, verdict]);
    const got = await fetch(
      `${url}/api/v1/analysis?${new URLSearchParams({ metric: name, ...asked, relativeMargin: '0.1', window: '55m' })}`,
    );
    expect(((await got.json()) as { verdict: string }).verdict).toBe(verdict);
  });

  it('answers a case as judge --batch does', async () => {
    const values = (shift: number): number[] => Array.from({ length: 60 }, (_, i) => 100 + ((i * 37) % 60) / 10 + shift);
    const metric = { name: 'm', kind: 'continuous', direction: 'lower', baseline: values(0), candidate: values(40) };
    const answer = await post('/api/v1/judge', { id: 'a', design: 'unpaired', metrics: [metric] });
    expect(answer.body).toMatchObject({ id: 'a', verdict: 'fail', metrics: [{ name: 'm', verdict: 'fail' }] });
  });

  it.each([
    ['an increase that is bad', 40, 'High', 'Fail'],
    ['nothing', 0, 'Pass', 'Pass'],
    ['no data', undefined, 'Nodata', 'Nodata'],
  ])('answers Kayenta as a remote judge: %s', async (_title, shift, label, classification) => {
    const values = (by: number): (number | string)[] =>
      Array.from({ length: 60 }, (_, i) => (i === 7 ? 'NaN' : 100 + ((i * 37) % 60) / 10 + by));
    const answer = await post('/judge', {
      canaryConfig: {
        metrics: [{ name: 'latency', groups: ['speed'], analysisConfigurations: { canary: { direction: 'increase' } } }],
      },
      scoreThresholds: { pass: 95, marginal: 75 },
      metricSetPairList: [
        {
          name: 'latency',
          id: 'x',
          tags: {},
          values: { control: values(0), experiment: shift === undefined ? [] : values(shift) },
        },
      ],
    });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ results: [{ name: 'latency', classification: label }], score: { classification } });
    expect((answer.body['score'] as unknown as { score: number }).score >= 95).toBe(classification === 'Pass');
  });

  it.each([
    ['no case', '/api/v1/judge', { id: 'a' }, 'application/json', 400],
    [
      'another Prometheus',
      '/api/v1/analysis',
      { ...(live('same') as object), prometheus: 'http://evil' },
      'application/json',
      400,
    ],
    [
      'a query that Prometheus refuses',
      '/api/v1/analysis',
      { metrics: [{ ...queries('same'), baselineQuery: 'sum(' }] },
      'application/json',
      502,
    ],
    ['a form', '/api/v1/judge', {}, 'text/plain', 415],
    ['a body over the limit', '/api/v1/judge', 'x'.repeat(17 * 1024 * 1024), 'application/json', 413],
    ['an unknown endpoint', '/none', {}, 'application/json', 404],
    ['a rollback hook', '/api/v1/flagger', { type: 'rollback', metadata: {} }, 'application/json', 400],
  ])('refuses %s with problem details', async (_title, path, body, type, status) => {
    const answer = await post(path, body, type);
    expect(answer.body).toMatchObject({ status });
    expect(answer.status).toBe(status);
  });

  const block = (page: string, language: string): string =>
    new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(readFileSync(join(ROOT, 'docs/recipes', page), 'utf8'))![1]!;

  it.each([
    ['slow', 'Failed', 412],
    ['same', 'Successful', 200],
    ['absent', 'Inconclusive', 425],
  ])('takes what the manifests of the recipes send: %s is %s', async (candidate, phase, status) => {
    const manifest = block('argo-rollouts.md', 'yaml')
      .replaceAll('{{args.stable}}', 'stable')
      .replaceAll('{{args.canary}}', candidate);
    const [metric] = parse(manifest).spec.metrics;
    expect([metric.successCondition, metric.failureCondition]).toEqual([
      'result == "pass" || result == "warn"',
      'result == "fail"',
    ]);
    const answer = await post(new URL(metric.provider.web.url).pathname, metric.provider.web.jsonBody);
    const result = answer.body[/^\{\$\.(\w+)\}$/.exec(metric.provider.web.jsonPath)![1]!];
    // Argo: failure wins; neither condition is Inconclusive.
    const failed = String(result) === 'fail';
    const succeeded = String(result) === 'pass' || String(result) === 'warn';
    expect(failed ? 'Failed' : succeeded ? 'Successful' : 'Inconclusive').toBe(phase);
    const [hook] = parse(block('flagger.md', 'yaml').replace('version="canary"', `version="${candidate}"`)).spec.analysis
      .webhooks;
    const sent = { name: 'app', namespace: 'prod', phase: 'WaitingPromotion', metadata: hook.metadata };
    expect((await post(new URL(hook.url).pathname, sent)).status).toBe(status);
  });

  it('takes the Kayenta request of the recipe', async () => {
    const answer = await post('/judge', JSON.parse(block('spinnaker.md', 'json')));
    expect(answer.body).toMatchObject({ score: { classification: 'Nodata', score: 0 } });
  });

  it('tells how it is, and ends well on SIGTERM', async () => {
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'ok' });
    expect(await (await fetch(`${url}/metrics`)).text()).toContain(
      'mixgate_canary_judgements_total{endpoint="kayenta",verdict="fail"} 1',
    );
    const code = new Promise((done) => child.once('close', done));
    child.kill('SIGTERM');
    expect(await code).toBe(0);
  });
});

describe('canary judge on Prometheus', () => {
  const end = new Date(END * 1000).toISOString();
  const start = new Date((END - (POINTS - 1) * STEP) * 1000).toISOString();
  const query = (version: string): string => `latency_ms{version="${version}"}`;

  it.each([
    ['slow', 1, 'fail'],
    ['same', 0, 'pass'],
    ['absent', 4, 'inconclusive'],
  ])('queries %s from a live server', async (candidate, code, verdict) => {
    const window = ['--start', start, '--end', end];
    const queries = ['--baseline-query', query('stable'), '--candidate-query', query(candidate)];
    const ran = await runCli(['canary', 'judge', '--prometheus', prometheus.url, ...queries, ...window, '--format', 'json']);
    expect([ran.code, JSON.parse(ran.stdout).verdict]).toEqual([code, verdict]);
  });

  it('reads saved answers, and refuses several series of one metric', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'mixgate-prom-'));
    try {
      const save = async (file: string, promql: string): Promise<void> => {
        const parameters = new URLSearchParams({ query: promql, start, end, step: '15' });
        writeFileSync(join(dir, file), await (await fetch(`${prometheus.url}/api/v1/query_range?${parameters}`)).text());
      };
      await save('a.json', query('stable'));
      await save('b.json', query('slow'));
      await save('all.json', 'latency_ms');
      const judged = await runCli(['canary', 'judge', '--baseline', 'a.json', '--candidate', 'b.json'], { cwd: dir });
      expect([judged.code, judged.stdout.includes('latency_ms')]).toEqual([1, true]);
      const refused = await runCli(['canary', 'judge', '--baseline', 'all.json', '--candidate', 'b.json'], { cwd: dir });
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain('several series of latency_ms');
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  it('takes the growth of a counter over resets, and none next to a gap', () => {
    expect(increments([5, 8, 8, 2, Number.NaN, 4, 6])).toEqual([3, 0, 2, Number.NaN, Number.NaN, 2]);
  });
});
