// Routers of other kinds than Mixtral's: traced where the tracer knows how they choose, checked against llama.cpp's own choice, and refused
// by name where it does not.
import { afterAll, describe, expect, it } from 'vitest';
import { chooseExperts } from '../src/engine/gate.ts';
import { LlamaEngine } from '../src/engine/llama-engine.ts';
import type { RequestTrace, TraceRows } from '../src/engine/types.ts';
import type { Gating } from '../src/gguf/gating.ts';
import { preflight } from '../src/gguf/preflight.ts';
import type { RandomArchitecture } from '../src/gguf/random-architecture.ts';
import { openGguf } from '../src/gguf/reader.ts';
import { writeGguf } from '../src/gguf/writer.ts';
import { ownChoices } from './support/choices.ts';
import { engineOptions, randomModel, temporary } from './support/models.ts';
import { collect, request } from './support/requests.ts';

const dir = temporary();
afterAll(dir.remove);

const SHAPE = { layers: 4, experts: 16, expertsUsed: 4 };
const ARCHITECTURES: RandomArchitecture[] = ['llama', 'qwen2moe', 'qwen3moe', 'olmoe', 'deepseek2', 'gpt-oss'];
const path = (architecture: RandomArchitecture): string => dir.file(`${architecture}.gguf`);
for (const architecture of ARCHITECTURES) randomModel(path(architecture), { architecture, ...SHAPE });

/** The file again with other metadata. */
function rewritten(from: string, to: string, change: (metadata: Map<string, { value: unknown }>) => void): string {
  using file = openGguf(from);
  change(file.header.metadata);
  writeGguf(
    to,
    file.header.metadata,
    file.header.tensors.map((tensor) => ({ ...tensor, data: () => file.tensorBytes(tensor) })),
  );
  return to;
}

describe.each(ARCHITECTURES)('%s', (architecture) => {
  it('is traced with the experts that llama.cpp chose, over at least 1,000 token-layers', async () => {
    const { shape } = preflight(path(architecture), { context: 256, sequences: 1, batch: 256, gpu: false });
    if (!shape.gating.known) throw new Error(shape.gating.reason);
    const tokens = Array.from({ length: Math.ceil(1000 / shape.routedLayers.length) }, (_, at) => (at * 37) % shape.vocabulary);
    const rows = await ownChoices(path(architecture), shape, tokens);
    expect(rows).toHaveLength(tokens.length * shape.routedLayers.length);
    expect(rows.length).toBeGreaterThanOrEqual(1000);
    const { gating } = shape.gating;
    const wrong = rows.filter(({ layer, logits, chosen }) => {
      const { experts } = chooseExperts(gating, logits, layer, shape.expertsUsed);
      return [...experts].sort().join() !== [...chosen].sort().join();
    });
    expect(wrong).toEqual([]);
    // A router of this kind is told apart from a plain softmax over the same logits, where it differs from it.
    const plain: Gating = { score: 'softmax', biasedLogits: false, choiceBias: new Map() };
    const alike = rows.filter(({ layer, logits, chosen }) => {
      const { experts } = chooseExperts(plain, logits, layer, shape.expertsUsed);
      return [...experts].sort().join() === [...chosen].sort().join();
    });
    if (architecture === 'deepseek2') expect(alike.length).toBeLessThan(rows.length / 2);
    else expect(alike).toHaveLength(rows.length);
  });

  it('passes the self-test, and eight requests in one batch are traced as each of them alone is', async () => {
    const engine = new LlamaEngine(engineOptions(path(architecture), { sequences: 8 }));
    const score = (tokens: number[]): Promise<RequestTrace | undefined> =>
      collect(engine, request({ prompt: { kind: 'tokens', tokens }, echo: true, logprobs: 0, maxTokens: 0, trace: 'full' })).then(
        ({ trace }) => trace,
      );
    try {
      expect((await engine.load()).trace).toEqual({ available: true, reason: '' });
      const prompts = Array.from({ length: 8 }, (_, at) =>
        Array.from({ length: 4 + 5 * at }, (_, position) => 3 + ((97 * at + 41 * position) % 256)),
      );
      const together = await Promise.all(prompts.map(score));
      const differences: number[] = [];
      for (const [at, tokens] of prompts.entries()) {
        const [batched, alone] = [together[at]?.rows, (await score(tokens))?.rows];
        if (batched === undefined || alone === undefined) throw new Error('no trace');
        const layers = architecture === 'deepseek2' ? [1, 2, 3] : [0, 1, 2, 3];
        const key = ({ position, token, layer }: TraceRows, row: number): string =>
          `${position[row]} ${token[row]} ${layer[row]}`;
        const expected = tokens.flatMap((token, position) => layers.map((layer) => `${position} ${token} ${layer}`)).sort();
        for (const rows of [batched, alone])
          expect(Array.from(rows.position, (_, row) => key(rows, row)).sort()).toEqual(expected);
        const byKey = new Map(Array.from(alone.position, (_, row) => [key(alone, row), row]));
        for (let row = 0; row < batched.position.length; row++) {
          const other = byKey.get(key(batched, row))!;
          const [ours, theirs] = [batched, alone].map((rows, side) => {
            const of = side === 0 ? row : other;
            return rows.probabilities.subarray(of * rows.experts, (of + 1) * rows.experts);
          }) as [Float32Array, Float32Array];
          expect(ours.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
          differences.push(Math.max(...ours.map((p, expert) => Math.abs(p - theirs[expert]!))));
        }
      }
      differences.sort((a, b) => a - b);
      // Other kernels for other numbers of rows: the same sums in another order, and now and then an expert that flips near a tie.
      expect(differences[Math.floor(0.9 * differences.length)]).toBeLessThan(0.01);
      expect(engine.stats().trace).toMatchObject({ dropped: 0, unattributed: 0 });
    } finally {
      await engine.dispose();
    }
  });
});

it('nothing stands before a text where the file does not want it, and an empty one is refused', async () => {
  const bare = rewritten(path('qwen3moe'), dir.file('bare.gguf'), (metadata) => {
    metadata.get('tokenizer.ggml.add_bos_token')!.value = false;
  });
  for (const [model, first] of [
    [path('qwen3moe'), '<s>'],
    [bare, 'a'],
  ] as const) {
    const engine = new LlamaEngine(engineOptions(model));
    try {
      await engine.load();
      const { promptScores } = await collect(engine, request({ text: 'ab', echo: true, logprobs: 0, maxTokens: 0 }));
      expect(promptScores[0]?.text).toBe(first);
      if (model === bare) await expect(collect(engine, request({ text: '' }))).rejects.toThrow('the prompt has no tokens');
    } finally {
      await engine.dispose();
    }
  }
});

describe('a router that the tracer does not know', () => {
  const reasonOf = async (model: string): Promise<unknown> => {
    const engine = new LlamaEngine(engineOptions(model));
    try {
      const { trace } = await engine.load();
      const { text, trace: none } = await collect(engine, request({ text: 'a', maxTokens: 4, trace: 'full' }));
      expect([none, typeof text]).toEqual([undefined, 'string']);
      return trace;
    } finally {
      await engine.dispose();
    }
  };

  it('is served untraced with its name in the reason', async () => {
    // Tensors and keys of both are the same, the architecture is another one to the tracer.
    const model = rewritten(path('qwen3moe'), dir.file('rnd1.gguf'), (metadata) => {
      for (const [key, entry] of [...metadata]) {
        if (!key.startsWith('qwen3moe.')) continue;
        metadata.delete(key);
        metadata.set(key.replace('qwen3moe.', 'rnd1.'), entry);
      }
      metadata.get('general.architecture')!.value = 'rnd1';
    });
    expect(await reasonOf(model)).toEqual({
      available: false,
      reason:
        'how a router of architecture rnd1 chooses is not known to the tracer; it knows llama, qwen2moe, qwen3moe, olmoe, deepseek2, gpt-oss',
    });
  });

  it('is found out by the self-test when the file says one thing and llama.cpp does another', async () => {
    // llama.cpp reads the groups of experts when the model is loaded; a table that left them out would choose others.
    const model = rewritten(path('deepseek2'), dir.file('no-bias.gguf'), () => {});
    const { shape } = preflight(model, { context: 256, sequences: 1, batch: 256, gpu: false });
    if (!shape.gating.known) throw new Error(shape.gating.reason);
    const { groups: _, ...without } = shape.gating.gating;
    const { traceSelfTest } = await import('../src/engine/trace-self-test.ts');
    const rows = await ownChoices(model, shape, [1, 60, 120, 200]);
    // The addon's answers again, to a tracer that knows less.
    const queue = [...new Set(rows.map(({ step }) => step))].map((step) => rows.filter((row) => row.step === step));
    let now: typeof rows = [];
    const stats = { dropped: 0, unattributed: 0 };
    const shim = {
      drain: () => {
        const out = new ArrayBuffer(now.length * 4 * (4 + shape.experts));
        for (const [index, { layer, logits }] of now.entries()) {
          new Int32Array(out, index * 4 * (4 + shape.experts), 4).set([0, 0, 0, layer]);
          new Float32Array(out, (index * (4 + shape.experts) + 4) * 4, shape.experts).set(logits);
        }
        return out;
      },
      choices: () => {
        const out = new Int32Array(shape.layers * shape.expertsUsed).fill(-1);
        for (const { layer, chosen } of now) out.set(chosen, layer * shape.expertsUsed);
        return out.buffer;
      },
      stats: () => stats,
      trace: () => {},
      observeChoices: () => {},
    };
    const test = (gating: Gating): Promise<string | undefined> => {
      const steps = [...queue];
      return traceSelfTest(shim as never, {
        shape: { ...shape, gating },
        tokens: [1, 60, 120, 200],
        sequence: 0,
        decode: async () => {
          now = steps.shift() ?? [];
        },
      }).finally(() => {
        now = [];
      });
    };
    expect(await test(shape.gating.gating)).toBeUndefined();
    expect(await test(without)).toMatch(
      /^self-test: in layer \d llama.cpp chose the experts [\d ]+ for a token, and the tracer [\d ]+$/,
    );
  });
});

describe('the arithmetic of a gate', () => {
  it('sigmoid scores choose with the bias, and weigh without it', () => {
    const gating: Gating = { score: 'sigmoid', biasedLogits: false, choiceBias: new Map([[3, Float32Array.of(0, 0, 0, 0.5)]]) };
    // Scores 0.5, 0.731, 0.881, 0.269; with the bias of layer 3: 0.5, 0.731, 0.881, 0.769.
    const logits = [0, 1, 2, -1];
    const biased = chooseExperts(gating, logits, 3, 2);
    expect(biased.experts).toEqual([2, 3]);
    expect(chooseExperts(gating, logits, 2, 2).experts).toEqual([2, 1]);
    const scores = logits.map((logit) => 1 / (1 + Math.exp(-logit)));
    const total = scores.reduce((sum, score) => sum + score, 0);
    expect([...biased.probabilities]).toEqual(scores.map((score) => expect.closeTo(score / total, 12)));
  });

  it('groups count their two best, and no expert outside the best groups is chosen', () => {
    const gating: Gating = { score: 'sigmoid', biasedLogits: false, choiceBias: new Map(), groups: { count: 3, used: 1 } };
    // The best single expert is in group 0, the best pair in group 2.
    expect(chooseExperts(gating, [5, -9, -9, 0, 0, 0, 2, 2, -9], 0, 2).experts).toEqual([6, 7]);
  });
});
