// The comparison of two routings against counting slot by slot.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { byWeight, compareRouting, type Gate, type Routed } from '../src/engine/routing-diff.ts';
import { expertWeights, jensenShannon, topExperts } from '../src/engine/trace-math.ts';

const EXPERTS = 4;

const gate = fc
  .array(fc.integer({ min: 1, max: 50 }), { minLength: EXPERTS, maxLength: EXPERTS })
  .map((parts): Omit<Gate, 'layer'> => {
    const total = parts.reduce((sum, part) => sum + part);
    const probabilities = parts.map((part) => part / total);
    const experts = topExperts(probabilities, 2);
    return { experts, weights: expertWeights(probabilities, experts), probabilities };
  });
/** Tokens in any order, each with some of three layers in any order. */
const routing = fc.uniqueArray(
  fc.record({
    position: fc.nat(5),
    layers: fc.uniqueArray(
      fc.tuple(fc.nat(2), gate).map(([layer, rest]): Gate => ({ layer, ...rest })),
      { selector: ({ layer }) => layer, maxLength: 3 },
    ),
  }),
  { selector: ({ position }) => position, maxLength: 6 },
);

it('counts what each layer used, lost and won, and shares what moved among its tokens', () => {
  fc.assert(
    fc.property(routing, routing, (baseline: Routed[], candidate: Routed[]) => {
      const pairs = baseline.flatMap(({ position, layers }) =>
        layers.flatMap((before) => {
          const after = candidate
            .find((token) => token.position === position)
            ?.layers.find(({ layer }) => layer === before.layer);
          return after === undefined ? [] : [{ position, before, after }];
        }),
      );
      const weightOf = (of: Gate, expert: number): number =>
        of.experts.includes(expert) ? (of.weights[of.experts.indexOf(expert)] as number) : 0;
      const moved = (before: Gate, after: Gate): number =>
        Array.from({ length: EXPERTS }, (_, expert) => Math.abs(weightOf(before, expert) - weightOf(after, expert))).reduce(
          (a, b) => a + b,
        ) / 2;
      const { layers, changes } = compareRouting(baseline, candidate);
      expect(layers.map(({ layer }) => layer)).toEqual(
        [...new Set(pairs.map(({ before }) => before.layer))].sort((a, b) => a - b),
      );
      for (const row of layers) {
        const own = pairs.filter(({ before }) => before.layer === row.layer);
        const count = (of: (pair: (typeof own)[number], expert: number) => boolean): number[] =>
          Array.from({ length: EXPERTS }, (_, expert) => own.filter((pair) => of(pair, expert)).length);
        const lost = count(({ before, after }, expert) => before.experts.includes(expert) && !after.experts.includes(expert));
        expect(row).toMatchObject({
          tokens: own.length,
          slots: 2 * own.length,
          moved: lost.reduce((a, b) => a + b),
          used: count(({ before }, expert) => before.experts.includes(expert)),
          lost,
          won: count(({ before, after }, expert) => !before.experts.includes(expert) && after.experts.includes(expert)),
        });
        const mean = (of: (pair: (typeof own)[number]) => number): number =>
          own.reduce((sum, pair) => sum + of(pair), 0) / own.length;
        expect(row.weight_moved).toBeCloseTo(
          mean(({ before, after }) => moved(before, after)),
          9,
        );
        expect(row.gate_divergence_bits).toBeCloseTo(
          mean(({ before, after }) => jensenShannon(before.probabilities, after.probabilities)),
          9,
        );
        for (const [expert, weight] of row.weight_lost.entries())
          expect(weight).toBeCloseTo(
            mean(({ before, after }) => Math.max(0, weightOf(before, expert) - weightOf(after, expert))),
            9,
          );
      }
      const differing = pairs
        .filter(({ before, after }) => before.experts.some((expert) => !after.experts.includes(expert)))
        .sort((a, b) => a.position - b.position || a.before.layer - b.before.layer);
      expect(changes.map(({ position, layer, baseline: from, candidate: to }) => [position, layer, from, to])).toEqual(
        differing.map(({ position, before, after }) => [position, before.layer, before, after]),
      );
      for (const [index, { before, after }] of differing.entries())
        expect(changes[index]?.weight_moved).toBeCloseTo(moved(before, after), 9);
      const sorted = byWeight(changes);
      expect(new Set(sorted)).toEqual(new Set(changes));
      for (const [index, change] of sorted.slice(1).entries())
        expect(change.weight_moved).toBeLessThanOrEqual((sorted[index] as (typeof sorted)[number]).weight_moved);
    }),
  );
});
