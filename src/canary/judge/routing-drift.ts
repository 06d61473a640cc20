import type { Verdict } from '../../core/verdict.ts';
import { jensenShannon } from '../../stats/divergence.ts';
import { holm } from '../../stats/multiplicity.ts';
import { createRng } from '../../stats/rng.ts';

/** Expert selections of one prompt on both arms: counts[layer][expert]. */
export interface RoutingPair {
  readonly promptId?: string;
  readonly segment?: string;
  readonly baseline: readonly (readonly number[])[];
  readonly candidate: readonly (readonly number[])[];
}

export interface RoutingDriftOptions {
  readonly seed: number | string;
  /** Relabellings of the arms; default 999. */
  readonly permutations?: number;
  readonly alpha?: number;
}

export interface LayerDrift {
  readonly layer: number;
  /** Jensen-Shannon divergence of expert usage between the arms, bits, 0..1. */
  readonly jsd: number;
  /** Mean divergence when arm labels are exchanged at random by prompt: what chance alone gives here. */
  readonly noiseFloor: number;
  /** p over all layers at once (maximum statistic). */
  readonly pAdjusted: number;
  readonly largestShift: { readonly expert: number; readonly baselineShare: number; readonly candidateShare: number };
}

export interface RoutingDriftScope {
  /** undefined: all prompts together. */
  readonly segment?: string;
  readonly prompts: number;
  readonly verdict: Verdict;
  readonly reason: string;
  /** p of the largest layer statistic. */
  readonly pValue: number;
  /** After Holm over segments. */
  readonly pAdjusted: number;
  readonly worst?: { readonly layer: number; readonly expert: number; readonly shift: number; readonly jsd: number };
  readonly layers: readonly LayerDrift[];
}

export interface RoutingDriftResult {
  readonly verdict: Verdict;
  readonly reason: string;
  readonly permutations: number;
  readonly seed: number | string;
  readonly scopes: readonly RoutingDriftScope[];
}

/** Fewest prompts with which some relabelling can be rarer than 5 % (2^5 sign patterns, symmetric statistic). */
const MIN_PROMPTS = 6;

const DEFAULT_PERMUTATIONS = 999;

/**
 * Do the arms route the same prompts to different experts? A fixed divergence threshold means nothing (two prompts of one task differ as
 * much as two tasks), so arm labels are exchanged by prompt and each layer's divergence is compared with that null; the maximum over
 * layers controls the error over layers, Holm over segments. Verdict: `warn` on drift (a secondary signal never fails a canary alone),
 * `inconclusive` for too few prompts, else `pass`. Throws RangeError on counts of unequal shape.
 */
export function routingDrift(pairs: readonly RoutingPair[], options: RoutingDriftOptions): RoutingDriftResult {
  const { seed, permutations = DEFAULT_PERMUTATIONS, alpha = 0.05 } = options;
  checkShapes(pairs);
  const segments = [...new Set(pairs.map((pair) => pair.segment).filter((segment) => segment !== undefined))].sort();
  const groups: { segment?: string; pairs: readonly RoutingPair[] }[] = [{ pairs }];
  if (segments.length > 0)
    for (const segment of segments) groups.push({ segment, pairs: pairs.filter((pair) => pair.segment === segment) });
  const drafts = groups.map((group) => ({
    group,
    test: group.pairs.length < MIN_PROMPTS ? undefined : testGroup(group.pairs, `${seed}/${group.segment ?? ''}`, permutations),
  }));
  const adjusted = holm(drafts.map((draft) => draft.test?.pValue ?? 1));
  const scopes = drafts.map(({ group, test }, i): RoutingDriftScope => {
    const scope = { ...(group.segment === undefined ? {} : { segment: group.segment }), prompts: group.pairs.length };
    if (test === undefined) {
      return {
        ...scope,
        verdict: 'inconclusive',
        reason: `${group.pairs.length} prompts, at least ${MIN_PROMPTS} are needed`,
        pValue: 1,
        pAdjusted: 1,
        layers: [],
      };
    }
    const worst = [...test.layers].sort(
      (a, b) => a.pAdjusted - b.pAdjusted || b.jsd / (b.noiseFloor || 1) - a.jsd / (a.noiseFloor || 1) || a.layer - b.layer,
    )[0]!;
    const shift = worst.largestShift.candidateShare - worst.largestShift.baselineShare;
    const drifted = adjusted[i]! <= alpha;
    const where = `layer ${worst.layer} expert ${worst.largestShift.expert} ${percent(worst.largestShift.baselineShare)} to ${percent(worst.largestShift.candidateShare)}`;
    const numbers = `divergence ${worst.jsd.toPrecision(3)} bits against ${worst.noiseFloor.toPrecision(3)} by chance, p ${adjusted[i]!.toPrecision(2)}`;
    return {
      ...scope,
      verdict: drifted ? 'warn' : 'pass',
      reason: drifted
        ? `routing drift: ${where} (${numbers})`
        : `no routing drift beyond chance (largest at layer ${worst.layer}: ${numbers})`,
      pValue: test.pValue,
      pAdjusted: adjusted[i]!,
      worst: { layer: worst.layer, expert: worst.largestShift.expert, shift, jsd: worst.jsd },
      layers: test.layers,
    };
  });
  const leading = scopes.find((scope) => scope.verdict === 'warn') ?? scopes[0]!;
  const name = leading.segment === undefined ? '' : `${leading.segment}: `;
  return { verdict: leading.verdict, reason: `${name}${leading.reason}`, permutations, seed, scopes };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function checkShapes(pairs: readonly RoutingPair[]): void {
  const first = pairs[0];
  if (first === undefined) return;
  const shape = first.baseline.map((layer) => layer.length).join(',');
  pairs.forEach((pair, i) => {
    for (const arm of [pair.baseline, pair.candidate]) {
      if (arm.map((layer) => layer.length).join(',') !== shape)
        throw new RangeError(`routing counts of prompt ${pair.promptId ?? i}: expected layers x experts ${shape || '(none)'}`);
      for (const layer of arm)
        for (const count of layer)
          if (!(Number.isFinite(count) && count >= 0))
            throw new RangeError(`routing counts of prompt ${pair.promptId ?? i}: expected numbers of at least 0, got ${count}`);
    }
  });
}

function testGroup(pairs: readonly RoutingPair[], seed: string, permutations: number): { pValue: number; layers: LayerDrift[] } {
  const layerCount = pairs[0]!.baseline.length;
  const observed = new Float64Array(layerCount);
  const flips = new Uint8Array(pairs.length);
  divergences(pairs, flips, observed);
  const rng = createRng(seed);
  const draws: Float64Array[] = [];
  const floor = new Float64Array(layerCount);
  for (let draw = 0; draw < permutations; draw++) {
    for (let i = 0; i < flips.length; i++) flips[i] = rng.uint32() >>> 31;
    const row = new Float64Array(layerCount);
    divergences(pairs, flips, row);
    draws.push(row);
    for (let l = 0; l < layerCount; l++) floor[l]! += row[l]! / permutations;
  }
  // Layers differ in noise: each is measured in units of its own floor before the maximum is taken.
  const scaled = (row: Float64Array, l: number): number =>
    floor[l]! > 0 ? row[l]! / floor[l]! : row[l]! > 0 ? Number.POSITIVE_INFINITY : 0;
  const maxima = draws.map((row) => largest(layerCount, (l) => scaled(row, l)));
  const pOf = (value: number): number => (1 + maxima.filter((top) => top >= value * (1 - 1e-12)).length) / (1 + permutations);
  const layers: LayerDrift[] = [];
  for (let layer = 0; layer < layerCount; layer++) {
    const b = totals(pairs, layer, 'baseline');
    const c = totals(pairs, layer, 'candidate');
    const sumB = b.reduce((x, y) => x + y, 0);
    const sumC = c.reduce((x, y) => x + y, 0);
    let expert = 0;
    let size = -1;
    for (let e = 0; e < b.length; e++) {
      const shift = Math.abs(c[e]! / (sumC || 1) - b[e]! / (sumB || 1));
      if (shift > size) {
        size = shift;
        expert = e;
      }
    }
    layers.push({
      layer,
      jsd: observed[layer]!,
      noiseFloor: floor[layer]!,
      pAdjusted: pOf(scaled(observed, layer)),
      largestShift: { expert, baselineShare: b[expert]! / (sumB || 1), candidateShare: c[expert]! / (sumC || 1) },
    });
  }
  const pValue = layerCount === 0 ? 1 : pOf(largest(layerCount, (l) => scaled(observed, l)));
  return { pValue, layers };
}

function largest(count: number, value: (index: number) => number): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) top = Math.max(top, value(i));
  return top;
}

function totals(pairs: readonly RoutingPair[], layer: number, arm: 'baseline' | 'candidate'): number[] {
  const counts = new Array<number>(pairs[0]![arm][layer]!.length).fill(0);
  for (const pair of pairs) for (let e = 0; e < counts.length; e++) counts[e]! += pair[arm][layer]![e]!;
  return counts;
}

/** Divergence per layer with the arms of flipped prompts exchanged. An arm without selections in a layer counts as no divergence. */
function divergences(pairs: readonly RoutingPair[], flips: Uint8Array, out: Float64Array): void {
  for (let layer = 0; layer < out.length; layer++) {
    const experts = pairs[0]!.baseline[layer]!.length;
    const a = new Float64Array(experts);
    const b = new Float64Array(experts);
    for (let i = 0; i < pairs.length; i++) {
      const pair = pairs[i]!;
      const first = (flips[i] ? pair.candidate : pair.baseline)[layer]!;
      const second = (flips[i] ? pair.baseline : pair.candidate)[layer]!;
      for (let e = 0; e < experts; e++) {
        a[e]! += first[e]!;
        b[e]! += second[e]!;
      }
    }
    const value = jensenShannon(a, b);
    out[layer] = Number.isNaN(value) ? 0 : value;
  }
}
