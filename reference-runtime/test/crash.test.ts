// An engine that crashes by itself, as a driver makes it: told once with what matters, and not started for ever.
import { writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { crashed, crashReport, nvidiaDriver } from '../src/engine/crash.ts';
import { LlamaEngine } from '../src/engine/llama-engine.ts';
import { engineOptions, randomModel, temporary } from './support/models.ts';
import { collect, request } from './support/requests.ts';
import { until } from './support/until.ts';

const dir = temporary();
afterAll(dir.remove);

describe('an engine that crashes', () => {
  it('is started twice more, then stays down with the reason, which every request is told', async () => {
    const logs: string[] = [];
    const engine = new LlamaEngine(engineOptions(randomModel(dir.file('crash.gguf'))), (message) => logs.push(message));
    try {
      await engine.load();
      for (let crash = 1; crash <= 3; crash++) {
        process.kill(engine.pid!, 'SIGSEGV');
        await until(() => engine.stats().state === (crash < 3 ? 'restarting' : 'failed'));
        if (crash < 3) await until(() => engine.stats().state === 'ready');
      }
      expect(engine.stats()).toMatchObject({ state: 'failed', restarts: 2 });
      const reason =
        'llama.cpp crashed (SIGSEGV) on the CPU; try another model file, or a smaller model.batch than 256. ' +
        'It crashed 3 times without serving a request and is not started again';
      expect(engine.stats().reason).toBe(reason);
      expect(logs.at(-1)).toBe(reason);
      await expect(collect(engine, request({ text: 'x' }))).rejects.toMatchObject({
        code: 'ENGINE_UNAVAILABLE',
        message: reason,
      });
    } finally {
      await engine.dispose();
    }
  });

  it('counts from the start again once a request was served, and never what killed it from outside', async () => {
    const engine = new LlamaEngine(engineOptions(randomModel(dir.file('served.gguf'))));
    try {
      await engine.load();
      for (const signal of ['SIGSEGV', 'SIGABRT', 'served', 'SIGSEGV', 'SIGBUS', 'SIGKILL', 'SIGKILL'] as const) {
        if (signal === 'served') {
          await collect(engine, request({ text: 'x', maxTokens: 1 }));
          continue;
        }
        process.kill(engine.pid!, signal);
        await until(() => engine.stats().state === 'restarting');
        await until(() => engine.stats().state === 'ready');
      }
      expect(engine.stats()).toMatchObject({ state: 'ready', restarts: 6 });
    } finally {
      await engine.dispose();
    }
  });

  it('while it loads is one clear error, and the end of it', async () => {
    const logs: string[] = [];
    const engine = new LlamaEngine(engineOptions(randomModel(dir.file('load.gguf'))), (message) => logs.push(message));
    const loading = engine.load();
    process.kill(engine.pid!, 'SIGSEGV');
    await expect(loading).rejects.toMatchObject({ code: 'LOAD_FAILED', message: expect.stringContaining('crashed (SIGSEGV)') });
    expect(engine.stats()).toMatchObject({ state: 'failed', restarts: 0 });
    expect(logs).toEqual([]);
    await engine.dispose();
  });
});

describe('what is said', () => {
  it('names GPU, device, driver, layers and what to try', () => {
    const device = { gpu: 'cuda', names: ['NVIDIA H100'], gpuLayers: 12, layers: 33, driver: '580.65.06' };
    expect(crashReport('SIGABRT', device, 512)).toBe(
      "llama.cpp or the GPU's driver crashed (SIGABRT) on cuda (NVIDIA H100, driver 580.65.06), 12 of 33 layers on the GPU; try a newer driver, " +
        'a smaller model.batch than 512, all layers or fewer in model.gpuLayers, or model.gpu: false',
    );
    expect(crashReport('SIGSEGV', { ...device, gpuLayers: 33 }, 512)).toContain('512, fewer in model.gpuLayers, or');
  });

  it('takes for a crash what a process does to itself, and nothing that is done to it', () => {
    expect(['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGABRT', 'SIGFPE'].every(crashed)).toBe(true);
    expect(['SIGKILL', 'SIGTERM', 'SIGINT', null].some(crashed)).toBe(false);
  });

  it("reads the driver's version from the two forms that its file has", () => {
    const file = dir.file('version');
    for (const [line, version] of [
      ['NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023', '535.104.05'],
      ['NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build', '580.65.06'],
      ['nothing of the kind', undefined],
    ] as const) {
      writeFileSync(file, `${line}\n`);
      expect(nvidiaDriver(file)).toBe(version);
    }
    expect(nvidiaDriver(dir.file('absent'))).toBeUndefined();
  });
});
