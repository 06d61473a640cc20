import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCorpus } from '../../../src/canary/run/corpus.ts';
import { buildPlan } from '../../../src/canary/run/plan.ts';
import { ConfigurationError } from '../../../src/core/errors.ts';

const prompts = ['de', 'en', 'fr'].flatMap((segment) =>
  Array.from({ length: 7 }, (_, i) => ({ id: `${segment}-${i}`, segment, prompt: 'x' })),
);
const plan = (seed: number, pairs = 60) =>
  buildPlan({
    profile: { version: 1, pairs, aaPairs: 12, warmupPairs: 3, metrics: [{ name: 'nll' }] },
    prompts,
    baseline: 'http://a',
    candidate: 'http://b',
    seed,
  });

describe('buildPlan', () => {
  it('sends warm-up, A/A and A/B blocks, each of its length', () => {
    const blocks = plan(1).iterations.map((step) => step.block);
    expect(blocks).toEqual([...Array(3).fill('warmup'), ...Array(12).fill('aa'), ...Array(60).fill('ab')]);
  });

  it('gives each segment its share, and each order half of every segment', () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), (seed) => {
        const ab = plan(seed).iterations.filter((step) => step.block === 'ab');
        for (const segment of ['de', 'en', 'fr']) {
          const own = ab.filter((step) => prompts[step.prompt]!.segment === segment);
          expect(own).toHaveLength(20);
          const first = own.filter((step) => step.order[0] === 'candidate').length;
          expect(Math.abs(first - 10)).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('repeats a prompt only when its segment is used up', () => {
    const counts = new Map<number, number>();
    for (const step of plan(7, 21).iterations.filter((s) => s.block === 'ab'))
      counts.set(step.prompt, (counts.get(step.prompt) ?? 0) + 1);
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(2);
  });

  it('is the same for the same seed and another for another', () => {
    expect(plan(42)).toEqual(plan(42));
    expect(plan(42).iterations).not.toEqual(plan(43).iterations);
  });
});

describe('parseCorpus', () => {
  const parse = (text: string) => parseCorpus([{ file: 'c.ndjson', text }]);
  it('reads prompts and ignores other keys', () => {
    expect(parse('{"id":"a","segment":"en","prompt":"Hello","source":"x","check":{"kind":"json"}}\n\n')).toEqual([
      { id: 'a', segment: 'en', prompt: 'Hello', check: { kind: 'json' } },
    ]);
  });
  it('reports every bad line with its number', () => {
    const text = [
      '{"id":"a","segment":"en","prompt":"x"}',
      'not json',
      '[]',
      '{"id":"b","segment":"en"}',
      '{"id":"a","segment":"en","prompt":"y"}',
      '{"id":"c","segment":"e|n","prompt":"z"}',
      '{"id":"d","segment":"en","prompt":"z","check":{"kind":"regex"}}',
    ].join('\n');
    try {
      parse(text);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigurationError);
      expect((error as ConfigurationError).problems.map((p) => p.location!.line)).toEqual([2, 3, 4, 5, 6, 7]);
    }
  });
  it('refuses an empty corpus', () => {
    expect(() => parse('\n')).toThrow(/c\.ndjson: the canary corpus has no prompts/);
  });
});
