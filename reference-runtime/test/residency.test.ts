// A model that is loaded by the first request and unloaded when idle: the rules on an engine of the test's own, the behaviour on the real one.
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { resolveTool } from '../../src/tools/resolve.ts';
import type { PoolConfig } from '../src/config/types.ts';
import type { LlamaEngine } from '../src/engine/llama-engine.ts';
import type { EngineInfo, EngineStats } from '../src/engine/types.ts';
import { type Loadable, Residency, type ResidencyEvents } from '../src/server/residency.ts';
import { wholeLines } from './support/lines.ts';
import { randomModel, temporary } from './support/models.ts';
import { metric, startServer, type TestServer } from './support/server.ts';
import { startStub, streaming } from './support/stub.ts';
import { until } from './support/until.ts';

const dir = temporary();
afterAll(dir.remove);
const forever = new AbortController().signal;

/** Loads and unloads take `ms`; what happens at once, and after disposal of what was needed, is counted. */
function engine(ms = 5): Loadable & { loads: number; atOnce: number; fail: boolean } {
  let state: EngineStats['state'] = 'unloaded';
  let busy = 0;
  const work = async (next: EngineStats['state']): Promise<void> => {
    busy++;
    own.atOnce = Math.max(own.atOnce, busy);
    state = 'loading';
    await pause(ms);
    busy--;
    state = next;
  };
  const own = {
    loads: 0,
    atOnce: 0,
    fail: false,
    async load() {
      own.loads++;
      await work(own.fail ? 'failed' : 'ready');
      if (own.fail) throw new Error('/secret/model.gguf does not fit');
      return {} as EngineInfo;
    },
    unload: () => work('unloaded'),
    async *generate() {},
    stats: (): EngineStats => ({ state, active: 0, sequences: 1, restarts: 0, rssBytes: 0 }),
    dispose: async () => {},
  };
  return own;
}

const quiet: ResidencyEvents = { loaded: () => {}, failed: () => {}, unloaded: () => {} };

describe('residency', () => {
  it('loads once for everybody who waits', async () => {
    const own = engine();
    const residency = new Residency(own, { idleMs: undefined }, quiet);
    const waited = await Promise.all([1, 2, 3].map(() => residency.enter(forever)));
    expect(waited.every((ms) => ms !== undefined && ms > 0)).toBe(true);
    expect(await residency.enter(forever)).toBeUndefined();
    expect(own.loads).toBe(1);
  });

  it('does not let one who gives up take the load from the others', async () => {
    const own = engine(30);
    const residency = new Residency(own, { idleMs: undefined }, quiet);
    const impatient = new AbortController();
    const first = residency.enter(impatient.signal);
    const second = residency.enter(forever);
    impatient.abort();
    await expect(first).rejects.toMatchObject({ status: 504, code: 'deadline_exceeded' });
    expect(await second).toBeGreaterThan(0);
    expect(own.loads).toBe(1);
  });

  it('loads nothing for one who has given up before: nobody would hear how it ended', async () => {
    const own = engine();
    own.fail = true;
    const residency = new Residency(own, { idleMs: undefined }, quiet);
    await expect(residency.enter(AbortSignal.abort())).rejects.toMatchObject({ status: 504, code: 'deadline_exceeded' });
    expect(own.loads).toBe(0);
  });

  it('says that a load failed without the paths of the machine, and tries again only after a pause', async () => {
    const own = engine();
    const reasons: string[] = [];
    const residency = new Residency(own, { idleMs: undefined }, { ...quiet, failed: (reason) => reasons.push(reason) });
    own.fail = true;
    const failure = { code: 'LOAD_FAILED', message: 'the model could not be loaded; the log of the runtime says why' };
    await expect(residency.enter(forever)).rejects.toMatchObject(failure);
    expect(reasons).toEqual(['/secret/model.gguf does not fit']);
    await expect(residency.enter(forever)).rejects.toMatchObject({ code: 'LOAD_FAILED' });
    expect({ loads: own.loads, failing: residency.failing }).toEqual({ loads: 1, failing: true });
    own.fail = false;
    await until(() => !residency.failing);
    expect(await residency.enter(forever)).toBeGreaterThan(0);
  });

  it('unloads when idle, and later where a decision said so', async () => {
    const own = engine();
    let unloads = 0;
    const residency = new Residency(own, { idleMs: 20 }, { ...quiet, unloaded: () => unloads++ });
    await residency.enter(forever);
    await pause(60);
    expect(unloads).toBe(0);
    residency.leave();
    await until(() => unloads === 1);
    expect(residency.loaded).toBe(false);
    await residency.enter(forever);
    residency.leave(60_000);
    await pause(100);
    expect({ unloads, loaded: residency.loaded }).toEqual({ unloads: 1, loaded: true });
    residency.close();
  });

  it('never has two loads or unloads at once, and is loaded for whoever is in, however requests come and go', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 12 }), async (gaps) => {
        const own = engine(2);
        const residency = new Residency(own, { idleMs: 3 }, quiet);
        await Promise.all(
          gaps.map(async (gap, index) => {
            await pause(gap * 2);
            await residency.enter(forever);
            expect(own.stats().state).toBe('ready');
            await pause(index % 4);
            expect(own.stats().state).toBe('ready');
            residency.leave();
          }),
        );
        await until(() => own.stats().state === 'unloaded');
        expect(own.atOnce).toBe(1);
        residency.close();
      }),
      { numRuns: 25 },
    ));
});

interface Body {
  choices: Array<{ text: string }>;
  mixgate: { cold_start: boolean; fallback: string | null; target: { pool: string }; timings: Record<string, number> };
}

async function policyBundle(source: string): Promise<string> {
  const folder = dir.file('policy');
  mkdirSync(folder);
  writeFileSync(`${folder}/policy.rego`, source);
  const target = dir.file('bundle.tar.gz');
  execFileSync((await resolveTool('opa')).path, ['build', '-t', 'wasm', '-e', 'routing/decision', '-o', target, folder]);
  return target;
}

const ask = async (server: TestServer, more: Record<string, string> = {}): Promise<Body> => {
  const response = await server.post(
    '/v1/completions',
    { prompt: 'abc', max_tokens: 4, temperature: 0, seed: 1 },
    { 'x-mixgate-include': 'timings', ...more },
  );
  const text = await response.text();
  if (response.status !== 200) throw new Error(text);
  return JSON.parse(text) as Body;
};

const onDemand =
  (more: Partial<PoolConfig> = {}) =>
  (config: TestServer['runtime']['config']): void => {
    Object.assign(config.pools[0] as PoolConfig, { load: 'on-demand', ...more });
  };

describe('a pool that loads on demand', () => {
  it('is ready without a model, loads it for the first requests, and lets go of it when idle', async () => {
    const log = dir.file('decisions.ndjson');
    await using server = await startServer(randomModel(dir.file('demand.gguf')), (config) => {
      onDemand({ idle_seconds: 0.5 })(config);
      config.telemetry.decisionLog = { file: log, mask: [] };
    });
    const metrics = async (): Promise<(name: string, ...labels: string[]) => number | undefined> => {
      const text = await (await server.get('/metrics')).text();
      return (name, ...labels) => metric(text, name, ...labels);
    };
    const engineOf = server.runtime.local as LlamaEngine;
    expect(engineOf.pid).toBeUndefined();
    expect((await server.get('/readyz')).status).toBe(200);
    const before = await metrics();
    expect([before('mixgate_engine_up'), before('mixgate_engine_loaded'), before('mixgate_memory_planned_bytes')]).toEqual([
      1,
      0,
      undefined,
    ]);
    const bodies = await Promise.all([ask(server), ask(server), ask(server)]);
    expect(bodies.map((body) => body.mixgate.cold_start)).toEqual([true, true, true]);
    expect(bodies[0]?.mixgate.timings['cold_start_ms']).toBeGreaterThan(0);
    const warm = await ask(server);
    expect(warm.mixgate.cold_start).toBe(false);
    expect(warm.choices).toEqual(bodies[0]?.choices);
    const loaded = await metrics();
    expect(loaded('mixgate_engine_cold_start_duration_seconds_count')).toBe(1);
    expect(loaded('mixgate_engine_loaded')).toBe(1);
    expect(loaded('mixgate_memory_planned_bytes', 'mixgate_memory_kind="ram"')).toBe(server.runtime.info.memory?.ram.total);
    expect(loaded('mixgate_memory_usage_bytes', 'mixgate_memory_kind="ram"')).toBeGreaterThan(0);
    await until(async () => (await metrics())('mixgate_engine_unloads_total') === 1);
    expect((await metrics())('mixgate_engine_loaded')).toBe(0);
    // The process is gone, and its memory with it.
    expect(engineOf.pid).toBeUndefined();
    expect((await server.get('/readyz')).status).toBe(200);
    expect((await ask(server)).mixgate.cold_start).toBe(true);
    expect((await metrics())('mixgate_engine_restarts_total')).toBe(0);
    const logged = () => wholeLines<{ input: { fleet: { pools: object[] } }; custom: object }>(log);
    await until(() => logged().length === 5);
    const events = logged();
    expect(events.filter(({ custom }) => 'cold_start' in custom)).toHaveLength(4);
    // The policy saw it coming: `warm` is what it may choose, `loaded` what is in memory.
    expect(events.map(({ input }) => input.fleet.pools[0])).toMatchObject([
      { warm: true, loaded: false },
      { warm: true, loaded: false },
      { warm: true, loaded: false },
      { warm: true, loaded: true },
      { warm: true, loaded: false },
    ]);
  });

  it('keeps the model where the pool says so', async () => {
    await using server = await startServer(randomModel(dir.file('keep.gguf')), onDemand({ idle_seconds: 0.1, keep_warm: true }));
    await ask(server);
    await pause(500);
    expect((await ask(server)).mixgate.cold_start).toBe(false);
  });

  it('keeps the model for as long as the decision says', async () => {
    const bundle = await policyBundle(`package routing
default task := "none"
task := input.request.task
decision := {"allow": true, "target": target, "keep_warm": object.get({"chat": 60}, task, 0)} if {
	some pool in input.fleet.pools
	target := {"cluster": pool.cluster, "pool": pool.id, "model": pool.model, "version": pool.version}
}
`);
    await using server = await startServer(randomModel(dir.file('decided.gguf')), (config) => {
      onDemand({ idle_seconds: 0.1 })(config);
      config.policy.sources = [{ name: 'own', bundle }];
    });
    await ask(server);
    await until(() => server.runtime.local.stats().state === 'unloaded');
    await ask(server, { 'x-mixgate-task': 'chat' });
    await pause(500);
    expect((await ask(server)).mixgate.cold_start).toBe(false);
  });

  it('falls back with the reason when the model cannot be loaded, says so to whoever has no fallback, and recovers', async () => {
    await using upstream = await startStub(streaming({ text: 'y', tokens: 1 }));
    const model = randomModel(dir.file('gone.gguf'));
    await using server = await startServer(model, (config) => {
      onDemand()(config);
      const [local] = config.pools as [PoolConfig];
      const { load: _load, ...rest } = local;
      config.pools = [local, { ...rest, id: 'z-upstream', engine: { url: upstream.url } }];
    });
    renameSync(model, `${model}.away`);
    const body = await ask(server);
    expect(body.mixgate).toMatchObject({ fallback: 'LOAD_FAILED', target: { pool: 'z-upstream' }, cold_start: false });
    expect((await server.get('/readyz')).status).toBe(503);
    const text = await (await server.get('/metrics')).text();
    expect(metric(text, 'mixgate_engine_load_failures_total')).toBe(1);
    expect(server.logs.join('\n')).toMatch(/model not loaded: .*gone\.gguf/);
    renameSync(`${model}.away`, model);
    await until(async () => (await server.get('/readyz')).status === 200);
    expect((await ask(server)).mixgate).toMatchObject({ fallback: null, cold_start: true });
  });

  it('ends the wait at the deadline of the request, and refuses at start what cannot fit', async () => {
    await using server = await startServer(randomModel(dir.file('slow.gguf')), (config) => {
      onDemand()(config);
      config.limits.deadlineMs = 1;
    });
    const refused = await server.post('/v1/completions', { prompt: 'a', max_tokens: 1 });
    expect(refused.status).toBe(504);
    await expect(
      startServer(randomModel(dir.file('large.gguf')), (config) => {
        onDemand()(config);
        Object.assign(config.model, { context: 1_048_576, sequences: 256 });
      }),
    ).rejects.toThrow(/large.gguf does not fit: weights .* KV cache 64.00 GiB/);
  });
});
