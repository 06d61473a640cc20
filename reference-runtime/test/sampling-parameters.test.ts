// What of OpenAI's sampling the llama engine serves, on the real model: each parameter by its definition, through llama.cpp's own sampler and
// through the one of this runtime, which log probabilities need.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LlamaEngine } from '../src/engine/llama-engine.ts';
import { pick, shifted, shiftsOf } from '../src/engine/sampling.ts';
import type { GenerateRequest } from '../src/engine/types.ts';
import { engineOptions, microModel } from './support/models.ts';
import { collect, request } from './support/requests.ts';

const engine = new LlamaEngine(engineOptions(microModel()));
beforeAll(async () => void (await engine.load()));
afterAll(() => engine.dispose());

type Sampling = Partial<GenerateRequest> & { text?: string };
const PROMPT = 'The President of the United States';
const text = async (more: Sampling): Promise<string> =>
  (await collect(engine, request({ text: PROMPT, maxTokens: 40, ...more }))).text;
const BOTH: Array<[string, Sampling]> = [
  ['llama.cpp', {}],
  ['this runtime', { logprobs: 0 }],
];

describe('penalties', () => {
  const PENALTIES: Array<[string, { frequencyPenalty?: number; presencePenalty?: number }]> = [
    ['frequency', { frequencyPenalty: 1.5 }],
    ['presence', { presencePenalty: 2 }],
    ['both', { frequencyPenalty: 0.7, presencePenalty: 0.9 }],
    ['rewards', { frequencyPenalty: -0.5 }],
  ];

  it.each(PENALTIES)('%s: each token is the most likely one after what OpenAI takes off', async (_name, penalties) => {
    const { scores } = await collect(engine, request({ text: PROMPT, maxTokens: 40, logprobs: 20, ...penalties }));
    const { frequencyPenalty = 0, presencePenalty = 0 } = penalties;
    const counts = new Map<number, number>();
    let moved = 0;
    for (const score of scores) {
      // mu[j] - c[j] * alpha_frequency - float(c[j] > 0) * alpha_presence, on log probabilities: they differ from logits by a constant.
      const penalised = ({ id, logprob }: { id: number; logprob: number | null }): number =>
        (logprob ?? 0) - (counts.get(id) ?? 0) * frequencyPenalty - (counts.has(id) ? presencePenalty : 0);
      const best = Math.max(...score.top.map(penalised));
      expect(penalised(score)).toBeGreaterThanOrEqual(best - 1e-9);
      if (score.id !== score.top[0]?.id) moved++;
      counts.set(score.id, (counts.get(score.id) ?? 0) + 1);
    }
    expect(moved).toBeGreaterThan(0);
  });

  it.each(PENALTIES)("%s: llama.cpp's sampler and this runtime's write the same", async (_name, penalties) => {
    const native = await text(penalties);
    expect(await text({ ...penalties, logprobs: 0 })).toBe(native);
    expect(native).not.toBe(await text({}));
  });

  it('count what was generated, not the prompt', async () => {
    const again = await text({ text: `${PROMPT} ${PROMPT} ${PROMPT}`, presencePenalty: 2, maxTokens: 1 });
    expect(again).toBe(await text({ text: `${PROMPT} ${PROMPT} ${PROMPT}`, maxTokens: 1 }));
  });

  it('hold with a grammar, on both ways', async () => {
    const wanted = { format: { kind: 'json_object' as const }, frequencyPenalty: 1, maxTokens: 30 };
    expect(await text({ ...wanted, logprobs: 0 })).toBe(await text(wanted));
  });
});

describe.each(BOTH)('by %s', (_name, way) => {
  it('logit_bias bans a token with -100 and takes it with 100', async () => {
    const [first] = (await collect(engine, request({ text: PROMPT, maxTokens: 1, logprobs: 1 }))).scores;
    const greedy = first?.id ?? -1;
    const banned = await collect(engine, request({ text: PROMPT, maxTokens: 12, ...way, logitBias: [[greedy, -100]] }));
    expect(banned.text.startsWith(first?.text ?? '')).toBe(false);
    const only = await collect(
      engine,
      request({ text: PROMPT, maxTokens: 6, temperature: 1, seed: 3, ...way, logitBias: [[greedy, 100]] }),
    );
    expect(only.text).toBe((first?.text ?? '').repeat(6));
  });

  it('top_k 1 and min_p 1 leave the most likely token at any temperature', async () => {
    const greedy = await text(way);
    expect(await text({ ...way, temperature: 2, seed: 1, topK: 1 })).toBe(greedy);
    expect(await text({ ...way, temperature: 2, seed: 1, minP: 1 })).toBe(greedy);
    expect(await text({ ...way, temperature: 2, seed: 1 })).not.toBe(greedy);
  });

  it('top_k and min_p draw from the tokens that they leave, and from all of those', async () => {
    const [row] = (await collect(engine, request({ text: PROMPT, maxTokens: 1, logprobs: 20 }))).scores;
    const top = row?.top ?? [];
    const drawn = async (more: Sampling): Promise<string[]> => {
      const all: string[] = [];
      for (let seed = 0; seed < 40; seed++) all.push(await text({ ...way, temperature: 3, seed, maxTokens: 1, ...more }));
      return [...new Set(all)].sort();
    };
    const texts = (count: number): string[] =>
      top
        .slice(0, count)
        .map((entry) => entry.text)
        .sort();
    expect(await drawn({ topK: 2 })).toEqual(texts(2));
    // A share between the third and the fourth.
    const share = Math.exp(((top[2]?.logprob ?? 0) + (top[3]?.logprob ?? 0)) / 2 - (top[0]?.logprob ?? 0));
    expect(await drawn({ minP: share })).toEqual(texts(3));
  });
});

describe('by themselves', () => {
  const distribution = new Map([
    [7, 0.5],
    [3, 0.3],
    [9, 0.2],
  ]);

  it('shifts are the sum of what OpenAI defines', () => {
    const counts = new Map([
      [7, 2],
      [3, 1],
    ]);
    const shifts = shiftsOf(
      {
        frequencyPenalty: 0.5,
        presencePenalty: 0.25,
        logitBias: [
          [3, 1],
          [9, -2],
        ],
      },
      counts,
    );
    expect([...shifts]).toEqual([
      [3, 1 - 0.5 - 0.25],
      [9, -2],
      [7, -1 - 0.25],
    ]);
    expect(shiftsOf({}, counts).size).toBe(0);
  });

  it('what is shifted has the odds of the shifted logits, in order, whatever is added', () =>
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 50 }), fc.double({ min: -3000, max: 3000, noNaN: true })), { maxLength: 10 }),
        fc.array(fc.double({ min: 1e-30, max: 1, noNaN: true }), { minLength: 1, maxLength: 50 }),
        (shifts, weights) => {
          const given = new Map([...weights].sort((a, b) => b - a).map((weight, token) => [token, weight]));
          const out = [...shifted(given, new Map(shifts))];
          const values = out.map(([, weight]) => weight);
          expect(values).toEqual(values.toSorted((a, b) => b - a));
          expect(values.every((value) => Number.isFinite(value) && value >= 0)).toBe(true);
          expect(out.map(([token]) => token).sort((a, b) => a - b)).toEqual([...given.keys()]);
          expect(values[0]).toBeGreaterThan(0);
        },
      ),
    ));

  it.each([
    [{ topK: 2 }, 0.99, 3],
    [{ topK: 1 }, 0.99, 7],
    [{ minP: 0.5 }, 0.99, 3],
    [{ minP: 0.61 }, 0.99, 7],
    [{ topK: 2, minP: 0.1 }, 0.99, 3],
  ])('%o with a draw of %d gives token %i', (limits, draw, token) =>
    expect(pick(distribution, 1, 1, () => draw, limits)).toBe(token),
  );
});
