import { describe, expect, it } from 'vitest';
import { firstChange, firstChangeShares } from '../../../src/canary/run/first-change.ts';
import type { TracedPrompts } from '../../../src/canary/run/traced-prompts.ts';
import { createRng } from '../../../src/stats/rng.ts';

const LAYERS = 3;
const EXPERTS = 4;

interface World {
  /** Damaged expert, as layer * 4 + expert; undefined: every token changes a little. */
  readonly damaged?: number;
  readonly seed?: number;
  readonly prompts?: number;
  /** Noise of the baseline against itself. */
  readonly noise?: number;
}

/** Prompts of a causal model: a token changes when it, or a token before it, used the damaged expert. Expert 0 and 1 of all layers go together. */
function world({ damaged, seed = 1, prompts = 40, noise = 0 }: World): TracedPrompts {
  const rng = createRng(seed);
  return {
    layers: LAYERS,
    experts: EXPERTS,
    prompts: Array.from({ length: prompts }, () => {
      const language = rng.int(2);
      let touched = false;
      const cells: number[][] = [];
      const changes: number[] = [];
      for (let index = 0; index < 30; index += 1) {
        const own = Array.from(
          { length: LAYERS },
          (_, layer) => layer * EXPERTS + (index === 0 ? 3 : rng.uniform() < 0.6 ? language : 2 + rng.int(2)),
        );
        cells.push(own);
        touched ||= damaged === undefined || own.includes(damaged);
        changes.push((touched ? 0.05 + 0.5 * rng.uniform() : 0) + noise * rng.normal());
      }
      return { cells, changes: Float64Array.from(changes) };
    }),
  };
}

describe('firstChange', () => {
  it.each([0, 1, 4, 5, 6, 8, 10])('names damaged expert %i among experts that serve the same tokens', (damaged) => {
    const named = firstChange(world({ damaged }), world({ damaged: -1 }), 0.05);
    expect(named).toMatchObject({ layer: Math.floor(damaged / EXPERTS), expert: damaged % EXPERTS });
    expect(named!.hits).toBe(named!.prompts);
    expect(named!.pValue).toBeLessThan(0.01);
  });

  it('gives the share of changed prompts that begin at each expert', () => {
    const shares = firstChangeShares(world({ damaged: 5 }), undefined)!;
    expect(shares[1]![1]).toBe(1);
    expect(Math.max(...shares.flatMap((row, layer) => row.filter((_, expert) => layer !== 1 || expert !== 1)))).toBeLessThan(0.9);
    expect(firstChangeShares(world({}), undefined)).toBeUndefined();
  });

  it('names nobody when every token changes from the start', () => {
    expect(firstChange(world({}), world({ damaged: -1 }), 0.05)).toBeUndefined();
  });

  it('names nobody when nothing changes, or only within the noise of the baseline', () => {
    expect(firstChange(world({ damaged: -1 }), undefined, 0.05)).toBeUndefined();
    expect(firstChange(world({ damaged: -1, noise: 0.01 }), world({ damaged: -1, noise: 0.01, seed: 2 }), 0.05)).toBeUndefined();
  });

  it('names nobody when changes begin anywhere, in 200 worlds', () => {
    let named = 0;
    for (let seed = 0; seed < 200; seed += 1) {
      const rng = createRng(1000 + seed);
      const anywhere = world({ damaged: -1, seed });
      const prompts = anywhere.prompts.map((prompt) => {
        const from = 1 + rng.int(28);
        return { ...prompt, changes: prompt.changes.map((_, index) => (index >= from ? 0.3 : 0)) };
      });
      if (firstChange({ ...anywhere, prompts }, undefined, 0.05) !== undefined) named += 1;
    }
    expect(named).toBe(0);
  });

  it('has nothing to say about a handful of changed prompts', () => {
    expect(firstChange(world({ damaged: 5, prompts: 7 }), undefined, 0.05)).toBeUndefined();
  });
});
