import { cholesky, solveCholesky } from '../../stats/linear.ts';
import { createRng } from '../../stats/rng.ts';
import { firstChange, firstChangeShares } from './first-change.ts';
import type { CanaryPoint } from './points.ts';
import { tracedPrompts } from './traced-prompts.ts';

/** What the likelihood of tokens lost, by the expert that the baseline sent them to. */
export interface ExpertEffect {
  readonly layer: number;
  readonly expert: number;
  /** Mean change of the negative log-likelihood, nats per token: on tokens of this expert, and on the layer's others. */
  readonly on: number;
  readonly off: number;
  readonly tokens: number;
  /** The change that goes with this expert when all others are held fixed, nats per token (regression coefficient). */
  readonly own: number;
  /** `own` in permutation standard deviations. */
  readonly z: number;
  /** Chance of a z this large anywhere in the model when the candidate is no different (maximum over layers and experts). */
  readonly pValue: number;
}

export interface Suspect extends ExpertEffect {
  /** What singled it out: one sentence with the numbers. */
  readonly because: string;
}

export interface ExpertReport {
  /** Largest own change first. */
  readonly effects: readonly ExpertEffect[];
  /** The expert the change points at, when one stands out at `alpha`. */
  readonly suspect: Suspect | undefined;
  /** `own` per [layer][expert]; 0 where no token went. */
  readonly heatmap: readonly (readonly number[])[];
  /** Share of changed prompts whose first changed token went through each [layer][expert]; undefined when changes have no clear beginning. */
  readonly beginnings: readonly (readonly number[])[] | undefined;
}

/** Ridge in tokens: the indicators of a layer add up to the same number for every token, so plain least squares is singular. */
const RIDGE_TOKENS = 1;

/**
 * Attributes a quality change to experts. Tokens of one language meet the same experts in several layers, so comparing means
 * would blame them all: the change of each token is regressed on the experts it used (ridge regression), and a coefficient is
 * what goes with one expert when the others are held fixed. Under the null hypothesis that the candidate is no different, the
 * changes of a prompt are as likely to have the opposite sign; flipping whole prompts (their tokens depend on each other) gives
 * the null distribution, the maximum over all layers and experts the family-wise p (Westfall and Young 1993).
 * The regression shares the blame among experts that serve the same tokens; which one is damaged is said by `firstChange`, and by
 * the regression only where one coefficient stands alone.
 */
export function expertEffects(
  points: readonly CanaryPoint[],
  options: { readonly seed: number; readonly permutations: number; readonly alpha: number },
): ExpertReport | undefined {
  const parsed = tracedPrompts(points, 'ab');
  if (parsed === undefined) return undefined;
  const { prompts, layers, experts } = parsed;
  const size = layers * experts;
  const tokens = new Float64Array(size);
  const gram = new Float64Array(size * size);
  const sums = prompts.map(() => new Float64Array(size));
  for (const [index, prompt] of prompts.entries()) {
    for (const [token, cells] of prompt.cells.entries()) {
      for (const a of cells) {
        tokens[a]! += 1;
        sums[index]![a]! += prompt.changes[token]!;
        for (const b of cells) gram[a * size + b]! += 1;
      }
    }
  }
  for (let cell = 0; cell < size; cell += 1) gram[cell * size + cell]! += RIDGE_TOKENS;
  const factor = cholesky(gram, size);
  const regress = (signs: () => number): Float64Array => {
    const right = new Float64Array(size);
    for (const row of sums) {
      const sign = signs();
      for (let cell = 0; cell < size; cell += 1) right[cell]! += sign * row[cell]!;
    }
    return centred(solveCholesky(factor, right, size), tokens, layers, experts);
  };
  const own = regress(() => 1);
  const rng = createRng(options.seed);
  const nulls: Float64Array[] = [];
  for (let draw = 0; draw < options.permutations; draw += 1) nulls.push(regress(() => (rng.uint32() & 1 ? 1 : -1)));
  const spread = Float64Array.from(own, (_, cell) =>
    Math.sqrt(nulls.reduce((sum, row) => sum + row[cell]! ** 2, 0) / nulls.length),
  );
  const z = (row: Float64Array, cell: number): number => (spread[cell]! > 0 ? row[cell]! / spread[cell]! : 0);
  const maxima = nulls.map((row) => row.reduce((most, _, cell) => Math.max(most, z(row, cell)), Number.NEGATIVE_INFINITY));
  const total = sums.reduce((all, row) => all.map((value, cell) => value + row[cell]!), new Float64Array(size));
  const effects: ExpertEffect[] = [];
  for (let layer = 0; layer < layers; layer += 1) {
    const cells = Array.from({ length: experts }, (_, expert) => layer * experts + expert);
    const [layerSum, layerTokens] = [total, tokens].map((values) => cells.reduce((sum, cell) => sum + values[cell]!, 0)) as [
      number,
      number,
    ];
    for (const [expert, cell] of cells.entries()) {
      const count = tokens[cell]!;
      if (count === 0) continue;
      effects.push({
        layer,
        expert,
        on: total[cell]! / count,
        off: layerTokens > count ? (layerSum - total[cell]!) / (layerTokens - count) : 0,
        tokens: count,
        own: own[cell]!,
        z: z(own, cell),
        pValue: (1 + maxima.filter((most) => most >= z(own, cell)).length) / (1 + maxima.length),
      });
    }
  }
  const noise = tracedPrompts(points, 'aa');
  effects.sort((a, b) => b.own - a.own || a.layer - b.layer || a.expert - b.expert);
  return {
    effects,
    suspect: suspectOf(effects, firstChange(parsed, noise, options.alpha), options.alpha),
    beginnings: firstChangeShares(parsed, noise),
    heatmap: Array.from({ length: layers }, (_, layer) =>
      Array.from({ length: experts }, (_, expert) =>
        tokens[layer * experts + expert]! > 0 ? own[layer * experts + expert]! : 0,
      ),
    ),
  };
}

/** Coefficients of a layer are only known up to a constant: relative to the layer's token-weighted mean they are comparable. */
function centred(coefficients: Float64Array, tokens: Float64Array, layers: number, experts: number): Float64Array {
  const result = new Float64Array(coefficients.length);
  for (let layer = 0; layer < layers; layer += 1) {
    const [from, to] = [layer * experts, (layer + 1) * experts];
    let [sum, count] = [0, 0];
    for (let cell = from; cell < to; cell += 1) {
      sum += coefficients[cell]! * tokens[cell]!;
      count += tokens[cell]!;
    }
    const mean = count > 0 ? sum / count : 0;
    for (let cell = from; cell < to; cell += 1) result[cell] = tokens[cell]! > 0 ? coefficients[cell]! - mean : 0;
  }
  return result;
}

/** A coefficient stands alone when the next one is at most this share of it. */
const ALONE = 0.5;

function suspectOf(effects: readonly ExpertEffect[], first: ReturnType<typeof firstChange>, alpha: number): Suspect | undefined {
  if (first !== undefined) {
    const named = effects.find((effect) => effect.layer === first.layer && effect.expert === first.expert);
    const because = `in ${first.hits} of ${first.prompts} changed prompts the first changed token went through it, next best ${first.nextHits}`;
    return named === undefined ? undefined : { ...named, pValue: first.pValue, because };
  }
  const [top, next] = effects;
  if (top === undefined || top.pValue > alpha || top.own <= 0 || (next !== undefined && next.own > ALONE * top.own))
    return undefined;
  return {
    ...top,
    because: `${top.own.toFixed(3)} nats go with it when all other experts are held fixed, the next has ${(next?.own ?? 0).toFixed(3)}`,
  };
}
