import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { judgeCase } from '../../../src/canary/judge/judge.ts';
import type { CaseInput } from '../../../src/canary/judge/types.ts';
import { type AnsweredMetric, windowCase } from '../../../src/canary/serve/analysis.ts';
import { judgeKayenta } from '../../../src/canary/serve/kayenta.ts';
import { JudgePool, type JudgePoolOptions } from '../../../src/canary/serve/pool.ts';
import { judgeServer } from '../../../src/canary/serve/server.ts';
import { judgeWindow } from '../../../src/canary/serve/windows.ts';
import { ROOT } from '../../support/cli.ts';

const HELD = new URL('./held-worker.ts', import.meta.url);
const NEVER = new AbortController().signal;

const wave = (n: number, shift = 0): number[] => Array.from({ length: n }, (_, i) => 100 + ((i * 37) % 60) / 10 + shift);
const caseOf = (id: string, n = 60, looks?: number): CaseInput => ({
  id,
  design: 'unpaired',
  ...(looks === undefined ? {} : { looks }),
  metrics: [{ name: 'm', kind: 'continuous', direction: 'lower', baseline: wave(n), candidate: wave(n, 40) }],
});
const bytes = (value: unknown): Uint8Array<ArrayBuffer> => new TextEncoder().encode(JSON.stringify(value));
const text = (json: Uint8Array): string => Buffer.from(json).toString('utf8');

const open: { close(): Promise<unknown> | unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

/** The server in this process, with threads that can be held, and the gate that holds them. */
async function serve(pool: JudgePoolOptions, maxConcurrent = 16) {
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const server = judgeServer({
    metrics: [],
    maxBodyBytes: 1024 * 1024,
    maxConcurrent,
    now: Date.now,
    pool: { script: HELD, data: gate, ...pool },
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push({
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    server,
    judge: (input: CaseInput, signal?: AbortSignal) => send(url, input, signal),
    letGo: (): void => {
      Atomics.store(gate, 1, 1);
      Atomics.notify(gate, 1);
    },
    /** Resolves once so many cases are held in their threads. */
    held: async (count: number): Promise<void> => {
      while (Atomics.load(gate, 0) !== count) await new Promise((done) => setTimeout(done, 5));
    },
  };
}

async function send(url: string, input: CaseInput, signal?: AbortSignal) {
  const response = await fetch(`${url}/api/v1/judge`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(input),
    ...(signal === undefined ? {} : { signal }),
  });
  return { status: response.status, retry: response.headers.get('retry-after'), text: await response.text() };
}

/** Resolves once the server at `url` has so many cases that wait or are judged. */
async function cases(url: string, count: number): Promise<void> {
  while (!(await (await fetch(`${url}/metrics`)).text()).includes(`mixgate_canary_cases ${count}\n`));
}

describe('while a case is judged', () => {
  it('health, metrics and a small case are answered', async () => {
    const { url, judge, held, letGo } = await serve({ workers: 2 });
    const order: string[] = [];
    const long = judge(caseOf('held')).finally(() => order.push('held'));
    await held(1);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('mixgate_canary_judgements_active 1\n');
    expect((await judge(caseOf('small'))).status).toBe(200);
    order.push('others');
    letGo();
    expect((await long).text).toBe(`${JSON.stringify(judgeCase(caseOf('held')))}\n`);
    expect(order).toEqual(['others', 'held']);
  });

  it('a full queue is 503 with Retry-After, and what waits is judged in its turn', async () => {
    const { url, judge, held, letGo } = await serve({ workers: 1, jobs: 2 });
    const first = judge(caseOf('held'));
    await held(1);
    const second = judge(caseOf('waits'));
    await cases(url, 2);
    const refused = await judge(caseOf('third'));
    expect([refused.status, refused.retry]).toEqual([503, '1']);
    expect(JSON.parse(refused.text)).toMatchObject({ status: 503, detail: '2 cases wait or are judged; try again.' });
    letGo();
    expect([(await first).status, (await second).status]).toEqual([200, 200]);
  });

  it('a client that hangs up takes its case with it, judged or waiting', async () => {
    const { url, judge } = await serve({ workers: 1, jobs: 2 });
    const client = new AbortController();
    const both = Promise.allSettled([judge(caseOf('endless'), client.signal), judge(caseOf('endless'), client.signal)]);
    await cases(url, 2);
    client.abort();
    expect((await both).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await cases(url, 0);
    expect((await judge(caseOf('next'))).status).toBe(200);
  });
});

describe('a case that takes too much', () => {
  it.each([
    ['time', 'endless', { limitMs: 3_000 }, 'The case takes longer to judge than 3 s and was given up'],
    ['memory', 'hungry', { heapMiB: 64 }, 'The case takes more memory to judge than 64 MiB and was given up'],
  ])('of %s is refused, and the thread after it judges', async (_what, id, limits, detail) => {
    const { judge } = await serve({ workers: 1, ...limits });
    const answer = await judge(caseOf(id));
    expect(answer.status).toBe(422);
    expect((JSON.parse(answer.text) as { detail: string }).detail).toContain(detail);
    expect((await judge(caseOf('after'))).text).toBe(`${JSON.stringify(judgeCase(caseOf('after')))}\n`);
  });

  it('of memory ends alone: a case in another thread is judged on', async () => {
    const { judge, held, letGo } = await serve({ workers: 2, heapMiB: 64 });
    const beside = judge(caseOf('held'));
    await held(1);
    expect((await judge(caseOf('hungry'))).status).toBe(422);
    letGo();
    expect((await beside).status).toBe(200);
  });

  it('a thread whose script cannot be loaded is a fault, not a wait', async () => {
    const { judge } = await serve({ script: new URL('./none.ts', import.meta.url) });
    expect((await judge(caseOf('a'))).status).toBe(500);
  });
});

describe('a thread judges as this process does', () => {
  it('byte for byte, whatever the case', async () => {
    await using pool = new JudgePool({ workers: 2 });
    const value = fc.oneof(fc.integer({ min: -50, max: 50 }), fc.double({ noNaN: true, min: -1e6, max: 1e6 }));
    const arm = fc.array(fc.oneof({ weight: 9, arbitrary: value }, { weight: 1, arbitrary: fc.constant(null) }), {
      maxLength: 60,
    });
    const metric = fc.record({
      name: fc.constantFrom('a', 'b', 'ü'),
      kind: fc.constantFrom('continuous', 'count', 'binary'),
      direction: fc.constantFrom('lower', 'higher', 'either'),
      baseline: arm,
      candidate: arm,
    });
    const input = fc.record({
      id: fc.string(),
      design: fc.constant('unpaired'),
      metrics: fc.array(metric, { minLength: 1, maxLength: 3 }),
    });
    let [judged, refused] = [0, 0];
    await fc.assert(
      fc.asyncProperty(input, async (raw) => {
        const here = judgeCase(JSON.parse(JSON.stringify(raw)) as CaseInput);
        const there = await pool.run({ kind: 'case', body: bytes(raw) }, NEVER).then(
          ({ json }) => text(json),
          (problem: { status: number; message: string }) => problem,
        );
        if (here.verdict === 'error') {
          refused += 1;
          expect(there).toMatchObject({ status: 400, message: here.reason });
        } else {
          judged += 1;
          expect(there).toBe(`${JSON.stringify(here)}\n`);
        }
      }),
      { numRuns: 150 },
    );
    expect(Math.min(judged, refused)).toBeGreaterThan(5);
  });

  it('windows and Kayenta requests too', async () => {
    await using pool = new JudgePool();
    const answers = (): AnsweredMetric[] => {
      const arm = (values: readonly (number | string)[]): AnsweredMetric['baseline'] => ({
        range: { query: 'q', start: 0, end: 61_000, step: 1_000, metric: 'm' },
        answer: {
          from: 'http://prometheus.example',
          status: 200,
          body: bytes({
            status: 'success',
            data: { resultType: 'matrix', result: [{ metric: {}, values: values.map((value, i) => [i, String(value)]) }] },
          }),
        },
      });
      const metric = { name: 'm', kind: 'continuous', direction: 'lower', baselineQuery: 'q', candidateQuery: 'q' } as const;
      return [{ metric, baseline: arm([...wave(60), 'NaN', '-0']), candidate: arm(wave(60, 40)) }];
    };
    const window = judgeWindow(windowCase(answers()), 0.05, 3);
    const answer = await pool.run({ kind: 'window', answers: answers(), alpha: 0.05, looks: 3 }, NEVER);
    expect(text(answer.json)).toBe(`${JSON.stringify({ ...window, success: false, failure: true })}\n`);
    const request = {
      canaryConfig: { metrics: [{ name: 'm', analysisConfigurations: { canary: { direction: 'increase' } } }] },
      metricSetPairList: [{ name: 'm', id: 'x', tags: {}, values: { control: ['NaN', ...wave(60)], experiment: wave(60, 40) } }],
    };
    const scored = await pool.run({ kind: 'kayenta', body: bytes(request), alpha: 0.01 }, NEVER);
    expect(text(scored.json)).toBe(`${JSON.stringify(judgeKayenta(request, 0.01))}\n`);
    expect(scored.verdict).toBe('fail');
  });

  it('a body that is wrong in very many places is refused in few words', async () => {
    await using pool = new JudgePool();
    const wrong = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`key${i}`, 1]));
    const problem = await pool.run({ kind: 'case', body: bytes(wrong) }, NEVER).catch((error: unknown) => error);
    expect(problem).toMatchObject({ status: 400 });
    const { details, message } = problem as { details: string[]; message: string };
    expect([details.length, message.length]).toEqual([100, 2_000]);
  });
});

it('the thread ends when nothing is asked for a while, and the next case starts another', async () => {
  await using pool = new JudgePool({ idleMs: 1, workers: 1 });
  for (let i = 0; i < 3; i += 1) {
    expect((await pool.run({ kind: 'case', body: bytes(caseOf('a')) }, NEVER)).verdict).toBe('fail');
    while (pool.threads > 0) await new Promise((done) => setTimeout(done, 5));
  }
});

describe('as a process', () => {
  const entry = process.env['MIXGATE_BUNDLE'] === '1' ? 'dist/cli.js' : 'src/cli.ts';

  it('answers others first, and ends well on SIGTERM while it judges', async () => {
    const child: ChildProcess = spawn(process.execPath, [join(ROOT, entry), 'canary', 'serve', '--port', '0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    open.push({ close: () => child.kill('SIGKILL') });
    const code = once(child, 'close');
    const [line] = (await once(child.stdout!.setEncoding('utf8'), 'data')) as [string];
    const url = /listening on (\S+)/.exec(line)![1]!;
    // As many metrics and points as a case may have.
    const digits = (seed: number): number[] => Array.from({ length: 120 }, (_, i) => (i * i * 7 + seed * (i % 11)) % 10);
    const metric = caseOf('long').metrics[0]!;
    const many = Array.from({ length: 20_000 }, (_, i) => ({
      ...metric,
      name: `m${i}`,
      baseline: digits(i),
      candidate: digits(i + 3),
    }));
    const order: string[] = [];
    const long = send(url, { ...caseOf('long'), looks: 50, metrics: many }).then(
      ({ status }) => order.push(`long ${status}`),
      () => order.push('long cut off'),
    );
    await cases(url, 1);
    expect((await send(url, caseOf('small'))).text).toBe(`${JSON.stringify(judgeCase(caseOf('small')))}\n`);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    order.push('others');
    child.kill('SIGTERM');
    expect((await code)[0]).toBe(0);
    await long;
    expect(order).toEqual(['others', 'long cut off']);
  });
});
