import { createRng } from '../../stats/rng.ts';
import type { CanaryPoint } from './points.ts';

/** How the likelihood of tokens changed by the expert that the baseline sent them to. */
export interface ExpertEffect {
  readonly layer: number;
  readonly expert: number;
  /** Mean change of the negative log-likelihood, nats per token: on tokens of this expert, and on the layer's others. */
  readonly on: number;
  readonly off: number;
  readonly tokens: number;
  /** (on - off) in permutation standard deviations. */
  readonly z: number;
  /** Chance of a z this large anywhere in the model when the candidate is no different (max over layers and experts). */
  readonly pValue: number;
}

export interface ExpertReport {
  readonly effects: readonly ExpertEffect[];
  /** The expert the change points at, when any stands out at `alpha`. */
  readonly suspect: ExpertEffect | undefined;
  /** Mean change per [layer][expert], for a heat map; 0 where no token went. */
  readonly heatmap: readonly (readonly number[])[];
}

interface Cell {
  sum: number;
  tokens: number;
}

/**
 * Attributes a quality change to an expert. Under the null hypothesis that the candidate is no different, the change of a
 * prompt's likelihoods is as likely to be negative as positive, so the signs of whole prompts are flipped at random; the
 * largest contrast over all layers and experts gives the family-wise p (Westfall and Young 1993, max-T).
 * A prompt, not a token, is flipped, because the tokens of one prompt depend on each other.
 */
export function expertEffects(
  points: readonly CanaryPoint[],
  options: { readonly seed: number; readonly permutations: number; readonly alpha: number },
): ExpertReport | undefined {
  const prompts = new Map<number, Map<string, Cell>>();
  let [layers, experts] = [0, 0];
  for (const point of points) {
    if (point.metric !== 'expert_dnll' || point.tags['block'] !== 'ab') continue;
    const [layer, expert, tokens] = [Number(point.tags['layer']), Number(point.tags['expert']), Number(point.tags['tokens'])];
    if (!Number.isInteger(layer) || !Number.isInteger(expert) || !(tokens > 0) || layer > 512 || expert > 4096) continue;
    layers = Math.max(layers, layer + 1);
    experts = Math.max(experts, expert + 1);
    const cells = prompts.get(point.pair) ?? new Map<string, Cell>();
    cells.set(`${layer}/${expert}`, { sum: point.value, tokens });
    prompts.set(point.pair, cells);
  }
  if (prompts.size < 10) return undefined;
  const size = layers * experts;
  const rows = [...prompts.entries()]
    .sort(([a], [b]) => a - b)
    .map(([, cells]) => {
      const row = new Float64Array(size);
      for (const [key, cell] of cells) row[index(key, experts)] = cell.sum;
      return row;
    });
  const tokens = new Float64Array(size);
  for (const cells of prompts.values()) for (const [key, cell] of cells) tokens[index(key, experts)]! += cell.tokens;
  const contrasts = (sums: Float64Array): Float64Array => contrast(sums, tokens, layers, experts);
  const observedSums = total(rows, undefined, size);
  const observed = contrasts(observedSums);
  const rng = createRng(options.seed);
  const nulls: Float64Array[] = [];
  for (let i = 0; i < options.permutations; i += 1)
    nulls.push(contrasts(total(rows, () => (rng.uniform() < 0.5 ? -1 : 1), size)));
  const spread = Float64Array.from({ length: size }, (_, cell) =>
    Math.sqrt(nulls.reduce((sum, values) => sum + values[cell]! ** 2, 0) / nulls.length),
  );
  const standardise = (values: Float64Array): Float64Array =>
    values.map((value, cell) => (spread[cell]! > 0 ? value / spread[cell]! : 0));
  const maxima = nulls.map((values) => Math.max(...standardise(values)));
  const z = standardise(observed);
  const effects: ExpertEffect[] = [];
  for (let layer = 0; layer < layers; layer += 1) {
    const [layerSum, layerTokens] = [sumRow(observedSums, layer, experts), sumRow(tokens, layer, experts)];
    for (let expert = 0; expert < experts; expert += 1) {
      const cell = layer * experts + expert;
      if (tokens[cell] === 0) continue;
      const off = layerTokens - tokens[cell]!;
      effects.push({
        layer,
        expert,
        on: observedSums[cell]! / tokens[cell]!,
        off: off > 0 ? (layerSum - observedSums[cell]!) / off : 0,
        tokens: tokens[cell]!,
        z: z[cell]!,
        pValue: (1 + maxima.filter((value) => value >= z[cell]!).length) / (1 + maxima.length),
      });
    }
  }
  effects.sort((a, b) => b.z - a.z || a.layer - b.layer || a.expert - b.expert);
  const [top] = effects;
  const heatmap = Array.from({ length: layers }, (_, layer) =>
    Array.from({ length: experts }, (_, expert) =>
      tokens[layer * experts + expert]! > 0 ? observedSums[layer * experts + expert]! / tokens[layer * experts + expert]! : 0,
    ),
  );
  return { effects, suspect: suspectOf(effects, top, options.alpha), heatmap };
}

/**
 * Among the experts that stand out, the one with the largest contrast in nats: a corrupted expert drags along the experts
 * that the same tokens use in other layers, and those are diluted by tokens the corrupted one never sees.
 */
function suspectOf(effects: readonly ExpertEffect[], top: ExpertEffect | undefined, alpha: number): ExpertEffect | undefined {
  if (top === undefined || top.pValue > alpha) return undefined;
  const standing = effects.filter((effect) => effect.pValue <= alpha);
  return standing.reduce((best, effect) => (effect.on - effect.off > best.on - best.off ? effect : best));
}

function index(key: string, experts: number): number {
  const [layer, expert] = key.split('/').map(Number);
  return layer! * experts + expert!;
}

function total(rows: readonly Float64Array[], sign: (() => number) | undefined, size: number): Float64Array {
  const sums = new Float64Array(size);
  for (const row of rows) {
    const factor = sign?.() ?? 1;
    for (let cell = 0; cell < size; cell += 1) sums[cell]! += factor * row[cell]!;
  }
  return sums;
}

function contrast(sums: Float64Array, tokens: Float64Array, layers: number, experts: number): Float64Array {
  const result = new Float64Array(sums.length);
  for (let layer = 0; layer < layers; layer += 1) {
    const [layerSum, layerTokens] = [sumRow(sums, layer, experts), sumRow(tokens, layer, experts)];
    for (let expert = 0; expert < experts; expert += 1) {
      const cell = layer * experts + expert;
      const off = layerTokens - tokens[cell]!;
      result[cell] = tokens[cell] === 0 || off === 0 ? 0 : sums[cell]! / tokens[cell]! - (layerSum - sums[cell]!) / off;
    }
  }
  return result;
}

function sumRow(values: Float64Array, layer: number, experts: number): number {
  let sum = 0;
  for (let expert = 0; expert < experts; expert += 1) sum += values[layer * experts + expert]!;
  return sum;
}
