// What upstream servers say of their own load, from their text of /metrics to where a request goes.
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PoolConfig } from '../src/config/types.ts';
import { serverLoad } from '../src/engine/server-load.ts';
import { LoadWatch, reportedLoad, type WatchOptions } from '../src/server/load-watch.ts';
import { undeclared } from './support/gate.ts';
import { microModel } from './support/models.ts';
import { metric, startServer, type TestServer } from './support/server.ts';
import { startStub, streaming } from './support/stub.ts';
import { until } from './support/until.ts';

const fixture = (name: string): string => readFileSync(new URL(`fixtures/metrics/${name}.txt`, import.meta.url), 'utf8');

describe('a text of /metrics', () => {
  // llama-server.txt was recorded from llama-server (llama.cpp v0.4.0) with 2 slots under load; the others have the form that the servers'
  // documentation shows, vllm.txt with two engines (data parallelism).
  it.each([
    ['vllm', { server: 'vLLM', running: 24, waiting: 3, kvCache: 0.9132 }],
    ['vllm-0.9', { server: 'vLLM', running: 2, waiting: 0, kvCache: 0.125 }],
    ['sglang', { server: 'SGLang', running: 5, waiting: 7, kvCache: 0.28 }],
    ['llama-server', { server: 'llama-server', running: 2, waiting: 2 }],
  ])('of %s', (name, load) => {
    expect(serverLoad(fixture(name))).toEqual(load);
  });

  it.each([
    ['nothing', ''],
    ['another server', 'process_cpu_seconds_total 1\nvllm_num_requests_running 3\n'],
    ['half of it', 'vllm:num_requests_running 3\n'],
    ['no number', 'vllm:num_requests_running NaN\nvllm:num_requests_waiting 1\n'],
    ['a negative number', 'vllm:num_requests_running -1\nvllm:num_requests_waiting 1\n'],
    ['a page', '<html>vllm:num_requests_running 3</html>'],
  ])('of %s is none', (_name, text) => {
    expect(serverLoad(text)).toBeUndefined();
  });

  it('is read whatever labels hold and whatever stands around', () => {
    const label = fc.stringMatching(/^[^"\\\n]{0,20}$/);
    const line = fc.oneof(
      fc.string({ maxLength: 60 }).map((text) => text.replaceAll('\n', '').replace(/^(?:vllm|sglang|llamacpp):/, '')),
      label.map((value) => `vllm:num_requests_waiting_by_reason{reason="${value}"} 99`),
    );
    fc.assert(
      fc.property(fc.nat(9999), fc.nat(9999), label, fc.array(line, { maxLength: 20 }), (running, waiting, value, noise) => {
        const lines = [
          ...noise,
          `vllm:num_requests_running{model_name="${value}",x="}"} ${running}`,
          ...noise,
          `vllm:num_requests_waiting{model_name="${value}"}\t${waiting}.0 1767225600000`,
          ...noise,
        ];
        expect(serverLoad(lines.join('\n'))).toEqual({ server: 'vLLM', running, waiting });
      }),
    );
  });

  it('with a full KV cache is full, and never more than that', () => {
    expect(serverLoad('sglang:num_running_reqs 1\nsglang:num_queue_reqs 0\nsglang:token_usage 1.7\n')?.kvCache).toBe(1);
  });
});

describe('saturation and queue', () => {
  const load = (running: number, waiting: number, kvCache?: number) => ({
    server: 'vLLM' as const,
    running,
    waiting,
    ...(kvCache === undefined ? {} : { kvCache }),
  });
  it.each([
    ['others use it too', load(6, 0, 0.2), [0, 0], 8, { saturation: 0.75, queue: 0, kv_cache: 0.2 }],
    ['the KV cache is full before the places are', load(2, 0, 0.95), [2, 2], 8, { saturation: 0.95, queue: 0, kv_cache: 0.95 }],
    ['requests wait', load(8, 4, 0.5), [3, 3], 8, { saturation: 1.5, queue: 4, kv_cache: 0.5 }],
    ['this runtime has sent two since', load(7, 0, 0.5), [3, 1], 8, { saturation: 1.125, queue: 1, kv_cache: 0.5 }],
    ['of this runtime three have ended since', load(7, 0, 0.5), [0, 3], 8, { saturation: 0.5, queue: 0, kv_cache: 0.5 }],
    ['it is behind with what this runtime sent', load(0, 0, 0), [5, 5], 8, { saturation: 0.625, queue: 0, kv_cache: 0 }],
    ['without places, waiting is full', load(4, 2, 0.5), [0, 0], undefined, { saturation: 1.5, queue: 2, kv_cache: 0.5 }],
    [
      'without places, the KV cache is what there is',
      load(4, 0, 0.5),
      [0, 0],
      undefined,
      { saturation: 0.5, queue: 0, kv_cache: 0.5 },
    ],
    ['without both, saturation is not known', load(4, 0), [0, 0], undefined, { queue: 0 }],
  ] as const)('%s', (_name, said, [ownNow, ownThen], places, expected) => {
    expect(reportedLoad(said, ownNow, ownThen, places)).toEqual({ reported: true, ...expected });
  });
});

const VLLM = (running: number, waiting: number, kv: number): string =>
  `vllm:num_requests_running ${running}\nvllm:num_requests_waiting ${waiting}\nvllm:kv_cache_usage_perc ${kv}\n`;

describe('a watch', () => {
  async function watched(
    metrics: (response: ServerResponse) => string | undefined,
    options: Partial<WatchOptions> = {},
  ): Promise<{ watch: LoadWatch; lines: string[] }> {
    await using server = await startStub(() => {}, metrics);
    const lines: string[] = [];
    const log = (line: string): unknown => lines.push(line.replace(server.url, 'http://server'));
    const watch = new LoadWatch({ pool: 'gpu', url: server.url, own: () => 0, log, timeoutMs: 60_000, ...options });
    await watch.read();
    await watch.read();
    return { watch, lines };
  }

  it.each<[string, (response: ServerResponse) => string | undefined, Partial<WatchOptions>, RegExp]>([
    ['has no such page', (response) => void response.writeHead(404).end(), {}, /HTTP 404 \(llama-server needs --metrics/],
    ['has metrics of something else', () => 'up 1\n', {}, /none of the metrics of vLLM, SGLang or llama-server/],
    ['never ends', (response) => void response.write('x'.repeat(5000)), { maxBytes: 4096 }, /more than 4096 bytes/],
    ['is silent', () => undefined, { timeoutMs: 30 }, /timeout/],
    ['sends elsewhere', (response) => void response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end(), {}, /redirect/],
  ])('of a server that %s says so once, counts, and has no load', async (_name, metrics, options, reason) => {
    const { watch, lines } = await watched(metrics, options);
    expect(watch.load()).toBeUndefined();
    expect(watch.state(8)).toEqual({ reported: false });
    expect(watch.failures).toBe(2);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^load of pool gpu is not known from http:\/\/server\/metrics: /);
    expect(lines[0]).toMatch(reason);
  });

  it('gives what was said while it is fresh, and nothing from then on', async () => {
    let now = 1000;
    const { watch, lines } = await watched(() => VLLM(1, 0, 0.5), { intervalMs: 100, now: () => now });
    now += 300;
    expect(watch.state(undefined)).toEqual({ reported: true, saturation: 0.5, queue: 0, kv_cache: 0.5 });
    now += 1;
    expect(watch.load()).toBeUndefined();
    expect(watch.state(undefined)).toEqual({ reported: false });
    expect(watch.ageMs()).toBe(301);
    expect(lines).toEqual([]);
  });

  it('says when the load is known again', async () => {
    let asked = 0;
    const { lines } = await watched((response) => (asked++ === 0 ? void response.writeHead(503).end() : VLLM(0, 0, 0)));
    expect(lines.map((line) => line.slice(0, 40))).toEqual([
      'load of pool gpu is not known from http:',
      'load of pool gpu is known again, from it',
    ]);
  });

  it('shows the key of the server to nobody else', async () => {
    const seen: unknown[] = [];
    const metrics = (response: ServerResponse): string => {
      seen.push(response.req.headers.authorization);
      return VLLM(0, 0, 0);
    };
    await using other = await startStub(() => {}, metrics);
    await watched(metrics, { apiKey: 'k' });
    await watched(() => undefined, { apiKey: 'k', path: `${other.url}/metrics` });
    expect(seen).toEqual(['Bearer k', 'Bearer k', undefined, undefined]);
  });
});

describe('routing', () => {
  const TASK = { prompt: 'a', max_tokens: 1 };
  const poolOf = async (front: TestServer): Promise<string> => {
    const response = await front.post('/v1/completions', TASK, { 'x-mixgate-include': 'timings' });
    return ((await response.json()) as { mixgate: { target: { pool: string } } }).mixgate.target.pool;
  };

  it('leaves a server alone that is busy with the requests of others, and says so until it no longer knows', async () => {
    let said: string | undefined = VLLM(1, 0, 0.9);
    let asked = 0;
    await using busy = await startStub(streaming(), (response) => {
      asked++;
      return said ?? void response.writeHead(500).end();
    });
    await using idle = await startStub(streaming(), () => VLLM(3, 0, 0.4));
    {
      await using front = await startServer(microModel(), (config) => {
        const [local] = config.pools as [PoolConfig];
        const metrics = { intervalMs: 100, staleMs: 400 };
        config.pools = [
          { ...local, id: 'a-busy', engine: { url: busy.url, metrics } },
          { ...local, id: 'b-idle', engine: { url: idle.url, metrics: { intervalMs: 100, staleMs: 60_000 } } },
        ];
      });
      const { loads } = front.runtime;
      const scraped = async (): Promise<string> => (await front.get('/metrics')).text();
      await until(() => loads.get('a-busy')?.load() !== undefined && loads.get('b-idle')?.load() !== undefined);
      // By what this runtime has in flight, which is nothing, the first one would be it.
      expect(await poolOf(front)).toBe('b-idle');
      const text = await scraped();
      const of = (name: string, pool: string): number | undefined => metric(text, `mixgate_${name}`, `"${pool}"`);
      expect(of('pool_saturation_ratio', 'a-busy')).toBe(0.9);
      expect(of('pool_saturation_ratio', 'b-idle')).toBe(0.4);
      expect(of('upstream_requests_running', 'b-idle')).toBe(3);
      expect(of('upstream_requests_waiting', 'b-idle')).toBe(0);
      expect(of('upstream_kv_cache_usage_ratio', 'a-busy')).toBe(0.9);
      expect(of('upstream_load_failures_total', 'a-busy')).toBe(0);
      expect(await undeclared(text)).toEqual([]);

      said = undefined;
      await until(() => loads.get('a-busy')?.load() === undefined);
      // The configured saturation of 0 stands again.
      expect(await poolOf(front)).toBe('a-busy');
      const stale = await scraped();
      expect(metric(stale, 'mixgate_pool_saturation_ratio', '"a-busy"')).toBe(0);
      expect(metric(stale, 'mixgate_upstream_requests_running', '"a-busy"')).toBeUndefined();
      expect(metric(stale, 'mixgate_upstream_kv_cache_usage_ratio', '"a-busy"')).toBeUndefined();
      expect(metric(stale, 'mixgate_upstream_load_failures_total', '"a-busy"')).toBeGreaterThan(0);
      expect(metric(stale, 'mixgate_upstream_load_age_seconds', '"a-busy"')).toBeGreaterThan(0.3);
      expect(front.logs.filter((line) => line.includes('a-busy is not known'))).toHaveLength(1);

      said = VLLM(1, 0, 0.1);
      await until(() => loads.get('a-busy')?.load()?.kvCache === 0.1);
      expect(await poolOf(front)).toBe('a-busy');
    }
    const after = asked;
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(asked).toBe(after);
  });

  it('asks nobody where the configuration does not say so', async () => {
    let asked = 0;
    await using server = await startStub(streaming(), () => {
      asked++;
      return VLLM(0, 0, 0);
    });
    await using front = await startServer(microModel(), (config) => {
      const [local] = config.pools as [PoolConfig];
      config.pools = [{ ...local, id: 'quiet', engine: { url: server.url } }];
    });
    expect(await poolOf(front)).toBe('quiet');
    const text = await (await front.get('/metrics')).text();
    expect(metric(text, 'mixgate_upstream_load_age_seconds', '"quiet"')).toBeUndefined();
    expect(asked).toBe(0);
  });
});
