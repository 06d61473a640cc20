import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
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
  // Counters of failed requests: 1 or 2 a step, or 3 or 4; all begin again at 0 in the middle.
  lines.push('# TYPE failed counter');
  for (const [version, rate, seed] of [
    ['stable', 1, 11],
    ['same', 1, 12],
    ['failing', 3, 13],
  ] as const) {
    let [state, total] = [seed * 7919, 500];
    for (let i = 0; i < POINTS; i += 1) {
      state = (state * 48271) % 2147483647;
      if (i === POINTS / 2) total = 0;
      total += rate + (state % 2);
      lines.push(`failed_total{version="${version}"} ${total} ${END - (POINTS - 1 - i) * STEP}`);
    }
  }
  return `${lines.join('\n')}\n# EOF\n`;
}

let prometheus: RunningPrometheus;
let child: ChildProcess;
let url = '';

/** `canary serve` as a process on a free port. */
async function startServer(
  env: Readonly<Record<string, string>>,
  ...flags: string[]
): Promise<{ readonly process: ChildProcess; readonly url: string }> {
  const process_ = spawn(process.execPath, [join(ROOT, 'src/cli.ts'), 'canary', 'serve', '--port', '0', ...flags], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const found = await new Promise<string>((done, fail) => {
    process_.once('close', (code) => fail(new Error(`the server ended with ${code}`)));
    process_.stdout.setEncoding('utf8').on('data', (text: string) => {
      const at = /listening on (\S+)/.exec(text)?.[1];
      if (at !== undefined) done(at);
    });
  });
  return { process: process_, url: found };
}

beforeAll(async () => {
  prometheus = await startPrometheus({ history: history() });
  ({ process: child, url } = await startServer({}, '--prometheus', prometheus.url));
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

/** Resolves once new connections are refused. */
async function stopsListening(at: string): Promise<void> {
  for (;;) {
    const open = await fetch(`${at}/healthz`).then(
      () => true,
      () => false,
    );
    if (!open) return;
  }
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
      Array.from({ length: 60 }, (_, i) => (i === 7 ? 'NaN' : i === 8 ? 'Infinity' : 100 + ((i * 37) % 60) / 10 + by));
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
    ['an outcome that Flagger has not', '/api/v1/flagger', { metadata: { inconclusive: 'pass' } }, 'application/json', 400],
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
    const [watch, decide] = parse(block('flagger.md', 'yaml').replaceAll('version="canary"', `version="${candidate}"`)).spec
      .analysis.webhooks;
    expect([watch.type, decide.type]).toEqual(['rollout', 'confirm-promotion']);
    const asked = async (hook: { url: string; metadata: object }) =>
      post(new URL(hook.url).pathname, { name: 'app', namespace: 'prod', phase: 'Progressing', metadata: hook.metadata });
    // A candidate of which too little is known is no failed check, and is not promoted.
    expect([(await asked(watch)).status, (await asked(decide)).status]).toEqual([status === 425 ? 200 : status, status]);
    expect(Object.keys((await asked(decide)).body)).toEqual(['verdict', 'reason']);
  });

  it('the Rollout of the Argo recipe gives the template its arguments', () => {
    const [template, rollout] = [
      ...readFileSync(join(ROOT, 'docs/recipes/argo-rollouts.md'), 'utf8').matchAll(/```yaml\n([\s\S]*?)```/g),
    ].map((found) => parse(found[1]!));
    const [{ analysis }] = rollout.spec.strategy.canary.steps.filter((step: object) => 'analysis' in step);
    expect(analysis.templates).toEqual([{ templateName: template.metadata.name }]);
    expect(analysis.args.map(({ name }: { name: string }) => name)).toEqual(
      template.spec.args.map(({ name }: { name: string }) => name),
    );
  });

  it('asks for the token that it was started with, of all but its health', async () => {
    const { process: guarded, url: at } = await startServer({ MIXGATE_SERVE_TOKEN: 's3cret' });
    try {
      const ask = async (path: string, authorization?: string) => {
        const headers = { 'content-type': 'application/json', ...(authorization === undefined ? {} : { authorization }) };
        const answer = await fetch(`${at}${path}`, path === '/healthz' ? {} : { method: 'POST', headers, body: '{}' });
        return [answer.status, answer.headers.get('www-authenticate')];
      };
      for (const path of ['/api/v1/judge', '/api/v1/analysis', '/api/v1/flagger', '/judge'])
        for (const wrong of [undefined, 'Bearer', 'Bearer S3cret', 'Basic s3cret', 's3cret'])
          expect(await ask(path, wrong)).toEqual([401, 'Bearer']);
      expect(await ask('/api/v1/judge', 'Bearer s3cret')).toEqual([400, null]);
      expect(await ask('/healthz')).toEqual([200, null]);
    } finally {
      guarded.kill('SIGKILL');
    }
  });

  it('takes the Kayenta request of the recipe', async () => {
    const answer = await post('/judge', JSON.parse(block('spinnaker.md', 'json')));
    expect(answer.body).toMatchObject({ score: { classification: 'Nodata', score: 0 } });
  });

  it('the stage of the Spinnaker recipe looks once, and its thresholds tell undecided from failed', async () => {
    const [, stage] = [...readFileSync(join(ROOT, 'docs/recipes/spinnaker.md'), 'utf8').matchAll(/```json\n([\s\S]*?)```/g)];
    const { canaryConfig } = JSON.parse(stage![1]!);
    expect(canaryConfig.lifetimeDuration).toBe(`PT${canaryConfig.canaryAnalysisIntervalMins / 60}H`);
    const [marginal, pass] = [Number(canaryConfig.scoreThresholds.marginal), Number(canaryConfig.scoreThresholds.pass)];
    const values = (by: number, n: number): number[] => Array.from({ length: n }, (_, i) => 100 + ((i * 37) % 60) / 10 + by);
    const scored = async (
      metrics: readonly { readonly name: string; readonly experiment: number[]; readonly mustHaveData?: boolean }[],
    ): Promise<{ labels: string[]; score: { score: number; classification: string } }> => {
      const answer = await post('/judge', {
        canaryConfig: {
          metrics: metrics.map(({ name, mustHaveData }) => ({
            name,
            groups: ['all'],
            analysisConfigurations: { canary: { direction: 'increase', mustHaveData } },
          })),
        },
        scoreThresholds: { marginal, pass },
        metricSetPairList: metrics.map(({ name, experiment }) => ({
          name,
          id: name,
          tags: {},
          values: { control: values(0, 60), experiment },
        })),
      });
      const body = answer.body as unknown as { results: { classification: string }[]; score: never };
      return { labels: body.results.map((result) => result.classification), score: body.score };
    };
    const fine = { name: 'fine', experiment: values(0, 60) };
    const undecided = await scored([fine, { name: 'short', experiment: [100, 101] }]);
    expect(undecided).toMatchObject({ labels: ['Pass', 'Nodata'], score: { classification: 'Marginal' } });
    expect(undecided.score.score).toBeGreaterThanOrEqual(marginal);
    expect(undecided.score.score).toBeLessThan(pass);
    const worse = await scored([fine, { name: 'worse', experiment: values(40, 60) }]);
    expect(worse).toMatchObject({ labels: ['Pass', 'High'], score: { classification: 'Fail' } });
    expect(worse.score.score).toBeLessThan(marginal);
    const empty = await scored([fine, { name: 'gone', experiment: [], mustHaveData: true }]);
    expect(empty).toMatchObject({ labels: ['Pass', 'NodataFailMetric'], score: { classification: 'Fail' } });
    expect(empty.score.score).toBeLessThan(marginal);
    expect(await scored([{ name: 'gone', experiment: [] }])).toMatchObject({
      labels: ['Nodata'],
      score: { classification: 'Nodata', score: 0 },
    });
    expect(await scored([fine])).toMatchObject({ labels: ['Pass'], score: { classification: 'Pass', score: 100 } });
  });

  it('the policy of the Spinnaker recipe admits one port from one kind of pod', () => {
    const { kind, spec } = parse(
      [...readFileSync(join(ROOT, 'docs/recipes/spinnaker.md'), 'utf8').matchAll(/```yaml\n([\s\S]*?)```/g)][1]![1]!,
    );
    expect([kind, spec.policyTypes, spec.egress]).toEqual(['NetworkPolicy', ['Ingress', 'Egress'], []]);
    expect(spec.ingress).toHaveLength(1);
    expect(spec.ingress[0].ports).toEqual([{ port: 8085, protocol: 'TCP' }]);
    // Both selectors in one entry: two entries would admit the whole namespace.
    expect(Object.keys(spec.ingress[0].from[0]).sort()).toEqual(['namespaceSelector', 'podSelector']);
    expect(spec.ingress[0].from).toHaveLength(1);
  });

  it.each([
    ['failing', 'fail'],
    ['same', 'pass'],
  ])('judges the growth of a live counter over its reset: %s', async (candidate, verdict) => {
    const answer = await post('/api/v1/analysis', {
      metrics: [
        {
          name: 'failed',
          kind: 'counter',
          direction: 'lower',
          margin: { relative: 0.3 },
          baselineQuery: 'failed_total{version="stable"}',
          candidateQuery: `failed_total{version="${candidate}"}`,
        },
      ],
      window: '55m',
      step: '15s',
    });
    const [metric] = answer.body['metrics'] as unknown as {
      verdict: string;
      effect: number;
      arms: { statistic: string; baseline: number };
    }[];
    expect([answer.body['verdict'], metric!.arms.statistic]).toEqual([verdict, 'mean']);
    // A reset that was read as a fall of 680 would show in the mean of about 1.5 a step.
    expect(metric!.arms.baseline).toBeCloseTo(1.5, 0);
  });

  it('finishes the request that is under way when SIGTERM comes', async () => {
    const own = await startServer({});
    const code = new Promise((done) => own.process.once('close', done));
    const values = Array.from({ length: 60 }, (_, i) => 100 + ((i * 37) % 60) / 10);
    const body = JSON.stringify({
      id: 'late',
      design: 'unpaired',
      metrics: [{ name: 'm', kind: 'continuous', direction: 'lower', baseline: values, candidate: values }],
    });
    const answer = await new Promise<{ status: number | undefined; text: string }>((done, fail) => {
      const sent = request(`${own.url}/api/v1/judge`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), expect: '100-continue' },
      });
      sent.on('error', fail);
      // The server has the request and waits for its body: now it is told to stop.
      sent.on('continue', () => {
        sent.write(body.slice(0, 20));
        own.process.kill('SIGTERM');
        void stopsListening(own.url).then(() => sent.end(body.slice(20)), fail);
      });
      sent.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => done({ status: response.statusCode, text }));
      });
      sent.flushHeaders();
    });
    expect([answer.status, (JSON.parse(answer.text) as { id: string; verdict: string }).verdict]).toEqual([200, 'pass']);
    expect(await code).toBe(0);
  });

  it('tells how it is, and ends well on SIGTERM', async () => {
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'ok' });
    expect(await (await fetch(`${url}/metrics`)).text()).toContain(
      'mixgate_canary_judgements_total{endpoint="kayenta",verdict="fail"} 3',
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

  it.each([
    ['failing', 1, 'fail'],
    ['same', 0, 'pass'],
  ])('takes the growth of a live counter: %s', async (candidate, code, verdict) => {
    const counter = (version: string): string => `failed_total{version="${version}"}`;
    const ran = await runCli(
      ['canary', 'judge', '--prometheus', prometheus.url, '--baseline-query', counter('stable')].concat(
        ['--candidate-query', counter(candidate), '--start', start, '--end', end, '--kind', 'counter', '--format', 'json'],
        ['--metric', 'failed'],
      ),
    );
    const report = JSON.parse(ran.stdout) as { verdict: string; gates: { tables: { columns: string[]; rows: string[][] }[] }[] };
    const [table] = report.gates[0]!.tables;
    expect([ran.code, report.verdict]).toEqual([code, verdict]);
    expect(Number(table!.rows[0]![table!.columns.indexOf('Baseline')])).toBeCloseTo(1.5, 0);
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
