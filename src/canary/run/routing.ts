import { jensenShannon, jensenShannonNoiseFloor } from '../../stats/divergence.ts';
import { createRng } from '../../stats/rng.ts';
import type { CanaryPoint } from './points.ts';

export interface LayerDrift {
  readonly layer: number;
  /** Jensen-Shannon divergence of expert usage, bits (0..1). */
  readonly jsd: number;
  /** What sampling alone gives on average, bits. */
  readonly noiseFloor: number;
  /** The expert whose share changed most. */
  readonly expert: number;
}

export interface DriftReport {
  readonly layers: readonly LayerDrift[];
  /** Of the largest divergence over all layers, by permutation of the arms inside pairs. */
  readonly pValue: number;
}

/**
 * Whether the candidate sends tokens to other experts. Prompts, not tokens, are the unit: the arms' labels are swapped
 * pair by pair at random and the maximum over layers is compared, so that no fixed threshold is needed.
 */
export function routingDriftOf(
  points: readonly CanaryPoint[],
  options: { readonly seed: number; readonly permutations: number },
): DriftReport | undefined {
  const pairs = new Map<number, { baseline: Map<string, number>; candidate: Map<string, number> }>();
  let [layers, experts] = [0, 0];
  for (const point of points) {
    if (point.metric !== 'expert_slots' || point.tags['block'] !== 'ab') continue;
    const [layer, expert] = [Number(point.tags['layer']), Number(point.tags['expert'])];
    const arm = point.tags['arm'];
    if ((arm !== 'baseline' && arm !== 'candidate') || !(layer >= 0 && layer < 512) || !(expert >= 0 && expert < 4096)) continue;
    layers = Math.max(layers, layer + 1);
    experts = Math.max(experts, expert + 1);
    const pair = pairs.get(point.pair) ?? { baseline: new Map(), candidate: new Map() };
    pair[arm].set(`${layer}/${expert}`, point.value);
    pairs.set(point.pair, pair);
  }
  const both = [...pairs.values()].filter((pair) => pair.baseline.size > 0 && pair.candidate.size > 0);
  if (both.length < 10) return undefined;
  const size = layers * experts;
  const vector = (counts: Map<string, number>): Float64Array => {
    const row = new Float64Array(size);
    for (const [key, count] of counts) {
      const [layer, expert] = key.split('/').map(Number);
      row[layer! * experts + expert!] = count;
    }
    return row;
  };
  const rows = both.map((pair) => [vector(pair.baseline), vector(pair.candidate)] as const);
  const usage = (swap: () => boolean): [Float64Array, Float64Array] => {
    const [a, b] = [new Float64Array(size), new Float64Array(size)];
    for (const [baseline, candidate] of rows) {
      const [left, right] = swap() ? [candidate, baseline] : [baseline, candidate];
      for (let cell = 0; cell < size; cell += 1) {
        a[cell]! += left[cell]!;
        b[cell]! += right[cell]!;
      }
    }
    return [a, b];
  };
  const divergences = ([a, b]: [Float64Array, Float64Array]): number[] =>
    Array.from({ length: layers }, (_, layer) =>
      jensenShannon(a.subarray(layer * experts, (layer + 1) * experts), b.subarray(layer * experts, (layer + 1) * experts)),
    );
  const observed = usage(() => false);
  const jsd = divergences(observed);
  const statistic = Math.max(...jsd);
  const rng = createRng(options.seed);
  let atLeast = 0;
  for (let i = 0; i < options.permutations; i += 1)
    if (Math.max(...divergences(usage(() => rng.uniform() < 0.5))) >= statistic) atLeast += 1;
  return {
    layers: jsd.map((value, layer) => {
      const [a, b] = observed.map((counts) => counts.subarray(layer * experts, (layer + 1) * experts)) as [
        Float64Array,
        Float64Array,
      ];
      const [na, nb] = [a, b].map((counts) => counts.reduce((sum, count) => sum + count, 0)) as [number, number];
      const changes = Array.from(a, (count, expert) => Math.abs(count / na - b[expert]! / nb));
      return {
        layer,
        jsd: value,
        noiseFloor: jensenShannonNoiseFloor(experts, Math.min(na, nb)),
        expert: changes.indexOf(Math.max(...changes)),
      };
    }),
    pValue: statistic === 0 ? 1 : (1 + atLeast) / (1 + options.permutations),
  };
}
