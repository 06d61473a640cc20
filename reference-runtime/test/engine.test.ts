import { ChildProcess, execFileSync } from 'node:child_process';
import { existsSync, renameSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { backoffMs, LlamaEngine, type Watchdog } from '../src/engine/llama-engine.ts';
import { EngineError, type EngineInfo, type GenerateRequest } from '../src/engine/types.ts';
import { readVocabulary } from '../src/engine/vocabulary.ts';
import { makeVariant } from '../src/gguf/variants.ts';
import { engineOptions, microModel, randomModel, temporary } from './support/models.ts';
import { collect, request } from './support/requests.ts';
import { until } from './support/until.ts';

const dir = temporary();
const engine = new LlamaEngine(engineOptions(microModel()));
let info: EngineInfo;

beforeAll(async () => {
  info = await engine.load();
});
afterAll(async () => {
  await engine.dispose();
  dir.remove();
});

describe('llama engine on mixtral-micro', () => {
  it('says what it loaded', () => {
    expect(info).toMatchObject({
      engine: 'llama',
      layers: 4,
      experts: 8,
      expertsUsed: 2,
      sequences: 4,
      threads: 1,
      gpu: 'false',
    });
  });

  it('generates the same text twice at temperature 0', async () => {
    const [first, second] = [
      await collect(engine, request({ text: 'The Congress' })),
      await collect(engine, request({ text: 'The Congress' })),
    ];
    expect(first.text).not.toBe('');
    expect(second.text).toBe(first.text);
    expect(first.done).toMatchObject({ finishReason: 'length', completionTokens: 16 });
  });

  it('samples the same text for the same seed and others for others', async () => {
    const texts = await Promise.all(
      [1, 1, 2, 3].map((seed) => collect(engine, request({ text: 'def ', temperature: 1, seed, maxTokens: 24 }))),
    );
    expect(texts[1]?.text).toBe(texts[0]?.text);
    expect(new Set(texts.map((entry) => entry.text)).size).toBeGreaterThan(1);
  });

  it('samples the same text with log probabilities as without at temperature 0', async () => {
    const plain = await collect(engine, request({ text: 'Die Datei' }));
    const scored = await collect(engine, request({ text: 'Die Datei', logprobs: 3 }));
    expect(scored.text).toBe(plain.text);
    for (const score of scored.scores) {
      expect(score.top).toHaveLength(3);
      expect(score.top[0]?.id).toBe(score.id);
      expect(score.logprob).toBe(score.top[0]?.logprob);
    }
  });

  it('scores a prompt as it scores the same tokens when generating them', async () => {
    const generated = await collect(engine, request({ text: 'The', logprobs: 0, maxTokens: 12 }));
    const whole = await collect(engine, request({ text: `The${generated.text}`, echo: true, logprobs: 0, maxTokens: 0 }));
    // The tokeniser may cut the joined text otherwise; where it cuts it the same, the scores must agree.
    const tail = whole.promptScores.slice(-generated.scores.length);
    expect(tail.map((score) => score.id)).toEqual(generated.scores.map((score) => score.id));
    for (const [index, score] of tail.entries()) expect(score.logprob).toBeCloseTo(generated.scores[index]?.logprob as number, 2);
    expect(whole.promptScores[0]).toMatchObject({ text: '<s>', logprob: null });
  });

  it('stops at a stop sequence and leaves it out', async () => {
    const free = await collect(engine, request({ text: 'The Congress', maxTokens: 24 }));
    const stop = free.text.slice(8, 11);
    const stopped = await collect(engine, request({ text: 'The Congress', maxTokens: 24, stop: [stop] }));
    expect(stopped.text).toBe(free.text.slice(0, free.text.indexOf(stop)));
    expect(stopped.done?.finishReason).toBe('stop');
  });

  it('refuses a prompt longer than its context', async () => {
    await expect(collect(engine, request({ text: 'word '.repeat(600) }))).rejects.toMatchObject({ code: 'CONTEXT_EXCEEDED' });
  });

  it('refuses by its length a prompt that no tokens could make fit, and none that could fit', async () => {
    for (const prompt of [
      { kind: 'text', text: 'a'.repeat(1_000_000) },
      { kind: 'chat', messages: Array.from({ length: 999 }, () => ({ role: 'user', content: 'a'.repeat(1000) })) },
    ] as const)
      await expect(
        collect(engine, request({ prompt: structuredClone(prompt) as GenerateRequest['prompt'] })),
      ).rejects.toMatchObject({
        code: 'CONTEXT_EXCEEDED',
        message: expect.stringMatching(/^the prompt has at least \d+ tokens/),
      });
    // The longest pieces, as many as the context of 256 has room for.
    const vocabulary = readVocabulary(microModel());
    const tokens = Array.from({ length: vocabulary.size }, (_, token) => token);
    const piece = tokens.find((token) => vocabulary.bytes(token).length === vocabulary.longest) ?? 0;
    const text = vocabulary.label(piece).repeat(250);
    expect((await collect(engine, request({ text, maxTokens: 1 }))).done?.promptTokens).toBeLessThanOrEqual(255);
  });

  it('refuses a token that is not in the vocabulary', async () => {
    await expect(collect(engine, request({ prompt: { kind: 'tokens', tokens: [1, 99_999] } }))).rejects.toThrow(
      /token 99999 is not in the vocabulary of 2048/,
    );
  });

  it('refuses a chat that does not alternate', async () => {
    const messages = [
      { role: 'user' as const, content: 'a' },
      { role: 'user' as const, content: 'b' },
    ];
    await expect(collect(engine, request({ prompt: { kind: 'chat', messages } }))).rejects.toThrow(/must alternate/);
  });

  it('frees the sequence of a cancelled request', async () => {
    for (let round = 0; round < 8; round++) {
      const controller = new AbortController();
      const pending = collect(engine, request({ maxTokens: 200 }), controller.signal);
      setTimeout(() => controller.abort(), 5 * round);
      expect((await pending).done?.completionTokens ?? 0).toBeLessThanOrEqual(200);
    }
    expect(engine.stats().active).toBe(0);
    const all = await Promise.all([1, 2, 3, 4].map(() => collect(engine, request({ maxTokens: 4 }))));
    expect(all.map((entry) => entry.done?.completionTokens)).toEqual([4, 4, 4, 4]);
  });

  it('has a free sequence as soon as it says that a request is done', async () => {
    // Four callers, four sequences: each sends its next request the moment it has its answer.
    const counts = await Promise.all(
      [0, 1, 2, 3].map(async (caller) => {
        let tokens = 0;
        for (let round = 0; round < 12; round++) {
          const maxTokens = 3 + ((caller * 5 + round * 3) % 7);
          tokens += (await collect(engine, request({ text: `${caller} ${round}`, temperature: 1, seed: 1, maxTokens }))).done
            ?.completionTokens as number;
        }
        return tokens;
      }),
    );
    expect(counts.every((count) => count > 12)).toBe(true);
  });
});

describe('router traces', () => {
  it('are available on this platform', () => {
    // The trace is Linux-first: elsewhere the runtime must say why not.
    if (process.platform === 'linux') expect(info.trace).toEqual({ available: true, reason: '' });
    else expect(info.trace.reason).not.toBe('');
  });

  it('do not change a token', async () => {
    for (const text of ['The Congress', 'Die Datei', 'def main', '{"a": ']) {
      const [off, on] = [
        await collect(engine, request({ text, maxTokens: 32 })),
        await collect(engine, request({ text, maxTokens: 32, trace: 'full' })),
      ];
      expect(on.text).toBe(off.text);
      expect(off.trace).toBeUndefined();
      expect(on.trace?.tokensTraced).toBe((on.done?.promptTokens ?? 0) + 31);
    }
  });

  it('have one row per computed token and layer, and slots that add up', async () => {
    const { trace, done } = await collect(engine, request({ text: 'Bonjour le monde', maxTokens: 5, trace: 'full' }));
    const prompt = done?.promptTokens ?? 0;
    // The last layer is computed for the last prompt token and every generated one that was fed back.
    expect(trace?.layers.map((layer) => layer.rows)).toEqual([prompt + 4, prompt + 4, prompt + 4, 5]);
    for (const layer of trace?.layers ?? []) expect(layer.usage.reduce((sum, slots) => sum + slots, 0)).toBe(layer.rows * 2);
    expect(trace?.dropped).toBe(0);
  });

  /** Gate probabilities of the prompt by position, token and layer, in that order. */
  function promptRows(result: Awaited<ReturnType<typeof collect>> | undefined): Map<string, number[]> {
    const [rows, prompt] = [result?.trace?.rows, result?.done?.promptTokens ?? 0];
    if (rows === undefined) throw new Error('no rows');
    const found: [number, string, number[]][] = [];
    for (const [index, position] of rows.position.entries()) {
      if (position >= prompt) continue;
      const gate = [...rows.probabilities.subarray(index * rows.experts, (index + 1) * rows.experts)];
      found.push([position * 1000 + rows.layer[index]!, `${position}/${rows.token[index]}/${rows.layer[index]}`, gate]);
    }
    return new Map(found.sort(([a], [b]) => a - b).map(([, key, gate]) => [key, gate]));
  }

  it('give a request the same routing alone and among others', async () => {
    const texts = [
      'The Congress shall',
      'Die Datei wird',
      'import os',
      '{"name": "x", "value": 12}',
      'The Congress shall',
      'Le fichier',
    ];
    const options = { maxTokens: 20, trace: 'full' as const, echo: true, logprobs: 0 };
    const alone = [];
    for (const text of texts) alone.push(await collect(engine, request({ text, ...options })));
    // Four at a time, as the engine has four sequences.
    const together = [
      ...(await Promise.all(texts.slice(0, 4).map((text) => collect(engine, request({ text, ...options }))))),
      ...(await Promise.all(texts.slice(4).map((text) => collect(engine, request({ text, ...options }))))),
    ];
    for (const [index, one] of alone.entries()) {
      const other = together[index];
      // A batch is summed in another order, so a near-tie may fall the other way and change what is generated after it. The
      // prompt is the same in any case: its rows must be this request's own, token by token and layer by layer.
      const [rowsAlone, rowsTogether] = [promptRows(one), promptRows(other)];
      expect([...rowsTogether.keys()]).toEqual([...rowsAlone.keys()]);
      const near = [...rowsAlone].filter(([key, gate]) =>
        gate.every((value, expert) => Math.abs(value - rowsTogether.get(key)![expert]!) < 0.02),
      );
      expect(near.length / rowsAlone.size).toBeGreaterThan(0.9);
      expect(other?.trace?.dropped).toBe(0);
    }
    expect(engine.stats().trace?.unattributed).toBe(0);
  });

  it('show that concurrent streams share their decoding steps', async () => {
    const before = engine.stats().trace;
    await Promise.all(
      [1, 2, 3, 4].map((seed) =>
        collect(engine, request({ text: 'The', maxTokens: 60, temperature: 1, seed, logprobs: 0, trace: 'summary' })),
      ),
    );
    const after = engine.stats().trace;
    if (before === undefined || after === undefined) throw new Error('no statistics');
    // Rows of four layers over steps: one by one would be 1, four at a time 4. How often they meet depends on how busy the machine is.
    expect((after.rows - before.rows) / 4 / (after.steps - before.steps)).toBeGreaterThan(1.1);
  });

  it('count what a full ring loses and never fail the request', async () => {
    const small = new LlamaEngine(engineOptions(randomModel(dir.file('ring.gguf')), { traceRecords: 16, sequences: 1 }));
    await small.load();
    const { done, trace } = await collect(small, request({ text: 'x'.repeat(100), trace: 'full', maxTokens: 4 }));
    expect(done?.completionTokens).toBe(4);
    expect(trace?.dropped).toBeGreaterThan(0);
    expect(small.stats().trace?.dropped).toBeGreaterThan(0);
    await small.dispose();
  });

  it('stay unloaded when switched off', async () => {
    const off = new LlamaEngine(engineOptions(randomModel(dir.file('off.gguf')), { traceRecords: 0 }));
    expect((await off.load()).trace).toEqual({ available: false, reason: 'tracing is switched off' });
    const { trace, done } = await collect(off, request({ trace: 'full' }));
    expect(trace).toBeUndefined();
    expect(done?.completionTokens).toBe(16);
    await off.dispose();
  });
});

describe('what a load remarks', () => {
  it('threads are never more than the cores there are, a context may be more than the model was trained with', async () => {
    const logs: string[] = [];
    const options = engineOptions(randomModel(dir.file('eager.gguf'), { context: 128 }), { threads: 1000, context: 129 });
    const eager = new LlamaEngine(options, (line) => logs.push(line));
    const cores = availableParallelism();
    expect((await eager.load()).threads).toBe(cores);
    expect(logs).toEqual([
      `1000 threads are more than the cores there are; the engine uses ${cores}`,
      "a context of 129 tokens is more than the 128 of the model's training: what follows them is not to be relied on",
    ]);
    await eager.dispose();
  });
});

describe('an engine process that dies', () => {
  it('fails what is running at once, comes back, and serves again', async () => {
    const logs: string[] = [];
    const mortal = new LlamaEngine(engineOptions(randomModel(dir.file('mortal.gguf'))), (line) => logs.push(line));
    await mortal.load();
    const running = collect(mortal, request({ maxTokens: 240 }));
    const pid = mortal.pid as number;
    const failed = expect(running).rejects.toMatchObject({ code: 'ENGINE_DIED' });
    await until(() => mortal.stats().active === 1);
    process.kill(pid, 'SIGKILL');
    await failed;
    await expect(collect(mortal, request())).rejects.toBeInstanceOf(EngineError);
    await until(() => mortal.stats().state === 'ready');
    expect(mortal.pid).not.toBe(pid);
    expect(mortal.stats().restarts).toBe(1);
    expect((await collect(mortal, request())).done?.completionTokens).toBe(16);
    expect(logs[0]).toMatch(/engine ended \(signal SIGKILL\).*restart in 200 ms/);
    await mortal.dispose();
  });

  const impatient: Watchdog = { pingMs: 50, silentMs: 500, loadSilentMs: 500, cancelMs: 60_000, goneMs: 60_000 };

  it('is killed and replaced when it hangs, and what it was running is answered', async () => {
    const logs: string[] = [];
    const hung = new LlamaEngine(engineOptions(randomModel(dir.file('hung.gguf'))), (line) => logs.push(line), {
      ...impatient,
      loadSilentMs: 60_000,
    });
    await hung.load();
    const failed = expect(collect(hung, request({ maxTokens: 240 }))).rejects.toMatchObject({ code: 'ENGINE_DIED' });
    process.kill(hung.pid as number, 'SIGSTOP');
    await failed;
    await until(() => hung.stats().state === 'ready');
    expect(logs[0]).toMatch(/is stuck: it answered nothing for 500 ms/);
    expect((await collect(hung, request())).done?.completionTokens).toBe(16);
    await hung.dispose();
  });

  it('is killed when it hangs while it loads: that is a load that failed', async () => {
    const logs: string[] = [];
    const hung = new LlamaEngine(engineOptions(randomModel(dir.file('slow.gguf'))), (line) => logs.push(line), impatient);
    const failed = expect(hung.load()).rejects.toMatchObject({
      code: 'LOAD_FAILED',
      message: expect.stringMatching(/ended while loading \(signal SIGKILL\)/),
    });
    process.kill(hung.pid as number, 'SIGSTOP');
    await failed;
    expect(logs[0]).toMatch(/is stuck: it answered nothing for 500 ms/);
    await hung.dispose();
  });

  it('is given up when it cannot be killed: what it was running is answered, and another one serves', async () => {
    const held = new LlamaEngine(engineOptions(randomModel(dir.file('held.gguf'))), () => {}, {
      ...impatient,
      loadSilentMs: 60_000,
      goneMs: 100,
    });
    await held.load();
    const pid = held.pid as number;
    const failed = expect(collect(held, request({ maxTokens: 240 }))).rejects.toMatchObject({
      code: 'ENGINE_DIED',
      message: expect.stringContaining('killed, and still there'),
    });
    // As a process does that waits in the kernel for a driver.
    const kill = vi.spyOn(ChildProcess.prototype, 'kill').mockReturnValue(true);
    process.kill(pid, 'SIGSTOP');
    await failed;
    kill.mockRestore();
    await until(() => held.stats().state === 'ready');
    expect((await collect(held, request())).done?.completionTokens).toBe(16);
    expect(held.pid).not.toBe(pid);
    // What comes of it late changes nothing.
    process.kill(pid, 'SIGKILL');
    await until(() => !existsSync(`/proc/${pid}`));
    expect((await collect(held, request())).done?.completionTokens).toBe(16);
    expect(held.stats().restarts).toBe(1);
    await held.dispose();
  });

  it('is not taken for hung by a server that was itself stopped', async () => {
    const healthy = new LlamaEngine(engineOptions(randomModel(dir.file('healthy.gguf'))), () => {}, {
      ...impatient,
      loadSilentMs: 60_000,
    });
    await healthy.load();
    const { pid } = healthy;
    const answer = collect(healthy, request());
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500);
    expect((await answer).done?.completionTokens).toBe(16);
    // Pings after it are answered as before.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect([healthy.pid, healthy.stats().restarts]).toEqual([pid, 0]);
    await healthy.dispose();
  });

  it('comes back with the model that it had, and not with another file of that name', async () => {
    const [path, logs] = [dir.file('swapped.gguf'), [] as string[]];
    const swapped = new LlamaEngine(engineOptions(randomModel(path)), (line) => logs.push(line));
    await swapped.load();
    const kept = dir.file('kept.gguf');
    renameSync(path, kept);
    randomModel(path, { layers: 3, experts: 4 });
    process.kill(swapped.pid as number, 'SIGKILL');
    await until(() => logs.some((line) => line.includes('restart failed')));
    expect(logs.find((line) => line.includes('restart failed'))).toBe(
      `engine restart failed: ${path} is not the file that was loaded before (its size or time has changed); start the runtime again to serve it`,
    );
    await expect(collect(swapped, request())).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
    renameSync(kept, path);
    await until(() => swapped.stats().state === 'ready');
    expect((await collect(swapped, request())).done?.completionTokens).toBe(16);
    await swapped.dispose();
  });

  it('leaves no process behind when disposed', async () => {
    const gone = new LlamaEngine(engineOptions(randomModel(dir.file('gone.gguf'))));
    await gone.load();
    const pid = gone.pid as number;
    await gone.dispose();
    expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
  });

  it.each([
    [1, 200],
    [2, 400],
    [5, 3200],
    [12, 10_000],
  ])('waits before restart %i for %i ms', (attempt, wait) => {
    expect(backoffMs(attempt)).toBe(wait);
  });
});

describe('models that must not be loaded', () => {
  it.each([
    ['a text file', () => new URL(import.meta.url).pathname, /not a GGUF file/],
    ['experts in one tensor each', () => randomModel(dir.file('split.gguf'), { splitExperts: true }), /merged experts/],
    ['a model larger than memory', () => microModel(), /does not fit/],
  ])('%s', async (name, path, message) => {
    const more = name.includes('memory') ? { context: 1_048_576, sequences: 256 } : {};
    const refused = new LlamaEngine(engineOptions(path(), more));
    await expect(refused.load()).rejects.toThrow(message);
    expect(refused.stats().state).toBe('failed');
    await refused.dispose();
  });
});

describe('variants in the real engine', () => {
  async function perplexity(path: string): Promise<number> {
    const one = new LlamaEngine(engineOptions(path));
    await one.load();
    const texts = [
      'Klicken Sie auf die Datei, um die Einstellungen zu ändern.',
      'Wählen Sie im Menü den Befehl Einfügen und dann Tabelle.',
    ];
    let sum = 0;
    let count = 0;
    for (const text of texts) {
      for (const score of (await collect(one, request({ text, echo: true, logprobs: 0, maxTokens: 0 }))).promptScores) {
        if (score.logprob === null) continue;
        sum -= score.logprob;
        count++;
      }
    }
    await one.dispose();
    return Math.exp(sum / count);
  }

  it('rebuild scores exactly as the original; noise in the attention scores worse', async () => {
    const [rebuilt, noisy] = [dir.file('rebuilt.gguf'), dir.file('noisy.gguf')];
    makeVariant(microModel(), rebuilt, { kind: 'rebuild' });
    makeVariant(microModel(), noisy, { kind: 'attention-noise', strength: 0.5 });
    const original = await perplexity(microModel());
    expect(await perplexity(rebuilt)).toBe(original);
    expect(await perplexity(noisy)).toBeGreaterThan(original * 1.05);
  });
});

describe('the exported symbols of the pinned node-llama-cpp', () => {
  it.runIf(process.platform === 'linux' && process.arch === 'x64')('are the ones the tracing addon stands in front of', () => {
    const bins = new URL('../node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/', import.meta.url).pathname;
    const symbols = (file: string): string => execFileSync('nm', ['-D', `${bins}${file}`], { encoding: 'utf8' });
    expect(symbols('llama-addon.node')).toMatch(/ U llama_decode$/m);
    const llama = symbols('libllama.v0.4.0.so');
    expect(llama).toMatch(/ U ggml_backend_sched_set_eval_callback$/m);
    expect(llama).toMatch(/ U ggml_backend_tensor_set$/m);
    expect(llama).toMatch(/ T _ZNK13llama_context9get_schedEv$/m);
  });
});
