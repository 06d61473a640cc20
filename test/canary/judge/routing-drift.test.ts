import { describe, expect, test } from 'vitest';
import { type RoutingPair, routingDrift } from '../../../src/canary/judge/routing-drift.ts';
import { createRng, type Rng } from '../../../src/stats/rng.ts';

const LAYERS = 4;
const EXPERTS = 8;

/** 120 selections a layer; every prompt has its own favourite expert, as real prompts do. */
function selections(favourite: number, rng: Rng, moved?: { layer: number; from: number; to: number; share: number }): number[][] {
  return Array.from({ length: LAYERS }, (_, layer) => {
    const counts = new Array<number>(EXPERTS).fill(0);
    for (let i = 0; i < 120; i++) {
      let expert = rng.uniform() < 0.4 ? favourite : rng.int(EXPERTS);
      if (moved?.layer === layer && expert === moved.from && rng.uniform() < moved.share) expert = moved.to;
      counts[expert]!++;
    }
    return counts;
  });
}

function pairs(
  count: number,
  seed: string,
  moved?: { layer: number; from: number; to: number; share: number },
  segmentOf: (i: number) => string | undefined = () => undefined,
): RoutingPair[] {
  const rng = createRng(seed);
  return Array.from({ length: count }, (_, i) => {
    const favourite = rng.int(EXPERTS);
    const segment = segmentOf(i);
    const hit = segment === undefined || segment === 'de' ? moved : undefined;
    return {
      promptId: `p${i}`,
      ...(segment === undefined ? {} : { segment }),
      baseline: selections(favourite, rng),
      candidate: selections(favourite, rng, hit),
    };
  });
}

describe('routing drift', () => {
  test('equal routers pass in at least 90 of 100 runs although prompts differ widely', () => {
    let warned = 0;
    for (let run = 0; run < 100; run++)
      if (routingDrift(pairs(20, `null${run}`), { seed: run, permutations: 199 }).verdict === 'warn') warned++;
    expect(warned).toBeLessThanOrEqual(10);
  });
  test('a moved expert is named: layer 2, expert 5 loses', () => {
    const result = routingDrift(pairs(40, 'drift', { layer: 2, from: 5, to: 1, share: 0.8 }), { seed: 1 });
    expect(result.verdict).toBe('warn');
    const { worst, layers } = result.scopes[0]!;
    expect(worst!.layer).toBe(2);
    expect([1, 5]).toContain(worst!.expert);
    expect(layers[2]!.jsd).toBeGreaterThan(3 * layers[2]!.noiseFloor);
    expect(layers.filter((l) => l.pAdjusted <= 0.05).map((l) => l.layer)).toEqual([2]);
  });
  test('drift in one segment is found there', () => {
    const result = routingDrift(
      pairs(80, 'seg', { layer: 1, from: 3, to: 0, share: 0.9 }, (i) => ['de', 'en', 'fr', 'code'][i % 4]),
      { seed: 2 },
    );
    const warned = result.scopes.filter((s) => s.verdict === 'warn').map((s) => s.segment);
    expect(warned).toContain('de');
    expect(warned).not.toContain('en');
  });
  test('it never fails by itself', () =>
    expect(routingDrift(pairs(40, 'drift', { layer: 2, from: 5, to: 1, share: 0.8 }), { seed: 1 }).verdict).toBe('warn'));
  test('too few prompts: inconclusive', () => expect(routingDrift(pairs(3, 'few'), { seed: 1 }).verdict).toBe('inconclusive'));
  test('no prompts: inconclusive', () => expect(routingDrift([], { seed: 1 }).verdict).toBe('inconclusive'));
  test('same seed, same bytes; other seed, other null', () => {
    const data = pairs(15, 'seeded');
    expect(JSON.stringify(routingDrift(data, { seed: 'x' }))).toBe(JSON.stringify(routingDrift(data, { seed: 'x' })));
    expect(routingDrift(data, { seed: 'x' }).scopes[0]!.layers).not.toEqual(routingDrift(data, { seed: 'y' }).scopes[0]!.layers);
  });
  test('counts of different shape are refused with the prompt id', () => {
    const [first, second] = pairs(2, 'shape');
    expect(() => routingDrift([first!, { ...second!, candidate: [[1, 2]] }], { seed: 1 })).toThrow(
      /prompt p1: expected layers x experts 8,8,8,8/,
    );
  });
});
