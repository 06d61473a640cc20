import { type RoutingDriftResult, type RoutingPair, routingDrift } from '../judge/routing-drift.ts';
import type { CanaryPoint } from './points.ts';

/** Limits on what an endpoint may claim: the largest known models stay below. */
const MAX_LAYERS = 512;
const MAX_EXPERTS = 4096;

/** Expert usage of both arms by pair, from the samples; the drift test over it. Undefined: the samples hold no router statistics. */
export function routingDriftOf(
  points: readonly CanaryPoint[],
  options: { readonly seed: number; readonly permutations: number; readonly alpha: number },
): RoutingDriftResult | undefined {
  const counts = new Map<
    number,
    { segment: string; prompt: string; arms: { [arm: string]: Map<number, Map<number, number>> } }
  >();
  let [layers, experts] = [0, 0];
  for (const point of points) {
    if (point.metric !== 'expert_slots' || point.tags['block'] !== 'ab') continue;
    const [layer, expert] = [Number(point.tags['layer']), Number(point.tags['expert'])];
    const arm = point.tags['arm'];
    if (
      (arm !== 'baseline' && arm !== 'candidate') ||
      !(layer >= 0 && layer < MAX_LAYERS) ||
      !(expert >= 0 && expert < MAX_EXPERTS)
    )
      continue;
    layers = Math.max(layers, layer + 1);
    experts = Math.max(experts, expert + 1);
    const pair = counts.get(point.pair) ?? {
      segment: point.tags['segment'] ?? '',
      prompt: point.prompt,
      arms: { baseline: new Map(), candidate: new Map() },
    };
    const byLayer = pair.arms[arm]!;
    const byExpert = byLayer.get(layer) ?? new Map<number, number>();
    byExpert.set(expert, point.value);
    byLayer.set(layer, byExpert);
    counts.set(point.pair, pair);
  }
  const table = (arm: Map<number, Map<number, number>>): number[][] =>
    Array.from({ length: layers }, (_, layer) =>
      Array.from({ length: experts }, (_, expert) => arm.get(layer)?.get(expert) ?? 0),
    );
  const pairs: RoutingPair[] = [...counts.entries()]
    .sort(([a], [b]) => a - b)
    .filter(([, pair]) => pair.arms['baseline']!.size > 0 && pair.arms['candidate']!.size > 0)
    .map(([, pair]) => ({
      promptId: pair.prompt,
      segment: pair.segment,
      baseline: table(pair.arms['baseline']!),
      candidate: table(pair.arms['candidate']!),
    }));
  return pairs.length === 0 ? undefined : routingDrift(pairs, options);
}
