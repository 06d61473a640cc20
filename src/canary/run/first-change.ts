import { binomialSf } from '../../stats/distributions.ts';
import type { TracedPrompt, TracedPrompts } from './traced-prompts.ts';

/** The expert that every change begins with. */
export interface FirstChange {
  readonly layer: number;
  readonly expert: number;
  /** Changed prompts whose first changed token went through it; and how many changed prompts there are. */
  readonly hits: number;
  readonly prompts: number;
  /** Hits of the expert that comes next. */
  readonly nextHits: number;
  /** Chance of this many hits for any expert, when where the change begins has nothing to do with routing (Bonferroni). */
  readonly pValue: number;
}

/** Smallest change that counts, nats; and how far above the baseline's own noise a change must be. */
const MIN_CHANGE = 1e-3;
const NOISE_FACTOR = 5;
const MIN_PROMPTS = 8;
/** Share of the changed prompts that must begin at the expert, and by how much it must lead. */
const MIN_SHARE = 0.9;
const MIN_LEAD = 0.1;
/** Share of prompts in which an unchanged token before the first change may have used it: rounding hides some changes. */
const MAX_CONTRADICTED = 0.1;

interface Beginnings {
  /** Per cell: changed prompts whose first changed token used it; changed prompts with an earlier token that did; tokens that did. */
  readonly hits: Float64Array;
  readonly contradicted: Float64Array;
  readonly uses: Float64Array;
  readonly changed: number;
  readonly positions: number;
}

/** Where changes begin. Undefined: fewer than 8 prompts changed after their first position. */
function beginnings(ab: TracedPrompts, aa: TracedPrompts | undefined): Beginnings | undefined {
  const largest = (prompt: TracedPrompt): number => prompt.changes.reduce((most, change) => Math.max(most, Math.abs(change)), 0);
  const limit = Math.max(MIN_CHANGE, NOISE_FACTOR * Math.max(0, ...(aa?.prompts ?? []).map(largest)));
  const size = ab.layers * ab.experts;
  const [hits, contradicted, uses] = [new Float64Array(size), new Float64Array(size), new Float64Array(size)];
  let [changed, positions] = [0, 0];
  for (const prompt of ab.prompts) {
    const at = prompt.changes.findIndex((change) => Math.abs(change) > limit);
    if (at <= 0) continue;
    changed += 1;
    for (const cell of prompt.cells[at]!) hits[cell]! += 1;
    for (const cell of usedIn(prompt, 1, at)) contradicted[cell]! += 1;
    for (let index = 1; index < prompt.cells.length; index += 1) {
      positions += 1;
      for (const cell of prompt.cells[index]!) uses[cell]! += 1;
    }
  }
  return changed < MIN_PROMPTS ? undefined : { hits, contradicted, uses, changed, positions };
}

/** Share of the changed prompts whose first changed token went through each [layer][expert]. */
export function firstChangeShares(ab: TracedPrompts, aa: TracedPrompts | undefined): readonly (readonly number[])[] | undefined {
  const begin = beginnings(ab, aa);
  if (begin === undefined) return undefined;
  return Array.from({ length: ab.layers }, (_, layer) =>
    Array.from({ length: ab.experts }, (_, expert) => begin.hits[layer * ab.experts + expert]! / begin.changed),
  );
}

/**
 * Names a damaged expert by causality. In a causal decoder a position depends on itself and on earlier positions only, so the
 * first position of a prompt whose likelihood changed must have used the damaged expert itself, whatever its tokens meet in other
 * layers, and no position before it may have used it. Prompts that change from their first position on (BOS: the same experts
 * in every prompt) say nothing and are left out; so a diffuse change, as by requantisation, names nobody.
 */
export function firstChange(ab: TracedPrompts, aa: TracedPrompts | undefined, alpha: number): FirstChange | undefined {
  const begin = beginnings(ab, aa);
  if (begin === undefined) return undefined;
  const { hits, contradicted, uses, changed, positions } = begin;
  const ranked = Array.from(hits, (count, cell) => ({ cell, count })).sort((a, b) => b.count - a.count || a.cell - b.cell);
  const [best, next] = ranked;
  if (best!.count < MIN_SHARE * changed || best!.count - (next?.count ?? 0) < MIN_LEAD * changed) return undefined;
  if (contradicted[best!.cell]! > MAX_CONTRADICTED * changed) return undefined;
  const pValue = Math.min(1, hits.length * binomialSf(best!.count, changed, uses[best!.cell]! / positions));
  if (pValue > alpha) return undefined;
  return {
    layer: Math.floor(best!.cell / ab.experts),
    expert: best!.cell % ab.experts,
    hits: best!.count,
    prompts: changed,
    nextHits: next?.count ?? 0,
    pValue,
  };
}

function usedIn(prompt: TracedPrompt, from: number, to: number): Set<number> {
  return new Set(prompt.cells.slice(from, to).flat());
}
