// The Vulkan engine on Mesa's software device: a GPU backend with buffers of its own, that every CI machine can run.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { softwareVulkan } from '../../test/support/vulkan.ts';
import { LlamaEngine } from '../src/engine/llama-engine.ts';
import type { EngineInfo } from '../src/engine/types.ts';
import { engineOptions, microModel } from './support/models.ts';
import { collect, request } from './support/requests.ts';
import { compareRouter, reference } from './support/router-reference.ts';

/** Of the 64 sequences of the reference, 20 tokens in 4 layers each: 1,040 token-layers. The device computes on one CPU thread. */
const SEQUENCES = 13;
/**
 * Rows a step. Mesa 22.3 (Debian 12) crashes in its own thread, with and without the tracing addon, and whether all layers are on it or some,
 * when a step of many rows is followed by one of few; up to 8 rows llama.cpp uses its matrix-vector shaders, and the device compiles each once (about 25 s, then they are cached).
 */
const ROWS = 4;

// The engine's process inherits what it finds its device by; the loader reads it when a process starts.
for (const [name, value] of Object.entries(softwareVulkan())) vi.stubEnv(name, value);
const engine = new LlamaEngine(engineOptions(microModel(), { gpu: 'vulkan', sequences: SEQUENCES, batch: ROWS }));
let info: EngineInfo;

/** A machine that has none of the shaders yet compiles two sets of them while the model loads. */
const FIRST_LOAD_MS = 600_000;
beforeAll(async () => {
  info = await engine.load();
}, FIRST_LOAD_MS);
afterAll(() => engine.dispose());

/**
 * Tolerances, tighter than the CPU's: Vulkan dequantises the weights and multiplies in float where the CPU rounds activations to 8 bits.
 * Differences are the largest of one expert's gate probability in a token-layer.
 */
const MEDIAN = 0.001;
const P99 = 0.01;
const EQUAL_CHOICES = 0.99;

describe('llama engine on Vulkan', () => {
  it('has the model on the device and passed the self-test of tracing there', () => {
    expect(info).toMatchObject({ gpu: 'vulkan', trace: { available: true, reason: '' }, memory: { gpuLayers: 5 } });
  });

  it('planned its memory on the device, and says how much of that there is', () => {
    const vram = info.memory?.vram;
    // 13 sequences x 256 tokens x 2 x 4 layers x 2 KV heads x 32 x f16, and everything but the embedding.
    expect(vram?.kvCache).toBe(SEQUENCES * 256 * 2 * 4 * 2 * 32 * 2);
    expect(vram?.weights).toBeGreaterThan(0.9 * info.fileBytes);
    expect(vram?.total).toBeLessThan(vram?.available ?? 0);
    // Older versions of Mesa's device do not say how much is used.
    const now = engine.stats().vram;
    expect(now?.usedBytes).toBeGreaterThanOrEqual(0);
    expect(now?.totalBytes).toBeGreaterThanOrEqual(vram?.total ?? Number.POSITIVE_INFINITY);
  });

  it('routes as PyTorch does, over 1,040 token-layers of 13 sequences, with every row read out of the device', async () => {
    const agreement = await compareRouter(engine, reference.sequences.slice(0, SEQUENCES), SEQUENCES);
    expect(agreement.tokenLayers).toBe(1040);
    expect(agreement.median).toBeLessThan(MEDIAN);
    expect(agreement.p99).toBeLessThan(P99);
    expect(agreement.equalChoices).toBeGreaterThan(EQUAL_CHOICES);
    const trace = engine.stats().trace;
    expect(trace).toMatchObject({ dropped: 0, unattributed: 0 });
    // The scheduler's own word for where the logits were computed: the addon copied each row out of that backend's buffer.
    expect(trace?.backends).toEqual({ Vulkan0: trace?.rows });
  });

  it('generates, traced and untraced, the same text', async () => {
    const wanted = { text: 'The Congress', maxTokens: 4 };
    const plain = await collect(engine, request(wanted));
    const traced = await collect(engine, request({ ...wanted, trace: 'summary' }));
    expect(traced.text).toBe(plain.text);
    // The last layer is computed only where logits are asked for: the last prompt token and what was generated.
    const computed = traced.trace?.tokensTraced;
    expect(traced.trace?.layers.map(({ rows }) => rows)).toEqual([computed, computed, computed, 4]);
  });

  it('computes some layers there and the rest on the host, traced alike, and names both when it crashes', async () => {
    const wanted = { text: 'The Congress', maxTokens: 4 };
    const whole = await collect(engine, request(wanted));
    const logs: string[] = [];
    const options = engineOptions(microModel(), { gpu: 'vulkan', sequences: 1, batch: ROWS, gpuLayers: 2 });
    const partial = new LlamaEngine(options, (message) => logs.push(message));
    try {
      const { memory } = await partial.load();
      expect(memory?.gpuLayers).toBe(2);
      expect(memory?.vram?.weights).toBeLessThan(info.memory?.vram?.weights ?? 0);
      expect(memory?.vram?.kvCache).toBe((256 * 2 * 4 * 2 * 32 * 2) / 4);
      const traced = await collect(partial, request({ ...wanted, trace: 'summary' }));
      expect(traced.text).toBe(whole.text);
      const { backends, rows } = partial.stats().trace!;
      // The last layer is the device's, the first three are the host's.
      expect(Object.keys(backends).sort()).toEqual(['CPU', 'Vulkan0']);
      expect((backends['CPU'] ?? 0) + (backends['Vulkan0'] ?? 0)).toBe(rows);
      process.kill(partial.pid as number, 'SIGSEGV');
      await vi.waitUntil(() => logs.length > 0);
      expect(logs[0]).toMatch(
        /crashed \(SIGSEGV\) on vulkan \(llvmpipe[^)]*\)?[^)]*\), 2 of 5 layers on the GPU; try a newer driver/,
      );
    } finally {
      await partial.dispose();
    }
  });

  it('refuses a plan that the device has no room for, before it loads anything', async () => {
    const large = new LlamaEngine(
      engineOptions(microModel(), { gpu: 'vulkan', context: 1_048_576, sequences: 256, gpuLayers: 5 }),
    );
    await expect(large.load()).rejects.toThrow(
      /5 layers do not fit the GPU: weights .* KV cache 256.00 GiB .* of VRAM is available/,
    );
    await large.dispose();
  });
});
